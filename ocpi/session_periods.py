"""The charging periods in a PATCH of a Session: they are added to those that are there (SES-29, SES-32)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from ocpi import documents, status
from ocpi.v2_2_1.types import parse_datetime

MEMBER = "charging_periods"


def added(stored: str, change: bytes | str) -> str:
    """Return a PATCH that brings a Session's periods as they are after it, in order of their start.

    Absent, null and [] change nothing: only a PUT takes periods away (SES-30). One with the start of a stored one
    replaces it: a PATCH may come twice (SES-32).

    :raises InvalidParameters: if a start is no DateTime.
    """
    members = documents.members(change)
    found = members.pop(MEMBER, None)
    new = documents.elements(found, MEMBER) if found is not None else []
    if new:
        before = documents.members(stored).get(MEMBER)
        periods = [*(documents.elements(before, MEMBER) if before is not None else []), *new]
        by_start = {_start(period): period for period in periods}
        members[MEMBER] = documents.raw(msgspec.json.encode([by_start[start] for start in sorted(by_start)]))
    return documents.text(members)


def _start(period: msgspec.Raw) -> datetime:
    try:
        return parse_datetime(str(documents.get(bytes(period), "start_date_time")))
    except ValueError as error:
        raise status.InvalidParameters(f"{MEMBER}.start_date_time", "must be a DateTime") from error
