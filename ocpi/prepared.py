"""Hot statements as the database's prepared statements: parsed and planned once for each connection.

Django's cursors put the values into the text, so that PostgreSQL plans every statement anew; for a statement with joins
and a conflict rule that costs more than running it. And a cursor costs several times what the call of libpq below it
does: plain values go straight there, and what came back is read with the connection's own adapters. A value of another
type takes a cursor, which does the same. Cursors do not prepare here: after a rollback psycopg says DEALLOCATE ALL,
which forgets what psycopg did not prepare, too.
"""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, TransactionStatus

Rows = list[tuple[Any, ...]]
_Place = str | int  # the name or the number of a value
_Key = tuple[str, tuple[int, ...]]

_PLACE = re.compile(r"%(?:\((\w+)\))?[sb]|%%")
_NOT_GIVEN, _BOOL, _BIGINT, _TEXT, _TEXTS, _MOMENT = 0, 16, 20, 25, 1009, 1184  # PostgreSQL's numbers of types
_AS_TEXT, _AS_OCTETS = 0, 1
_ARRAY = struct.Struct("!iiIii")
_LENGTH = struct.Struct("!i")
_NULL = _LENGTH.pack(-1)
_IN_ARRAYS = frozenset((str, datetime, type(None)))  # as texts: the statement casts them
_GOOD = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)
_FORGOTTEN = (b"26000", b"0A000")  # deallocated by somebody; a table that has changed under its plan

# What has been prepared on which connection, under which name.
_prepared: WeakKeyDictionary[Any, dict[_Key, bytes]] = WeakKeyDictionary()
_names = itertools.count()


def fetch_all(sql: str, values: Sequence[Any] | Mapping[str, Any]) -> Rows:
    """Run a statement in the caller's transaction and return its rows."""
    database = connections[DEFAULT_DB_ALIAS]
    with database.wrap_database_errors:
        database.ensure_connection()
        raw: Any = database.connection
        given = _given(_numbered(sql)[1], values) if _begins_plainly(raw) else None
        rows = _by_cursor(raw, sql, values) if given is None else _straight(raw, sql, given)
    if database.queries_logged:  # tests count statements
        database.queries_log.append({"sql": sql, "time": "0"})
    return rows


class _Given:
    """Values as libpq takes them."""

    __slots__ = ("forms", "octets", "types")

    def __init__(self) -> None:
        self.octets: list[bytes | None] = []
        self.types: list[int] = []
        self.forms: list[int] = []


def _begins_plainly(raw: Any) -> bool:
    return (raw.isolation_level, raw.read_only, raw.deferrable) == (None, None, None)


def _straight(raw: Any, sql: str, given: _Given) -> Rows:
    """Run a statement under the name it was prepared with.

    What the database has forgotten is prepared again; inside a transaction, which that ends, by the next one.
    """
    connection = raw.pgconn
    if not raw.autocommit and connection.transaction_status == TransactionStatus.IDLE:
        _good(raw, connection.exec_(b"BEGIN"))  # as psycopg does with a transaction's first statement
    found = connection.exec_prepared(_name(raw, sql, given), given.octets, given.forms)
    if found.status not in _GOOD and found.error_field(DiagnosticField.SQLSTATE) in _FORGOTTEN:
        del _prepared[raw]
        if connection.transaction_status == TransactionStatus.IDLE:
            found = connection.exec_prepared(_name(raw, sql, given), given.octets, given.forms)
    if not _good(raw, found).nfields:
        return []
    reader = Transformer(raw)
    reader.set_pgresult(found)
    return reader.load_rows(0, found.ntuples, tuple)


def _name(raw: Any, sql: str, given: _Given) -> bytes:
    known = _prepared.get(raw)
    if known is None:
        known = _prepared[raw] = {}
    key = (sql, tuple(given.types))
    name = known.get(key)
    if name is None:
        name = b"ocpi_%d" % next(_names)
        _good(raw, raw.pgconn.prepare(name, _numbered(sql)[0], given.types))
        known[key] = name
    return name


def _good(raw: Any, result: Any) -> Any:
    if result.status in _GOOD:
        return result
    if raw.pgconn.status != ConnStatus.OK:
        raise psycopg.OperationalError(result.get_error_message(raw.info.encoding))
    raise error_from_result(result, encoding=raw.info.encoding)


def _by_cursor(raw: Any, sql: str, values: Sequence[Any] | Mapping[str, Any]) -> Rows:
    with psycopg.Cursor(raw) as cursor:
        cursor.execute(sql, values, prepare=False)
        return cursor.fetchall() if cursor.description else []


@lru_cache(maxsize=256)
def _numbered(sql: str) -> tuple[bytes, tuple[_Place, ...]]:
    """Return a statement with PostgreSQL's own placeholders, and which value belongs to each of them."""
    places: list[_Place] = []

    def number(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        place: _Place = len(places) if match[1] is None else match[1]
        if place not in places:
            places.append(place)
        return f"${places.index(place) + 1}"

    return _PLACE.sub(number, sql).encode(), tuple(places)


def _given(places: Sequence[_Place], values: Any) -> _Given | None:
    """Return values as libpq takes them; nothing if one of them is no plain value."""
    given = _Given()
    for place in places:
        value = values[place]
        kind, form = type(value), _AS_TEXT
        octets: bytes | None
        if kind is str:
            octets, number = _text(value), _NOT_GIVEN
        elif value is None:
            octets, number = None, _NOT_GIVEN
        elif kind is int:
            octets, number = b"%d" % value, _BIGINT
        elif kind is datetime:
            octets, number = value.isoformat().encode(), _MOMENT
        elif kind is bool:
            octets, number = b"t" if value else b"f", _BOOL
        elif kind is list and _IN_ARRAYS.issuperset(map(type, value)):
            octets, number, form = _texts(value), _TEXTS, _AS_OCTETS
        else:
            return None
        given.octets.append(octets)
        given.types.append(number)
        given.forms.append(form)
    return given


def _text(value: str) -> bytes:
    if "\0" in value:
        raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    return value.encode()


def _texts(values: list[str | datetime | None]) -> bytes:
    """Return an array of texts in PostgreSQL's binary form: nothing in it has to be escaped."""
    if not values:
        return _ARRAY.pack(0, 0, _TEXT, 0, 1)[:12]  # without a dimension
    parts = [_ARRAY.pack(1, None in values, _TEXT, len(values), 1)]
    for value in values:
        if value is None:
            parts.append(_NULL)
            continue
        octets = _text(value) if type(value) is str else _moment(value)
        parts += (_LENGTH.pack(len(octets)), octets)
    return b"".join(parts)


# Many in one array are the same moment.
@lru_cache(maxsize=64)
def _moment(value: Any) -> bytes:
    octets: bytes = value.isoformat().encode()
    return octets
