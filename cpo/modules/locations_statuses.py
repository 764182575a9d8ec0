"""The Status of our EVSEs: decided from all that is known of them (M-1 to M-3), of many charge points at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from cpo import evse_states
from cpo.modules import locations_writing
from ocpi import prepared, sql_arrays


class BeingChanged(Exception):
    """Somebody else is changing EVSEs just now, or their Locations."""

    def __init__(self, charge_point_ids: frozenset[int]) -> None:
        super().__init__(f"EVSEs of {len(charge_point_ids)} charge points are being changed")
        self.charge_point_ids = charge_point_ids


@dataclass(frozen=True, slots=True)
class _Change:
    evse_id: int
    charge_point_id: int
    status: str


def refresh(charge_point_id: int, connector_id: int | None = None, *, correlation_id: str | None = None) -> int:
    """Give the EVSEs of a charge point the Status that follows from all we know of them; return how many changed.

    Connector 0, or none, is the charge point as a whole.

    :raises TransactionManagementError: outside of a transaction: a change and its push are one.
    """
    return _set(_changes([(charge_point_id, connector_id)]), waits=True, correlation_id=correlation_id)


def refresh_all(places: Sequence[tuple[int, int | None]]) -> int:
    """Do what `refresh` does for connectors of many charge points, each of them once, in as few statements.

    :raises BeingChanged: instead of waiting for somebody else; nothing is written then.
    """
    return _set(_changes(places), waits=False)


def set_status(evse_id: int, wanted: str, *, correlation_id: str | None = None) -> int:
    """Give an EVSE a Status, stamp its Location (LOC-09) and tell everybody (LOC-32); return 1 if that is a change."""
    with transaction.atomic(savepoint=False):
        return _set([_Change(evse_id, 0, wanted)], waits=True, correlation_id=correlation_id)


def _set(changes: Sequence[_Change], *, waits: bool, correlation_id: str | None = None) -> int:
    rows = locations_writing.lock([change.evse_id for change in changes], waits=waits)
    if not waits and len(rows) < len(changes):
        raise BeingChanged(frozenset(change.charge_point_id for change in changes if change.evse_id not in rows))
    new = [
        (rows[change.evse_id], {"status": change.status})
        for change in changes
        if change.evse_id in rows and rows[change.evse_id].status != change.status
    ]
    locations_writing.write(new, correlation_id=correlation_id)
    removed = [row.location_id for row, members in new if members["status"] == "REMOVED"]
    if removed:
        locations_writing.hide_or_show(removed)
    return len(new)


def _changes(places: Sequence[tuple[int, int | None]]) -> list[_Change]:
    """Return which EVSEs are to get another Status."""
    now = timezone.now()
    found = []
    for row in prepared.fetch_all(_KNOWN, _places(places)):
        evse_id, charge_point_id, current, *known = row
        status = _decided(known, now)
        if status != current:
            found.append(_Change(evse_id, charge_point_id, status.value))
    return found


def _places(places: Sequence[tuple[int, int | None]]) -> dict[str, str]:
    points, connectors = zip(*places, strict=True)
    return {
        "points": sql_arrays.numbers(points),
        "connectors": sql_arrays.numbers(connector or None for connector in connectors),
    }


def _decided(known: Sequence[Any], now: datetime) -> evse_states.Status:
    version, own, since, plugs, whole, running, ended_at, online, last_seen_at, sibling, closed = known
    if version.startswith("2."):
        at_work = _plugs(json.loads(plugs or "{}"), json.loads(running or "null"), ended_at, now)
        said = evse_states.status_of_evse(at_work, charge_point_status=whole or "")
    else:
        said = evse_states.status_of_connector(
            own or "",
            open_transaction=running is not None,
            since_preparing=now - since if since and own == "Preparing" else None,
            charge_point_status=whole or "",
        )
    return evse_states.precedence(
        said,
        open_transaction=running is not None,
        blocked=closed,
        offline_for=None if online or last_seen_at is None else now - last_seen_at,
        sibling_in_use=sibling and running is None,
    )


def _plugs(
    kept: dict[str, list[str]], running: list[Any] | None, ended_at: datetime | None, now: datetime
) -> list[evse_states.Plug]:
    """Return what the connectors of an EVSE of OCPP 2.0.1 do; `running` is charging state, authorised, connector."""
    found = []
    for plug, (said, _, since_text) in kept.items():
        since = datetime.fromisoformat(since_text)
        state, authorised, used = running or ("", False, 0)
        is_open = running is not None and (len(kept) == 1 or used in (0, int(plug)))
        found.append(
            evse_states.Plug(
                said,
                charging_state=state if is_open else "",
                open_transaction=is_open,
                token_accepted=is_open and authorised,
                ended_since_occupied=ended_at is not None and ended_at >= since,
                since_occupied=now - since,
            )
        )
    return found


def refresh_due() -> int:
    """Give a new Status to EVSEs for which time alone has made one: silence, a return, a car that does not charge."""
    with connection.cursor() as cursor:
        policy = evse_states.DEFAULT
        cursor.execute(_DUE, [policy.preparing_for.total_seconds(), policy.offline_grace.total_seconds()])
        due = [charge_point_id for (charge_point_id,) in cursor.fetchall()]
    for charge_point_id in due:
        with transaction.atomic():
            refresh(charge_point_id)
    return len(due)


_KNOWN = """
SELECT e.id, e.charge_point_id, e.status, p.protocol, c.status, c.status_at, c.plugs, whole.status,
       (SELECT jsonb_build_array(t.charging_state, t.authorised, t.plug) FROM cpo_transaction t
        WHERE t.charge_point_id = e.charge_point_id AND t.connector_id = e.connector_id AND t.stopped_at IS NULL
        ORDER BY t.id DESC LIMIT 1),
       CASE WHEN p.protocol LIKE '2.%%' THEN
           (SELECT t.stopped_at FROM cpo_transaction t WHERE t.charge_point_id = e.charge_point_id
            AND t.connector_id = e.connector_id ORDER BY t.id DESC LIMIT 1) END,
       p.online, p.last_seen_at,
       EXISTS (SELECT FROM cpo_evse s LEFT JOIN cpo_chargepointconnector sc
                   ON sc.charge_point_id = s.charge_point_id AND sc.connector_id = s.connector_id
               WHERE s.charge_point_id = e.charge_point_id AND s.hardware = e.hardware AND s.id <> e.id
               AND (sc.status IN ('Charging', 'SuspendedEV', 'SuspendedEVSE', 'Finishing', 'Reserved', 'Occupied')
                    OR EXISTS (SELECT FROM cpo_transaction t WHERE t.charge_point_id = s.charge_point_id
                               AND t.connector_id = s.connector_id AND t.stopped_at IS NULL))),
       EXISTS (SELECT FROM cpo_closing g WHERE g.evse_id = e.id AND g.state = 'IN_FORCE')
FROM unnest(%(points)s::text::bigint[], %(connectors)s::text::int[]) AS wanted(charge_point_id, connector_id)
JOIN cpo_evse e ON e.charge_point_id = wanted.charge_point_id
JOIN cpo_chargepoint p ON p.id = e.charge_point_id
LEFT JOIN cpo_chargepointconnector c ON c.charge_point_id = p.id AND c.connector_id = e.connector_id
LEFT JOIN cpo_chargepointconnector whole ON whole.charge_point_id = p.id AND whole.connector_id = 0
WHERE e.status NOT IN ('REMOVED', 'PLANNED')
  AND (p.boot_status = 'Accepted' OR NOT p.online)  -- nothing is published before (OCPP-32)
  AND (wanted.connector_id IS NULL OR e.connector_id = wanted.connector_id
       OR e.hardware = (SELECT h.hardware FROM cpo_evse h
                        WHERE h.charge_point_id = e.charge_point_id AND h.connector_id = wanted.connector_id))
ORDER BY e.id
"""
_DUE = """
SELECT DISTINCT e.charge_point_id
FROM cpo_evse e JOIN cpo_chargepoint p ON p.id = e.charge_point_id
LEFT JOIN cpo_chargepointconnector c ON c.charge_point_id = p.id AND c.connector_id = e.connector_id
WHERE e.status NOT IN ('REMOVED', 'PLANNED') AND (
    (e.status = 'AVAILABLE' AND c.status IN ('Preparing', 'Occupied') AND p.online
     AND c.status_at < statement_timestamp() - make_interval(secs => %s))
    OR (e.status <> 'UNKNOWN' AND NOT p.online AND p.last_seen_at < statement_timestamp() - make_interval(secs => %s))
    OR (e.status = 'UNKNOWN' AND p.online AND p.boot_status = 'Accepted' AND c.status <> ''))
  AND NOT EXISTS (SELECT FROM cpo_closing g WHERE g.evse_id = e.id AND g.state = 'IN_FORCE')
LIMIT 500
"""
