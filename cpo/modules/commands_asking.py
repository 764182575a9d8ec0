"""From a command to the operation at its charge point: table M-6."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from cpo.models import EVSE, ChargePoint, Command, Operation, Transaction
from cpo.modules import locations_operations as locations
from cpo.modules import tokens
from cpo.ocpp import calls, events
from ocpi import clock
from ocpi.headers import Address
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
    token = _token(row)
    asked = events.RemoteStart(
        id_token=row.id_tag,
        connector=row.evse.connector_id if row.evse else None,
        token_type=str(token["type"]),
        group=str(token.get("group_id") or ""),
        remote_start_id=row.pk,  # the transaction names it: that joins it to this command (OCPP-54)
    )
    return calls.remote_start(charge_point, asked, **common)


def _token(row: Command) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(row.request)["token"]
    return found


def _stop(row: Command, charge_point: ChargePoint, common: dict[str, Any]) -> Operation:
    found = Transaction.objects.select_related("charge_point").filter(transaction_id=row.transaction_id or 0).first()
    if found is None:
        raise calls.NotAsked("the transaction is gone")
    return calls.remote_stop(found, **common)


def _reserve(row: Command, charge_point: ChargePoint, common: dict[str, Any]) -> Operation:
    if row.reservation is None:
        raise calls.NotAsked("the reservation is gone")
    members = msgspec.json.decode(row.request)
    group = members["token"].get("group_id") or ""
    if not calls.speaks_201(charge_point):
        group = tokens.parent_id_tag(_owner(members["token"]), str(group))
    asked = events.Reserve(
        reservation_id=row.reservation.number,  # never the eMSP's own id (CMD-38)
        id_token=row.id_tag,
        expires_at=parse_datetime(members["expiry_date"]),
        connector=(row.evse.connector_id if row.evse else None) or 0,
        parent_id_token=group,
        token_type=str(members["token"]["type"]),
    )
    return calls.reserve(charge_point, asked, **common)


def _owner(token: dict[str, Any]) -> Address:
    return Address(str(token["country_code"]), str(token["party_id"]))


def _cancel(row: Command, charge_point: ChargePoint, common: dict[str, Any]) -> Operation:
    if row.reservation is None:
        raise calls.NotAsked("the reservation is gone")
    return calls.cancel_reservation(charge_point, number=row.reservation.number, **common)


def _unlock(row: Command, charge_point: ChargePoint, common: dict[str, Any]) -> Operation:
    if row.evse is None or row.evse.connector_id is None:
        raise calls.NotAsked("the EVSE has no connector any more")
    plug = _plug(row.evse, str(msgspec.json.decode(row.request).get("connector_id") or ""))
    return calls.unlock(charge_point, connector=row.evse.connector_id, plug=plug, **common)


def _plug(evse: EVSE, connector_id: str) -> int:
    """Return which connector of an EVSE is meant, in the order of its Connectors; the first if none is named."""
    known = [each.casefold() for each in locations.connector_ids(evse.document)]
    return known.index(connector_id.casefold()) + 1 if connector_id.casefold() in known else 1


_CALLS: dict[str, Callable[[Command, ChargePoint, dict[str, Any]], Operation]] = {
    CommandType.START_SESSION: _start,
    CommandType.STOP_SESSION: _stop,
    CommandType.RESERVE_NOW: _reserve,
    CommandType.CANCEL_RESERVATION: _cancel,
    CommandType.UNLOCK_CONNECTOR: _unlock,
}
