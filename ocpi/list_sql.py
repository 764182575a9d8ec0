"""Columns, indexes and counts that make a table a list that costs the same however long it is (`ocpi/lists.py`)."""

from __future__ import annotations

from ocpi.counts import BLOCK_BITS


def listed(
    table: str, scope: str, *, moment: str = "last_updated", found_by: str = "scope", read: tuple[str, ...] = ()
) -> list[str]:
    """Return the SQL that makes a table a list; `scope` is an SQL expression over its columns, NULL = in no list.

    `found_by` is the column that rows are found by, `read` what else a listing's condition looks at.
    """
    also = f" INCLUDE ({', '.join(read)})" if read else ""
    return [
        f"ALTER TABLE {table} ADD COLUMN scope text GENERATED ALWAYS AS ({scope}) STORED;",
        # What is skipped or counted is read from the index alone.
        f"CREATE INDEX {table}_scope ON {table} ({found_by}, id) INCLUDE ({', '.join((moment, *read))}) "
        "WHERE scope IS NOT NULL;",
        f"CREATE INDEX {table}_moment ON {table} ({found_by}, {moment}, id){also} WHERE scope IS NOT NULL;",
        *keep_sql(table, moment=moment),
    ]


def not_listed(table: str) -> list[str]:
    """Return the SQL that takes all of it away again."""
    return [forget_sql(table), f"ALTER TABLE {table} DROP COLUMN scope;"]


def keep_sql(table: str, *, moment: str = "last_updated") -> list[str]:
    """Return the SQL that has the rows of a table counted by their columns `scope` (NULL = in no list) and `moment`."""
    columns = "(relation, scope, block, second, amount)"
    note = f"""
        INSERT INTO ocpi_objectcount {columns}
        SELECT '{table}', scope, id >> {BLOCK_BITS}, floor(extract(epoch FROM {moment}))::bigint, {{sign}}COUNT(*)
        FROM {{rows}} WHERE scope IS NOT NULL GROUP BY 2, 3, 4;"""  # noqa: S608 - our own names
    second = f"floor(extract(epoch FROM {{row}}.{moment}))::bigint"
    old, new = second.format(row="OLD"), second.format(row="NEW")
    return [
        f"""
CREATE FUNCTION note_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN {note.format(sign="", rows="added")}
    ELSE {note.format(sign="-", rows="removed")}
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION move_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ocpi_objectcount {columns}
    SELECT * FROM (VALUES ('{table}', OLD.scope, OLD.id >> {BLOCK_BITS}, {old}, -1),
                          ('{table}', NEW.scope, NEW.id >> {BLOCK_BITS}, {new}, 1)) each {columns}
    WHERE scope IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER note_added AFTER INSERT ON {table}
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION note_{table}();
CREATE TRIGGER note_removed AFTER DELETE ON {table}
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION note_{table}();
CREATE TRIGGER note_moved AFTER UPDATE ON {table} FOR EACH ROW
    WHEN ((OLD.scope, {old}) IS DISTINCT FROM (NEW.scope, {new})
          AND (OLD.scope IS NOT NULL OR NEW.scope IS NOT NULL))
    EXECUTE FUNCTION move_{table}();
""",  # noqa: S608
        f"DELETE FROM ocpi_objectcount WHERE relation = '{table}';"  # noqa: S608
        + note.format(sign="", rows=table),
    ]


def forget_sql(table: str) -> str:
    """Return the SQL that stops counting a table."""
    return f"DROP FUNCTION IF EXISTS note_{table}() CASCADE; DROP FUNCTION IF EXISTS move_{table}() CASCADE;"
