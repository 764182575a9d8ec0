"""The operator's overview of a network: counts by state, a map, energy, running sessions and alarms (OCPP-107).

A dozen bounded queries, kept for a few seconds, so that many watchers cost as much as one.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from ocpi import clock
from ocpi.alarms import duration

HOURS = 24
MOST_PLACES = 3_000
MOST_ROWS = 12
_SECONDS = 3.0
_BARS_HEIGHT, _STEP, _BAR = 120, 20, 15
_MAP_WIDTH, _MAP_HEIGHT = 480, 300
_MARGIN = 14
_LEAST_SPAN = 0.02  # degrees: a single street is not blown up further

# State of charge points → tone, title, filter of their list.
_STATES = (
    ("online", "good", "online", "?condition=online"),
    ("charging", "busy", "charging", "?condition=charging"),
    ("faulted", "bad", "faulted", "?condition=faulted"),
    ("pending", "odd", "pending", "?condition=pending"),
    ("offline", "bad", "offline", "?condition=offline"),
    ("unseen", "plain", "never seen", ""),
    ("out", "plain", "out of service", "?condition=out"),
)
_TONE_OF_PLACE = {3: "bad", 2: "busy", 1: "good", 0: "plain"}
_lock = threading.Lock()
_kept: tuple[float, dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a bar of shares."""

    title: str
    tone: str
    number: int
    x: float
    width: float
    query: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A Location on the map."""

    x: float
    y: float
    tone: str
    title: str


@dataclass(frozen=True, slots=True)
class Bar:
    """An hour's energy."""

    x: int
    y: int
    height: int
    title: str


def read() -> dict[str, Any]:
    """Return what the page shows; not older than a few seconds."""
    global _kept
    with _lock:
        if _kept is None or time.monotonic() - _kept[0] > _SECONDS:
            _kept = (time.monotonic(), _read())
        return _kept[1]


def forget() -> None:
    """Have the next answer read anew."""
    global _kept
    _kept = None


def _read() -> dict[str, Any]:
    [states] = _rows(_POINTS)
    counts = dict(zip((name for name, *_ in _STATES), states[:-1], strict=True))
    running, kwh_running, kwh_today, ended_today = _rows(_ENERGY)[0]
    hours = _hours()
    return {
        "total": states[-1],
        "states": shares([(title, tone, counts[name], query) for name, tone, title, query in _STATES]),
        "evses": shares([(status, _TONES.get(status, "plain"), number, f"?status={status}")
                         for status, number in _rows(_EVSES)]),
        "dots": dots(_rows(_PLACES, [MOST_PLACES])),
        "map": (_MAP_WIDTH, _MAP_HEIGHT),
        "running": running,
        "kwh_today": f"{float(kwh_today or 0) + float(kwh_running or 0):,.1f}",
        "ended_today": ended_today,
        "bars": hours,
        "bars_size": (HOURS * _STEP, _BARS_HEIGHT, _BAR),
        "most": max((bar.height for bar in hours), default=0),
        "sessions": _sessions(),
        "alarms": _alarms(),
        "alarm_number": _rows("SELECT count(*) FROM cpo_stationalarm WHERE cleared_at IS NULL")[0][0],
        "operations": _rows("SELECT count(*) FROM cpo_operation WHERE state IN ('QUEUED', 'SENT')")[0][0],
    }  # fmt: skip


def shares(counted: Sequence[tuple[str, str, int, str]]) -> list[Piece]:
    """Return the parts of a bar 100 wide, those of nothing left out."""
    total = sum(number for _, _, number, _ in counted)
    pieces, x = [], 0.0
    for title, tone, number, query in counted:
        if number:
            width = 100 * number / total
            pieces.append(Piece(title, tone, number, round(x, 2), round(width, 2), query))
            x += width
    return pieces


def dots(places: Sequence[tuple[Any, ...]]) -> list[Dot]:
    """Return where Locations lie in the picture: north is up, and a degree of longitude as long as it is there."""
    found = [
        (float(lat), float(lon), worst, name, text) for lat, lon, worst, name, text in places if _is_place(lat, lon)
    ]
    if not found:
        return []
    south, north = min(row[0] for row in found), max(row[0] for row in found)
    west, east = min(row[1] for row in found), max(row[1] for row in found)
    squeeze = max(0.1, math.cos(math.radians((south + north) / 2)))
    span_x, span_y = max((east - west) * squeeze, _LEAST_SPAN), max(north - south, _LEAST_SPAN)
    scale = min((_MAP_WIDTH - 2 * _MARGIN) / span_x, (_MAP_HEIGHT - 2 * _MARGIN) / span_y)
    middle_x, middle_y = (west + east) / 2, (south + north) / 2
    drawn = sorted(found, key=lambda row: (row[2] == 3, row[2]))  # what needs somebody lies on top
    return [
        Dot(
            round(_MAP_WIDTH / 2 + (lon - middle_x) * squeeze * scale, 1),
            round(_MAP_HEIGHT / 2 - (lat - middle_y) * scale, 1),
            _TONE_OF_PLACE[worst],
            f"{name}: {text}",
        )
        for lat, lon, worst, name, text in drawn
    ]


def _is_place(lat: Any, lon: Any) -> bool:
    try:
        return -90 <= float(lat) <= 90 and -180 <= float(lon) <= 180 and (float(lat), float(lon)) != (0.0, 0.0)
    except (TypeError, ValueError):
        return False


def _hours() -> list[Bar]:
    now = clock.now()
    first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    kwh = {hour: float(found) for hour, found in _rows(_HOURS, [first])}
    most = max(kwh.values(), default=0.0)
    bars = []
    for place in range(HOURS):
        hour = first + timedelta(hours=place)
        found = kwh.get(hour, 0.0)
        height = max(1, round(_BARS_HEIGHT * found / most)) if found > 0 else 0
        bars.append(Bar(place * _STEP, _BARS_HEIGHT - height, height, f"{hour:%H}:00 UTC: {found:,.1f} kWh"))
    return bars


def _sessions() -> list[dict[str, Any]]:
    now = clock.now()
    return [
        {
            "pk": pk, "number": number, "station": station, "station_pk": station_pk, "connector": connector,
            "since": _ago(since, now), "kwh": f"{float(wh or 0) / 1000:,.2f}", "power": _power(power),
            "emsp": emsp or "–",
        }
        for pk, number, station, station_pk, connector, since, wh, power, emsp in _rows(_RUNNING, [MOST_ROWS])
    ]  # fmt: skip


def _alarms() -> list[dict[str, Any]]:
    now = clock.now()
    return [
        {"kind": kind.replace("_", " "), "station": station, "station_pk": pk, "subject": subject, "text": text,
         "since": _ago(since, now)}
        for kind, station, pk, subject, text, since in _rows(_ALARMS, [MOST_ROWS])
    ]  # fmt: skip


def _power(watts: Any) -> str:
    return "–" if watts is None else f"{float(watts) / 1000:,.1f} kW"


def _ago(at: datetime, now: datetime) -> str:
    return duration(max(0.0, (now - at).total_seconds()))


def _rows(sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, list(parameters))
        return list(cursor.fetchall())


_TONES = {"AVAILABLE": "good", "CHARGING": "busy", "RESERVED": "busy", "PLANNED": "busy", "BLOCKED": "odd",
          "INOPERATIVE": "bad", "OUTOFORDER": "bad", "UNKNOWN": "plain"}  # fmt: skip
# Each charge point is counted once: as what needs somebody first.
_POINTS = """
WITH state AS (
    SELECT CASE WHEN p.decommissioned_at IS NOT NULL THEN 'out'
        WHEN p.last_seen_at IS NULL THEN 'unseen' WHEN NOT p.online THEN 'offline'
        WHEN p.boot_status <> 'Accepted' THEN 'pending'
        WHEN EXISTS (SELECT FROM cpo_chargepointconnector c WHERE c.charge_point_id = p.id AND c.status = 'Faulted')
            THEN 'faulted'
        WHEN EXISTS (SELECT FROM cpo_transaction t WHERE t.charge_point_id = p.id AND t.stopped_at IS NULL)
            THEN 'charging'
        ELSE 'online' END AS name
    FROM cpo_chargepoint p
)
SELECT count(*) FILTER (WHERE name = 'online'), count(*) FILTER (WHERE name = 'charging'),
       count(*) FILTER (WHERE name = 'faulted'), count(*) FILTER (WHERE name = 'pending'),
       count(*) FILTER (WHERE name = 'offline'), count(*) FILTER (WHERE name = 'unseen'),
       count(*) FILTER (WHERE name = 'out'), count(*) FROM state
"""
_EVSES = """
SELECT status, count(*) FROM cpo_evse WHERE charge_point_id IS NOT NULL AND status <> 'REMOVED'
GROUP BY status ORDER BY count(*) DESC, status
"""
_LAST = """
(SELECT r.register_wh FROM cpo_meterreading r
 WHERE r.transaction_id = t.id AND r.register_wh IS NOT NULL AND r.flag = '' ORDER BY r.at DESC LIMIT 1)
"""
_ENERGY = f"""
SELECT (SELECT count(*) FROM cpo_transaction t WHERE t.stopped_at IS NULL),
       (SELECT sum(greatest({_LAST} - t.meter_start, 0)) / 1000 FROM cpo_transaction t WHERE t.stopped_at IS NULL),
       (SELECT sum(greatest(t.meter_stop - t.meter_start, 0)) / 1000 FROM cpo_transaction t
        WHERE t.thinned_at IS NULL AND t.stopped_at IS NOT NULL AND t.stopped_at >= date_trunc('day', now(), 'UTC')),
       (SELECT count(*) FROM cpo_transaction t
        WHERE t.thinned_at IS NULL AND t.stopped_at IS NOT NULL AND t.stopped_at >= date_trunc('day', now(), 'UTC'))
"""  # noqa: S608 - constants only
_HOURS = """
SELECT date_trunc('hour', t.stopped_at, 'UTC'), sum(greatest(t.meter_stop - t.meter_start, 0)) / 1000
FROM cpo_transaction t WHERE t.thinned_at IS NULL AND t.stopped_at IS NOT NULL AND t.stopped_at >= %s GROUP BY 1
"""
_RUNNING = f"""
SELECT t.id, t.transaction_id, p.identity, p.id, t.connector_id, t.started_at, {_LAST} - t.meter_start,
       (SELECT r.power_w FROM cpo_meterreading r WHERE r.transaction_id = t.id AND r.power_w IS NOT NULL
        ORDER BY r.at DESC LIMIT 1),
       s.emsp_country_code || '*' || s.emsp_party_id
FROM cpo_transaction t JOIN cpo_chargepoint p ON p.id = t.charge_point_id LEFT JOIN cpo_session s ON s.id = t.session_id
WHERE t.stopped_at IS NULL ORDER BY t.id DESC LIMIT %s
"""  # noqa: S608 - constants only
_ALARMS = """
SELECT a.kind, p.identity, p.id, a.subject, a.text, a.raised_at FROM cpo_stationalarm a
JOIN cpo_chargepoint p ON p.id = a.charge_point_id WHERE a.cleared_at IS NULL ORDER BY a.raised_at DESC, a.id LIMIT %s
"""
_PLACES = """
SELECT l.document::jsonb #>> '{coordinates,latitude}', l.document::jsonb #>> '{coordinates,longitude}',
       max(CASE WHEN e.status IN ('OUTOFORDER', 'INOPERATIVE') OR (e.status = 'UNKNOWN' AND p.last_seen_at IS NOT NULL)
           THEN 3 WHEN e.status = 'CHARGING' THEN 2 WHEN e.status IN ('AVAILABLE', 'BLOCKED', 'RESERVED') THEN 1
           ELSE 0 END),
       coalesce(l.document::jsonb ->> 'name', l.object_id),
       string_agg(e.status, ', ' ORDER BY e.id)
FROM (SELECT * FROM cpo_location WHERE id IN (SELECT location_id FROM cpo_evse WHERE charge_point_id IS NOT NULL)
      ORDER BY id LIMIT %s) l
JOIN cpo_evse e ON e.location_id = l.id AND e.status <> 'REMOVED' AND e.charge_point_id IS NOT NULL
JOIN cpo_chargepoint p ON p.id = e.charge_point_id
GROUP BY l.id, l.document, l.object_id
"""
