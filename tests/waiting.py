"""Who waits for a lock: told of this database only, since tests of other processes share its server."""

from __future__ import annotations

# Asked of pg_locks twice, for a lock on a transaction names no database and pg_stat_activity stands still in one.
HOW_MANY = (
    "SELECT count(*) FROM pg_locks w WHERE NOT granted AND EXISTS (SELECT FROM pg_locks h JOIN pg_database d "
    "ON d.oid = h.database WHERE h.pid = w.pid AND d.datname = current_database())"
)
