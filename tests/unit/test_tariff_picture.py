"""A Tariff as a picture of a week, and a charge to try: the figures are the pricing engine's."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from emsp.models import Tariff
from ocpi import tariff_picture
from ocpi.tariff_picture import Charge
from tests.admin_world import operator_fixture as operator_fixture
from tests.admin_world import viewer_fixture as viewer_fixture
from tests.fixtures import Document
from tests.people import Person
from tests.unit.tariff_builders import component, element, tariff

MONDAY = date(2026, 3, 2)
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def prices(drawn: str) -> list[tuple[str, str]]:
    return re.findall(r"<title>(\w{3} [\d:–]+): ([\d.]+) EUR/kWh</title>", drawn)


def test_a_week_shows_when_it_is_cheap() -> None:
    cheap = element(component("ENERGY", "0.1"), start_time="22:00", end_time="06:00")
    drawn = tariff_picture.week(
        tariff(cheap, element(component("ENERGY", "0.5"))), Decimal(11), "Europe/Berlin", MONDAY
    )

    assert prices(drawn)[:3] == [
        ("Mon 00:00–06:00", "0.1000"),
        ("Mon 06:00–22:00", "0.5000"),
        ("Mon 22:00–24:00", "0.1000"),
    ]
    assert len(prices(drawn)) == 21


def test_days_and_time_count() -> None:
    sunday = element(component("ENERGY", "0.2"), day_of_week=["SUNDAY"])
    always = element(component("ENERGY", "0.4"), component("TIME", "1.1"))
    drawn = tariff_picture.week(tariff(sunday, always), Decimal(11), "UTC", MONDAY)

    assert prices(drawn)[0] == ("Mon 00:00–24:00", "0.5000")
    assert prices(drawn)[-1] == ("Sun 00:00–24:00", "0.3000")  # an element without a TIME leaves that to the next


def test_a_charge_is_priced_by_the_engine() -> None:
    priced = tariff(element(component("ENERGY", "0.5"), component("PARKING_TIME", "6"), component("FLAT", "1")))
    charge = Charge(START, minutes=180, power=Decimal(11), energy=Decimal(22))

    tried = tariff_picture.try_charge(priced, charge, "UTC")

    assert tried.priced.total_cost.excl_vat == 1 + 11 + 6
    assert tried.chart.count("o-parking") == 1
    assert tried.lines.count("<tr>") == 4


@pytest.mark.parametrize(
    ("energy", "states"), [(None, ["CHARGING"]), (Decimal(99), ["CHARGING"]), (Decimal(11), ["CHARGING", "PARKING"])]
)
def test_the_course_of_a_charge(energy: Decimal | None, states: list[str]) -> None:
    segments = Charge(START, 120, Decimal(11), energy).segments()

    assert [each.state for each in segments] == states
    assert sum(each.energy for each in segments) == min(energy or 22, Decimal(22))
    assert segments[-1].end - segments[0].start == timedelta(hours=2)


@pytest.fixture
def row(emsp_side: None, cpo: Person, document: Document) -> Tariff:
    assert cpo.put("emsp/2.2.1/tariffs/NL/TNM/TNM-FLEX", document("tariff")).ok
    return Tariff.objects.get()


def test_its_page_shows_the_week(operator: Client, row: Tariff) -> None:
    text = operator.get(reverse("admin:emsp_tariff_change", args=[row.pk])).content.decode()

    assert "price per kWh over a week" in text


def test_an_operator_tries_a_charge(operator: Client, row: Tariff) -> None:
    url = reverse("admin:emsp_tariff_try_charge", args=[row.pk])
    form: dict[str, Any] = {"start": "2026-03-02T10:00", "zone": "Europe/Amsterdam", "minutes": 60, "power": "11"}

    empty = operator.get(url).content.decode()
    tried = operator.get(url, form).content.decode()
    wrong = operator.get(url, form | {"zone": "Europe/Nowhere"}).content.decode()

    assert "What does it cost?" in empty
    assert 'class="o-chart"' in tried
    assert "excl. VAT" in tried
    assert "is no time zone" in wrong


def test_who_may_not_look_tries_nothing(viewer: Client, row: Tariff) -> None:
    assert viewer.get(reverse("admin:emsp_tariff_try_charge", args=[row.pk])).status_code == 403
    assert json.loads(row.document)["id"] == "TNM-FLEX"
