"""Take what CPOs say about charging profiles: the result of a request, and the ActiveChargingProfile of a Session."""

from __future__ import annotations

import logging

from django.db import transaction

from emsp import chargingprofile_states
from emsp.models import ActiveProfile, ChargingProfileRequest, Session
from emsp.modules import asking
from emsp.modules import chargingprofiles_passing as passing
from emsp.modules import chargingprofiles_sending as sending
from ocpi import clock, defects, documents, keeping, status
from ocpi.headers import Address
from ocpi.v2_2_1 import chargingprofiles as schema

log = logging.getLogger(__name__)

_KINDS = {name: kind for kind, name in sending.RESULTS.items()}


def take_result(result_type: str, key: str, body: bytes, *, platform_id: int) -> None:
    """Take the result that was posted to a response_url of ours, by the platform we had asked (CHP-04).

    :raises UnknownObject: if the URL is not, or no longer, one of ours.
    :raises InvalidParameters: if the body is not the result that is due at this URL (PIT-70).
    """
    kind = _KINDS.get(result_type)
    with transaction.atomic():
        row = sending.locked(key=key, kind=kind, platform_id=platform_id) if kind else None
        if row is None or not _awaited(row):
            raise status.UnknownObject
        checked = defects.taken(schema.check_leniently(asking.unwrapped(body), result_type))
        result, profile = str(documents.get(checked, "result")), documents.members(checked).get("profile")
        if row.state == "DONE":
            log.warning("%s %s has its result %s already; %s came too", row.kind, row.pk, row.result, result)
            return
        if row.kind == sending.Kind.GET and result == "ACCEPTED":
            if profile is None or bytes(profile) == b"null":
                raise status.InvalidParameters("profile", "is required when result is ACCEPTED")  # CHP-18
            _remember(row.session, bytes(profile).decode())
        sending.move(row, "result", result=result, result_body=checked.decode(), result_at=clock.now())
        passing.result(row)


def take_active_profile(cpo: Address, session_id: str, body: bytes, *, correlation_id: str) -> None:
    """Take the ActiveChargingProfile of a Session of ours, and pass it on to the SCSP that controls it (CHP-05).

    :raises UnknownObject: if the CPO has no such Session with us.
    :raises InvalidParameters: if the body breaks its table.
    """
    checked = defects.taken(schema.check_leniently(body, "ActiveChargingProfile"))
    with transaction.atomic():
        session = keeping.find(Session, owner=cpo, object_id=session_id, lock=True)
        if session is None:
            raise status.UnknownObject
        profile = _remember(session, checked.decode())
        passing.active_profile(session, profile, correlation_id=correlation_id)


def _awaited(row: ChargingProfileRequest) -> bool:
    """Say whether something may still be posted to a response_url; a second result is only logged, while it lives."""
    if row.state == "DONE":
        return row.deadline_at is None or clock.now() <= row.deadline_at
    return chargingprofile_states.takes(row.state, "result")


def _remember(session: Session, document: str) -> ActiveProfile:
    """Keep the last ActiveChargingProfile of a Session."""
    values = {"document": document, "last_updated": clock.now()}
    row, _ = ActiveProfile.objects.update_or_create(session=session, defaults=values)
    return row
