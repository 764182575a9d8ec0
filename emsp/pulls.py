"""What an eMSP pulls from CPOs and hubs, each object kept by the operation that a push of it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

from emsp.models import CDR, Session, Tariff
from emsp.modules import cdrs, locations_operations, locations_rows, sessions, tariffs
from ocpi import keeping, snapshot
from ocpi.enums import ModuleID
from ocpi.models import ClientOwnedObject
from ocpi.pull_table import IN_SCOPE, NOT_SEEN, OBJECT_KEY, Item, Pull, Scope, key_of, scope_parameters

_SELLERS = ("CPO", "NAP", "OTHER")


def _keep_location(item: Item, platform_id: int) -> bool:
    return locations_operations.put(item.owner, (item.object_id,), item.body, platform_id=platform_id)


def _keep_tariff(item: Item, platform_id: int) -> bool:
    return tariffs.keep(item.owner, item.object_id, item.body)


def _keep_session(item: Item, platform_id: int) -> bool:
    return sessions.keep(item.owner, item.object_id, item.body, platform_id=platform_id)


def _keep_cdr(item: Item, platform_id: int) -> bool | None:
    """Store a CDR that is not here yet; one that is stays as it is (CDR-10)."""
    return cdrs.post(item.body, platform=snapshot.current().platforms[platform_id]).created or None


def _unchanged_tariffs(items: Sequence[Item], platform_id: int) -> set[str]:
    return {key for key, row in _stored(Tariff, items, "deleted_at") if row.deleted_at is None}


def _unchanged_sessions(items: Sequence[Item], platform_id: int) -> set[str]:
    return {key for key, _ in _stored(Session, items)}


def _unchanged_cdrs(items: Sequence[Item], platform_id: int) -> set[str]:
    stored = {_key(row): row.digest for row in keeping.stored(CDR, [(i.owner, i.object_id) for i in items], "digest")}
    return {item.key for item in items if stored.get(item.key) == cdrs.canonical_digest(item.body)}


def _stored(model: type[ClientOwnedObject], items: Sequence[Item], *columns: str) -> list[tuple[str, Any]]:
    """Return the keys and rows of those objects whose stored document is the one that came."""
    came = {item.key: item.body.decode() for item in items}
    rows = keeping.stored(model, [(item.owner, item.object_id) for item in items], "document", *columns)
    return [(key, row) for row in rows if came.get(key := _key(row)) == row.document]


def _key(row: ClientOwnedObject) -> str:
    return key_of(None, row.country_code, row.party_id, row.object_id)


def _hide_tariffs(scope: Scope) -> int:
    """Hide the Tariffs that a full pull did not hold (TAR-09); one that was pushed meanwhile stays."""
    with connection.cursor() as cursor:
        cursor.execute(_HIDE_TARIFFS, scope_parameters(scope))
        return int(cursor.rowcount)


_HIDE_TARIFFS = f"""
UPDATE emsp_tariff o SET deleted_at = statement_timestamp()
WHERE {IN_SCOPE} AND o.deleted_at IS NULL AND o.received_at < %(started_at)s AND {NOT_SEEN.format(key=OBJECT_KEY)}
"""  # noqa: S608 - constants only

# Tariffs before Locations, whose Connectors name them. Sessions and CDRs stay for good, whatever a list holds.
PULLS = [
    Pull(ModuleID.tariffs, "Tariff", _SELLERS, _keep_tariff, _unchanged_tariffs, _hide_tariffs, combined=True),
    Pull(
        ModuleID.locations,
        "Location",
        _SELLERS,
        _keep_location,
        locations_operations.unchanged,
        locations_rows.mark_gone,
        combined=True,
    ),
    Pull(
        ModuleID.sessions,
        "Session",
        ("CPO",),
        _keep_session,
        _unchanged_sessions,
        known_from=locations_rows.owners_from,
        dated=True,
        windowed=True,
    ),
    Pull(
        ModuleID.cdrs,
        "CDR",
        ("CPO",),
        _keep_cdr,
        _unchanged_cdrs,
        known_from=locations_rows.owners_from,
        windowed=True,
    ),
]
