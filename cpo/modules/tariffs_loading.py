"""Many Tariffs at once: checked one by one, written one by one in a batch's transaction; there are few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from django.db import connection, transaction

from cpo.models import Tariff
from cpo.modules import tariffs
from cpo.modules.locations_operations import moment_now
from ocpi import documents, keeping, status, tariff_pricing
from ocpi.headers import Address
from ocpi.loading import Kept
from ocpi.tariff_pricing import NotPriceable
from ocpi.v2_2_1 import tariffs as schema
from ocpi.v2_2_1.types import format_datetime, parse_datetime

_NOT_OURS = {
    "dead_in_reservation": "a reservation is priced by FLAT and TIME only",
    "free_of_charge_form": "free of charge is one element without restrictions, with one FLAT of 0.00",
}
_KEEP = """
INSERT INTO cpo_tariff (country_code, party_id, object_id, last_updated, document) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (UPPER(country_code), UPPER(party_id), UPPER(object_id)) DO UPDATE SET
    last_updated = EXCLUDED.last_updated, document = EXCLUDED.document, deleted_at = NULL
RETURNING id
"""


@dataclass(slots=True)
class Loaded:
    owner: Address
    object_id: str
    last_updated: datetime
    document: str
    remarks: Sequence[str] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        return (*self.owner.key, self.object_id.upper())


def check(body: bytes, *, owners: Sequence[Address], as_party: Address | None = None) -> Loaded:
    """Return a Tariff of a file, checked as a request's body is; `as_party` makes it that party's.

    What others may send and we do not is refused, too: ENERGY or PARKING_TIME in a reservation (TAR-35), and free of
    charge in any other form than its own (TAR-14). What is only unwise is remarked.

    :raises InvalidParameters: if it breaks its table or such a rule, or is of none of our parties.
    """
    kept, _ = schema.check_ours(body, "Tariff")
    text = msgspec.json.format(kept, indent=-1).decode()
    if as_party is not None:
        text = documents.set_members(text, {"country_code": as_party.country_code, "party_id": as_party.party_id})
    members = documents.members(text)
    names = ("country_code", "party_id", "id", "last_updated")
    named = {name: str(msgspec.json.decode(members[name])) for name in names}
    owner = Address(named["country_code"], named["party_id"])
    if owner.key not in {each.key for each in owners}:
        raise status.InvalidParameters("party_id", f"{owner} is not a party of this platform")
    return Loaded(owner, named["id"], parse_datetime(named["last_updated"]), text, _remarks(text))


def _remarks(text: str) -> list[str]:
    try:
        found = tariff_pricing.lint(tariff_pricing.loads(text))
    except NotPriceable as error:
        raise status.InvalidParameters("elements", error.message) from error
    for remark in found:
        code, _, place = remark.partition(": ")
        if code in _NOT_OURS:
            raise status.InvalidParameters(place, _NOT_OURS[code])
    return found


def keep(batch: Sequence[Loaded], *, dry_run: bool = False) -> Kept:
    """Write a batch in one transaction, with the pushes that follow; or only count what it would do."""
    kept = Kept()
    with transaction.atomic():
        for loaded in batch:
            stored = keeping.find(Tariff, owner=loaded.owner, object_id=loaded.object_id, lock=True)
            if stored is None:
                kept.created += 1
            elif stored.deleted_at is None and _undated(stored.document) == _undated(loaded.document):
                kept.unchanged += 1
                continue
            else:
                kept.updated += 1
                if loaded.last_updated <= stored.last_updated:
                    loaded.last_updated = moment_now()
                    text = format_datetime(loaded.last_updated)
                    loaded.document = documents.set_member(loaded.document, "last_updated", text)
            if not dry_run:
                tariffs.push(_write(loaded), loaded.owner, loaded.object_id)
    return kept


def _write(loaded: Loaded) -> int:
    owner = loaded.owner
    with connection.cursor() as cursor:
        cursor.execute(
            _KEEP,
            [owner.country_code, owner.party_id, loaded.object_id, loaded.last_updated, loaded.document],
        )
        return int(cursor.fetchone()[0])


def _undated(text: str) -> dict[str, bytes]:
    return {name: bytes(raw) for name, raw in documents.members(text).items() if name != "last_updated"}
