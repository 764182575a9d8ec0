"""What can be pulled, and how it is kept: one list of `Pull` per side, in `<side>/pulls.py` as PULLS.

The protocol core fetches, checks and counts; what an object means is the side's. `keep` is the operation that a push of
the same object runs, so that the same rules hold and the same quirks are forgiven.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.conf import settings

from ocpi.enums import ModuleID
from ocpi.headers import Address


@dataclass(frozen=True, slots=True)
class Item:
    """An object of a list, checked and its known quirks repaired."""

    key: str  # owner and ids in upper case, e.g. NL*TNM*LOC1: what two spellings of it have in common
    owner: Address
    object_id: str
    body: bytes
    updated: datetime
    noted: frozenset[str] = frozenset()  # kinds of deviation that were counted of it


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose objects a full pull was about; what it saw is in `ocpi_pullseen` (see `NOT_SEEN`)."""

    platform_id: int
    cursor_id: int
    owners: tuple[Address, ...]
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Pull:
    """One list that a side reads from others."""

    module: ModuleID
    level: str  # the class of the objects, e.g. "Location"
    owners: tuple[str, ...]  # roles that own such objects; none = the list describes parties and nobody owns it
    keep: Callable[[Item, int], bool | None]  # item and platform id → created, replaced, or None: it was there
    unchanged: Callable[[Sequence[Item], int], Collection[str]]  # items and platform id → keys of those stored so
    gone: Callable[[Scope], int] | None = None  # what a full pull did not hold; None = such objects never go
    ids: tuple[str, ...] = ("id",)  # members that make up its identity, beside the owner
    # Platform id → whose objects it has brought: the parties behind a hub that has told us of nobody.
    known_from: Callable[[int], Collection[Address]] | None = None
    combined: bool = False  # a hub is asked for the objects of all its parties at once (HUB-57)
    dated: bool = False  # there is no list without date_from (SES-02)
    seldom: bool = False  # only whole, at night, and after an outage: a list for start-up and doubt (HCI-21)
    windowed: bool = False  # its nightly comparison looks back OCPI_PULL_DAYS only


# Of row `o`, for `gone`; the key as `Item.key` writes it, the parameters are the cursor and the key.
NOT_SEEN = "NOT EXISTS (SELECT FROM ocpi_pullseen s WHERE s.cursor_id = %(cursor_id)s AND s.key = {key})"
OBJECT_KEY = "UPPER(o.country_code || '*' || o.party_id || '*' || o.object_id)"
IN_SCOPE = (
    "(UPPER(o.country_code), UPPER(o.party_id)) IN (SELECT * FROM unnest(%(countries)s::text[], %(parties)s::text[]))"
)


def scope_parameters(scope: Scope) -> dict[str, Any]:
    """Return the parameters of NOT_SEEN and IN_SCOPE."""
    keys = [owner.key for owner in scope.owners]
    return {
        "cursor_id": scope.cursor_id,
        "countries": [country_code for country_code, _ in keys],
        "parties": [party_id for _, party_id in keys],
        "started_at": scope.started_at,
    }


def key_of(owner: Address | None, *ids: str) -> str:
    """Return the key of an object, cut to what the tables hold."""
    return "*".join([*(owner.key if owner else ()), *(text.upper() for text in ids)])[:120]


def table() -> dict[str, Pull]:
    """Return what this instance pulls, by module."""
    return _table(tuple(settings.OCPI_SIDES))


@lru_cache(maxsize=8)
def _table(sides: tuple[str, ...]) -> dict[str, Pull]:
    names = [f"{side}.pulls" for side in sides if find_spec(f"{side}.pulls")]
    # Whoever is connected to a hub asks it first who is behind it: of others nothing is taken (PIT-78, HUB-78).
    names.insert(0, "ocpi.modules.pulls")
    return {pull.module.value: pull for name in names for pull in import_module(name).PULLS}
