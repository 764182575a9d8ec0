"""Whose is what: owners of ids, learnt from what passes, for requests that name no receiver (HUB-51, rule 2).

Learning costs a look-up in memory; a thread of the process writes what is new every second. What a killed process had
not written yet is learnt again from the next push. Nothing is learnt from a platform about what is not its own.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qs

import msgspec
from django.conf import settings
from django.db import connection

from hub import roles
from hub.routing import Asked
from ocpi import prepared
from ocpi.background_writer import BackgroundWriter
from ocpi.headers import Address

LOCATION: Final = "location"
TOKEN: Final = "token"  # noqa: S105 - a Token object of OCPI
SESSION: Final = "session"
RESERVATION: Final = "reservation"
PROFILE: Final = "profile"
# What only matters for a while.
PASSING: Final = (SESSION, RESERVATION, PROFILE)
KEPT_DAYS: Final = 90

_REMEMBERED = 200_000  # objects that this process need not write again
_FLUSH_SECONDS, _PAUSE_SECONDS, _BATCH = 1.0, 5.0, 5_000
_LONGEST = 60
_DEFAULT_TYPE = "RFID"

_WRITE = """
INSERT INTO hub_knownobject AS k (kind, key, owner, counterpart, seen_at)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[])
ORDER BY 1, 2, 3, 4
ON CONFLICT (kind, key, owner, counterpart) DO UPDATE SET seen_at = EXCLUDED.seen_at
WHERE k.seen_at < EXCLUDED.seen_at - interval '1 day'
"""
_FIND = (
    "SELECT owner, counterpart FROM hub_knownobject WHERE kind = %s AND key = %s ORDER BY owner, counterpart LIMIT 50"
)
_FORGET = f"""
DELETE FROM hub_knownobject WHERE id IN (
    SELECT id FROM hub_knownobject WHERE kind = ANY(%s) AND seen_at < now() - interval '{KEPT_DAYS} days' LIMIT 5000)
"""  # noqa: S608 - a number of ours


@dataclass(frozen=True, slots=True)
class Known:
    """An id, the party whose it is, and the other party it is between, if there is one; addresses as "NL*TNM"."""

    kind: str
    key: str
    owner: str
    counterpart: str = ""


class _Id(msgspec.Struct):
    reservation_id: str | None = None
    type: str | None = None


_reader = msgspec.json.Decoder(_Id)
_waiting: dict[Known, float] = {}
_recent: dict[Known, float] = {}
_learning = threading.Lock()


def learn(asked: Asked, *, to: Address | None, query: str, body: bytes) -> None:
    """Note what an accepted request tells. Touches no table; `to` is the receiver, None for a broadcast."""
    found = _told_by(asked, to, query, body)
    if found is None or len(found.key) > _LONGEST:
        return
    now = time.time()
    with _learning:
        seen = _recent.get(found)
        if seen is not None and now - seen < 43_200:
            return
        if len(_recent) >= _REMEMBERED:
            _recent.clear()
        _recent[found] = _waiting[found] = now
    if not _writer.is_running and settings.OCPI_WAKE:
        _writer.start()


def find(kind: str, key: str) -> list[Known]:
    """Return what is known of an id; one query."""
    key = key.upper()
    rows = prepared.fetch_all(_FIND, (kind, key)) if len(key) <= _LONGEST else []
    found = {Known(kind, key, owner, counterpart) for owner, counterpart in rows}
    with _learning:
        found |= {known for known in _waiting if known.kind == kind and known.key == key}
    return sorted(found, key=lambda known: (known.owner, known.counterpart))


def token_key(uid: str, kind: str | None) -> str:
    """Return the key of a Token: its identity is uid and type (TOK-07)."""
    return f"{kind or _DEFAULT_TYPE}/{uid}".upper()


def type_in(query: str) -> str | None:
    """Return the type of a Token that a query names."""
    return parse_qs(query).get("type", [None])[0] if "type=" in query else None


def text_of(address: Address) -> str:
    return "*".join(address.key)


def flush() -> int:
    """Write what waits, now and in this thread; return how much."""
    return _writer.flush()


def forget_old() -> int:
    """Remove what only mattered for a while; return how much. May run twice at once."""
    removed = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_FORGET, [list(PASSING)])
            count = int(cursor.rowcount)
        removed += count
        if count < 5000:
            return removed


def forget() -> None:
    """Drop what is in memory: of another process, or of another test."""
    global _learning
    _learning = threading.Lock()
    _waiting.clear()
    _recent.clear()


def _told_by(asked: Asked, to: Address | None, query: str, body: bytes) -> Known | None:
    tail, sender = asked.tail, asked.routing.sender
    match asked.module, asked.interface, asked.method:
        case ("locations" | "sessions" | "tokens") as module, "RECEIVER", "PUT" | "PATCH" if len(tail) >= 3:
            owner = Address(tail[0], tail[1])
            if not asked.caller.has_party(owner, *roles.OWNERS[module]):
                return None
            if module == "sessions":
                return Known(SESSION, tail[2].upper(), text_of(owner), text_of(to)) if to else None
            if module == "tokens":
                kind = type_in(query) or (_read(body).type if asked.method == "PUT" else None)
                return Known(TOKEN, token_key(tail[2], kind), text_of(owner))
            return Known(LOCATION, tail[2].upper(), text_of(owner))
        case "commands", "RECEIVER", "POST" if tail == ("RESERVE_NOW",) and to and sender:
            key = _read(body).reservation_id
            return Known(RESERVATION, key.upper(), text_of(to), text_of(sender)) if key else None
        case "chargingprofiles", "RECEIVER", "PUT" if len(tail) == 1 and to and sender:
            return Known(PROFILE, tail[0].upper(), text_of(sender), text_of(to))
    return None


def _read(body: bytes) -> _Id:
    try:
        return _reader.decode(body)
    except msgspec.DecodeError:
        return _Id()


def _take() -> dict[Known, float]:
    with _learning:
        return {known: _waiting.pop(known) for known in list(_waiting)[:_BATCH]}


def _write(found: dict[Known, float]) -> None:
    rows = [
        (known.kind, known.key, known.owner, known.counterpart, datetime.fromtimestamp(seen, UTC))
        for known, seen in found.items()
    ]
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, [list(column) for column in zip(*rows, strict=True)])


def _put_back(found: dict[Known, float]) -> None:
    with _learning:
        for known, seen in found.items():
            _waiting.setdefault(known, seen)


def _refused(found: Iterable[Known]) -> None:
    """Let it be learnt again: one of a batch was not wanted, the others were lost with it."""
    with _learning:
        for known in found:
            _recent.pop(known, None)


_writer = BackgroundWriter(
    "owners of ids", seconds=_FLUSH_SECONDS, pause=_PAUSE_SECONDS, take=_take, write=_write, put_back=_put_back,
    refused=_refused,
)  # fmt: skip
os.register_at_fork(after_in_child=forget)
