"""What is true of every client of the hub right now, by the registry. Pure; `clientinfo` decides what is published.

A party that is connected directly and is also behind another hub counts as connected directly (HUB-87).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hub import permissions
from ocpi import registration_states
from ocpi.headers import Address
from ocpi.snapshot import KnownParty, KnownPlatform, Snapshot

CONNECTED, OFFLINE, PLANNED, SUSPENDED = "CONNECTED", "OFFLINE", "PLANNED", "SUSPENDED"
Key = tuple[str, str, str]  # country_code and party_id in upper case, role


@dataclass(frozen=True, slots=True)
class Client:
    """A party in one role, the platform it is reached at, and how that is."""

    address: Address
    role: str
    platform_id: int
    through_hub: bool
    status: str
    reason: str
    key: Key = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", key_of(self.address, self.role))


def key_of(address: Address, role: str) -> Key:
    """Return what a ClientInfo is known by (HCI-09)."""
    return (*address.key, role)


def clients(snapshot: Snapshot) -> dict[Key, Client]:
    """Return everybody who is or will be a client; whoever has left is not among them.

    Hubs are not: nobody can address one (HUB-64), and whom they lead to is in here under their own names.
    """
    best: dict[Key, Client] = {}
    for platform in snapshot.platforms.values():
        for party in platform.parties:
            found = _client(platform, party)
            if found is not None and (known := best.get(found.key)) is not None:
                found = min(known, found, key=_order)
            if found is not None:
                best[found.key] = found
    return best


@dataclass(frozen=True, slots=True)
class Viewer:
    """A platform that is told of others, and who it is itself."""

    platform: KnownPlatform
    addresses: tuple[Address, ...]
    own: frozenset[Key]


def viewers(snapshot: Snapshot) -> list[Viewer]:
    """Return the platforms that are told of others: those that are registered as somebody."""
    found = []
    for platform in snapshot.platforms.values():
        parties = [party for party in platform.parties if party.active and not party.through_hub]
        if platform.state == registration_states.REGISTERED and parties:
            addresses = tuple({party.address.key: party.address for party in parties}.values())
            found.append(Viewer(platform, addresses, frozenset(key_of(each.address, each.role) for each in parties)))
    return found


@dataclass(frozen=True, slots=True)
class Audience:
    """Who is told of whom; made once of a snapshot and all that is published, asked once for each platform."""

    snapshot: Snapshot
    published: Mapping[int, Client]  # by the id of its row

    def seen_by(self, viewer: Viewer) -> set[int]:
        """Return the rows a platform is told of: never its own (HCI-14), nor those it may not talk to.

        Of a party behind another hub only where an operator lets that hub's parties be offered (HUB-80), and never
        another hub: two that pass on what they heard would tell each other of parties that have long left.
        """
        found = {pk for pk, client in self.published.items() if self._concerns(viewer, client)}
        if permissions.rules_of(self.snapshot).trivial:
            return found
        return {pk for pk in found if self._visible(viewer, self.published[pk].address)}

    def _concerns(self, viewer: Viewer, client: Client) -> bool:
        if client.platform_id == viewer.platform.id or client.key in viewer.own:
            return False
        if not client.through_hub:
            return True
        origin = self.snapshot.platforms.get(client.platform_id)
        return origin is not None and origin.offers_clients and not viewer.platform.is_hub

    def _visible(self, viewer: Viewer, other: Address) -> bool:
        return any(permissions.visible(self.snapshot, own, other) for own in viewer.addresses)


def _client(platform: KnownPlatform, party: KnownParty) -> Client | None:
    found = _status(platform, party)
    if found is None:
        return None
    status, reason = found
    return Client(party.address, party.role, platform.id, party.through_hub, status, reason)


def _status(platform: KnownPlatform, party: KnownParty) -> tuple[str, str] | None:
    """Return status and reason; None of somebody who is no client."""
    if party.role == "HUB" or not party.approved:
        return None
    if party.through_hub:
        if not party.claimed or platform.state != registration_states.REGISTERED:
            return None
        if party.status == CONNECTED and not platform.reachable:
            return OFFLINE, f"its hub {platform.name} is not connected"
        return party.status, f"by the ClientInfo of {platform.name}"
    if platform.state == registration_states.INVITED:
        return PLANNED, f"{platform.name} is invited"
    if platform.state != registration_states.REGISTERED:
        return None
    if not party.claimed:
        return PLANNED, f"{platform.name} does not list it in its credentials"
    if platform.reachable:
        return CONNECTED, f"{platform.name} is connected"
    return OFFLINE, f"{platform.name} is {'paused' if platform.paused else platform.connection}"


def _order(client: Client) -> tuple[bool, bool, bool]:
    """Return what sorts the best first: whoever is there, directly before behind a hub, connected before not."""
    return client.status not in (CONNECTED, OFFLINE), client.through_hub, client.status != CONNECTED
