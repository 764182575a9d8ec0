"""A Sender for tests of pulls: it serves lists page by page; time is moved instead of waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from django.db import connection

from ocpi import health, pull, pull_plan, pull_rows
from ocpi.models import PullCursor
from ocpi.v2_2_1.types import parse_datetime
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener, Received, Reply, endpoint_path

EARLY = "2026-01-01T00:00:00Z"


class Lists:
    """What a platform serves, by module; `before` may answer a request in its place."""

    def __init__(self, listener: Listener, *, limit: int = 2) -> None:
        self.listener = listener
        self.limit = limit
        self.objects: dict[str, list[Any]] = {}
        self.before: Callable[[Received, int], Reply | None] = lambda _request, _offset: None
        listener.reply("GET", "/ocpi/2.2.1/sender", using=self._answer)

    def serve(self, module: str, objects: Iterable[Any]) -> None:
        self.objects[module] = list(objects)

    def requests(self, module: str) -> list[Received]:
        return self.listener.received("GET", endpoint_path(module, "SENDER"))

    def queries(self, module: str) -> list[dict[str, str]]:
        """Return the query of each request, as its members."""
        return [{name: values[0] for name, values in parse_qs(got.query).items()} for got in self.requests(module)]

    def page(self, module: str, offset: int, query: dict[str, list[str]]) -> Reply:
        found = self.objects.get(module, [])
        if "date_from" in query:
            since = parse_datetime(query["date_from"][0])
            found = [each for each in found if parse_datetime(each["last_updated"]) >= since]
        headers = {"X-Total-Count": str(len(found)), "X-Limit": str(self.limit)}
        if offset + self.limit < len(found):
            kept = {name: values[0] for name, values in query.items() if name != "offset"}
            following = urlencode({**kept, "offset": offset + self.limit, "limit": self.limit})
            headers["Link"] = f'<{self.listener.endpoint(module, "SENDER")}?{following}>; rel="next"'
        return Reply(data=found[offset : offset + self.limit], headers=headers)

    def _answer(self, request: Received) -> Reply:
        query = parse_qs(request.query)
        offset = int(query.get("offset", ["0"])[0])
        module = request.path.rstrip("/").rpartition("/")[2]
        return self.before(request, offset) or self.page(module, offset, query)


def cursor(platform_id: int, module: str) -> PullCursor:
    """Return the one cursor of a module of a platform, made if it is missing."""
    (found,) = pull_rows.of(pull_plan.lists(platform_id=platform_id, module=module))
    return found


def run(platform_id: int, module: str, **options: Any) -> PullCursor:
    """Pull a module now, to its end unless `seconds` says otherwise."""
    options = {"seconds": None, "asked": True, **options}
    found = pull.run(cursor(platform_id, module).pk, **options)
    assert found is not None
    return found


def later(delta: timedelta, platform_id: int | None = None) -> None:
    """Let time pass for all pulls and platforms: the clock is the database's, so their times move instead."""
    columns = {
        "ocpi_pullcursor": ("due_at", "full_due_at", "date_from", "started_at", "claimed_until", "succeeded_at"),
        "ocpi_platform": ("failing_since", "offline_since", "backoff_until"),
    }
    with connection.cursor() as sql:
        for table, names in columns.items():
            moved = ", ".join(f"{name} = {name} - %(by)s::interval" for name in names)
            sql.execute(f"UPDATE {table} SET {moved}", {"by": f"{delta.total_seconds()} s"})  # noqa: S608 - names of ours
    health.forget_written()


def between(moment: datetime, earliest: datetime, latest: datetime) -> bool:
    return earliest <= moment <= latest


Tariffs = Callable[..., list[dict[str, Any]]]


@pytest.fixture(name="lists")
def lists_fixture(listener: Listener) -> Lists:
    return Lists(listener)


@pytest.fixture(name="owner")
def owner_fixture(emsp_side: None, partner: Partner, listener: Listener, lists: Lists) -> Person:
    """A CPO whose lists an eMSP pulls."""
    return partner("NL*TNM:CPO", listener=listener)


@pytest.fixture(name="tariffs")
def tariffs_fixture(document: Document) -> Tariffs:
    """Return a function that makes Tariffs with these ids."""

    def make(*names: str, **changes: Any) -> list[dict[str, Any]]:
        return [document("tariff", id=name, **{"last_updated": EARLY, **changes}) for name in names]

    return make
