"""Reports of charge points that come in parts: joined by request id and `tbc`; what is late is seen (OCPP-83).

A report is there as soon as the charge point has accepted to give it, or with its first part. It is COMPLETE once the
last part and all before it have come, in whatever order; parts of one that was OVERDUE are still taken.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from cpo.gateway import frames
from cpo.gateway.operation_states import OperationState
from cpo.models import InboxMessage, Operation, Report
from cpo.operation_models import ReportState
from ocpi import clock

# What is asked for → the action that its parts come in.
ASKED = {
    "GetBaseReport": "NotifyReport",
    "GetReport": "NotifyReport",
    "GetMonitoringReport": "NotifyMonitoringReport",
    "CustomerInformation": "NotifyCustomerInformation",
    "GetChargingProfiles": "ReportChargingProfiles",
    "GetDisplayMessages": "NotifyDisplayMessages",
}
PARTS = ("NotifyReport", "NotifyMonitoringReport", "NotifyEvent", "NotifyCustomerInformation", "NotifyDisplayMessages",
         "ReportChargingProfiles")  # fmt: skip
WAIT = timedelta(seconds=120)  # for the next part
KEPT = timedelta(days=90)
_OPEN = (ReportState.WAITING, ReportState.PARTIAL)
_MOST_PARTS = 10**9  # a number beyond this is none


def take(message: InboxMessage, payload: Any) -> None:
    """Put a part into its report, in the transaction that settles the message."""
    number = payload.get("requestId")
    request_id = number if isinstance(number, int) and not isinstance(number, bool) else None
    seq_no = payload.get("seqNo")
    report = _report_of(message, request_id, seq_no if isinstance(seq_no, int) else None)
    # ReportChargingProfiles has no seqNo: the gateway keeps the order in which its parts came.
    place = seq_no if isinstance(seq_no, int) and 0 <= seq_no <= _MOST_PARTS else report.parts.count()
    report.parts.update_or_create(
        number=place,
        defaults={
            "last": payload.get("tbc") is not True,
            "received_at": message.received_at,
            "payload": message.payload,
        },
    )
    _judge(report)


def settle(operation_id: UUID) -> None:
    """Expect a report once a charge point has accepted to give it; operations about anything else are not ours."""
    operation = Operation.objects.filter(pk=operation_id, state=OperationState.ANSWERED, action__in=ASKED).first()
    if operation is None or _promised(operation) is None:
        return
    with transaction.atomic():
        report, created = Report.objects.get_or_create(
            charge_point_id=operation.charge_point_id,
            action=ASKED[operation.action],
            request_id=_promised(operation),
            defaults={"operation": operation, "due_at": clock.now() + WAIT},
        )
        if not created and report.operation_id is None:
            report.operation = operation
            report.save(update_fields=["operation"])


def sweep() -> int:
    """Mark what has stopped coming; return how many reports."""
    late = Report.objects.filter(state__in=_OPEN, due_at__lte=clock.now())
    return late.update(state=ReportState.OVERDUE)


def forget_old() -> int:
    """Remove what was reported long ago; return how many rows."""
    old = Report.objects.filter(created_at__lt=clock.now() - KEPT).values_list("pk", flat=True)[:1000]
    return Report.objects.filter(pk__in=list(old)).delete()[0]


def joined(report: Report) -> list[Any]:
    """Return the payloads of the parts that have come, in their order; decimals stay decimals."""
    return [frames.read_payload(part.payload) for part in report.parts.order_by("number")]


def _promised(operation: Operation) -> int | None:
    """Return the request id under which a charge point will report; nothing if it will not."""
    answer = frames.read_payload(operation.answer or "{}")
    asked = frames.read_payload(operation.payload)
    if not isinstance(answer, dict) or answer.get("status") != "Accepted":
        return None
    if operation.action == "CustomerInformation" and not asked.get("report"):
        return None
    number = asked.get("requestId")
    return number if isinstance(number, int) else None


def _report_of(message: InboxMessage, request_id: int | None, seq_no: int | None) -> Report:
    rows = Report.objects.select_for_update(of=("self",)).filter(
        charge_point_id=message.charge_point_id, action=message.action, request_id=request_id
    )
    if request_id is not None:
        found = rows.first()
    else:
        # Nobody asked for a NotifyEvent: seqNo 0 begins a new one, the others belong to the one that is not complete.
        found = None if seq_no in (None, 0) else rows.exclude(state=ReportState.COMPLETE).order_by("-pk").first()
    if found is not None:
        return found
    return Report.objects.create(
        charge_point_id=message.charge_point_id,
        action=message.action,
        request_id=request_id,
        operation=_asked_by(message, request_id),
        due_at=clock.now() + WAIT,
    )


def _asked_by(message: InboxMessage, request_id: int | None) -> Operation | None:
    """Return the operation that asked for it: its answer may come after the first part."""
    if request_id is None:
        return None
    actions = [asked for asked, parts in ASKED.items() if parts == message.action]
    newest = Operation.objects.filter(charge_point_id=message.charge_point_id, action__in=actions)
    for operation in newest.order_by("-created_at")[:50]:
        if frames.read_payload(operation.payload).get("requestId") == request_id:
            return operation
    return None


def _judge(report: Report) -> None:
    parts = dict(report.parts.values_list("number", "last"))
    last = [number for number, is_last in parts.items() if is_last]
    complete = bool(last) and set(range(max(last) + 1)) <= parts.keys()
    report.state = ReportState.COMPLETE if complete else ReportState.PARTIAL
    now = clock.now()
    report.due_at = now + WAIT
    report.completed_at = now if complete else None
    report.save(update_fields=["state", "due_at", "completed_at"])
