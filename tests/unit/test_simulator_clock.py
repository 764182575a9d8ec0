"""The simulated charge point's clock: fast, never ahead, and put back between sessions."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from cpo.simulator.clock import Clock


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
