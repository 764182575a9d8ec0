"""Tariffs, Sender interface, and how a session finds its tariff."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.utils import timezone

from cpo.models import Tariff
from cpo.modules import tariffs
from ocpi.outbox_engine import drain_now
from ocpi.v2_2_1.types import format_datetime
from tests.conformance.suites import ListSuite
from tests.cpo_support import BASE, OWNER, add_tariff, tariff
from tests.fixtures import Partner
from tests.people import Person
from tests.platforms import Listener

PATH = "cpo/2.2.1/tariffs"
pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


class TestTariffsList(ListSuite):
    place, reader, path = "cpo_side", "emsp", PATH

    def make(self, index: int, moment: datetime) -> str:
        add_tariff(tariff(id=f"T{index}", last_updated=format_datetime(moment)))
        return f"T{index}"


@pytest.mark.req("TAR-01")
def test_a_deleted_tariff_is_not_listed(emsp: Person) -> None:
    add_tariff(tariff(id="GONE"))
    add_tariff(tariff(id="HERE"))
    Tariff.objects.filter(object_id="GONE").update(deleted_at=timezone.now())

    answer = emsp.get(PATH)

    assert [found["id"] for found in answer.data] == ["HERE"]
    assert answer.headers["X-Total-Count"] == "1"


@pytest.mark.req("TAR-05")
def test_there_is_no_url_of_a_single_tariff(emsp: Person) -> None:
    add_tariff(tariff())

    assert emsp.get(f"{PATH}/TEST-TARIFF").http_status == 404


@pytest.mark.req("REL-01", "TAR-03")
def test_a_new_tariff_is_put_to_everybody_connected(partner: Partner, listener: Listener) -> None:
    partner("DE*EMS:EMSP", listener=listener)

    add_tariff(tariff())
    drain_now()

    [got] = listener.received("PUT")
    assert got.path == "/ocpi/2.2.1/receiver/tariffs/NL/TNM/TEST-TARIFF"
    assert got.json["id"] == "TEST-TARIFF"


def test_a_session_starts_with_the_valid_tariff_of_its_connector() -> None:
    add_tariff(tariff(id="OVER", end_date_time="2026-01-01T00:00:00Z"))
    add_tariff(tariff(id="CARD", type="AD_HOC_PAYMENT"))
    add_tariff(tariff(id="PLAIN", type="REGULAR"))

    chosen = tariffs.chosen(OWNER, ["over", "CARD", "PLAIN", "UNKNOWN"], at=BASE)

    assert chosen["id"] == "PLAIN"
    assert tariffs.chosen(OWNER, ["OVER"], at=BASE) is None
