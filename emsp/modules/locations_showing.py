"""Which Locations are shown to whom, and as what: to the public, and to the owner of a Token (OCPI 2.2.1, Locations).

Not publishing is a flag of the object and a filter at the eMSP: the object itself is exchanged all the same (LOC-44).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, When

from emsp import opening_hours
from emsp.models import EVSE, Location, Tariff
from ocpi import documents, snapshot
from ocpi.headers import Address

_REMOVED = "REMOVED"
# The fields of a PublishTokenType; ids ignore case, what is printed on a card does not.
_IDS = ("uid", "type", "group_id")
_PRINTED = ("visual_number", "issuer")
_ONE_OF = ("uid", "visual_number", "group_id")
_VALID = EVSE.objects.filter(location=OuterRef("pk"), deleted_at=None).exclude(status=_REMOVED)
_DISPLAYABLE = Q(Exists(_VALID), gone_at=None)


@dataclass(frozen=True, slots=True)
class Shown:
    """A Location as a driver sees it."""

    location: Location
    public: bool
    operator: Mapping[str, Any]
    open: bool | None  # None: it does not say
    may_charge: bool | None
    evses: Sequence[EVSE]


def matches(entry: Mapping[str, Any], token: Mapping[str, Any]) -> bool:
    """Say whether a Token matches a PublishTokenType: in all of its set fields (LOC-37), whoever owns it (LOC-39)."""
    named = {name: entry[name] for name in (*_IDS, *_PRINTED) if entry.get(name)}
    if not any(name in named for name in _ONE_OF):  # an entry that names nobody is not for everybody (LOC-38)
        return False
    return all(_folded(name, value) == _folded(name, token.get(name)) for name, value in named.items())


def may_see(location: Mapping[str, Any], token: Mapping[str, Any] | None) -> bool:
    """Say whether a Location may be shown to the owner of a Token, or to everybody (LOC-34, LOC-35).

    `publish_allowed_to` counts only where `publish` is false (LOC-36).
    """
    if location.get("publish") is True:
        return True
    return token is not None and any(matches(entry, token) for entry in location.get("publish_allowed_to") or ())


def displayable() -> QuerySet[Location]:
    """Return the Locations that have an EVSE to charge at, and that their CPO still has (LOC-16)."""
    return Location.objects.filter(_DISPLAYABLE)


def is_public() -> Case:
    """Return what says in a query whether a Location is shown to everybody."""
    return Case(When(_DISPLAYABLE & Q(publish=True), then=True), default=False)


def public() -> QuerySet[Location]:
    """Return the Locations that are shown to everybody."""
    return displayable().filter(publish=True)


def of_owner(token: str) -> Iterator[Location]:
    """Yield the Locations that are shown to the owner of a Token, given as its document, and to few others."""
    holder = _plain(token, *_IDS, *_PRINTED)
    rows = displayable().filter(publish=False).order_by("pk").prefetch_related("evses")
    for location in rows.iterator(chunk_size=500):
        if may_see(_plain(location.document, "publish", "publish_allowed_to"), holder):
            yield location


def show(location: Location, *, token: str | None, moment: datetime) -> Shown | None:
    """Return a Location as the owner of a Token sees it, or the public without one; nothing if it is not for them."""
    members = _plain(
        location.document, "publish", "publish_allowed_to", "operator", "opening_times", "time_zone",
        "charging_when_closed",
    )  # fmt: skip
    holder = _plain(token, *_IDS, *_PRINTED) if token else None
    evses = [evse for evse in location.evses.all() if evse.deleted_at is None and evse.status != _REMOVED]
    if not evses or location.gone_at is not None or not may_see(members, holder):
        return None
    return Shown(
        location=location,
        public=members["publish"] is True,
        operator=members["operator"] or operator(Address(location.country_code, location.party_id)),
        open=opening_hours.open_at(members["opening_times"], str(members["time_zone"]), moment),
        may_charge=opening_hours.may_charge_at(members, moment),
        evses=sorted(evses, key=lambda evse: evse.pk),
    )


def operator(owner: Address) -> Mapping[str, Any]:
    """Return the business details of a CPO's credentials, which stand for an operator that is not named (LOC-52)."""
    parties = snapshot.current().at(owner, "CPO")
    return parties[0].business_details if parties else {}


def tariffs(shown: Shown) -> dict[str, Tariff | None]:
    """Return the Tariffs of all Connectors by the ids that name them; one that is not known (yet) is None (LOC-63)."""
    named = {each: None for evse in shown.evses for each in _tariff_ids(evse)}
    wanted = Q(pk=None)
    for each in named:
        wanted |= Q(object_id__iexact=each)
    location = shown.location
    rows = Tariff.objects.filter(
        wanted, country_code__iexact=location.country_code, party_id__iexact=location.party_id, deleted_at=None
    )
    known = {row.object_id.upper(): row for row in rows}
    return {each: known.get(each.upper()) for each in named}


def _tariff_ids(evse: EVSE) -> list[str]:
    connectors = documents.get(evse.document, "connectors") or []
    return [str(each) for connector in connectors for each in connector.get("tariff_ids") or ()]


def _plain(document: str, *names: str) -> dict[str, Any]:
    """Return some members of a document as plain values."""
    members = documents.members(document)
    return {name: msgspec.json.decode(members[name]) if name in members else None for name in names}


def _folded(name: str, value: object) -> str | None:
    text = None if value is None else str(value)
    return text.upper() if text is not None and name in _IDS else text
