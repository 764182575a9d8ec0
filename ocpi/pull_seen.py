"""Which objects the full pull under way has seen, so that the others can go when it ends (TRN-106)."""

from __future__ import annotations

from collections.abc import Collection

from django.db import connection

from ocpi.headers import Address


def see(cursor_id: int, keys: Collection[str]) -> None:
    """Note what a full pull has seen."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ocpi_pullseen (cursor_id, key) SELECT %s, key FROM unnest(%s::text[]) key "
            "ON CONFLICT DO NOTHING",
            [cursor_id, sorted(set(keys))],
        )


def seen_owners(cursor_id: int) -> list[Address]:
    """Return the owners of what a full pull has seen."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT split_part(key, '*', 1), split_part(key, '*', 2) FROM ocpi_pullseen WHERE cursor_id = %s",
            [cursor_id],
        )
        return [Address(*row) for row in cursor.fetchall()]


def forget(cursor_id: int) -> None:
    """Forget what a pull has seen: another begins, or it has ended."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM ocpi_pullseen WHERE cursor_id = %s", [cursor_id])
