"""Take a Tariff of ours out of use: DELETE to everybody, once no Connector names it any more (TAR-04, TAR-07)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
from django.db import connection, transaction
from django.db.models.functions import Now

from cpo.models import Tariff
from cpo.modules import tariffs
from ocpi import keeping, status
from ocpi.headers import Address

log = logging.getLogger(__name__)
_SHOWN = 5

# Only what may name it is read: an id stands in a document as a JSON string, in whatever case (LOC-63) or escaped.
_NAMING = """
SELECT l.object_id, e.uid, e.document FROM cpo_evse e JOIN cpo_location l ON l.id = e.location_id
WHERE UPPER(l.country_code) = %s AND UPPER(l.party_id) = %s AND e.status <> 'REMOVED'
  AND (STRPOS(UPPER(e.document), UPPER(%s)) > 0 OR STRPOS(e.document, CHR(92)) > 0)
ORDER BY l.object_id, e.uid
"""


@dataclass(slots=True)
class TariffInUse(Exception):
    """Connectors still name the Tariff: `LOCATION/EVSE/CONNECTOR` each."""

    tariff_id: str
    connectors: Sequence[str] = field(default_factory=tuple)

    def __str__(self) -> str:
        more = len(self.connectors) - _SHOWN
        shown = ", ".join(self.connectors[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        return f"Tariff {self.tariff_id} is in use at {shown}"


def delete(owner: Address, tariff_id: str) -> None:
    """Hide a Tariff, and have its DELETE sent; Sessions and CDRs that began with it keep their copy (CDR-19).

    :raises UnknownObject: if it is not there, or deleted before.
    :raises TariffInUse: if a Connector of an EVSE that is not REMOVED names it; nothing is changed then.
    """
    with transaction.atomic():
        tariff = keeping.find(Tariff, owner=owner, object_id=tariff_id, lock=True, deleted_at=None)
        if tariff is None:
            raise status.UnknownObject(f"Tariff {tariff_id} is not known here")
        named = list(connectors_naming(owner, tariff.object_id))
        if named:
            raise TariffInUse(tariff.object_id, named)
        Tariff.objects.filter(pk=tariff.pk).update(deleted_at=Now())
        tariffs.push(tariff.pk, Address(tariff.country_code, tariff.party_id), tariff.object_id, deleted=True)
    log.warning("Tariff %s of %s is deleted", tariff.object_id, owner)


def connectors_naming(owner: Address, tariff_id: str) -> Iterator[str]:
    """Return which Connectors have a Tariff among their `tariff_ids`, EVSEs that are REMOVED left out."""
    with connection.cursor() as cursor:
        cursor.execute(_NAMING, [*owner.key, msgspec.json.encode(tariff_id).decode()])
        rows = cursor.fetchall()
    for location_id, evse_uid, document in rows:
        for connector in msgspec.json.decode(document)["connectors"]:
            if tariff_id.upper() in {str(each).upper() for each in connector.get("tariff_ids") or ()}:
                yield f"{location_id}/{evse_uid}/{connector['id']}"
