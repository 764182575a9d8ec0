"""Who is where: the party at an address, and who gets a broadcast. Pure, over the registry snapshot."""

from __future__ import annotations

from dataclasses import dataclass

from hub import permissions
from ocpi import status
from ocpi.headers import Address
from ocpi.snapshot import KnownParty, KnownPlatform, Snapshot

CONNECTED = "CONNECTED"

# Who gets what is broadcast, by the role of the sender (HUB-35, HUB-36).
_AUDIENCE: dict[str, dict[str, frozenset[str]]] = {
    "CPO": {
        "locations": frozenset({"EMSP", "NSP", "OTHER", "NAP"}),
        "tariffs": frozenset({"EMSP", "NSP", "OTHER", "NAP"}),
    },
    "NAP": {
        "locations": frozenset({"EMSP", "NSP", "OTHER"}),
        "tariffs": frozenset({"EMSP", "NSP", "OTHER"}),
    },
    "EMSP": {"tokens": frozenset({"CPO"})},
    "OTHER": {"locations": frozenset({"CPO"}), "tariffs": frozenset({"CPO"}), "tokens": frozenset({"CPO"})},
}
BROADCAST_MODULES = frozenset({"locations", "tariffs", "tokens"})

# Which roles have an interface at all: it tells apart two roles at one address (PIT-85).
_OWNERS_OF_LOCATIONS = frozenset({"CPO", "NAP", "OTHER"})
_READERS_OF_LOCATIONS = frozenset({"EMSP", "NSP", "NAP", "OTHER", "SCSP"})


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


def nobody_at(address: Address) -> status.UnknownReceiver:
    """Return what is answered for an unknown party, and for one that may not be reached: nobody can tell (SEC-39)."""
    return status.UnknownReceiver(f"Nobody is known at {address}")


def connected(place: Place) -> bool:
    """Say whether requests may be sent to a party now; one behind another hub must be connected there too."""
    return place.platform.reachable and (not place.party.through_hub or place.party.status == CONNECTED)


def receivers(snapshot: Snapshot, caller: KnownPlatform, sender: Address, module: str) -> list[Place]:
    """Return who gets a broadcast, one place per party (HUB-35, HUB-37, HUB-38)."""
    audience: set[str] = set()
    for party in caller.parties:
        if party.active and party.address.key == sender.key:
            audience |= _AUDIENCE.get(party.role, {}).get(module, frozenset())
    found: dict[tuple[str, str], Place] = {}
    for platform in snapshot.platforms.values():
        if platform.id == caller.id or (module, "RECEIVER") not in platform.endpoints:
            continue
        if platform.state != "REGISTERED":
            continue
        for party in platform.parties:
            if not party.active or party.address.key == sender.key:
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
    return any(
        party.active and party.address.key == sender.key and module in _AUDIENCE.get(party.role, {})
        for party in caller.parties
    )


def opposite(
    snapshot: Snapshot, caller: KnownPlatform, sender: Address, *, module: str, interface: str, direction: str
) -> list[Place]:
    """Return the connected parties that offer an interface to a sender, its platform's own apart (HUB-51, rule 3)."""
    roles = _OWNERS_OF_LOCATIONS if _owner_is_asked(module, interface) else _READERS_OF_LOCATIONS
    found: dict[tuple[str, str], Place] = {}
    for platform in snapshot.platforms.values():
        if platform.id == caller.id or (module, interface) not in platform.endpoints:
            continue
        for party in platform.parties:
            place = Place(party, platform)
            may = party.active and party.role in roles and connected(place)
            if may and permissions.allowed(snapshot, sender, party.address, module, direction):
                found.setdefault(party.address.key, place)
    return list(found.values())


def _owner_is_asked(module: str, interface: str) -> bool:
    """Say whether the CPO's side implements this interface."""
    return (module in {"locations", "sessions", "cdrs", "tariffs"}) == (interface == "SENDER")
