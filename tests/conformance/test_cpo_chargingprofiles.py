"""Charging profiles, Receiver interface: what is answered at once, what the charge point gets, the one result."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from cpo import chargingprofile_states as states
from cpo.models import EVSE, ChargePointProfile, ChargingProfileRequest, Operation, Session, SmartCharging
from cpo.modules import chargingprofiles_operations as profiles
from ocpi import documents
from ocpi.models import Delivery
from ocpi.outbox_engine import drain_now
from ocpi.v2_2_1 import chargingprofiles as schema
from tests.answers import OcpiAnswer
from tests.cpo_support import BASE, Point, add_location, add_point, add_tariff, answer_operation, tariff, with_tariff
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

PATH = "cpo/2.2.1/chargingprofiles"
RESULTS = "/results"
SENDER = "/ocpi/2.2.1/sender/chargingprofiles"
TAG = "04C7A1E2B95D80"
pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


@pytest.fixture
def point(document: Document) -> Point:
    add_tariff(tariff())
    return add_point(add_location(with_tariff(document("location"))))


@pytest.fixture
def emsp(partner: Partner, listener: Listener) -> Person:
    return partner("DE*EMS:EMSP", listener=listener)


@pytest.fixture
def session(point: Point, emsp: Person, document: Document) -> Session:
    """A session of a driver of the eMSP that has been pushed a Token, charging at the EVSE."""
    token = document("token_rfid", whitelist="ALWAYS")
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", token)
    point.start(TAG)
    return Session.objects.get()


@pytest.fixture
def put(emsp: Person, document: Document) -> Any:
    """Send a profile; members of it may be changed, None takes one away."""

    def send(session: Session | str, number: int = 1, *, by: Person | None = None, **changes: Any) -> OcpiAnswer:
        who = by or emsp
        body = document("charging_profile", response_url=f"{who.url}{RESULTS}/{number}")
        profile = {**body["charging_profile"], **changes}
        body["charging_profile"] = {name: value for name, value in profile.items() if value is not None}
        return who.put(f"{PATH}/{_id(session)}", body)

    return send


def _id(session: Session | str) -> str:
    return session if isinstance(session, str) else session.object_id


def get(who: Person, session: Session | str, number: int = 1, **query: Any) -> OcpiAnswer:
    asked = {"duration": 900, "response_url": f"{who.url}{RESULTS}/get-{number}", **query}
    return who.get(f"{PATH}/{_id(session)}", query={name: value for name, value in asked.items() if value is not None})


def delete(who: Person, session: Session | str, number: int = 1) -> OcpiAnswer:
    return who.delete(f"{PATH}/{_id(session)}", query={"response_url": f"{who.url}{RESULTS}/delete-{number}"})


def ask(method: str, session: Session, put: Any, emsp: Person) -> OcpiAnswer:
    if method == "PUT":
        answer: OcpiAnswer = put(session)
        return answer
    return get(emsp, session) if method == "GET" else delete(emsp, session)


def settle(status: str = "Accepted", *, answer: dict[str, Any] | None = None, **how: Any) -> Operation:
    """Let the charge point answer what waits for it."""
    operation = answer_operation(status, **how)
    if answer is not None:
        operation.answer = json.dumps(answer)
        operation.save()
    profiles.settle(operation.pk)
    return operation


def sent(operation: Operation | None = None) -> Any:
    return json.loads((operation or Operation.objects.latest("created_at")).payload)


def results(listener: Listener) -> list[Any]:
    while drain_now():
        pass
    # Results for different URLs do not wait for each other.
    return [request.json for request in sorted(listener.received("POST", RESULTS), key=lambda each: each.path)]


def a_while_later() -> None:
    """Let the time pass in which a session takes one change."""
    rows = ChargingProfileRequest.objects.all()
    for row in rows:
        rows.filter(pk=row.pk).update(created_at=row.created_at - timedelta(seconds=31))


# ---------------------------------------------------------------- the whole way


@pytest.mark.req("CHP-02", "CHP-04", "CHP-10", "CHP-16", "CHP-19", "CHP-35", "PIT-70", "OCPP-89", "OCPP-92")
def test_put_becomes_set_charging_profile_and_one_result(
    session: Session, put: Any, listener: Listener, emsp: Person
) -> None:
    answer = put(session)
    operation = Operation.objects.get()
    settle()

    assert (answer.codes, answer.data) == ((200, 1000), {"result": "ACCEPTED", "timeout": 60})
    assert operation.action == "SetChargingProfile"
    profile = ChargePointProfile.objects.get()
    assert sent(operation) == {
        "connectorId": 1,
        "csChargingProfiles": {
            "chargingProfileId": profile.pk,
            "transactionId": session.transaction.transaction_id,
            "stackLevel": 1,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {
                "duration": 7200,
                "startSchedule": "2025-09-12T16:00:00.000Z",
                "chargingRateUnit": "W",
                "minChargingRate": 4140.5,
                "chargingSchedulePeriod": [
                    {"startPeriod": 0, "limit": 11000},
                    {"startPeriod": 1800, "limit": 7400.5},
                    {"startPeriod": 5400, "limit": 22000},
                ],
            },
        },
    }
    assert results(listener) == [{"result": "ACCEPTED"}]
    [got] = listener.received("POST", RESULTS)
    assert got.path == f"{RESULTS}/1"
    assert (got.headers["ocpi-to-party-id"], got.headers["ocpi-from-party-id"]) == ("EMS", "TNM")
    assert got.headers["x-correlation-id"] == answer.headers["X-Correlation-ID"]


@pytest.mark.req("CHP-01", "CHP-04", "CHP-18", "CHP-34", "CHP-35", "PIT-70")
def test_get_becomes_get_composite_schedule_and_the_result_has_the_profile(
    session: Session, emsp: Person, listener: Listener
) -> None:
    answer = get(emsp, session)
    operation = settle(answer={
        "status": "Accepted", "connectorId": 1, "scheduleStart": "2026-03-02T09:30:00Z",
        "chargingSchedule": {"duration": 900, "chargingRateUnit": "A", "chargingSchedulePeriod": [
            {"startPeriod": 0, "limit": 16.0}, {"startPeriod": 600, "limit": 9.99, "numberPhases": 3},
        ]},
    })  # fmt: skip

    assert (answer.codes, answer.data["result"]) == ((200, 1000), "ACCEPTED")
    assert (operation.action, sent(operation)) == ("GetCompositeSchedule", {"connectorId": 1, "duration": 900})
    [result] = results(listener)
    assert result == {
        "result": "ACCEPTED",
        "profile": {
            "start_date_time": "2026-03-02T09:30:00Z",
            "charging_profile": {
                "start_date_time": "2026-03-02T09:30:00Z",
                "duration": 900,
                "charging_rate_unit": "A",
                "charging_profile_period": [{"start_period": 0, "limit": 16.0}, {"start_period": 600, "limit": 9.9}],
            },
        },
    }
    schema.check(json.dumps(result).encode(), "ActiveChargingProfileResult", strict=True)


@pytest.mark.req("CHP-03", "CHP-04", "CHP-35", "PIT-70")
def test_delete_becomes_clear_charging_profile_of_our_id(
    session: Session, put: Any, emsp: Person, listener: Listener
) -> None:
    put(session)
    settle()
    a_while_later()

    answer = delete(emsp, session)
    operation = settle()

    assert (answer.codes, answer.data["result"]) == ((200, 1000), "ACCEPTED")
    assert (operation.action, sent(operation)) == ("ClearChargingProfile", {"id": ChargePointProfile.objects.get().pk})
    assert results(listener) == [{"result": "ACCEPTED"}] * 2
    assert ChargePointProfile.objects.get().state == states.REMOVED


# ---------------------------------------------------------------- the interface


@pytest.mark.req("CHP-06")
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_other_methods_are_not_available(session: Session, emsp: Person, method: str) -> None:
    answer = emsp.request(method, f"{PATH}/{session.object_id}", {})

    assert answer.http_status == 405
    assert answer.headers["Allow"] == "GET, PUT, DELETE"


@pytest.mark.req("CHP-01", "CHP-03", "CHP-09")
@pytest.mark.parametrize(("method", "query", "field"), [
    ("GET", {"duration": 900}, "response_url"),
    ("GET", {"duration": None}, "duration"),
    ("GET", {"duration": "soon"}, "duration"),
    ("GET", {"duration": "0"}, "duration"),
    ("GET", {"duration": "-5"}, "duration"),
    ("GET", {"duration": "99999999999"}, "duration"),
    ("DELETE", {}, "response_url"),
])  # fmt: skip
def test_a_missing_or_broken_parameter_is_named(
    session: Session, emsp: Person, method: str, query: dict[str, Any], field: str
) -> None:
    if field != "response_url":
        query = {"response_url": f"{emsp.url}{RESULTS}/1", **query}
    query = {name: value for name, value in query.items() if value is not None}

    answer = emsp.request(method, f"{PATH}/{session.object_id}", query=query)

    assert answer.codes == (200, 2001)
    assert field in answer.message
    assert not ChargingProfileRequest.objects.exists()


@pytest.mark.req("CHP-08", "PIT-18")
@pytest.mark.parametrize(("query", "expected"), [
    ("duration=900&response_url={url}/x%3Fa%3D1%26b%3D%252F", "{base}/x?a=1&b=%2F"),
    ("response_url={url}/x%3Fa%3D1&duration=900", "{base}/x?a=1"),
    ("duration=900&response_url={base}/x?request_id=5678&b=%2F", "{base}/x?request_id=5678&b=%2F"),
    ("response_url={base}/x?a=1&b=2&duration=900", "{base}/x?a=1&b=2"),
])  # fmt: skip
def test_an_encoded_and_an_unencoded_response_url_are_the_same(
    session: Session, emsp: Person, listener: Listener, query: str, expected: str
) -> None:
    base = f"{emsp.url}{RESULTS}"
    encoded = base.replace(":", "%3A").replace("/", "%2F")

    answer = emsp.get(
        f"{settings.OCPI_BASE_URL}/ocpi/{PATH}/{session.object_id}?{query.format(url=encoded, base=base)}"
    )
    settle("Rejected")
    results(listener)

    assert answer.data["result"] == "ACCEPTED"
    [got] = listener.received("POST", RESULTS)
    assert f"{emsp.url}{got.path}?{got.query}" == expected.format(base=base)


@pytest.mark.req("CHP-09", "CHP-30", "CHP-31", "CHP-32", "CHP-33", "CHP-29", "PIT-69")
@pytest.mark.parametrize(("changes", "field"), [
    ({"charging_profile_period": [{"start_period": 0, "limit": 1.25}]}, "charging_profile_period[0].limit"),
    ({"charging_profile_period": [{"start_period": 0, "limit": -1}]}, "charging_profile_period[0].limit"),
    ({"charging_profile_period": [{"start_period": 0}]}, "charging_profile_period[0].limit"),
    ({"min_charging_rate": 6.05}, "min_charging_rate"),
    ({"charging_profile_period": None}, "charging_profile_period"),
    ({"charging_profile_period": []}, "charging_profile_period"),
    ({"charging_profile_period": [{"start_period": 1, "limit": 6}]}, "charging_profile_period[0].start_period"),
    ({"charging_profile_period": [{"start_period": 0, "limit": 6}, {"start_period": 0, "limit": 7}]},
     "charging_profile_period[1].start_period"),
    ({"charging_profile_period": [{"start_period": 0, "limit": 6}, {"start_period": 9, "limit": 7},
                                  {"start_period": 5, "limit": 8}]}, "charging_profile_period[2].start_period"),
    ({"charging_rate_unit": "kW"}, "charging_rate_unit"),
    ({"charging_rate_unit": None}, "charging_rate_unit"),
    ({"duration": 0}, "duration"),
    ({"start_date_time": "tomorrow"}, "start_date_time"),
])  # fmt: skip
def test_a_broken_profile_is_refused_by_field(session: Session, put: Any, changes: dict[str, Any], field: str) -> None:
    refused, accepted = put(session, **changes), put(session)

    assert refused.codes == (200, 2001)
    assert f"charging_profile.{field}" in refused.message
    assert accepted.data["result"] == "ACCEPTED"
    assert Operation.objects.count() == ChargingProfileRequest.objects.count() == 1


@pytest.mark.req("CHP-31", "CHP-32")
def test_a_profile_without_start_and_duration_is_relative_and_has_no_end(session: Session, put: Any) -> None:
    put(session, start_date_time=None, duration=None, min_charging_rate=None)

    profile = sent()["csChargingProfiles"]
    assert profile["chargingProfileKind"] == "Relative"
    assert profile["chargingSchedule"].keys() == {"chargingRateUnit", "chargingSchedulePeriod"}


@pytest.mark.req("PIT-64", "PIT-82")
@pytest.mark.parametrize("url", ["http://127.0.0.1:9/steal", "https://evil.example/x", "nonsense"])
def test_a_response_url_leads_only_to_the_callers_own_host(
    session: Session, emsp: Person, document: Document, url: str
) -> None:
    path = f"{PATH}/{session.object_id}"

    answers = [
        emsp.put(path, document("charging_profile", response_url=url)),
        emsp.get(path, query={"duration": 900, "response_url": url}),
        emsp.delete(path, query={"response_url": url}),
    ]

    assert [answer.codes for answer in answers] == [(200, 2001)] * 3
    assert all("response_url" in answer.message for answer in answers)
    assert not Operation.objects.exists()


@pytest.mark.req("CHP-19", "HUB-72")
def test_through_a_hub_the_result_goes_to_the_hubs_url_for_the_emsp(
    point: Point, document: Document, partner: Partner, listener: Listener
) -> None:
    hub = partner("BE*HUB:HUB", listener=listener)
    hub.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"), sender="DE*EMS")
    point.start(TAG)
    query = {"duration": 900, "response_url": f"{hub.url}/callback/1"}

    answer = hub.get(f"{PATH}/{Session.objects.get().object_id}", query=query, sender="DE*EMS")
    settle("Rejected")
    results(listener)

    assert answer.data["result"] == "ACCEPTED"
    [got] = listener.received("POST", "/callback/1")
    assert (got.headers["ocpi-to-party-id"], got.headers["ocpi-from-party-id"]) == ("EMS", "TNM")


# ---------------------------------------------------------------- the answer at once


def _every_method(emsp: Person, put: Any, session: Session | str) -> list[Any]:
    return [put(session).data, get(emsp, session).data, delete(emsp, session).data]


def _refused(word: str) -> list[dict[str, Any]]:
    return [{"result": word, "timeout": 0}] * 3


@pytest.mark.req("CHP-07", "CHP-14", "CHP-16")
def test_an_unknown_or_completed_session(
    session: Session, point: Point, emsp: Person, put: Any, listener: Listener
) -> None:
    unknown = _every_method(emsp, put, "NO-SUCH-SESSION")
    point.stop(session.transaction.transaction_id, 2000, at=BASE + timedelta(minutes=30))
    completed = _every_method(emsp, put, session)

    assert unknown == completed == _refused("UNKNOWN_SESSION")
    assert put(session).codes == (200, 1000)
    assert not Operation.objects.exists()
    assert results(listener) == []


@pytest.mark.req("CHP-13", "CHP-16", "OCPP-93", "SEC-37")
@pytest.mark.parametrize("role", ["EMSP", "SCSP"])
def test_somebody_without_a_right_on_the_session(
    session: Session, put: Any, partner: Partner, listener: Listener, role: str
) -> None:
    other = partner(f"BE*OTH:{role}", url="http://127.0.0.1:2222")

    answers = [put(session, by=other).data, get(other, session).data, delete(other, session).data]

    assert answers == _refused("REJECTED")
    assert not Operation.objects.exists()
    assert results(listener) == []


@pytest.mark.req("CHP-13", "SEC-34")
def test_a_party_that_is_neither_emsp_nor_scsp_is_refused(session: Session, cpo: Person) -> None:
    assert get(cpo, session).codes == (200, 2001)


@pytest.mark.req("CHP-15", "CHP-16", "LOC-69")
def test_an_evse_without_the_capability(session: Session, emsp: Person, put: Any, listener: Listener) -> None:
    row = EVSE.objects.get(charge_point__isnull=False)
    capabilities = [each for each in documents.get(row.document, "capabilities") if "PROFILE" not in each]
    EVSE.objects.filter(pk=row.pk).update(document=documents.set_member(row.document, "capabilities", capabilities))

    assert _every_method(emsp, put, session) == _refused("NOT_SUPPORTED")
    assert results(listener) == []


@pytest.mark.req("CHP-15")
def test_a_charge_point_without_smart_charging(session: Session, point: Point, emsp: Person, put: Any) -> None:
    SmartCharging.objects.create(charge_point=point.row, supported=False)

    assert _every_method(emsp, put, session) == _refused("NOT_SUPPORTED")


@pytest.mark.req("CHP-11", "CHP-16")
@pytest.mark.parametrize("changes", [{"online": False}, {"boot_status": "Pending"}])
def test_a_charge_point_that_cannot_be_asked(
    session: Session, point: Point, emsp: Person, put: Any, listener: Listener, changes: dict[str, Any]
) -> None:
    type(point.row).objects.update(**changes)

    assert _every_method(emsp, put, session) == _refused("REJECTED")
    assert not Operation.objects.exists()
    assert results(listener) == []


@pytest.mark.req("CHP-12", "CHP-16")
def test_a_session_takes_one_change_in_thirty_seconds(
    session: Session, put: Any, emsp: Person, listener: Listener
) -> None:
    put(session)
    settle()

    too_often = [put(session, 2).data["result"], delete(emsp, session).data["result"]]
    asked = get(emsp, session)
    settle("Rejected")
    a_while_later()
    later = put(session, 3)

    assert too_often == ["TOO_OFTEN", "TOO_OFTEN"]
    assert asked.data["result"] == later.data["result"] == "ACCEPTED"
    assert results(listener) == [{"result": "ACCEPTED"}, {"result": "REJECTED"}]


@pytest.mark.req("REL-47", "OCPP-92")
def test_the_same_request_again_is_answered_alike_and_asked_once(session: Session, put: Any) -> None:
    answers = [put(session).data for _ in range(3)]

    assert answers == [{"result": "ACCEPTED", "timeout": 60}] * 3
    assert Operation.objects.count() == ChargePointProfile.objects.count() == 1


# ---------------------------------------------------------------- the result

SCHEDULE = {"chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 11000}]}
LOST = [
    {"state": "CALLERROR", "error": "NotSupported: no"}, {"state": "CALLERROR", "error": "InternalError: no"},
    {"state": "TIMEOUT"}, {"state": "CONNECTION_LOST"}, {"state": "INVALID_ANSWER"}, {"state": "EXPIRED"},
    {"state": "CANCELLED"},
]  # fmt: skip


@pytest.mark.req("CHP-16", "CHP-17", "CHP-18", "CHP-20", "OCPP-92")
@pytest.mark.parametrize(("method", "how", "result"), [
    ("PUT", {"status": "Accepted"}, "ACCEPTED"),
    ("PUT", {"status": "Rejected"}, "REJECTED"),
    ("PUT", {"status": "NotSupported"}, "REJECTED"),
    ("DELETE", {"status": "Accepted"}, "ACCEPTED"),
    ("DELETE", {"status": "Unknown"}, "UNKNOWN"),
    ("GET", {"answer": {"status": "Rejected"}}, "REJECTED"),
    ("GET", {"answer": {"status": "Accepted"}}, "UNKNOWN"),
    ("GET", {"answer": {"status": "Accepted", "chargingSchedule": {**SCHEDULE, "chargingSchedulePeriod": []}}},
     "UNKNOWN"),
    ("GET", {"answer": {"status": "Accepted", "chargingSchedule": SCHEDULE}}, "ACCEPTED"),
    *[(method, how, "REJECTED") for method in ("PUT", "GET", "DELETE") for how in LOST],
])  # fmt: skip
def test_how_the_operation_ends_is_the_one_result(
    session: Session, put: Any, emsp: Person, listener: Listener, method: str, how: dict[str, Any], result: str
) -> None:
    if method == "DELETE":
        put(session)
        settle()
        results(listener)
        listener.forget()
        a_while_later()
    assert ask(method, session, put, emsp).data["result"] == "ACCEPTED"

    operation = settle(**how)
    profiles.settle(operation.pk)
    profiles.sweep()

    [got] = results(listener)
    assert got["result"] == result
    assert ("profile" in got) == (method == "GET" and result == "ACCEPTED")


@pytest.mark.req("CHP-17")
def test_delete_without_a_profile_is_unknown_and_asks_nobody(
    session: Session, emsp: Person, listener: Listener
) -> None:
    answer = delete(emsp, session)

    assert answer.data["result"] == "ACCEPTED"
    assert results(listener) == [{"result": "UNKNOWN"}]
    assert not Operation.objects.exists()


@pytest.mark.req("CHP-20", "OCPP-92")
@pytest.mark.parametrize("state", ["QUEUED", "SENT"])
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_without_an_answer_it_is_rejected_before_the_announced_end(
    session: Session, put: Any, emsp: Person, listener: Listener, method: str, state: str
) -> None:
    if method == "DELETE":
        put(session)
        settle()
        a_while_later()
        results(listener)
        listener.forget()
    ask(method, session, put, emsp)
    row = ChargingProfileRequest.objects.latest("pk")
    assert row.created_at < row.give_up_at < row.deadline_at
    assert (row.deadline_at - row.created_at).total_seconds() == 60
    ChargingProfileRequest.objects.filter(pk=row.pk).update(give_up_at=row.created_at)
    Operation.objects.filter(state="QUEUED").update(state=state, sent_at=row.created_at if state == "SENT" else None)

    profiles.sweep()
    profiles.sweep()

    assert results(listener) == [{"result": "REJECTED"}]
    assert not Operation.objects.filter(state="QUEUED", action="SetChargingProfile").exists()


@pytest.mark.req("CHP-19")
def test_a_result_that_comes_too_late_is_dropped(session: Session, put: Any, listener: Listener) -> None:
    put(session)
    settle("Rejected")
    Delivery.objects.filter(kind="RESULT").update(deadline_at=timezone.now())

    assert results(listener) == []
    assert not Delivery.objects.filter(kind="RESULT").exists()


# ---------------------------------------------------------------- what the charge point takes


@pytest.mark.req("OCPP-89", "CHP-29", "CHP-28")
def test_what_the_charge_point_cannot_take_is_converted_to_its_way(session: Session, point: Point, put: Any) -> None:
    SmartCharging.objects.create(charge_point=point.row, rate_units="A", max_periods=2, max_stack_level=0)

    put(session)

    profile = sent()["csChargingProfiles"]
    assert profile["stackLevel"] == 0
    assert profile["chargingSchedule"]["chargingRateUnit"] == "A"
    assert profile["chargingSchedule"]["chargingSchedulePeriod"] == [
        {"startPeriod": 0, "limit": 10.7},  # 7400.5 W / 230 V / 3 phases: the lower of the first two periods
        {"startPeriod": 5400, "limit": 31.8},
    ]


@pytest.mark.req("OCPP-92")
def test_what_the_charge_point_cannot_take_at_all_is_rejected_at_once(
    session: Session, point: Point, put: Any, listener: Listener
) -> None:
    SmartCharging.objects.create(charge_point=point.row, max_periods=0)

    assert put(session).data == {"result": "REJECTED", "timeout": 0}
    assert not ChargePointProfile.objects.exists()
    assert results(listener) == []


@pytest.mark.req("OCPP-89")
def test_ids_are_not_used_again_and_the_newest_replaces(session: Session, put: Any) -> None:
    put(session)
    first = sent(settle())["csChargingProfiles"]["chargingProfileId"]
    a_while_later()
    put(session, 2)
    second = sent(settle())["csChargingProfiles"]["chargingProfileId"]

    assert first != second
    assert dict(ChargePointProfile.objects.values_list("pk", "state")) == {
        first: states.REPLACED, second: states.INSTALLED,
    }  # fmt: skip


@pytest.mark.req("OCPP-89", "CHP-20")
@pytest.mark.parametrize(("answer", "old", "new"), [
    ("Accepted", "REPLACED", "REMOVED"), ("Unknown", "INSTALLED", "REJECTED"),
])  # fmt: skip
def test_after_a_lost_answer_the_profile_is_taken_back(
    session: Session, put: Any, listener: Listener, answer: str, old: str, new: str
) -> None:
    put(session)
    settle()
    a_while_later()
    put(session, 2)
    Operation.objects.filter(state="QUEUED").update(sent_at=timezone.now())
    settle(state="TIMEOUT")
    known = list(ChargePointProfile.objects.order_by("pk").values_list("state", flat=True))

    clearing = settle(answer)

    first, second = ChargePointProfile.objects.order_by("pk")
    assert known == [states.INSTALLED, states.DOUBTFUL]
    assert (clearing.action, sent(clearing)) == ("ClearChargingProfile", {"id": second.pk})
    assert (first.state, second.state) == (old, new)
    assert results(listener) == [{"result": "ACCEPTED"}, {"result": "REJECTED"}]


@pytest.mark.req("OCPP-89", "CHP-22")
def test_profiles_go_when_the_session_ends(session: Session, point: Point, put: Any, listener: Listener) -> None:
    put(session)
    settle()
    results(listener)
    listener.forget()

    point.stop(session.transaction.transaction_id, 2000, at=BASE + timedelta(minutes=30))
    clearing = settle("Unknown")

    assert (clearing.action, ChargePointProfile.objects.get().state) == ("ClearChargingProfile", states.REMOVED)
    results(listener)
    assert listener.received("PUT", SENDER) == []


# ---------------------------------------------------------------- what the charge point can do


def say(*keys: tuple[str, str]) -> dict[str, Any]:
    return {"configurationKey": [{"key": key, "readonly": True, "value": value} for key, value in keys]}


@pytest.mark.req("OCPP-92", "OCPP-89")
def test_after_its_boot_a_charge_point_is_asked_what_it_can_do(session: Session, point: Point, put: Any) -> None:
    point.says("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    Operation.objects.exclude(asked_by="smart charging").delete()
    asked = settle(answer=say(
        ("ChargingScheduleAllowedChargingRateUnit", "Current"), ("ChargingScheduleMaxPeriods", "1"),
        ("ChargeProfileMaxStackLevel", "0"), ("SupportedFeatureProfiles", "Core,SmartCharging"),
    ))  # fmt: skip
    put(session)

    assert asked.action == "GetConfiguration"
    assert sorted(sent(asked)["key"]) == [
        "ChargeProfileMaxStackLevel", "ChargingScheduleAllowedChargingRateUnit", "ChargingScheduleMaxPeriods",
        "SupportedFeatureProfiles",
    ]  # fmt: skip
    profile = sent()["csChargingProfiles"]
    assert profile["stackLevel"] == 0
    assert profile["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 10.7}]


@pytest.mark.req("CHP-15")
@pytest.mark.parametrize(("answer", "response"), [
    (say(("SupportedFeatureProfiles", "Core,Reservation")), "NOT_SUPPORTED"),
    (say(("SupportedFeatureProfiles", "Core, SmartCharging")), "ACCEPTED"),
    (say(("ChargingScheduleMaxPeriods", "many")), "ACCEPTED"),
    ({}, "ACCEPTED"),
])  # fmt: skip
def test_a_charge_point_that_says_it_has_no_smart_charging_is_believed(
    session: Session, point: Point, put: Any, answer: dict[str, Any], response: str
) -> None:
    point.says("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    Operation.objects.exclude(asked_by="smart charging").delete()
    settle(answer=answer)

    assert put(session).data["result"] == response


@pytest.mark.req("OCPP-89", "CHP-20")
def test_a_charge_point_that_is_away_is_asked_to_remove_a_doubtful_profile_when_it_is_back(
    session: Session, point: Point, put: Any
) -> None:
    put(session)
    Operation.objects.filter(state="QUEUED").update(sent_at=timezone.now())
    settle(state="CONNECTION_LOST")

    clearing = Operation.objects.get(state="QUEUED")

    assert clearing.action == "ClearChargingProfile"
    assert clearing.deliver_later
    assert ChargePointProfile.objects.get().state == states.DOUBTFUL


@pytest.mark.req("OCPP-92", "LOC-69")
def test_three_answers_that_it_knows_no_profiles_take_the_capability_away(
    session: Session, put: Any, settings: Any
) -> None:
    settings.OCPI_PROFILE_CHANGE_SECONDS = 0
    for number in range(3):
        put(session, number)
        settle("NotSupported")

    row = EVSE.objects.get(charge_point__isnull=False)
    assert "CHARGING_PROFILE_CAPABLE" not in documents.get(row.document, "capabilities")
    assert put(session, 4).data["result"] == "NOT_SUPPORTED"
