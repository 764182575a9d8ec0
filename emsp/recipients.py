"""Who gets what this eMSP sends: CPOs that are connected directly, and hubs for all the others."""

from __future__ import annotations

from ocpi import ours, snapshot
from ocpi.enums import Role
from ocpi.headers import Address
from ocpi.outbox import Recipient
from ocpi.snapshot import KnownPlatform, Snapshot


def broadcast(module: str, owner: Address, *, platform_id: int | None = None) -> list[Recipient]:
    """Return the receivers of an object that is meant for all: each CPO connected directly, and each hub itself.

    :param platform_id: only those on this platform.
    """
    found: list[Recipient] = []
    for platform in snapshot.current().platforms.values():
        if platform_id not in (None, platform.id):
            continue
        if platform.state != "REGISTERED" or (module, "RECEIVER") not in platform.endpoints:
            continue
        roles = ("HUB",) if platform.is_hub else ("CPO",)
        found += [
            Recipient(platform.id, party.address, owner)
            for party in platform.parties
            if party.active and not party.through_hub and party.role in roles
        ]
    return found


def platform_for(address: Address, module: str, interface: str) -> KnownPlatform | None:
    """Return the platform through which a CPO is asked: its own, else a hub behind which it is connected (HUB-87).

    Nobody is asked behind a hub who is not connected there (HCI-20).
    """
    registry: Snapshot = snapshot.current()
    named = [registry.platform_of(party) for party in registry.at(address, "CPO")]  # its own platform first
    hubs = [platform for platform in registry.platforms.values() if platform.is_hub]
    for platform in [*named, *hubs]:
        if platform.reachable and (module, interface) in platform.endpoints and not platform.away(address):
            return platform
    return None


def our_party() -> Address:
    """Return the party that acts when nothing else says which."""
    return ours.addresses(Role.EMSP)[0]
