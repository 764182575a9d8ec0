"""Commands of eMSPs: answered at once, carried out at the charge point, ended with exactly one CommandResult (OCPP-91).

A command is a row that goes WAITING → IN_PROGRESS → DONE. `accept` writes it, `carry_out` queues the operation,
`settle` reads how the operation ended; each is one short transaction, and `sweep` finds what a crash left in between
(REL-48).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.db import IntegrityError, connection, transaction

from cpo import command_states, policy
from cpo.gateway import operations as gateway
from cpo.gateway.operation_states import ENDED
from cpo.models import Command, CommandedToken, Transaction
from cpo.modules import (
    commands_asking,
    commands_limits,
    commands_results,
    features,
    reservations_results,
    sessions_pending,
)
from cpo.modules import commands_plans as plans
from cpo.modules import reservations_operations as reservations
from cpo.modules.commands_plans import Asked, Plan
from cpo.ocpp import calls
from ocpi import clock, defects, documents, response_urls, status, tallies
from ocpi.v2_2_1 import commands as schema
from ocpi.v2_2_1.commands import CommandResponseType as Response
from ocpi.v2_2_1.commands import CommandResultType as Result
from ocpi.v2_2_1.commands import CommandType

CHANNEL = "cpo_command"  # NOTIFY, with the id of a command that waits
_LEVELS = {
    CommandType.CANCEL_RESERVATION: "CancelReservation",
    CommandType.RESERVE_NOW: "ReserveNow",
    CommandType.START_SESSION: "StartSession",
    CommandType.STOP_SESSION: "StopSession",
    CommandType.UNLOCK_CONNECTOR: "UnlockConnector",
}
_MARGIN = 0.75  # of the announced timeout: by then the result is on its way (CMD-17)
_UNASKED = timedelta(seconds=1)


def accept(asked: Asked) -> str:
    """Keep a command and return the text of its CommandResponse, without waiting for the charge point (CMD-06).

    :raises InvalidParameters: if the body breaks its table, the Token is not the caller's, or the `response_url` cannot
        be used or was used for another command.
    :raises UnknownLocation: with a CommandResponse, if Location, EVSE or Connector are not known (CMD-10, CMD-11).
    """
    kept = defects.taken(schema.check_leniently(asked.body, _LEVELS[asked.command]))
    members: dict[str, Any] = msgspec.json.decode(kept)
    response_urls.check(members["response_url"], asked.platform)
    digest = hashlib.sha256(msgspec.json.encode(members, order="sorted")).hexdigest()
    earlier = _earlier(asked, members["response_url"], digest)
    if earlier is not None:
        return earlier
    plan = plans.decide(asked, members)
    for again in (True, False):
        try:
            with transaction.atomic():
                return _keep(asked, kept, members, digest, plan)
        except IntegrityError:
            # The same command, or another about the same reservation, arrived in this very moment (REL-47).
            earlier = _earlier(asked, members["response_url"], digest)
            if earlier is not None:
                return earlier
            if not again:
                raise
    raise AssertionError("unreachable")


def carry_out(pk: int) -> None:
    """Ask the charge point; a command that somebody else took is left alone."""
    with transaction.atomic():
        row = _locked(pk, command_states.WAITING)
        if row is None or row.charge_point is None:
            return
        if clock.now() >= row.give_up_at:
            _end(row, Result.TIMEOUT)
            return
        if _must_wait(row):
            return  # the sweep comes back to it
        try:
            row.operation = commands_asking.ask(row, row.charge_point)
        except calls.NotAsked:
            _end(row, Result.REJECTED)
            return
        row.state = command_states.IN_PROGRESS
        row.save(update_fields=["operation", "state"])


def settle(operation_id: UUID) -> None:
    """Send the result of the command whose operation has ended; other operations are not ours."""
    pk = Command.objects.filter(operation_id=operation_id, state=command_states.IN_PROGRESS).values_list("pk").first()
    if pk is None:
        return
    with transaction.atomic():
        row = _locked(pk[0], command_states.IN_PROGRESS)
        if row is not None and row.operation is not None and row.operation.state in ENDED:
            _end(row, _result(row))


def sweep() -> int:
    """Carry out what nobody was woken for, settle what has ended, give up what takes too long; return how many."""
    now = clock.now()
    rows = Command.objects.filter(state__in=command_states.OPEN)
    waiting = rows.filter(state=command_states.WAITING, created_at__lt=now - _UNASKED)
    waiting_pks = list(waiting.values_list("pk", flat=True)[:200])
    for pk in waiting_pks:
        carry_out(pk)
    ended = rows.filter(state=command_states.IN_PROGRESS, operation__state__in=sorted(ENDED))
    ended_ids = list(ended.values_list("operation_id", flat=True)[:200])
    for operation_id in ended_ids:
        if operation_id is not None:
            settle(operation_id)
    late = list(rows.filter(give_up_at__lte=now).values_list("pk", flat=True)[:200])
    for pk in late:
        _give_up(pk)
    return len(waiting_pks) + len(ended_ids) + len(late)


# ---------------------------------------------------------------- the steps


def _must_wait(row: Command) -> bool:
    """Say whether an earlier command about the same reservation is still to be asked: it goes first."""
    if row.reservation_id is None:
        return False
    earlier = Command.objects.filter(reservation_id=row.reservation_id, pk__lt=row.pk, state=command_states.WAITING)
    return earlier.exists()


def _earlier(asked: Asked, url: str, digest: str) -> str | None:
    """Return the answer that was given to the same command, if it was given (REL-47)."""
    row = Command.objects.filter(platform_id=asked.platform.id, response_url=url).first()
    if row is None:
        return None
    if row.digest != digest or row.command != asked.command or row.deadline_at <= clock.now():
        raise status.InvalidParameters("response_url", "was used for another command")
    tallies.add(tallies.DUPLICATES_AVOIDED)
    return row.response


def _keep(asked: Asked, body: bytes, members: dict[str, Any], digest: str, plan: Plan) -> str:
    if plan.response is Response.ACCEPTED and (reason := commands_limits.exceeded(asked, plan, members)):
        plan = replace(plan, response=Response.REJECTED, message=reason, wanted=None, reservation=None)
    accepted = plan.response is Response.ACCEPTED
    timeout = int(policy.command_seconds(asked.command)) if accepted else 0
    now = clock.now()
    reservation = reservations.ask_for(plan.wanted) if accepted and plan.wanted else plan.reservation
    text = plans.response_text(plan.response, timeout, plan.message)
    row = Command.objects.create(
        platform_id=asked.platform.id,
        response_url=members["response_url"],
        digest=digest,
        command=asked.command,
        state=command_states.WAITING if accepted else command_states.REFUSED,
        country_code=asked.sender.country_code,
        party_id=asked.sender.party_id,
        cpo_country_code=asked.receiver.country_code,
        cpo_party_id=asked.receiver.party_id,
        request=body.decode(),
        response=text,
        correlation_id=asked.correlation_id,
        charge_point=plan.charge_point,
        evse=plan.evse,
        id_tag=plan.id_tag,
        transaction_id=plan.transaction_id,
        session_id=plan.session_id,
        reservation=reservation,
        created_at=now,
        deadline_at=now + timedelta(seconds=timeout or policy.command_seconds(asked.command)),
        give_up_at=now + timedelta(seconds=timeout * _MARGIN),
    )
    if accepted:
        _wake(row.pk)
    if accepted and asked.command is CommandType.START_SESSION and plan.charge_point is not None:
        CommandedToken.objects.create(
            charge_point=plan.charge_point,
            connector_id=plan.evse.connector_id if plan.evse else None,
            id_tag=plan.id_tag,
            type=members["token"]["type"],
            document=bytes(documents.members(body)["token"]).decode(),
            authorization_reference=members.get("authorization_reference") or "",
            command=row,
            expires_at=now + reservations_results.CARD_MINUTES,
        )
    return text


def _wake(pk: int) -> None:
    """Have the command carried out once this transaction is committed; a lost note is found by the sweep."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, str(pk)])


def _locked(pk: int, state: str) -> Command | None:
    return (
        Command.objects.select_for_update(of=("self",))
        .select_related("charge_point", "evse", "operation", "operation__charge_point", "reservation")
        .filter(pk=pk, state=state)
        .first()
    )


def _give_up(pk: int) -> None:
    with transaction.atomic():
        row = (
            Command.objects.select_for_update(of=("self",))
            .select_related("charge_point", "evse", "operation", "operation__charge_point", "reservation")
            .get(pk=pk)
        )
        if row.state not in command_states.OPEN:
            return
        if row.operation is not None and not gateway.cancel(row.operation.pk):
            row.operation.refresh_from_db()
        _end(row, _result(row) if row.operation is not None and row.operation.state in ENDED else Result.TIMEOUT)


def _result(row: Command) -> Result:
    if row.operation is None:
        return Result.FAILED
    ending = calls.ending(row.operation)
    if ending.state == "CANCELLED" and clock.now() >= row.give_up_at:
        return Result.TIMEOUT
    connector_id = row.evse.connector_id if row.evse and row.evse.connector_id is not None else -1
    here = Transaction.objects.filter(charge_point_id=row.charge_point_id, connector_id=connector_id, stopped_at=None)
    connector = plans.connector_status(row.evse) if row.evse else ""
    return command_states.result_of(
        row.command,
        ending.state,
        status=ending.status,
        error=ending.error,
        occupied=here.exists(),
        connector_status=connector,
    )


def _end(row: Command, result: Result) -> None:
    """End a command and have its one result sent (CMD-14, CMD-18), in the caller's transaction."""
    now: datetime = clock.now()
    row.state, row.result, row.result_at = command_states.DONE, result.value, now
    row.save(update_fields=["state", "result", "result_at"])
    if row.operation is not None:
        features.note_ending(row.operation)
    afterwards = reservations_results.settle(row, result) if row.reservation_id is not None else None
    if row.command == CommandType.START_SESSION and result is Result.ACCEPTED:
        sessions_pending.begin(row)
    commands_results.send(row, result, deadline_at=row.deadline_at)
    if afterwards is not None:
        commands_results.send(row, afterwards, deadline_at=row.deadline_at)
