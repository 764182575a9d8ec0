"""What may follow what in the life of a command we sent."""

from __future__ import annotations

import pytest

from emsp import chargingprofile_states, command_states, reservation_states
from ocpi.transitions import IllegalTransition


@pytest.mark.req("CMD-08", "CMD-14", "CMD-21")
@pytest.mark.parametrize(
    ("events", "state"),
    [
        (["accepted", "result"], "DONE"),
        (["result", "accepted"], "DONE"),
        (["result", "failed"], "DONE"),
        (["accepted", "expired"], "EXPIRED"),
        (["refused"], "REFUSED"),
        (["failed", "result"], "DONE"),
        (["accepted", "result", "result"], "DONE"),
        (["accepted", "expired", "reported"], "DONE"),
    ],
)
def test_what_follows(events: list[str], state: str) -> None:
    now = "SENT"
    for event in events:
        assert command_states.takes(now, event)
        now = command_states.next_state(now, event)

    assert now == state


@pytest.mark.req("CMD-21")
@pytest.mark.parametrize("state", ["REFUSED", "EXPIRED"])
def test_nothing_comes_after_the_end(state: str) -> None:
    assert not chargingprofile_states.takes(state, "result")
    assert not command_states.takes(state, "result")
    with pytest.raises(IllegalTransition):
        command_states.next_state(state, "result")


@pytest.mark.req("CHP-16")
@pytest.mark.parametrize(
    ("events", "state"),
    [
        (["accepted", "result"], "DONE"),
        (["result", "accepted"], "DONE"),
        (["accepted", "expired"], "EXPIRED"),
        (["refused"], "REFUSED"),
        (["failed", "result"], "DONE"),
    ],
)
def test_what_follows_a_request_about_a_profile(events: list[str], state: str) -> None:
    now = "SENT"
    for event in events:
        now = chargingprofile_states.next_state(now, event)

    assert now == state


@pytest.mark.req("CMD-37")
@pytest.mark.parametrize(
    ("events", "state"),
    [
        (["confirmed"], "RESERVED"),
        (["confirmed", "requested", "refused"], "RESERVED"),
        (["refused", "requested"], "REQUESTED"),
        (["confirmed", "canceled"], "CANCELED"),
        (["confirmed", "canceled_by_cpo"], "CANCELED_BY_CPO"),
        (["over"], "EXPIRED"),
    ],
)
def test_what_follows_a_request_for_a_reservation(events: list[str], state: str) -> None:
    now = "REQUESTED"
    for event in events:
        now = reservation_states.next_state(now, event)

    assert now == state
