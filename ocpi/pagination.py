"""Lists: date_from, date_to, offset, limit in; Link, X-Total-Count, X-Limit out (OCPI 2.2.1, Pagination).

`Link: rel="next"` carries, beside the offset, a signed place in the list (the last key that was sent and the total
counted once for the crawl), so that the deepest page costs what the first one does (PIT-60). A client's own offset
works all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlencode

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.http import HttpResponse

from ocpi import envelope, status
from ocpi.v2_2_1.types import parse_datetime

MAX_OFFSET = 10_000_000
_signer = Signer(salt="ocpi.pagination")


@dataclass(frozen=True, slots=True)
class Page:
    """What a client asks of a list, checked."""

    date_from: datetime | None
    date_to: datetime | None
    offset: int
    limit: int
    filters: tuple[tuple[str, str], ...]  # date_from and date_to as given, for the Link
    after: int | None = None  # the last key of the page before, from our own Link
    total: int | None = None  # counted when the crawl began

    def next(self, *, last_key: int, total: int) -> Page:
        return replace(self, offset=self.offset + self.limit, after=last_key, total=total)


def read(query: Mapping[str, str], *, date_from_required: bool = False) -> Page:
    """Return the checked query.

    :raises InvalidParameters: for what TRN-079 and SEC-47 refuse.
    """
    date_from, date_to = _moment(query, "date_from"), _moment(query, "date_to")
    if date_from_required and date_from is None:
        raise status.InvalidParameters("date_from", "is required for this list")
    if date_from and date_to and date_to < date_from:
        raise status.InvalidParameters("date_to", "must not be before date_from")
    limit = _number(query, "limit", minimum=1)
    page = Page(
        date_from=date_from,
        date_to=date_to,
        offset=_number(query, "offset", minimum=0) or 0,
        limit=min(limit or settings.OCPI_PAGE_LIMIT, settings.OCPI_PAGE_LIMIT),
        filters=tuple((name, query[name]) for name in ("date_from", "date_to") if query.get(name)),
    )
    place = query.get("place")
    return _at(page, place) if place else page


def answer(
    page: Page,
    documents: list[str],
    *,
    total: int,
    last_key: int | None,
    url: str,
    written: Callable[[], None] | None = None,
) -> HttpResponse:
    """Return a page of documents, which are JSON text and are joined as they are; `written` runs once it is out."""
    headers = {"X-Total-Count": str(total), "X-Limit": str(page.limit)}
    if last_key is not None and page.offset + len(documents) < total:
        headers["Link"] = f'<{_link(page.next(last_key=last_key, total=total), url)}>; rel="next"'
    return envelope.response("[" + ",".join(documents) + "]", headers=headers, written=written)


def _link(page: Page, url: str) -> str:
    query = [*page.filters, ("offset", str(page.offset)), ("limit", str(page.limit))]
    return f"{url}?{urlencode([*query, ('place', _signer.sign(_place(page)))])}"


def _place(page: Page) -> str:
    # Bound to offset and filters: changed by hand, the place no longer fits and only the offset counts.
    bound = "&".join(f"{name}={value}" for name, value in page.filters)
    return f"{page.after}.{page.total}.{page.offset}.{bound}"


def _at(page: Page, place: str) -> Page:
    try:
        after, total, offset, _ = _signer.unsign(place).split(".", 3)
        found = replace(page, after=int(after), total=int(total))
    except (BadSignature, ValueError):
        return page
    return found if int(offset) == page.offset and _signer.unsign(place) == _place(found) else page


def _number(query: Mapping[str, str], name: str, *, minimum: int) -> int | None:
    text = query.get(name)
    if text is None or text == "":
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise status.InvalidParameters(name, "must be a whole number")
    number = int(text)
    if number < minimum:
        raise status.InvalidParameters(name, f"must be at least {minimum}")
    if name == "offset" and number > MAX_OFFSET:
        raise status.InvalidParameters(name, f"must be at most {MAX_OFFSET}")
    return number


def _moment(query: Mapping[str, str], name: str) -> datetime | None:
    text = query.get(name)
    if not text:
        return None
    try:
        moment = parse_datetime(text.replace(" ", "+"))  # a "+" of the query arrives as a space (TRN-081)
    except ValueError as error:
        raise status.InvalidParameters(name, "must be a DateTime such as 2026-01-31T08:30:00Z") from error
    if not 1970 <= moment.year <= 2100:
        raise status.InvalidParameters(name, "must lie between 1970 and 2100")
    return moment
