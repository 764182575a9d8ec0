"""The ActiveChargingProfile: whom we tell, when, and what it says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from pytest_django.fixtures import Settings

from cpo.models import ActiveChargingProfile, ChargePointProfile, Session
from cpo.modules import chargingprofiles_limits as limits
from cpo.modules import chargingprofiles_operations as profiles
from ocpi import snapshot
from ocpi.models import Delivery, FinishedDelivery
from ocpi.outbox_engine import drain_now
from ocpi.v2_2_1 import chargingprofiles as schema
from tests.cpo_support import Point, answer_operation
from tests.cpo_support import emsp_fixture as emsp_fixture
from tests.cpo_support import point_fixture as point_fixture
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

SENDER = "/ocpi/2.2.1/sender/chargingprofiles"
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
TAG = "04C7A1E2B95D80"
pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


@pytest.fixture(autouse=True)
def clock() -> Iterator[Any]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def session(point: Point, emsp: Person, document: Document) -> Session:
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))
    point.start(TAG, at=NOW)
    return Session.objects.get()


@pytest.fixture
def put(emsp: Person, session: Session, settings: Settings) -> Any:
    """Set a profile with these periods and let the charge point answer."""
    settings.OCPI_PROFILE_CHANGE_SECONDS = 0

    def send(*periods: tuple[int, float], answer: str = "Accepted", unit: str = "W", **members: Any) -> None:
        body = {
            "charging_profile": {
                "charging_rate_unit": unit,
                "charging_profile_period": [{"start_period": start, "limit": limit} for start, limit in periods],
                **members,
            },
            "response_url": f"{emsp.url}/results/1",
        }
        assert emsp.put(f"cpo/2.2.1/chargingprofiles/{session.object_id}", body).data["result"] == "ACCEPTED"
        profiles.settle(answer_operation(answer).pk)

    return send


def told(listener: Listener) -> list[Any]:
    """Return what the Sender has been told, each profile valid, and forget it."""
    while drain_now():
        pass
    found = listener.received("PUT", SENDER)
    for request in found:
        schema.check(request.body, "ActiveChargingProfile", strict=True)
    listener.forget()
    return [request.json for request in found]


def periods(active: Any) -> list[tuple[int, float]]:
    return [(each["start_period"], each["limit"]) for each in active["charging_profile"]["charging_profile_period"]]


def set_limit(point: Point, limit: str, *, connector: int = 0, answer: str = "Accepted") -> None:
    limits.set_limit(point.row, connector=connector, unit="W", limit=Decimal(limit), by="test")
    profiles.settle(answer_operation(answer).pk)


@pytest.mark.req("CHP-05", "CHP-21", "CHP-23", "CHP-34", "PIT-68")
def test_a_successful_put_tells_the_sender_what_is_active(put: Any, session: Session, listener: Listener) -> None:
    put((0, 11000), (900, 7400.5), (3600, 22000), start_date_time="2026-03-02T10:00:00Z")

    while drain_now():
        pass
    [request] = listener.received("PUT", SENDER)
    assert request.path == f"{SENDER}/{session.object_id}"
    assert (request.headers["ocpi-to-party-id"], request.headers["ocpi-from-party-id"]) == ("EMS", "TNM")
    assert request.json == {
        "start_date_time": "2026-03-02T10:00:00Z",
        "charging_profile": {
            "start_date_time": "2026-03-02T10:00:00Z",
            "duration": 1800,
            "charging_rate_unit": "W",
            "charging_profile_period": [{"start_period": 0, "limit": 11000}, {"start_period": 900, "limit": 7400.5}],
        },
    }


@pytest.mark.req("CHP-22")
def test_without_a_successful_put_nobody_is_told(put: Any, point: Point, listener: Listener) -> None:
    put((0, 11000), answer="Rejected")
    set_limit(point, "9000")
    before = told(listener)

    put((0, 11000))
    after = told(listener)

    assert before == []
    assert periods(after[0]) == [(0, 9000)]


@pytest.mark.req("CHP-21", "CHP-22")
def test_a_get_is_no_reason_to_tell(session: Session, emsp: Person, point: Point, listener: Listener) -> None:
    query = {"duration": 60, "response_url": f"{emsp.url}/results/1"}
    emsp.get(f"cpo/2.2.1/chargingprofiles/{session.object_id}", query=query)
    profiles.settle(answer_operation("Accepted").pk)
    set_limit(point, "9000")

    assert told(listener) == []


@pytest.mark.req("CHP-21", "CHP-25")
def test_every_change_that_we_learn_of_is_told(put: Any, point: Point, listener: Listener) -> None:
    put((0, 11000))
    first = told(listener)
    set_limit(point, "9000")
    limited = told(listener)
    put((0, 6000))
    lower = told(listener)
    limits.remove(ChargePointProfile.objects.get(origin="PARTNER", state="INSTALLED").pk, by="test")
    profiles.settle(answer_operation("Accepted").pk)
    removed = told(listener)
    limits.remove(ChargePointProfile.objects.get(origin="OPERATOR").pk, by="test")
    profiles.settle(answer_operation("Accepted").pk)
    free = told(listener)

    assert [periods(each) for found in (first, limited, lower, removed, free) for each in found] == [
        [(0, 11000)], [(0, 9000)], [(0, 6000)], [(0, 9000)], [(0, 22000)],
    ]  # fmt: skip


@pytest.mark.req("CHP-24")
def test_after_clearing_it_is_the_maximum_of_the_evse(
    put: Any, session: Session, emsp: Person, listener: Listener
) -> None:
    put((0, 10), unit="A")
    told(listener)

    query = {"response_url": f"{emsp.url}/results/2"}
    emsp.delete(f"cpo/2.2.1/chargingprofiles/{session.object_id}", query=query)
    profiles.settle(answer_operation("Accepted").pk)

    [active] = told(listener)
    assert periods(active) == [(0, 32)]
    assert active["charging_profile"]["charging_rate_unit"] == "A"


@pytest.mark.req("CHP-21")
@pytest.mark.parametrize("change", [
    lambda point: set_limit(point, "15000"),  # above the profile
    lambda point: set_limit(point, "9000", answer="Rejected"),
    lambda point: set_limit(point, "9000", connector=1),  # a default, below the profile of the session
], ids=["above", "refused", "default"])  # fmt: skip
def test_what_changes_nothing_is_not_told(put: Any, point: Point, listener: Listener, change: Any) -> None:
    put((0, 11000))
    told(listener)

    change(point)

    assert told(listener) == []


@pytest.mark.req("CHP-21", "CHP-23")
def test_what_waits_goes_out_as_it_is_when_it_is_sent(
    put: Any, point: Point, listener: Listener, clock: Any, settings: Settings
) -> None:
    settings.OCPI_ACTIVE_PROFILE_SECONDS = 600
    put((0, 11000), (900, 5000), start_date_time="2026-03-02T10:00:00Z")
    set_limit(point, "9000")
    clock.move_to(NOW + timedelta(minutes=10))

    [active] = told(listener)

    assert active["start_date_time"] == "2026-03-02T10:10:00Z"
    assert active["charging_profile"]["duration"] == 600
    assert periods(active) == [(0, 9000), (300, 5000)]


@pytest.mark.req("CHP-22")
def test_a_session_that_is_over_is_not_told_of(
    put: Any, session: Session, point: Point, emsp: Person, listener: Listener
) -> None:
    put((0, 11000))
    point.stop(session.transaction.transaction_id, 2000, at=NOW + timedelta(minutes=1))

    assert told(listener) == []
    assert not ActiveChargingProfile.objects.exists()
    assert FinishedDelivery.objects.get(module="chargingprofiles", kind="STATE").state == "DROPPED"


@pytest.mark.req("CHP-05", "PIT-68")
def test_a_sender_without_the_interface_is_seen_by_the_operator(
    put: Any, emsp: Person, session: Session, listener: Listener
) -> None:
    assert emsp.platform
    emsp.platform.endpoints.filter(identifier="chargingprofiles", role="SENDER").delete()
    snapshot.changed()

    put((0, 11000))

    assert told(listener) == []
    refused = FinishedDelivery.objects.get(module="chargingprofiles", kind="STATE")
    assert (refused.state, refused.error) == ("REFUSED", "the platform has no chargingprofiles SENDER endpoint")
    assert not Delivery.objects.filter(module="chargingprofiles").exists()


@pytest.mark.req("CHP-05", "CHP-21")
def test_a_sender_behind_a_hub_is_told_through_it(
    point: Point, document: Document, partner: Partner, listener: Listener
) -> None:
    hub = partner("BE*HUB:HUB", listener=listener)
    hub.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"), sender="DE*EMS")
    point.start(TAG, at=NOW)
    body = document("charging_profile", response_url=f"{hub.url}/results/1")
    session_id = Session.objects.get().object_id

    answer = hub.put(f"cpo/2.2.1/chargingprofiles/{session_id}", body, sender="DE*EMS")
    profiles.settle(answer_operation().pk)
    while drain_now():
        pass

    assert answer.data["result"] == "ACCEPTED"
    [request] = listener.received("PUT", f"{SENDER}/{session_id}")
    assert (request.headers["ocpi-to-party-id"], request.headers["ocpi-from-party-id"]) == ("EMS", "TNM")
