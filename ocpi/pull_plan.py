"""Which lists this instance should read: who owns what, directly connected or behind a hub (HUB-57, TRN-101)."""

from __future__ import annotations

from collections.abc import Iterator

from ocpi import authentication, ours, pull_table, snapshot
from ocpi.headers import Address
from ocpi.pull_rows import List
from ocpi.pull_table import Pull
from ocpi.snapshot import KnownParty, KnownPlatform


def lists(*, platform_id: int | None = None, module: str | None = None) -> list[List]:
    """Return every list that is to be read, or those of one platform or one module."""
    found: list[List] = []
    for platform in snapshot.current().platforms.values():
        if platform.state != "REGISTERED" or platform_id not in (None, platform.id):
            continue
        for pull in pull_table.table().values():
            if module in (None, pull.module) and (pull.module, "SENDER") in platform.endpoints:
                found += [List(platform.id, pull.module.value, to, sender) for to, sender in _pairs(platform, pull)]
    return found


def owners(platform: KnownPlatform, pull: Pull, to: Address | None, seen: list[Address]) -> tuple[Address, ...]:
    """Return whose objects a list should have held, so that those it did not hold are no longer valid.

    Of a hub these are the parties that it says are connected, and are not connected to us otherwise; a hub that says
    nothing of anybody is taken by what it listed.
    """
    if not platform.is_hub:
        return (to,) if to else ()
    behind = [party for party in _behind(platform, pull) if party.status == "CONNECTED"]
    named = [party.address for party in behind] if _behind(platform, pull) else seen
    registry = snapshot.current()
    direct = {
        address.key for address in named if any(not party.through_hub for party in registry.at(address, *pull.owners))
    }
    return tuple(address for address in named if address.key not in direct)


def _pairs(platform: KnownPlatform, pull: Pull) -> Iterator[tuple[Address | None, Address | None]]:
    """Yield whom a request is for and whom it is from."""
    if not pull.owners:
        if platform.is_hub:
            yield None, None
        return
    senders = ours.addresses(ours.role_for(pull.module, "RECEIVER"))
    if pull.combined:  # everybody's: it does not matter which of us asks
        senders = senders[:1]
    for to in _addressed(platform, pull):
        for sender in senders:
            yield to, sender


def _addressed(platform: KnownPlatform, pull: Pull) -> list[Address]:
    own = [party for party in platform.parties if party.active and not party.through_hub]
    if not platform.is_hub:
        return _once(party for party in own if party.role in pull.owners)
    if pull.combined:
        return _once(party for party in own if party.role == "HUB")[:1]
    return _parties_behind(platform, pull)


def _parties_behind(platform: KnownPlatform, pull: Pull) -> list[Address]:
    """Return whose own lists a hub leads to; while none is known, there is no list yet and nothing fails.

    Those that its ClientInfo calls connected; of a hub that has told us of nobody, the owners of what it has brought.
    """
    behind = _behind(platform, pull)
    if behind or pull.known_from is None:
        return _once(party for party in behind if party.status == "CONNECTED")
    return [each for each in pull.known_from(platform.id) if authentication.acts_for(platform, each, *pull.owners)]


def _behind(platform: KnownPlatform, pull: Pull) -> list[KnownParty]:
    return [party for party in platform.parties if party.active and party.through_hub and party.role in pull.owners]


def _once(parties: Iterator[KnownParty] | list[KnownParty]) -> list[Address]:
    return list({party.address.key: party.address for party in parties}.values())
