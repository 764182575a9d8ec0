"""Who is where: the party at an address, and who gets a broadcast. Pure, over the registry snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hub import permissions, roles
from ocpi import status
from ocpi.headers import Address
from ocpi.snapshot import KnownParty, KnownPlatform, Snapshot

CONNECTED = "CONNECTED"


@dataclass(frozen=True, slots=True)
class Place:
    """A party and the platform it is reached at."""

    party: KnownParty
    platform: KnownPlatform


def find(snapshot: Snapshot, address: Address, *, module: str, interface: str) -> Place:
    """Return where a direct request goes.

    :raises UnknownReceiver: if nobody is at the address (4001, HUB-64).
    :raises ReceiverUnreachable: if the party is known but not connected (4003, HUB-66).
    :raises HubError: if its platform does not offer the module and interface (4000).
    """
    places = [Place(party, snapshot.platform_of(party)) for party in snapshot.at(address)]
    places = [place for place in places if place.party.role != "HUB"]
    if not places:
        raise nobody_at(address)
    serving = [place for place in places if (module, interface) in place.platform.endpoints]
    for place in serving:
        if connected(place):
            return place
    if serving or not any(connected(place) for place in places):
        raise status.ReceiverUnreachable(f"{address} is not connected")
    raise status.HubError(f"The platform of {address} does not offer {module} {interface}")


def nobody_at(address: Address, for_operator: str = "") -> status.UnknownReceiver:
    """Return what is answered for an unknown party, and for one that may not be reached: nobody can tell (SEC-39)."""
    return status.UnknownReceiver(f"Nobody is known at {address}", for_operator=for_operator)


def connected(place: Place) -> bool:
    """Say whether requests may be sent to a party now; one behind another hub must be connected there too."""
    return place.platform.reachable and (not place.party.through_hub or place.party.status == CONNECTED)


def receivers(snapshot: Snapshot, caller: KnownPlatform, sender: Address, module: str) -> Sequence[Place]:
    """Return who gets a broadcast, one place per party (HUB-35, HUB-37, HUB-38).

    A platform that is OFFLINE keeps its place: what it misses becomes a mark. A party behind another hub that is not
    connected there has none, and what came from a hub goes to no other hub: it would go round.
    """
    global _known
    if permissions.rules_of(snapshot).dated:  # another moment, other receivers
        return _receivers(snapshot, caller, sender, module)
    of, known = _known
    if of is not snapshot:
        _, known = _known = snapshot, {}
    question = (caller.id, sender.key, module)
    found = known.get(question)
    if found is None:
        if len(known) >= _MOST_KNOWN:
            known.clear()
        found = known[question] = tuple(_receivers(snapshot, caller, sender, module))
    return found


# Who gets the broadcasts of a party is the same until the registry changes, and is asked for each of them.
_MOST_KNOWN = 1_000
_known: tuple[Snapshot | None, dict[tuple[int, tuple[str, str], str], Sequence[Place]]] = (None, {})


def _receivers(snapshot: Snapshot, caller: KnownPlatform, sender: Address, module: str) -> list[Place]:
    audience: set[str] = set()
    for party in caller.parties:
        if party.active and party.address.key == sender.key:
            audience |= roles.AUDIENCE.get(party.role, {}).get(module, frozenset())
    found: dict[tuple[str, str], Place] = {}
    direct_first = sorted(snapshot.platforms.values(), key=lambda platform: platform.is_hub)  # HUB-87
    for platform in direct_first:
        if platform.id == caller.id or (module, "RECEIVER") not in platform.endpoints:
            continue
        if platform.state != "REGISTERED" or (caller.is_hub and platform.is_hub):
            continue
        for party in platform.parties:
            if not party.active or party.address.key == sender.key or party.role == "HUB":
                continue
            if party.through_hub and party.status != CONNECTED:
                continue
            # The receiver sees From = hub, but the agreement is with whoever pushed it (SEC-40).
            if party.role in audience:
                may = permissions.allowed(snapshot, sender, party.address, module, permissions.PUSH)
            else:
                may = permissions.may_broadcast(snapshot, sender, party.address, module)
            if may:
                found.setdefault(party.address.key, Place(party, platform))
    return list(found.values())


def may_broadcast(caller: KnownPlatform, sender: Address, module: str) -> bool:
    """Say whether a party's role owns objects of this module (Locations a CPO's, Tokens an eMSP's)."""
    return caller.has_party(sender, *roles.OWNERS.get(module, ("",)))


def opposite(
    snapshot: Snapshot, caller: KnownPlatform, sender: Address, *, module: str, interface: str, direction: str
) -> list[Place]:
    """Return the connected parties of an opposite role that offer an interface to a sender (HUB-51, rule 3).

    Those of the sender's own platform are none of them.
    """
    serving = roles.opposite(caller.roles_of(sender), module, interface)
    found: dict[tuple[str, str], Place] = {}
    for platform in snapshot.platforms.values():
        if platform.id == caller.id or (module, interface) not in platform.endpoints:
            continue
        for party in platform.parties:
            place = Place(party, platform)
            may = party.active and party.role in serving and connected(place)
            if may and permissions.allowed(snapshot, sender, party.address, module, direction):
                found.setdefault(party.address.key, place)
    return list(found.values())
