"""What the live page shows, in a few bounded queries, kept for a second so that many watchers cost as much as one.

The sides are named as strings: the hub's package knows neither's code (docs/adr/0005).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.models import Case, Count, IntegerField, Q, QuerySet, Value, When
from django.utils import timezone

from hub.models import SharedObject
from ocpi import backlog, traffic
from ocpi.admin_pages import member, without_keys
from ocpi.models import Exchange, Party, Platform

MOST_EVSES = 240
MOST_PLATFORMS = 60
_MOST_SESSIONS, _MOST_CDRS, _MOST_EXCHANGES = 30, 12, 25
_SECOND, _COUNTS = 1.0, 5.0  # how long answers are kept
_kept: dict[str, tuple[float, Any]] = {}
_lock = threading.Lock()


def current() -> dict[str, Any]:
    """Return the state of this instance; not older than a second."""
    with _lock:
        return _keep("state", _SECOND, _state)  # type: ignore[no-any-return]


def forget() -> None:
    """Have the next answer read anew."""
    _kept.clear()


def _keep(name: str, seconds: float, read: Callable[[], Any]) -> Any:
    at, found = _kept.get(name, (-1e9, None))
    if time.monotonic() - at >= seconds:
        found = read()
        _kept[name] = (time.monotonic(), found)
    return found


def _state() -> dict[str, Any]:
    return {
        "at": timezone.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "name": settings.OCPI_BUSINESS_NAME,
        "sides": settings.OCPI_SIDES,
        "parties": settings.OCPI_PARTIES,
        "platforms": _platforms(),
        "connections": _connections(),
        "traffic": _keep("traffic", _COUNTS, traffic.per_minute),
        "objects": _keep("objects", _COUNTS, _objects) if "hub" in settings.OCPI_SIDES else [],
        "charging": [_charging(side) for side in settings.OCPI_SIDES if side in ("cpo", "emsp")],
        "exchanges": _exchanges(),
    }


def _platforms() -> list[dict[str, Any]]:
    waiting = backlog.by_platform(dead=False)
    roles: dict[int, list[str]] = {}
    for party in Party.objects.filter(approved=True, claimed=True, through_hub=False).order_by("id"):
        roles.setdefault(party.platform_id, []).append(str(party))
    return [
        {
            "name": row.name,
            "state": row.state,
            "connection": "PAUSED" if row.paused_reason else row.connection,
            "version": row.version,
            "roles": roles.get(row.pk, []),
            "pending": waiting.get(row.pk, backlog.Backlog()).pending,
            "marks": waiting.get(row.pk, backlog.Backlog()).marks,
            "ms": None if row.average_ms is None else round(row.average_ms),
        }
        for row in _first().defer("token_out")[:MOST_PLATFORMS]
    ]


def _first() -> QuerySet[Platform]:
    """Return the platforms, those in trouble first: what is not shown is in order."""
    place = Case(
        When(~Q(paused_reason="") | Q(connection__in=["OFFLINE", "SUSPENDED"]), then=Value(0)),
        When(failures__gt=0, then=Value(1)),
        default=Value(2),
        output_field=IntegerField(),
    )
    return Platform.objects.order_by(place, "name")


def _connections() -> list[dict[str, Any]]:
    """Return how many platforms are how connected."""
    counted: Counter[str] = Counter()
    rows = Platform.objects.order_by().values_list("state", "connection").annotate(
        number=Count("id"), paused=Count("id", filter=~Q(paused_reason=""))
    )  # fmt: skip
    for state, connection, number, paused in rows:
        counted["PAUSED"] += paused
        counted[connection if state == "REGISTERED" else state] += number - paused
    return [{"status": status, "number": number} for status, number in sorted(counted.items()) if number]


def _objects() -> list[dict[str, Any]]:
    counts = SharedObject.objects.filter(deleted_at=None, container=None).order_by("module").values_list("module")
    return [{"module": module, "number": number} for module, number in counts.annotate(number=Count("id"))]


def _charging(side: str) -> dict[str, Any]:
    statuses: Any = _keep(f"{side} statuses", _SECOND, lambda: _statuses(side))
    return {
        "side": side,
        "statuses": statuses,
        "evses": [
            {"uid": uid, "status": status, "location": location, "at": _time(at)}
            for uid, status, location, at in _rows(side, "EVSE")
            .order_by("id")
            .values_list("uid", "status", "location__object_id", "last_updated")[:MOST_EVSES]
        ],
        "sessions": [_session(side, row) for row in _rows(side, "Session").filter(status="ACTIVE")
                     .order_by("-start_date_time")[:_MOST_SESSIONS]],
        "cdrs": [_cdr(row) for row in _rows(side, "CDR").order_by("-id")[:_MOST_CDRS]],
        "cdr_number": _keep(f"{side} cdrs", _SECOND, lambda: _rows(side, "CDR").count()),
    }  # fmt: skip


def _rows(side: str, name: str) -> Any:
    model: Any = apps.get_model(side, name)
    return model.objects.all()


def _statuses(side: str) -> list[dict[str, Any]]:
    counts = _rows(side, "EVSE").order_by("status").values_list("status").annotate(number=Count("id"))
    return [{"status": status, "number": number} for status, number in counts]


def _session(side: str, row: Any) -> dict[str, Any]:
    return {
        "id": row.object_id,
        "party": f"{row.country_code}*{row.party_id}",
        "evse": member(row.document, "evse_uid"),
        "token": _covered(row.token_uid),
        "start": _time(row.start_date_time),
        "kwh": member(row.document, "kwh"),
        "cost": member(row.document, "total_cost", "excl_vat"),
        "currency": member(row.document, "currency"),
    }


def _cdr(row: Any) -> dict[str, Any]:
    return {
        "id": row.object_id,
        "party": f"{row.country_code}*{row.party_id}",
        "start": _time(row.start_date_time),
        "kwh": member(row.document, "total_energy"),
        "cost": member(row.document, "total_cost", "excl_vat"),
        "currency": member(row.document, "currency"),
        # Only the receiver of a CDR judges it.
        "verdict": getattr(row, "verdict", None),
    }


def _exchanges() -> list[dict[str, Any]]:
    rows = Exchange.objects.select_related("platform").defer(
        "request_headers", "request_body", "response_headers", "response_body"
    )
    return [
        {
            "at": _time(row.at),
            "direction": row.direction,
            "platform": row.platform.name if row.platform else "",
            "method": row.method,
            "what": without_keys(f"{row.module}/{row.object_path}" if row.object_path else row.module or row.url)[:80],
            "status": row.http_status,
            "code": row.status_code,
            "ms": row.milliseconds,
            "error": row.error.partition(":")[0],
        }
        for row in rows.order_by("-id")[:_MOST_EXCHANGES]
    ]


def _covered(uid: str) -> str:
    """A driver's token identifies a person: the page may be public."""
    return f"…{uid[-4:]}" if len(uid) > 4 else uid


def _time(at: Any) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")  # type: ignore[no-any-return]
