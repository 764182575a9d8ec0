"""Set charge points as planned, once per accepted boot (OCPP-34).

A run asks how the charge point is set (GetConfiguration, or a FullInventory report), keeps that, and sets what differs
from its plan: one ChangeConfiguration after another, or SetVariables in bunches. What it refuses it keeps refusing, so
it is asked once; what is not answered is asked at most three times per boot. The rows are the state: whichever worker
hears that an operation has ended, or that nothing happened in time, takes the next step under the run's lock.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction

from cpo import provisioning_states as states
from cpo.gateway.operation_states import ENDED
from cpo.models import BootRecord, ChargePoint, InboxMessage, Operation, ProvisioningResult, ProvisioningRun
from cpo.modules import configuration, provisioning_plans
from cpo.ocpp import device_calls
from cpo.ocpp.calls import NotAsked
from cpo.ocpp.device_words import Message
from ocpi import clock

log = logging.getLogger(__name__)

ASKED_BY = "provisioning"
_REPORT = timedelta(minutes=5)  # that a report may take, from one part to the next
_RETRY = timedelta(seconds=30)
_LARGEST = 2**31 - 1
_AT_ONCE = 100


def note_boot(
    charge_point: ChargePoint, *, booted_at: datetime, model: tuple[str, str], anew: bool = True
) -> ProvisioningRun | None:
    """Begin a run for a boot if there is a plan; `anew` is false for a boot that was only asked for.

    Such a one begins nothing if a run has been before. In the caller's transaction.
    """
    plan = provisioning_plans.wanted(charge_point, model=model)
    former = ProvisioningRun.objects.select_for_update(of=("self",)).filter(charge_point=charge_point).first()
    if former is not None and (former.booted_at >= booted_at or not anew):
        return None
    ProvisioningResult.objects.filter(charge_point=charge_point).exclude(key__in=plan).delete()
    if not plan:
        ProvisioningRun.objects.filter(charge_point=charge_point).delete()
        return None
    for key, value in plan.items():
        ProvisioningResult.objects.update_or_create(
            charge_point=charge_point, key=key,
            defaults={"wanted": value, "status": states.WAITING, "attempts": 0, "error": "", "changed_at": clock.now()},
        )  # fmt: skip
    run, _ = ProvisioningRun.objects.update_or_create(
        charge_point=charge_point,
        defaults={
            "state": states.next_run(former.state, "boot") if former is not None else states.READING,
            "booted_at": booted_at, "attempts": 0, "operation": None, "ended_at": None, "due_at": clock.now(),
            "request_id": 1 + secrets.randbelow(_LARGEST),
        },
    )  # fmt: skip
    _step(run)
    return run


def run_now(charge_point: ChargePoint) -> bool:
    """Set a charge point as planned without waiting for its next boot; return whether there is a plan."""
    boot = BootRecord.objects.filter(charge_point=charge_point).order_by("-last_at", "-id").first()
    model = (boot.vendor, boot.model) if boot is not None else ("", "")
    with transaction.atomic():
        return note_boot(charge_point, booted_at=clock.now(), model=model) is not None


def settle(operation_id: UUID) -> None:
    """Go on with a run whose operation has ended; other operations are not ours."""
    with transaction.atomic():
        run = _locked(operation_id=operation_id)
        if run is None or run.operation is None or run.operation.state not in ENDED:
            return
        operation, run.operation = run.operation, None
        if run.state == states.READING and _reports(run, operation):
            run.operation = operation
            _wait(run, _REPORT)
        elif run.state == states.READING:
            _read_answer(run, operation)
        elif run.state == states.SETTING:
            _set_answer(run, operation)


def note_report(message: InboxMessage, payload: Mapping[str, Any]) -> None:
    """Take a part of a report that we asked for, in the transaction that settles its message."""
    run = _locked(charge_point_id=message.charge_point_id)
    if run is None or run.state != states.READING or payload.get("requestId") != run.request_id:
        return
    configuration.keep(run.charge_point, _words(run).settings(payload), at=message.received_at)
    if payload.get("tbc") is True:
        run.due_at = clock.now() + _REPORT
        run.save(update_fields=["due_at"])
        return
    run.operation = None
    _compare(run)


def sweep() -> int:
    """Go on where nothing has happened for too long; return with how many runs."""
    due = ProvisioningRun.objects.filter(ended_at=None, due_at__lte=clock.now())
    ids = list(due.order_by("due_at").values_list("pk", flat=True)[:_AT_ONCE])
    for run_id in ids:
        with transaction.atomic():
            run = _locked(pk=run_id)
            if run is not None and run.ended_at is None and run.due_at is not None and run.due_at <= clock.now():
                _overdue(run)
    return len(ids)


def _locked(**which: Any) -> ProvisioningRun | None:
    rows = ProvisioningRun.objects.select_for_update(of=("self",)).select_related("charge_point", "operation")
    return rows.filter(**which).first()


def _words(run: ProvisioningRun) -> Any:
    return device_calls.words(run.charge_point.protocol)


def _overdue(run: ProvisioningRun) -> None:
    operation = run.operation
    if operation is not None and operation.state not in ENDED:
        # It has its own end, whose note may be on its way.
        _wait(run, _RETRY)
    elif operation is not None and run.state == states.READING and _reports(run, operation):
        run.operation = None
        _compare(run)  # the report has stopped coming: what is there counts
    elif operation is not None:
        settle(operation.pk)
    elif not run.charge_point.online:
        _wait(run, _RETRY)
    else:
        _step(run)


def _wait(run: ProvisioningRun, pause: timedelta) -> None:
    run.due_at = clock.now() + pause
    run.save(update_fields=["due_at", "operation", "attempts", "state", "request_id"])


def _step(run: ProvisioningRun) -> None:
    if run.state == states.READING:
        if run.attempts >= states.MOST_ATTEMPTS:
            _end(run, states.next_run(run.state, "unread"))
            return
        run.attempts += 1
        _ask(run, _words(run).ask_settings(run.request_id))
        return
    words = _words(run)
    waiting = list(_results(run).filter(status=states.WAITING).order_by("attempts", "id")[: words.BATCH])
    if not waiting:
        _end(run, states.next_run(run.state, "set"))
        return
    try:
        message = words.set_settings([(row.key, row.wanted) for row in waiting])
    except ValueError as error:
        _record(waiting[0], "NotSupported", str(error))
        _wait(run, timedelta(0))
        return
    for row in waiting:
        row.attempts += 1
        row.save(update_fields=["attempts"])
    _ask(run, message)


def _results(run: ProvisioningRun) -> Any:
    return ProvisioningResult.objects.filter(charge_point_id=run.charge_point_id)


def _ask(run: ProvisioningRun, message: Message) -> None:
    try:
        run.operation = device_calls.ask(run.charge_point, message, asked_by=ASKED_BY, key=f"plan {uuid4()}")
    except NotAsked as error:
        log.info("%s could not be provisioned now: %s", run.charge_point, error)
    _wait(run, timedelta(minutes=2))


def _read_answer(run: ProvisioningRun, operation: Operation) -> None:
    words, answer = _words(run), device_calls.answer(operation)
    if operation.state not in ("ANSWERED", "CALLERROR"):
        _wait(run, _RETRY)
        return
    if answer and words.settings_come_later(answer) is False:
        configuration.keep(run.charge_point, words.settings(answer), at=clock.now(), all_of_it=True)
    # Who cannot say how it is set is set all the same.
    _compare(run)


def _reports(run: ProvisioningRun, operation: Operation) -> bool:
    return _words(run).settings_come_later(device_calls.answer(operation)) is True


def _compare(run: ProvisioningRun) -> None:
    """Note what is set as wanted, and begin with what is not."""
    run.state = states.next_run(run.state, "read")
    actual = configuration.values(run.charge_point)
    rows = list(_results(run).filter(status=states.WAITING))
    differ = set(provisioning_plans.differing({row.key: row.wanted for row in rows}, actual))
    said = {key.casefold(): value for key, value in actual.items()}
    for row in rows:
        row.actual = said.get(row.key.casefold())
        row.status = row.status if row.key in differ else states.SAME
        row.changed_at = clock.now()
        row.save(update_fields=["actual", "status", "changed_at"])
    _step(run)


def _set_answer(run: ProvisioningRun, operation: Operation) -> None:
    words = _words(run)
    asked = [row for row in _results(run).filter(status=states.WAITING) if row.attempts]
    keys = [row.key for row in asked if _is_in(row.key, operation, words)]
    found = words.set_results(device_calls.answer(operation), keys)
    for row in asked:
        if row.key in keys:
            _record(row, found.get(row.key, ""), operation.error or operation.state)
    if found:
        _step(run)
    else:
        _wait(run, _RETRY)


def _is_in(key: str, operation: Operation, words: Any) -> bool:
    """Say whether an operation was about a key; one of an earlier run may have been about others."""
    return any(key == named for named in words.keys_of(device_calls.payload(operation)))


def _record(row: ProvisioningResult, answer: str, error: str) -> None:
    row.status = states.status_after(row.status, answer, row.attempts)
    row.error = "" if row.status in (states.ACCEPTED, states.REBOOT_REQUIRED) else (answer or error)[:255]
    row.changed_at = clock.now()
    if row.status == states.ACCEPTED:
        row.actual = row.wanted
        configuration.set_value(row.charge_point_id, row.key, row.wanted, at=clock.now())
    row.save(update_fields=["status", "error", "changed_at", "actual"])


def _end(run: ProvisioningRun, state: str) -> None:
    run.state, run.operation, run.due_at, run.ended_at = state, None, None, clock.now()
    run.save()
