"""What the page of one charge point shows above its columns, read with a few bounded queries (OCPP-107)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Q

from cpo import evse_reasons
from cpo.evse_reasons import Known
from cpo.gateway.operation_states import OPEN
from cpo.models import ChargePoint, ChargePointConnection, FrameLog, LocalList, Operation, StationAlarm
from ocpi import clock
from ocpi.alarms import duration

HOURS = 24  # of the picture of connections
MOST_FRAMES = 12
WIDTH = 960  # of the picture, px
_FRAMES_SINCE = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Tile:
    """An EVSE, its Status and why it has it."""

    pk: int
    uid: str
    connector: int | None
    status: str
    why: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time of being connected, as a bar of the picture."""

    x: int
    width: int
    title: str


def tiles(charge_point_id: int) -> list[Tile]:
    """Return the EVSEs of a charge point with the reason of each Status (M-3)."""
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(_TILES, [charge_point_id])
        rows = cursor.fetchall()
    return [
        Tile(pk, uid, number, status, evse_reasons.why(Known(status, True, *known), now))
        for pk, uid, number, status, *known in rows
    ]


def picture(charge_point: ChargePoint) -> list[Stretch]:
    """Return when a charge point was connected in the last day."""
    now = clock.now()
    begin = now - timedelta(hours=HOURS)
    rows = ChargePointConnection.objects.filter(charge_point=charge_point, since__lt=now).filter(
        Q(until=None) | Q(until__gt=begin)
    )
    found = []
    for row in rows.order_by("-since")[:500]:
        is_open = row.until is None and charge_point.online and row.epoch == charge_point.epoch
        until = now if is_open else row.until or charge_point.last_seen_at or row.since
        left = _place(max(row.since, begin), begin)
        ended = "still" if is_open else f"ended {row.close_code or 'unseen'} {row.reason}".strip()
        title = f"{row.since:%H:%M:%S} – {until:%H:%M:%S}, {ended}"
        found.append(Stretch(left, max(1, _place(until, begin) - left), title))
    return found


def facts(charge_point: ChargePoint) -> list[tuple[str, str]]:
    """Return what one looks for first."""
    now = clock.now()
    seen = charge_point.connected_at if charge_point.online else charge_point.last_seen_at
    since = "never" if seen is None else f"for {duration((now - seen).total_seconds())}"
    boot: dict[str, Any] = charge_point.boot_data or {}
    station = boot.get("chargingStation") if isinstance(boot.get("chargingStation"), dict) else boot
    station = station if isinstance(station, dict) else {}
    made = " ".join(
        str(station.get(name) or station.get(f"chargePoint{name.removesuffix('Name').capitalize()}") or "")
        for name in ("vendorName", "model")
    ).strip()
    offset = charge_point.clock_offset
    return [
        ("connected" if charge_point.online else "offline", since),
        ("protocol", charge_point.protocol or "–"),
        ("node", charge_point.node if charge_point.online else "–"),
        ("address", charge_point.address or "–"),
        ("clock", "–" if offset is None else f"{offset:+.0f} s"),
        ("device", made or "–"),
        ("firmware", str(station.get("firmwareVersion") or "–")),
        ("local list", _local_list(charge_point)),
    ]


def more(charge_point: ChargePoint) -> dict[str, Any]:
    """Return all of it, for the template."""
    recent = FrameLog.objects.filter(charge_point=charge_point, at__gte=clock.now() - _FRAMES_SINCE)
    return {
        "facts": facts(charge_point),
        "tiles": tiles(charge_point.pk),
        "stretches": picture(charge_point),
        "width": WIDTH,
        "alarms": list(StationAlarm.objects.filter(charge_point=charge_point, cleared_at=None).order_by("raised_at")),
        "frames": list(recent.order_by("-at", "-id")[:MOST_FRAMES]),
        "pending": list(
            Operation.objects.filter(charge_point=charge_point, state__in=OPEN).order_by("created_at")[:20]
        ),
    }


def _place(at: datetime, begin: datetime) -> int:
    return round((at - begin).total_seconds() * WIDTH / (HOURS * 3600))


def _local_list(charge_point: ChargePoint) -> str:
    row = LocalList.objects.filter(charge_point=charge_point).select_related("held", "wanted").first()
    if row is None or not row.wished:
        return "not kept by us"
    if row.state in ("FAILED", "UNSUPPORTED"):
        return row.state.lower()
    if row.held is not None and row.held_id == row.wanted_id:
        return f"{row.held.count:,} entries, version {row.version}"
    return "being brought up to date" if row.wanted is not None else "not looked at yet"


_TILES = """
SELECT e.id, e.uid, e.connector_id, e.status,
       (SELECT g.reason FROM cpo_closing g WHERE g.evse_id = e.id AND g.state = 'IN_FORCE' ORDER BY g.id DESC LIMIT 1),
       p.online, p.last_seen_at, coalesce(c.status, ''), c.status_at, coalesce(c.error_code, ''),
       coalesce(whole.status, ''),
       coalesce((SELECT 'transaction ' || t.transaction_id FROM cpo_transaction t
                 WHERE t.charge_point_id = p.id AND t.connector_id = e.connector_id AND t.stopped_at IS NULL
                 ORDER BY t.id DESC LIMIT 1), ''),
       EXISTS (SELECT FROM cpo_evse s JOIN cpo_transaction t ON t.charge_point_id = s.charge_point_id
                   AND t.connector_id = s.connector_id AND t.stopped_at IS NULL
               WHERE s.charge_point_id = e.charge_point_id AND s.hardware = e.hardware AND s.id <> e.id)
FROM cpo_evse e JOIN cpo_chargepoint p ON p.id = e.charge_point_id
LEFT JOIN cpo_chargepointconnector c ON c.charge_point_id = p.id AND c.connector_id = e.connector_id
LEFT JOIN cpo_chargepointconnector whole ON whole.charge_point_id = p.id AND whole.connector_id = 0
WHERE p.id = %s ORDER BY e.connector_id, e.id LIMIT 200
"""
