"""After a restore: what others may have missed, what we may have missed, and whose tokens may be outdated (REL-58).

What a side sends is the side's: `<side>/recovery.py` marks what changed. A mark goes out as the current object, at the
pace of a catch-up, and is cleared by a receiver that pulls; a CDR goes out again, which is no second CDR (REL-45).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib import import_module
from importlib.util import find_spec

from django.conf import settings
from django.db import connection, transaction

from ocpi import client, exchanges, pull_rows, snapshot
from ocpi.headers import CORRELATION_ID, REQUEST_ID, Routing, new_id
from ocpi.models import CredentialsToken, Platform

BEFORE = timedelta(hours=1)  # what was on its way when the backup was made
_AT_ONCE = 500  # objects marked in one transaction
_CHECK_SECONDS = 5.0


@dataclass(slots=True)
class Report:
    """What was done, and what is left to do for somebody."""

    since: datetime
    marked: dict[str, int] = field(default_factory=dict)  # objects by module
    pulls: dict[str, int] = field(default_factory=dict)  # lists by platform
    tokens: dict[str, str] = field(default_factory=dict)  # why a platform's tokens may be outdated


def recover(since: datetime, *, check: bool = False, dry_run: bool = False) -> Report:
    """Mark what changed, have pulled what may be missing, look at tokens; `since` is the time of the backup.

    May be run again. `check`: ask each platform whether it still knows our token. `dry_run`: only look.
    """
    report = Report(since - BEFORE)
    if not dry_run:
        for mark_since in _sides():
            for module, count in mark_since(report.since).items():
                report.marked[module] = report.marked.get(module, 0) + count
        for platform in Platform.objects.filter(state="REGISTERED").order_by("name"):
            with transaction.atomic():
                report.pulls[platform.name] = pull_rows.recover(platform.pk, report.since)
    report.tokens = _doubtful(report.since, check)
    return report


def mark(rows: Sequence[Callable[[], object]]) -> int:
    """Leave marks of so many objects; each function notes one of them for its receivers."""
    for start in range(0, len(rows), _AT_ONCE):
        with transaction.atomic():
            for note in rows[start : start + _AT_ONCE]:
                note()
            with connection.cursor() as cursor:
                cursor.execute(_ONLY_MARKS)
    return len(rows)


def _sides() -> list[Callable[[datetime], dict[str, int]]]:
    found = [f"{side}.recovery" for side in settings.OCPI_SIDES if find_spec(f"{side}.recovery")]
    return [import_module(name).mark_since for name in found]


def _doubtful(since: datetime, check: bool) -> dict[str, str]:
    """Return the platforms whose tokens may have been exchanged after the backup, and why."""
    found: dict[str, str] = {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp() - make_interval(days => %s)", [settings.OCPI_TOKEN_DAYS])
        due = cursor.fetchone()[0]
    current = CredentialsToken.Purpose.CURRENT
    for platform in Platform.objects.exclude(state="UNREGISTERED").prefetch_related("tokens").order_by("name"):
        purposes = {token.purpose: token.created_at for token in platform.tokens.all()}
        if platform.state == "INVITED" or CredentialsToken.Purpose.A in purposes:
            found[platform.name] = "it may have registered since: invite it again"
        elif CredentialsToken.Purpose.PENDING in purposes:
            found[platform.name] = "a registration was under way"
        elif current not in purposes:
            found[platform.name] = "it has no token in force: register again"
        elif purposes[current] >= since:
            found[platform.name] = "its token was exchanged around the time of the backup"
        elif purposes[current] < due:
            found[platform.name] = "its token was due to be renewed and may have been, after the backup"
        elif check and (why := _refused(platform)):
            found[platform.name] = why
    return found


def _refused(platform: Platform) -> str:
    """Return what is wrong with the token we show a platform, or nothing: a platform that is away proves nothing."""
    known = snapshot.current().platforms.get(platform.pk)
    if known is None or not platform.versions_url:
        return ""
    headers = {REQUEST_ID: new_id(), CORRELATION_ID: new_id()}
    result: client.Answer | client.ClientError
    try:
        result = client.send(known.target(), "GET", platform.versions_url, headers=headers, timeout=_CHECK_SECONDS)
    except client.ClientError as error:
        result = error
    exchanges.record_out(result, platform_id=platform.pk, module="versions", routing=Routing())
    if isinstance(result, client.Answer) and result.http_status in (401, 403):
        return f"it answers our token with HTTP {result.http_status}: register again"
    return ""


# Of this transaction, or of others that committed since it began: as marks they go out as well, a little later.
_ONLY_MARKS = """
UPDATE ocpi_delivery SET state = 'MARKED', fields = NULL, attempts = 0, due_at = statement_timestamp()
WHERE state = 'PENDING' AND kind = 'STATE' AND attempts = 0 AND changed_at >= transaction_timestamp()
"""
