"""Search the exchanges of DATABASE_URL and print the seconds of each page: `python -m tests.load.exchanges_try`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import django

_FAR = 20  # pages


def main() -> None:
    """Time every search."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    django.setup()
    from django.db.models import Q

    from ocpi import exchange_search
    from ocpi.exchange_search import Wanted
    from ocpi.models import Exchange

    some = exchange_search.search(Wanted(module="locations", party="NL*C08")).rows[-1]
    now = datetime.now(UTC)
    # None of the last three days: the oldest there is.
    old = Exchange.objects.order_by("id").first()
    assert old is not None
    wanted: dict[str, dict[str, Any]] = {
        "latest": {},
        "party": {"party": "NL*C08"},
        "party that is nowhere": {"party": "XX*XXX"},
        "platform": {"platform_id": 108},
        "module": {"module": "cdrs"},
        "module that is nowhere": {"module": "nothing"},
        "object id": {"object_id": some.object_id},
        "object id that is nowhere": {"object_id": "NOTHING"},
        "correlation id": {"correlation_id": some.correlation_id},
        "correlation id, the oldest": {"correlation_id": old.correlation_id},
        "request id": {"request_id": some.request_id},
        "any id": {"any_id": some.object_id},
        "any id that is nowhere": {"any_id": "nothing"},
        "failed": {"failed": True},
        "HTTP 5xx, none": {"http_status": (500, 599)},
        "OCPI 2001": {"status_code": (2001, 2001)},
        "direction and method": {"direction": "OUT", "method": "PATCH"},
        "one day": {"since": now - timedelta(days=5), "until": now - timedelta(days=4)},
        "one hour, of a party, failed": {
            "since": now - timedelta(days=5), "until": now - timedelta(days=5) + timedelta(hours=1), "failed": True,
            "party": "DE*E31",
        },
        "party, module, failed": {"party": "NL*C08", "module": "sessions", "failed": True},
        "object, party, method": {"object_id": some.object_id, "party": "NL*C08", "method": "PUT"},
        "everything, nothing matches": {
            "any_id": some.correlation_id, "party": "NL*C08", "module": "cdrs", "direction": "IN", "method": "GET",
            "failed": True, "platform_id": 3, "since": now - timedelta(days=8),
        },
        "party, module, method, failed: nothing matches": {
            "party": "NL*C08", "module": "tariffs", "direction": "IN", "method": "PATCH", "failed": True,
        },
    }  # fmt: skip
    taken = {name: _pages(exchange_search.search, Wanted(**columns)) for name, columns in wanted.items()}
    columns = ("correlation_id", "request_id", "object_path")
    anywhere = Q()
    for name in columns:
        anywhere |= Q(**{f"{name}__icontains": "is nowhere"})
    plain = _seconds(lambda: list(Exchange.objects.filter(anywhere).order_by("-id")[:50]))
    json.dump({**taken, "plain": plain}, sys.stdout)


def _pages(search: Callable[..., Any], wanted: Any) -> dict[str, float]:
    taken = {}
    place = ""
    for number in range(1, _FAR + 1):
        started = time.perf_counter()
        page = search(wanted, place=place, seconds=1e9)
        if number in (1, 2, _FAR):
            taken[f"page {number}"] = time.perf_counter() - started
        if not (place := page.next_place):
            break
    return taken


def _seconds(do: Callable[[], object]) -> float:
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
