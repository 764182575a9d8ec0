"""Raise alarms about charge points and clear them when they are over: every condition in one statement (OCPP-108).

The limits are each tenant's own. What is found is compared with the alarms that are open: new ones are raised, those
no longer found are cleared and stay as history.
"""

from __future__ import annotations

import logging

from django.db import connection, transaction

log = logging.getLogger(__name__)

_LOCK = (0x4F4B << 40) + 2


def look() -> int:
    """Bring the alarms up to date; return how many were raised or cleared."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return 0  # another worker is at it
        cursor.execute(_LOOK)
        raised, cleared = cursor.fetchone()
    if raised or cleared:
        log.info("alarms of charge points: %s raised, %s over", raised, cleared)
    return int(raised + cleared)


# Who was never connected is not missed; who is out of service is not either.
_LOOK = """
WITH limits AS MATERIALIZED (
    SELECT p.id, p.identity, p.online, p.last_seen_at, p.connected_at, p.clock_offset,
           make_interval(mins => coalesce(t.offline_minutes, 15)) AS offline,
           make_interval(mins => coalesce(t.faulted_minutes, 5)) AS faulted,
           coalesce(t.reconnects_per_hour, 10) AS reconnects,
           coalesce(t.clock_seconds, 60) AS clock,
           make_interval(hours => coalesce(t.stale_hours, 24)) AS stale
    FROM cpo_chargepoint p
    LEFT JOIN cpo_tenantpolicy t ON upper(t.country_code) = upper(p.country_code)
        AND upper(t.party_id) = upper(p.party_id)
    WHERE p.decommissioned_at IS NULL
), found AS MATERIALIZED (
    SELECT id AS charge_point_id, 'offline' AS kind, '' AS subject,
           'not connected since ' || to_char(last_seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC' AS text
    FROM limits WHERE NOT online AND connected_at IS NOT NULL AND last_seen_at < now() - offline
    UNION ALL
    SELECT l.id, 'faulted', 'connector ' || c.connector_id, concat_ws(' ', 'Faulted', nullif(c.error_code, 'NoError'))
    FROM cpo_chargepointconnector c JOIN limits l ON l.id = c.charge_point_id
    WHERE c.status = 'Faulted' AND c.status_at <= now() - faulted
    UNION ALL
    SELECT l.id, 'reconnects', '', many.number || ' connections in an hour'
    FROM (SELECT charge_point_id, count(*) AS number FROM cpo_chargepointconnection
          WHERE since > now() - interval '1 hour' AND epoch > 1 GROUP BY charge_point_id) many
    JOIN limits l ON l.id = many.charge_point_id WHERE many.number > l.reconnects
    UNION ALL
    SELECT id, 'clock', '', round(abs(clock_offset)::numeric) || CASE WHEN clock_offset > 0 THEN ' s ahead'
           ELSE ' s behind' END
    FROM limits WHERE online AND abs(clock_offset) > clock
    UNION ALL
    SELECT l.id, 'stale', t.transaction_id::text, 'silent since '
           || to_char(greatest(t.started_at, t.last_at, t.heard_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC'
    FROM cpo_transaction t JOIN limits l ON l.id = t.charge_point_id
    WHERE t.stopped_at IS NULL AND greatest(t.started_at, t.last_at, t.heard_at) < now() - l.stale
    UNION ALL
    SELECT m.charge_point_id, 'parked', '', count(*) || ' parked, the first: ' || min(m.action)
    FROM cpo_inboxmessage m JOIN limits l ON l.id = m.charge_point_id WHERE m.state = 'FAILED' GROUP BY 1
    UNION ALL
    SELECT u.charge_point_id, 'unmatched', '', count(*) || ' stops'
    FROM cpo_unmatchedstop u JOIN limits l ON l.id = u.charge_point_id GROUP BY 1
    UNION ALL
    SELECT k.charge_point_id, 'local_list', '', k.error
    FROM cpo_locallist k JOIN limits l ON l.id = k.charge_point_id WHERE k.state = 'FAILED' AND k.wished
    UNION ALL
    SELECT l.id, 'emergency', t.transaction_id::text, t.reason || ' at connector ' || t.connector_id
    FROM cpo_transaction t JOIN limits l ON l.id = t.charge_point_id
    WHERE t.reason IN ('EmergencyStop', 'GroundFault', 'OvercurrentFault') AND t.heard_at > now() - interval '1 day'
), raised AS (
    INSERT INTO cpo_stationalarm AS a (charge_point_id, kind, subject, text)
    SELECT charge_point_id, kind, subject, left(text, 200) FROM found
    ON CONFLICT (charge_point_id, kind, subject) WHERE cleared_at IS NULL
        DO UPDATE SET text = EXCLUDED.text WHERE a.text <> EXCLUDED.text
    RETURNING (xmax = 0) AS is_new
), cleared AS (
    UPDATE cpo_stationalarm a SET cleared_at = now() WHERE a.cleared_at IS NULL AND NOT EXISTS (
        SELECT FROM found f WHERE f.charge_point_id = a.charge_point_id AND f.kind = a.kind AND f.subject = a.subject)
    RETURNING 1
)
SELECT (SELECT count(*) FROM raised WHERE is_new), (SELECT count(*) FROM cleared)
"""
