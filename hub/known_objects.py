"""Whose is what: owners of ids, learnt from what passes, for requests that name no receiver (HUB-51, rule 2).

Learning costs a look-up in memory; a thread of the process writes what is new twice a second. What a killed process had
not written yet is learnt again from the next push. Nothing is learnt from a platform about what is not its own.

Who asks gets what the table says and what this process has learnt and not written yet. What the table said is
remembered (`hub/known_memory.py`) until its triggers announce a change, which reaches every process in milliseconds.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qs

import msgspec
from django.conf import settings
from django.db import connection

from hub import known_memory, roles
from hub.known_memory import Found, Known, Question
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
MOST_WAITING = 200_000  # objects that are to be written; while the database is away for long, later ones are not learnt
_FLUSH_SECONDS, _PAUSE_SECONDS, _BATCH = 0.5, 5.0, 5_000
_LONGEST = 60
_DEFAULT_TYPE = "RFID"

_WRITE = """
INSERT INTO hub_knownobject AS k (kind, key, owner, counterpart, seen_at)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[])
ORDER BY 1, 2, 3, 4
ON CONFLICT (kind, key, owner, counterpart) DO UPDATE SET seen_at = EXCLUDED.seen_at
WHERE k.seen_at < EXCLUDED.seen_at - interval '1 day'
"""
_FIND = """
SELECT q.kind, q.key, k.owner, k.counterpart
FROM unnest(%s::text[], %s::text[]) AS q(kind, key), LATERAL (
    SELECT owner, counterpart FROM hub_knownobject WHERE kind = q.kind AND key = q.key
    ORDER BY owner, counterpart LIMIT 50) AS k
"""
_FORGET = f"""
DELETE FROM hub_knownobject WHERE id IN (
    SELECT id FROM hub_knownobject WHERE kind = ANY(%s) AND seen_at < now() - interval '{KEPT_DAYS} days' LIMIT 5000)
"""  # noqa: S608 - a number of ours


CHANNEL: Final = "hub_known_objects"  # what its triggers announce


class NotAtHand(Exception):
    """What is asked has to be read from the table."""

    def __init__(self, question: Question) -> None:
        super().__init__(*question)
        self.question = question


class _Id(msgspec.Struct):
    reservation_id: str | None = None
    type: str | None = None


_reader = msgspec.json.Decoder(_Id)
_waiting: dict[Known, float] = {}
_recent: dict[Known, float] = {}
_unwritten: dict[Question, Found] = {}  # what waits, and what is being written
_learning = threading.Lock()


def learn(asked: Asked, *, to: Address | None, query: str, body: bytes) -> None:
    """Note what an accepted request tells. Touches no table; `to` is the receiver, None for a broadcast."""
    found = _told_by(asked, to, query, body)
    if found is None or not _is_id(found.key):
        return
    now = time.time()
    with _learning:
        seen = _recent.get(found)
        if seen is not None and now - seen < 43_200:
            return
        if len(_waiting) >= MOST_WAITING:
            return  # its next push tells it again
        if len(_recent) >= _REMEMBERED:
            _recent.clear()
        _recent[found] = _waiting[found] = now
        question = found.kind, found.key
        before = _unwritten.get(question, ())
        if found not in before:
            _unwritten[question] = (*before, found)
    if not _writer.is_running and settings.OCPI_WAKE:
        _writer.start()


def find(kind: str, key: str) -> Found:
    """Return what is known of an id; one query."""
    question = kind, key.upper()
    return find_all([question])[question]


def find_all(questions: Iterable[Question]) -> dict[Question, Found]:
    """Return what is known of several ids, and remember it; one query."""
    asked = [question for question in questions if _is_id(question[1])]
    found: dict[Question, set[Known]] = {question: set() for question in questions}
    # What is written while the table is read was not written before.
    before = {question: _unwritten.get(question, ()) for question in asked}
    begun = known_memory.begin()
    for kind, key, owner, counterpart in prepared.fetch_all(_FIND, _columns(asked)) if asked else ():
        found[kind, key].add(Known(kind, key, owner, counterpart))
    known_memory.keep(begun, {question: _sorted(found[question]) for question in asked})
    for question in asked:
        found[question].update(before[question], _unwritten.get(question, ()))
    return {question: _sorted(known) for question, known in found.items()}


def at_hand(kind: str, key: str) -> Found:
    """Return what is known of an id from memory; for those who must not wait.

    :raises NotAtHand: if it has to be read.
    """
    question = kind, key.upper()
    # First what is not written: once it is, nothing is remembered that was read before.
    own = _unwritten.get(question, ())
    remembered = known_memory.get(question)
    if remembered is None:
        raise NotAtHand(question)
    return _sorted({*remembered, *own}) if own else remembered


def heard(told: str) -> None:
    """Forget what the table's triggers say has changed: "+" or "-" and rows; nothing says that all may have."""
    if told:
        try:
            rows = [Known(*row) for row in msgspec.json.decode(told[1:], type=list[tuple[str, str, str, str]])]
        except msgspec.DecodeError:
            told = ""
    if not told:
        known_memory.forget()
        with _learning:
            _recent.clear()
        return
    known_memory.drop([(known.kind, known.key) for known in rows])
    if told[0] == "-":  # so that its next push is learnt from
        with _learning:
            for known in rows:
                _recent.pop(known, None)


def token_key(uid: str, kind: str | None) -> str:
    """Return the key of a Token: its identity is uid and type (TOK-07)."""
    return f"{kind or _DEFAULT_TYPE}/{uid}".upper()


@lru_cache(maxsize=1024)
def type_in(query: str) -> str | None:
    """Return the type of a Token that a query names."""
    return parse_qs(query).get("type", [None])[0] if "type=" in query else None


def text_of(address: Address) -> str:
    return "*".join(address.key)


@lru_cache(maxsize=4096)
def address_of(text: str) -> Address:
    """Return the address that `text_of` gave."""
    return Address(*text.split("*"))


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
    _unwritten.clear()
    known_memory.forget()


def _is_id(key: str) -> bool:
    """Say whether this can be kept; what can not would spoil the whole batch that it is in."""
    return len(key) <= _LONGEST and key.isprintable()


def _columns(questions: Iterable[Question]) -> tuple[list[str], list[str]]:
    kinds, keys = [], []
    for kind, key in questions:
        kinds.append(kind)
        keys.append(key)
    return kinds, keys


def _sorted(found: Iterable[Known]) -> Found:
    return tuple(sorted(found, key=lambda known: (known.owner, known.counterpart)))


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
    known_memory.drop([(known.kind, known.key) for known in found])  # its announcement comes later
    with _learning:
        _wait_no_more(found)


def _put_back(found: dict[Known, float]) -> None:
    with _learning:
        for known, seen in found.items():
            _waiting.setdefault(known, seen)


def _refused(found: Iterable[Known]) -> None:
    """Let it be learnt again: one of a batch was not wanted, the others were lost with it."""
    with _learning:
        for known in found:
            _recent.pop(known, None)
        _wait_no_more(found)


def _wait_no_more(found: Iterable[Known]) -> None:
    for known in found:
        if known in _waiting:  # it was learnt again meanwhile
            continue
        question = known.kind, known.key
        left = tuple(each for each in _unwritten.get(question, ()) if each != known)
        if left:
            _unwritten[question] = left
        else:
            _unwritten.pop(question, None)


_writer = BackgroundWriter(
    "owners of ids", seconds=_FLUSH_SECONDS, pause=_PAUSE_SECONDS, take=_take, write=_write, put_back=_put_back,
    refused=_refused,
)  # fmt: skip
os.register_at_fork(after_in_child=forget)
