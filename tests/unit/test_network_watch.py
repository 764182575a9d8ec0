"""What an operator of charge points is told, what is closed by hand, and what is kept how long."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cpo import alarms as side_alarms
from cpo import station_alarms
from cpo.models import (
    EVSE,
    ChargePoint,
    ChargePointConnection,
    ChargePointConnector,
    Closing,
    ConnectorHistory,
    FrameLog,
    InboxMessage,
    LocalList,
    MeterReading,
    Operation,
    StationAlarm,
    TenantPolicy,
    Transaction,
    UnmatchedStop,
)
from cpo.modules import closings, connector_history, retention, returning, service, watching
from cpo.modules import locations_operations as locations
from cpo.station_alarms import Kind, Open
from ocpi import alarms, clock, documents
from tests.cpo_support import BASE, EVSE_UID, Point, add_location, add_point
from tests.fixtures import Document

pytestmark = pytest.mark.usefixtures("cpo_side")
NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=200)


@pytest.fixture
def station(db: None, document: Document) -> Point:
    station = add_point(add_location(document("location")))
    station.status("Available")
    return station


def transaction(station: Point, number: int, **columns: Any) -> Transaction:
    return Transaction.objects.create(
        **{"charge_point": station.row, "connector_id": 1, "transaction_id": number, "id_tag": "T", "authorised": True,
           "started_at": NOW - timedelta(days=2), "meter_start": 0, **columns}
    )  # fmt: skip


def parked(station: Point) -> InboxMessage:
    return InboxMessage.objects.create(
        charge_point=station.row, epoch=1, received_at=NOW, protocol="1.6", action="MeterValues", message_id="m",
        payload="{}", payload_hash="", state="FAILED",
    )  # fmt: skip


def _offline(station: Point) -> Callable[[], object]:
    ChargePoint.objects.update(online=False, last_seen_at=NOW - timedelta(minutes=20))
    return lambda: ChargePoint.objects.update(online=True)


def _faulted(station: Point) -> Callable[[], object]:
    ChargePointConnector.objects.update(
        status="Faulted", error_code="GroundFailure", status_at=NOW - timedelta(hours=1)
    )
    return lambda: ChargePointConnector.objects.update(status="Available")


def _reconnects(station: Point) -> Callable[[], object]:
    for number in range(2, 13):
        ChargePointConnection.objects.create(
            charge_point=station.row, epoch=number, node="n", address="a", protocol="1.6", since=NOW
        )
    return lambda: ChargePointConnection.objects.filter(epoch=2).update(since=NOW - timedelta(hours=2))


def _clock(station: Point) -> Callable[[], object]:
    ChargePoint.objects.update(clock_offset=-61)
    return lambda: ChargePoint.objects.update(clock_offset=-60)


def _stale(station: Point) -> Callable[[], object]:
    row = transaction(station, 4711, last_at=NOW - timedelta(hours=25))
    return lambda: Transaction.objects.filter(pk=row.pk).update(last_at=NOW)


def _parked(station: Point) -> Callable[[], object]:
    row = parked(station)
    return lambda: InboxMessage.objects.filter(pk=row.pk).update(state="DONE")


def _unmatched(station: Point) -> Callable[[], object]:
    message = parked(station)
    InboxMessage.objects.filter(pk=message.pk).update(state="DONE")
    row = UnmatchedStop.objects.create(charge_point=station.row, message=message)
    return row.delete


def _local_list(station: Point) -> Callable[[], object]:
    LocalList.objects.create(charge_point=station.row, state="FAILED", error="ANSWERED Failed")
    return lambda: LocalList.objects.update(state="NEW")


def _emergency(station: Point) -> Callable[[], object]:
    row = transaction(station, 4712, stopped_at=NOW, reason="GroundFault", heard_at=NOW)
    return lambda: Transaction.objects.filter(pk=row.pk).update(heard_at=NOW - timedelta(hours=25))


CONDITIONS = {
    "station_offline": (_offline, "CP-1"),
    "station_faulted": (_faulted, "CP-1 (connector 1)"),
    "station_reconnects": (_reconnects, "CP-1"),
    "station_clock": (_clock, "CP-1"),
    "transaction_stale": (_stale, "CP-1 (4711)"),
    "message_parked": (_parked, "CP-1"),
    "stop_unmatched": (_unmatched, "CP-1"),
    "local_list_failed": (_local_list, "CP-1"),
    "emergency_stop": (_emergency, "CP-1 (4712)"),
}


@pytest.mark.req("OCPP-108")
@pytest.mark.parametrize("name", CONDITIONS)
def test_each_alarm_is_raised_once_and_cleared_when_it_is_over(station: Point, name: str) -> None:
    begin, named = CONDITIONS[name]
    assert watching.look() == 0
    end = begin(station)

    assert watching.look() == 1
    assert watching.look() == 0, "what is open is not raised again"

    [alarm] = side_alarms.current()
    assert alarm.name == name
    assert named in alarm.text
    assert alarm.name in [each.name for each in alarms.current()]
    end()
    assert watching.look() == 1
    assert side_alarms.current() == []
    [row] = StationAlarm.objects.all()
    assert row.cleared_at is not None


def test_every_alarm_has_its_condition_here_and_its_name_in_the_metrics() -> None:
    assert set(CONDITIONS) == set(station_alarms.NAMES)
    assert set(station_alarms.NAMES) <= set(side_alarms.NAMES) == set(alarms.names()) - set(alarms.NAMES)
    assert len(Kind) == len(station_alarms.NAMES)


@pytest.mark.req("OCPP-108")
def test_limits_are_each_tenants_own(station: Point) -> None:
    TenantPolicy.objects.create(country_code="NL", party_id="TNM", clock_seconds=10, offline_minutes=60)
    ChargePoint.objects.update(clock_offset=30)
    other = ChargePoint.objects.create(
        identity="OTHER", country_code="DE", party_id="ABC", online=True, clock_offset=30, connected_at=NOW
    )

    watching.look()

    assert [(row.charge_point_id, row.kind, row.text) for row in StationAlarm.objects.all()] == [
        (station.row.pk, "clock", "30 s ahead")
    ]
    ChargePoint.objects.update(online=False, last_seen_at=NOW - timedelta(minutes=20), clock_offset=None)
    watching.look()
    found = StationAlarm.objects.filter(cleared_at=None)
    assert [(row.charge_point_id, row.kind) for row in found] == [(other.pk, "offline")]


@pytest.mark.req("OCPP-108")
def test_who_was_never_connected_or_is_out_of_service_is_not_missed(station: Point) -> None:
    ChargePoint.objects.create(identity="NEW", country_code="NL", party_id="TNM", online=False)
    ChargePoint.objects.filter(pk=station.row.pk).update(
        online=False, last_seen_at=LONG_AGO, decommissioned_at=LONG_AGO
    )

    assert watching.look() == 0


def test_an_alarm_about_many_names_some() -> None:
    [alarm] = station_alarms.alarms({Kind.CLOCK: Open(1200, [f"CP-{number}" for number in range(20)])})

    assert alarm.text == "The clocks of 1,200 charge points are wrong: CP-0, CP-1, CP-2, CP-3, CP-4 and 1,195 more."
    assert alarm.query == "?kind=clock&over=no"


# ------------------------------------------------------------ closed by hand


def evse() -> EVSE:
    return EVSE.objects.get(uid=EVSE_UID)


def schedule() -> list[dict[str, str]]:
    return documents.get(evse().document, "status_schedule") or []


@pytest.mark.req("OCPP-63")
def test_a_block_goes_before_what_the_charge_point_says_until_it_is_lifted(station: Point) -> None:
    closings.close([evse().pk], since=NOW, until=None, reason="broken glass", made_by="ann")
    assert evse().status == "INOPERATIVE"

    station.status("Preparing")
    assert evse().status == "INOPERATIVE"
    locations.refresh_due()
    assert evse().status == "INOPERATIVE"

    assert closings.lift([evse().pk]) == 1
    assert evse().status == "AVAILABLE"
    assert Closing.objects.get().state == "LIFTED"
    assert schedule() == []


@pytest.mark.req("OCPP-63")
def test_a_block_lets_the_car_that_charges_finish(station: Point) -> None:
    row = transaction(station, 12, started_at=NOW)
    closings.close([evse().pk], since=NOW, until=None, reason="", made_by="ann")
    assert evse().status == "CHARGING"

    Transaction.objects.filter(pk=row.pk).update(stopped_at=NOW)
    locations.refresh(station.row.pk)

    assert evse().status == "INOPERATIVE"


@pytest.mark.req("OCPP-63")
def test_a_planned_closing_is_told_beforehand_and_begins_and_ends_by_itself(
    station: Point, monkeypatch: pytest.MonkeyPatch
) -> None:
    since, until = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    closings.close([evse().pk], since=since, until=until, reason="new meter", made_by="ann")
    assert evse().status == "AVAILABLE"
    [period] = schedule()
    assert period["status"] == "INOPERATIVE"
    assert period["period_begin"] < period["period_end"]
    assert closings.begin_and_end_due() == 0

    monkeypatch.setattr(clock, "now", lambda: since + timedelta(seconds=1))
    assert closings.begin_and_end_due() == 1
    assert evse().status == "INOPERATIVE"
    assert len(schedule()) == 1

    monkeypatch.setattr(clock, "now", lambda: until)
    assert closings.begin_and_end_due() == 1
    assert evse().status == "AVAILABLE"
    assert schedule() == []
    assert Closing.objects.get().state == "OVER"


def test_a_closing_that_makes_no_sense_is_refused(station: Point) -> None:
    with pytest.raises(closings.NotClosed, match="end must be after"):
        closings.close([evse().pk], since=NOW, until=NOW - timedelta(hours=1), reason="", made_by="ann")
    EVSE.objects.update(charge_point=None)
    with pytest.raises(closings.NotClosed, match="no charge point"):
        closings.close([evse().pk], since=NOW, until=None, reason="", made_by="ann")
    assert Closing.objects.count() == 0


@pytest.mark.req("OCPP-63")
def test_who_is_decommissioned_is_removed_for_good(station: Point) -> None:
    Operation.objects.create(charge_point=station.row, action="Reset", payload="{}", asked_by="ann")
    running = transaction(station, 13)
    with pytest.raises(service.StillCharging):
        service.decommission(station.row.pk)
    Transaction.objects.filter(pk=running.pk).update(stopped_at=NOW)

    assert service.decommission(station.row.pk) == 1

    station.status("Available")
    assert evse().status == "REMOVED"
    assert Operation.objects.get().state == "CANCELLED"
    assert ChargePoint.objects.get().boot_status == "Rejected"


@pytest.mark.req("OCPP-63")
def test_a_planned_evse_says_nothing_until_it_is_put_into_operation(station: Point) -> None:
    EVSE.objects.filter(uid=EVSE_UID).update(status="PLANNED")
    station.status("Charging")
    assert evse().status == "PLANNED"

    assert service.put_into_operation(station.row.pk) == 1

    assert evse().status == "CHARGING"


# ------------------------------------------------------------ kept, and for how long


@pytest.mark.req("OCPP-58")
def test_late_news_of_a_connector_is_history_only(station: Point) -> None:
    station.status("Faulted", at=NOW - timedelta(hours=1), errorCode="GroundFailure", vendorErrorCode="E7")

    assert ChargePointConnector.objects.get().status == "Available"
    newest_first = ConnectorHistory.objects.order_by("-at").values_list("status", "error_code", "vendor")
    assert list(newest_first) == [
        ("Available", "NoError", None),
        ("Faulted", "GroundFailure", {"vendorErrorCode": "E7"}),
    ]


@pytest.mark.req("OCPP-58", "OCPP-62")
def test_states_of_2_0_1_are_history_too(station: Point) -> None:
    events = [
        {"variable": {"name": "AvailabilityState"}, "actualValue": "Occupied", "timestamp": "2026-03-02T09:00:00Z",
         "component": {"name": "Connector", "evse": {"id": 1, "connectorId": 2}}},
        {"variable": {"name": "Problem"}, "component": {"name": "Connector"}, "actualValue": "true"},
    ]  # fmt: skip
    station.says("NotifyEvent", {"eventData": events, "seqNo": 0, "generatedAt": "2026-03-02T09:00:00Z"})
    station.says("StatusNotification", {"evseId": 1, "connectorId": 1, "connectorStatus": "Faulted"}, apply=False)
    message = InboxMessage.objects.order_by("-id")[0]
    connector_history.note(message, json.loads(message.payload))

    rows = ConnectorHistory.objects.exclude(evse=None).order_by("id").values_list("evse", "connector", "status")
    assert list(rows) == [(1, 2, "Occupied"), (1, 1, "Faulted")]


def frame(charge_point_id: int, days: int) -> None:
    FrameLog.objects.create(
        at=NOW - timedelta(days=days), charge_point_id=charge_point_id, node="n", epoch=1, outgoing=False,
        action="Heartbeat", message_id="m", text="[]",
    )  # fmt: skip


@pytest.mark.req("OCPP-29")
def test_frames_are_kept_as_long_as_their_tenant_wishes(station: Point) -> None:
    TenantPolicy.objects.create(country_code="NL", party_id="TNM", frame_days=3)
    patient = ChargePoint.objects.create(identity="OTHER", country_code="DE", party_id="ABC")
    TenantPolicy.objects.create(country_code="DE", party_id="ABC", frame_days=30)
    removed = 10_000_000
    for days in (2, 4, 13, 15, 29, 31):
        for each in (station.row.pk, patient.pk, removed):
            frame(each, days)

    assert retention.forget() == 5 + 1 + 3

    left = {pk: FrameLog.objects.filter(charge_point_id=pk).count() for pk in (station.row.pk, patient.pk, removed)}
    assert left == {station.row.pk: 1, patient.pk: 5, removed: 3}


def test_history_goes_after_its_time_and_alarms_that_are_open_stay(station: Point) -> None:
    ChargePointConnection.objects.create(
        charge_point=station.row, epoch=1, node="n", address="a", protocol="1.6", since=LONG_AGO
    )
    ConnectorHistory.objects.create(charge_point=station.row, status="Faulted", at=LONG_AGO, received_at=LONG_AGO)
    for kind, cleared_at in (("offline", LONG_AGO), ("clock", None)):
        StationAlarm.objects.create(
            charge_point=station.row, kind=kind, text="x", raised_at=LONG_AGO, cleared_at=cleared_at
        )

    assert retention.forget() == 3

    assert [row.kind for row in StationAlarm.objects.all()] == ["clock"]
    assert ConnectorHistory.objects.count() == 1


def readings(row: Transaction, minutes: range, **columns: Any) -> None:
    MeterReading.objects.bulk_create(
        MeterReading(
            transaction=row, at=row.started_at + timedelta(minutes=minute), register_wh=Decimal(minute), **columns
        )
        for minute in minutes
    )  # fmt: skip


@pytest.mark.req("OCPP-71")
def test_old_meter_values_are_thinned_to_begin_end_and_one_in_a_quarter_of_an_hour(station: Point) -> None:
    old = transaction(station, 1, started_at=BASE - timedelta(days=400), stopped_at=BASE - timedelta(days=399))
    young = transaction(station, 2, started_at=NOW - timedelta(days=89), stopped_at=NOW - timedelta(days=89))
    held = transaction(station, 3, started_at=LONG_AGO, stopped_at=LONG_AGO, held=True)
    for row in (old, young, held):
        readings(row, range(1, 60))
    MeterReading.objects.filter(transaction=old, register_wh=33).update(signed="OCMF|{}")

    assert retention.thin() == 1
    assert retention.thin() == 0, "each is thinned once"

    left = MeterReading.objects.filter(transaction=old).order_by("at").values_list("register_wh", flat=True)
    assert [int(each or 0) for each in left] == [1, 15, 30, 33, 45, 59]
    assert MeterReading.objects.filter(transaction=young).count() == 59
    assert MeterReading.objects.filter(transaction=held).count() == 59


@pytest.mark.req("OCPP-107")
def test_the_end_of_a_connection_nobody_saw_is_made_up(station: Point) -> None:
    seen = NOW - timedelta(minutes=5)
    ChargePoint.objects.update(online=False, last_seen_at=seen, epoch=2, connected_at=NOW - timedelta(hours=1))
    for epoch in (1, 2):
        ChargePointConnection.objects.create(
            charge_point=station.row, epoch=epoch, node="n", address="a", protocol="1.6", since=NOW - timedelta(hours=1)
        )

    assert retention.close_lost() == 2

    assert {row.until for row in ChargePointConnection.objects.all()} == {seen}


def came_back(station: Point, *, away: timedelta, ago: timedelta = timedelta(seconds=30)) -> None:
    connected_at = datetime.now(UTC) - ago
    ChargePoint.objects.update(epoch=2, online=True, connected_at=connected_at, booted_at=LONG_AGO)
    ConnectorHistory.objects.all().delete()
    for epoch, since, until in ((1, LONG_AGO, connected_at - away), (2, connected_at, None)):
        ChargePointConnection.objects.create(
            charge_point=station.row, epoch=epoch, node="n", address="a", protocol="1.6", since=since, until=until
        )


@pytest.mark.req("OCPP-60")
def test_who_comes_back_without_a_boot_is_asked_once_for_its_states(station: Point) -> None:
    came_back(station, away=timedelta(minutes=6))

    assert returning.ask_states() == 1
    assert returning.ask_states() == 0

    [operation] = Operation.objects.all()
    assert json.loads(operation.payload) == {"requestedMessage": "StatusNotification"}


@pytest.mark.req("OCPP-60")
@pytest.mark.parametrize("reason", ["only a moment", "just now", "booted", "told by itself", "cannot"])
def test_who_need_not_be_asked_for_its_states_is_not(station: Point, reason: str) -> None:
    ago = timedelta(seconds=2 if reason == "just now" else 30)
    came_back(station, away=timedelta(minutes=4 if reason == "only a moment" else 6), ago=ago)
    if reason == "booted":
        ChargePoint.objects.update(booted_at=datetime.now(UTC))
    elif reason == "told by itself":
        station.status("Charging")
    elif reason == "cannot":
        Operation.objects.create(charge_point=station.row, action="TriggerMessage", payload="{}", asked_by="x",
                                 state="CALLERROR", error="NotImplemented: no")  # fmt: skip
        Operation.objects.update(created_at=NOW - timedelta(days=1))

    assert returning.ask_states() == 0
