"""Who is behind a URL of the hub that stands for a partner's, and whether it may be used now. Pure."""

from __future__ import annotations

from hub import permissions
from hub.models import Callback
from ocpi import status
from ocpi.headers import Address, Routing
from ocpi.snapshot import KnownPlatform, Snapshot


def owner_of(
    callback: Callback, method: str, caller: KnownPlatform, routing: Routing, registry: Snapshot
) -> KnownPlatform:
    """Return the platform whose URL a callback stands for.

    :raises MethodNotAllowed: if a result is not posted, or a page or CDR is not read.
    :raises UnknownObject: if a list must not be continued (SEC-40); answered as what is not there.
    :raises ReceiverUnreachable: if the platform is not connected (4003).
    """
    if (method == "POST") != (callback.kind == callback.Kind.RESPONSE_URL):
        allowed = "POST" if callback.kind == callback.Kind.RESPONSE_URL else "GET"
        raise status.MethodNotAllowed(f"{method} is not available here", headers={"Allow": allowed})
    owner = registry.platforms.get(callback.owner_id)
    # A result of what was accepted still comes back; further pages are a new question (SEC-40).
    if callback.kind == callback.Kind.LINK and owner is not None:
        _check_continuation(callback, owner, caller, routing, registry)
    if owner is None or not owner.reachable:
        raise status.ReceiverUnreachable("The platform behind this URL is not connected")
    return owner


def addressed(routing: Routing, caller: KnownPlatform, owner: KnownPlatform) -> Routing:
    """Return the addresses that go on with a request: From of the caller's party, To of the owner's (HUB-73).

    Who calls a URL of the hub may leave them out or name the hub; where a platform has one party, that is meant.
    """
    to, sender = routing.to, routing.sender
    return Routing(
        to=to if to is not None and owner.has_party(to) else _only_party(owner) or to,
        sender=sender or _only_party(caller),
    )


def _only_party(platform: KnownPlatform) -> Address | None:
    """Return the address of a platform that has one; parties behind a hub are told apart by nobody else."""
    if platform.is_hub:
        return None
    found = {party.address.key: party.address for party in platform.parties if party.active}
    return next(iter(found.values())) if len(found) == 1 else None


def _check_continuation(
    callback: Callback, owner: KnownPlatform, caller: KnownPlatform, routing: Routing, registry: Snapshot
) -> None:
    sender, to, module = routing.sender, routing.to, callback.module
    if sender is not None and to is not None and owner.has_party(to):
        if permissions.allowed(registry, sender, to, module, permissions.PULL):
            return
        why = permissions.why_not(registry, sender, to, module, permissions.PULL)
    elif permissions.between(registry, caller, owner, module, permissions.PULL):
        return
    else:
        why = f"permission: no party of {caller.name} may pull {module} from {owner.name}"
    raise status.UnknownObject("There is nothing at this URL", for_operator=why)
