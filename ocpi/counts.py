"""How many rows a table has, without counting them: triggers note each change, `compact` sums the notes up.

Notes are only ever inserted, so writers never wait for each other (a single counter row would make them).
"""

from __future__ import annotations

from django.db import connection, transaction


def migration_sql(table: str, scope: str = "''") -> str:
    """Return the SQL that keeps the counts of a table; `scope` is an SQL expression over the row's columns."""
    return f"""
    CREATE FUNCTION count_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'DELETE' THEN
            INSERT INTO ocpi_objectcount (relation, scope, amount)
            SELECT '{table}', {scope}, COUNT(*) FROM added GROUP BY 2;
        END IF;
        IF TG_OP <> 'INSERT' THEN
            INSERT INTO ocpi_objectcount (relation, scope, amount)
            SELECT '{table}', {scope}, -COUNT(*) FROM removed GROUP BY 2;
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER count_added AFTER INSERT ON {table}
        REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_{table}();
    CREATE TRIGGER count_removed AFTER DELETE ON {table}
        REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_{table}();
    """  # noqa: S608 - names of ours


def scope_change_sql(table: str, scope: str, columns: str) -> str:
    """Return the SQL for a table whose rows move between scopes when one of these columns changes."""
    old = _of("OLD", scope, columns)
    new = _of("NEW", scope, columns)
    return f"""
    CREATE FUNCTION recount_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO ocpi_objectcount (relation, scope, amount) VALUES ('{table}', {old}, -1), ('{table}', {new}, 1);
        RETURN NULL;
    END $$;
    CREATE TRIGGER count_moved AFTER UPDATE ON {table} FOR EACH ROW
        WHEN (({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION recount_{table}();
    """  # noqa: S608 - names of ours


def reverse_sql(table: str) -> str:
    """Return the SQL that takes the triggers away again."""
    return f"DROP FUNCTION IF EXISTS count_{table}() CASCADE; DROP FUNCTION IF EXISTS recount_{table}() CASCADE;"


def compact() -> None:
    """Sum the notes of each scope up into one. Two at once do no harm: the second finds nothing to lock."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('ocpi_objectcount'))")
        if not cursor.fetchone()[0]:
            return
        cursor.execute(
            "WITH gone AS (DELETE FROM ocpi_objectcount RETURNING relation, scope, amount) "
            "INSERT INTO ocpi_objectcount (relation, scope, amount) "
            "SELECT relation, scope, SUM(amount) FROM gone GROUP BY relation, scope HAVING SUM(amount) <> 0"
        )


def _of(row: str, scope: str, columns: str) -> str:
    for column in columns.split(","):
        scope = scope.replace(column.strip(), f"{row}.{column.strip()}")
    return scope
