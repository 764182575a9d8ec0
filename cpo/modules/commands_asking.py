"""From a command to the operation at its charge point: table M-6."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from cpo.models import ChargePoint, Command, Operation
from cpo.modules.tokens import LONGEST_ID_TAG
from cpo.ocpp import calls, events
from ocpi import clock
from ocpi.v2_2_1.commands import CommandType
from ocpi.v2_2_1.types import parse_datetime

_OPERATION_SECONDS = 30.0


def ask(row: Command, charge_point: ChargePoint) -> Operation:
    """Queue what a command asks of its charge point; it ends before the eMSP stops waiting (CMD-17).

    :raises NotAsked: if it cannot even be queued.
    """
    left = (row.give_up_at - clock.now()).total_seconds()
    common = {
        "asked_by": f"{row.command} {row.pk}",
        "key": f"command {row.pk}",
        "timeout": min(_OPERATION_SECONDS, left),
    }
    return _CALLS[row.command](row, charge_point, common)


def _start(row: Command, charge_point: ChargePoint, common: dict[str, Any]) -> Operation:
    connector = row.evse.connector_id if row.evse else None
    return calls.remote_start(charge_point, id_tag=row.id_tag, connector=connector, **common)


def _stop(row: Command, charge_point: ChargePoint, common: dict[str, Any]) -> Operation:
    return calls.remote_stop(charge_point, transaction_id=row.transaction_id or 0, **common)


def _reserve(row: Command, charge_point: ChargePoint, common: dict[str, Any]) -> Operation:
    if row.reservation is None:
        raise calls.NotAsked("the reservation is gone")
    members = msgspec.json.decode(row.request)
    group = members["token"].get("group_id") or ""
    asked = events.Reserve(
        reservation_id=row.reservation.number,  # never the eMSP's own id (CMD-38)
        id_token=row.id_tag,
        expires_at=parse_datetime(members["expiry_date"]),
        connector=(row.evse.connector_id if row.evse else None) or 0,
        parent_id_token=group if len(group) <= LONGEST_ID_TAG else "",
    )
    return calls.reserve(charge_point, asked, **common)


def _cancel(row: Command, charge_point: ChargePoint, common: dict[str, Any]) -> Operation:
    if row.reservation is None:
        raise calls.NotAsked("the reservation is gone")
    return calls.cancel_reservation(charge_point, number=row.reservation.number, **common)


def _unlock(row: Command, charge_point: ChargePoint, common: dict[str, Any]) -> Operation:
    if row.evse is None or row.evse.connector_id is None:
        raise calls.NotAsked("the EVSE has no connector any more")
    return calls.unlock(charge_point, connector=row.evse.connector_id, **common)


_CALLS: dict[str, Callable[[Command, ChargePoint, dict[str, Any]], Operation]] = {
    CommandType.START_SESSION: _start,
    CommandType.STOP_SESSION: _stop,
    CommandType.RESERVE_NOW: _reserve,
    CommandType.CANCEL_RESERVATION: _cancel,
    CommandType.UNLOCK_CONNECTOR: _unlock,
}
