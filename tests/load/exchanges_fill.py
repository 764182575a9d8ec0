"""A million exchanges as a busy hub has them: many of one kind, few that failed, ids of their own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg

# Each row is worked out from its number n: 50 CPOs with 20 Locations each, 50 eMSPs, one in 50 fails, messages of four
# legs. Bodies as of a status change.
_ROWS = """
INSERT INTO ocpi_exchange (id, at, direction, platform_id, method, url, module, object_path, request_id, correlation_id,
                           from_party, to_party, http_status, status_code, milliseconds, error, request_headers,
                           request_body, response_headers, response_body, owner, object_id)
SELECT (extract(epoch FROM moment) * 1000)::bigint << 22 | (n & 4194303), moment, direction,
       CASE WHEN direction = 'IN' THEN cpo ELSE 100 + emsp END, method,
       '/ocpi/hub/2.2.1/' || module || '/NL/C' || lpad(cpo::text, 2, '0') || '/' || object_id, module,
       'NL/C' || lpad(cpo::text, 2, '0') || '/' || object_id, md5('request' || n)::uuid, md5('message' || n / 4)::uuid,
       'NL*C' || lpad(cpo::text, 2, '0'), 'DE*E' || lpad(emsp::text, 2, '0'),
       CASE WHEN n %% 100 = 0 THEN NULL ELSE 200 END,
       CASE WHEN n %% 100 = 0 THEN NULL WHEN n %% 100 = 50 THEN 2001 ELSE 1000 END, 3.5,
       CASE WHEN n %% 100 = 0 THEN 'NoAnswer: timed out' ELSE '' END,
       repeat('X-Header: some value of an usual length' || chr(10), 9),
       '{"status":"CHARGING","last_updated":"2026-01-01T00:00:00Z","filler":"' || repeat('x', 200) || '"}',
       repeat('X-Header: some value' || chr(10), 5), '{"status_code":1000,"timestamp":"2026-01-01T00:00:00Z"}',
       'NL*C' || lpad(cpo::text, 2, '0'), object_id
FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
CROSS JOIN LATERAL (
    SELECT %(start)s::timestamptz + (n - %(first)s) * make_interval(secs => %(step)s) AS moment,
           CASE WHEN n %% 4 = 0 THEN 'IN' ELSE 'OUT' END AS direction,
           (n / 4 * 7919 %% 50)::int AS cpo, (n * 31 %% 50)::int AS emsp,
           (ARRAY['locations', 'locations', 'locations', 'locations', 'sessions', 'sessions', 'tokens', 'tariffs',
                  'commands', 'cdrs'])[n / 4 %% 10 + 1] AS module,
           (ARRAY['PATCH', 'PUT', 'PATCH', 'POST', 'GET'])[n / 4 %% 5 + 1] AS method
) first CROSS JOIN LATERAL (
    SELECT CASE WHEN module = 'locations' THEN 'LOC' || n / 4 * 104729 %% 1000 ELSE upper(module) || n / 4 END
           AS object_id) second
"""


def fill(database_url: str, rows: int, days: int, *, settled: bool = True) -> None:
    """Make so many exchanges, spread over the last `days`; `settled`: vacuumed, as autovacuum leaves them."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    each = rows // days
    with psycopg.connect(database_url, autocommit=True) as connection:
        for number in range(days):
            start = today - timedelta(days=days - 1 - number)
            _day(connection, start)
            first = number * each
            connection.execute(_ROWS, {"first": first, "last": first + each - 1, "start": start, "step": 86_000 / each})
        connection.execute("VACUUM ANALYZE ocpi_exchange" if settled else "ANALYZE ocpi_exchange")


def _day(connection: psycopg.Connection, start: datetime) -> None:
    end = start + timedelta(days=1)
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS ocpi_exchange_{start:%Y%m%d} PARTITION OF ocpi_exchange "
        f"FOR VALUES FROM ('{start.isoformat()}') TO ('{end.isoformat()}')"
    )
