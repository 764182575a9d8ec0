"""What the hub removes by itself, in small steps; all of it may run twice at once."""

from __future__ import annotations

from django.conf import settings
from django.db import connection

_STEP = 5_000
# An ARRAY, since a plan may run a subquery of IN again for each row, each time with others.
_SESSIONS = """
DELETE FROM hub_sharedobject WHERE id = ANY(ARRAY(
    SELECT id FROM hub_sharedobject WHERE module IN ('sessions', 'cdrs') AND scope IS NOT NULL
        AND moment < now() - %s * interval '1 day'
    LIMIT %s FOR UPDATE SKIP LOCKED))
"""
_CALLBACKS = """
DELETE FROM hub_callback WHERE id = ANY(ARRAY(
    SELECT id FROM hub_callback WHERE expires_at < now() - interval '1 day' LIMIT %s FOR UPDATE SKIP LOCKED))
"""


def forget_sessions() -> int:
    """Remove Sessions and CDRs that nobody changed for OCPI_HUB_SESSION_DAYS; return how many."""
    return _in_steps(_SESSIONS, settings.OCPI_HUB_SESSION_DAYS)


def forget_callbacks() -> int:
    """Remove URLs that ended more than a day ago; return how many."""
    return _in_steps(_CALLBACKS)


def _in_steps(sql: str, *values: int) -> int:
    removed = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(sql, [*values, _STEP])
            count = int(cursor.rowcount)
        removed += count
        if count < _STEP:
            return removed
