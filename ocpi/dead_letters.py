"""Finished deliveries by the thousand: what failed is retried or dropped by filter, a period is replayed (REL-40).

Everything happens in chunks, each in a transaction of its own and in the order in which the deliveries first ended: the
order of one object, and of what belongs to one Location, is kept, since a lane sends its rows in the order they come.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.db import transaction
from django.db.models import Case, F, Min, QuerySet, When

from ocpi import audit, delivery_actions
from ocpi.delivery_states import DEAD, DELIVERED, DROPPED, REFUSED
from ocpi.models import FinishedDelivery, Platform

FAILED = (DEAD, REFUSED, DROPPED)
_CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Which deliveries; what is not set does not narrow them. Times are those at which they ended."""

    platform_id: int | None = None
    states: tuple[str, ...] = (DEAD, REFUSED)
    kind: str = ""
    module: str = ""
    since: datetime | None = None
    until: datetime | None = None
    path: str = ""  # begins with

    def rows(self) -> QuerySet[FinishedDelivery]:
        """Return the deliveries, the oldest first."""
        found = FinishedDelivery.objects.filter(state__in=self.states).order_by("id")
        if self.platform_id is not None:
            found = found.filter(platform_id=self.platform_id)
        for name in ("kind", "module"):
            if value := getattr(self, name):
                found = found.filter(**{name: value})
        if self.since is not None:
            found = found.filter(finished_at__gte=self.since)
        if self.until is not None:
            found = found.filter(finished_at__lt=self.until)
        return found.filter(path__istartswith=self.path) if self.path else found

    def as_details(self) -> dict[str, object]:
        return {name: value for name, value in asdict(self).items() if value not in (None, "", ())}


def count(selection: Selection, most: int = 100_000) -> int:
    """Return how many there are, counting no further than `most`."""
    return int(selection.rows().order_by()[:most].count())


def retry(selection: Selection, *, actor: str) -> int:
    """Put all of a selection on their way again; return how many."""
    return _in_chunks("delivery.retry_all", selection, actor, {}, delivery_actions.put_back)


def drop(selection: Selection, *, actor: str, reason: str) -> int:
    """Close all of a selection for good; return how many."""
    return _in_chunks(
        "delivery.drop_all", selection, actor, {"reason": reason},
        lambda ids: delivery_actions.drop(ids, actor=actor, reason=reason),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay put on its way."""

    objects: int
    oldest: datetime | None  # the first delivery that is still known: nothing before it can be replayed


def replay(
    platform_id: int, since: datetime, until: datetime | None = None, *, module: str = "", actor: str
) -> Replayed:
    """Have a platform get once more what it got, or should have got, in a period: each object as it is now, once.

    For one that lost data. Objects that were deleted meanwhile are deleted there again; CDRs go out as they are, and
    results of commands, whose time is over, do not. Finished deliveries are known for seven days (REL-55).
    """
    selection = Selection(platform_id, (DELIVERED, DEAD, REFUSED), module=module, since=since, until=until)
    number = _in_chunks("delivery.replay", selection, actor, {}, delivery_actions.put_back)
    oldest = FinishedDelivery.objects.filter(platform_id=platform_id).aggregate(at=Min("finished_at"))["at"]
    return Replayed(number, oldest)


def _in_chunks(action: str, selection: Selection, actor: str, more: dict[str, object], do: Any) -> int:
    """Do something to all of a selection, noted before it begins and with what came of it."""
    about = "all platforms"
    if selection.platform_id is not None:
        about = Platform.objects.values_list("name", flat=True).get(pk=selection.platform_id)
    details = selection.as_details() | more
    audit.record(action, actor=actor, about=about, details=details)
    number = 0
    for ids in _chunks(selection):
        with transaction.atomic():
            number += do(ids)
    audit.record(f"{action}.done", actor=actor, about=about, details={**details, "number": number})
    return number


def _chunks(selection: Selection) -> Iterator[list[int]]:
    """Yield the ids of a selection: all of one object together, objects in the order in which they first ended.

    They are gathered before anything is sent, so what ends meanwhile is not among them.
    """
    objects = (
        selection.rows()
        .order_by()
        .values("platform_id", "source", "source_id", "to_country_code", "to_party_id")
        .annotate(
            alone=Case(When(kind=FinishedDelivery.Kind.RESULT, then=F("id"))), first=Min("id"), ids=ArrayAgg("id")
        )
        .order_by("first")
        .values_list("ids", flat=True)
    )
    chunk: list[int] = []
    for ids in objects.iterator(_CHUNK):
        chunk += ids
        if len(chunk) >= _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
