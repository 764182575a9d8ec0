"""What the sweep and the daily tasks do for the outbox: expire, catch up, forget."""

from __future__ import annotations

from django.conf import settings
from django.db import connection, transaction

from ocpi import outbox_policy, outbox_rows, outbox_settle
from ocpi.outbox_wake import Lane

MOST_PENDING = 10_000  # of one platform; above that further state pushes only leave marks (REL-51)
AT_ONCE = 5_000  # of one platform, each time that somebody looks
FINISHED_DAYS, DEAD_DAYS = 7, 90


def sweep() -> list[Lane]:
    """Do what time alone brings about; return the lanes that have something due."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_EXPIRE, {"time_to_live": settings.OCPI_PUSH_TTL, "grace": settings.OCPI_PULL_GRACE})
        cursor.execute(_DROP_LATE)
        cursor.execute(_GIVE_UP_CDRS, {"lifetime": outbox_policy.CDR_LIFETIME.total_seconds()})
        cursor.execute(_CATCH_UP, {"rate": settings.OCPI_CATCH_UP_PER_SECOND})
    return outbox_rows.waiting()


def limit_backlog() -> int:
    """Leave only marks of the newest state pushes of platforms with too much pending; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(_LIMIT, {"most": MOST_PENDING, "at_once": AT_ONCE, "grace": settings.OCPI_PULL_GRACE})
        return int(cursor.rowcount)


def forget_finished() -> int:
    """Remove finished deliveries that are old enough (REL-55); return how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM ocpi_finisheddelivery WHERE finished_at < statement_timestamp() - "
            "make_interval(days => CASE WHEN state = 'DEAD' THEN %s ELSE %s END)",
            [DEAD_DAYS, FINISHED_DAYS],
        )
        return int(cursor.rowcount)


# The rows of all these are chosen once, as an array: the table is empty when the planner looks, and a subquery that it
# takes for a cheap one would be run again for each of a thousand rows.

# Only what failed before expires: a row that nobody tried is still the current state, and goes out as such. A change
# that was written while its platform went OFFLINE may not have seen that (REL-35).
_EXPIRE = """
UPDATE ocpi_delivery SET state = 'MARKED', fields = NULL, attempts = 0,
       due_at = statement_timestamp() + make_interval(secs => %(grace)s)
WHERE id = ANY(ARRAY(
    SELECT d.id FROM ocpi_delivery d JOIN ocpi_platform p ON p.id = d.platform_id
    WHERE d.state = 'PENDING' AND d.kind = 'STATE' AND d.due_at <= statement_timestamp() AND (
        (d.attempts > 0 AND d.changed_at < statement_timestamp() - make_interval(secs => %(time_to_live)s))
        OR p.connection IN ('OFFLINE', 'SUSPENDED'))
    ORDER BY d.id LIMIT 5000 FOR UPDATE OF d SKIP LOCKED))
"""

_DROPPED_COLUMNS = outbox_settle.ALL_COLUMNS.replace("state,", "'DROPPED',").replace(
    "error", "'the announced timeout has passed'"
)
_DROP_LATE = f"""
WITH late AS (
    DELETE FROM ocpi_delivery WHERE id = ANY(ARRAY(
        SELECT id FROM ocpi_delivery
        WHERE state = 'PENDING' AND kind = 'RESULT' AND deadline_at < statement_timestamp() - interval '15 s'
          AND due_at <= statement_timestamp() ORDER BY id LIMIT 5000 FOR UPDATE SKIP LOCKED))
    RETURNING *
)
INSERT INTO ocpi_finisheddelivery ({outbox_settle.ALL_COLUMNS}, location)
SELECT {_DROPPED_COLUMNS}, ''
FROM late
"""  # noqa: S608 - constants only

# Where nothing is sent no try ends a CDR: it waits for its platform as long as others are tried (REL-33).
_DEAD_COLUMNS = outbox_settle.ALL_COLUMNS.replace("state,", "'DEAD',").replace(
    "error", "left('it waited too long for its platform; ' || error, 2000)"
)
_GIVE_UP_CDRS = f"""
WITH old AS (
    DELETE FROM ocpi_delivery WHERE id = ANY(ARRAY(
        SELECT d.id FROM ocpi_delivery d JOIN ocpi_platform p ON p.id = d.platform_id
        WHERE d.state = 'PENDING' AND d.kind = 'CDR' AND d.due_at <= statement_timestamp()
          AND d.created_at < statement_timestamp() - make_interval(secs => %(lifetime)s)
          AND (p.state <> 'REGISTERED' OR p.connection <> 'CONNECTED' OR p.paused_reason <> '')
        ORDER BY d.id LIMIT 5000 FOR UPDATE OF d SKIP LOCKED))
    RETURNING *
)
INSERT INTO ocpi_finisheddelivery ({outbox_settle.ALL_COLUMNS}, location)
SELECT {_DEAD_COLUMNS}, ''
FROM old
"""  # noqa: S608 - constants only

# What a hub says of whom a delivery is for; while that is away its marks wait (HCI-17).
_BEHIND = """SELECT FROM ocpi_party y WHERE y.platform_id = d.platform_id AND y.through_hub AND y.claimed
    AND UPPER(y.country_code) = UPPER(d.to_country_code) AND UPPER(y.party_id) = UPPER(d.to_party_id)"""
_AWAY = (
    f"(EXISTS ({_BEHIND} AND y.status IN ('OFFLINE', 'PLANNED')) AND NOT EXISTS ({_BEHIND} AND y.status = 'CONNECTED'))"
)
# However many workers sweep: of one platform there are never more in a second than the rate (REL-36).
_CATCH_UP = f"""
WITH platform AS MATERIALIZED (
    SELECT id, least(%(rate)s, floor(
               %(rate)s * coalesce(extract(epoch FROM statement_timestamp() - caught_up_at), 1)))::int AS most
    FROM ocpi_platform p
    WHERE state = 'REGISTERED' AND connection = 'CONNECTED' AND paused_reason = '' AND catch_up <> 'never'
      AND EXISTS (SELECT FROM ocpi_delivery d
                  WHERE d.platform_id = p.id AND d.state = 'MARKED' AND d.due_at <= statement_timestamp()
                    AND NOT {_AWAY})
    ORDER BY id FOR UPDATE SKIP LOCKED
), chosen AS MATERIALIZED (  -- once: a plan may run a subquery of the UPDATE again for each row, each time with others
    SELECT mark.id FROM platform CROSS JOIN LATERAL (
        SELECT id FROM ocpi_delivery d
        WHERE d.platform_id = platform.id AND d.state = 'MARKED' AND d.due_at <= statement_timestamp()
          AND NOT {_AWAY}
        ORDER BY d.due_at LIMIT platform.most FOR UPDATE SKIP LOCKED
    ) mark
), pushed AS (
    UPDATE ocpi_delivery SET state = 'PENDING', fields = NULL, attempts = 0 WHERE id IN (SELECT id FROM chosen)
    RETURNING platform_id
)
UPDATE ocpi_platform SET caught_up_at = statement_timestamp()
WHERE id IN (SELECT platform_id FROM pushed)
"""  # noqa: S608 - constants only

_LIMIT = """
UPDATE ocpi_delivery SET state = 'MARKED', fields = NULL, attempts = 0,
       due_at = statement_timestamp() + make_interval(secs => %(grace)s)
WHERE id = ANY(ARRAY(
    SELECT d.id FROM (
        SELECT platform_id FROM ocpi_delivery WHERE state = 'PENDING' GROUP BY platform_id HAVING count(*) > %(most)s
    ) full_ones
    CROSS JOIN LATERAL (
        SELECT id FROM ocpi_delivery WHERE platform_id = full_ones.platform_id AND state = 'PENDING' AND kind = 'STATE'
        ORDER BY id DESC OFFSET 0 LIMIT %(at_once)s FOR UPDATE SKIP LOCKED
    ) d))
"""
