"""Ids that are written in several ways: compared in one, stored as they came (QRK-19, QRK-33)."""

from __future__ import annotations

import re

_SEPARATORS = re.compile(r"[*\- ]")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}){4,10}", re.ASCII)
_EMA_ID = 14  # signs without the check digit


def normal(text: str) -> str:
    """Return an EVSE id or contract id without separators, in upper case."""
    return _SEPARATORS.sub("", text).upper()


def same_evse_id(one: str, other: str) -> bool:
    """Say whether two EVSE ids are the same: `BE*BEC*E041` and `bebece041` are."""
    return normal(one) == normal(other)


def same_contract_id(one: str, other: str) -> bool:
    """Say whether two contract ids are the same; one may lack the check digit that ends the other."""
    short, long = sorted((normal(one), normal(other)), key=len)
    return short == long or (len(short) == _EMA_ID and len(long) == _EMA_ID + 1 and long.startswith(short))


def reversed_uid(uid: str) -> str | None:
    """Return the uid of an RFID card as readers show it that begin at its other end; None if it is no such uid."""
    return "".join(reversed([uid[at : at + 2] for at in range(0, len(uid), 2)])) if _HEX.fullmatch(uid) else None
