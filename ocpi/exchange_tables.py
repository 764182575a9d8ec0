"""What PostgreSQL keeps of exchanges beside their rows: columns and indexes that searches live on (adr/0017).

One narrow index in the order of time holds all columns that are searched by value, so that any combination of them is
answered from the index alone, also if nothing matches. Of ids a B-tree holds the hash: four octets, whatever their
length, and one entry for all rows about one object, where a hash index would walk through all of these (adr/0029).
"""

from __future__ import annotations

from typing import Any

COLUMNS = """
ALTER TABLE ocpi_exchange ADD COLUMN IF NOT EXISTS owner varchar(6) NOT NULL DEFAULT '';
ALTER TABLE ocpi_exchange ADD COLUMN IF NOT EXISTS object_id varchar(100) NOT NULL DEFAULT '';
"""
COLUMNS_REVERSE = """
ALTER TABLE ocpi_exchange DROP COLUMN IF EXISTS owner;
ALTER TABLE ocpi_exchange DROP COLUMN IF EXISTS object_id;
"""
INDEXES = {
    "exchange_in_time": "(id) INCLUDE (at, direction, platform_id, method, module, from_party, to_party, owner, "
    "http_status, status_code)",
    "exchange_of_message": "USING hash (correlation_id)",
    "exchange_of_request": "USING hash (request_id)",
    "exchange_of_object": "USING hash (object_id)",
}
BY_HASH = {
    "exchange_by_message_hash": "(hashtext(correlation_id))",
    "exchange_by_request_hash": "(hashtext(request_id))",
    "exchange_by_object_hash": "(hashtext(object_id))",
}
HASHED = {name: INDEXES[name] for name in ("exchange_of_message", "exchange_of_request", "exchange_of_object")}
REPLACED = {"exchange_by_platform": "(platform_id, at)", "exchange_by_correlation": "(correlation_id)"}
_PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'ocpi_exchange'::regclass"
_INVALID = (
    "SELECT 1 FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
    "WHERE relname = %s AND NOT indisvalid AND relkind = 'i'"
)
_MISSING = "SELECT NOT EXISTS (SELECT 1 FROM pg_inherits WHERE inhrelid = to_regclass(%s) AND inhparent = %s::regclass)"


def is_id(column: str) -> str:
    """Return the condition that an id is a certain one, as the index of hashes answers it; it takes the id twice."""
    return f"(hashtext({column}) = hashtext(%s) AND {column} = %s)"


def index(connection: Any, indexes: dict[str, str]) -> None:
    """Make indexes of the table and of each of its days, one after the other, while it is written to (REL-57).

    May be run again after it was interrupted. Not for use inside a transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(_PARTITIONS)
        days = [str(row[0]) for row in cursor.fetchall()]
        for name, definition in indexes.items():
            cursor.execute(f"CREATE INDEX IF NOT EXISTS {name} ON ONLY ocpi_exchange {definition}")
            for day in days:
                _index_day(cursor, name, definition, day)


def drop(connection: Any, indexes: dict[str, str]) -> None:
    """Drop indexes of the table and of all its days."""
    with connection.cursor() as cursor:
        for name in indexes:
            cursor.execute(f"DROP INDEX IF EXISTS {name}")


def _index_day(cursor: Any, name: str, definition: str, day: str) -> None:
    own = f"{name}_of_{day.removeprefix('ocpi_exchange_')}"
    cursor.execute(_INVALID, [own])
    if cursor.fetchone():  # it was interrupted
        cursor.execute(f"DROP INDEX CONCURRENTLY {own}")
    cursor.execute(_MISSING, [own, name])
    if cursor.fetchone()[0]:
        cursor.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {own} ON {day} {definition}")
        cursor.execute(f"ALTER INDEX {name} ATTACH PARTITION {own}")
