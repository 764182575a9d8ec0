"""Empty the database after a test that committed: only the tables that have rows, instead of some 150 new files.

TRUNCATE gives every table and every index a new file, whether there was a row or not, and Django then writes content
types and permissions again. Here those stay, and rows are deleted where there are any, which after one test are few.
"""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.test import TransactionTestCase

KEPT = ("django_migrations", "django_content_type", "auth_permission")
_TABLES = """
    SELECT quote_ident(relname), EXISTS (SELECT FROM pg_trigger WHERE tgrelid = pg_class.oid AND NOT tgisinternal)
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
      AND relname <> ALL(%s)
    ORDER BY relname
"""


def empty() -> None:
    """Delete all rows of all tables but those that describe the models."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_TABLES, [list(KEPT)])
        triggers = dict(cursor.fetchall())
        # Whoever still writes in the background is waited for, so that none of its rows outlives this.
        cursor.execute(f"LOCK TABLE {', '.join(triggers)} IN SHARE MODE")
        cursor.execute(" UNION ALL ".join(f"(SELECT '{name}' FROM {name} LIMIT 1)" for name in triggers))  # noqa: S608
        filled = [name for (name,) in cursor.fetchall()]
        watched = [name for name in filled if triggers[name]]  # they forbid it, or write rows elsewhere
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        for name in watched:
            cursor.execute(f"ALTER TABLE {name} DISABLE TRIGGER USER")
        for name in filled:
            cursor.execute(f"DELETE FROM {name}")  # noqa: S608 our own names
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for name in watched:
            cursor.execute(f"ALTER TABLE {name} ENABLE TRIGGER USER")


def use(patch: pytest.MonkeyPatch) -> None:
    """Have every test with `transaction=True` end so."""
    patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _self: empty())
