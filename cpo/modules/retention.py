"""Forget what has been kept long enough, per tenant and a batch at a time; thin out meter values (OCPP-29, OCPP-71).

Each function removes at most a batch, so that it never holds anything up, and is called again soon while there is more.
What belongs to no tenant any more, because its charge point was removed, is kept as long as by default.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection, transaction

BATCH = 20_000  # rows of a table in one go
ROUNDS = 5  # batches in one call
TRANSACTIONS = 500  # whose readings are thinned in one go
THINNED_MINUTES = 15
_LOCK = (0x4F4B << 40) + 1


def forget() -> int:
    """Remove what is too old everywhere; return how many rows."""
    return sum(_repeat(lambda statement=statement: _run(statement, [BATCH])) for statement in _OLD)  # type: ignore[misc]


def thin() -> int:
    """Leave of the meter values of old transactions the first, the last and one in a quarter of an hour each.

    Signed values stay: they prove a bill. Each transaction is thinned once; return how many were.
    """
    return _repeat(lambda: _run(_THIN, [TRANSACTIONS, THINNED_MINUTES * 60]))


def close_lost() -> int:
    """End connections in the history whose node died or was cut off, with the time the charge point was last seen."""
    return _run(_LOST, [])


def _repeat(once: Callable[[], int]) -> int:
    total = 0
    for _ in range(ROUNDS):
        found = once()
        total += found
        if not found:
            break
    return total


def _run(statement: str, parameters: list[Any]) -> int:
    """Run a statement that returns one number, unless another worker is at it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(statement, parameters)
        return int(cursor.fetchone()[0])


# Frames are numbered as they come, so the oldest are found along the primary key: what is younger than the shortest
# time any tenant keeps is not looked at.
_FRAMES = """
WITH days AS MATERIALIZED (
    SELECT p.id, make_interval(days => t.frame_days) AS kept FROM cpo_chargepoint p
    JOIN cpo_tenantpolicy t ON upper(t.country_code) = upper(p.country_code) AND upper(t.party_id) = upper(p.party_id)
), gone AS (
    DELETE FROM cpo_framelog WHERE id IN (
        SELECT f.id FROM cpo_framelog f LEFT JOIN days d ON d.id = f.charge_point_id
        WHERE f.at < now() - least(interval '14 days', (SELECT min(kept) FROM days))
          AND f.at < now() - coalesce(d.kept, interval '14 days')
        LIMIT %s)
    RETURNING 1
) SELECT count(*) FROM gone
"""
_BY_TENANT = """
WITH days AS MATERIALIZED (
    SELECT p.id, make_interval(days => t.history_days) AS kept FROM cpo_chargepoint p
    JOIN cpo_tenantpolicy t ON upper(t.country_code) = upper(p.country_code) AND upper(t.party_id) = upper(p.party_id)
), gone AS (
    DELETE FROM {table} WHERE id IN (
        SELECT h.id FROM {table} h LEFT JOIN days d ON d.id = h.charge_point_id
        WHERE h.{column} < now() - least(interval '90 days', (SELECT min(kept) FROM days))
          AND h.{column} < now() - coalesce(d.kept, interval '90 days')
        ORDER BY h.{column} LIMIT %s)
    RETURNING 1
) SELECT count(*) FROM gone
"""
_OLD = (
    _FRAMES,
    _BY_TENANT.format(table="cpo_chargepointconnection", column="since"),
    _BY_TENANT.format(table="cpo_connectorhistory", column="received_at"),
    _BY_TENANT.format(table="cpo_stationalarm", column="cleared_at"),
)
_THIN = """
WITH due AS (
    SELECT t.id FROM cpo_transaction t JOIN cpo_chargepoint p ON p.id = t.charge_point_id
    LEFT JOIN cpo_tenantpolicy y ON upper(y.country_code) = upper(p.country_code)
        AND upper(y.party_id) = upper(p.party_id)
    WHERE t.thinned_at IS NULL AND t.stopped_at IS NOT NULL
      AND t.stopped_at < now() - make_interval(days => coalesce(y.reading_days, 90))
      AND NOT t.held AND t.cdr_due_at IS NULL
    ORDER BY t.stopped_at LIMIT %s
), thinned AS (
    UPDATE cpo_transaction t SET thinned_at = now() FROM due WHERE t.id = due.id RETURNING t.id
), placed AS (
    SELECT r.id, r.signed = '' AND r.signatures = '[]' AS unsigned,
           row_number() OVER (PARTITION BY r.transaction_id ORDER BY r.at, r.id) AS from_first,
           row_number() OVER (PARTITION BY r.transaction_id ORDER BY r.at DESC, r.id DESC) AS from_last,
           row_number() OVER (PARTITION BY r.transaction_id, floor(extract(epoch FROM r.at) / %s), r.flag
                              ORDER BY (r.register_wh IS NULL), r.at, r.id) AS in_quarter
    FROM cpo_meterreading r JOIN due ON due.id = r.transaction_id
), gone AS (
    DELETE FROM cpo_meterreading r USING placed
    WHERE r.id = placed.id AND from_first > 1 AND from_last > 1 AND in_quarter > 1 AND placed.unsigned
    RETURNING 1
) SELECT (SELECT count(*) FROM thinned) + 0 * (SELECT count(*) FROM gone)
"""
_LOST = """
WITH lost AS (
    UPDATE cpo_chargepointconnection c SET until = greatest(c.since, p.last_seen_at), reason = 'nobody saw its end'
    FROM cpo_chargepoint p
    WHERE p.id = c.charge_point_id AND c.until IS NULL AND (p.epoch > c.epoch OR NOT p.online)
      AND c.since < now() - interval '1 minute' AND coalesce(p.connected_at, c.since) < now() - interval '1 minute'
      AND p.last_seen_at < now() - interval '30 seconds'
    RETURNING 1
) SELECT count(*) FROM lost
"""
