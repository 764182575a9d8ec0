"""What every platform still has to get: a row per platform and object, written with the change itself.

A push is not kept as a message. What is kept is that *this platform has not got the current state of this object*:
the body is read from the document at the moment it is sent. So pushes of one object coalesce while they wait, never go
backwards, and survive any process; and OCPI's rule that a failed push is not sent again later as it was holds by
construction (OCPI 2.2.1, Transport and format, Offline behavior).

`mark` writes the rows in the caller's transaction and wakes the workers when that commits. If the object changes again
before it was sent, the row's change number is raised. A sender reads the number before it reads the document, and ends
the row only if the number is still the same: a change in between leaves the row where it is.

Rows of one platform are spread over four slots by their order key (the Location for everything that belongs to one,
otherwise the object). A lane is one slot of one platform; one sender at a time drains it, in the order of the rows, so
nothing overtakes under one key. `outbox_rows` reads and settles rows, `lanes` holds the locks, `outbox_request` makes
the request and reads the answer, `outbox_sender` runs it all with a few threads, `outbox_care` is the sweep.

The database is the truth: a lost wake-up, a lost worker or an empty Redis only delays.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec
from django.db import connection, transaction

from ocpi import outbox_wake, prepared, sql_arrays
from ocpi.headers import Address, new_id
from ocpi.outbox_policy import CDR, RESULT, STATE

SLOTS = 4
_NOBODY = Address("", "")


@dataclass(frozen=True, slots=True)
class Recipient:
    """A platform that has to get something, and whom the message is for and from."""

    platform_id: int
    to: Address | None = None
    sender: Address | None = None


def mark(
    recipients: Sequence[Recipient],
    *,
    module: str,
    source: str,
    source_id: int,
    path: str,
    order_key: str,
    fields: Sequence[str] | None = None,
    query: str = "",
    deleted: bool = False,
    kind: str = STATE,
    correlation_id: str | None = None,
) -> None:
    """Note in the caller's transaction that these platforms have to get the current state of an object (REL-01).

    `fields` are the members that changed; without them the whole document is sent. `path` follows the receiver's
    endpoint of the module; ids with odd characters are put into it by `path_of`. A CDR is never merged (REL-17).

    :raises TransactionManagementError: outside of a transaction.
    """
    if kind not in (STATE, CDR):
        raise ValueError(f"mark() is for {STATE} and {CDR}, not {kind}")
    _require_transaction()
    if not recipients:
        return
    values = state_values(
        recipients, module=module, source=source, source_id=source_id, path=path, order_key=order_key, fields=fields,
        query=query, deleted=deleted, correlation_id=correlation_id,
    )  # fmt: skip
    wake_marked(prepared.fetch_all(_MARK_CDR if kind == CDR else _MARK_STATE, {**values, "kind": kind}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """An object that changed, and who has to get it."""

    source_id: int
    path: str
    order_key: str
    recipients: Sequence[Recipient]


def mark_all(
    objects: Sequence[Marked],
    *,
    module: str,
    source: str,
    fields: Sequence[str],
    correlation_id: str | None = None,
) -> None:
    """Do what `mark` does for many objects of one kind, each of them once, of which the same members changed.

    It costs one statement, however many there are; what shares receivers had best share their list.

    :raises TransactionManagementError: outside of a transaction.
    """
    _require_transaction()
    told = [each for each in objects if each.recipients]
    if not told:
        return
    groups = {id(each.recipients): _ordered(each.recipients) for each in told}
    numbers = {key: str(number) for number, key in enumerate(groups)}
    wake_marked(
        prepared.fetch_all(
            _MARK_ALL,
            {
                "kind": STATE,
                "module": module,
                "query": "",
                "source": source,
                "fields": msgspec.json.encode(sorted(set(fields))).decode(),
                "deleted": False,
                "source_ids": [str(each.source_id) for each in told],
                "order_keys": [each.order_key for each in told],
                "slots": [str(slot_of(each.order_key)) for each in told],
                "paths": [each.path for each in told],
                "correlation_ids": [correlation_id or new_id() for _ in told],
                "groups": [numbers[id(each.recipients)] for each in told],
                "receiving_groups": [numbers[key] for key, group in groups.items() for _ in group],
                **_columns([recipient for group in groups.values() for recipient in group]),
            },
        )
    )


def state_values(
    recipients: Sequence[Recipient],
    *,
    module: str,
    source: str,
    source_id: int,
    path: str,
    order_key: str,
    fields: Sequence[str] | None,
    query: str = "",
    deleted: bool = False,
    correlation_id: str | None = None,
) -> dict[str, Any]:
    """Return the values of a statement that marks, as `mark` takes them; for one that has MARKS_OF_WRITTEN in it."""
    return {
        **_columns_of(recipients),
        "kind": STATE,
        "slot": slot_of(order_key),
        "order_key": order_key,
        "module": module,
        "path": path,
        "query": query,
        "source": source,
        "source_id": source_id,
        "fields": None if fields is None else msgspec.json.encode(sorted(set(fields))).decode(),
        "deleted": deleted,
        "correlation_id": correlation_id or new_id(),
    }


def send_result(
    recipient: Recipient,
    *,
    url: str,
    body: bytes,
    module: str,
    deadline_at: datetime,
    correlation_id: str,
) -> None:
    """Note in the caller's transaction that the result of a command or profile is to be posted to a response_url.

    :raises TransactionManagementError: outside of a transaction.
    """
    _require_transaction()
    order_key = f"result {url}"[:110]
    with connection.cursor() as cursor:
        cursor.execute(
            _ADD_RESULT,
            {
                **_columns_of([recipient]),
                "slot": slot_of(order_key),
                "order_key": order_key,
                "module": module,
                "url": url,
                "body": body.decode(),
                "deadline_at": deadline_at,
                "correlation_id": correlation_id,
            },
        )
        wake_marked(cursor.fetchall())


def path_of(*segments: str) -> str:
    """Return ids as a path for `mark`: a slash inside an id does not make two segments of it."""
    return "/".join(quote(segment, safe=" !$&'()*+,;=:@~") for segment in segments)


def slot_of(order_key: str) -> int:
    """Return the slot of an order key; the same in every process and release (REL-14)."""
    return zlib.crc32(order_key.upper().encode()) % SLOTS


def _require_transaction() -> None:
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("a delivery is written in the transaction of its change (REL-01)")


def _ordered(recipients: Sequence[Recipient]) -> list[Recipient]:
    """Return receivers in one order for everybody: changes with the same never wait for each other in a circle."""
    return sorted(recipients, key=lambda recipient: recipient.platform_id)


def _columns_of(recipients: Sequence[Recipient]) -> dict[str, str]:
    return _columns(_ordered(recipients))


def _columns(ordered: Sequence[Recipient]) -> dict[str, str]:
    """Return the receivers as arrays, column by column."""
    to = [recipient.to or _NOBODY for recipient in ordered]
    senders = [recipient.sender or _NOBODY for recipient in ordered]
    return {
        "platform_ids": sql_arrays.numbers(recipient.platform_id for recipient in ordered),
        "to_country_codes": sql_arrays.texts([address.country_code for address in to]),
        "to_party_ids": sql_arrays.texts([address.party_id for address in to]),
        "from_country_codes": sql_arrays.texts([address.country_code for address in senders]),
        "from_party_ids": sql_arrays.texts([address.party_id for address in senders]),
    }


def wake_marked(rows: Sequence[tuple[int, int, str]]) -> None:
    """Wake the lanes of what a statement has marked (platform, slot, state), once that is committed."""
    lanes = {(platform_id, slot) for platform_id, slot, state in rows if state == "PENDING"}
    if lanes:
        transaction.on_commit(lambda: outbox_wake.wake(lanes))


_RECIPIENTS = """
FROM unnest(%(platform_ids)s::text::bigint[], %(to_country_codes)s::text::text[], %(to_party_ids)s::text::text[],
            %(from_country_codes)s::text::text[], %(from_party_ids)s::text::text[])
     WITH ORDINALITY AS r(platform_id, to_country_code, to_party_id, from_country_code, from_party_id, number)
JOIN ocpi_platform p ON p.id = r.platform_id
"""
_IN_ORDER = "ORDER BY r.number"

# A platform that is not there gets a mark and no attempts (REL-35); statement_timestamp, because due times are read
# by others while a long transaction still has its own idea of now().
_INSERT = f"""
INSERT INTO ocpi_delivery AS d (
    platform_id, kind, state, order_key, slot, module, path, query, url, source, source_id, fields, body, deleted,
    change, to_country_code, to_party_id, from_country_code, from_party_id, correlation_id, attempts, ambiguous, error)
SELECT r.platform_id, %(kind)s::text,
       CASE WHEN %(kind)s::text = 'STATE' AND p.connection IN ('OFFLINE', 'SUSPENDED') THEN 'MARKED' ELSE 'PENDING' END,
       %(order_key)s, %(slot)s, %(module)s, %(path)s, %(query)s, '', %(source)s, %(source_id)s, %(fields)s::jsonb, '',
       %(deleted)s, 1, r.to_country_code, r.to_party_id, r.from_country_code, r.from_party_id, %(correlation_id)s,
       0, false, ''
{_RECIPIENTS}"""
_ONCE = "ON CONFLICT (platform_id, source, source_id, to_country_code, to_party_id) WHERE kind IN ('STATE', 'CDR') DO"

# What is backing off or parked stays so; what had been marked goes out whole. What is due stays as it is, so that no
# index has to be written.
_CHANGE = f"""{_ONCE}
UPDATE SET
    change = d.change + 1,
    fields = CASE WHEN d.state <> 'PENDING' OR d.deleted <> EXCLUDED.deleted THEN NULL
                  WHEN d.fields @> EXCLUDED.fields THEN d.fields
                  ELSE (SELECT jsonb_agg(DISTINCT name) FROM jsonb_array_elements(d.fields || EXCLUDED.fields) name)
             END,
    deleted = EXCLUDED.deleted,
    state = EXCLUDED.state,
    due_at = CASE WHEN d.state = 'PENDING' THEN d.due_at ELSE statement_timestamp() END,
    attempts = CASE WHEN d.state = 'PENDING' THEN d.attempts ELSE 0 END,
    changed_at = statement_timestamp(),
    path = EXCLUDED.path, query = EXCLUDED.query, module = EXCLUDED.module,
    from_country_code = EXCLUDED.from_country_code, from_party_id = EXCLUDED.from_party_id,
    correlation_id = EXCLUDED.correlation_id
RETURNING d.platform_id, d.slot, d.state
"""  # noqa: S608 - constants only
_MARK_STATE = f"{_INSERT} {_IN_ORDER} {_CHANGE}"
# For a statement that writes an object in a WITH of the name `written`: without a row of that, nothing is marked.
MARKS_OF_WRITTEN = f"{_INSERT} WHERE EXISTS (SELECT FROM written) {_IN_ORDER} {_CHANGE}"
# Of many objects at once: what differs between them, and whose receivers are which.
_MANY = """
FROM unnest(%(source_ids)s::text[]::bigint[], %(order_keys)s::text[], %(slots)s::text[]::smallint[], %(paths)s::text[],
            %(correlation_ids)s::text[], %(groups)s::text[]::int[])
     WITH ORDINALITY AS o(source_id, order_key, slot, path, correlation_id, receivers, number)
JOIN unnest(%(platform_ids)s::text::bigint[], %(to_country_codes)s::text::text[], %(to_party_ids)s::text::text[],
            %(from_country_codes)s::text::text[], %(from_party_ids)s::text::text[],
            %(receiving_groups)s::text[]::int[])
     WITH ORDINALITY AS r(platform_id, to_country_code, to_party_id, from_country_code, from_party_id, receivers,
                          number) ON r.receivers = o.receivers
JOIN ocpi_platform p ON p.id = r.platform_id
"""
_VARYING = ("source_id", "order_key", "slot", "path", "correlation_id")
_INSERT_MANY = _INSERT.replace(_RECIPIENTS, _MANY)
for _name in _VARYING:
    _INSERT_MANY = _INSERT_MANY.replace(f"%({_name})s", f"o.{_name}")
_MARK_ALL = f"{_INSERT_MANY} ORDER BY o.number, r.number {_CHANGE}"
_MARK_CDR = f"{_INSERT} {_IN_ORDER} {_ONCE} NOTHING RETURNING platform_id, slot, state"

_ADD_RESULT = f"""
INSERT INTO ocpi_delivery (
    platform_id, kind, state, order_key, slot, module, path, query, url, source, body, deleted, change, deadline_at,
    to_country_code, to_party_id, from_country_code, from_party_id, correlation_id, attempts, ambiguous, error)
SELECT r.platform_id, '{RESULT}', 'PENDING', %(order_key)s, %(slot)s, %(module)s, '', '', %(url)s, '', %(body)s, false,
       1, %(deadline_at)s, r.to_country_code, r.to_party_id, r.from_country_code, r.from_party_id, %(correlation_id)s,
       0, false, ''
{_RECIPIENTS} {_IN_ORDER}
RETURNING platform_id, slot, state
"""
