"""What everybody below a hub pulls from it: who is behind it (HCI-01, HCI-21)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

from ocpi import ours, version_numbers
from ocpi.enums import ModuleID, VersionNumber
from ocpi.headers import Address
from ocpi.models import ConnectionStatus, Party
from ocpi.modules import claims, hubclientinfo
from ocpi.pull_table import NOT_SEEN, Item, Pull, Scope, key_of, scope_parameters


def _keep(item: Item, platform_id: int) -> bool | None:
    """Keep what the hub says of a party; what it says of ourselves we know better."""
    info = _read(item.body)
    address = Address(info.country_code, info.party_id)
    if any(party.address.key == address.key and party.role == info.role for party in ours.parties()):
        return None
    return hubclientinfo.store(
        hub_id=platform_id,
        address=address,
        role=info.role,
        connection=ConnectionStatus(info.status),
        last_updated=info.last_updated,
    )


def _unchanged(items: Sequence[Item], platform_id: int) -> set[str]:
    rows = Party.objects.filter(platform_id=platform_id, through_hub=True, claimed=True)
    stored = {key_of(None, row.country_code, row.party_id, row.role): (row.status, row.last_updated) for row in rows}
    return {item.key for item in items if stored.get(item.key) == (_read(item.body).status, item.updated)}


def _forget(scope: Scope) -> int:
    """Take no party for one of the hub's that its whole list does not hold (TRN-106)."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, {**scope_parameters(scope), "platform_id": scope.platform_id})
        if cursor.rowcount:
            claims.announce()
        return int(cursor.rowcount)


def _read(body: bytes) -> Any:
    return version_numbers.schema(VersionNumber.V2_2_1, ModuleID.hubclientinfo).check(body, "ClientInfo")


_FORGET = f"""
UPDATE ocpi_party o SET claimed = false
WHERE o.platform_id = %(platform_id)s AND o.through_hub AND o.claimed AND o.last_updated < %(started_at)s
  AND {NOT_SEEN.format(key="UPPER(o.country_code || '*' || o.party_id || '*' || o.role)")}
"""  # noqa: S608 - constants only

_IDS = ("country_code", "party_id", "role")
PULLS = [Pull(ModuleID.hubclientinfo, "ClientInfo", (), _keep, _unchanged, _forget, ids=_IDS, seldom=True)]
