"""Reservations at our CPO: a clock that stands still, charge points whose EVSEs can be reserved, a checked CDR."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from cpo.models import CDR, Operation
from ocpi import tariff_pricing
from ocpi.v2_2_1 import cdrs as cdr_schema
from tests.commands_support import Commander, payload, reserved_tariff, whole_minute
from tests.cpo_support import (
    EVSE_UID,
    SECOND_EVSE_UID,
    Point,
    add_location,
    add_point,
    add_tariff,
    with_tariff,
)
from tests.fixtures import Document, Partner
from tests.platforms import Listener


class Clock:
    """The time of a test: it stands still until it is moved."""

    def __init__(self) -> None:
        self.start = whole_minute()
        self._traveller = time_machine.travel(self.start, tick=False)
        self._coordinates = self._traveller.start()

    def at(self, minutes: float) -> datetime:
        return self.start + timedelta(minutes=minutes)

    def to(self, minutes: float) -> datetime:
        self._coordinates.move_to(self.at(minutes))
        return self.at(minutes)

    def stop(self) -> None:
        self._traveller.stop()


@pytest.fixture(name="clock")
def clock_fixture() -> Iterator[Clock]:
    clock = Clock()
    yield clock
    clock.stop()


@pytest.fixture(name="point")
def point_fixture(document: Document, clock: Clock) -> Point:
    add_tariff(reserved_tariff())
    return add_point(add_location(with_tariff(document("location"))))


@pytest.fixture(name="both")
def both_fixture(document: Document, clock: Clock) -> Point:
    """A charge point with two EVSEs that can be reserved, both free."""
    add_tariff(reserved_tariff())
    body = with_tariff(document("location"))
    body["evses"][1]["capabilities"].append("RESERVABLE")
    point = add_point(add_location(body), evses=(EVSE_UID, SECOND_EVSE_UID))
    point.status("Available", connector=1)
    point.status("Available", connector=2)
    return point


@pytest.fixture(name="emsp")
def emsp_fixture(partner: Partner, listener: Listener, document: Document, settings: Any) -> Commander:
    settings.OCPI_SESSION_PUSH_SECONDS = 0
    return Commander(partner("DE*EMS:EMSP", listener=listener), listener, document)


def exact(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def only_cdr() -> Any:
    row = CDR.objects.get()
    cdr_schema.check(row.document.encode(), "CDR", strict=True)
    checked = tariff_pricing.check(tariff_pricing.loads(row.document), [], timezone="Europe/Amsterdam")
    assert checked.verdict == "match", checked.findings
    return exact(row.document)


def configured(point: Point, value: str) -> None:
    """Let the charge point boot and say whether it reserves connector 0."""
    point.says("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    asked = Operation.objects.get(state="QUEUED", asked_by="ReserveConnectorZeroSupported")
    assert (asked.action, payload(asked)) == ("GetConfiguration", {"key": ["ReserveConnectorZeroSupported"]})
    Operation.objects.filter(state="QUEUED").exclude(pk=asked.pk).update(state="CANCELLED")  # what else it is asked
    key = {"key": "ReserveConnectorZeroSupported", "readonly": True, "value": value}
    asked.answer, asked.state = json.dumps({"configurationKey": [key]}), "ANSWERED"
    asked.save()
