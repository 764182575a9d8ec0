"""Read lists from Sender interfaces: page by page, each committed with the place of the next (REL-37, TRN-101).

A pull is a row (`PullCursor`); whoever claims it goes on where the last one stopped, after a crash too. It runs for
some seconds and gives the row back, so that a slow platform holds no worker (REL-20). No transaction is open during
HTTP. What it means that an object is there, or no longer, is the side's (`pull_table`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction

from ocpi import (
    client,
    database_trouble,
    defects,
    exchanges,
    health,
    links,
    pull_pages,
    pull_plan,
    pull_rows,
    pull_seen,
    pull_table,
    snapshot,
    token_doubt,
)
from ocpi.headers import Address, Ids, Routing, new_id
from ocpi.outbox_request import retry_after
from ocpi.pull_models import PullCursor
from ocpi.pull_rows import Kind, Result
from ocpi.pull_table import Pull
from ocpi.snapshot import KnownPlatform
from ocpi.v2_2_1.types import format_datetime

log = logging.getLogger(__name__)

PAGE_SECONDS = 60.0
SLICE_SECONDS = 20.0
MOST_PAGES = 10_000
MOST_SECONDS = 1800.0  # of reading; what lies between two slices does not count
MOST_REPEATS = 5
FAILURES_UNTIL_ANEW = 5
# Seconds until a failed pull goes on; without a Retry-After some allow one request per minute (QRK-08).
_FIRST_PAUSE, _LONGEST_PAUSE = 60.0, 3600.0
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)  # for a list that has to have a date_from: before OCPI

_stopping = threading.Event()

Progress = Callable[[PullCursor], None]


def stop() -> None:
    """Let the pulls of this process end after the page they are at; others go on with them (REL-56)."""
    _stopping.set()


def run(
    cursor_id: int,
    *,
    seconds: float | None = SLICE_SECONDS,
    asked: bool = False,
    since: datetime | None = None,
    full: bool = False,
    progress: Progress | None = None,
) -> PullCursor | None:
    """Run a pull that is due for so many seconds (None = to its end); return its row, or nothing if it is not ours.

    :param asked: now, even if it is not due: an operator waits for it.
    :param since: what changed since this moment, instead of what would be due.
    :param full: everything, instead of what would be due.
    """
    held = pull_rows.claim(cursor_id, asked=asked)
    if held is None:
        return None
    try:
        _run(held, seconds, since, full, progress)
    except pull_rows.ClaimLost:
        log.warning("pull %s of platform %s is somebody else's by now", held, held.platform_id)
    except Exception as error:
        log.exception("pull %s of platform %s stopped", held, held.platform_id)
        if database_trouble.passes(error):  # nothing is wrong with the page it stopped at
            pull_rows.fail(held, f"the database could not do it: {database_trouble.words(error)}", pause=_pause(held))
        else:
            pull_rows.fail(held, "an error of ours, see the log", pause=_pause(held), anew=True)
        raise
    return PullCursor.objects.get(pk=cursor_id)


def _run(
    held: PullCursor, seconds: float | None, since: datetime | None, full: bool, progress: Progress | None
) -> None:
    platform = snapshot.current().platforms.get(held.platform_id)
    pull = pull_table.table().get(held.module)
    endpoint = platform.endpoints.get((held.module, "SENDER")) if platform else None
    if platform is None or pull is None or endpoint is None:
        pull_rows.fail(held, "the platform has no such list", pause=_LONGEST_PAUSE, anew=True)
        return
    if since or full or not held.page_url:
        _begin(held, pull, endpoint, since, full)
    crawl = _Crawl(held, pull, platform, endpoint)
    until = None if seconds is None else time.monotonic() + seconds
    try:
        while held.page_url:
            crawl.step()
            if progress:
                progress(held)
            if held.page_url and (_stopping.is_set() or (until is not None and time.monotonic() >= until)):
                pull_rows.release(held)
                return
    except client.ClientError as error:
        _failed(held, error, platform.target())
        return
    with transaction.atomic():
        pull_rows.complete(held, removed=crawl.remove(), seldom=pull.seldom)


def _begin(held: PullCursor, pull: Pull, endpoint: str, since: datetime | None, full: bool) -> None:
    """Choose what is due and write the first page's URL."""
    kind, crawl_from = _due(held, pull, since, full)
    query = {"date_from": format_datetime(crawl_from)} if crawl_from else None
    pull_rows.begin(held, kind=kind, crawl_from=crawl_from, url=client.join(endpoint, query=query))
    held.refresh_from_db()


def _due(held: PullCursor, pull: Pull, since: datetime | None, full: bool) -> tuple[str, datetime | None]:
    now: datetime = held.now  # type: ignore[attr-defined]
    if since is not None:
        return Kind.SINCE, since
    if full or held.full_wanted or held.date_from is None:
        return Kind.FULL, _BEGINNING if pull.dated else None
    if held.full_due_at is not None and held.full_due_at <= now:
        return Kind.FULL, now - timedelta(days=settings.OCPI_PULL_DAYS) if pull.windowed else None
    if held.recover_from is not None:
        return Kind.RECOVERY, held.recover_from
    return Kind.DELTA, held.date_from


class _Crawl:
    """One pull while this process runs it."""

    def __init__(self, held: PullCursor, pull: Pull, platform: KnownPlatform, endpoint: str) -> None:
        self.held, self.pull, self.platform, self.endpoint = held, pull, platform, endpoint
        self.routing = Routing(
            to=_address(held.to_country_code, held.to_party_id),
            sender=_address(held.from_country_code, held.from_party_id),
        )
        self.correlation_id = new_id()
        self._target = platform.target()
        self._visited: set[str] = set()
        self._former: bytes | None = None  # the data of the page before, in this process

    @property
    def removes(self) -> bool:
        """Say whether what this pull does not hold is no longer valid: only an unfiltered one may tell (TRN-107)."""
        return self.held.kind == Kind.FULL and self.held.crawl_from is None and self.pull.gone is not None

    def step(self) -> None:
        """Fetch a page, keep it together with the place of the next."""
        held, url = self.held, self.held.page_url
        self._began = time.monotonic()
        self._visited.add(url)
        answer, objects = self._fetch(url)
        total = links.number(answer.headers, "x-total-count")
        stopped: client.ClientError | None = None
        try:
            next_url = self._next_url(answer, len(objects), total)
        except client.ClientError as error:  # the page itself is good
            next_url, stopped = url, error
        repeats, landmark_url = held.repeats, self._landmark_at(url)
        if stopped is None and self._has_fallen(total):
            # An object before this page is gone, so another has slipped to the page before (TRN-076).
            fallen = (held.total or 0) - (total or 0)
            next_url = links.at_offset(held.former_url, max(0, links.offset_of(held.former_url) - fallen))
            repeats += 1
            self._visited.clear()
            self._former, landmark_url = None, ""
        with transaction.atomic(), defects.reading(self.platform.id, f"GET {url}"):
            kept = pull_pages.keep(
                self.pull,
                self.platform,
                objects,
                request_id=answer.sent.headers.get("X-Request-ID", ""),
                known_until=held.date_from if held.kind == Kind.FULL else None,
            )
            if self.removes:
                pull_seen.see(held.pk, kept.seen)
            pull_rows.advance(
                held, url=url, next_url=next_url or "", total=total, landmark_url=landmark_url, repeats=repeats,
                counts=kept.counts, seconds=self._elapsed, failures=held.failures if stopped else 0,
            )  # fmt: skip
        held.refresh_from_db()
        if stopped is not None:
            raise stopped

    def remove(self) -> int:
        """Let go of what a full pull did not hold, in the caller's transaction; return how many objects."""
        if not self.removes or self.pull.gone is None:
            return 0
        seen = pull_seen.seen_owners(self.held.pk) if self.platform.is_hub else []
        owners = pull_plan.owners(self.platform, self.pull, self.routing.to, seen)
        assert self.held.started_at is not None  # noqa: S101 - it has begun
        return self.pull.gone(pull_table.Scope(self.platform.id, self.held.pk, owners, self.held.started_at))

    def _fetch(self, url: str) -> tuple[client.Answer, list[bytes]]:
        headers = {**self.routing.as_headers(), **Ids(new_id(), self.correlation_id).as_headers()}
        try:
            answer, objects = client.page(self._target, url, headers=headers, timeout=PAGE_SECONDS)
        except client.Refused as error:
            self._record(error.answer)
            raise
        except client.ClientError as error:
            self._record(error)
            raise
        self._record(answer)
        health.answered(self.platform.id)
        return answer, [bytes(each) for each in objects]

    def _record(self, result: client.Answer | client.ClientError) -> None:
        exchanges.record_out(result, platform_id=self.platform.id, module=self.held.module, routing=self.routing)

    def _next_url(self, answer: client.Answer, count: int, total: int | None) -> str | None:
        """Return the next page's URL, or nothing after the last page.

        :raises WalkStopped: if the list goes in a circle, or on without end (TRN-078, QRK-07).
        """
        data, former = answer.data_text(), self._former
        self._former = data
        next_url = client.following(self._target, answer, self.endpoint, count) or self._guessed(answer, count, total)
        # What was read before this slice is not remembered but for one page.
        circle = next_url is not None and (next_url in self._visited or next_url == self.held.landmark_url)
        circle = circle or (count > 0 and data == former and next_url is not None)
        if next_url is None or not circle:
            if next_url is not None and self.held.pages + 1 >= MOST_PAGES:
                raise client.WalkStopped(f"the list has more than {MOST_PAGES} pages", answer.sent)
            if next_url is not None and self.held.seconds + self._elapsed >= MOST_SECONDS:
                raise client.WalkStopped(f"the list took longer than {MOST_SECONDS:.0f} s", answer.sent)
            return next_url
        defects.note(self.platform.id, "QRK-07 repeated page", f"GET {answer.sent.url}")
        if total is not None and self.held.read + count >= total:
            return None  # all that there is has come
        raise client.WalkStopped(f"{next_url} leads to a page that was read before", answer.sent)

    def _landmark_at(self, url: str) -> str:
        """Return the page that no later one may lead back to: the first, second, fourth, eighth … of the pull.

        Whatever circle the list goes in, the landmark is on it soon and stays for longer than a round: it is found
        within three times the pages that it and the way to it have, in slices of one page, too (Brent; SEC-30).
        """
        number = self.held.pages + 1
        return url if number & (number - 1) == 0 else self.held.landmark_url

    @property
    def _elapsed(self) -> float:
        """Return the seconds since this page was asked for."""
        return time.monotonic() - self._began

    def _guessed(self, answer: client.Answer, count: int, total: int | None) -> str | None:
        """Return the place after a full page whose total is the page's own size: some count nothing else (QRK-07)."""
        limit = links.number(answer.headers, "x-limit")
        if (
            not count
            or limit is None
            or count < limit
            or total != count
            or links.next_reference(answer.headers.get("link", ""))
        ):
            return None
        return links.at_offset(answer.sent.url, links.offset_of(answer.sent.url) + count)

    def _has_fallen(self, total: int | None) -> bool:
        held = self.held
        return (
            total is not None
            and held.total is not None
            and total < held.total
            and bool(held.former_url)
            and held.repeats < MOST_REPEATS
        )


def _failed(held: PullCursor, error: client.ClientError, target: client.Target) -> None:
    """Note a failure: the pull goes on later at the same page, whatever else comes of it."""
    anew = held.failures + 1 >= FAILURES_UNTIL_ANEW
    pause, result, text = _pause(held), Result.FAILED, str(error)
    if isinstance(error, client.Refused):
        answer = error.answer
        text = f"{text}: {answer.status_message or answer.excerpt}"
        asked = retry_after(answer.headers.get("retry-after", ""))
        pause = min(max(pause, asked or 0.0), _LONGEST_PAUSE)
        if answer.http_status == 429:
            result, anew = Result.WAITING, False
        elif answer.http_status in token_doubt.REFUSALS:
            if token_doubt.pauses(target):
                health.pause(held.platform_id, f"it refuses our token: HTTP {answer.http_status}")
        elif answer.http_status >= 500:
            health.failed(held.platform_id, text, retry_after=asked)
        elif held.pages == 0 and not answer.ok and (answer.status_code or 0) // 1000 != 3:
            pause = max(pause, settings.OCPI_PULL_INTERVAL)  # it does not offer this, which is not over in a minute
    elif isinstance(error, client.Unreachable | client.NoAnswer | client.Garbage):
        health.failed(held.platform_id, text)
    elif isinstance(error, client.WalkStopped):
        # Where it stopped it would stop again at once, and the list from its beginning is as long as it was (SEC-30).
        pause, anew = max(pause, settings.OCPI_PULL_INTERVAL), True
    log.warning("pull %s of platform %s: %s", held, held.platform_id, text)
    pull_rows.fail(held, text, pause=pause, result=result, anew=anew)


def _pause(held: PullCursor) -> float:
    return min(_FIRST_PAUSE * 2.0 ** min(held.failures, 6), _LONGEST_PAUSE)


def _address(country_code: str, party_id: str) -> Address | None:
    return Address(country_code, party_id) if country_code else None
