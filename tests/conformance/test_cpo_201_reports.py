"""What a station of OCPP 2.0.1 says of its own accord: reservations, profiles after a boot, what it can do (M-12)."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cpo import chargingprofile_states as states
from cpo.models import EVSE, ChargePoint, ChargePointProfile, MissingFeature, Operation, Reservation, SmartCharging
from cpo.modules import abilities, chargingprofiles_limits, chargingprofiles_reported, unauthorised
from ocpi import clock
from tests.chargingprofiles_support import settle
from tests.commands_support import Commander, payload, reserved_tariff
from tests.cpo_support import BASE, EVSE_UID, Point, add_location, add_point, add_tariff, stamp, with_tariff
from tests.fixtures import Document, Partner
from tests.platforms import Listener
from tests.station_support import Station, add_station, event

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]

BOOT = {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M", "firmwareVersion": "1"}}


@pytest.fixture
def station(document: Document) -> Station:
    add_tariff(reserved_tariff())
    station = add_station(add_location(with_tariff(document("location"))))
    station.status("Available")
    return station


@pytest.fixture
def emsp(partner: Partner, listener: Listener, document: Document) -> Commander:
    return Commander(partner("DE*EMS:EMSP", listener=listener), listener, document)


def have() -> set[str]:
    return set(json.loads(EVSE.objects.get(uid=EVSE_UID).document)["capabilities"])


# ---------------------------------------------------------------- reservations


@pytest.mark.req("OCPP-88", "CMD-20", "OCPP-128")
@pytest.mark.parametrize(("says", "later", "state", "results"), [
    ("Removed", 0, "CANCELLED", ["ACCEPTED", "CANCELED_RESERVATION"]),
    ("Expired", 0, "CANCELLED", ["ACCEPTED", "CANCELED_RESERVATION"]),  # long before its time
    ("Expired", 60, "EXPIRED", ["ACCEPTED"]),
])  # fmt: skip
def test_a_station_ends_a_reservation_and_the_emsp_is_told(
    station: Station, emsp: Commander, says: str, later: int, state: str, results: list[str]
) -> None:
    number = payload(emsp.reserved(60))["id"]
    Reservation.objects.update(expires_at=Reservation.objects.get().expires_at - timedelta(minutes=later))

    for _ in range(2):
        station.says("ReservationStatusUpdate", {"reservationId": number, "reservationUpdateStatus": says})

    assert Reservation.objects.get().state == state
    assert emsp.results() == results
    assert not Operation.objects.filter(state="QUEUED").exists(), "it knows already"


@pytest.mark.req("OCPP-88", "SEC-37")
def test_a_station_ends_no_reservation_of_another(station: Station, emsp: Commander) -> None:
    number = payload(emsp.reserved(60))["id"]
    other = Station(ChargePoint.objects.create(identity="CS-2", country_code="NL", party_id="TNM", protocol="2.0.1"))

    for named in (number, number + 1):
        other.says("ReservationStatusUpdate", {"reservationId": named, "reservationUpdateStatus": "Removed"})

    assert Reservation.objects.get().state == "ACCEPTED"


# ---------------------------------------------------------------- profiles after a boot


def limited(station: Station, watts: int) -> ChargePointProfile:
    row = chargingprofiles_limits.set_limit(station.row, connector=0, unit="W", limit=Decimal(watts), by="admin")
    settle()
    return row


def booted(station: Station) -> int:
    """Boot; return the number of the report that is asked for."""
    station.says("BootNotification", BOOT)
    asked = Operation.objects.get(action="GetChargingProfiles", state="QUEUED")
    Operation.objects.filter(state="QUEUED").exclude(pk=asked.pk).delete()
    number: int = payload(asked)["requestId"]
    return number


def report(number: int, *ids: int, tbc: bool = False) -> dict[str, Any]:
    schedule = [{"id": 1, "chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 1}]}]
    profile = {
        "stackLevel": 0,
        "chargingProfilePurpose": "ChargingStationMaxProfile",
        "chargingProfileKind": "Absolute",
    }
    found = [{"id": each, **profile, "chargingSchedule": schedule} for each in ids]
    return {"requestId": number, "chargingLimitSource": "CSO", "evseId": 0, "chargingProfile": found, "tbc": tbc}


@pytest.mark.req("OCPP-89")
def test_what_a_station_still_has_stays_and_foreign_profiles_are_listed(station: Station) -> None:
    kept = limited(station, 11000)
    number = booted(station)

    station.says("ReportChargingProfiles", report(number, kept.pk, tbc=True))
    station.says("ReportChargingProfiles", report(number + 1, 1))
    station.says("ReportChargingProfiles", report(number, 987654))

    kept.refresh_from_db()
    assert kept.state == states.INSTALLED
    assert SmartCharging.objects.get().foreign == [987654]
    assert not Operation.objects.filter(
        action__in=("SetChargingProfile", "ClearChargingProfile"), state="QUEUED"
    ).exists()


@pytest.mark.req("OCPP-89")
@pytest.mark.parametrize("says_so", ["report", "NoProfiles"])
def test_a_limit_that_a_boot_has_lost_is_set_again(station: Station, says_so: str) -> None:
    lost = limited(station, 11000)
    number = booted(station)

    if says_so == "report":
        station.says("ReportChargingProfiles", report(number, 987654))
    else:
        operation = Operation.objects.get(action="GetChargingProfiles")
        operation.state, operation.answer = "ANSWERED", '{"status":"NoProfiles"}'
        operation.save()
        chargingprofiles_reported.settle(operation.pk)

    lost.refresh_from_db()
    again = payload(Operation.objects.get(action="SetChargingProfile", state="QUEUED"))
    assert lost.state == states.REMOVED
    assert again["chargingProfile"]["chargingProfilePurpose"] == "ChargingStationMaxProfile"
    assert again["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] == 11000
    assert again["chargingProfile"]["id"] != lost.pk, "no id is used twice"


@pytest.mark.req("OCPP-89")
def test_a_profile_of_ours_that_should_be_gone_is_removed(station: Station) -> None:
    old = limited(station, 11000)
    limited(station, 7000)
    number = booted(station)

    station.says("ReportChargingProfiles", report(number, old.pk, old.pk + 1))

    assert payload(Operation.objects.get(action="ClearChargingProfile")) == {"chargingProfileId": old.pk}


# ---------------------------------------------------------------- what it can do (M-12)


def answered(row: ChargePoint, action: str, answer: dict[str, Any]) -> None:
    operation = Operation.objects.create(
        charge_point=row, action=action, payload="{}", asked_by="test", state="ANSWERED", answer=json.dumps(answer)
    )
    abilities.settle(operation.pk)


def variable(component: str, name: str, value: str) -> dict[str, Any]:
    where = {"component": {"name": component}, "variable": {"name": name}}
    return {**where, "attributeStatus": "Accepted", "attributeValue": value}


EVIDENCE_201: list[tuple[str, str, str, str, bool]] = [
    ("ReservationCtrlr", "Available", "true", "RESERVABLE", True),
    ("ReservationCtrlr", "Available", "false", "RESERVABLE", False),
    ("SmartChargingCtrlr", "Available", "true", "CHARGING_PROFILE_CAPABLE", True),
    ("SmartChargingCtrlr", "Enabled", "false", "CHARGING_PROFILE_CAPABLE", False),
    ("ConnectorPlugRetentionLock", "Available", "true", "UNLOCK_CAPABLE", True),
    ("TokenReader", "Available", "true", "RFID_READER", True),
    ("TokenReader", "Available", "false", "RFID_READER", False),
    ("OCPPCommCtrlr", "HeartbeatInterval", "300", "REMOTE_START_STOP_CAPABLE", True),
    ("OCPPCommCtrlr", "HeartbeatInterval", "300", "TOKEN_GROUP_CAPABLE", True),
]


@pytest.mark.req("OCPP-128", "LOC-69")
@pytest.mark.parametrize("by", ["answer", "report"])
@pytest.mark.parametrize(("component", "name", "value", "capability", "there"), EVIDENCE_201)
def test_what_a_station_says_of_itself_is_a_capability(
    station: Station, component: str, name: str, value: str, capability: str, there: bool, by: str
) -> None:
    row = EVSE.objects.get(uid=EVSE_UID)
    document = json.loads(row.document)
    document["capabilities"] = [] if there else [capability]
    EVSE.objects.filter(pk=row.pk).update(document=json.dumps(document))

    told = variable(component, name, value)
    if by == "answer":
        answered(station.row, "GetVariables", {"getVariableResult": [told]})
    else:
        data = {"component": told["component"], "variable": told["variable"]}
        data |= {"variableAttribute": [{"type": "MaxSet", "value": "x"}, {"value": value}]}
        station.says("NotifyReport", {"requestId": 1, "generatedAt": stamp(BASE), "seqNo": 0, "reportData": [data]})

    assert (capability in have()) is there


@pytest.mark.req("OCPP-128", "LOC-69")
@pytest.mark.parametrize(("features", "expected"), [
    ("Core,Reservation,SmartCharging", {"REMOTE_START_STOP_CAPABLE", "RESERVABLE", "CHARGING_PROFILE_CAPABLE"}),
    ("Core, RemoteTrigger", {"REMOTE_START_STOP_CAPABLE"}),
    ("core,SMARTCHARGING", {"REMOTE_START_STOP_CAPABLE", "CHARGING_PROFILE_CAPABLE"}),
])  # fmt: skip
def test_feature_profiles_of_1_6_are_capabilities(document: Document, features: str, expected: set[str]) -> None:
    body = document("location")
    body["evses"][0]["capabilities"] = ["RESERVABLE"]
    point = add_point(add_location(body))

    answered(
        point.row, "GetConfiguration", {"configurationKey": [{"key": "SupportedFeatureProfiles", "value": features}]}
    )

    assert have() == expected


@pytest.mark.req("OCPP-128", "LOC-69")
@pytest.mark.parametrize(("answer", "there"), [
    ("Unlocked", True), ("UnlockFailed", True), ("OngoingAuthorizedTransaction", True), ("NotSupported", False),
    ("UnknownConnector", False),
])  # fmt: skip
def test_who_has_ever_unlocked_is_unlock_capable(document: Document, answer: str, there: bool) -> None:
    body = document("location")
    body["evses"][0]["capabilities"] = ["RFID_READER"]
    point = add_point(add_location(body))

    answered(point.row, "UnlockConnector", {"status": answer})

    assert ("UNLOCK_CAPABLE" in have()) is there


@pytest.mark.req("LOC-69")
def test_what_three_refusals_have_taken_no_word_gives_back(station: Station) -> None:
    MissingFeature.objects.create(charge_point=station.row, action="ReserveNow", count=3)
    row = EVSE.objects.get(uid=EVSE_UID)
    EVSE.objects.filter(pk=row.pk).update(document=row.document.replace("RESERVABLE", "PED_TERMINAL"))

    answered(station.row, "GetVariables", {"getVariableResult": [variable("ReservationCtrlr", "Available", "true")]})

    assert "RESERVABLE" not in have()


# ---------------------------------------------------------------- who charges although refused (OCPP-77)


def refused(point: Point) -> Operation | None:
    point.start("NOBODY")
    return asked()


def asked() -> Operation | None:
    unauthorised.stop_due()
    return Operation.objects.filter(action__in=("RemoteStopTransaction", "RequestStopTransaction")).first()


@pytest.mark.req("OCPP-77")
@pytest.mark.parametrize(("wished", "stops_itself", "is_asked"), [
    (True, "false", True), (True, "true", False), (True, "", False), (False, "false", False),
])  # fmt: skip
def test_a_refused_start_is_ended_where_the_charge_point_would_not(
    document: Document, settings: Any, monkeypatch: Any, wished: bool, stops_itself: str, is_asked: bool
) -> None:
    settings.OCPP_STOP_REFUSED = wished
    point = add_point(add_location(document("location")))
    key = [{"key": "StopTransactionOnInvalidId", "value": stops_itself}] if stops_itself else []
    answered(point.row, "GetConfiguration", {"configurationKey": key})
    now = clock.now()
    too_early = refused(point)
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(seconds=30))

    found, again = asked(), asked()

    assert too_early is None, "the refusal itself may still be on its way"
    assert (found is not None) is is_asked
    if found is not None and again is not None:
        assert found.pk == again.pk
        assert list(payload(found)) == ["transactionId"]


@pytest.mark.req("OCPP-77", "OCPP-73")
def test_a_station_of_2_0_1_is_asked_by_its_own_id(station: Station, settings: Any, monkeypatch: Any) -> None:
    settings.OCPP_STOP_REFUSED = True
    answered(station.row, "GetVariables", {"getVariableResult": [variable("TxCtrlr", "StopTxOnInvalidId", "false")]})
    now: datetime = clock.now()
    station.tells(event("Started", 0, BASE, state="Charging", token="NOBODY", wh=0))
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(seconds=30))

    found = asked()

    assert found is not None
    assert payload(found) == {"transactionId": station.transaction.ocpp_id}
