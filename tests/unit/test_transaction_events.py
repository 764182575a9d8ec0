"""What the events of a transaction of OCPP 2.0.1 come to: a table of cases, and that their order does not matter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpo.metering import CHARGING, PARKING
from cpo.transaction_events import ENDED, STARTED, UPDATED, Told, course, outer_registers

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CARD = {"id_token": "CARD", "status": "Accepted"}


def at(minutes: float) -> datetime:
    return BASE + timedelta(minutes=minutes)


def told(kind: str, seq_no: int, minutes: float, **more: Any) -> Told:
    return Told(kind=kind, seq_no=seq_no, at=at(minutes), **({"number": 1} | more))


WHOLE = (
    told(STARTED, 0, 0, charging_state="EVConnected", trigger="CablePluggedIn"),
    told(UPDATED, 1, 2, trigger="Authorized", **CARD),
    told(UPDATED, 2, 3, charging_state="Charging"),
    told(UPDATED, 3, 40, charging_state="SuspendedEV"),
    told(ENDED, 4, 60, reason="EVDisconnected", trigger="EVDeparted"),
)


def test_nothing_is_no_transaction() -> None:
    with pytest.raises(ValueError, match="at least one"):
        course([])


def test_a_whole_transaction() -> None:
    found = course(WHOLE)

    assert (found.started_at, found.ended_at, found.begins_at) == (at(2), at(60), at(2))
    assert (found.number, found.reason, found.trigger) == (1, "EVDisconnected", "EVDeparted")
    assert found.accepted
    assert found.complete
    assert found.flags == ()


@pytest.mark.req("OCPP-53")
@pytest.mark.parametrize(
    ("events", "begins"),
    [
        # a token, but no car yet
        ([told(STARTED, 0, 0, charging_state="Idle", number=None, **CARD)], None),
        ([told(STARTED, 0, 0, trigger="Authorized", number=None, **CARD)], None),
        ([told(STARTED, 0, 0, trigger="RemoteStart", **CARD)], None),
        # and then the car
        ([told(STARTED, 0, 0, charging_state="Idle", **CARD), told(UPDATED, 1, 3, charging_state="EVConnected")], 3),
        ([told(STARTED, 0, 0, trigger="Authorized", **CARD), told(UPDATED, 1, 3, trigger="CablePluggedIn")], 3),
        # a car, but no token yet, or none that is accepted
        ([told(STARTED, 0, 0, charging_state="EVConnected")], None),
        ([told(STARTED, 0, 0, charging_state="EVConnected", id_token="CARD", status="Invalid")], None),
        # and then the token
        ([told(STARTED, 0, 0, charging_state="EVConnected"), told(UPDATED, 1, 5, **CARD)], 5),
        ([told(STARTED, 0, 0, charging_state="EVConnected", id_token="OLD", status="Invalid"),
          told(UPDATED, 1, 5, **CARD)], 5),
        # both at once; a charge point that never names a chargingState
        ([told(STARTED, 0, 1, charging_state="Charging", **CARD)], 1),
        ([told(STARTED, 0, 1, trigger="CablePluggedIn", **CARD)], 1),
        # the car has come, and the token is only named at the end
        ([told(STARTED, 0, 0, charging_state="Charging"), told(ENDED, 1, 9, **CARD)], 0),
        # nobody ever plugged in
        ([told(STARTED, 0, 0, charging_state="Idle", **CARD), told(ENDED, 1, 2, reason="Timeout")], None),
    ],
)  # fmt: skip
def test_a_session_begins_with_token_and_car(events: list[Told], begins: float | None) -> None:
    assert course(events).begins_at == (None if begins is None else at(begins))


@pytest.mark.req("OCPP-53")
def test_another_token_is_recorded_and_changes_nothing() -> None:
    found = course([*WHOLE[:4], told(ENDED, 4, 60, id_token="OTHER", status="Accepted")])

    assert found.token is not None
    assert found.token.id_token == "CARD"
    assert found.flags == ("other_token",)


@pytest.mark.req("OCPP-51")
def test_without_its_start_it_begins_with_the_earliest_event() -> None:
    found = course([told(UPDATED, 7, 10, charging_state="Charging"), told(UPDATED, 6, 5)])

    assert (found.started_at, found.flags) == (at(5), ("no_start",))


@pytest.mark.req("OCPP-52")
@pytest.mark.parametrize(
    ("kept", "complete"),
    [
        ((0, 1, 2, 3, 4), True),
        ((0, 1, 2, 3), False),  # runs
        ((1, 2, 3, 4), False),
        ((0, 2, 3, 4), False),
        ((0, 1, 2, 4), False),
        ((0, 4), False),
        ((4,), False),
    ],
)
def test_it_is_complete_if_nothing_before_its_end_is_missing(kept: tuple[int, ...], complete: bool) -> None:
    assert course(WHOLE[number] for number in kept).complete is complete


@pytest.mark.req("OCPP-52")
def test_what_comes_after_the_end_fills_no_gap() -> None:
    late = [told(UPDATED, number, 70) for number in range(5, 9)]

    assert not course([WHOLE[0], WHOLE[2], WHOLE[4], *late]).complete


@pytest.mark.req("OCPP-52")
def test_a_number_far_away_is_a_gap_and_no_work() -> None:
    assert not course([WHOLE[0], told(ENDED, 2_000_000_000, 60)]).complete


@pytest.mark.req("OCPP-50")
@pytest.mark.parametrize("late", [
    told(STARTED, 0, 61, charging_state="Charging", **CARD),
    told(UPDATED, 5, 62, charging_state="Charging"),
    told(UPDATED, 3, 50, number=2),
])  # fmt: skip
def test_what_comes_late_never_opens_it_again(late: Told) -> None:
    found = course([*WHOLE, late])

    assert (found.ended_at, found.charging_state, found.number) == (at(60), "SuspendedEV", 1)
    assert found.complete


@pytest.mark.req("OCPP-57")
def test_an_event_without_evse_is_of_the_transactions_evse() -> None:
    events = [told(STARTED, 0, 0, number=None), told(UPDATED, 1, 1, number=2, plug=1), told(UPDATED, 2, 2, number=None)]

    assert (course(events).number, course(events).plug) == (2, 1)


@pytest.mark.req("PRI-57", "PIT-74", "OCPP-128")
@pytest.mark.parametrize(
    ("states", "phases"),
    [
        ([("Charging", 2)], []),
        ([("EVConnected", 2), ("Charging", 4)], [(2, PARKING), (4, CHARGING)]),
        ([("SuspendedEVSE", 10)], []),
        ([("SuspendedEV", 10), ("SuspendedEVSE", 20)], [(10, PARKING), (20, CHARGING)]),
        ([("SuspendedEV", 10), ("EVConnected", 20), ("Idle", 30)], [(10, PARKING)]),
        ([("SuspendedEV", 10), ("Charging", 20), ("EVConnected", 30)], [(10, PARKING), (20, CHARGING), (30, PARKING)]),
    ],
)
def test_who_asks_for_no_power_parks(states: list[tuple[str, float]], phases: list[tuple[float, str]]) -> None:
    start = told(STARTED, 0, 2, trigger="CablePluggedIn", **CARD)
    changes = [told(UPDATED, number, when, charging_state=state) for number, (state, when) in enumerate(states, 1)]

    assert course([start, *changes]).phases == tuple((at(when), phase) for when, phase in phases)


@pytest.mark.req("OCPP-52", "OCPP-67")
@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (None, None, (1050, None)),  # the last reading before the session
        (None, 9000, (1050, 9000)),
        (1000, 9000, (1000, 9000)),  # what the end says goes before all
    ],
)
def test_the_end_has_the_outer_registers(begin: int | None, end: int | None, expected: tuple[int, int | None]) -> None:
    ended = told(
        ENDED, 4, 60,
        begin_wh=None if begin is None else Decimal(begin), end_wh=None if end is None else Decimal(end),
    )  # fmt: skip
    readings = [(at(0), Decimal(1010)), (at(1), Decimal(1050)), (at(30), Decimal(5000))]

    begins, ends = outer_registers([*WHOLE[:4], ended], readings, at(2))

    assert begins == expected[0]
    assert ends == expected[1]


@pytest.mark.req("OCPP-52")
def test_the_begin_that_the_end_names_goes_before_that_of_the_start() -> None:
    start = told(STARTED, 0, 0, trigger="CablePluggedIn", begin_wh=Decimal(990), **CARD)
    ended = told(ENDED, 1, 60, begin_wh=Decimal(1000), end_wh=Decimal(9000))

    assert outer_registers([start, ended], [], at(2)) == (Decimal(1000), Decimal(9000))
    assert outer_registers([start], [], at(2)) == (Decimal(990), None)


@pytest.mark.req("OCPP-67")
def test_without_a_reading_before_it_the_first_is_the_begin() -> None:
    assert outer_registers(WHOLE, [(at(5), Decimal(7))], at(2)) == (Decimal(7), None)
    assert outer_registers(WHOLE, [], at(2)) == (None, None)


_STATES = st.sampled_from(["", "Charging", "EVConnected", "SuspendedEV", "SuspendedEVSE", "Idle"])
_EVENTS = st.builds(
    Told,
    kind=st.sampled_from([STARTED, UPDATED, ENDED]),
    seq_no=st.integers(0, 6),
    at=st.integers(0, 90).map(at),
    trigger=st.sampled_from(["Authorized", "CablePluggedIn", "Trigger"]),
    charging_state=_STATES,
    number=st.sampled_from([None, 1, 2]),
    id_token=st.sampled_from(["", "CARD", "OTHER"]),
    status=st.sampled_from(["", "Accepted", "Invalid"]),
)


@pytest.mark.req("OCPP-127", "OCPP-50", "OCPP-49")
@given(st.lists(_EVENTS, min_size=1, max_size=8), st.data())
def test_no_order_and_no_repetition_changes_what_events_come_to(events: list[Told], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(events), max_size=5))
    shuffled = data.draw(st.permutations([*events, *again]))
    registers = [(at(0), Decimal(1)), (at(50), Decimal(2))]

    assert course(shuffled) == course(events)
    assert outer_registers(shuffled, registers, BASE) == outer_registers(events, registers, BASE)
