"""Tables M-4 and M-5: what a Session becomes, and what follows from the reason of a stop, in both OCPP versions."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from cpo.models import CDR, ChargePoint, ChargePointConnector, Operation, Session, Token, Transaction
from cpo.modules import transactions
from tests.cpo_support import BASE, Point
from tests.cpo_support import emsp_fixture as emsp_fixture
from tests.cpo_support import point_fixture as point_fixture
from tests.fixtures import Document
from tests.people import Person
from tests.station_support import Station, event, whole
from tests.station_support import station_fixture as station_fixture

TAG = "04C7A1E2B95D80"
pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]

Charge = Callable[..., Transaction]


@pytest.fixture
def card(emsp: Person, document: Document) -> str:
    """A card that is accepted without asking."""
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))
    return TAG


def charged_16(point: Point, card: str, reason: str, wh: int, seconds: int, at: datetime = BASE) -> Transaction:
    number = point.start(card, at=at)["transactionId"]
    point.stop(number, 1000 + wh, at=at + timedelta(seconds=seconds), reason=reason)
    return Transaction.objects.get(transaction_id=number)


def charged_201(
    station: Station, card: str, reason: str, wh: int, seconds: int, *, trigger: str = "Trigger"
) -> Transaction:
    number = str(uuid.uuid4())
    common: dict[str, Any] = {"transaction": number}
    station.tells(
        event("Started", 0, BASE, state="Charging", token=card, wh=1000, context="Transaction.Begin", **common),
        event("Ended", 1, BASE + timedelta(seconds=seconds), wh=1000 + wh, context="Transaction.End", reason=reason,
              trigger=trigger, **common),
    )  # fmt: skip
    return Transaction.objects.get(ocpp_id=number)


REASONS_16 = (
    "DeAuthorized", "EmergencyStop", "EVDisconnected", "HardReset", "Local", "Other", "PowerLoss", "Reboot", "Remote",
    "SoftReset", "UnlockCommand",
)  # fmt: skip
REASONS_201 = (
    "DeAuthorized", "EmergencyStop", "EnergyLimitReached", "EVDisconnected", "GroundFault", "ImmediateReset", "Local",
    "LocalOutOfCredit", "MasterPass", "Other", "OvercurrentFault", "PowerLoss", "PowerQuality", "Reboot", "Remote",
    "SOCLimitReached", "StoppedByEV", "TimeLimitReached", "Timeout",
)  # fmt: skip


@pytest.mark.req("OCPP-95", "OCPP-97", "OCPP-128")
@pytest.mark.parametrize("reason", REASONS_16)
def test_any_reason_of_1_6_completes_the_session_and_is_in_the_remark(point: Point, card: str, reason: str) -> None:
    charged_16(point, card, reason, 10_000, 3600)

    cdr = json.loads(CDR.objects.get().document)
    assert Session.objects.get().status == "COMPLETED"
    assert (cdr["remark"], cdr["total_cost"]["excl_vat"]) == (f"Stop reason: {reason}", 3.5)


@pytest.mark.req("OCPP-95", "OCPP-97", "OCPP-128")
@pytest.mark.parametrize("reason", ["", *REASONS_201])
def test_any_reason_of_2_0_1_completes_the_session_and_is_in_the_remark(
    station: Station, card: str, reason: str
) -> None:
    charged_201(station, card, reason, 10_000, 3600)

    cdr = json.loads(CDR.objects.get().document)
    assert Session.objects.get().status == "COMPLETED"
    assert (cdr["remark"], cdr["total_cost"]["excl_vat"]) == (f"Stop reason: {reason or 'Local'}", 3.5)


@pytest.mark.req("OCPP-97", "OCPP-128")
@pytest.mark.parametrize(
    ("reason", "wh", "seconds", "billed"),
    [
        ("DeAuthorized", 49, 119, False),
        ("DeAuthorized", 50, 119, True),
        ("DeAuthorized", 49, 120, True),
        ("MasterPass", 49, 119, False),
        ("MasterPass", 50, 119, True),
        ("Timeout", 0, 3600, False),
        ("Timeout", 9, 3600, False),
        ("Timeout", 10, 3600, True),
        ("Local", 9, 60, True),  # a start fee is to be paid
        ("Local", 10, 60, True),
    ],
)
def test_who_was_refused_or_never_came_pays_nothing(
    station: Station, card: str, reason: str, wh: int, seconds: int, billed: bool
) -> None:
    charged_201(station, card, reason, wh, seconds)

    assert Session.objects.get().status == "COMPLETED"
    assert CDR.objects.exists() is billed


@pytest.mark.req("OCPP-128")
def test_a_driver_refused_on_the_way_is_noted(station: Station, card: str) -> None:
    station.tells(event("Started", 0, BASE, state="Charging", token=card, wh=1000, context="Transaction.Begin"))
    Token.objects.update(valid=False)

    station.tells(event("Ended", 1, BASE + timedelta(minutes=30), wh=9000, reason="DeAuthorized"))

    assert "token_not_valid" in station.transaction.flags


@pytest.mark.req("OCPP-45", "OCPP-128")
@pytest.mark.parametrize("reason", ["EmergencyStop", "GroundFault", "OvercurrentFault"])
@pytest.mark.parametrize(("wh", "held"), [(49, True), (50, False)])
def test_after_an_emergency_with_little_energy_an_operator_looks_first(
    station: Station, card: str, reason: str, wh: int, held: bool, caplog: pytest.LogCaptureFixture
) -> None:
    row = charged_201(station, card, reason, wh, 600)

    assert row.held is held
    assert CDR.objects.exists() is not held
    assert Session.objects.get().status == ("ACTIVE" if held else "COMPLETED")
    assert "emergency stop" in caplog.text


def asked(charge_point: ChargePoint, action: str, payload: dict[str, Any]) -> uuid.UUID:
    """An operation of ours that has been answered."""
    now = timezone.now()
    return Operation.objects.create(
        charge_point=charge_point, action=action, payload=json.dumps(payload), asked_by="test", state="ANSWERED",
        sent_at=now, ended_at=now, answer='{"status":"Accepted"}',
    ).pk  # fmt: skip


@pytest.mark.req("OCPP-128")
@pytest.mark.parametrize(
    ("reason", "trigger", "action", "flag"),
    [
        ("Remote", "RemoteStop", "RequestStopTransaction", None),
        ("Other", "UnlockCommand", "UnlockConnector", None),
        ("ImmediateReset", "ResetCommand", "Reset", "our_reset"),
        ("Reboot", "Trigger", "Reset", "our_reset"),
        ("Local", "StopAuthorized", "RequestStopTransaction", "none"),
    ],
)
def test_an_end_of_2_0_1_is_joined_with_what_we_asked_for(
    station: Station, card: str, reason: str, trigger: str, action: str, flag: str | None
) -> None:
    operation = asked(station.row, action, {})

    row = charged_201(station, card, reason, 5000, 3600, trigger=trigger)

    assert row.ended_by == (None if flag == "none" else operation)
    assert ("our_reset" in row.flags) is (flag == "our_reset")


@pytest.mark.req("OCPP-128")
@pytest.mark.parametrize(
    ("reason", "action"),
    [
        ("Remote", "RemoteStopTransaction"),
        ("UnlockCommand", "UnlockConnector"),
        ("HardReset", "Reset"),
        ("SoftReset", "Reset"),
        ("Reboot", "Reset"),
    ],
)
def test_a_stop_of_1_6_is_joined_with_what_we_asked_for(point: Point, card: str, reason: str, action: str) -> None:
    other = asked(point.row, action, {"transactionId": 999_999} if reason == "Remote" else {})

    row = charged_16(point, card, reason, 5000, 3600)

    assert row.ended_by == (None if reason == "Remote" else other)
    assert ("our_reset" in row.flags) is (action == "Reset")


@pytest.mark.req("OCPP-128")
@pytest.mark.parametrize(("reason", "more", "flagged"), [
    ("PowerLoss", 101, True), ("PowerLoss", 100, False), ("Local", 500, False),
])  # fmt: skip
def test_after_a_power_loss_the_next_start_shows_what_the_meter_went_on_to(
    point: Point, card: str, reason: str, more: int, flagged: bool
) -> None:
    first = charged_16(point, card, reason, 5000, 3600)

    point.start(card, meter=6000 + more, at=BASE + timedelta(hours=2))

    first.refresh_from_db()
    assert ("meter_differs" in first.flags) is flagged


@pytest.mark.req("OCPP-48", "OCPP-42", "OCPP-128")
def test_a_stop_of_ours_holds_the_cdr_for_a_day_and_gives_way_to_the_real_one(station: Station, card: str) -> None:
    started, charging, half, ended = whole(card)
    station.tells(started, charging, half)
    transactions.close(station.transaction.pk)
    row = station.transaction
    assert (row.synthetic, row.reason) == (True, "Other")
    assert row.meter_stop == 6000
    assert row.cdr_due_at is not None
    assert timedelta(hours=23) < row.cdr_due_at - timezone.now() <= timedelta(hours=24)
    assert not CDR.objects.exists()

    station.tells(ended)

    assert not station.transaction.synthetic
    assert station.transaction.meter_stop == 11_000
    assert json.loads(CDR.objects.get().document)["total_energy"] == 10


# ---------------------------------------------------------------- M-4


@pytest.mark.req("OCPP-95", "OCPP-53", "OCPP-128")
def test_a_refused_token_makes_no_session(station: Station, card: str) -> None:
    [answer, _] = station.tells(
        event("Started", 0, BASE, state="EVConnected", token="NOBODY", wh=1000),
        event("Ended", 1, BASE + timedelta(minutes=1), wh=1000, reason="DeAuthorized"),
    )

    assert answer == {"idTokenInfo": {"status": "Unknown"}}
    assert not station.transaction.authorised
    assert not Session.objects.exists()


@pytest.mark.req("OCPP-95", "OCPP-45", "OCPP-128")
def test_a_session_that_is_not_plausible_is_active_until_released_or_invalid_if_discarded(
    station: Station, card: str
) -> None:
    row = charged_201(station, card, "Local", 900_000, 3600)
    assert (row.held, Session.objects.get().status) == (True, "ACTIVE")

    transactions.release(row.pk)
    released = Session.objects.get().status
    second = charged_201(station, card, "Local", 900_000, 3600)
    transactions.discard(second.pk)

    assert released == "COMPLETED"
    assert Session.objects.latest("id").status == "INVALID"
    assert CDR.objects.count() == 1


# ---------------------------------------------------------------- nothing more is heard (OCPP-48)


def silent(row: Transaction, hours: float) -> None:
    Transaction.objects.filter(pk=row.pk).update(heard_at=timezone.now() - timedelta(hours=hours))


@pytest.mark.req("OCPP-48", "OCPP-36", "OCPP-46")
@pytest.mark.parametrize(
    ("hours", "status", "online", "seen_days", "closed"),
    [
        (25, "Available", True, 0, True),
        (25, "Faulted", True, 0, True),
        (23, "Available", True, 0, False),
        (25, "Occupied", True, 0, False),
        (25, "Available", False, 6, False),
        (25, "Occupied", False, 8, True),
    ],
)
def test_a_transaction_of_which_nothing_more_is_heard_is_closed(
    station: Station, card: str, hours: float, status: str, online: bool, seen_days: int, closed: bool
) -> None:
    station.tells(*whole(card)[:3])
    station.status(status)
    station.says("BootNotification", {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}})
    row = station.transaction
    assert row.stopped_at is None  # neither a status nor a boot ends it
    silent(row, hours)
    ChargePoint.objects.update(online=online, last_seen_at=timezone.now() - timedelta(days=seen_days))

    transactions.close_stale()

    row = station.transaction
    assert (row.stopped_at is not None) is closed
    assert (row.synthetic, "stale" in row.flags) == (closed, closed)
    assert not closed or row.meter_stop == 6000


@pytest.mark.req("OCPP-46", "OCPP-36")
def test_in_1_6_neither_a_status_nor_a_boot_opens_or_ends_a_transaction(point: Point, card: str) -> None:
    point.status("Charging")
    assert not Transaction.objects.exists()
    point.start(card)

    point.status("Available")
    point.says("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})

    assert Transaction.objects.get().stopped_at is None
    assert ChargePointConnector.objects.get().status == "Available"


@pytest.mark.req("OCPP-47")
@pytest.mark.parametrize(("group", "flagged"), [("FLEET", False), ("", True)])
def test_another_card_ends_a_session_and_is_recorded_unless_it_is_of_the_group(
    point: Point, emsp: Person, document: Document, group: str, flagged: bool
) -> None:
    for uid in (TAG, "OTHERCARD"):
        members = {"uid": uid, "whitelist": "ALWAYS", **({"group_id": group} if group else {})}
        token = document("token_rfid", **members)
        if not group:
            token.pop("group_id", None)
        emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{uid}", token)
    number = point.start(TAG)["transactionId"]

    point.says(
        "StopTransaction",
        {"transactionId": number, "meterStop": 11_000, "timestamp": "2026-03-02T10:00:00Z", "idTag": "OTHERCARD"},
    )

    row = Transaction.objects.get()
    assert ("other_token" in row.flags) is flagged
    assert Session.objects.get().status == "COMPLETED"
    assert CDR.objects.exists()


@pytest.mark.req("OCPP-47")
@pytest.mark.parametrize(("stopped_by", "flagged"), [(TAG.lower(), False), ("THEIRCARD", True)])
def test_letter_case_is_no_other_card_and_a_group_is_one_emsps_own(
    point: Point, emsp: Person, second_emsp: Person, document: Document, stopped_by: str, flagged: bool
) -> None:
    own = document("token_rfid", uid=TAG, whitelist="ALWAYS", group_id="FLEET" if flagged else None)
    theirs = {**own, "uid": "THEIRCARD", "country_code": "BE", "party_id": "MSX"}
    assert emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", own).ok
    assert second_emsp.put("cpo/2.2.1/tokens/BE/MSX/THEIRCARD", theirs).ok
    number = point.start(TAG)["transactionId"]

    point.says(
        "StopTransaction",
        {"transactionId": number, "meterStop": 11_000, "timestamp": "2026-03-02T10:00:00Z", "idTag": stopped_by},
    )

    assert ("other_token" in Transaction.objects.get().flags) is flagged


# ---------------------------------------------------------------- PRI-100


@pytest.mark.req("PRI-100", "OCPP-97")
def test_one_cdr_per_ended_session_however_often_its_end_is_told(station: Station, card: str) -> None:
    events = whole(card)
    station.tells(*events, *events)
    station.tells({**events[3], "seqNo": 3, "timestamp": "2026-03-02T10:00:01Z"})

    assert CDR.objects.filter(credit=False, replaced_by=None).count() == 1
    assert Session.objects.count() == 1
