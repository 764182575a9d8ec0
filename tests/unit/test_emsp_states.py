"""What may follow what in the life of a command we sent."""

from __future__ import annotations

import pytest

from emsp import command_states
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
    assert not command_states.takes(state, "result")
    with pytest.raises(IllegalTransition):
        command_states.next_state(state, "result")
