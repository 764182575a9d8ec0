"""Hot statements as the database's prepared statements: parsed and planned once for each connection.

Django's cursors put the values into the text, so that PostgreSQL plans every statement anew; for a statement with joins
and a conflict rule that costs more than running it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from django.db import connection


def fetch_all(sql: str, values: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement in the caller's transaction and return its rows."""
    with connection.wrap_database_errors:
        connection.ensure_connection()
        raw = connection.connection
        raw.prepare_threshold = 0
        with psycopg.Cursor(raw) as cursor:
            cursor.execute(sql, values)
            if connection.queries_logged:  # tests count statements
                connection.queries_log.append({"sql": sql, "time": "0"})
            return cursor.fetchall() if cursor.description else []
