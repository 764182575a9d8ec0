"""The simulated charge point's own time.

`seconds_per_minute` says how many real seconds one of its minutes takes, so that an hour of charging can pass in a few
seconds while timestamps and energy stay believable. It never runs ahead of the real time: a fast clock starts behind.
"""

import asyncio
from datetime import UTC, datetime, timedelta


class Clock:
    """A clock that may run faster than the real one."""

    def __init__(self, seconds_per_minute: float, behind: timedelta) -> None:
        self._seconds_per_minute = seconds_per_minute
        self._behind = behind if seconds_per_minute < 60 else timedelta(0)
        self._began: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """Return the time; the first look starts the clock."""
        loop_time = asyncio.get_running_loop().time()
        if self._began is None:
            self._began = (datetime.now(UTC) - self._behind, loop_time)
        began_at, since = self._began
        passed = timedelta(seconds=(loop_time - since) * 60 / self._seconds_per_minute)
        return min(began_at + passed, datetime.now(UTC))

    def leave_room(self) -> None:
        """Put a fast clock that nears the real time back to where it began, between two sessions.

        Otherwise it would be held at the real time, and energy would flow faster than any charge point gives it.
        """
        if self._began is not None and self._behind and datetime.now(UTC) - self.now() < self._behind / 4:
            self._began = (datetime.now(UTC) - self._behind, asyncio.get_running_loop().time())

    async def pass_minutes(self, minutes: float) -> None:
        await asyncio.sleep(minutes * self._seconds_per_minute)


def write(at: datetime) -> str:
    """Write a moment as OCPP wants it."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
