"""Which way a message goes: Direct, Broadcast, GetAll. Decides, does nothing.

The caller names its wish with the To headers alone: another party = Direct; the hub itself = Broadcast for a push on a
Receiver interface, GET All on a Sender interface; nobody = the hub chooses (OCPI 2.2.1, Transport and format, Message
routing). Everything here is pure: headers and the registry snapshot in, a decision out.
"""

from __future__ import annotations

from dataclasses import dataclass

from hub import ownership, permissions, registry
from ocpi import status
from ocpi.headers import Address, Routing
from ocpi.snapshot import KnownPlatform, Snapshot

# What may be pushed to all. A Tariff has no PATCH, and alone may be deleted (TAR-05, HUB-30).
_PUSHES = {"tariffs": ("PUT", "DELETE")}
_OTHER_PUSHES = ("PUT", "PATCH")


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


Route = Direct | Broadcast | GetAll


def decide(asked: Asked, snapshot: Snapshot, hub: Address) -> Route:
    """Return which way a message goes.

    :raises InvalidParameters: if From is missing or is no party of the caller, or the combination makes no sense.
    :raises UnknownObject: if the path names an owner that is not the caller's.
    :raises UnknownReceiver: if nobody is there whom the sender may reach, or the hub cannot choose (4001).
    :raises ReceiverUnreachable: if the party is not connected (4003).
    :raises HubError: if its platform does not offer the module and interface (4000).
    """
    sender = _sender(asked)
    to = asked.routing.to
    if to is None or to.key != hub.key:  # of a broadcast, whoever keeps it says so
        ownership.refuse_foreign(asked.caller, asked.module, asked.interface, asked.tail)
    if to is None:
        return _open(asked, snapshot, sender)
    if to.key == hub.key:
        return _to_the_hub(asked, sender)
    if not permissions.allowed(snapshot, sender, to, asked.module, permissions.direction_of(asked.method)):
        raise registry.nobody_at(to)
    place = registry.find(snapshot, to, module=asked.module, interface=asked.interface)
    return Direct(place, asked.routing)


def _sender(asked: Asked) -> Address:
    sender = asked.routing.sender
    if sender is None:
        raise status.InvalidParameters("OCPI-from-party-id", "is required through a hub")
    if not asked.caller.has_party(sender):
        raise status.InvalidParameters("OCPI-from-party-id", f"{sender} is not a party of the calling platform")
    return sender


def _to_the_hub(asked: Asked, sender: Address) -> Route:
    if asked.method == "GET":
        if asked.interface == "SENDER" and not asked.tail:
            return GetAll(sender)
        raise status.InvalidParameters("OCPI-to-party-id", "GET is not used with Broadcast Push")
    if asked.module in ("sessions", "cdrs") and asked.interface == "RECEIVER":
        raise status.InvalidParameters("OCPI-to-party-id", f"{asked.module} are not broadcast: name the eMSP")
    if asked.interface != "RECEIVER" or asked.module not in registry.BROADCAST_MODULES:
        raise status.UnknownReceiver(f"{asked.module} {asked.interface} needs a party in the To headers")
    pushes = _PUSHES.get(asked.module, _OTHER_PUSHES)
    if asked.method not in pushes:
        raise status.MethodNotAllowed(f"{asked.method} is not available here", headers={"Allow": ", ".join(pushes)})
    if not registry.may_broadcast(asked.caller, sender, asked.module):
        raise status.InvalidParameters("OCPI-from-party-id", f"the role of {sender} owns no {asked.module}")
    return Broadcast(sender)


def _open(asked: Asked, snapshot: Snapshot, sender: Address) -> Route:
    if asked.method == "GET" and asked.interface == "SENDER" and not asked.tail:
        raise status.InvalidParameters("OCPI-to-party-id", "is required for a list; name the hub for all of them")
    direction = permissions.direction_of(asked.method)
    places = registry.opposite(
        snapshot, asked.caller, sender, module=asked.module, interface=asked.interface, direction=direction
    )
    if len(places) != 1:
        raise status.UnknownReceiver("The receiver cannot be determined without To headers")
    return Direct(places[0], Routing(to=places[0].party.address, sender=sender))
