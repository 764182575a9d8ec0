"""All that is known of one message: the exchanges with its correlation id, results of what it asked for, deliveries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qsl, urlsplit

import msgspec
from django.db import OperationalError, connection, transaction
from django.db.models import Q

from ocpi import exchange_objects, exchange_search
from ocpi.exchange_search import Wanted
from ocpi.models import Delivery, Exchange, FinishedDelivery

MOST_LEGS = 400
_MOST_BODIES = 60  # that are read for a reason or a response_url
_ASKING = frozenset(("commands", "chargingprofiles"))
_WAITING_MS = 1_000  # longer the deliveries that wait are not looked through


@dataclass(slots=True)
class Message:
    """One message with all its legs, in the order of time."""

    correlation_id: str
    rows: Sequence[Exchange] = ()
    cut: bool = False  # there are more legs
    looked_back_to: datetime | None = None  # looking took too long; older legs may be there
    reasons: dict[int, str] = field(default_factory=dict)  # why, of those that were refused
    waiting: Sequence[Delivery] | None = ()  # None: too much waits to look through
    finished: Sequence[FinishedDelivery] = ()


class _Reason(msgspec.Struct):
    status_message: str | None = None


class _Asked(msgspec.Struct):
    response_url: str | None = None


def read(correlation_id: str, *, deliveries: bool = True) -> Message:
    """Return what is known of a message; `deliveries`: also what still has to be sent, and what came of it."""
    if not correlation_id:
        return Message("")
    page = exchange_search.search(Wanted(correlation_id=correlation_id), most=MOST_LEGS)
    rows = {row.pk: row for row in page.rows}
    rows |= {row.pk: row for row in _results(rows.values())}
    found = Message(correlation_id, sorted(rows.values(), key=lambda row: (row.at, row.pk)), bool(page.next_place))
    found.looked_back_to = page.looked_back_to
    found.reasons = _reasons(found.rows)
    if deliveries:
        finished = FinishedDelivery.objects.filter(correlation_id=correlation_id).select_related("platform")
        found.finished = list(finished.defer("body").order_by("id")[:MOST_LEGS])
        found.waiting = _waiting(correlation_id)
    return found


def failed(row: Exchange) -> bool:
    """Say whether an exchange had no answer, or one that refuses."""
    return row.http_status is None or row.http_status >= 400 or (row.status_code or 1000) >= 2000


def _waiting(correlation_id: str) -> list[Delivery] | None:
    """Return the deliveries of a message that are not finished, unless so many wait that looking takes too long."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = %s", [_WAITING_MS])
            rows = Delivery.objects.filter(correlation_id=correlation_id).select_related("platform").defer("body")
            found = list(rows.order_by("id")[:MOST_LEGS])
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
            return found
    except OperationalError:
        return None


def _results(rows: Iterable[Exchange]) -> list[Exchange]:
    """Return the results of commands and profiles that were asked for here, whatever their own correlation ids."""
    asking = [row for row in rows if row.module in _ASKING and not row.object_id.startswith("~")][:_MOST_BODIES]
    urls = {found for row in asking for found in _response_urls(row.url)}
    # Masked and cut bodies name none.
    for body in _bodies(asking, "request_body").values():
        try:
            urls.add(msgspec.json.decode(body, type=_Asked).response_url or "")
        except (msgspec.DecodeError, ValueError, RecursionError):
            continue
    found: list[Exchange] = []
    for url in sorted(urls - {""}):
        wanted = Wanted(object_id=exchange_objects.result_id(url), since=min(row.at for row in asking))
        found += exchange_search.search(wanted, most=_MOST_BODIES).rows
    return found


def _response_urls(url: str) -> list[str]:
    return [value for name, value in parse_qsl(urlsplit(url).query) if name == "response_url"]


def _reasons(rows: Sequence[Exchange]) -> dict[int, str]:
    refused = [row for row in rows if failed(row)][:_MOST_BODIES]
    found = {row.pk: row.error.partition(": ")[2] or row.error for row in refused if row.error}
    for pk, body in _bodies([row for row in refused if not row.error], "response_body").items():
        try:
            found[pk] = msgspec.json.decode(body, type=_Reason).status_message or ""
        except (msgspec.DecodeError, ValueError, RecursionError):
            found[pk] = body[:200]
    return found


def _bodies(rows: Sequence[Exchange], column: str) -> dict[int, str]:
    """Return the bodies of some exchanges in one query, of the days they are from."""
    if not rows:
        return {}
    moments = [row.at for row in rows]
    of = Q(pk__in=[row.pk for row in rows], at__gte=min(moments), at__lte=max(moments))
    return {pk: body for pk, body in Exchange.objects.filter(of).values_list("pk", column) if body}
