"""Lists of the operation API: a page of a query with the count of all, and waiting for something to appear in one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponse

from cpo.api import base
from cpo.api.errors import Invalid, TooManyWaiting

PAGE = ("limit", "offset", "order")
LONGEST_WAIT = 120.0  # seconds
_LOOKED_EVERY = 0.25
# Whoever waits holds a thread of the web server: half of them always stay free for the others.
_places = threading.BoundedSemaphore(max(1, settings.WEB_THREADS // 2))


def page(
    rows: QuerySet[Any], asked: dict[str, str], *, orders: tuple[str, ...], record: Callable[[Any], Any]
) -> HttpResponse:
    """Answer with a page of rows and `X-Total-Count`; the first of `orders` is the usual one.

    :raises Invalid: if limit, offset or order is none.
    """
    limit = base.whole(asked.get("limit", str(base.USUAL)), "limit", least=0, most=base.MOST)
    offset = base.whole(asked.get("offset", "0"), "offset", most=10**9)
    order = asked.get("order") or orders[0]
    names = [name.removeprefix("-") for name in orders]
    column = base.chosen(order.removeprefix("-"), "order", tuple(names))
    backwards = "-" if order.startswith("-") else ""
    found = rows.order_by(f"{backwards}{column}", f"{backwards}pk")[offset : offset + limit]
    count = rows.count()
    return base.answer([record(row) for row in found], headers={"X-Total-Count": str(count), "X-Limit": str(limit)})


def seconds(text: str, *, most: float = LONGEST_WAIT) -> float:
    """Read a `timeout`.

    :raises Invalid: if it is none.
    """
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= most:
        raise Invalid(f"timeout: must be from 0 to {most:g} seconds", field="timeout", rule="range")
    return found


@contextmanager
def place() -> Iterator[None]:
    """Hold one of the places for requests that wait.

    :raises TooManyWaiting: if all are taken.
    """
    if not _places.acquire(blocking=False):
        raise TooManyWaiting("too many requests wait already; try again soon")
    try:
        yield
    finally:
        _places.release()


def appear(rows: QuerySet[Any], timeout: float) -> bool:
    """Wait until a query finds something; say whether it did."""
    deadline = time.monotonic() + timeout
    while not rows.exists():
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(_LOOKED_EVERY, left))
    return True
