"""A charge point of OCPP 2.0.1 for tests: its messages arrive in the inbox, one by one."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cpo.models import ChargePoint, InboxMessage, Location, Transaction
from cpo.ocpp import inbox
from tests.cpo_support import BASE, EVSE_UID, add_location, add_point, add_tariff, stamp, tariff, with_tariff
from tests.fixtures import Document

TRANSACTION = "c0ffee00-0000-4000-8000-000000000001"
_numbers = itertools.count(1)


def register(wh: float, **members: Any) -> dict[str, Any]:
    """A sampledValue of the import register."""
    return {"measurand": "Energy.Active.Import.Register", "value": wh, **members}


def event(
    kind: str,
    seq_no: int,
    at: datetime,
    *,
    state: str = "",
    token: str = "",
    of_type: str = "ISO14443",
    wh: float | None = None,
    context: str = "Sample.Periodic",
    trigger: str = "Trigger",
    reason: str = "",
    evse: int | None = 1,
    connector: int | None = 1,
    transaction: str = TRANSACTION,
    info: dict[str, Any] | None = None,
    **members: Any,
) -> dict[str, Any]:
    """The payload of a TransactionEvent."""
    payload: dict[str, Any] = {
        "eventType": kind,
        "timestamp": stamp(at),
        "triggerReason": trigger,
        "seqNo": seq_no,
        "transactionInfo": {"transactionId": transaction, **(info or {})},
        **members,
    }
    if state:
        payload["transactionInfo"]["chargingState"] = state
    if reason:
        payload["transactionInfo"]["stoppedReason"] = reason
    if token:
        payload["idToken"] = {"idToken": token, "type": of_type}
    if evse is not None:
        payload["evse"] = {"id": evse} | ({} if connector is None else {"connectorId": connector})
    if wh is not None:
        payload["meterValue"] = [{"timestamp": stamp(at), "sampledValue": [register(wh, context=context)]}]
    return payload


@dataclass
class Station:
    """A charge point of OCPP 2.0.1."""

    row: ChargePoint
    version: str = "2.0.1"

    def says(
        self, action: str, payload: dict[str, Any], *, at: datetime | None = None, apply: bool = True
    ) -> dict[str, Any]:
        """Put a message into the inbox and have it applied; return the answer written into it."""
        message = InboxMessage.objects.create(
            charge_point=self.row,
            epoch=1,
            received_at=at or datetime.now(UTC),
            protocol=self.version,
            action=action,
            message_id=f"s{next(_numbers)}",
            payload=json.dumps(payload),
            payload_hash="",
        )
        if apply:
            inbox.apply_all()
        message.refresh_from_db()
        assert message.state != "FAILED", message.error
        answer: dict[str, Any] = json.loads(message.answer or "{}")
        return answer

    def tells(self, *events: dict[str, Any]) -> list[dict[str, Any]]:
        """Send TransactionEvents; return their answers."""
        return [self.says("TransactionEvent", each) for each in events]

    def status(self, status: str, *, evse: int = 1, connector: int = 1, at: datetime | None = None) -> None:
        self.says(
            "StatusNotification",
            {
                "timestamp": stamp(at or datetime.now(UTC)),
                "connectorStatus": status,
                "evseId": evse,
                "connectorId": connector,
            },
        )

    @property
    def transaction(self) -> Transaction:
        return Transaction.objects.get(charge_point=self.row)


def whole(token: str, *, wh: int = 10_000, minutes: float = 60, reason: str = "", **end: Any) -> list[dict[str, Any]]:
    """All events of a session: plugged in and let in, charged, suspended by the car, ended."""
    return [
        event("Started", 0, BASE, state="EVConnected", token=token, wh=1000, context="Transaction.Begin",
              trigger="Authorized"),
        event("Updated", 1, BASE, state="Charging", trigger="ChargingStateChanged"),
        event("Updated", 2, BASE + timedelta(minutes=minutes / 2), wh=1000 + wh / 2, trigger="MeterValuePeriodic"),
        event("Ended", 3, BASE + timedelta(minutes=minutes), wh=1000 + wh, context="Transaction.End",
              trigger="EVDeparted", reason=reason, **end),
    ]  # fmt: skip


def add_station(
    location: Location, identity: str = "CS-1", *, evses: tuple[str, ...] = (EVSE_UID,), version: str = "2.0.1"
) -> Station:
    """A connected charge point of OCPP 2.0.1, its EVSEs 1, 2 … ours."""
    row = add_point(location, identity, evses=evses).row
    row.protocol = version
    row.save(update_fields=["protocol"])
    return Station(row, version)


@pytest.fixture(name="station")
def station_fixture(document: Document) -> Station:
    """A charge point of OCPP 2.0.1 behind the first EVSE of the Location of all tests."""
    add_tariff(tariff())
    return add_station(add_location(with_tariff(document("location"))))
