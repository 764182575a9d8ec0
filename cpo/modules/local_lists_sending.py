"""Bring each charge point's local list over, a message at a time, and make sure of what it holds (OCPP-87).

First it is asked what it can take and which version it holds. If that is the one we sent last, only the difference
goes out; otherwise all of it, in parts. Versions count up by one with each message, so a charge point that was cut off
in the middle says how far it got. It is asked again after each boot and whenever a message may have been lost.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models import F, Q

from cpo import local_lists
from cpo.gateway import frames, operations
from cpo.gateway.operation_states import ENDED
from cpo.local_list_states import TRIES, ListState, Verdict, verdict
from cpo.local_lists import V16, Change
from cpo.models import LocalList, LocalListContents, Operation
from cpo.modules import local_list_abilities as abilities
from ocpi import clock

ASKED_BY = "local list"
MOST_UNDER_WAY = 100  # charge points that are being told at one moment
MOST_IN_MESSAGE = 500  # entries, whatever it says it takes: some 50 KB
TIMEOUT = 60.0  # seconds: some write to slow storage before they answer
_PAUSE = timedelta(seconds=60)


def sweep() -> int:
    """Do the next thing for each charge point where something is due; return for how many."""
    _settle_lost()
    under_way = LocalList.objects.exclude(operation=None).count()
    due = list(_due().values_list("pk", flat=True)[: max(MOST_UNDER_WAY - under_way, 0)])
    for pk in due:
        with transaction.atomic():
            rows = LocalList.objects.select_for_update(of=("self",), skip_locked=True)
            row = rows.select_related("charge_point").filter(pk=pk, operation=None).first()
            if row is not None:
                _step(row)
    return len(due)


def settle(operation_id: UUID) -> None:
    """Take in how an operation of ours ended; others are none of our business."""
    with transaction.atomic():
        rows = LocalList.objects.select_for_update(of=("self",)).select_related("charge_point")
        row = rows.filter(operation_id=operation_id).first()
        operation = Operation.objects.filter(pk=operation_id).first() if row is not None else None
        if row is None or operation is None or operation.state not in ENDED:
            return
        row.operation = None
        _ENDED[ListState(row.state)](row, operation)
        row.save()


def start_again(local_list_id: int) -> None:
    """Have a list looked at from the beginning: an operator says so."""
    LocalList.objects.filter(pk=local_list_id).update(
        state=ListState.NEW, failures=0, error="", operation=None, held=None, sending=None, sent=0, due_at=clock.now()
    )


def keep_or_leave(local_list_id: int, *, wished: bool) -> None:
    """Keep a charge point's list from now on, or leave it as it is."""
    LocalList.objects.filter(pk=local_list_id).update(wished=wished, due_at=clock.now())


def _due() -> Any:
    """Return lists with something to do at a charge point that can be asked."""
    differs = Q(held=None) | ~Q(held=F("wanted")) | Q(sending__isnull=False)
    open_ones = (
        Q(state__in=(ListState.NEW, ListState.CHECKED)) | Q(state=ListState.READY, wanted__isnull=False) & differs
    )
    return LocalList.objects.filter(
        open_ones, wished=True, operation=None, due_at__lte=clock.now(), charge_point__online=True,
        charge_point__boot_status="Accepted",
    ).order_by("due_at")  # fmt: skip


def _settle_lost() -> None:
    """Look at what has ended unnoticed, and at what was removed with its charge point's operations."""
    ended = LocalList.objects.filter(operation__state__in=ENDED).values_list("operation_id", flat=True)
    for operation_id in list(ended[:500]):
        if operation_id is not None:
            settle(operation_id)


def _step(row: LocalList) -> None:
    family = local_lists.family(row.charge_point.protocol)
    if row.state == ListState.NEW:
        _ask(row, *abilities.question(family))
        row.state = ListState.ASKED
    elif row.state == ListState.CHECKED:
        _ask(row, "GetLocalListVersion", {})
        row.state = ListState.COMPARING
    else:
        _send(row, family)
    if row.operation is None and row.state in (ListState.ASKED, ListState.COMPARING):
        row.state = ListState.NEW if row.state == ListState.ASKED else ListState.CHECKED  # it could not be asked now
    row.save()


def _ask(row: LocalList, action: str, payload: dict[str, Any]) -> None:
    try:
        row.operation = operations.ask(row.charge_point, action, payload, asked_by=ASKED_BY, timeout=TIMEOUT)
    except operations.QueueFull:
        row.due_at = clock.now() + _PAUSE
    except (operations.UnknownAction, frames.PayloadError) as error:
        _fail(row, str(error))


# ------------------------------------------------------------ sent


def _send(row: LocalList, family: str) -> None:
    if row.sending_id is None:
        row.sending_id, row.sent = row.wanted_id, 0
    found = _changes(row.held_id, row.sending_id)
    if not found and (row.held_id is not None or row.version <= 0):
        _arrived(row)  # nothing differs, or it holds nothing and should not
        return
    part = found[row.sent : row.sent + min(row.per_message or local_lists.PER_MESSAGE, MOST_IN_MESSAGE)]
    update = local_lists.FULL if row.held_id is None and row.sent == 0 else local_lists.DIFFERENTIAL
    row.under_way, row.under_way_version = len(part), max(row.version, 0) % local_lists.LARGEST_VERSION + 1
    build = local_lists.send_16 if family == V16 else local_lists.send_201
    _ask(row, "SendLocalList", build(row.under_way_version, update, part))


def _taken(row: LocalList) -> None:
    row.version, row.sent = row.under_way_version, row.sent + row.under_way
    row.under_way, row.failures, row.error = 0, 0, ""
    row.updated_at = clock.now()
    if row.sent >= len(_changes(row.held_id, row.sending_id)):
        _arrived(row)


def _arrived(row: LocalList) -> None:
    row.held_id, row.sending_id, row.sent = row.sending_id, None, 0


def _afresh(row: LocalList) -> None:
    row.held_id, row.sending_id, row.sent, row.under_way = None, None, 0, 0


@lru_cache(maxsize=16)
def _changes(held: int | None, wanted: int | None) -> list[Change]:
    """Return what leads from one list to another; contents never change, so once is enough for all."""
    entries = dict(LocalListContents.objects.filter(pk__in=(held or 0, wanted or 0)).values_list("pk", "packed"))
    unpacked = {pk: local_lists.unpack(bytes(packed)) for pk, packed in entries.items()}
    return local_lists.changes(unpacked[held] if held else None, unpacked[wanted] if wanted else {})


# ------------------------------------------------------------ ended


def _abilities_told(row: LocalList, operation: Operation) -> None:
    family = local_lists.family(row.charge_point.protocol)
    if operation.state != "ANSWERED":
        _later(row, ListState.NEW, operation)
        return
    told = abilities.read(family, _answer(operation))
    row.capacity, row.per_message, row.switched_on = told.capacity, told.per_message, told.switched_on
    row.state = ListState.CHECKED if told.supported else ListState.UNSUPPORTED
    if told.supported and told.switched_on is False:
        row.state = ListState.SWITCHING
        _ask(row, *abilities.switch_on(family))
        if row.operation is None:
            row.state = ListState.CHECKED


def _switched(row: LocalList, operation: Operation) -> None:
    row.switched_on = abilities.is_switched_on(_answer(operation))
    row.state = ListState.CHECKED


def _version_told(row: LocalList, operation: Operation) -> None:
    answer = _answer(operation)
    version = answer.get("listVersion", answer.get("versionNumber"))
    if operation.state == "CALLERROR" and verdict(operation.state, "", operation.error) is Verdict.UNSUPPORTED:
        version = -1
    if not isinstance(version, int):
        _later(row, ListState.CHECKED, operation)
        return
    row.state = ListState.UNSUPPORTED if version < 0 else ListState.READY
    if version == row.under_way_version and row.under_way:
        _taken(row)  # the message arrived, only its answer did not
    elif version != row.version or version == 0:
        _afresh(row)
    row.version = max(version, 0)


def _sent(row: LocalList, operation: Operation) -> None:
    status = str(_answer(operation).get("status", ""))
    found = verdict(operation.state, status, operation.error)
    if found is Verdict.TAKEN:
        _taken(row)
    elif found is Verdict.UNSUPPORTED:
        row.state = ListState.UNSUPPORTED
    elif found is Verdict.LOST:
        row.state = ListState.CHECKED
    elif found is Verdict.AFRESH and row.held_id is not None:
        _afresh(row)
        row.state = ListState.CHECKED
    else:
        if operation.state == "ANSWERED":
            _afresh(row)  # OCPP 1.6, 5.19: after a failed difference all of it is sent
        row.state = ListState.CHECKED
        _fail(row, f"{operation.state} {status} {operation.error}".strip())


def _fail(row: LocalList, error: str) -> None:
    row.failures += 1
    row.error = error[:200]
    row.due_at = clock.now() + _PAUSE * row.failures
    if row.failures >= TRIES:
        row.state = ListState.FAILED


def _later(row: LocalList, state: ListState, operation: Operation) -> None:
    """Ask again later; who does not answer that it cannot is no reason for an alarm while it is away."""
    row.state = state
    ended = verdict(operation.state, "", operation.error)
    if ended is Verdict.UNSUPPORTED:
        row.state = ListState.UNSUPPORTED
    elif ended is Verdict.LOST:
        row.due_at = clock.now() + _PAUSE
    else:
        _fail(row, f"{operation.action}: {operation.state} {operation.error}".strip())


def _nothing(row: LocalList, operation: Operation) -> None:
    """An operation of an earlier life."""


def _answer(operation: Operation) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(operation.answer or "{}")
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) and operation.state == "ANSWERED" else {}


_ENDED = {
    ListState.ASKED: _abilities_told,
    ListState.SWITCHING: _switched,
    ListState.COMPARING: _version_told,
    ListState.READY: _sent,
    ListState.NEW: _nothing,
    ListState.CHECKED: _nothing,
    ListState.FAILED: _nothing,
    ListState.UNSUPPORTED: _nothing,
}
