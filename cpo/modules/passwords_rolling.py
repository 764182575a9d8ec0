"""Another password for a charge point, without locking it out: both are good until it comes with the new one (OCPP-05).

The new one is kept as `next_password_digest` and sent in the charge point's own words (AuthorizationKey, or
BasicAuthPassword). The gateway makes it the only one when the charge point first shows it. If it refuses, the new one
is dropped; if nobody knows whether it was taken, both stay good. A password must not lie about: it is only sent to who
is connected, and once the operation has ended its payload is wiped.
"""

from __future__ import annotations

from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction

from cpo.gateway import passwords
from cpo.gateway.operation_states import ENDED
from cpo.models import ChargePoint, Operation, StationEvent
from cpo.modules import station_log
from cpo.ocpp import device_calls
from cpo.ocpp.calls import NotAsked
from ocpi import audit, clock

ASKED_BY = "password"
_WIPED = '"***"'
_TAKEN = frozenset({"Accepted", "RebootRequired"})
# Endings after which the charge point cannot have taken it: it refused, or was never told.
_NOT_TAKEN = frozenset({"CALLERROR", "EXPIRED", "CANCELLED"})


class NotRolled(Exception):
    """The password cannot be changed now."""


@transaction.atomic
def roll(charge_point_id: int, *, by: str) -> Operation:
    """Make a new password and have the charge point take it.

    :raises NotRolled: if a change is under way, or the charge point cannot be asked.
    """
    point = ChargePoint.objects.select_for_update(of=("self",)).get(pk=charge_point_id)
    if point.next_password_digest:
        raise NotRolled(f"{point} has been sent another password and has not come with it yet")
    if not point.online:
        raise NotRolled(f"{point} is not connected")
    password = passwords.new_password()
    message = device_calls.words(point.protocol).set_password(password)
    try:
        operation = device_calls.ask(point, message, asked_by=ASKED_BY, key=f"password {uuid4()}")
    except NotAsked as error:
        raise NotRolled(f"{point} cannot be asked: {error}") from error
    point.next_password_digest = passwords.digest(password, str(settings.SECRET_KEY))
    point.password_operation = operation.pk
    point.save(update_fields=["next_password_digest", "password_operation"])
    audit.record("charge_point.password_roll", actor=by, about=point.identity)
    return operation


@transaction.atomic
def forget_next(charge_point_id: int, *, by: str) -> bool:
    """Go on with the present password only; return whether there was another."""
    done = (
        ChargePoint.objects.filter(pk=charge_point_id).exclude(next_password_digest="").update(next_password_digest="")
    )
    if done:
        audit.record("charge_point.password_kept", actor=by, about=str(charge_point_id))
    return bool(done)


def settle(operation_id: UUID) -> None:
    """Read whether the new password was taken, and wipe it; other operations are not ours."""
    with transaction.atomic():
        rows = Operation.objects.select_for_update(of=("self",)).select_related("charge_point")
        operation = rows.filter(pk=operation_id, asked_by=ASKED_BY, state__in=ENDED).exclude(payload=_WIPED).first()
        if operation is None:
            return
        words, point = device_calls.words(operation.charge_point.protocol), operation.charge_point
        keys = words.keys_of(device_calls.payload(operation))
        status = words.set_results(device_calls.answer(operation), keys).get(keys[0], "")
        refused = operation.state == "ANSWERED" and status not in _TAKEN
        if refused or operation.state in _NOT_TAKEN or operation.sent_at is None:
            ChargePoint.objects.filter(pk=point.pk).update(next_password_digest="")
            station_log.note(
                point.pk, "PasswordNotChanged", at=clock.now(), source=StationEvent.Source.PLATFORM,
                info=f"answered {status}" if status else operation.error or operation.state,
            )  # fmt: skip
        Operation.objects.filter(pk=operation.pk).update(payload=_WIPED)
        ChargePoint.objects.filter(pk=point.pk, password_operation=operation.pk).update(password_operation=None)


def sweep() -> int:
    """Wipe passwords whose operation ended unheard; return how many."""
    sent = ChargePoint.objects.exclude(password_operation=None).values_list("password_operation", flat=True)
    ids = Operation.objects.filter(pk__in=list(sent), state__in=ENDED).values_list("pk", flat=True)
    for operation_id in ids:
        settle(operation_id)
    return len(ids)
