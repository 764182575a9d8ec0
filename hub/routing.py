"""Which way a message goes: Direct, Broadcast, GetAll, or to whom its content says. Decides, does nothing.

The caller names its wish with the To headers alone: another party = Direct; the hub itself = Broadcast for a push on a
Receiver interface, GET All on a Sender interface; nobody = the hub chooses (OCPI 2.2.1, Transport and format, Message
routing). Everything here is pure: headers and the registry snapshot in, a decision out.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from hub import ownership, permissions, registry, roles
from ocpi import status
from ocpi.headers import Address, Routing
from ocpi.snapshot import KnownPlatform, Snapshot

# What may be pushed to all. A Tariff has no PATCH, and alone may be deleted (TAR-05, HUB-30).
_PUSHES = {"tariffs": ("PUT", "DELETE")}
_OTHER_PUSHES = ("PUT", "PATCH")
_PERSONAL = ("sessions", "cdrs")
_READ_BY_ROLE = ("tokens", *_PERSONAL)
_STEPS = frozenset((".", ".."))


@dataclass(frozen=True, slots=True)
class Asked:
    """What arrived: an interface of a module, a method, what follows the endpoint's URL, and the addresses."""

    module: str
    interface: str
    method: str
    tail: tuple[str, ...]
    routing: Routing
    caller: KnownPlatform


@dataclass(frozen=True, slots=True)
class Direct:
    """Pass it on to one party while the caller waits."""

    place: registry.Place
    routing: Routing


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Keep the object and push it to everybody it concerns."""

    sender: Address


@dataclass(frozen=True, slots=True)
class GetAll:
    """Answer from what the hub keeps."""

    requester: Address


@dataclass(frozen=True, slots=True)
class NeedsLookup:
    """Whom it goes to depends on its content and on what the hub has seen (hub/open_routing.py)."""

    sender: Address
    may_broadcast: bool  # it is a push of what is meant for all


Route = Direct | Broadcast | GetAll | NeedsLookup


def decide(asked: Asked, snapshot: Snapshot, hub: Address) -> Route:
    """Return which way a message goes.

    :raises InvalidParameters: if From is missing or is no party of the caller, or the combination makes no sense.
    :raises UnknownObject: if the path names an owner that is not the caller's, or leads out of its endpoint.
    :raises UnknownReceiver: if nobody is there whom the sender may reach, or the hub cannot choose (4001).
    :raises ReceiverUnreachable: if the party is not connected (4003).
    :raises HubError: if its platform does not offer the module and interface (4000).
    :raises MethodNotAllowed: if the interface has no such method, or, of what is for the hub itself, the module (405).
    """
    sender = _sender(asked)
    if leads_out(asked.tail):
        raise status.UnknownObject("There is nothing at this URL")
    to = asked.routing.to
    if to is None or to.key != hub.key:  # of a broadcast, whoever keeps it says so
        _check_method(asked)
        ownership.refuse_foreign(asked.caller, asked.module, asked.interface, asked.method, asked.tail)
        _check_asker(asked, sender)
    if to is None:
        return _open(asked, sender)
    if to.key == hub.key:
        return _to_the_hub(asked, snapshot, sender)
    direction = permissions.direction_of(asked.method)
    for party in speakers(asked, sender):
        if not permissions.allowed(snapshot, party, to, asked.module, direction):
            raise registry.nobody_at(to, permissions.why_not(snapshot, party, to, asked.module, direction))
    if _needs_rule(asked, sender) and not permissions.explicit(snapshot, sender, to, asked.module, permissions.PULL):
        raise _no_reader(asked, sender)
    place = registry.find(snapshot, to, module=asked.module, interface=asked.interface)
    return Direct(place, asked.routing)


def _sender(asked: Asked) -> Address:
    sender = asked.routing.sender
    if sender is None:
        raise status.InvalidParameters("OCPI-from-party-id", "is required through a hub")
    if not asked.caller.has_party(sender):
        raise status.InvalidParameters("OCPI-from-party-id", f"{sender} is not a party of the calling platform")
    return sender


def _check_method(asked: Asked) -> None:
    """Refuse a method that the interface has at nobody (TRN-021); of what is no module of OCPI nothing is known."""
    methods = roles.METHODS.get((asked.module, asked.interface))
    if methods is not None and asked.method not in methods:
        raise status.MethodNotAllowed(f"{asked.method} is not available here", headers={"Allow": ", ".join(methods)})


def _check_asker(asked: Asked, sender: Address) -> None:
    """Refuse who has no role to ask for what has personal data in it (SEC-42).

    The receiver would answer the hub's token, and cannot tell who a party behind the hub is.
    """
    if asked.interface != "SENDER" or asked.module not in _READ_BY_ROLE:
        return
    if asked.method != "GET" and asked.module != "tokens":
        return
    if not asked.caller.has_party(sender, "HUB", *roles.ASKING[(asked.module, asked.interface)]):
        raise _no_reader(asked, sender)


def _needs_rule(asked: Asked, sender: Address) -> bool:
    """Say whether somebody reads what his role gives him only together with a rule (HUB-62)."""
    if asked.interface != "SENDER" or asked.method != "GET" or asked.module not in roles.READERS_BY_RULE:
        return False
    return not asked.caller.has_party(sender, "HUB", *roles.READERS[asked.module])


def _no_reader(asked: Asked, sender: Address) -> status.InvalidParameters:
    return status.InvalidParameters("OCPI-from-party-id", f"{sender} may not read {asked.module}")


def speakers(asked: Asked, sender: Address) -> tuple[Address, ...]:
    """Return who must be allowed to send this: From, and the owner that the path names, if that is another.

    From is the caller's choice among its parties and gives no rights: what one may not send goes in no other's name
    either (SEC-34, SEC-40).
    """
    if asked.interface == "RECEIVER" and len(asked.tail) > 2 and asked.module in roles.OWNERS:
        owner = Address(asked.tail[0], asked.tail[1])
        if owner.key != sender.key:
            return sender, owner
    return (sender,)


def check_content(asked: Asked, route: Direct, snapshot: Snapshot, body: bytes) -> None:
    """Refuse what speaks of objects that are not the caller's, or whose owner may not send them to the receiver.

    :raises InvalidParameters: if the body names another owner than the path, or of a CDR one that is not the caller's,
        or tells the receiver of the driver of another eMSP.
    :raises UnknownReceiver: if that owner may not send anything there (4001, SEC-40).
    """
    named = ownership.read(asked.module, asked.interface, body)
    if named is None:
        return
    owner = ownership.owner_in(asked.caller, asked.module, asked.tail, named)
    to, direction = route.place.party.address, permissions.direction_of(asked.method)
    if owner is not None and not permissions.allowed(snapshot, owner, to, asked.module, direction):
        raise registry.nobody_at(to, permissions.why_not(snapshot, owner, to, asked.module, direction))
    holder = ownership.holder_in(named)
    if holder is not None and not _may_hear_of(holder, asked, route, snapshot, owner):
        raise status.InvalidParameters("cdr_token.party_id", f"is not {to}, whom this is for")


def _may_hear_of(holder: Address, asked: Asked, route: Direct, snapshot: Snapshot, owner: Address | None) -> bool:
    """Say whether a receiver may be told of a driver: its own, one of its platform's, or where a rule names the module.

    Personal data go to whom they name, or who is permitted, such as an SCSP (SEC-37, SEC-42, SES-10).
    """
    to, platform, sender = route.place.party.address, route.place.platform, asked.routing.sender
    if holder.key == to.key or platform.has_party(holder) or platform.leads_to_unnamed:
        return True
    parties = (owner,) if owner else speakers(asked, sender) if sender else ()
    return bool(parties) and all(
        permissions.explicit(snapshot, party, to, asked.module, permissions.PUSH)
        or permissions.explicit(snapshot, to, party, asked.module, permissions.PULL)
        for party in parties
    )


def leads_out(tail: tuple[str, ...]) -> bool:
    """Say whether a path leads out of its endpoint: behind a receiver's front server it would be another module's.

    What is passed on goes with the hub's token, so a ".." would reach all that the hub may do there (SEC-33, HUB-15).
    """
    return any("." in part and not _STEPS.isdisjoint(part.replace("\\", "/").split("/")) for part in tail)


def _to_the_hub(asked: Asked, snapshot: Snapshot, sender: Address) -> Route:
    module, receives = asked.module, asked.interface == "RECEIVER"
    pushes = pushes_of(module) if receives and module not in ("commands", "chargingprofiles") else ()
    if asked.method not in roles.methods_of(module):
        there_are = roles.METHODS[(module, asked.interface)]
        allow = [each for each in pushes if each in there_are] or there_are
        raise status.MethodNotAllowed(f"{asked.method} is not available here", headers={"Allow": ", ".join(allow)})
    if asked.method == "GET" and receives:
        raise status.InvalidParameters("OCPI-to-party-id", "GET is not used with Broadcast Push")
    if asked.method == "GET" and not asked.tail and module in roles.READERS:
        return GetAll(sender)
    if module in _PERSONAL and receives and not _may_broadcast_personal(asked, snapshot, sender):
        raise status.InvalidParameters("OCPI-to-party-id", f"{module} are not broadcast: name the eMSP")
    if not pushes:
        raise status.UnknownReceiver(f"{module} {asked.interface} needs a party in the To headers")
    if asked.method not in pushes:
        raise status.MethodNotAllowed(f"{asked.method} is not available here", headers={"Allow": ", ".join(pushes)})
    owner = owner_of_push(asked, sender)
    if not registry.may_broadcast(asked.caller, owner, module):
        if owner.key != sender.key:
            raise ownership.unknown(module, ownership.foreign(owner, module))
        raise status.InvalidParameters("OCPI-from-party-id", f"the role of {sender} owns no {module}")
    return Broadcast(sender)


def pushes_of(module: str) -> tuple[str, ...]:
    """Return the methods that may go to all; whether a DELETE may is a setting (HUB-30)."""
    found = _PUSHES.get(module, _OTHER_PUSHES)
    return found if settings.OCPI_HUB_BROADCASTS_DELETE else tuple(method for method in found if method != "DELETE")


def owner_of_push(asked: Asked, sender: Address) -> Address:
    """Return whose push it is: what another hub passes on as its own broadcast is of the party in the URL (HUB-47)."""
    if asked.caller.is_hub and len(asked.tail) >= 2 and asked.caller.has_party(sender, "HUB"):
        return Address(asked.tail[0], asked.tail[1])
    return sender


def _may_broadcast_personal(asked: Asked, snapshot: Snapshot, sender: Address) -> bool:
    """Say whether a rule lets this party broadcast to anybody what has personal data in it (HUB-40)."""
    return asked.module in roles.BROADCAST_BY_RULE and any(
        permissions.may_broadcast(snapshot, sender, Address(*key), asked.module) for key in snapshot.parties
    )


def _open(asked: Asked, sender: Address) -> Route:
    if asked.method == "GET" and asked.interface == "SENDER" and not asked.tail:
        raise status.InvalidParameters("OCPI-to-party-id", "is required for a list; name the hub for all of them")
    meant_for_all = (
        asked.interface == "RECEIVER"
        and asked.module in roles.BROADCAST
        and asked.method in pushes_of(asked.module)
        and registry.may_broadcast(asked.caller, sender, asked.module)
    )
    return NeedsLookup(sender, meant_for_all)
