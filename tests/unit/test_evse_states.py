"""Every row of tables M-1, M-2 and M-3."""

from datetime import timedelta
from typing import Any

import pytest

from cpo.evse_states import (
    Plug,
    Policy,
    Status,
    of_several,
    precedence,
    status_201,
    status_of_connector,
    status_of_evse,
)

MINUTE = timedelta(minutes=1)
CHOSEN = Policy(preparing=Status.CHARGING, finishing=Status.BLOCKED)


@pytest.mark.req("OCPP-59", "OCPP-128")
@pytest.mark.parametrize(
    ("connector", "more", "status"),
    [
        ("Available", {}, "AVAILABLE"),
        ("Preparing", {}, "AVAILABLE"),
        ("Preparing", {"since_preparing": 4 * MINUTE}, "AVAILABLE"),
        ("Preparing", {"since_preparing": 5 * MINUTE}, "BLOCKED"),
        ("Preparing", {"since_preparing": 9 * MINUTE, "policy": Policy(preparing_for=10 * MINUTE)}, "AVAILABLE"),
        ("Preparing", {"since_preparing": 9 * MINUTE, "policy": CHOSEN}, "CHARGING"),
        ("Charging", {}, "CHARGING"),
        ("SuspendedEV", {}, "CHARGING"),
        ("SuspendedEVSE", {}, "CHARGING"),
        ("Finishing", {}, "CHARGING"),
        ("Finishing", {"policy": CHOSEN}, "BLOCKED"),
        ("Reserved", {}, "RESERVED"),
        ("Unavailable", {}, "INOPERATIVE"),
        ("Faulted", {}, "OUTOFORDER"),
        ("Faulted", {"open_transaction": True}, "CHARGING"),
        ("Available", {"charge_point_status": "Unavailable"}, "INOPERATIVE"),
        ("Charging", {"charge_point_status": "Unavailable", "open_transaction": True}, "CHARGING"),
        ("Available", {"charge_point_status": "Faulted"}, "OUTOFORDER"),
        ("Charging", {"charge_point_status": "Faulted", "open_transaction": True}, "CHARGING"),
        ("Reserved", {"charge_point_status": "Available"}, "RESERVED"),
        ("Strange", {}, "UNKNOWN"),
    ],
)
def test_a_1_6_connector_has_the_status_of_table_m_1(connector: str, more: dict[str, Any], status: str) -> None:
    assert status_of_connector(connector, **({"open_transaction": False} | more)) == status


@pytest.mark.req("OCPP-59", "OCPP-128")
@pytest.mark.parametrize(
    ("connector", "more", "status"),
    [
        ("Available", {}, "AVAILABLE"),
        ("Available", {"open_transaction": True, "charging_state": "Charging"}, "CHARGING"),
        ("Occupied", {"open_transaction": True, "charging_state": "Charging"}, "CHARGING"),
        ("Occupied", {"open_transaction": True, "charging_state": "SuspendedEV"}, "CHARGING"),
        ("Occupied", {"open_transaction": True, "charging_state": "SuspendedEVSE"}, "CHARGING"),
        ("Occupied", {"open_transaction": True, "charging_state": "EVConnected", "token_accepted": True}, "CHARGING"),
        ("Occupied", {"open_transaction": True, "charging_state": "EVConnected"}, "AVAILABLE"),
        (
            "Occupied",
            {"open_transaction": True, "charging_state": "EVConnected", "since_preparing": 6 * MINUTE},
            "BLOCKED",
        ),
        ("Occupied", {}, "AVAILABLE"),
        ("Occupied", {"since_preparing": 6 * MINUTE}, "BLOCKED"),
        ("Occupied", {"ended_since_occupied": True}, "CHARGING"),
        ("Occupied", {"ended_since_occupied": True, "policy": CHOSEN}, "BLOCKED"),
        ("Available", {"open_transaction": True, "charging_state": "Idle"}, "AVAILABLE"),
        ("Occupied", {"open_transaction": True, "charging_state": "Idle"}, "AVAILABLE"),
        ("Reserved", {}, "RESERVED"),
        ("Unavailable", {}, "INOPERATIVE"),
        ("Unavailable", {"open_transaction": True}, "CHARGING"),
        ("Faulted", {}, "OUTOFORDER"),
        ("Faulted", {"open_transaction": True}, "CHARGING"),
        ("Strange", {}, "UNKNOWN"),
    ],
)
def test_a_2_0_1_connector_has_the_status_of_table_m_2(connector: str, more: dict[str, Any], status: str) -> None:
    assert status_201(connector, **more) == status


@pytest.mark.req("OCPP-61", "OCPP-128")
@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ("CHARGING RESERVED AVAILABLE", "CHARGING"),
        ("AVAILABLE RESERVED", "RESERVED"),
        ("AVAILABLE BLOCKED", "BLOCKED"),
        ("OUTOFORDER AVAILABLE", "AVAILABLE"),
        ("OUTOFORDER INOPERATIVE", "INOPERATIVE"),
        ("UNKNOWN OUTOFORDER", "OUTOFORDER"),
        ("UNKNOWN", "UNKNOWN"),
        ("", "UNKNOWN"),
    ],
)
def test_several_connectors_make_one_evse(statuses: str, status: str) -> None:
    assert of_several(Status(name) for name in statuses.split()) == status


@pytest.mark.req("OCPP-60", "OCPP-61", "OCPP-63", "OCPP-128")
@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({}, "AVAILABLE"),
        ({"decommissioned": True, "planned": True, "blocked": True}, "REMOVED"),
        ({"planned": True, "blocked": True}, "PLANNED"),
        ({"blocked": True}, "INOPERATIVE"),
        ({"blocked": True, "open_transaction": True}, "CHARGING"),
        ({"blocked": True, "offline_for": timedelta(hours=1)}, "INOPERATIVE"),
        ({"status": None}, "UNKNOWN"),
        ({"offline_for": 4 * MINUTE}, "AVAILABLE"),
        ({"offline_for": 6 * MINUTE}, "UNKNOWN"),
        ({"offline_for": 6 * MINUTE, "sibling_in_use": True}, "UNKNOWN"),
        ({"sibling_in_use": True}, "INOPERATIVE"),
    ],
)
def test_what_goes_before_the_connector_follows_table_m_3(more: dict[str, Any], status: str) -> None:
    given: dict[str, Any] = {"status": Status.AVAILABLE, "open_transaction": False}

    assert precedence(**(given | more)) == status


@pytest.mark.req("OCPP-59", "OCPP-128")
def test_a_connector_that_never_said_anything_says_nothing_of_its_evse() -> None:
    assert status_of_connector("", open_transaction=False) is None
    assert status_of_connector("", open_transaction=False, charge_point_status="Faulted") == "OUTOFORDER"


@pytest.mark.req("OCPP-59", "OCPP-61", "OCPP-128")
@pytest.mark.parametrize(
    ("plugs", "whole", "status"),
    [
        ([], "", None),
        ([], "Unavailable", "INOPERATIVE"),
        ([Plug("Available"), Plug("Available")], "", "AVAILABLE"),
        ([Plug("Available"), Plug("Occupied", charging_state="Charging", open_transaction=True)], "", "CHARGING"),
        ([Plug("Occupied", since_occupied=6 * MINUTE), Plug("Available")], "", "BLOCKED"),
        ([Plug("Reserved"), Plug("Available")], "", "RESERVED"),
        ([Plug("Faulted"), Plug("Available")], "", "AVAILABLE"),
        ([Plug("Faulted"), Plug("Unavailable")], "", "INOPERATIVE"),
        ([Plug("Faulted"), Plug("Faulted")], "", "OUTOFORDER"),
        ([Plug("Available")], "Unavailable", "INOPERATIVE"),
        ([Plug("Available")], "Faulted", "OUTOFORDER"),
        ([Plug("Occupied", open_transaction=True)], "Faulted", "CHARGING"),
        ([Plug("Available")], "Available", "AVAILABLE"),
    ],
)
def test_the_connectors_of_an_evse_and_the_station_make_its_status(
    plugs: list[Plug], whole: str, status: str | None
) -> None:
    assert status_of_evse(plugs, charge_point_status=whole) == status
