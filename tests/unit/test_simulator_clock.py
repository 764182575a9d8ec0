"""The simulated charge point's clock: fast, never ahead, put back between sessions, and never twice at one time."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest

from cpo.simulator.clock import Clock, Epoch


async def _left(clock: Clock) -> timedelta:
    return datetime.now(UTC) - clock.now()


def test_a_fast_clock_that_nears_the_real_time_is_put_back() -> None:
    async def trial() -> tuple[timedelta, timedelta, timedelta]:
        clock = Clock(seconds_per_minute=0.001, behind=timedelta(hours=1))  # an hour in 60 ms
        before = await _left(clock)
        await asyncio.sleep(0.05)
        near = await _left(clock)
        clock.leave_room()
        return before, near, await _left(clock)

    before, near, after = asyncio.run(trial())

    assert before > timedelta(minutes=50)
    assert near < timedelta(minutes=15)
    assert after > timedelta(minutes=50)


def test_a_clock_with_time_left_or_of_real_speed_is_left_alone() -> None:
    async def trial() -> tuple[timedelta, timedelta]:
        fast, real = Clock(1, timedelta(hours=1)), Clock(60, timedelta(hours=1))
        for clock in (fast, real):
            clock.now()
            clock.leave_room()
        return await _left(fast), await _left(real)

    fast, real = asyncio.run(trial())

    assert timedelta(minutes=59) < fast <= timedelta(hours=1)
    assert real < timedelta(seconds=1)


class Seconds:
    """The loop's clock, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.value = 0.0
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: self)

    def time(self) -> float:
        return self.value


def test_no_time_is_lived_twice_however_long_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds, clock = Seconds(monkeypatch), Clock(0.5, timedelta(hours=24))
    lived: list[tuple[datetime, datetime]] = []

    for _ in range(400):  # sessions of an hour with half an hour between, for some 25 days
        clock.leave_room()
        start = clock.now()
        seconds.value += 30
        lived.append((start, clock.now()))
        seconds.value += 15

    lived.sort()
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(lived))
    assert {end - start for start, end in lived} == {timedelta(hours=1)}


def test_charge_points_that_share_an_epoch_agree_about_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds, epoch = Seconds(monkeypatch), Epoch()
    early, late = (Clock(0.5, timedelta(hours=24), epoch) for _ in range(2))

    for _ in range(20):
        early.leave_room()
        early.now()
        seconds.value += 400  # some 13 hours
        late.leave_room()
        early.leave_room()
        assert early.now() == late.now()
