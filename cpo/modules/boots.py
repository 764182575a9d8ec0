"""Boots of charge points: kept with their history; other firmware or another serial is an event (OCPP-35)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.db.models import F

from cpo.models import BootRecord, ChargePoint, InboxMessage, Operation
from cpo.modules import device_jobs, provisioning, station_log
from cpo.ocpp import device_calls
from cpo.ocpp.events import Booted

_TRIGGERED = "Triggered"
_TRIGGER_WINDOW = timedelta(seconds=60)
_LENGTHS = {
    field.name: field.max_length or 0
    for field in BootRecord._meta.concrete_fields
    if field.name in Booted.__dataclass_fields__ and field.name != "reason"
}
# What is an event if it changes, and its name.
_TOLD = (
    ("firmware", "FirmwareChanged", False),
    ("serial", "SerialChanged", True),
    ("box_serial", "SerialChanged", True),
    ("meter_serial", "MeterSerialChanged", True),
)


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is other than at the boot before."""

    kind: str
    info: str
    critical: bool


def note(message: InboxMessage, payload: Mapping[str, Any]) -> None:
    """Keep a boot, tell what has changed, and have the charge point set as planned."""
    event = device_calls.words(message.protocol).boot(payload)
    before = BootRecord.objects.filter(charge_point_id=message.charge_point_id).order_by("-last_at", "-id").first()
    said = {name: str(value)[: _LENGTHS[name]] for name, value in asdict(event).items() if name in _LENGTHS}
    if before is not None and all(getattr(before, name) == value for name, value in said.items()):
        BootRecord.objects.filter(pk=before.pk).update(
            boots=F("boots") + 1, last_at=message.received_at, reason=event.reason[:20], protocol=message.protocol
        )
    else:
        BootRecord.objects.create(
            charge_point_id=message.charge_point_id, **said, reason=event.reason[:20], protocol=message.protocol,
            first_at=message.received_at, last_at=message.received_at,
        )  # fmt: skip
        for change in changes(before, said) if before is not None else ():
            station_log.note(
                message.charge_point_id, change.kind, at=message.received_at, info=change.info, critical=change.critical
            )
    device_jobs.note_firmware(message.charge_point_id, said["firmware"], message.received_at)
    point = ChargePoint.objects.get(pk=message.charge_point_id)
    if point.boot_status == "Accepted":
        provisioning.note_boot(
            point, booted_at=message.received_at, model=(event.vendor, event.model), anew=not _asked_for(message, event)
        )


def changes(before: BootRecord, said: Mapping[str, str]) -> list[Change]:
    """Return what an operator has to know of; what was not told before has not changed."""
    return [
        Change(kind, f"{name.replace('_', ' ')}: {getattr(before, name)} → {said[name] or 'none'}", critical)
        for name, kind, critical in _TOLD
        if getattr(before, name) and getattr(before, name) != said[name]
    ]


def _asked_for(message: InboxMessage, event: Booted) -> bool:
    """Say whether it only introduces itself because somebody asked: nothing was restarted."""
    if event.reason:
        return event.reason == _TRIGGERED
    asked = Operation.objects.filter(
        charge_point_id=message.charge_point_id,
        action__in=("TriggerMessage", "ExtendedTriggerMessage"),
        payload__contains='"BootNotification"',
        sent_at__range=(message.received_at - _TRIGGER_WINDOW, message.received_at),
    )
    return asked.exists()
