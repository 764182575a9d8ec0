"""The rows behind pulls: which are due, who may run one, how far it is; all times are the database's (REL-52)."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from ocpi import pull_seen
from ocpi.headers import Address
from ocpi.pull_models import PullCursor

OVERLAP = timedelta(minutes=5)  # between two pulls, and before an outage (PIT-59, TRN-121)
CLAIM_SECONDS = 150  # longer than a page may take; renewed with each
INVALID_DAYS = 30
_NOT_SOONER_SECONDS = 60  # after the start of the former pull, for outages that follow closely
_SPLAY = 0.2
_NIGHT_HOURS = 3
_DAY_SECONDS = 86_400

Kind = PullCursor.Kind
Result = PullCursor.Result


@dataclass(frozen=True, slots=True)
class List:
    """A list that this instance should read: whose, of what, for whom and from whom."""

    platform_id: int
    module: str
    to: Address | None
    sender: Address | None


class ClaimLost(Exception):
    """Somebody else runs this pull by now, or an outage made it begin anew; what this one would write is void."""


def due(lists: Sequence[List], *, most: int = 200) -> list[int]:
    """Make a cursor for every list that has none, and return those that are due and nobody's, the longest due first."""
    parameters = {**_columns(lists), "most": most}
    with connection.cursor() as cursor:
        cursor.execute(_ADD, parameters)
        cursor.execute(_DUE, parameters)
        return [pk for (pk,) in cursor.fetchall()]


def of(lists: Sequence[List]) -> list[PullCursor]:
    """Return the cursors of these lists, made if they are missing."""
    with connection.cursor() as cursor:
        cursor.execute(_ADD, _columns(lists))
        cursor.execute(_ALL, _columns(lists))
        ids = [pk for (pk,) in cursor.fetchall()]
    return list(PullCursor.objects.select_related("platform").filter(pk__in=ids).order_by("platform__name", "pk"))


def claim(cursor_id: int, *, asked: bool = False) -> PullCursor | None:
    """Take a pull that is due (or whenever, if somebody asked) and nobody's; one per platform, a few at a time."""
    most = max(1, settings.OCPI_SEND_THREADS // 2)
    values: dict[str, Any] = {
        "id": cursor_id,
        "claim": uuid.uuid4(),
        "asked": asked,
        "most": most,
        "seconds": CLAIM_SECONDS,
    }
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, values)
        if cursor.fetchone() is None:
            return None
    return PullCursor.objects.filter(pk=cursor_id, claim=values["claim"]).annotate(now=Now()).first()


def begin(held: PullCursor, *, kind: str, crawl_from: datetime | None, url: str) -> None:
    """Start at the first page, with all counts at zero. What an outage left to be read is in a full pull."""
    counts = dict.fromkeys(("repeats", "pages", *COUNTS, "removed"), 0)
    _write(
        held,
        kind=kind,
        crawl_from=crawl_from,
        started_at=Now(),
        page_url=url,
        former_url="",
        landmark_url="",
        total=None,
        seconds=0.0,
        recover_from=None if kind == Kind.FULL else F("recover_from"),
        **counts,
    )
    pull_seen.forget(held.pk)


COUNTS = ("read", "created", "updated", "unchanged", "refused", "ignored", "differences")


def advance(
    held: PullCursor,
    *,
    url: str,
    next_url: str,
    total: int | None,
    landmark_url: str,
    repeats: int,
    counts: dict[str, int],
    seconds: float,
    failures: int,
) -> None:
    """Note that a page was kept, in the transaction that kept it; `seconds` is what it took.

    :param landmark_url: the page that no later one may lead back to.
    :param failures: how often the pull has failed here: 0, unless it stops behind this very page once more.

    :raises ClaimLost: then that transaction must not be committed.
    """
    _write(
        held,
        former_url=url,
        page_url=next_url,
        landmark_url=landmark_url,
        total=total,
        repeats=repeats,
        pages=F("pages") + 1,
        seconds=F("seconds") + seconds,
        failures=failures,
        claimed_until=Now() + timedelta(seconds=CLAIM_SECONDS),
        **{name: F(name) + counts[name] for name in COUNTS},
    )


def complete(held: PullCursor, *, removed: int, seldom: bool = False) -> None:
    """Note that every page came, and when the next pull is due: hours from now, a little different each time (TRN-103).

    A `seldom` list is due at night only.

    :raises ClaimLost: then nothing may be removed.
    """
    values: dict[str, Any] = {
        "id": held.pk,
        "claim": held.claim,
        "removed": removed,
        "overlap": OVERLAP,
        "pause": settings.OCPI_PULL_INTERVAL * random.uniform(1 - _SPLAY, 1 + _SPLAY),  # noqa: S311 - splay
        "night": settings.OCPI_PULL_NIGHT_HOUR * 3600 + random.uniform(0, _NIGHT_HOURS * 3600),  # noqa: S311 - splay
    }
    if seldom:
        values["pause"] = _DAY_SECONDS * 2
    with connection.cursor() as cursor:
        cursor.execute(_COMPLETE, values)
        if not cursor.rowcount:
            raise ClaimLost
    pull_seen.forget(held.pk)


def release(held: PullCursor) -> None:
    """Give an unfinished pull back; it goes on at once, in whoever takes it."""
    _write(held, due_at=Now(), claim=None, claimed_until=None)


def fail(held: PullCursor, error: str, *, pause: float, result: str = Result.FAILED, anew: bool = False) -> None:
    """Note why a pull stopped; it goes on after so many seconds at the page it stopped at, or begins anew."""
    _write(
        held,
        result=result,
        error=error[:500].replace("\0", "�"),
        failures=F("failures") + 1,
        due_at=Now() + timedelta(seconds=pause),
        finished_at=Now(),
        claim=None,
        claimed_until=None,
        **({"page_url": "", "former_url": ""} if anew else {}),
    )


def recover(platform_id: int, since: datetime, *, party: Address | None = None) -> int:
    """Have everything we receive from a platform pulled from the start of its outage on (TRN-121, REL-37).

    With a `party` behind a hub, what is read from that party.

    In the transaction that notes its return. A recovery under way begins anew: it may have passed what changed since.
    A list that itself failed keeps its pause: one that fails for ever must not be tried whenever another succeeds.
    """
    values: dict[str, Any] = {
        "id": platform_id,
        "since": since - OVERLAP,
        "not_sooner": _NOT_SOONER_SECONDS,
        "party": party and "*".join(party.key),
    }
    with connection.cursor() as cursor:
        cursor.execute(_RECOVER, values)
        return int(cursor.rowcount)


def ask(ids: Collection[int], *, full: bool = False) -> int:
    """Have these pulls run as soon as a worker is free; return how many."""
    wanted = {"full_wanted": True} if full else {}
    return PullCursor.objects.filter(pk__in=ids).update(due_at=Now(), failures=0, **wanted)


def ask_in_doubt(platform_id: int, module: str) -> None:
    """Have a list that is read at start-up only read once more (HCI-21): something does not fit what it held.

    Not more than once a minute, whatever a platform sends.
    """
    now = time.monotonic()
    if now < _doubted.get((platform_id, module), 0.0) + _NOT_SOONER_SECONDS:
        return
    _doubted[platform_id, module] = now
    PullCursor.objects.filter(platform_id=platform_id, module=module, due_at__gt=Now()).update(
        full_wanted=True, due_at=Now()
    )


_doubted: dict[tuple[int, str], float] = {}


def start_anew(platform_id: int) -> None:
    """Have everything pulled whole from a platform that has just registered."""
    PullCursor.objects.filter(platform_id=platform_id).update(
        full_wanted=True, due_at=Now(), page_url="", former_url="", claim=None, claimed_until=None, failures=0
    )


def forget_old() -> int:
    """Remove invalid objects that have not come again for a month; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM ocpi_pulledinvalid WHERE last_at < statement_timestamp() - make_interval(days => %s)",
            [INVALID_DAYS],
        )
        return int(cursor.rowcount)


def _write(held: PullCursor, **values: Any) -> None:
    if not PullCursor.objects.filter(pk=held.pk, claim=held.claim).update(**values):
        raise ClaimLost


def _columns(lists: Sequence[List]) -> dict[str, Any]:
    nobody = Address("", "")
    return {
        "platform_ids": [each.platform_id for each in lists],
        "modules": [each.module for each in lists],
        "to_countries": [(each.to or nobody).country_code for each in lists],
        "to_parties": [(each.to or nobody).party_id for each in lists],
        "from_countries": [(each.sender or nobody).country_code for each in lists],
        "from_parties": [(each.sender or nobody).party_id for each in lists],
    }


_COLUMNS = "platform_id, module, to_country_code, to_party_id, from_country_code, from_party_id"
_LISTS = f"""unnest(%(platform_ids)s::bigint[], %(modules)s::text[], %(to_countries)s::text[], %(to_parties)s::text[],
            %(from_countries)s::text[], %(from_parties)s::text[]) AS list({_COLUMNS})"""
_OF_LISTS = f"ocpi_pullcursor c JOIN {_LISTS} USING ({_COLUMNS})"
_ADD = f"""
INSERT INTO ocpi_pullcursor ({_COLUMNS}, kind, page_url, former_url, result, error)
SELECT {_COLUMNS}, '', '', '', '', '' FROM {_LISTS}
WHERE NOT EXISTS (SELECT FROM ocpi_pullcursor c WHERE ({", ".join(f"c.{name}" for name in _COLUMNS.split(", "))})
    = ({", ".join(f"list.{name}" for name in _COLUMNS.split(", "))}))
  AND EXISTS (SELECT FROM ocpi_platform p WHERE p.id = list.platform_id)
ON CONFLICT DO NOTHING
"""  # noqa: S608 - constants only
_ALL = f"SELECT c.id FROM {_OF_LISTS}"  # noqa: S608
_FREE = "(c.claimed_until IS NULL OR c.claimed_until < statement_timestamp())"
_READABLE = """p.state = 'REGISTERED' AND p.connection = 'CONNECTED' AND p.paused_reason = ''
    AND (p.backoff_until IS NULL OR p.backoff_until <= statement_timestamp())"""
_DUE = f"""
SELECT c.id FROM {_OF_LISTS} JOIN ocpi_platform p ON p.id = platform_id
WHERE c.due_at <= statement_timestamp() AND {_FREE} AND {_READABLE} ORDER BY c.due_at, c.id LIMIT %(most)s
"""  # noqa: S608 - constants only
_CLAIM = f"""
UPDATE ocpi_pullcursor c SET claim = %(claim)s,
    claimed_until = statement_timestamp() + make_interval(secs => %(seconds)s)
FROM ocpi_platform p
WHERE c.id = %(id)s AND p.id = c.platform_id AND {_FREE} AND (%(asked)s OR (
    c.due_at <= statement_timestamp() AND {_READABLE}
    AND NOT EXISTS (SELECT FROM ocpi_pullcursor o
                    WHERE o.platform_id = c.platform_id AND o.claimed_until > statement_timestamp())
    AND (SELECT count(*) FROM ocpi_pullcursor o WHERE o.claimed_until > statement_timestamp()) < %(most)s))
RETURNING c.id
"""  # noqa: S608 - constants only

# What the row held when the pull began decides; a wish or an outage that came meanwhile makes the next one due at once.
_COMPLETE = """
UPDATE ocpi_pullcursor c SET
    date_from = CASE WHEN kind IN ('FULL', 'DELTA') THEN started_at - %(overlap)s ELSE date_from END,
    recover_from = next.recover_from, full_wanted = next.full_wanted, full_due_at = next.full_due_at,
    due_at = CASE WHEN next.full_wanted OR next.recover_from IS NOT NULL OR date_from IS NULL AND kind = 'SINCE'
                  THEN statement_timestamp()
                  ELSE least(statement_timestamp() + make_interval(secs => %(pause)s), next.full_due_at) END,
    removed = %(removed)s, differences = differences + %(removed)s,
    result = 'DONE', error = '', failures = 0, page_url = '', former_url = '',
    finished_at = statement_timestamp(), succeeded_at = statement_timestamp(), claim = NULL, claimed_until = NULL
FROM (
    SELECT id, kind <> 'FULL' AND full_wanted AS full_wanted,
           CASE WHEN kind = 'RECOVERY' AND recover_from = crawl_from THEN NULL ELSE recover_from END AS recover_from,
           CASE WHEN kind = 'FULL' OR full_due_at IS NULL
                THEN (date_trunc('day', statement_timestamp() AT TIME ZONE 'UTC') + interval '1 day'
                      + make_interval(secs => %(night)s)) AT TIME ZONE 'UTC'
                ELSE greatest(full_due_at, statement_timestamp()) END AS full_due_at
    FROM ocpi_pullcursor WHERE id = %(id)s
) next
WHERE c.id = next.id AND claim = %(claim)s
"""
_RECOVER = """
UPDATE ocpi_pullcursor c SET
    recover_from = least(recover_from, %(since)s),
    due_at = CASE WHEN failures > 0 THEN due_at ELSE least(due_at, greatest(statement_timestamp(),
        CASE WHEN kind = 'RECOVERY' THEN started_at + make_interval(secs => %(not_sooner)s) END)) END,
    page_url = CASE WHEN kind = 'RECOVERY' THEN '' ELSE page_url END,
    claim = CASE WHEN kind = 'RECOVERY' THEN NULL ELSE claim END,
    claimed_until = CASE WHEN kind = 'RECOVERY' THEN NULL ELSE claimed_until END
WHERE platform_id = %(id)s AND date_from IS NOT NULL
  AND (%(party)s::text IS NULL OR UPPER(to_country_code || '*' || to_party_id) = %(party)s)
"""
