"""What a hub marks after a restore: objects that reached it, for whoever would be told of a change (REL-58)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from functools import partial

from django.db.models import Q

from hub import registry
from hub.models import SharedObject
from ocpi import ours, outbox, recovery, snapshot
from ocpi.enums import Role
from ocpi.headers import Address

_SOURCE = "hub.SharedObject"


def mark_since(since: datetime) -> dict[str, int]:
    """Mark what reached the hub since a moment; return how many objects, by module."""
    found: dict[str, list[partial[None]]] = defaultdict(list)
    rows = SharedObject.objects.filter(Q(received_at__gte=since) | Q(deleted_at__gte=since)).defer("document")
    own_versions = set(
        SharedObject.objects.filter(module__in=rows.values("module"))
        .exclude(receiver="")
        .values_list("module", "country_code", "party_id", "path", "kind", "receiver")
    )
    for row in rows.order_by("id"):
        key = (row.module, row.country_code, row.party_id, row.path, row.kind)
        recipients = [one for one in _recipients(row) if row.receiver or (*key, _name(one)) not in own_versions]
        found[row.module].append(partial(_mark, row, recipients))
    return {module: recovery.mark(noted) for module, noted in found.items()}


def _recipients(row: SharedObject) -> Iterator[outbox.Recipient]:
    registered = snapshot.current()
    caller = registered.platforms.get(row.platform_id)
    hub = next(iter(ours.addresses(Role.HUB)), None)
    if caller is None:
        return
    owner = Address(row.country_code, row.party_id)
    for place in registry.receivers(registered, caller, owner, row.module):
        recipient = outbox.Recipient(place.platform.id, place.party.address, hub)
        if row.receiver in ("", _name(recipient)):
            yield recipient


def _mark(row: SharedObject, recipients: list[outbox.Recipient]) -> None:
    owner = f"{row.country_code}*{row.party_id}"
    outbox.mark(
        recipients,
        module=row.module,
        source=_SOURCE,
        source_id=row.pk,
        path=outbox.path_of(row.country_code, row.party_id, *row.path.split("/")),
        order_key=f"{owner}/{row.path.partition('/')[0]}",
        query=f"type={row.kind}" if row.kind else "",
        deleted=row.deleted_at is not None,
    )


def _name(recipient: outbox.Recipient) -> str:
    return "*".join(recipient.to.key) if recipient.to else ""
