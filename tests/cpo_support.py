"""A CPO for tests: a Location with a tariff, a charge point behind its EVSE, and messages in that one's inbox."""

from __future__ import annotations

import itertools
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from cpo.models import EVSE, ChargePoint, InboxMessage, Location, Operation, Transaction
from cpo.modules import locations_loading, tariffs_loading
from cpo.ocpp import inbox
from ocpi.headers import Address
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

OWNER = Address("NL", "TNM")
LOCATION, TARIFF = "LOC-UTR-0042", "TEST-TARIFF"
EVSE_UID, SECOND_EVSE_UID = "TNM-UTR-0042-1", "TNM-UTR-0042-2"
BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # a Monday, ten o'clock in Utrecht
VAT = 20
_numbers = itertools.count(1)


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def tariff(**members: Any) -> dict[str, Any]:
    """A start fee of 0.50, 0.30 per kWh and 2.00 per hour of parking, by the second; VAT 20 %."""
    prices = (("FLAT", "0.50"), ("ENERGY", "0.30"), ("PARKING_TIME", "2.00"))
    components = [{"type": kind, "price": float(price), "vat": VAT, "step_size": 1} for kind, price in prices]
    return {
        "country_code": "NL",
        "party_id": "TNM",
        "id": TARIFF,
        "currency": "EUR",
        "elements": [{"price_components": components}],
        "last_updated": "2025-09-01T00:00:00Z",
        **members,
    }


def add_tariff(document: dict[str, Any]) -> None:
    tariffs_loading.keep([tariffs_loading.check(json.dumps(document).encode(), owners=[OWNER])])


def add_location(document: dict[str, Any]) -> Location:
    locations_loading.keep([locations_loading.check(json.dumps(document).encode(), owners=[OWNER])])
    return Location.objects.get(object_id=document["id"])


def with_tariff(document: dict[str, Any], tariff_id: str = TARIFF) -> dict[str, Any]:
    """A Location all of whose Connectors have this tariff."""
    for evse in document["evses"]:
        for connector in evse["connectors"]:
            connector["tariff_ids"] = [tariff_id]
    return document


@dataclass
class Point:
    """A charge point whose messages arrive in the inbox, one by one."""

    row: ChargePoint

    def says(
        self,
        action: str,
        payload: dict[str, Any],
        *,
        at: datetime | None = None,
        transaction_id: int | None = None,
        answer: str | None = None,
        apply: bool = True,
        protocol: str = "1.6",
    ) -> Any:
        """Put a message into the inbox and have it applied; return the answer written into it."""
        if action == "StartTransaction" and transaction_id is None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT nextval('ocpp_transaction_id')")
                transaction_id = cursor.fetchone()[0]
        message = InboxMessage.objects.create(
            charge_point=self.row,
            epoch=1,
            received_at=at or datetime.now(UTC),
            protocol=protocol,
            action=action,
            message_id=f"m{next(_numbers)}",
            payload=json.dumps(payload),
            payload_hash="",
            start_key=uuid.uuid4().hex if action == "StartTransaction" else None,
            transaction_id=transaction_id,
            answer=answer,
        )
        if apply:
            inbox.apply_all()
        message.refresh_from_db()
        self.message = message
        return json.loads(message.answer) if message.answer else None

    def status(self, status: str, *, connector: int = 1, at: datetime | None = None, **members: Any) -> None:
        payload = {"connectorId": connector, "errorCode": "NoError", "status": status, **members}
        if at is not None:
            payload["timestamp"] = stamp(at)
        self.says("StatusNotification", payload, at=at)

    def start(self, tag: str, *, meter: int = 1000, at: datetime = BASE, connector: int = 1, **more: Any) -> Any:
        payload = {"connectorId": connector, "idTag": tag, "meterStart": meter, "timestamp": stamp(at)}
        return self.says("StartTransaction", payload, at=at, **more)

    def meter(self, transaction_id: int, wh: int, *, at: datetime, connector: int = 1, **more: Any) -> None:
        values = [{"measurand": "Energy.Active.Import.Register", "unit": "Wh", "value": str(wh)}]
        payload = {
            "connectorId": connector,
            "transactionId": transaction_id,
            "meterValue": [{"timestamp": stamp(at), "sampledValue": values}],
        }
        self.says("MeterValues", payload, at=at, **more)

    def stop(
        self,
        transaction_id: int,
        meter: int,
        *,
        at: datetime,
        reason: str = "Local",
        data: list[dict[str, Any]] | None = None,
        **more: Any,
    ) -> Any:
        payload: dict[str, Any] = {
            "transactionId": transaction_id,
            "meterStop": meter,
            "timestamp": stamp(at),
            "reason": reason,
        }
        if data is not None:
            payload["transactionData"] = data
        return self.says("StopTransaction", payload, at=at, **more)

    def charge(self, tag: str, *, wh: int = 10_000, hours: float = 1) -> Transaction:
        """A whole session without any meter values."""
        number = self.start(tag)["transactionId"]
        self.stop(number, 1000 + wh, at=BASE + timedelta(hours=hours))
        return Transaction.objects.get(transaction_id=number)


def add_point(location: Location, identity: str = "CP-1", *, evses: tuple[str, ...] = (EVSE_UID,)) -> Point:
    """A connected charge point, its connectors 1, 2 … behind these EVSEs."""
    row = ChargePoint.objects.create(
        identity=identity,
        country_code="NL",
        party_id="TNM",
        location_id=location.object_id,
        online=True,
        connected_at=BASE - timedelta(days=1),
        last_seen_at=datetime.now(UTC),
        protocol="1.6",
    )
    for number, uid in enumerate(evses, start=1):
        assert EVSE.objects.filter(location=location, uid=uid).update(charge_point=row, connector_id=number) == 1
    return Point(row)


def answer_operation(status: str = "Accepted", *, state: str = "ANSWERED", error: str = "") -> Operation:
    """Let the charge point answer the operation that waits."""
    operation = Operation.objects.get(state="QUEUED")
    operation.state, operation.error = state, error
    operation.answer = json.dumps({"status": status}) if state == "ANSWERED" else None
    operation.ended_at = datetime.now(UTC)
    operation.save()
    return operation


@pytest.fixture(name="point")
def point_fixture(document: Document) -> Point:
    """A charge point behind the first EVSE of the Location of all tests, with the tariff of all tests."""
    add_tariff(tariff())
    return add_point(add_location(with_tariff(document("location"))))


@pytest.fixture(name="emsp")
def emsp_fixture(partner: Partner, listener: Listener) -> Person:
    """An eMSP that listens."""
    return partner("DE*EMS:EMSP", listener=listener)
