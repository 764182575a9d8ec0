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

from ocpi import audit_rows, live_secrets
from ocpi.models import AuditEntry
from ocpi.secrets import without_keys

SYSTEM = "the system"


def record(action: str, *, actor: str, about: str = "", details: Mapping[str, object] | None = None) -> None:
    """Write down, in the caller's transaction, that somebody did something.

    `action` is a word or two with a dot ("delivery.send_again"), `actor` an account, a command or `SYSTEM`. `details`
    become JSON; keys in URLs are cut out of them, and so are live secrets, as far as they can be recognized (SEC-50).
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
    broken: int | None = None  # number of the first entry that does not hold; 0 = something without a number
    reason: str = ""
    rows: int = 0  # that never change (CDRs), compared with their entries
    unchecked: int = 0  # entries from before such rows were digested

    @property
    def message(self) -> str:
        """Say it to people."""
        if self.broken:
            return f"Entry {self.broken} is the first that is not as it was written: {self.reason}."
        if self.broken is not None:
            return f"The trail is not as it was written: {self.reason}."
        rows = f" and {self.rows} CDRs" if self.rows else ""
        old = f" ({self.unchecked} CDRs are older than their digests and were not compared)" if self.unchecked else ""
        return f"{self.entries} entries{rows}, all as written{old}. Keep elsewhere: {self.last_number}:{self.last_hash}"


def verify(*expected: tuple[int, str]) -> Verdict:
    """Go through the whole chain and the rows it speaks of, and name the first entry that does not hold.

    `expected` are numbers and hashes noted earlier outside the database: only with them is it seen that entries are
    missing at the end, or that the whole chain was computed again.
    """
    noted, check = dict(expected), audit_rows.Check()
    number, previous, entries = 0, "", 0

    def verdict(broken: int | None = None, reason: str = "") -> Verdict:
        return Verdict(entries, number, previous, broken, reason, check.rows, check.unchecked)

    for entry in AuditEntry.objects.filter(number__isnull=False).order_by("number").iterator(5000):
        entries += 1
        reason = _broken(entry, number, previous, noted)
        row = check.first() if reason else check.see(entry)
        if row is not None:
            return verdict(row.number, row.reason)
        if reason:
            return verdict(entry.number, reason)
        number, previous = entry.number or 0, entry.hash
        noted.pop(number, None)
    if (row := check.first()) is not None:
        return verdict(row.number, row.reason)
    if noted:
        return verdict(min(noted), "it was noted, and is missing")
    if AuditEntry.objects.filter(number=None).exists():
        return verdict(0, "an entry was never linked")
    if (row := check.without_entry()) is not None:
        return verdict(row.number, row.reason)
    return verdict()


def _broken(entry: AuditEntry, number: int, previous: str, noted: Mapping[int, str]) -> str:
    """Return what is wrong with an entry behind the one with this number and hash, or nothing."""
    if entry.number != number + 1:
        return f"entry {number + 1} is missing"
    if entry.previous != previous:
        return "it does not follow the entry before"
    if entry.hash != hash_of(entry):
        return "it is not what was written"
    if noted.get(entry.number, entry.hash) != entry.hash:
        return "its hash is not the one that was noted"
    return ""


def text_of(entry: AuditEntry) -> str:
    """Return what is hashed: the fields as netstrings, as the database writes them."""
    at = entry.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    fields = (entry.previous, str(entry.number), at, entry.action, entry.actor, entry.about, entry.details)
    return "".join(f"{len(field.encode())}:{field}" for field in fields)


def hash_of(entry: AuditEntry) -> str:
    """Return the hash that an entry must have."""
    return hashlib.sha256(text_of(entry).encode()).hexdigest()


def _clean(text: str) -> str:
    return live_secrets.hide(without_keys(text.replace("\0", "�").encode(errors="replace").decode()))
