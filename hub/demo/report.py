"""The demo's report: what each instance has in its own database at the end, read by a process that is that instance."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from django.apps import apps
from django.db import connection, models
from django.db.models import Count

from hub.demo.drivers import cdr_line

_ENDED = {"DELIVERED": "delivered", "REFUSED": "refused", "DEAD": "dead"}
_PERCENT = {"p50": 0.50, "p95": 0.95}


def _rows(label: str) -> models.Manager[models.Model]:
    """Return a model's rows by its label: the sides are not imported here."""
    rows: models.Manager[models.Model] = apps.get_model(label)._default_manager
    return rows


def deliveries() -> dict[str, int]:
    """Return how the deliveries of one instance ended, and how many have not."""
    found = dict.fromkeys(("sent", "delivered", "refused", "dead", "pending"), 0)
    finished = _rows("ocpi.FinishedDelivery").values_list("state").annotate(Count("id"))
    for state, count in finished:
        found["sent"] += count
        if state in _ENDED:
            found[_ENDED[state]] += count
    found["pending"] = _rows("ocpi.Delivery").exclude(state="DEAD").count()
    return found


def refusals() -> list[str]:
    """Return what of the deliveries of one instance was refused or given up, and what was said to it."""
    ended = _rows("ocpi.FinishedDelivery").filter(state__in=["REFUSED", "DEAD"]).order_by("id")
    return [
        f"{row['module']} {row['path']}: {row['state']}, {row['error']}"
        for row in ended.values("module", "path", "state", "error")
    ]


def owner_side() -> dict[str, Any]:
    """Return what the CPO has."""
    return {
        "deliveries": deliveries(),
        "refusals": refusals(),
        "tariffs": _rows("cpo.Tariff").count(),
        "locations": _rows("cpo.Location").count(),
        "tokens": _rows("cpo.Token").count(),
        "charge_points": _rows("cpo.ChargePoint").count(),
        "open": _rows("cpo.Session").filter(status__in=["ACTIVE", "PENDING"]).count(),
        "cdrs": _rows("cpo.CDR").count(),
    }


def receiver_side() -> dict[str, Any]:
    """Return what the eMSP has."""
    cdrs = _rows("emsp.CDR").order_by("id")
    return {
        "deliveries": deliveries(),
        "refusals": refusals(),
        "locations": _rows("emsp.Location").count(),
        "tariffs": _rows("emsp.Tariff").filter(deleted_at=None).count(),
        "tokens": _rows("emsp.Token").count(),
        "sessions": _rows("emsp.Session").count(),
        "open": _rows("emsp.Session").filter(status__in=["ACTIVE", "PENDING"]).count(),
        "unchecked": cdrs.filter(verdict="").count(),
        "cdrs": [cdr_line(row) for row in cdrs],
        "status_commits": _status_commits(),
    }


def hub_side() -> dict[str, Any]:
    """Return what the hub has, and how long it took to pass requests on."""
    with connection.cursor() as cursor:
        # Direct requests only: those that arrived for a party other than the hub, and were answered by it.
        cursor.execute(
            "SELECT milliseconds FROM ocpi_exchange WHERE direction = 'IN' AND to_party NOT IN ('', 'NL*HUB') "
            "AND http_status < 300 AND milliseconds IS NOT NULL"
        )
        forwards = [row[0] for row in cursor.fetchall()]
    return {"deliveries": deliveries(), "refusals": refusals(), "forwards": forwards}


def as_json(work: Callable[[], dict[str, Any]]) -> Callable[[], str]:
    """Return work whose value can pass a pipe."""
    return lambda: json.dumps(work())


def added_up(parts: Sequence[dict[str, int]]) -> dict[str, int]:
    """Return the sum of several instances' deliveries."""
    return {name: sum(part[name] for part in parts) for name in parts[0]}


def latencies(forwards: Sequence[float], statuses: Sequence[float]) -> dict[str, float | None]:
    """Return the percentiles of the report, in milliseconds."""
    return {
        f"{name}_{label}": percentile(values, share)
        for name, values in (("forward", forwards), ("status", statuses))
        for label, share in _PERCENT.items()
    }


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the value below which this share of the values lies."""
    ordered = sorted(values)
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)], 1) if ordered else None


def status_latencies(sent: Sequence[dict[str, Any]], commits: Sequence[dict[str, Any]]) -> list[float]:
    """Return the times from a StatusNotification to the eMSP's committed change, in milliseconds.

    Each commit belongs to the last notification before it that says the same of the same EVSE, is no mere repetition,
    and comes after the one that the EVSE's commit before belongs to. The end of a transaction frees its EVSE before a
    charge point says so: such a commit has no notification, and no time.
    """
    found = []
    waiting: dict[Any, list[tuple[float, Any]]] = {}
    said: dict[Any, Any] = {}
    for event in sorted(sent, key=itemgetter("at")):
        evse, status = event["evse"], event["status"]
        if said.get(evse) != status:
            said[evse] = status
            waiting.setdefault(evse, []).append((event["at"], status))
    for commit in commits:
        evse, at = commit["evse"], commit["at"]
        cause = max([each for each, status in waiting.get(evse, ()) if each < at and status == commit["status"]],
                    default=None)  # fmt: skip
        if cause is not None:
            found.append((at - cause) * 1000)
            waiting[evse] = [each for each in waiting[evse] if each[0] > cause]
    return found


def _status_commits() -> list[dict[str, Any]]:
    """Return when each status change of an EVSE was committed here: the answer is given after the commit (REL-06)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXTRACT(EPOCH FROM at) + milliseconds / 1000, object_path, url, request_body FROM ocpi_exchange "
            "WHERE direction = 'IN' AND module = 'locations' AND method = 'PATCH' AND status_code = 1000 ORDER BY at"
        )
        rows = cursor.fetchall()
    found: list[dict[str, Any]] = []
    before: dict[str, str] = {}
    for at, path, url, body in rows:
        evse = (path or url).rstrip("/").rsplit("/", 1)[-1].partition("?")[0]
        status = json.loads(body).get("status")
        if status and before.get(evse) != status:
            found.append({"at": float(at), "evse": evse, "status": status})
            before[evse] = status
    return found
