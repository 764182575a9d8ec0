"""Charging profiles, Receiver interface: the whole way, its parameters, and what is answered at once."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings

from cpo import chargingprofile_states as states
from cpo.models import EVSE, ChargePointProfile, ChargingProfileRequest, Operation, Session, SmartCharging
from cpo.modules import chargingprofiles_operations as profiles
from ocpi import documents
from ocpi.v2_2_1 import chargingprofiles as schema
from ocpi.v2_2_1.types import parse_datetime
from tests.chargingprofiles_support import (
    PATH,
    RESULTS,
    TAG,
    a_while_later,
    delete,
    get,
    results,
    sent,
    settle,
)
from tests.chargingprofiles_support import put_fixture as put_fixture
from tests.chargingprofiles_support import session_fixture as session_fixture
from tests.cpo_support import BASE, Point, answer_operation
from tests.cpo_support import emsp_fixture as emsp_fixture
from tests.cpo_support import point_fixture as point_fixture
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


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


@pytest.mark.req("CHP-01", "CHP-03", "CHP-09", "SEC-47", "SEC-48")
@pytest.mark.parametrize(("method", "query", "field"), [
    ("GET", {"duration": 900}, "response_url"),
    ("GET", {"duration": None}, "duration"),
    ("GET", {"duration": "soon"}, "duration"),
    ("GET", {"duration": "0"}, "duration"),
    ("GET", {"duration": "-5"}, "duration"),
    ("GET", {"duration": "99999999999"}, "duration"),
    ("GET", {"duration": "000000000001" + "9" * 20}, "duration"),
    ("GET", {"duration": "000000000001" + "9" * 5000}, "duration"),
    ("GET", {"duration": "٣"}, "duration"),
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


# ---------------------------------------------------------------- periods


@pytest.mark.req("OCPP-95", "OCPP-128")
def test_a_charging_period_begins_where_a_profile_comes_or_goes(
    session: Session, put: Any, point: Point, emsp: Person
) -> None:
    def answered(minutes: float) -> None:
        operation = answer_operation()
        Operation.objects.filter(pk=operation.pk).update(ended_at=BASE + timedelta(minutes=minutes, milliseconds=700))
        profiles.settle(operation.pk)

    put(session)
    answered(20)
    a_while_later()
    delete(emsp, session)
    answered(25)
    a_while_later()
    put(session, 2)
    settle("Rejected")
    point.stop(session.transaction.transaction_id, 11_000, at=BASE + timedelta(minutes=40))

    periods = json.loads(Session.objects.get().document)["charging_periods"]
    begun = [parse_datetime(each["start_date_time"]) - BASE for each in periods]
    energy = [each["volume"] for period in periods for each in period["dimensions"] if each["type"] == "ENERGY"]
    assert [each // timedelta(minutes=1) for each in begun] == [0, 15, 20, 25, 30]
    assert (len(energy), round(sum(energy), 4)) == (5, 10)
