"""What follows from operations: reports in parts, availability that is pending, reservations of a tenant's own."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cpo.gateway import operations, outgoing
from cpo.models import ChargePoint, ChargePointConnector, InboxMessage, Operation, Report, Reservation
from cpo.modules import availability, reports, reservations_local, reservations_operations, station_events
from cpo.operation_models import ReportState
from ocpi import clock
from tests.operation_api import Caller, add_charge_point
from tests.operation_api import api_fixture as api_fixture

pytestmark = pytest.mark.django_db
_numbers = itertools.count(1)


def says(point: ChargePoint, action: str, payload: dict[str, Any]) -> None:
    """Let a charge point's message be settled."""
    message = InboxMessage.objects.create(
        charge_point=point, epoch=1, received_at=datetime.now(UTC), protocol=point.protocol, action=action,
        message_id=f"r{next(_numbers)}", payload=json.dumps(payload), payload_hash="", state="DONE",
    )  # fmt: skip
    station_events.note(message)


def answered(point: ChargePoint, action: str, payload: dict[str, Any], status: str = "Accepted") -> Operation:
    now = datetime.now(UTC)
    return Operation.objects.create(
        charge_point=point, action=action, payload=json.dumps(payload), asked_by="test", state="ANSWERED",
        answer=json.dumps({"status": status}), sent_at=now - timedelta(seconds=1), ended_at=now,
    )  # fmt: skip


def part(seq_no: int, *, tbc: bool | None = None, request_id: int | None = 7) -> dict[str, Any]:
    found: dict[str, Any] = {"generatedAt": "2030-01-01T00:00:00Z", "seqNo": seq_no}
    if request_id is not None:
        found["requestId"] = request_id
    return found if tbc is None else {**found, "tbc": tbc}


# ---------------------------------------------------------------- reports


@pytest.mark.req("OCPP-83")
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("action", ["NotifyReport", "NotifyMonitoringReport", "NotifyCustomerInformation"])
def test_parts_are_joined_in_whatever_order_they_come(action: str, order: tuple[int, ...]) -> None:
    point = add_charge_point(protocol="2.0.1")

    states = []
    for seq_no in order:
        says(point, action, part(seq_no, tbc=seq_no < 2))
        states.append(Report.objects.get().state)

    assert states == ["PARTIAL", "PARTIAL", "COMPLETE"]
    assert [each["seqNo"] for each in reports.joined(Report.objects.get())] == [0, 1, 2]


@pytest.mark.req("OCPP-83")
def test_a_report_is_expected_once_it_is_promised_and_overdue_when_it_stays_away() -> None:
    point = add_charge_point(protocol="2.0.1")
    asked = answered(point, "GetBaseReport", {"requestId": 7, "reportBase": "FullInventory"})

    reports.settle(asked.pk)
    assert Report.objects.get().state == ReportState.WAITING
    assert reports.sweep() == 0
    Report.objects.update(due_at=clock.now() - timedelta(seconds=1))
    assert reports.sweep() == 1
    assert Report.objects.get().state == ReportState.OVERDUE
    says(point, "NotifyReport", part(0))

    report = Report.objects.get()
    assert (report.state, report.operation_id) == (ReportState.COMPLETE, asked.pk)
    assert reports.sweep() == 0


@pytest.mark.req("OCPP-83")
def test_a_first_part_may_be_quicker_than_the_answer_and_finds_its_operation() -> None:
    point = add_charge_point(protocol="2.0.1")
    asked = answered(point, "GetReport", {"requestId": 7})

    says(point, "NotifyReport", part(0, tbc=True))
    reports.settle(asked.pk)

    report = Report.objects.get()
    assert (report.state, report.operation_id) == (ReportState.PARTIAL, asked.pk)


@pytest.mark.req("OCPP-83")
@pytest.mark.parametrize(
    ("action", "payload", "status"),
    [
        ("GetBaseReport", {"requestId": 7}, "NotSupported"),
        ("GetReport", {"requestId": 7}, "EmptyResultSet"),
        ("GetChargingProfiles", {"requestId": 7}, "NoProfiles"),
        ("CustomerInformation", {"requestId": 7, "report": False, "clear": True}, "Accepted"),
        ("Reset", {"type": "Immediate"}, "Accepted"),
    ],
)
def test_nothing_is_expected_where_nothing_is_promised(action: str, payload: Any, status: str) -> None:
    reports.settle(answered(add_charge_point(protocol="2.0.1"), action, payload, status).pk)

    assert not Report.objects.exists()


@pytest.mark.req("OCPP-83")
def test_events_nobody_asked_for_are_joined_by_their_order() -> None:
    point = add_charge_point(protocol="2.0.1")

    for seq_no, tbc in ((0, True), (1, False), (0, False)):
        says(point, "NotifyEvent", part(seq_no, tbc=tbc, request_id=None))

    found = Report.objects.order_by("pk")
    assert [(report.state, report.parts.count()) for report in found] == [("COMPLETE", 2), ("COMPLETE", 1)]


@pytest.mark.req("OCPP-83")
def test_profiles_without_seq_no_keep_the_order_they_came_in() -> None:
    point = add_charge_point(protocol="2.0.1")

    for tbc in (True, True, False):
        says(point, "ReportChargingProfiles", {"requestId": 9, "evseId": 1, "chargingLimitSource": "CSO", "tbc": tbc})

    report = Report.objects.get()
    assert (report.state, report.parts.count()) == (ReportState.COMPLETE, 3)


@pytest.mark.req("OCPP-83")
@pytest.mark.parametrize("number", [-1, 10**12, "x", None])
def test_a_part_whose_number_cannot_be_one_has_the_place_in_which_it_came(number: object) -> None:
    point = add_charge_point(protocol="2.0.1")

    says(point, "NotifyReport", part(0, tbc=True))
    says(point, "NotifyReport", {**part(1), "seqNo": number})

    assert [each.number for each in Report.objects.get().parts.order_by("number")] == [0, 1]


@pytest.mark.req("OCPP-83")
def test_the_api_shows_reports_with_their_parts(api: Caller) -> None:
    point = add_charge_point(protocol="2.0.1")
    for seq_no in (0, 1):
        says(point, "NotifyReport", part(seq_no, tbc=seq_no == 0))

    listed = api.get("charge-points/CP-1/reports?state=COMPLETE&request_id=7").json
    whole = api.get(f"reports/{listed[0]['ref']}").json

    assert [each["number"] for each in listed[0]["parts"]] == [0, 1]
    assert [each["seqNo"] for each in whole["payloads"]] == [0, 1]
    assert api.get("reports/rep-999999").status == 404


def test_old_reports_are_forgotten() -> None:
    point = add_charge_point(protocol="2.0.1")
    says(point, "NotifyReport", part(0))
    assert reports.forget_old() == 0

    Report.objects.update(created_at=clock.now() - reports.KEPT - timedelta(days=1))

    assert reports.forget_old() == 2
    assert not Report.objects.exists()


@pytest.mark.req("OCPP-83", "OCPP-85")
def test_request_ids_are_ours_and_never_the_same() -> None:
    numbers = [operations.next_request_id() for _ in range(3)]

    assert len(set(numbers)) == 3
    assert all(0 < number < 2**31 for number in numbers)
    assert outgoing.request_id_field("2.0.1", "GetBaseReport") == "requestId"
    assert outgoing.request_id_field("2.0.1", "RequestStartTransaction") == "remoteStartId"
    assert outgoing.request_id_field("1.6", "UpdateFirmware") is None


# ---------------------------------------------------------------- availability


def scheduled(point: ChargePoint, payload: dict[str, Any]) -> Operation:
    operation = answered(point, "ChangeAvailability", payload, "Scheduled")
    availability.settle(operation.pk)
    operation.refresh_from_db()
    assert operation.effect == "PENDING"
    return operation


def _effect(operation: Operation) -> str:
    operation.refresh_from_db()
    return operation.effect


_INOPERATIVE_16 = {"connectorId": 1, "type": "Inoperative"}
_STATUS_16 = {"connectorId": 1, "errorCode": "NoError", "status": "Unavailable"}
_STATUS_201 = {"timestamp": "2030-01-01T00:00:00Z", "connectorStatus": "Unavailable", "evseId": 1, "connectorId": 2}


@pytest.mark.req("OCPP-84")
@pytest.mark.parametrize(
    ("protocol", "asked", "status", "effect"),
    [
        ("1.6", _INOPERATIVE_16, _STATUS_16, "DONE"),
        ("1.6", _INOPERATIVE_16, {**_STATUS_16, "status": "Finishing"}, "PENDING"),
        ("1.6", _INOPERATIVE_16, {**_STATUS_16, "connectorId": 2}, "PENDING"),
        ("1.6", {"connectorId": 1, "type": "Operative"}, {**_STATUS_16, "status": "Available"}, "DONE"),
        ("1.6", {"connectorId": 1, "type": "Operative"}, _STATUS_16, "PENDING"),
        ("1.6", {"connectorId": 0, "type": "Inoperative"}, {**_STATUS_16, "connectorId": 0}, "DONE"),
        ("2.0.1", {"operationalStatus": "Inoperative", "evse": {"id": 1}}, _STATUS_201, "DONE"),
        ("2.0.1", {"operationalStatus": "Inoperative", "evse": {"id": 1, "connectorId": 2}}, _STATUS_201, "DONE"),
        ("2.0.1", {"operationalStatus": "Inoperative", "evse": {"id": 1, "connectorId": 1}}, _STATUS_201, "PENDING"),
        ("2.0.1", {"operationalStatus": "Inoperative", "evse": {"id": 2}}, _STATUS_201, "PENDING"),
        ("2.0.1", {"operationalStatus": "Operative", "evse": {"id": 1}}, _STATUS_201, "PENDING"),
    ],
)
def test_scheduled_is_pending_until_the_status_arrives(protocol: str, asked: Any, status: Any, effect: str) -> None:
    point = add_charge_point(protocol=protocol)
    operation = scheduled(point, asked)

    says(point, "StatusNotification", status)

    assert _effect(operation) == effect


@pytest.mark.req("OCPP-84", "OCPP-117")
@pytest.mark.parametrize(("status", "effect"), [("Scheduled", "PENDING"), ("Accepted", None), ("Rejected", None)])
def test_it_is_pending_for_the_caller_before_anybody_has_looked_at_the_answer(
    api: Caller, status: str, effect: str | None
) -> None:
    """Who waits for the answer has it in the same moment as the worker that looks at it."""
    point = add_charge_point()
    asked = answered(point, "ChangeAvailability", _INOPERATIVE_16, status)
    other = answered(point, "Reset", {"type": "Soft"}, status)

    assert api.get(f"operations/{asked.pk}").json["effect"] == effect
    assert api.get(f"operations/{other.pk}").json["effect"] is None


@pytest.mark.req("OCPP-84")
def test_a_whole_charge_point_is_done_when_all_its_connectors_are() -> None:
    point = add_charge_point()
    for number in (1, 2):
        ChargePointConnector.objects.create(charge_point=point, connector_id=number, status="Charging")
    operation = scheduled(point, {"connectorId": 0, "type": "Inoperative"})

    ChargePointConnector.objects.filter(connector_id=1).update(status="Unavailable")
    says(point, "StatusNotification", _STATUS_16)
    assert _effect(operation) == "PENDING"
    ChargePointConnector.objects.filter(connector_id=2).update(status="Unavailable")
    says(point, "StatusNotification", {**_STATUS_16, "connectorId": 2})
    assert _effect(operation) == "DONE"


@pytest.mark.req("OCPP-84")
def test_a_status_that_was_quicker_than_our_look_at_the_answer_counts() -> None:
    point = add_charge_point()
    operation = answered(point, "ChangeAvailability", _INOPERATIVE_16, "Scheduled")

    says(point, "StatusNotification", _STATUS_16)
    availability.settle(operation.pk)

    assert _effect(operation) == "DONE"


@pytest.mark.req("OCPP-84")
def test_a_later_change_takes_its_place_and_accepted_is_never_pending() -> None:
    point = add_charge_point()
    first = scheduled(point, _INOPERATIVE_16)

    later = answered(point, "ChangeAvailability", {"connectorId": 1, "type": "Operative"})
    availability.settle(later.pk)

    assert (_effect(first), _effect(later)) == ("REPLACED", "")


# ---------------------------------------------------------------- reservations


@pytest.mark.req("OCPP-88", "OCPP-120")
@pytest.mark.parametrize(
    ("state", "status", "expected"),
    [("ANSWERED", "Accepted", "ACCEPTED"), ("ANSWERED", "Occupied", "REFUSED"), ("TIMEOUT", "", "REFUSED"),
     ("CALLERROR", "", "REFUSED")],
)  # fmt: skip
def test_what_the_charge_point_says_of_a_reservation_is_entered(state: str, status: str, expected: str) -> None:
    point = add_charge_point()
    row = reservations_local.make(
        point, connector=1, id_tag="TAG1", expires_at=clock.now() + timedelta(hours=1)
    )  # fmt: skip
    operation = answered(point, "ReserveNow", {"reservationId": row.number, "idTag": "TAG1"}, status)
    Operation.objects.filter(pk=operation.pk).update(state=state, refs={"reservation": f"res-{row.pk}"})

    reservations_local.settle(operation.pk)

    row.refresh_from_db()
    assert row.state == expected
    # What it may hold although it has not said so, it is told to forget.
    forgotten = Operation.objects.filter(action="CancelReservation", state="QUEUED").exists()
    assert forgotten == (state == "TIMEOUT")


@pytest.mark.req("OCPP-88")
def test_a_reservation_of_our_own_expires_by_the_clock() -> None:
    point = add_charge_point()
    row = reservations_local.make(point, connector=1, id_tag="TAG1", expires_at=clock.now() - timedelta(minutes=5))
    Reservation.objects.filter(pk=row.pk).update(state="ACCEPTED", started_at=clock.now() - timedelta(hours=1))

    assert reservations_operations.expire_due() == 1

    row.refresh_from_db()
    assert (row.state, row.session) == ("EXPIRED", None)
