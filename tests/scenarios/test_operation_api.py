"""Every operation of OCPP over the operation API, to a charge point of the `ocpp` package on a real gateway."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from cpo.gateway import outgoing
from cpo.models import ChargePoint, ChargingProfileTemplate, IdTag, Operation, Reservation, Transaction
from cpo.modules import availability, reservations_local
from tests.fixtures import Side
from tests.gateway_support import World, open_world
from tests.operation_api import Caller, caller
from tests.operation_station import Station, station
from tests.operation_tables import CASES_16, CASES_201, answers

LATER = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
_SETTLES_SECONDS = 30  # says only that something hangs


@pytest.fixture
def world(transactional_db: None) -> Iterator[World]:
    with open_world() as opened:
        yield opened
        for model in (Transaction, Reservation, IdTag, ChargingProfileTemplate):
            model.objects.all().delete()


@pytest.fixture
def api(side: Side, settings: Settings, world: World) -> Caller:
    side("cpo", parties=["NL*TNM:CPO"])
    settings.ROOT_URLCONF = "cpo.operation_urls"
    return caller()


def ask(api: Caller, action: str, payload: Any = None, **more: Any) -> Any:
    """Ask, wait for the answer and return the record."""
    body = {"action": action, "payload": payload or {}, "wait": "answered", "timeout": 30, **more}
    answer = api.post("charge-points/CP-1/operations", body)
    assert answer.status == 200, answer.json
    return answer.json


def _failures(api: Caller, point: Station, cases: Any) -> list[str]:
    found = []
    for action, payload in cases:
        told = ask(api, action, payload, force=True)
        if (told["state"], told["answer"]) != ("ANSWERED", point.answers[action]):
            found.append(f"{action}: {told['state']} {told['answer']} {told['error']}")
        if point.last != (action, payload):
            found.append(f"{action}: {point.last} was asked, not {payload}")
    return found


@pytest.mark.req("OCPP-78", "OCPP-115", "OCPP-116")
def test_every_operation_of_1_6_and_of_the_whitepaper_is_asked_as_it_was_given(api: Caller, world: World) -> None:
    assert {action for action, _ in CASES_16} == outgoing.V16

    with station(world, "1.6", answers("1.6")) as point:
        assert _failures(api, point, CASES_16) == []


@pytest.mark.req("OCPP-78", "OCPP-115", "OCPP-116")
def test_every_operation_of_2_0_1_is_asked_as_it_was_given(api: Caller, world: World) -> None:
    assert {action for action, _ in CASES_201} == outgoing.V201

    with station(world, "2.0.1", answers("2.0.1")) as point:
        assert _failures(api, point, CASES_201) == []
        asked = ask(api, "GetLog", {"logType": "SecurityLog", "log": {"remoteLocation": "https://x.example/log"}})
        assert asked["payload"]["requestId"] == point.asked[-1][1]["requestId"] > 0
        refused = api.post("charge-points/CP-1/operations", {"action": "ClearCache", "protocol": "1.6"})
        assert refused.code == (409, "PROTOCOL_MISMATCH")


def _eventually(true: Any) -> None:
    deadline = time.monotonic() + _SETTLES_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


TEMPLATE: dict[str, Any] = {
    "description": "night", "purpose": "TxProfile", "kind": "Relative", "unit": "A", "stack_level": 2,
    "periods": [{"start_period": 0, "limit": 16.0}, {"start_period": 600, "limit": 6.5}],
}  # fmt: skip


@pytest.mark.req("OCPP-115", "OCPP-121", "OCPP-89")
def test_refs_are_filled_in_with_wire_ids(api: Caller, world: World) -> None:
    template = api.post("charging-profile-templates", TEMPLATE).json["ref"]

    with station(world, "1.6", answers("1.6")) as point:
        row = _transaction(number=815)
        ref = api.get("charge-points/CP-1/transactions").json[0]["ref"]
        ask(api, "RemoteStopTransaction", refs={"transaction": ref})
        assert point.last == ("RemoteStopTransaction", {"transactionId": 815})

        refs = {"transaction": ref, "charging_profile": template}
        sent = ask(api, "SetChargingProfile", {"connectorId": 1}, refs=refs)
        profile = point.asked[-1][1]["csChargingProfiles"]
        schedule = profile["chargingSchedule"]
        assert (profile["transactionId"], profile["stackLevel"]) == (815, 2)
        assert [period["limit"] for period in schedule["chargingSchedulePeriod"]] == [16.0, 6.5]
        assert '"limit":16.0' in Operation.objects.get(pk=sent["id"]).payload  # the number as it was written
        assert sent["refs"] == refs

        ask(api, "ClearChargingProfile", refs={"charging_profile": template})
        assert point.last == ("ClearChargingProfile", {"id": profile["chargingProfileId"]})

        ask(api, "RemoteStartTransaction", {"idTag": "TAG1"}, refs={"charging_profile": template})
        started = point.asked[-1][1]["chargingProfile"]
        assert "transactionId" not in started
        assert started["chargingProfileId"] != profile["chargingProfileId"]

        for refs, code in (
            ({"transaction": "tx-999999"}, "UNKNOWN_REF"),
            ({"transaction": "815"}, "UNKNOWN_REF"),
            ({"reservation": "res-1"}, "UNKNOWN_REF"),
            ({"charging_profile": "tpl-999999"}, "UNKNOWN_REF"),
            ({"transaction": ref}, "INVALID"),
        ):
            answer = api.post("charge-points/CP-1/operations", {"action": "ClearCache", "refs": refs})
            assert answer.code == (422, code), refs
        row.delete()


def _transaction(number: int, **columns: Any) -> Transaction:
    values = {"connector_id": 1, "id_tag": "TAG1", "authorised": True, "started_at": datetime.now(UTC),
              "meter_start": 1000}  # fmt: skip
    point = ChargePoint.objects.get(identity="CP-1")
    return Transaction.objects.create(charge_point=point, transaction_id=number, **{**values, **columns})


@pytest.mark.req("OCPP-115", "OCPP-120", "OCPP-88", "OCPP-82")
def test_a_reservation_is_made_here_unless_the_caller_names_one(api: Caller, world: World) -> None:
    with station(world, "1.6", {**answers("1.6"), "ReserveNow": {"status": "Accepted"}}) as point:
        wish = {"connectorId": 1, "idTag": "TAG1", "expiryDate": LATER}
        asked = ask(api, "ReserveNow", wish, idempotency_key="once")
        again = ask(api, "ReserveNow", wish, idempotency_key="once")
        listed = api.get("charge-points/CP-1/reservations").json
        assert again["id"] == asked["id"]
        assert len(listed) == 1
        assert (listed[0]["state"], listed[0]["own"], listed[0]["id_tag"]) == ("WAITING", True, "TAG1")
        assert asked["refs"] == {"reservation": listed[0]["ref"]}
        assert point.asked[-1][1]["reservationId"] == listed[0]["reservation_id"] > 0

        reservations_local.settle(Operation.objects.get(pk=asked["id"]).pk)
        assert api.get(f"reservations/{listed[0]['ref']}").json["state"] == "ACCEPTED"
        cancelled = ask(api, "CancelReservation", refs={"reservation": listed[0]["ref"]})
        assert point.asked[-1][1] == {"reservationId": listed[0]["reservation_id"]}
        reservations_local.settle(Operation.objects.get(pk=cancelled["id"]).pk)
        assert api.get(f"reservations/{listed[0]['ref']}").json["state"] == "CANCELLED"

        point.answers["ReserveNow"] = {"status": "Faulted"}
        refused = ask(api, "ReserveNow", wish)
        reservations_local.settle(Operation.objects.get(pk=refused["id"]).pk)
        assert api.get("charge-points/CP-1/reservations?order=-created_at&limit=1").json[0]["state"] == "REFUSED"

        unknown = {"action": "CancelReservation", "payload": {"reservationId": 1}, "wait": "answered"}
        assert api.post("charge-points/CP-1/operations", unknown).code == (422, "UNKNOWN_ID")
        assert api.post("charge-points/CP-1/operations", {**unknown, "force": True}).json["state"] == "ANSWERED"


@pytest.mark.req("OCPP-115", "OCPP-117", "OCPP-24", "OCPP-79", "OCPP-81", "OCPP-84", "OCPP-22", "OCPP-23")
def test_what_becomes_of_an_operation_is_told_as_it_is(api: Caller, world: World) -> None:
    with station(world, "1.6", {**answers("1.6"), "ChangeAvailability": {"status": "Scheduled"}}) as point:
        dispatched = api.post("charge-points/CP-1/operations", {"action": "ClearCache"}, Idempotency_Key="k1")
        assert dispatched.status == 202
        assert dispatched.json["dispatched_at"]
        ended = api.get(f"operations/{dispatched.json['id']}?wait_for=ended&timeout=30").json
        assert (ended["state"], ended["answer"]) == ("ANSWERED", {"status": "Accepted"})
        again = api.post("charge-points/CP-1/operations", {"action": "Reset", "payload": {"type": "Hard"}},
                         Idempotency_Key="k1")  # fmt: skip
        assert (again.json["id"], again.headers["Idempotent-Replayed"]) == (ended["id"], "true")
        assert [action for action, _ in point.asked] == ["ClearCache"]

        pending = ask(api, "ChangeAvailability", {"connectorId": 1, "type": "Inoperative"})
        availability.settle(Operation.objects.get(pk=pending["id"]).pk)
        assert api.get(f"operations/{pending['id']}").json["effect"] == "PENDING"

        point.garbled = {"status": "Perhaps", "more": [1, 2.50]}
        invalid = ask(api, "ClearCache")
        assert (invalid["state"], invalid["answer"]) == ("INVALID_ANSWER", point.garbled)
        assert "status" in invalid["error"]
        point.garbled = None
        assert ask(api, "ClearChargingProfile")["state"] == "ANSWERED"  # the connection has stayed

        listed = api.get("charge-points/CP-1/operations?state=ANSWERED&action=ClearCache")
        assert (listed.json, listed.headers["X-Total-Count"]) == ([ended], "1")
        assert api.get("charge-points/CP-1/operations?state=QUEUED,SENT").json == []
        assert api.delete(f"operations/{ended['id']}").code == (409, "CONFLICT")

    world.clear()
    with station(world, "1.6", {}):
        refused = api.post("charge-points/CP-1/operations", {"action": "ClearCache", "wait": "answered"})
        assert refused.status == 200
        assert refused.json["state"] == "CALLERROR"
        assert refused.json["answer"]["errorCode"] == "NotImplemented"

    world.clear()
    with station(world, "1.6", answers("1.6"), columns={"boot_status": "Rejected"}) as point:
        unsent = api.post("charge-points/CP-1/operations", {"action": "ClearCache"})
        assert unsent.code == (409, "NOT_SENT")
        assert unsent.json["operation"]["state"] == "CANCELLED"
        assert point.asked == []


@pytest.mark.req("OCPP-115", "OCPP-80", "OCPP-22", "OCPP-123")
def test_a_charge_point_that_is_away_is_offline_or_waited_for(api: Caller, world: World) -> None:
    with station(world, "1.6", answers("1.6")):
        assert api.post("charge-points/CP-1/disconnect").json == {"disconnected": True}
        _eventually(lambda: not api.get("charge-points/CP-1").json["online"])
    assert api.post("charge-points/CP-1/disconnect").json == {"disconnected": False}

    offline = api.post("charge-points/CP-1/operations", {"action": "Reset", "payload": {"type": "Soft"}})
    assert offline.code == (409, "OFFLINE")
    assert not Operation.objects.filter(action="Reset").exists()
    wish = {"action": "ChangeConfiguration", "payload": {"key": "HeartbeatInterval", "value": "60"}}
    waiting = api.post("charge-points/CP-1/operations", {**wish, "wait": "answered"})
    assert (waiting.status, waiting.json["state"], waiting.json["deliver_later"]) == (202, "QUEUED", True)
    assert waiting.json["expires_at"]
    assert api.post("charge-points/CP-1/operations", {**wish, "deliver_later": False}).code == (409, "OFFLINE")
    for _ in range(49):
        assert api.post("charge-points/CP-1/operations", wish).status == 202
    assert api.post("charge-points/CP-1/operations", wish).code == (429, "QUEUE_FULL")
    assert api.delete(f"operations/{waiting.json['id']}").json["state"] == "CANCELLED"


@pytest.mark.req("OCPP-124", "OCPP-118", "OCPP-119")
def test_frames_and_transactions_are_seen_as_they_come(api: Caller, world: World) -> None:
    with station(world, "1.6", answers("1.6")) as point:
        ask(api, "ClearCache")
        _eventually(lambda: len(api.get("charge-points/CP-1/frames").json) == 2)
        point.call("Heartbeat", {})
        _eventually(lambda: len(api.get("charge-points/CP-1/frames").json) == 4)
        out = api.get("charge-points/CP-1/frames?direction=out&action=ClearCache").json
        assert [frame["text"].startswith('[2,"') for frame in out] == [True]
        assert api.get("charge-points/CP-1/frames?since=2099-01-01T00:00:00Z").json == []

        _transaction(number=816)
        opened = api.get("charge-points/CP-1/transactions?wait_for=open&timeout=5").json
        assert [each["ocpp_transaction_id"] for each in opened] == [816]
        closed = api.post("charge-points/CP-1/transactions/close-open").json["closed"]
        assert (closed[0]["synthetic"], closed[0]["stop_reason"], closed[0]["meter_stop"]) == (True, "Other", 1000)
        assert api.get("charge-points/CP-1/transactions?wait_for=open&timeout=0.1").json == []
        assert api.get(f"transactions/{closed[0]['ref']}").json["stopped_at"]
        assert api.get("charge-points/CP-1/transactions?state=closed&id_tag=tag1").headers["X-Total-Count"] == "1"
