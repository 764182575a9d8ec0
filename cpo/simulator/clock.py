"""The simulated charge point's own time.

`seconds_per_minute` says how many real seconds one of its minutes takes, so that an hour of charging can pass in a few
seconds while timestamps and energy stay believable. It never runs ahead of the real time: a fast clock starts behind.

Before it reaches the real time it is put back, between two sessions, to a time in which nobody has charged yet: a
stretch of time is lived once. Charge points that share an `Epoch` agree about what time it is, so that a card that goes
from one to the next is not in two places at once.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta


@dataclass(slots=True)
class Epoch:
    """When the clocks that share it began; the first look at one of them says."""

    _began: tuple[datetime, float] | None = field(default=None)

    def passed(self, loop_time: float) -> tuple[datetime, float]:
        """Return the real time of the beginning, and the seconds since."""
        if self._began is None:
            self._began = (datetime.now(UTC), loop_time)
        began_at, since = self._began
        return began_at, loop_time - since


class Clock:
    """A clock that may run faster than the real one, and then starts `behind` it."""

    def __init__(self, seconds_per_minute: float, behind: timedelta, epoch: Epoch | None = None) -> None:
        self._seconds_per_minute = seconds_per_minute
        self._behind = behind if seconds_per_minute < 60 else timedelta(0)
        self._epoch = epoch or Epoch()
        self._laps = 0

    def now(self) -> datetime:
        """Return the time; the first look starts the clock."""
        began_at, passed = self._look()
        # A lap may last a quarter of `behind` longer than planned before it comes to where the lap before it began.
        put_back = self._laps * (self._behind + self._lap)
        return min(began_at - self._behind + passed - put_back, datetime.now(UTC))

    def leave_room(self) -> None:
        """Put a fast clock whose stretch of time is used up back before all that it has lived, between two sessions.

        Otherwise it would be held at the real time, and energy would flow faster than any charge point gives it.
        """
        if self._lap:
            self._laps = self._look()[1] // self._lap

    @property
    def _lap(self) -> timedelta:
        return self._behind * 3 / 4

    def _look(self) -> tuple[datetime, timedelta]:
        began_at, seconds = self._epoch.passed(asyncio.get_running_loop().time())
        return began_at, timedelta(seconds=seconds * 60 / self._seconds_per_minute)

    async def pass_minutes(self, minutes: float) -> None:
        await asyncio.sleep(minutes * self._seconds_per_minute)


def write(at: datetime) -> str:
    """Write a moment as OCPP wants it."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
