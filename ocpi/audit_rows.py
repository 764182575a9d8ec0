"""Rows that never change, held against the entries of the audit trail that were made with them (SEC-56, REL-46).

An entry of a CDR carries the digest of every column that never changes. The trail is chained, so a row that was
changed, removed or put in behind the program's back is found: it is no longer what its entry says, is missing, or has
no entry. Columns that live on (an eMSP's verdict on a CDR) are not part of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.apps import apps

if TYPE_CHECKING:
    from django.db.models import Model

    from ocpi.models import AuditEntry

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class _Kept:
    label: str  # of the model
    columns: tuple[str, ...]  # entries were made with exactly these: another column needs another digest beside this


_kept: dict[str, _Kept] = {}


def register(action: str, label: str, *columns: str) -> None:
    """Have the rows of a model held against the entries of this action."""
    _kept[action] = _Kept(label, columns)


def details(action: str, row: Model) -> dict[str, object]:
    """Return what the entry of a fresh row says about it, beside other things: which it is, and its digest."""
    return {"id": row.pk, "row": digest([getattr(row, column) for column in _kept[action].columns])}


def digest(values: Iterable[object]) -> str:
    """Return the digest of a row: its values as netstrings, so that nothing moves from one to the next unseen."""
    texts = [_text(value).encode("utf-8", "surrogatepass") for value in values]
    return hashlib.sha256(b"".join(b"%d:%b" % (len(text), text) for text in texts)).hexdigest()


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return "=" + value.astimezone(UTC).isoformat(timespec="microseconds")
    return f"={value}"


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that is not as it was written."""

    number: int  # of its entry; 0 if it has none
    reason: str


@dataclass(slots=True)
class Check:
    """Rows held against entries, while somebody goes through the trail from its beginning."""

    rows: int = 0
    _old: dict[str, int] = field(default_factory=dict)  # by action: entries from before rows were digested
    _waiting: dict[str, list[tuple[int, str, dict[str, Any]]]] = field(default_factory=dict)
    _strange: dict[str, set[int]] = field(init=False)  # rows without an entry so far

    def __post_init__(self) -> None:
        # Read before the trail: a row that is there now has its entry, which committed with it.
        self._strange = {action: set(_model(kept).objects.values_list("pk", flat=True))
                         for action, kept in _kept.items()}  # fmt: skip

    @property
    def unchecked(self) -> int:
        """Return how many entries are from before rows were digested: what they speak of is not compared."""
        return sum(self._old.values())

    def see(self, entry: AuditEntry) -> Broken | None:
        """Take the next entry; return the first row that does not hold, as soon as that is known."""
        if entry.action not in _kept or entry.number is None:
            return None
        waiting = self._waiting.setdefault(entry.action, [])
        waiting.append((entry.number, entry.about, json.loads(entry.details)))
        return self._look(entry.action) if len(waiting) >= _AT_ONCE else None

    def first(self) -> Broken | None:
        """Look at what waits; return the first row that does not hold."""
        found = [broken for action in list(self._waiting) if (broken := self._look(action)) is not None]
        return min(found, key=lambda broken: broken.number, default=None)

    def without_entry(self) -> Broken | None:
        """Return a row that no entry speaks of; to be asked at the end."""
        for action, strange in self._strange.items():
            if len(strange) > self._old.get(action, 0):
                return Broken(0, f"row {min(strange)} of {_kept[action].label} stands in no entry")
        return None

    def _look(self, action: str) -> Broken | None:
        entries, kept = self._waiting.pop(action), _kept[action]
        ids = [told["id"] for _, _, told in entries if "row" in told]
        stored = {row[0]: row[1:] for row in _model(kept).objects.filter(pk__in=ids).values_list("pk", *kept.columns)}
        for number, about, told in entries:
            if "row" not in told:
                self._old[action] = self._old.get(action, 0) + 1
                continue
            self._strange[action].discard(told["id"])
            if told["id"] not in stored:
                return Broken(number, f"its {kept.label}, {about}, is missing")
            if digest(stored[told["id"]]) != told["row"]:
                return Broken(number, f"its {kept.label}, {about}, is not what was written")
            self.rows += 1
        return None


def _model(kept: _Kept) -> Any:
    return apps.get_model(kept.label)
