"""Tables M-6, M-7 and M-9, the outgoing half: the same request in the words of OCPP 1.6 and of 2.0.1."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from cpo import active_profiles, charging_schedules
from cpo.active_profiles import CHARGE_POINT_MAX, TX, TX_DEFAULT
from cpo.charging_schedules import Electrics, NotPossible, Schedule
from cpo.gateway import frames
from cpo.ocpp import events, v16, v201_write
from cpo.ocpp.events import Request

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
STAMP = "2026-03-02T09:00:00Z"
SCHEDULE = Schedule("W", ((0, Decimal("11000")), (600, Decimal("7400.5"))), start=AT, duration=3600, least=Decimal(6))
PROFILE = events.SetProfile(
    connector=2, profile_id=7, purpose=TX, stack_level=1, schedule=SCHEDULE, transaction_id="c0ffee"
)
PERIODS = [{"startPeriod": 0, "limit": 11000.0}, {"startPeriod": 600, "limit": 7400.5}]
AC = Electrics(voltage=Decimal(230), phases=3, maximum_w=Decimal(22080), maximum_a=Decimal(32))
DC = replace(AC, direct=True, phases=1)


def written(request: Request, version: str) -> tuple[str, Any]:
    """Return a request as it is sent; it obeys the schema of its version."""
    action, payload = (v16 if version == "1.6" else v201_write).write(request)
    frames.check_text(version, action, frames.payload_text(payload))
    return action, payload


@pytest.mark.req("OCPP-78", "OCPP-88", "OCPP-128")
@pytest.mark.parametrize(("request_", "in_16", "in_201"), [
    (events.RemoteStart(id_token="T", connector=2, token_type="RFID", group="G", remote_start_id=9),
     ("RemoteStartTransaction", {"idTag": "T", "connectorId": 2}),
     ("RequestStartTransaction", {"idToken": {"idToken": "T", "type": "ISO14443"}, "evseId": 2, "remoteStartId": 9,
                                  "groupIdToken": {"idToken": "G", "type": "ISO14443"}})),
    (events.RemoteStart(id_token="T", token_type="APP_USER", remote_start_id=9),
     ("RemoteStartTransaction", {"idTag": "T"}),
     ("RequestStartTransaction", {"idToken": {"idToken": "T", "type": "Central"}, "remoteStartId": 9})),
    (events.RemoteStop(transaction_id=5),
     ("RemoteStopTransaction", {"transactionId": 5}), ("RequestStopTransaction", {"transactionId": "5"})),
    (events.Unlock(connector=2, plug=3),
     ("UnlockConnector", {"connectorId": 2}), ("UnlockConnector", {"evseId": 2, "connectorId": 3})),
    (events.Reserve(reservation_id=4, id_token="T", expires_at=AT, connector=2, parent_id_token="G", token_type="RFID"),
     ("ReserveNow", {"reservationId": 4, "connectorId": 2, "expiryDate": STAMP, "idTag": "T", "parentIdTag": "G"}),
     ("ReserveNow", {"id": 4, "evseId": 2, "expiryDateTime": STAMP, "idToken": {"idToken": "T", "type": "ISO14443"},
                     "groupIdToken": {"idToken": "G", "type": "ISO14443"}})),
    (events.Reserve(reservation_id=4, id_token="T", expires_at=AT, token_type="OTHER"),
     ("ReserveNow", {"reservationId": 4, "connectorId": 0, "expiryDate": STAMP, "idTag": "T"}),
     ("ReserveNow", {"id": 4, "expiryDateTime": STAMP, "idToken": {"idToken": "T", "type": "Central"}})),
    (events.CancelReservation(reservation_id=4),
     ("CancelReservation", {"reservationId": 4}), ("CancelReservation", {"reservationId": 4})),
    (events.ClearProfile(profile_id=7),
     ("ClearChargingProfile", {"id": 7}), ("ClearChargingProfile", {"chargingProfileId": 7})),
    (events.AskSchedule(connector=2, seconds=60),
     ("GetCompositeSchedule", {"connectorId": 2, "duration": 60}),
     ("GetCompositeSchedule", {"evseId": 2, "duration": 60})),
])  # fmt: skip
def test_a_request_in_both_versions(request_: Request, in_16: Any, in_201: Any) -> None:
    def plain(found: tuple[str, Any]) -> tuple[str, Any]:
        return found[0], {name: _stamped(value) for name, value in found[1].items()}

    assert plain(written(request_, "1.6")) == in_16
    assert plain(written(request_, "2.0.1")) == in_201
    assert plain(written(request_, "2.1")) == in_201


def _stamped(value: Any) -> Any:
    return value.replace(".000Z", "Z") if isinstance(value, str) else value


@pytest.mark.req("OCPP-92", "OCPP-128")
def test_a_profile_in_both_versions() -> None:
    _, old = written(replace(PROFILE, transaction_id=5), "1.6")
    _, new = written(PROFILE, "2.0.1")
    [schedule] = new["chargingProfile"].pop("chargingSchedule")

    assert (old["connectorId"], new["evseId"]) == (2, 2)
    assert old["csChargingProfiles"]["transactionId"] == 5
    assert new["chargingProfile"] == {
        "id": 7, "stackLevel": 1, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Absolute",
        "transactionId": "c0ffee",
    }  # fmt: skip
    assert old["csChargingProfiles"]["chargingProfileId"] == 7
    assert schedule.pop("id") == 7, "a schedule has an id of its own"
    assert schedule == old["csChargingProfiles"]["chargingSchedule"]
    assert _stamped(schedule["startSchedule"]) == STAMP
    assert (schedule["duration"], schedule["chargingRateUnit"], schedule["minChargingRate"]) == (3600, "W", 6)
    assert schedule["chargingSchedulePeriod"] == PERIODS, "numberPhases is left out"


@pytest.mark.req("OCPP-92", "OCPP-89", "OCPP-128")
@pytest.mark.parametrize(("purpose", "in_201"), [
    (TX, "TxProfile"), (TX_DEFAULT, "TxDefaultProfile"), (CHARGE_POINT_MAX, "ChargingStationMaxProfile"),
])  # fmt: skip
@pytest.mark.parametrize(("start", "kind"), [(AT, "Absolute"), (None, "Relative")])
def test_kind_and_purpose_of_a_profile(purpose: str, in_201: str, start: datetime | None, kind: str) -> None:
    asked = replace(PROFILE, purpose=purpose, transaction_id=None, schedule=replace(SCHEDULE, start=start))

    old, new = written(asked, "1.6")[1]["csChargingProfiles"], written(asked, "2.0.1")[1]["chargingProfile"]

    assert (old["chargingProfilePurpose"], new["chargingProfilePurpose"]) == (purpose, in_201)
    assert (old["chargingProfileKind"], new["chargingProfileKind"]) == (kind, kind)
    assert ("startSchedule" in new["chargingSchedule"][0]) is (start is not None)


@pytest.mark.req("OCPP-92", "OCPP-128", "CHP-20")
@pytest.mark.parametrize(("periods", "unit", "electrics", "units", "most", "expected"), [
    ([(0, "11000")], "W", AC, ["A", "W"], None, ("W", [(0, "11000")])),
    ([(0, "11000")], "W", AC, ["A"], None, ("A", [(0, "15.9")])),  # 15.94: rounded down
    ([(0, "16")], "A", AC, ["W"], None, ("W", [(0, "11040")])),
    ([(0, "125")], "A", DC, ["W"], None, ("W", [(0, "28750")])),
    ([(0, "7.99")], "A", AC, [], None, ("A", [(0, "7.9")])),
    ([(60, "6")], "A", AC, [], None, ("A", [(0, "32"), (60, "6")])),
    ([(60, "9000")], "W", AC, [], None, ("W", [(0, "22080"), (60, "9000")])),
    ([], "W", AC, [], None, ("W", [(0, "22080")])),
    ([(0, "9"), (60, "8"), (120, "16")], "A", AC, [], 2, ("A", [(0, "8"), (120, "16")])),
    ([(0, "9"), (60, "16"), (120, "15")], "A", AC, [], 2, ("A", [(0, "9"), (60, "15")])),
    ([(0, "9"), (60, "16"), (120, "15")], "A", AC, [], 1, ("A", [(0, "9")])),
])  # fmt: skip
def test_a_schedule_is_made_to_fit(
    periods: list[tuple[int, str]], unit: str, electrics: Electrics, units: list[str], most: int | None, expected: Any
) -> None:
    wanted = Schedule(unit, tuple((second, Decimal(limit)) for second, limit in periods))

    found = charging_schedules.fitted(wanted, electrics, units=units, most=most)

    assert (found.unit, [(second, str(limit)) for second, limit in found.periods]) == expected


@pytest.mark.req("OCPP-92", "OCPP-128")
@pytest.mark.parametrize(("unit", "electrics", "units", "most"), [("W", DC, ["A"], None), ("A", AC, [], 0)])
def test_what_cannot_be_made_to_fit_is_refused(unit: str, electrics: Electrics, units: list[str], most: Any) -> None:
    with pytest.raises(NotPossible):
        charging_schedules.fitted(Schedule(unit, ((0, Decimal(9)),)), electrics, units=units, most=most)


@pytest.mark.req("OCPP-92", "OCPP-128")
def test_a_composite_schedule_of_2_0_1_is_read_like_one_of_1_6() -> None:
    periods = [{"startPeriod": 0, "limit": 11000.0}]
    schedule = {"evseId": 1, "duration": 900, "scheduleStart": STAMP, "chargingRateUnit": "W"}
    answer = {"status": "Accepted", "schedule": {**schedule, "chargingSchedulePeriod": periods}}

    found = v201_write.answer_of("GetCompositeSchedule", answer)

    old = {"status": "Accepted", "connectorId": 1, "scheduleStart": STAMP}
    old |= {"chargingSchedule": {"duration": 900, "chargingRateUnit": "W", "chargingSchedulePeriod": periods}}
    assert found == old
    assert active_profiles.from_composite(found, AC, AT) is not None
    assert v201_write.answer_of("GetCompositeSchedule", {"status": "Accepted"}) == {"status": "Accepted"}


@pytest.mark.req("OCPP-89", "OCPP-128")
def test_settings_are_asked_and_read_by_their_names_of_1_6() -> None:
    keys = ("ChargingScheduleMaxPeriods", "SupportedFeatureProfiles", "NoSuchThing")

    _, payload = written(events.ReadConfiguration(keys=keys), "2.0.1")
    asked = [(each["component"]["name"], each["variable"]["name"]) for each in payload["getVariableData"]]
    values = {"PeriodsPerSchedule": "12", "Available": "true"}
    results = [
        {**each, "attributeStatus": "Accepted", "attributeValue": values[each["variable"]["name"]]}
        if each["component"]["name"] == "SmartChargingCtrlr" and each["variable"]["name"] in values
        else {**each, "attributeStatus": "UnknownComponent"}
        for each in payload["getVariableData"]
    ]
    found = v201_write.answer_of("GetVariables", {"getVariableResult": results})

    assert ("SmartChargingCtrlr", "PeriodsPerSchedule") in asked
    assert found == {
        "configurationKey": [
            {"key": "ChargingScheduleMaxPeriods", "value": "12"},
            {"key": "SupportedFeatureProfiles", "value": "Core,FirmwareManagement,RemoteTrigger,SmartCharging"},
        ]
    }
