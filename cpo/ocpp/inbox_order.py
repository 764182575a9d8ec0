"""Which message of a charge point comes next: strictly in order, past one that failed and waits for its next try.

Such a one holds up only what belongs to its own transaction: other transactions and statuses go on (OCPP-99).
"""

from __future__ import annotations

from typing import Any

import msgspec
from django.db import connection

from cpo.models import InboxMessage
from ocpi import prepared

COLUMNS = ("id", "received_at", "protocol", "action", "payload", "transaction_id", "gave_up", "attempts")
_LOOKED_AT = 500  # messages behind a failed one
LOCK_KEYS = 0x4F49 << 40  # of charge points whose messages are applied: far from the keys of anybody else
_WAITING = """
SELECT DISTINCT charge_point_id FROM cpo_inboxmessage
WHERE state = 'NEW' AND (%s OR retry_at IS NULL OR retry_at <= statement_timestamp())
"""
_OLDEST = f"""
SELECT {", ".join(COLUMNS)}, retry_at > statement_timestamp() AS waits FROM cpo_inboxmessage
WHERE charge_point_id = %s AND state = 'NEW' ORDER BY id LIMIT %s
"""  # noqa: S608 - constants only


def waiting(*, at_once: bool = False) -> list[int]:
    """Return the charge points that have messages to apply now; `at_once` waits for no pause."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [at_once])
        return [charge_point_id for (charge_point_id,) in cursor.fetchall()]


def next_message(charge_point_id: int, *, at_once: bool = False) -> tuple[InboxMessage | None, bool]:
    """Return the message to apply next, and whether another is there already.

    `at_once` waits for no pause between the tries of a failed one.
    """
    rows = _oldest(charge_point_id, 2)
    more = len(rows) > 1
    if rows and rows[0][-1] and not at_once:
        rows = _passable(_oldest(charge_point_id, _LOOKED_AT))
    if not rows:
        return None, False
    return InboxMessage(charge_point_id=charge_point_id, **dict(zip(COLUMNS, rows[0][:-1], strict=True))), more


def _oldest(charge_point_id: int, number: int) -> list[tuple[Any, ...]]:
    return prepared.fetch_all(_OLDEST, [charge_point_id, number])


def _passable(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the first message that neither waits itself nor follows in the transaction of one that does."""
    held_up: set[str] = set()
    for row in rows:
        number = transaction_of(row[COLUMNS.index("payload")], row[COLUMNS.index("transaction_id")])
        if row[-1]:
            held_up.add(number)
        elif not number or number not in held_up:
            return [row]
    return []


def transaction_of(payload: str, given: int | None) -> str:
    """Return the transaction a message belongs to, as the charge point names it; empty if to none."""
    if given is not None:
        return str(given)
    try:
        message = msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return ""
    if not isinstance(message, dict):
        return ""
    info = message.get("transactionInfo")
    number = info.get("transactionId") if isinstance(info, dict) else message.get("transactionId")
    return "" if number is None else str(number)
