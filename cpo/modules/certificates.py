"""Certificates of charge points, from SignCertificate to its end (OCPP-90).

A request that is in order is answered Accepted, and is a row from then on. It is signed some seconds later, outside of
any transaction: by a key of ours, or by the tenant's service. What was signed goes out as CertificateSigned, which the
gateway sends only when no CALL of the charge point is unanswered; so the answer to SignCertificate is on the wire
before. What comes of it is read from the operation; whatever does not come off is an event, and an alarm.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F

from cpo import certificate_states as states
from cpo.gateway.operation_states import ENDED
from cpo.models import BootRecord, CertificateAuthority, ChargePoint, InboxMessage, StationCertificate
from cpo.modules import certificates_backends as backends
from cpo.modules import certificates_signing as signing
from cpo.modules import station_log
from cpo.modules.certificates_signing import NotSigned, Signed
from cpo.ocpp import device_calls
from cpo.ocpp.calls import NotAsked
from ocpi import audit, clock

log = logging.getLogger(__name__)

STATION = "ChargingStationCertificate"
ATTEMPTS = 5
_SOON = timedelta(seconds=2)
_CLAIMED = timedelta(seconds=90)
_DELIVERED_FOR = timedelta(days=7)
_WARNED = timedelta(days=30)
_AT_ONCE = 20


def note_request(message: InboxMessage, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Take a SignCertificate: keep it if it is in order, and answer accordingly."""
    rejected = {"status": "Rejected"}
    if message.gave_up:
        return rejected  # the gateway has answered so in our stead
    point = ChargePoint.objects.get(pk=message.charge_point_id)
    kind = str(payload.get("certificateType") or STATION)
    csr = str(payload.get("csr") or "")
    authority = authority_of(point)
    try:
        if authority is None:
            raise NotSigned("nobody signs certificates for this tenant")
        if kind != STATION and not authority.url:
            raise NotSigned(f"certificateType: {kind} is not signed here")
        signing.check(csr, organisation=authority.organisation, names=names(point))
    except NotSigned as error:
        station_log.note(point.pk, "CertificateRequestRefused", at=message.received_at, info=str(error))
        return rejected
    same = StationCertificate.objects.filter(charge_point=point, kind=kind)
    for former in same.filter(state__in=(states.ASKED, states.SENT)):
        same.filter(pk=former.pk, state=former.state).update(
            state=states.next_state(former.state, "asked_again"), due_at=None
        )
    StationCertificate.objects.create(
        charge_point=point, authority=authority, kind=kind, state=states.ASKED, csr=csr, due_at=clock.now() + _SOON
    )
    return {"status": "Accepted"}


def authority_of(charge_point: ChargePoint) -> CertificateAuthority | None:
    """Return who signs for the tenant of a charge point."""
    return CertificateAuthority.objects.filter(
        country_code__iexact=charge_point.country_code, party_id__iexact=charge_point.party_id
    ).first()


def names(charge_point: ChargePoint) -> set[str]:
    """Return what a charge point may call itself in a certificate: its identity, or a serial it booted with."""
    boot = BootRecord.objects.filter(charge_point=charge_point).order_by("-last_at", "-id").first()
    return {charge_point.identity, *((boot.serial, boot.box_serial) if boot is not None else ())} - {""}


def sign_due() -> int:
    """Have what is due signed, and see to what has ended unnoticed; return how many."""
    for operation_id in StationCertificate.objects.filter(state=states.SENT, operation__state__in=ENDED).values_list(
        "operation_id", flat=True
    )[:_AT_ONCE]:
        settle(operation_id)
    due = StationCertificate.objects.filter(state=states.ASKED, due_at__lte=clock.now()).order_by("due_at")
    taken = 0
    for row in due.select_related("authority", "charge_point")[:_AT_ONCE]:
        claimed = StationCertificate.objects.filter(pk=row.pk, state=states.ASKED, due_at=row.due_at).update(
            due_at=clock.now() + _CLAIMED, attempts=F("attempts") + 1
        )
        if claimed:
            taken += 1
            _sign(row)
    return taken


def _sign(row: StationCertificate) -> None:
    try:
        signed = backends.sign(row)
    except NotSigned as error:
        _unsigned(row, str(error), final=True)
    except backends.Unavailable as error:
        _unsigned(row, str(error), final=row.attempts + 1 >= ATTEMPTS)
    else:
        _signed(row, signed)


@transaction.atomic
def _unsigned(row: StationCertificate, why: str, *, final: bool) -> None:
    mine = StationCertificate.objects.filter(pk=row.pk, state=states.ASKED)
    if not final:
        mine.update(error=why[:255], due_at=clock.now() + timedelta(seconds=30 * 2**row.attempts))
        return
    if mine.update(state=states.next_state(row.state, "unsigned"), error=why[:255], due_at=None):
        station_log.note(row.charge_point_id, "CertificateNotSigned", at=clock.now(), info=why, critical=True)


@transaction.atomic
def _signed(row: StationCertificate, signed: Signed) -> None:
    done = StationCertificate.objects.filter(pk=row.pk, state=states.ASKED).update(
        state=states.next_state(row.state, "signed"), chain=signed.chain, serial=signed.serial, subject=signed.subject,
        valid_from=signed.valid_from, valid_until=signed.valid_until, error="", due_at=None, attempts=0,
    )  # fmt: skip
    if done:
        row.refresh_from_db()
        _deliver(row)


def _deliver(row: StationCertificate) -> None:
    """Send what was signed, in the caller's transaction."""
    point = row.charge_point
    message = device_calls.words(point.protocol).certificate_signed(row.chain, row.kind)
    key = f"certificate {row.pk} {row.attempts}"
    try:
        row.operation = device_calls.ask(
            point, message, asked_by="certificates", key=key, until=clock.now() + _DELIVERED_FOR
        )
    except NotAsked as error:
        _failed(row, str(error))
        return
    row.attempts += 1
    row.save(update_fields=["operation", "attempts"])


def settle(operation_id: UUID) -> None:
    """Read what came of a CertificateSigned; other operations are not ours."""
    with transaction.atomic():
        rows = StationCertificate.objects.select_for_update(of=("self",)).select_related("operation", "charge_point")
        row = rows.filter(operation_id=operation_id, state=states.SENT).first()
        if row is None or row.operation is None or row.operation.state not in ENDED:
            return
        status = device_calls.answer(row.operation).get("status")
        if status == "Accepted":
            _installed(row)
        elif row.operation.state == "ANSWERED":
            row.state, row.error = states.next_state(row.state, "rejected"), f"answered {status}"[:255]
            row.save(update_fields=["state", "error"])
            station_log.note(
                row.charge_point_id, "CertificateRejected", at=clock.now(), info=row.subject, critical=True
            )
        elif row.operation.state in ("TIMEOUT", "CONNECTION_LOST") and row.attempts < ATTEMPTS:
            _deliver(row)
        else:
            _failed(row, row.operation.error or row.operation.state)


def _installed(row: StationCertificate) -> None:
    row.state = states.next_state(row.state, "accepted")
    row.save(update_fields=["state"])
    former = StationCertificate.objects.filter(
        charge_point=row.charge_point, kind=row.kind, state=states.INSTALLED
    ).exclude(pk=row.pk)
    former.update(state=states.next_state(states.INSTALLED, "replaced"))


def _failed(row: StationCertificate, why: str) -> None:
    row.state, row.error = states.next_state(row.state, "undelivered"), why[:255]
    row.save(update_fields=["state", "error"])
    station_log.note(row.charge_point_id, "CertificateNotDelivered", at=clock.now(), info=why, critical=True)


def ending_soon() -> list[StationCertificate]:
    """Return the certificates in use that end within 30 days, the first first."""
    rows = StationCertificate.objects.filter(
        state=states.INSTALLED, revoked_at=None, valid_until__lt=clock.now() + _WARNED
    )
    return list(rows.select_related("charge_point").order_by("valid_until")[:_AT_ONCE])


def revoke(certificate_id: int, *, because: str, by: str) -> bool:
    """Make a certificate invalid: no connection is let in with it any more. Return whether it was valid."""
    with transaction.atomic():
        done = (
            StationCertificate.objects.filter(pk=certificate_id, revoked_at=None)
            .exclude(serial="")
            .update(revoked_at=clock.now(), revoked_because=because[:100])
        )
        if done:
            row = StationCertificate.objects.select_related("charge_point").get(pk=certificate_id)
            audit.record(
                "certificate.revoked", actor=by, about=row.charge_point.identity,
                details={"serial": row.serial, "because": because[:100]},
            )  # fmt: skip
    return bool(done)
