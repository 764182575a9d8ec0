"""Columns, indexes and counts that make a table a list that costs the same however long it is (`ocpi/lists.py`)."""

from __future__ import annotations

from ocpi import counts


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
        *counts.keep_sql(table, moment=moment),
    ]


def not_listed(table: str) -> list[str]:
    """Return the SQL that takes all of it away again."""
    return [counts.forget_sql(table), f"ALTER TABLE {table} DROP COLUMN scope;"]
