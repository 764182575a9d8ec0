"""Broadcast push: keep the object, one delivery per receiving party, and answer at once (HUB-28…47)."""

from __future__ import annotations

from urllib.parse import parse_qs

from django.db import transaction

from hub import direct_versions, known_objects, ownership, quick_patch, registry, roles, shared_objects
from hub.routing import Asked, Broadcast, owner_of_push
from hub.shared_objects import Push
from ocpi import outbox, status
from ocpi.headers import Address
from ocpi.snapshot import KnownPlatform, Snapshot


def receive(
    asked: Asked, route: Broadcast, *, query: str, body: bytes, snapshot: Snapshot, hub: Address, correlation_id: str
) -> bool:
    """Take a push that is for all. Return whether what was pushed is new.

    :raises UnknownObject: if the URL names no object of the caller's, or as `broadcast`.
    :raises InvalidParameters: as `broadcast`, or if URL and body name two types of a Token.
    """
    if len(asked.tail) < 3:
        raise status.UnknownObject("There is nothing at this URL")
    owner = Address(*asked.tail[:2])
    if not asked.caller.has_party(owner, *roles.OWNERS.get(asked.module, ())):
        raise ownership.unknown(asked.module)
    kind = ""
    if asked.module == "tokens":
        given = parse_qs(query, keep_blank_values=True).get("type", [None])[-1]
        kind = shared_objects.token_type(asked.method, given, body)
    push = Push(
        module=asked.module,
        method=asked.method,
        owner=owner,
        path=asked.tail[2:],
        kind=kind,
        body=body,
        platform_id=asked.caller.id,
    )
    created = broadcast(
        push,
        snapshot=snapshot,
        caller=asked.caller,
        sender=owner_of_push(asked, route.sender),
        hub=hub,
        correlation_id=correlation_id,
    )
    known_objects.learn(asked, to=None, query=query, body=body)
    return created


def broadcast(
    push: Push, *, snapshot: Snapshot, caller: KnownPlatform, sender: Address, hub: Address, correlation_id: str
) -> bool:
    """Keep a push and leave one delivery for each receiver, all in one transaction. Return whether it was new.

    :raises InvalidParameters: if the object breaks its table or is older than what is kept: nothing is kept or sent.
    :raises UnknownObject: for a PATCH or DELETE of an unknown object.
    """
    shared_objects.check(push)
    places = registry.receivers(snapshot, caller, sender, push.module)
    if push.owner.key != sender.key:  # whose object it is must be allowed to send it there, too (SEC-34, SEC-40)
        of_owner = registry.receivers(snapshot, caller, push.owner, push.module)
        keys = {place.party.address.key for place in of_owner}
        places = [place for place in places if place.party.address.key in keys]
    recipients = [outbox.Recipient(place.platform.id, place.party.address, hub) for place in places]
    if quick_patch.apply(push, recipients, correlation_id=correlation_id):
        return False
    with transaction.atomic():
        applied = shared_objects.apply(push)
        if applied.added or applied.split:
            direct_versions.replaced(push, added=applied.added)
        outbox.mark(
            recipients,
            module=push.module,
            source="hub.SharedObject",
            source_id=applied.row_id,
            path=applied.path,
            order_key=applied.order_key,
            fields=applied.fields,
            query=f"type={push.kind}" if push.kind else "",
            deleted=push.method == "DELETE",
            correlation_id=correlation_id,
        )
    return applied.created
