"""Pass on to an SCSP what its CPO says: the result of a request, and each ActiveChargingProfile (CHP-26)."""

from __future__ import annotations

from datetime import timedelta

from emsp.models import ActiveProfile, ChargingProfileRequest, Session
from emsp.modules import asking
from emsp.modules import chargingprofiles_control as control
from ocpi import clock, documents, outbox
from ocpi.headers import Address

_MODULE = "chargingprofiles"
# An SCSP hears of a CPO's silence when the announced time is over, and so a moment after it (CHP-20).
_GRACE = timedelta(seconds=30)


def result(row: ChargingProfileRequest) -> None:
    """Have the result of a request posted to the SCSP that asked, in the caller's transaction; ours go nowhere."""
    if row.scsp_platform_id is None or row.response != "ACCEPTED":
        return
    outbox.send_result(
        _recipient(row),
        url=row.scsp_response_url,
        body=row.result_body.encode() or documents.encode({"result": row.result}),
        module=_MODULE,
        deadline_at=max(row.deadline_at or clock.now(), clock.now()) + _GRACE,
        correlation_id=row.correlation_id,
    )
    if row.kind == control.Kind.SET and row.result == "ACCEPTED":
        # What is active since may have been told before the result was: only now it is the SCSP's. Whoever is told at
        # this very moment holds the Session, and is waited for: one of the two sees the other.
        Session.objects.select_for_update().get(pk=row.session_id)
        told = ActiveProfile.objects.filter(session_id=row.session_id, last_updated__gte=row.created_at).first()
        if told is not None:
            _tell(row, told, row.correlation_id)


def active_profile(session: Session, profile: ActiveProfile, *, correlation_id: str) -> None:
    """Have an ActiveChargingProfile told to the SCSP that controls the Session, in the caller's transaction."""
    row = control.controller(session)
    if row is not None and row.scsp_platform_id is not None and row.result == "ACCEPTED":
        _tell(row, profile, correlation_id)


def _tell(row: ChargingProfileRequest, profile: ActiveProfile, correlation_id: str) -> None:
    outbox.mark(
        [_recipient(row)],
        module=_MODULE,
        source="emsp.ActiveProfile",
        source_id=profile.pk,
        path=outbox.path_of(row.scsp_session_id),
        order_key=f"profile {row.session_id}",
        correlation_id=correlation_id,
    )


def _recipient(row: ChargingProfileRequest) -> outbox.Recipient:
    return outbox.Recipient(
        row.scsp_platform_id or 0,
        to=Address(row.scsp_country_code, row.scsp_party_id),
        sender=asking.driver_party(row.session),
    )
