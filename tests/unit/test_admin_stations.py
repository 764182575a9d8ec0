"""The admin's pages of charge points: states, reasons, buttons, and many at once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from cpo import evse_reasons
from cpo.evse_reasons import Known
from cpo.models import (
    EVSE,
    ChargePoint,
    ChargePointConnection,
    Closing,
    FrameLog,
    InboxMessage,
    LocalList,
    Operation,
    StationAlarm,
    Transaction,
    UnmatchedStop,
)
from cpo.modules import network_page, station_page
from ocpi.models import AuditEntry
from tests.admin_world import operator_fixture as operator_fixture
from tests.admin_world import viewer_fixture as viewer_fixture
from tests.cpo_support import BASE, EVSE_UID, Point, add_location, add_point
from tests.fixtures import Document

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]
NOW = datetime.now(UTC)
LIST = "admin:cpo_chargepoint_changelist"


@pytest.fixture
def station(db: None, document: Document) -> Point:
    station = add_point(add_location(document("location")))
    station.status("Available")
    return station


def page(client: Client, name: str, *arguments: object, **query: str) -> str:
    answer = client.get(reverse(f"admin:{name}", args=arguments), query)
    assert answer.status_code == 200
    return str(answer.content.decode())


def press(client: Client, name: str, row_id: object, **fields: object) -> Any:
    """Press a button of a row's page and answer yes."""
    return client.post(reverse(f"admin:{name}", args=[row_id]), {"confirmed": "yes", **fields}, follow=True)


def many(client: Client, action: str, *rows: ChargePoint) -> Any:
    fields = {"action": action, "_selected_action": [row.pk for row in rows], "confirmed": "yes"}
    return client.post(reverse(LIST), fields, follow=True)


REASONS: list[tuple[str, Known]] = [
    ("decommissioned", Known("REMOVED")),
    ("not yet in operation", Known("PLANNED")),
    ("as loaded with its Location: no charge point is behind it", Known("AVAILABLE", False)),
    ("closed by us: broken", Known("INOPERATIVE", closing="broken", last_seen_at=NOW - timedelta(days=1))),
    ("closed by us, transaction 7 goes on", Known("CHARGING", closing="", online=True, transaction="transaction 7")),
    ("offline for 20 min", Known("UNKNOWN", last_seen_at=NOW - timedelta(minutes=20), connector="Available")),
    ("its charge point has never said anything about it", Known("UNKNOWN", online=True)),
    ("another connector of the same hardware is in use",
     Known("INOPERATIVE", online=True, connector="Available", sibling=True)),
    ("transaction 7, its connector says Faulted",
     Known("CHARGING", online=True, connector="Faulted", transaction="transaction 7")),
    ("the charge point as a whole is Unavailable",
     Known("INOPERATIVE", online=True, connector="Available", whole="Unavailable")),
    ("its connector says Faulted (GroundFailure) for 3 h",
     Known("OUTOFORDER", online=True, connector="Faulted", error_code="GroundFailure",
           connector_since=NOW - timedelta(hours=3))),
]  # fmt: skip


@pytest.mark.req("OCPP-107")
@pytest.mark.parametrize(("text", "known"), REASONS, ids=[text for text, _ in REASONS])
def test_the_reason_of_a_status_is_the_first_condition_of_the_table(text: str, known: Known) -> None:
    assert evse_reasons.why(known, NOW) == text


@pytest.mark.req("OCPP-107")
def test_the_page_of_a_charge_point_shows_all_about_it(operator: Client, station: Point) -> None:
    StationAlarm.objects.create(charge_point=station.row, kind="clock", text="90 s behind")
    ChargePointConnection.objects.create(
        charge_point=station.row, epoch=1, node="node-7", address="10.0.0.9", protocol="1.6", since=NOW,
        until=NOW, close_code=1001, reason="going to sleep",
    )  # fmt: skip
    FrameLog.objects.create(at=NOW, charge_point=station.row, node="n", epoch=1, outgoing=False, action="Heartbeat",
                            message_id="m", text='[2,"m","Heartbeat",{}]')  # fmt: skip
    Operation.objects.create(charge_point=station.row, action="ClearCache", payload="{}", asked_by="ann")
    LocalList.objects.create(charge_point=station.row, state="FAILED", error="it said Failed")
    ChargePoint.objects.update(clock_offset=-90)
    Transaction.objects.create(charge_point=station.row, connector_id=2, transaction_id=4711, id_tag="TAG",
                               authorised=True, started_at=NOW, meter_start=0)  # fmt: skip

    shown = page(operator, "cpo_chargepoint_change", station.row.pk)

    for text in ("90 s behind", "node-7", "going to sleep", "1001", "Heartbeat", "ClearCache", "it said Failed",
                 "-90 s", "4711", EVSE_UID, "its connector says Available"):  # fmt: skip
        assert text in shown, text


@pytest.mark.req("OCPP-107")
def test_the_picture_of_connections_is_as_long_as_they_were(station: Point) -> None:
    now = datetime.now(UTC)
    ChargePointConnection.objects.create(
        charge_point=station.row, epoch=1, node="n", address="a", protocol="1.6", since=now - timedelta(days=3),
        until=now - timedelta(hours=18),
    )  # fmt: skip

    [stretch] = station_page.picture(station.row)

    assert stretch.x == 0
    assert stretch.width == pytest.approx(station_page.WIDTH / 4, abs=2)


@pytest.mark.req("OCPP-107")
@pytest.mark.parametrize(
    ("condition", "found"), [("offline", {"AWAY"}), ("faulted", {"BAD"}), ("pending", {"WAIT"}), ("alarm", {"AWAY"})]
)
def test_charge_points_are_found_by_condition(
    operator: Client, station: Point, condition: str, found: set[str]
) -> None:
    common = {"country_code": "NL", "party_id": "TNM", "last_seen_at": NOW}
    away = ChargePoint.objects.create(identity="AWAY", **common)
    bad = ChargePoint.objects.create(identity="BAD", online=True, **common)
    ChargePoint.objects.create(identity="WAIT", online=True, boot_status="Pending", **common)
    bad.connectors.create(connector_id=1, status="Faulted")
    StationAlarm.objects.create(charge_point=away, kind="offline", text="x")

    shown = page(operator, "cpo_chargepoint_changelist", condition=condition)

    assert {name for name in ("AWAY", "BAD", "WAIT", "CP-1") if f">{name}</a>" in shown} == found


@pytest.mark.req("OCPP-107")
def test_many_are_asked_at_once_and_it_is_told_who_could_not_be(operator: Client, station: Point) -> None:
    away = ChargePoint.objects.create(identity="AWAY", country_code="NL", party_id="TNM")
    newer = ChargePoint.objects.create(identity="NEW", country_code="NL", party_id="TNM", online=True, protocol="2.0.1")

    answer = many(operator, "reset_hard", station.row, away, newer)

    assert "2 charge points are being asked. 1 not: it is offline." in answer.content.decode()
    asked = {
        row.charge_point.identity: json.loads(row.payload) for row in Operation.objects.select_related("charge_point")
    }
    assert asked == {"CP-1": {"type": "Hard"}, "NEW": {"type": "Immediate"}}
    Operation.objects.all().delete()
    many(operator, "make_inoperative", station.row, away)
    assert {row.action for row in Operation.objects.all()} == {"ChangeAvailability"}
    assert Operation.objects.filter(deliver_later=True).count() == 2
    assert AuditEntry.objects.filter(action__startswith="chargepoint.").count() == 2


@pytest.mark.req("OCPP-63")
def test_an_operator_closes_and_opens_evses_with_a_reason(operator: Client, station: Point) -> None:
    press(operator, "cpo_chargepoint_close_evses", station.row.pk, reason="road works")

    assert EVSE.objects.get(uid=EVSE_UID).status == "INOPERATIVE"
    [row] = Closing.objects.all()
    assert (row.reason, row.state) == ("road works", "IN_FORCE")
    assert "closed by us: road works" in page(operator, "cpo_chargepoint_change", station.row.pk)

    press(operator, "cpo_chargepoint_open_evses", station.row.pk)
    assert EVSE.objects.get(uid=EVSE_UID).status == "AVAILABLE"


@pytest.mark.req("OCPP-63")
def test_one_evse_is_closed_for_a_time_to_come(operator: Client, station: Point) -> None:
    row = EVSE.objects.get(uid=EVSE_UID)
    since, until = NOW + timedelta(days=1), NOW + timedelta(days=2)

    wrong = press(operator, "cpo_evse_close", row.pk, since=f"{until:%Y-%m-%dT%H:%M}", until=f"{since:%Y-%m-%dT%H:%M}")
    press(operator, "cpo_evse_close", row.pk, since=f"{since:%Y-%m-%dT%H:%M}", until=f"{until:%Y-%m-%dT%H:%M}")

    assert "end must be after" in wrong.content.decode()
    row.refresh_from_db()
    assert row.status == "AVAILABLE"
    assert "status_schedule" in row.document
    assert Closing.objects.get().state == "PLANNED"
    press(operator, "cpo_evse_open_again", row.pk)
    assert Closing.objects.get().state == "LIFTED"


def test_a_session_is_started_by_hand(operator: Client, station: Point) -> None:
    press(operator, "cpo_chargepoint_start_session", station.row.pk, id_tag="CARD1", connector="1")

    [operation] = Operation.objects.all()
    assert json.loads(operation.payload) == {"connectorId": 1, "idTag": "CARD1"}
    ChargePoint.objects.update(online=False)
    answer = press(operator, "cpo_chargepoint_start_session", station.row.pk, id_tag="CARD1")
    assert "it is offline" in answer.content.decode()
    assert Operation.objects.count() == 1


def test_who_may_only_look_presses_nothing(viewer: Client, station: Point) -> None:
    for name in ("reset", "unlock", "start_session", "close_evses", "decommission", "trigger_one"):
        answer = viewer.post(reverse(f"admin:cpo_chargepoint_{name}", args=[station.row.pk]), {"confirmed": "yes"})
        assert answer.status_code == 403, name
    assert Operation.objects.count() == 0
    user = User.objects.get(username="viewer")
    user.user_permissions.add(Permission.objects.get(codename="view_chargepoint"))
    assert viewer.post(reverse("admin:cpo_chargepoint_reset", args=[station.row.pk])).status_code == 403
    assert page(viewer, "cpo_chargepoint_change", station.row.pk)
    assert "frames/stream" in page(viewer, "cpo_chargepoint_live_frames", station.row.pk)


def test_a_stale_transaction_is_closed_and_a_held_one_discarded(operator: Client, station: Point) -> None:
    number = station.start("UNKNOWN-TAG")["transactionId"]
    row = Transaction.objects.get(transaction_id=number)

    press(operator, "cpo_transaction_close", row.pk)

    row.refresh_from_db()
    assert row.synthetic
    assert row.stopped_at is not None
    answer = press(operator, "cpo_transaction_discard", row.pk)
    assert "not held" in answer.content.decode()


@pytest.mark.req("OCPP-43")
def test_an_unmatched_stop_is_assigned_by_hand_to_a_transaction_it_fits(operator: Client, station: Point) -> None:
    first = station.start("A", meter=1000)["transactionId"]
    station.start("B", meter=1000, connector=2)
    station.stop(-1, 5000, at=BASE + timedelta(hours=1))
    stop = UnmatchedStop.objects.get()

    answer = press(operator, "cpo_unmatchedstop_assign", stop.pk, transaction=999)
    assert "no transaction 999" in answer.content.decode()
    press(operator, "cpo_unmatchedstop_assign", stop.pk, transaction=first)

    assert UnmatchedStop.objects.count() == 0
    assert Transaction.objects.get(transaction_id=first).meter_stop == 5000


@pytest.mark.req("OCPP-44")
def test_a_parked_message_is_tried_again(operator: Client, station: Point) -> None:
    station.says("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}, apply=False)
    InboxMessage.objects.filter(pk=station.message.pk).update(state="FAILED", attempts=5, error="x")
    fields = {"action": "try_again", "_selected_action": [station.message.pk], "confirmed": "yes"}

    operator.post(reverse("admin:cpo_inboxmessage_changelist"), fields)

    row = InboxMessage.objects.get(pk=station.message.pk)
    assert (row.state, row.attempts, row.error) == ("NEW", 0, "")


@pytest.mark.req("OCPP-29")
def test_frames_are_found_by_charge_point_action_and_time(operator: Client, station: Point) -> None:
    other = ChargePoint.objects.create(identity="OTHER", country_code="NL", party_id="TNM")
    for point, action, hours in (
        (station.row, "Heartbeat", 1),
        (station.row, "Authorize", 2),
        (other, "Heartbeat", 30),
    ):
        FrameLog.objects.create(
            at=NOW - timedelta(hours=hours), charge_point=point, node="n", epoch=1, outgoing=False, action=action,
            message_id="m", text=f"frame of {point} {action}",
        )  # fmt: skip

    def found(**query: str) -> set[str]:
        shown = page(operator, "cpo_framelog_changelist", **query)
        texts = ("frame of CP-1 Heartbeat", "frame of CP-1 Authorize", "frame of OTHER Heartbeat")
        return {text.removeprefix("frame of ") for text in texts if text in shown}

    since = NOW - timedelta(hours=24)
    assert found(q="CP-1") == {"CP-1 Heartbeat", "CP-1 Authorize"}
    assert found(action="Heartbeat") == {"CP-1 Heartbeat", "OTHER Heartbeat"}
    assert found(at_from_0=f"{since:%Y-%m-%d}", at_from_1=f"{since:%H:%M:%S}") == {"CP-1 Heartbeat", "CP-1 Authorize"}


@pytest.mark.req("OCPP-107")
def test_the_network_counts_each_charge_point_once_and_shows_what_runs(operator: Client, station: Point) -> None:
    network_page.forget()
    Transaction.objects.create(charge_point=station.row, connector_id=1, transaction_id=5, id_tag="T", authorised=True,
                               started_at=NOW, meter_start=0)  # fmt: skip
    Transaction.objects.create(
        charge_point=station.row, connector_id=1, transaction_id=6, id_tag="T", authorised=True,
        started_at=NOW, meter_start=0, stopped_at=NOW, meter_stop=12_500,
    )  # fmt: skip
    ChargePoint.objects.create(identity="NEW", country_code="NL", party_id="TNM")
    StationAlarm.objects.create(charge_point=station.row, kind="clock", text="90 s behind")

    shown = page(operator, "cpo_chargepoint_network")
    found = network_page.read()

    assert [(piece.title, piece.number) for piece in found["states"]] == [("charging", 1), ("never seen", 1)]
    assert found["total"] == 2
    assert found["kwh_today"] == "12.5"
    assert len(found["dots"]) == 1
    assert "90 s behind" in shown
    network_page.forget()


def test_the_map_keeps_north_up_and_everything_inside() -> None:
    places = [
        ("52.1", "5.1", 1, "South", "AVAILABLE"), ("52.9", "5.1", 3, "North", "OUTOFORDER"),
        ("52.5", "6.5", 2, "East", "CHARGING"), (None, "x", 1, "Nowhere", ""), ("0", "0", 1, "Null Island", ""),
    ]  # fmt: skip

    found = {dot.title.partition(":")[0]: dot for dot in network_page.dots(places)}

    assert set(found) == {"South", "North", "East"}
    assert found["North"].y < found["East"].y < found["South"].y
    assert found["East"].x > found["North"].x == found["South"].x
    assert all(0 < dot.x < 480 and 0 < dot.y < 300 for dot in found.values())
    assert found["North"].tone == "bad"
