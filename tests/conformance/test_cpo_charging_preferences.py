"""Charging preferences at the CPO: what is answered, and that what is accepted acts on price and power."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from pytest_django.fixtures import Settings

from cpo.models import CDR, EVSE, ChargePointProfile, ChargingPreferences, Operation, Session, Transaction
from cpo.modules import chargingprofiles_operations as profiles
from ocpi import documents
from ocpi.outbox_engine import drain_now
from tests.answers import OcpiAnswer
from tests.cpo_support import Point, add_location, add_point, add_tariff, answer_operation, tariff, with_tariff
from tests.cpo_support import emsp_fixture as emsp_fixture
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TAG = "04C7A1E2B95D80"
TARIFFS = {"R": ("REGULAR", 0.30), "G": ("PROFILE_GREEN", 0.20), "F": ("PROFILE_FAST", 0.60)}
pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


@pytest.fixture(autouse=True)
def clock() -> Iterator[Any]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def point(document: Document, settings: Settings) -> Point:
    """A charge point with a Tariff for REGULAR, GREEN and FAST, and none for CHEAP."""
    settings.OCPI_SESSION_PUSH_SECONDS = 0
    for tariff_id, (kind, price) in TARIFFS.items():
        energy = {"type": "ENERGY", "price": price, "vat": 20, "step_size": 1}
        add_tariff(tariff(id=tariff_id, type=kind, elements=[{"price_components": [energy]}]))
    location = with_tariff(document("location"))
    for evse in location["evses"]:
        for connector in evse["connectors"]:
            connector["tariff_ids"] = list(TARIFFS)
    return add_point(add_location(location))


@pytest.fixture
def begin(point: Point, emsp: Person, document: Document) -> Any:
    """Begin a session with a Token of this default_profile_type."""

    def start(default: str | None = None) -> Session:
        token = document("token_rfid", whitelist="ALWAYS", default_profile_type=default)
        emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", token)
        point.start(TAG, at=NOW)
        return Session.objects.get()

    return start


@pytest.fixture
def session(begin: Any) -> Session:
    found: Session = begin()
    return found


def put(who: Person, session: Session | str, **preferences: Any) -> OcpiAnswer:
    session_id = session if isinstance(session, str) else session.object_id
    return who.put(f"cpo/2.2.1/sessions/{session_id}/charging_preferences", preferences)


def at(minutes: float) -> str:
    return (NOW + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def green(who: Person, session: Session, *, hours: float = 5, energy: float = 40) -> OcpiAnswer:
    return put(who, session, profile_type="GREEN", departure_time=at(hours * 60), energy_need=energy)


# ---------------------------------------------------------------- the answer


@pytest.mark.req("SES-03", "SES-38", "SES-39", "LOC-61", "PIT-29")
@pytest.mark.parametrize(("preferences", "answer"), [
    ({"profile_type": "REGULAR"}, "ACCEPTED"),
    ({"profile_type": "FAST"}, "ACCEPTED"),
    ({"profile_type": "FAST", "departure_time": at(60), "energy_need": 22}, "ACCEPTED"),
    ({"profile_type": "FAST", "departure_time": at(60), "energy_need": 22.1}, "NOT_POSSIBLE"),  # 22 kW at most
    ({"profile_type": "GREEN", "departure_time": at(60), "energy_need": 10}, "ACCEPTED"),
    ({"profile_type": "GREEN", "energy_need": 10}, "DEPARTURE_REQUIRED"),
    ({"profile_type": "GREEN"}, "DEPARTURE_REQUIRED"),
    ({"profile_type": "GREEN", "departure_time": at(60)}, "ENERGY_NEED_REQUIRED"),
    ({"profile_type": "GREEN", "departure_time": at(-1), "energy_need": 10}, "NOT_POSSIBLE"),
    ({"profile_type": "CHEAP", "departure_time": at(60), "energy_need": 10}, "PROFILE_TYPE_NOT_SUPPORTED"),
])  # fmt: skip
def test_the_answer_is_a_bare_string(session: Session, emsp: Person, preferences: dict[str, Any], answer: str) -> None:
    got = put(emsp, session, **preferences)

    assert (got.codes, got.data) == ((200, 1000), answer)
    assert ChargingPreferences.objects.exists() == (answer == "ACCEPTED")


@pytest.mark.req("SES-39")
@pytest.mark.parametrize(("preferences", "field"), [
    ({}, "profile_type"),
    ({"profile_type": "SLOW"}, "profile_type"),
    ({"profile_type": "REGULAR", "departure_time": "tonight"}, "departure_time"),
    ({"profile_type": "REGULAR", "energy_need": "a lot"}, "energy_need"),
    ({"profile_type": "REGULAR", "energy_need": -1}, "energy_need"),
])  # fmt: skip
def test_broken_preferences_are_refused_by_field(
    session: Session, emsp: Person, preferences: dict[str, Any], field: str
) -> None:
    answer = put(emsp, session, **preferences)

    assert answer.codes == (200, 2001)
    assert field in answer.message


@pytest.mark.req("SES-36", "PIT-30", "LOC-69")
def test_an_evse_without_the_capability_is_404_with_2001(session: Session, emsp: Person) -> None:
    row = EVSE.objects.get(charge_point__isnull=False)
    capabilities = [each for each in documents.get(row.document, "capabilities") if "PREFERENCES" not in each]
    EVSE.objects.filter(pk=row.pk).update(document=documents.set_member(row.document, "capabilities", capabilities))

    assert put(emsp, session, profile_type="REGULAR").codes == (404, 2001)


@pytest.mark.req("SES-37", "SEC-37", "SEC-39")
def test_a_session_of_nobody_or_of_another_emsp_is_404_with_2000(
    session: Session, emsp: Person, partner: Partner
) -> None:
    other = partner("BE*OTH:EMSP", url="http://127.0.0.1:2222")

    missing = put(emsp, "NO-SUCH-SESSION", profile_type="REGULAR")
    foreign = put(other, session, profile_type="REGULAR")
    assert missing.codes == foreign.codes == (404, 2000)
    assert (missing.message, missing.has_data) == (foreign.message, foreign.has_data)
    assert put(emsp, session, profile_type="REGULAR").codes == (200, 1000)


@pytest.mark.req("SEC-48")
@pytest.mark.parametrize(
    ("need", "accepted"), [(1e308, False), (123456789012, False), (1_000_001, False), (1_000_000, True), (1e-9, True)]
)
def test_more_than_any_battery_takes_is_refused(session: Session, emsp: Person, need: float, accepted: bool) -> None:
    answer = put(emsp, session, profile_type="REGULAR", energy_need=need)

    assert answer.codes == ((200, 1000) if accepted else (200, 2001))
    assert accepted or answer.message == "energy_need: must be at most 1000000 kWh"


@pytest.mark.req("SES-37")
def test_a_session_that_is_over_takes_none(session: Session, emsp: Person, point: Point) -> None:
    point.stop(session.transaction.transaction_id, 2000, at=NOW + timedelta(minutes=30))

    answer = put(emsp, session, profile_type="REGULAR")

    assert (answer.codes, answer.data) == ((200, 1000), "NOT_POSSIBLE")
    assert not ChargingPreferences.objects.exists()


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
@pytest.mark.req("SES-03")
def test_only_put_is_available(session: Session, emsp: Person, method: str) -> None:
    answer = emsp.request(method, f"cpo/2.2.1/sessions/{session.object_id}/charging_preferences", {})

    assert answer.http_status == 405


@pytest.mark.req("SES-38")
def test_a_limit_that_cannot_reach_the_charge_point_is_not_possible(
    session: Session, emsp: Person, point: Point
) -> None:
    type(point.row).objects.update(online=False)

    limited, free = green(emsp, session), put(emsp, session, profile_type="FAST")

    assert (limited.data, free.data) == ("NOT_POSSIBLE", "ACCEPTED")
    assert ChargingPreferences.objects.get().profile_type == "FAST"
    assert not Operation.objects.exists()


# ---------------------------------------------------------------- what is kept


@pytest.mark.req("SES-40", "SES-41")
def test_a_second_put_replaces_the_first(session: Session, emsp: Person) -> None:
    put(emsp, session, profile_type="FAST", departure_time=at(90), energy_need=12.5, discharge_allowed=True)
    first = ChargingPreferences.objects.get()
    put(emsp, session, profile_type="REGULAR")
    second = ChargingPreferences.objects.get()

    assert (first.profile_type, str(first.energy_need), first.discharge_allowed) == ("FAST", "12.5000", True)
    assert (second.profile_type, second.energy_need, second.departure_time) == ("REGULAR", None, None)
    assert second.discharge_allowed is False


@pytest.mark.req("SES-38", "SES-41")
def test_what_is_refused_leaves_the_first_as_it_is(session: Session, emsp: Person) -> None:
    put(emsp, session, profile_type="FAST")
    put(emsp, session, profile_type="GREEN")

    assert ChargingPreferences.objects.get().profile_type == "FAST"
    assert len(Transaction.objects.get().tariff_changes) == 1


# ---------------------------------------------------------------- what it does to the price


def pushed(listener: Listener) -> Any:
    while drain_now():
        pass
    [cdr] = listener.received("POST", "/ocpi/2.2.1/receiver/cdrs")
    return cdr.json


@pytest.mark.req("SES-42", "TAR-39", "CDR-19")
def test_from_then_on_the_tariff_of_the_profile_type_applies(
    session: Session, emsp: Person, point: Point, listener: Listener, clock: Any
) -> None:
    number = session.transaction.transaction_id
    point.meter(number, 6000, at=NOW + timedelta(minutes=30))
    clock.move_to(NOW + timedelta(minutes=30))
    green(emsp, session)
    profiles.settle(answer_operation().pk)
    point.meter(number, 11_000, at=NOW + timedelta(minutes=60))
    running = json.loads(Session.objects.get().document)["charging_periods"]
    clock.move_to(NOW + timedelta(minutes=60))
    put(emsp, session, profile_type="REGULAR")
    profiles.settle(answer_operation().pk)
    point.stop(number, 16_000, at=NOW + timedelta(minutes=90))

    cdr = pushed(listener)

    assert [(each["start_date_time"], each["tariff_id"]) for each in running] == [
        (at(0), "R"), (at(15), "R"), (at(30), "G"), (at(45), "G"),
    ]  # fmt: skip
    periods = cdr["charging_periods"]
    assert [(each["start_date_time"], each["tariff_id"]) for each in periods] == [
        (at(0), "R"), (at(30), "G"), (at(60), "R"),
    ]  # fmt: skip
    assert sorted(each["id"] for each in cdr["tariffs"]) == ["G", "R"]
    assert cdr["total_cost"] == {"excl_vat": 4.0, "incl_vat": 4.8}  # 5 x 0.30 + 5 x 0.20 + 5 x 0.30, VAT 20 %
    assert CDR.objects.count() == 1


@pytest.mark.req("SES-42")
def test_the_same_tariff_begins_no_new_period(
    session: Session, emsp: Person, point: Point, listener: Listener, clock: Any
) -> None:
    number = session.transaction.transaction_id
    point.meter(number, 6000, at=NOW + timedelta(minutes=30))
    clock.move_to(NOW + timedelta(minutes=30))
    put(emsp, session, profile_type="REGULAR")
    point.stop(number, 11_000, at=NOW + timedelta(minutes=60))

    cdr = pushed(listener)

    assert [each["tariff_id"] for each in cdr["charging_periods"]] == ["R"]
    assert [each["id"] for each in cdr["tariffs"]] == ["R"]


@pytest.mark.req("CDR-19")
def test_a_tariff_that_priced_nothing_is_not_in_the_cdr(
    session: Session, emsp: Person, point: Point, listener: Listener, clock: Any
) -> None:
    number = session.transaction.transaction_id
    point.meter(number, 6000, at=NOW + timedelta(minutes=30))
    clock.move_to(NOW + timedelta(minutes=30))
    put(emsp, session, profile_type="FAST")
    point.stop(number, 6000, at=NOW + timedelta(minutes=30))

    assert [each["id"] for each in pushed(listener)["tariffs"]] == ["R"]


@pytest.mark.req("CDR-19", "SES-42")
def test_a_tariff_that_comes_back_is_as_it_was(
    session: Session, emsp: Person, point: Point, listener: Listener, clock: Any
) -> None:
    number = session.transaction.transaction_id
    put(emsp, session, profile_type="FAST")
    dearer = {"type": "ENERGY", "price": 9.0, "vat": 20, "step_size": 1}
    add_tariff(tariff(id="R", type="REGULAR", elements=[{"price_components": [dearer]}],
                      last_updated="2026-03-02T09:05:00Z"))  # fmt: skip
    point.meter(number, 2000, at=NOW + timedelta(minutes=30))
    clock.move_to(NOW + timedelta(minutes=30))
    put(emsp, session, profile_type="REGULAR")
    point.stop(number, 3000, at=NOW + timedelta(minutes=60))

    assert pushed(listener)["total_cost"]["excl_vat"] == 0.9  # 1 x 0.60 + 1 x 0.30


@pytest.mark.req("TOK-41", "TAR-39")
@pytest.mark.parametrize(("default", "tariff_id", "kept"), [
    ("GREEN", "G", ["GREEN"]), ("REGULAR", "R", []), (None, "R", []), ("CHEAP", "R", []),
])  # fmt: skip
def test_a_session_begins_with_the_default_profile_type_of_its_token(
    begin: Any, point: Point, listener: Listener, default: str | None, tariff_id: str, kept: list[str]
) -> None:
    session = begin(default)
    assert list(ChargingPreferences.objects.values_list("profile_type", flat=True)) == kept

    point.stop(session.transaction.transaction_id, 11_000, at=NOW + timedelta(minutes=60))

    assert [each["tariff_id"] for each in pushed(listener)["charging_periods"]] == [tariff_id]


@pytest.mark.req("TOK-41")
def test_without_the_capability_the_default_means_nothing(begin: Any, point: Point) -> None:
    row = EVSE.objects.get(charge_point__isnull=False)
    EVSE.objects.filter(pk=row.pk).update(document=documents.set_member(row.document, "capabilities", []))

    begin("GREEN")

    assert json.loads(Transaction.objects.get().snapshot)["tariff"]["id"] == "R"


# ---------------------------------------------------------------- what it does to the power


def given(operation: Operation | None = None) -> Any:
    return json.loads((operation or Operation.objects.latest("created_at")).payload)["csChargingProfiles"]


@pytest.mark.req("SES-38", "OCPP-89")
def test_green_spreads_the_energy_until_departure_as_an_upper_limit(session: Session, emsp: Person) -> None:
    green(emsp, session, hours=5, energy=40)

    assert given() == {
        "chargingProfileId": ChargePointProfile.objects.get().pk,
        "transactionId": session.transaction.transaction_id,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {
            "duration": 18000,
            "startSchedule": "2026-03-02T09:00:00.000Z",
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8800}],  # 40 kWh / 5 h, a tenth to spare
        },
    }


@pytest.mark.req("SES-38", "SES-41")
def test_fast_takes_the_limit_away(session: Session, emsp: Person) -> None:
    green(emsp, session)
    profiles.settle(answer_operation().pk)
    put(emsp, session, profile_type="FAST")

    operation = answer_operation()
    profiles.settle(operation.pk)

    row = ChargePointProfile.objects.get()
    assert (operation.action, json.loads(operation.payload)) == ("ClearChargingProfile", {"id": row.pk})
    assert row.state == "REMOVED"


@pytest.mark.req("CHP-21")
def test_a_limit_from_preferences_is_told_to_the_sender_of_a_profile(
    session: Session, emsp: Person, listener: Listener
) -> None:
    body = {"charging_profile": {"charging_rate_unit": "W", "duration": 600,
                                 "charging_profile_period": [{"start_period": 0, "limit": 11000}]},
            "response_url": f"{emsp.url}/results/1"}  # fmt: skip
    emsp.put(f"cpo/2.2.1/chargingprofiles/{session.object_id}", body)
    profiles.settle(answer_operation().pk)
    green(emsp, session)
    profiles.settle(answer_operation().pk)
    while drain_now():
        pass

    active = listener.received("PUT", "/ocpi/2.2.1/sender/chargingprofiles")[-1].json["charging_profile"]
    assert active["charging_profile_period"] == [
        {"start_period": 0, "limit": 11000}, {"start_period": 600, "limit": 8800},
    ]  # fmt: skip
