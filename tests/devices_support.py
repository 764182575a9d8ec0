"""A charge point as a device for tests: rows without any gateway, operations answered by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from cpo.models import ChargePoint, Operation
from cpo.modules import certificates, certificates_installed, device_jobs, passwords_rolling, provisioning
from tests.cpo_support import Point

BOOT_16 = {
    "chargePointVendor": "Acme",
    "chargePointModel": "One",
    "chargePointSerialNumber": "SN-1",
    "firmwareVersion": "1.0",
    "iccid": "8931",
    "imsi": "20404",
    "meterType": "M1",
    "meterSerialNumber": "MS-1",
}
BOOT_201 = {
    "reason": "PowerUp",
    "chargingStation": {
        "vendorName": "Acme",
        "model": "Two",
        "serialNumber": "SN-2",
        "firmwareVersion": "2.0",
        "modem": {"iccid": "8931", "imsi": "20404"},
    },
}


def add_device(identity: str = "CP-1", *, protocol: str = "1.6", **columns: Any) -> Point:
    """A connected charge point that has no place yet."""
    values: dict[str, Any] = {"country_code": "NL", "party_id": "TNM", "online": True, "protocol": protocol}
    row = ChargePoint.objects.create(identity=identity, last_seen_at=datetime.now(UTC), **values | columns)
    return Point(row)


def asked(action: str | None = None) -> list[dict[str, Any]]:
    """Return the payloads that wait to be sent."""
    rows = Operation.objects.filter(state="QUEUED").order_by("created_at")
    return [json.loads(row.payload) for row in rows if action in (None, row.action)]


def waiting(action: str) -> Operation:
    """Return the one operation of an action that waits to be sent."""
    return Operation.objects.get(state="QUEUED", action=action)


def end(operation: Operation, answer: Any = None, *, state: str = "ANSWERED", error: str = "") -> Operation:
    """Let an operation end, and tell whoever may have asked."""
    operation.state, operation.error, operation.ended_at = state, error, datetime.now(UTC)
    operation.sent_at = operation.sent_at or operation.ended_at
    operation.answer = json.dumps(answer) if state == "ANSWERED" else None
    operation.save()
    for settle in (
        provisioning.settle,
        certificates.settle,
        certificates_installed.settle,
        device_jobs.settle,
        passwords_rolling.settle,
    ):
        settle(operation.pk)
    operation.refresh_from_db()
    return operation
