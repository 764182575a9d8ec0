"""What a charge point's local list is: entries, their difference, the messages that bring it over (OCPP-87). Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

V16, V201 = "1.6", "2.0.1"
FULL, DIFFERENTIAL = "Full", "Differential"
PER_MESSAGE = 50  # entries, where the charge point does not say how many it takes
CAPACITY = 1_000  # entries, where it does not say how many it keeps
LARGEST_VERSION = 2**31 - 1

# OCPI TokenType → IdTokenEnumType of OCPP 2.0.1 (M-7).
_TYPES = {"RFID": "ISO14443", "APP_USER": "Central", "AD_HOC_USER": "Central", "OTHER": "Central"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A token as charge points know it; `type` is an OCPI TokenType."""

    tag: str
    type: str = ""
    group: str = ""


Entries = Mapping[str, Entry]  # by tag, in upper case: letter case makes no other tag
Change = tuple[Entry, bool]  # an entry, and whether it stays


def family(protocol: str) -> str:
    """Return whose messages a charge point understands: those of 2.1 are those of 2.0.1."""
    return V201 if protocol.removeprefix("ocpp").startswith("2") else V16


def pack(entries: Entries) -> bytes:
    """Return entries as they are stored: the same ones always as the same bytes."""
    lines = (f"{each.tag}\t{each.type}\t{each.group}" for _, each in sorted(entries.items()))
    return zlib.compress("\n".join(lines).encode(), 6)


def unpack(packed: bytes) -> dict[str, Entry]:
    text = zlib.decompress(packed).decode()
    found = (Entry(*line.split("\t")) for line in text.split("\n") if line)
    return {entry.tag.upper(): entry for entry in found}


def changes(held: Entries | None, wanted: Entries) -> list[Change]:
    """Return what has to be told, always in the same order; `None`: nothing is known to be held, so all of it.

    What goes comes first: a full list must not overflow on the way.
    """
    if held is None:
        return [(wanted[key], True) for key in sorted(wanted)]
    gone = [(held[key], False) for key in sorted(held.keys() - wanted.keys())]
    return gone + [(wanted[key], True) for key in sorted(wanted) if held.get(key) != wanted[key]]


def parts(found: Sequence[Change], per_message: int) -> Iterator[Sequence[Change]]:
    """Return changes by the message, at least one message: an empty Full list is one, too."""
    for start in range(0, max(len(found), 1), per_message):
        yield found[start : start + per_message]


def send_16(version: int, update: str, part: Sequence[Change]) -> dict[str, Any]:
    """Return a SendLocalList of OCPP 1.6; an entry without idTagInfo is taken out."""
    return {
        "listVersion": version,
        "updateType": update,
        "localAuthorizationList": [
            {"idTag": entry.tag, "idTagInfo": _info("parentIdTag", entry.group)} if stays else {"idTag": entry.tag}
            for entry, stays in part
        ],
    }


def send_201(version: int, update: str, part: Sequence[Change]) -> dict[str, Any]:
    """Return a SendLocalListRequest of OCPP 2.0.1; an entry without idTokenInfo is taken out.

    Without entries the list is left out: the schema wants at least one.
    """
    payload: dict[str, Any] = {"versionNumber": version, "updateType": update}
    found = []
    for entry, stays in part:
        kind = _TYPES.get(entry.type, "Central")
        one: dict[str, Any] = {"idToken": {"idToken": entry.tag, "type": kind}}
        if stays:
            group = {"idToken": entry.group, "type": kind} if entry.group else None
            one["idTokenInfo"] = {"status": "Accepted"} | ({"groupIdToken": group} if group else {})
        found.append(one)
    return {**payload, "localAuthorizationList": found} if found else payload


def _info(name: str, group: str) -> dict[str, str]:
    return {"status": "Accepted", name: group} if group else {"status": "Accepted"}
