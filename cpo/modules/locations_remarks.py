"""What is odd in a Location of ours that is loaded all the same: a warning for whoever loads it (LOC-58, LOC-60)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from cpo.models import Tariff
from cpo.modules.locations_loading import Loaded
from ocpi import documents
from ocpi.headers import Address
from ocpi.v2_2_1.types import parse_datetime

_FIRST, _LAST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"


def of(loaded: Loaded) -> list[str]:
    """Return the remarks on a Location; its Tariffs are looked up once."""
    named = {tariff_id.upper() for ids in _tariff_ids(loaded) for tariff_id in ids}
    known = _known(loaded.owner, named)
    overlaps = [remark for ids in _tariff_ids(loaded) for remark in _overlaps(ids, known)]
    return list(dict.fromkeys([*loaded.remarks, *overlaps]))


def _tariff_ids(loaded: Loaded) -> Iterator[Sequence[str]]:
    for evse in loaded.evses:
        for connector in documents.get(evse.document, "connectors") or ():
            ids = connector.get("tariff_ids") or ()
            if len(ids) > 1:
                yield ids


def _known(owner: Address, named: set[str]) -> dict[str, dict[str, Any]]:
    if not named:
        return {}
    rows = Tariff.objects.filter(
        country_code__iexact=owner.country_code, party_id__iexact=owner.party_id, deleted_at=None
    ).extra(where=["UPPER(object_id) = ANY(%s)"], params=[sorted(named)])
    members = ("type", "start_date_time", "end_date_time")
    return {
        row.object_id.upper(): {name: documents.get(row.document, name) for name in members}
        for row in rows.only("object_id", "document")
    }


def _overlaps(ids: Sequence[str], known: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the pairs of Tariffs of one type that are active at the same time (LOC-60)."""
    for one, other in combinations(dict.fromkeys(each.upper() for each in ids), 2):
        if one in known and other in known and _meet(known[one], known[other]):
            yield f"LOC-60: Tariffs {one} and {other} are of one type and active at the same time"


def _meet(one: dict[str, Any], other: dict[str, Any]) -> bool:
    if one["type"] and other["type"] and one["type"] != other["type"]:
        return False
    starts = max(parse_datetime(each["start_date_time"] or _FIRST) for each in (one, other))
    ends = min(parse_datetime(each["end_date_time"] or _LAST) for each in (one, other))
    return starts < ends
