"""The panels of the admin's first page: alarms, connections, traffic of the last hour, the newest dead letters."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Case, IntegerField, Q, QuerySet, Value, When
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from ocpi import alarms, backlog, breaker, kept, traffic
from ocpi.admin_pages import badge, percent, without_keys
from ocpi.alarms import duration
from ocpi.dead_letters import FAILED
from ocpi.models import FinishedDelivery, Platform

MOST_ROWS = 8  # of the panels of connections and of dead letters
MINUTES = 60
OPEN = FAILED[:2]  # states of dead letters that nobody has dealt with
_HEIGHT = 120  # px of the picture of traffic
_STEP, _BAR = 12, 9  # px from bar to bar, and of a bar
_ORDER = ("CONNECTED", "PAUSED", "OFFLINE", "SUSPENDED", "PLANNED", "INVITED", "UNREGISTERED")


@dataclass(frozen=True, slots=True)
class Bar:
    """One minute: how many exchanges, and the part of them that failed."""

    x: int
    y: int
    height: int
    failed_y: int
    failed_height: int
    title: str


def found_alarms() -> list[dict[str, Any]]:
    """Return what has to be looked at, each with the page behind it."""
    return [
        {"name": one.name, "text": one.text, "advice": one.advice, "degraded": one.degraded,
         "url": _page(one.page, one.query)}
        for one in alarms.current()
    ]  # fmt: skip


def connections() -> dict[str, Any]:
    """Return how many platforms are how connected, and those one has to look at first."""
    numbers: Counter[str] = Counter()
    for state, connection, paused in Platform.objects.order_by().values_list("state", "connection", "paused_reason"):
        numbers["PAUSED" if paused else connection if state == "REGISTERED" else state] += 1
    waiting = backlog.by_platform(dead=False)
    return {
        "numbers": [
            {
                "label": badge(name, "bad" if name == "PAUSED" else ""),
                "number": numbers[name],
                "url": _page("ocpi_connection_changelist", f"?status={name}"),
            }
            for name in _ORDER
            if numbers[name]
        ],
        "total": sum(numbers.values()),
        "rows": [_row(row, waiting.get(row.pk, backlog.Backlog())) for row in _first(waiting)[:MOST_ROWS]],
        "url": _page("ocpi_connection_changelist"),
    }


def _first(waiting: dict[int, backlog.Backlog]) -> QuerySet[Platform]:
    """Return the platforms, those in trouble first, then those with the largest backlog."""
    largest = sorted(waiting, key=lambda pk: -waiting[pk].pending)[:MOST_ROWS]
    place = Case(
        When(~Q(paused_reason=""), then=Value(0)),
        When(connection="OFFLINE", then=Value(1)),
        When(failures__gt=0, then=Value(2)),
        *(When(pk=pk, then=Value(3 + number)) for number, pk in enumerate(largest)),
        default=Value(99),
        output_field=IntegerField(),
    )
    return Platform.objects.filter(state="REGISTERED").defer("token_out").order_by(place, "name")


def _row(row: Platform, waiting: backlog.Backlog) -> dict[str, Any]:
    now = timezone.now()
    cut = breaker.of_row(row, now)
    return {
        "name": row.name,
        "url": reverse("admin:ocpi_platform_change", args=[row.pk]),
        "status": badge("PAUSED", "bad") if row.paused_reason else badge(row.connection),
        "since": _since(row.connection_since, now),
        "seen": _since(row.last_heard_at, now),
        "ms": "–" if row.average_ms is None else f"{row.average_ms:.0f} ms",
        "pending": f"{waiting.pending:,}" if waiting.pending else "–",
        "marks": f"{waiting.marks:,}" if waiting.marks else "–",
        "what": row.paused_reason or (row.last_error if cut.state != breaker.CLOSED else ""),
    }


def traffic_picture() -> dict[str, Any]:
    """Return the bars of the last hour's traffic, a bar a minute, as high as the busiest minute lets them be."""
    minutes = kept.read("minutes", lambda: traffic.per_minute(MINUTES))
    most = max((number for number, _ in minutes), default=0)
    top = _round_up(most)
    bars = []
    for place, (number, failed) in enumerate(minutes):
        height, failed_height = (round(_HEIGHT * part / top) if part else 0 for part in (number, failed))
        height, failed_height = max(height, int(number > 0)), max(failed_height, int(failed > 0))
        ago = len(minutes) - 1 - place
        when = "this minute" if not ago else f"{ago} min ago"
        bars.append(
            Bar(place * _STEP, _HEIGHT - height, height, _HEIGHT - failed_height, failed_height,
                f"{when}: {number:,} exchanges, {failed:,} failed")
        )  # fmt: skip
    total, failed = (sum(values) for values in zip(*minutes, strict=True)) if minutes else (0, 0)
    return {
        "bars": bars,
        "bar": _BAR,
        "width": len(minutes) * _STEP,
        "height": _HEIGHT,
        "top": f"{top:,}",
        "total": f"{total:,} exchange{'' if total == 1 else 's'}",
        "failed": percent(failed / total) if failed else "",
        "last": f"{minutes[-2][0] / 60:.1f}" if len(minutes) > 1 else "0",
    }


def dead() -> dict[str, Any]:
    """Return the newest deliveries that failed."""
    rows = FinishedDelivery.objects.filter(state__in=OPEN).select_related("platform").defer("body")
    return {
        "rows": [
            {
                "url": _page("ocpi_deadletter_change", pk=row.pk),
                "state": badge(row.state),
                "platform": row.platform.name,
                "object": without_keys(f"{row.module} {row.path or row.url}"),
                "since": _since(row.finished_at, timezone.now()),
                "error": without_keys(row.error)[:90],
            }
            for row in rows.order_by("-id")[:MOST_ROWS]
        ],
        "url": _page("ocpi_deadletter_changelist", "?state=OPEN"),
    }


def _round_up(number: int) -> int:
    """Return the next round number: 10, 15, 20, 30, 50, 75, 100 …"""
    size = 1
    while True:
        for step in (10, 15, 20, 30, 50, 75):
            if number <= step * size:
                return step * size
        size *= 10


def _since(at: datetime | None, now: datetime) -> str:
    return "–" if at is None else duration(max(0.0, (now - at).total_seconds()))


def _page(name: str, query: str = "", *, pk: int | None = None) -> str:
    try:
        return (reverse(f"admin:{name}", args=[] if pk is None else [pk]) + query) if name else ""
    except NoReverseMatch:
        return ""
