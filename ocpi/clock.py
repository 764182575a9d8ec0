"""The database's time without asking it: this host's clock, set right by what the database said last (REL-52).

Due times and ages are compared in many processes on many hosts, so all of them go by one clock. Where SQL does the
comparing it says `statement_timestamp()`; where Python does, it asks here. The thread that listens for changes of the
registry measures the difference twice a minute; until it has, and in processes without one, it is none. Times in
documents are this host's (`alarms` tells when it is off by more than two seconds).
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

MEASURED_EVERY = 30.0  # seconds
_ahead = timedelta()  # how far this host is ahead of the database


def now() -> datetime:
    """Return the database's time."""
    return timezone.now() - _ahead


def seconds() -> float:
    """Return the database's time in seconds since 1970."""
    return time.time() - _ahead.total_seconds()


def measure(connection: Any) -> timedelta:
    """Ask the database for its time, over a psycopg connection; return how far this host is ahead.

    What lies between question and answer is no difference: only more than that counts.
    """
    global _ahead
    before = time.time()
    told = float(connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()[0])
    after = time.time()
    off = before - told if before > told else min(0.0, after - told)
    _ahead = timedelta(seconds=off)
    return _ahead


def forget() -> None:
    """Go by this host's clock again."""
    global _ahead
    _ahead = timedelta()
