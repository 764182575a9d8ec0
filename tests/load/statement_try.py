"""Fill a database with reviewed CDRs, issue one statement of them, and compare its sums with the database's."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal

import django

_FILL = """
INSERT INTO ocpi_cdrreview (
    country_code, party_id, cdr_id, emsp_country_code, emsp_party_id, digest, session_id, token_uid, token_type,
    location_id, evse_uid, connector_id, start_at, end_at, energy, currency, total_excl_vat, total_incl_vat,
    credit_reference_id, received_at, verdict, rates)
SELECT 'NL', 'TNM', 'CDR-' || n, 'DE', 'EMS', md5(n::text), 'S-' || n, 'T-' || n %% 5000, 'RFID', 'L',
    'E-' || n %% 900, '1', moment - interval '1 hour', moment, 10 + n %% 50, 'EUR',
    excl, round(excl * (1 + rate / 100.0), 4), '', moment,
    'good', json_build_array(json_build_array(
        rate::text, excl::text, (round(excl * (1 + rate / 100.0), 4) - excl)::text))
FROM (SELECT n, timestamptz '2026-10-01' + n * interval '20 seconds' AS moment,
             round((n * 7919 %% 600000) / 10000.0, 4) AS excl,
             CASE n %% 3 WHEN 0 THEN 21 WHEN 1 THEN 19 ELSE 0 END AS rate
      FROM generate_series(1, %s) AS n) AS made
"""
_SUM = """
SELECT sum(excl), sum(vat) FROM (
    SELECT round(sum(total_excl_vat), 2) AS excl, round(sum(total_incl_vat - total_excl_vat), 2) AS vat
    FROM ocpi_cdrreview WHERE end_at < %s GROUP BY rates::json -> 0 ->> 0) AS by_rate
"""


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    django.setup()
    from django.db import connection

    from ocpi import statements
    from ocpi.headers import Address

    rows = int(sys.stdin.read())
    since, until = statements.month(2026, 10)
    with connection.cursor() as cursor:
        cursor.execute(_FILL, [rows])
        cursor.execute("ANALYZE ocpi_cdrreview")
    started = time.monotonic()
    pair = statements.Pair(Address("NL", "TNM"), Address("DE", "EMS"), "EUR")
    made = statements.issue(pair, since, until, by="bench")
    seconds = time.monotonic() - started
    started = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(_SUM, [until])
        excl, vat = cursor.fetchone()
    sum_seconds = time.monotonic() - started
    equal = (made.excl_vat, made.vat, made.cdrs) == (excl, vat, _number(rows, until))
    print(json.dumps({"seconds": seconds, "sum_seconds": sum_seconds, "equal": equal, "cdrs": made.cdrs,
                      "excl_vat": str(made.excl_vat), "sum": str(Decimal(excl))}))  # fmt: skip


def _number(rows: int, until: datetime) -> int:
    begin = datetime(2026, 10, 1, tzinfo=UTC)
    return min(rows, int((until - begin).total_seconds() // 20) - 1)


if __name__ == "__main__":
    main()
