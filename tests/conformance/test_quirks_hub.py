"""A hub between partners with habits: what is late, what is newer, what was meant for one alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ocpi.models import Delivery
from ocpi.outbox_engine import drain_now
from ocpi.v2_2_1.types import format_datetime
from tests.fixtures import Document, Partner
from tests.outbox_support import later
from tests.people import Person
from tests.platforms import Listener

PUSH = "hub/2.2.1/receiver/locations/NL/TNM/LOC1"
LIST = "hub/2.2.1/sender/locations"
RECEIVER = "/ocpi/2.2.1/receiver/locations"
pytestmark = [pytest.mark.usefixtures("hub_side"), pytest.mark.django_db]


@pytest.mark.req("PIT-86")
def test_only_the_newest_version_waits_for_a_receiver_and_no_longer_than_a_minute(
    cpo: Person, partner: Partner, listener: Listener, document: Document
) -> None:
    partner("DE*EMS:EMSP", listener=listener)
    listener.reply("PUT", RECEIVER, status=503, code=3000)
    for number in (1, 2, 3):
        body = document("location", id="LOC1", name=f"version {number}", last_updated=f"2026-01-0{number}T00:00:00Z")
        assert cpo.put(PUSH, body, to="NL*HUB").ok
        if number == 1:
            drain_now()

    (waiting,) = Delivery.objects.all()
    for _ in range(8):
        later(12)
        drain_now()

    assert (waiting.state, waiting.body) == ("PENDING", "")  # never a copy: the object as it is when it goes out
    names = [request.json["name"] for request in listener.received("PUT", RECEIVER)]
    assert names[0] == "version 1"
    assert set(names[1:]) == {"version 3"}
    (left,) = Delivery.objects.all()
    assert (left.state, left.fields, left.body) == ("MARKED", None, "")
    tries = len(listener.received("PUT", RECEIVER))
    drain_now()
    assert len(listener.received("PUT", RECEIVER)) == tries


@pytest.mark.req("PIT-87", "HUB-20")
def test_an_object_that_reached_the_hub_late_is_in_the_next_delta(
    cpo: Person, emsp: Person, document: Document
) -> None:
    old = "2025-01-01T00:00:00Z"
    body = document("location", id="LOC1", last_updated=old)
    for evse in body["evses"]:
        evse["last_updated"] = old
        for connector in evse["connectors"]:
            connector["last_updated"] = old
    now = datetime.now(UTC)
    cpo.put(PUSH, body, to="NL*HUB")

    def since(moment: datetime) -> list[Any]:
        found: list[Any] = emsp.get(LIST, to="NL*HUB", query={"date_from": format_datetime(moment)}).data
        return [(each["id"], each["last_updated"]) for each in found]

    assert since(now - timedelta(minutes=1)) == [("LOC1", old)]
    assert since(now + timedelta(minutes=1)) == []


@pytest.mark.req("HUB-12", "HUB-20")
def test_what_is_meant_for_one_alone_does_not_change_what_all_may_read(
    cpo: Person, second_emsp: Person, partner: Partner, listener: Listener, document: Document
) -> None:
    partner("DE*EMS:EMSP", listener=listener)
    for_all = document("location", id="LOC1", name="for all")
    cpo.put(PUSH, for_all, to="NL*HUB")

    direct = cpo.put(PUSH, {**for_all, "name": "for EMS alone"}, to="DE*EMS")

    assert direct.ok
    assert listener.received("PUT", RECEIVER)[-1].json["name"] == "for EMS alone"
    (read,) = second_emsp.get(LIST, to="NL*HUB").data
    assert read["name"] == "for all"
