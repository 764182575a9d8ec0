"""What an operator asks of charge points by hand, one or many, in words of both OCPP versions."""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from cpo.gateway import frames, operations
from cpo.models import ChargePoint, Operation
from cpo.ocpp import calls, events

log = logging.getLogger(__name__)

SOFT, HARD = "soft", "hard"
_TIMEOUT = 60.0
_BY_HAND = 2**30
_CARD = "RFID"


def reset(charge_point: ChargePoint, *, kind: str, by: str) -> Operation:
    """Ask for a restart: `hard` at once, `soft` as the charge point thinks fit.

    :raises NotAsked: if it is away, or cannot even be queued.
    """
    if calls.speaks_201(charge_point):
        payload = {"type": "Immediate" if kind == HARD else "OnIdle"}
    else:
        payload = {"type": "Hard" if kind == HARD else "Soft"}
    return _ask(charge_point, "Reset", payload, by=by)


def change_availability(charge_point: ChargePoint, *, operative: bool, by: str) -> Operation:
    """Ask a whole charge point to be in or out of operation; when it is back, if it is away.

    :raises NotAsked: if it cannot even be queued.
    """
    word = "Operative" if operative else "Inoperative"
    payload: dict[str, Any] = {"operationalStatus": word}
    if not calls.speaks_201(charge_point):
        payload = {"connectorId": 0, "type": word}
    return _ask(charge_point, "ChangeAvailability", payload, by=by, later=True)


def trigger_status(charge_point: ChargePoint, *, by: str) -> Operation:
    """Ask for the states of its connectors.

    :raises NotAsked: if it is away, or cannot even be queued.
    """
    return _ask(charge_point, "TriggerMessage", {"requestedMessage": "StatusNotification"}, by=by)


def unlock(charge_point: ChargePoint, *, connector: int, by: str) -> Operation:
    """Ask for a connector to be unlocked.

    :raises NotAsked: if it is away, or cannot even be queued.
    """
    _check_online(charge_point)
    return calls.unlock(charge_point, connector=connector, asked_by=by, key=f"by hand {uuid4()}", timeout=_TIMEOUT)


def start(charge_point: ChargePoint, *, connector: int | None, id_tag: str, by: str) -> Operation:
    """Ask for a session to be started; whether the tag may charge is decided as for every start.

    :raises NotAsked: if it is away, or cannot even be queued.
    """
    _check_online(charge_point)
    # Far from the numbers of commands, which are joined to their transactions by theirs (OCPP-54).
    number = _BY_HAND + secrets.randbelow(_BY_HAND)
    asked = events.RemoteStart(id_token=id_tag, connector=connector, token_type=_CARD, remote_start_id=number)
    return calls.remote_start(charge_point, asked, asked_by=by, key=f"by hand {uuid4()}", timeout=_TIMEOUT)


def of_many(charge_points: Iterable[ChargePoint], ask: Any) -> str:
    """Ask many, each by itself; return a sentence about what became of it."""
    refused: Counter[str] = Counter()
    asked = 0
    for row in charge_points:
        try:
            ask(row)
            asked += 1
        except calls.NotAsked as error:
            refused[str(error)] += 1
    told = f"{asked:,} charge point{'' if asked == 1 else 's'} are being asked." if asked != 1 else "It is being asked."
    why = "; ".join(f"{number:,} not: {reason}" for reason, number in refused.most_common(3))
    return f"{told} {why}.".replace(" .", "") if why else told


def _ask(charge_point: ChargePoint, action: str, payload: dict[str, Any], *, by: str, later: bool = False) -> Operation:
    if not later:
        _check_online(charge_point)
    try:
        return operations.ask(
            charge_point, action, payload, asked_by=by, timeout=_TIMEOUT, deliver_later=later,
        )  # fmt: skip
    except operations.QueueFull as error:
        raise calls.NotAsked("too much waits for it already") from error
    except (operations.UnknownAction, frames.PayloadError) as error:
        raise calls.NotAsked(str(error)) from error


def _check_online(charge_point: ChargePoint) -> None:
    if not charge_point.online:
        raise calls.NotAsked("it is offline")
