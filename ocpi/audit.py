"""Who did what: entries that nobody can change afterwards without its being seen (SEC-56).

`record` writes in the caller's transaction, so there is no action without its entry and no entry without its action.
Changes of platforms, tokens and roles are written by the database itself (`ocpi/audit_sql.py`), however they come
about; within `acting` they carry the name of whoever made them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC

from django.db import connection, transaction

from ocpi.models import AuditEntry
from ocpi.secrets import without_keys

SYSTEM = "the system"


def record(action: str, *, actor: str, about: str = "", details: Mapping[str, object] | None = None) -> None:
    """Write down, in the caller's transaction, that somebody did something.

    `action` is a word or two with a dot ("delivery.send_again"), `actor` an account, a command or `SYSTEM`. `details`
    become JSON; keys in URLs are cut out of them, secrets must not be among them (SEC-50).
    """
    written = json.dumps(details or {}, ensure_ascii=False, sort_keys=True, default=str)
    AuditEntry.objects.create(
        action=action[:60],
        actor=_clean(actor)[:150] or SYSTEM,
        about=_clean(about)[:300],
        details=_clean(written),
    )


@contextmanager
def acting(actor: str) -> Iterator[None]:
    """Have what the database itself writes down carry a name: inside, in one transaction."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('ocpi.actor', %s, true)", [actor[:150]])
        yield
        cursor.execute("SELECT set_config('ocpi.actor', '', true)")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the chain."""

    entries: int
    last_number: int = 0
    last_hash: str = ""
    broken: int | None = None  # number of the first entry that is not as it was written; 0 = one without a number
    reason: str = ""


def verify(expected: tuple[int, str] | None = None) -> Verdict:
    """Go through the whole chain and name the first entry that is not as it was written.

    `expected` is a number and hash noted earlier: only with it is it seen that entries are missing at the end.
    """
    number, previous, entries = 0, "", 0
    noted = expected is None
    for entry in AuditEntry.objects.filter(number__isnull=False).order_by("number").iterator(5000):
        entries += 1
        if entry.number != number + 1:
            return Verdict(entries, number, previous, entry.number, f"entry {number + 1} is missing")
        if entry.previous != previous:
            return Verdict(entries, number, previous, entry.number, "it does not follow the entry before")
        if entry.hash != hash_of(entry):
            return Verdict(entries, number, previous, entry.number, "it is not what was written")
        number, previous = entry.number, entry.hash
        if expected is not None and number == expected[0]:
            noted = previous == expected[1]
            if not noted:
                return Verdict(entries, number, previous, number, "its hash is not the one that was noted")
    if not noted and expected is not None:
        return Verdict(entries, number, previous, expected[0], "it was noted, and is missing")
    if AuditEntry.objects.filter(number=None).exists():
        return Verdict(entries, number, previous, 0, "an entry was never linked")
    return Verdict(entries, number, previous)


def text_of(entry: AuditEntry) -> str:
    """Return what is hashed: the fields as netstrings, as the database writes them."""
    at = entry.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    fields = (entry.previous, str(entry.number), at, entry.action, entry.actor, entry.about, entry.details)
    return "".join(f"{len(field.encode())}:{field}" for field in fields)


def hash_of(entry: AuditEntry) -> str:
    """Return the hash that an entry must have."""
    return hashlib.sha256(text_of(entry).encode()).hexdigest()


def _clean(text: str) -> str:
    return without_keys(text.replace("\0", "�").encode(errors="replace").decode())
