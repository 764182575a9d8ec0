"""Who is behind a URL of the hub that stands for a partner's, and whether it may be used now. Pure."""

from __future__ import annotations

from hub import permissions
from hub.models import Callback
from ocpi import status
from ocpi.headers import Address, Routing
from ocpi.snapshot import KnownPlatform, Snapshot


def way_of(
    callback: Callback, method: str, caller: KnownPlatform, routing: Routing, registry: Snapshot
) -> tuple[KnownPlatform, Routing]:
    """Return the platform whose URL a callback stands for, and the addresses that go there.

    :raises MethodNotAllowed: if a result is not posted, or a page or CDR is not read.
    :raises UnknownObject: if a list must not be continued (SEC-40); answered as what is not there.
    :raises ReceiverUnreachable: if the platform is not connected (4003).
    """
    if (method == "POST") != (callback.kind == callback.Kind.RESPONSE_URL):
        allowed = "POST" if callback.kind == callback.Kind.RESPONSE_URL else "GET"
        raise status.MethodNotAllowed(f"{method} is not available here", headers={"Allow": allowed})
    owner = registry.platforms.get(callback.owner_id)
    if owner is None:
        raise status.ReceiverUnreachable("The platform behind this URL is not connected")
    onward = addressed(callback, routing, caller, owner)
    # A result of what was accepted still comes back; further pages are a new question (SEC-40).
    if callback.kind == callback.Kind.LINK:
        _check_continuation(callback, owner, caller, onward, registry)
    if not owner.reachable:
        raise status.ReceiverUnreachable("The platform behind this URL is not connected")
    return owner, onward


def addressed(callback: Callback, routing: Routing, caller: KnownPlatform, owner: KnownPlatform) -> Routing:
    """Return the addresses that go on with a request: From of the caller's party, To of the owner's (HUB-73).

    A result goes from the party that was asked to the one that asked, whatever its headers say. What is read (a page,
    a CDR) is that of the party that gave it, and any party of the caller may read it that is allowed to.
    """
    is_result = callback.kind == callback.Kind.RESPONSE_URL
    asked_for = _address(callback.caller_party)
    return Routing(
        to=_address(callback.owner_party) or _named(routing.to, owner),
        sender=(is_result and asked_for) or routing.sender or asked_for or _only_party(caller),
    )


def _named(to: Address | None, owner: KnownPlatform) -> Address | None:
    """Return whom To headers mean; who leaves them out or names the hub means the platform's one party, if it has one.

    For what was kept before parties were.
    """
    return to if to is not None and owner.has_party(to) else _only_party(owner) or to


def _address(text: str) -> Address | None:
    country_code, _, party_id = text.partition("*")
    return Address(country_code, party_id) if party_id else None


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
