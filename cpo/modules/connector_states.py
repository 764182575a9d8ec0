"""The last known states of a charge point's connectors, in either OCPP version; older news change nothing (OCPP-58)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cpo.models import ChargePointConnector
from cpo.modules import connectors
from cpo.ocpp.events import ConnectorStatus
from ocpi import prepared

# What an EVSE of several connectors is shown as: the first of these that any of them has.
_SUMMED = ("Occupied", "Reserved", "Available", "Unavailable", "Faulted")
_ALL = "0"  # the EVSE as a whole, until one of its connectors has spoken


def note(charge_point_id: int, event: ConnectorStatus) -> bool:
    """Keep the state of a connector of OCPP 1.6, unless it is older than the kept one; say whether it was kept."""
    values = [charge_point_id, event.connector, event.status, event.error_code, event.moment.at]
    return bool(prepared.fetch_all(_NOTE, values))


def note_all(states: Sequence[tuple[int, ConnectorStatus]]) -> set[tuple[int, int]]:
    """Do what `note` does for many connectors, each once, with one statement; return whose states were kept.

    :param states: charge points, and what they say; a connector is named by charge point and number.
    """
    rows = prepared.fetch_all(
        _NOTE_ALL,
        {
            "points": [str(charge_point_id) for charge_point_id, _ in states],
            "connectors": [str(event.connector) for _, event in states],
            "statuses": [event.status for _, event in states],
            "error_codes": [event.error_code for _, event in states],
            "moments": [event.moment.at for _, event in states],
        },
    )
    return {(charge_point_id, connector) for charge_point_id, connector in rows}


def note_201(charge_point_id: int, event: ConnectorStatus) -> list[int]:
    """Keep the state of one connector of an EVSE, or of all of them; return our numbers of what has changed."""
    if not event.evse:
        numbers = [0]
    elif event.connector:
        numbers = [connectors.number_of(charge_point_id, event.evse, event.connector)]
    else:
        numbers = connectors.numbers_of(charge_point_id, event.evse)
    return [number for number in numbers if _note_plug(charge_point_id, number, event)]


def _note_plug(charge_point_id: int, number: int, event: ConnectorStatus) -> bool:
    row = ChargePointConnector.objects.filter(charge_point_id=charge_point_id, connector_id=number).first()
    row = row or ChargePointConnector(charge_point_id=charge_point_id, connector_id=number)
    plugs: dict[str, list[str]] = dict(row.plugs)
    if event.connector:
        plugs.pop(_ALL, None)
        said = [str(event.connector)]
    else:
        said = list(plugs) or [_ALL]
    changed = [plug for plug in said if _is_newer(plugs.get(plug), event.moment.at)]
    for plug in changed:
        plugs[plug] = _state(plugs.get(plug), event)
    if not changed:
        return False
    row.plugs = plugs
    row.status = next((each for each in _SUMMED if any(status == each for status, _, _ in plugs.values())), "")
    row.status_at = max(datetime.fromisoformat(at) for _, at, _ in plugs.values())
    row.error_code = event.error_code
    row.save()
    return True


def _is_newer(known: list[str] | None, at: datetime) -> bool:
    return known is None or datetime.fromisoformat(known[1]) <= at


def _state(known: list[str] | None, event: ConnectorStatus) -> list[str]:
    at = event.moment.at.isoformat()
    return [event.status, at, known[2] if known is not None and known[0] == event.status else at]


_INTO = """
INSERT INTO cpo_chargepointconnector AS c (charge_point_id, connector_id, status, error_code, status_at)
"""
_UNLESS_OLDER = """
ON CONFLICT (charge_point_id, connector_id) DO UPDATE SET
    status_at = EXCLUDED.status_at, status = EXCLUDED.status, error_code = EXCLUDED.error_code
WHERE c.status_at IS NULL OR c.status_at <= EXCLUDED.status_at
RETURNING charge_point_id, connector_id
"""
_NOTE = f"{_INTO} VALUES (%s, %s, %s, %s, %s) {_UNLESS_OLDER}"
_NOTE_ALL = f"""{_INTO}
SELECT * FROM unnest(%(points)s::text[]::bigint[], %(connectors)s::text[]::int[], %(statuses)s::text[],
                     %(error_codes)s::text[], %(moments)s::text[]::timestamptz[])
{_UNLESS_OLDER}"""  # noqa: S608 - constants only
