"""Locations for platforms that still go by the tables before the corrections of 2.2.1: an address of 45 (PIT-37)."""

from __future__ import annotations

from ocpi import documents

LONGEST = 255


def cut(document: str, longest: int) -> str:
    """Return a Location, or a PATCH of one, whose address is no longer than this."""
    if longest >= LONGEST or '"address"' not in document:
        return document
    address = documents.get(document, "address")
    if not isinstance(address, str) or len(address) <= longest:
        return document
    return documents.set_member(document, "address", address[:longest].rstrip())
