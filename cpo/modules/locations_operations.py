"""Our Locations and EVSEs: found, listed, given a status, pushed. `locations_loading` writes them whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from cpo import recipients
from cpo.models import EVSE, Location
from cpo.modules.locations_statuses import refresh as refresh
from cpo.modules.locations_statuses import refresh_due as refresh_due
from cpo.modules.locations_statuses import set_status as set_status
from cpo.modules.locations_writing import CHILD as CHILD
from cpo.modules.locations_writing import MODULE as MODULE
from cpo.modules.locations_writing import hide_or_show as hide_or_show
from cpo.modules.locations_writing import moment_now as moment_now
from cpo.modules.locations_writing import set_capability as set_capability
from cpo.modules.locations_writing import set_schedule as set_schedule
from ocpi import documents, keeping, lists, outbox, outbox_pulled, status
from ocpi.headers import Address
from ocpi.outbox_pulled import Reader
from ocpi.pagination import Page

LOCATION = "cpo.Location"

# A whole Location without parsing: its document, the EVSEs' documents put in before the closing brace.
WHOLE = (
    "COALESCE((SELECT left(o.document, -1) || ',\"evses\":[' || string_agg(e.document, ',' ORDER BY e.id) || ']}' "
    "FROM cpo_evse e WHERE e.location_id = o.id), o.document)"
)
_PUBLISHED = "UPPER(o.country_code) = %s AND UPPER(o.party_id) = %s AND NOT o.private"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one charges: a Connector of an EVSE of a Location."""

    location: Location
    evse: EVSE
    connector: dict[str, Any]

    @property
    def owner(self) -> Address:
        return Address(self.location.country_code, self.location.party_id)


# ---------------------------------------------------------------- found and listed


def fetch(owner: Address, page: Page, reader: Reader) -> lists.Found:
    """Return a page of whole Locations; an unfiltered one leaves out those without a valid EVSE (LOC-14, LOC-15)."""
    shown = "*".join(owner.key)
    scopes = (shown, f"-{shown}") if page.date_from or page.date_to else (shown,)
    listing = lists.Listing("cpo_location", text=WHOLE, scopes=scopes)
    return lists.fetch(outbox_pulled.noted(listing, reader, LOCATION), page)


def read(owner: Address, location_id: str, evse_uid: str = "", connector_id: str = "") -> str:
    """Return the text of a Location, an EVSE or a Connector (LOC-02); a private one is as good as none (LOC-42).

    :raises UnknownLocationObject: if there is none.
    """
    with connection.cursor() as cursor:
        if not evse_uid:
            sql = f"SELECT {WHOLE} FROM cpo_location o WHERE {_PUBLISHED} AND UPPER(o.object_id) = UPPER(%s)"  # noqa: S608 - constants only
            cursor.execute(sql, [*owner.key, location_id])
        else:
            sql = (
                "SELECT e.document FROM cpo_evse e JOIN cpo_location o ON o.id = e.location_id "  # noqa: S608
                f"WHERE {_PUBLISHED} AND UPPER(o.object_id) = UPPER(%s) AND UPPER(e.uid) = UPPER(%s)"
            )
            cursor.execute(sql, [*owner.key, location_id, evse_uid])
        found = cursor.fetchone()
    if found is None:
        raise status.UnknownLocationObject
    if not connector_id:
        return str(found[0])
    connector = connector_text(found[0], connector_id)
    if connector is None:
        raise status.UnknownLocationObject(f"EVSE {evse_uid} has no Connector {connector_id}")
    return connector


def connector_text(evse: str, connector_id: str) -> str | None:
    """Return the text of a Connector of an EVSE's document, or nothing."""
    _, connectors = documents.take_parts(evse, "connectors")
    return next((text for text in connectors if documents.identity(text, "id") == connector_id.casefold()), None)


def find(owner: Address, location_id: str) -> Location | None:
    return keeping.find(Location, owner=owner, object_id=location_id)


def place_of(charge_point_id: int, connector_id: int, plug: int = 0) -> Place | None:
    """Return what a connector of a charge point is to the world; nothing if it is not published.

    `plug` says which of the EVSE's Connectors it is, in their order, where a charge point tells (OCPP 2.0.1).
    """
    rows = EVSE.objects.select_related("location")
    evse = rows.filter(charge_point_id=charge_point_id, connector_id=connector_id).first()
    if evse is None:
        return None
    known = documents.get(evse.document, "connectors") or []
    connector = known[plug - 1] if 0 < plug <= len(known) else first_connector(evse)
    return Place(evse.location, evse, connector)


def first_connector(evse: EVSE, connector_id: str = "") -> dict[str, Any]:
    """Return a Connector of an EVSE: the named one, else the first."""
    connectors: list[dict[str, Any]] = documents.get(evse.document, "connectors") or []
    named = [each for each in connectors if str(each.get("id", "")).casefold() == connector_id.casefold()]
    return (named or connectors)[0]


# ---------------------------------------------------------------- pushed whole


def push(rows: Sequence[tuple[int, Address, str]], *, platform_id: int | None = None) -> int:
    """Have whole Locations sent to everybody, or to one platform; rows are id, owner, object id."""
    sent = 0
    for row_id, owner, object_id in rows:
        found = recipients.broadcast(MODULE, owner, platform_id=platform_id)
        sent += len(found)
        outbox.mark(
            found,
            module=MODULE,
            source=LOCATION,
            source_id=row_id,
            path=recipients.path(owner, object_id),
            order_key=recipients.order_key(owner, object_id),
        )
    return sent


def push_all(platform_id: int | None = None) -> int:
    """Have every Location that is shown sent to everybody, or to one platform; return how many are on their way."""
    rows = Location.objects.filter(hidden=False, private=False).order_by("id")
    count, last = 0, 0
    while batch := list(rows.filter(id__gt=last)[:500]):
        with transaction.atomic():
            push([(row.id, Address(row.country_code, row.party_id), row.object_id) for row in batch],
                 platform_id=platform_id)  # fmt: skip
        count, last = count + len(batch), batch[-1].id
    return count


def publish(location_id: int) -> bool:
    """Make a private Location known to everybody; say whether it was private. There is no way back (LOC-26)."""
    with transaction.atomic():
        if not Location.objects.filter(pk=location_id, private=True).update(private=False):
            return False
        row = Location.objects.get(pk=location_id)
        push([(row.id, Address(row.country_code, row.party_id), row.object_id)])
    return True


def connector_ids(evse: str) -> list[str]:
    """Return the ids of the Connectors in an EVSE's document."""
    return [str(each.get("id")) for each in documents.get(evse, "connectors") or []]


def capabilities(evse: EVSE) -> frozenset[str]:
    return frozenset(documents.get(evse.document, "capabilities") or ())
