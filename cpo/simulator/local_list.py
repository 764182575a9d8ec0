"""The local list of a simulated charge point: who may charge while nobody can be asked. Pure.

Written from OCPP, chapters Local Authorization List, without a look at how the central system keeps its own books.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

CAPACITY, PER_MESSAGE = 200, 20
ACCEPTED, FAILED, VERSION_MISMATCH = "Accepted", "Failed", "VersionMismatch"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the list says of a tag."""

    status: str
    group: str = ""
    until: str = ""

    def is_good(self, at: datetime) -> bool:
        return self.status == ACCEPTED and not (self.until and datetime.fromisoformat(self.until) <= at)


Told = tuple[str, Entry | None]  # a tag, and what is to be known of it; without it the tag is taken out


class LocalList:
    """The list and its version; without entries it has none, which is 0."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._version = 0

    @property
    def version(self) -> int:
        return self._version if self._entries else 0

    def __len__(self) -> int:
        return len(self._entries)

    def send(self, version: int, *, full: bool, told: Sequence[Told]) -> str:
        """Take a list or a change of it in, all or nothing; return the status to answer."""
        if not full and version <= self._version:
            return VERSION_MISMATCH
        keys = [tag.upper() for tag, _ in told]
        if len(told) > PER_MESSAGE or len(set(keys)) < len(keys) or (full and any(entry is None for _, entry in told)):
            return FAILED
        entries = {} if full else dict(self._entries)
        for key, (_, entry) in zip(keys, told, strict=True):
            if entry is None:
                entries.pop(key, None)
            else:
                entries[key] = entry
        if len(entries) > CAPACITY:
            return FAILED
        self._entries, self._version = entries, version
        return ACCEPTED

    def find(self, tag: str) -> Entry | None:
        return self._entries.get(tag.upper())

    def refuses(self, tag: str) -> bool:
        """Say whether a tag may not charge while nobody can be asked; one that is not listed may."""
        entry = self.find(tag)
        return entry is not None and not entry.is_good(datetime.now(UTC))


def read_16(asked: Mapping[str, Any]) -> list[Told]:
    """Return what a SendLocalList of OCPP 1.6 tells."""
    found: list[Told] = []
    for each in asked.get("localAuthorizationList", []):
        info = each.get("idTagInfo")
        entry = info and Entry(info["status"], info.get("parentIdTag", ""), info.get("expiryDate", ""))
        found.append((each["idTag"], entry or None))
    return found


def read_201(asked: Mapping[str, Any]) -> list[Told]:
    """Return what a SendLocalList of OCPP 2.0.1 tells."""
    found: list[Told] = []
    for each in asked.get("localAuthorizationList", []):
        info = each.get("idTokenInfo")
        group = (info or {}).get("groupIdToken", {}).get("idToken", "")
        entry = info and Entry(info["status"], group, info.get("cacheExpiryDateTime", ""))
        found.append((each["idToken"]["idToken"], entry or None))
    return found
