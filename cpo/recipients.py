"""Who gets what this CPO sends: eMSPs that are connected directly, and hubs for all the others."""

from __future__ import annotations

from collections.abc import Iterable

from ocpi import outbox, snapshot
from ocpi.headers import Address
from ocpi.outbox import Recipient
from ocpi.snapshot import KnownPlatform, Snapshot

# Who reads Locations and Tariffs (OCPI 2.2.1, Locations, typical roles).
_READERS = frozenset({"EMSP", "NSP", "NAP", "OTHER", "SCSP"})


def broadcast(module: str, owner: Address, *, platform_id: int | None = None) -> list[Recipient]:
    """Return the receivers of what is meant for all: each party connected directly, and each hub itself.

    :param platform_id: only those on this platform.
    """
    found: list[Recipient] = []
    for platform in snapshot.current().platforms.values():
        if platform_id not in (None, platform.id) or not _serves(platform, module):
            continue
        roles = frozenset({"HUB"}) if platform.is_hub else _READERS
        addresses = {
            party.address.key: party.address
            for party in platform.parties
            if party.active and not party.through_hub and party.role in roles
        }
        found += [Recipient(platform.id, address, owner) for address in addresses.values()]
    return found


def party(address: Address, module: str, owner: Address) -> list[Recipient]:
    """Return the one receiver of what concerns one eMSP: its own platform, else the hub it is behind (HUB-87)."""
    platform = _platform_of(snapshot.current(), address, (module, "RECEIVER"))
    return [] if platform is None else [Recipient(platform.id, address, owner)]


def asked(address: Address, module: str) -> KnownPlatform | None:
    """Return the platform on which an eMSP's Sender interface is reached."""
    return _platform_of(snapshot.current(), address, (module, "SENDER"))


def order_key(owner: Address, location_id: str) -> str:
    """Return what keeps a Location, its EVSEs, Sessions and CDRs in order (REL-14)."""
    return f"location {owner} {location_id}"


def path(owner: Address, *segments: str) -> str:
    """Return what follows the receiver's endpoint in the URL of an object of ours."""
    return outbox.path_of(owner.country_code, owner.party_id, *segments)


def _platform_of(registry: Snapshot, address: Address, interface: tuple[str, str]) -> KnownPlatform | None:
    """Return the one platform an eMSP is reached on: its own; else the hub that says it is connected, or was (HUB-87).

    One that no hub names is left to any: what is for it waits there until it is named (HCI-20).
    """
    named = [registry.platform_of(found) for found in registry.at(address, "EMSP")]  # its own platform first
    hubs = [platform for platform in registry.platforms.values() if platform.is_hub]
    direct = [platform for platform in named if not platform.is_hub]
    ready = [platform for platform in [*named, *hubs] if platform.is_hub and not platform.away(address)]
    for platform in _unique([*direct, *ready, *named, *hubs]):
        if platform.state == "REGISTERED" and interface in platform.endpoints:
            return platform
    return None


def _unique(platforms: Iterable[KnownPlatform]) -> list[KnownPlatform]:
    return list({platform.id: platform for platform in platforms}.values())


def _serves(platform: KnownPlatform, module: str) -> bool:
    return platform.state == "REGISTERED" and (module, "RECEIVER") in platform.endpoints
