"""Answer GET /metrics on the port of charge points: to whoever has the token, or is on this network (SEC-57)."""

from __future__ import annotations

import hmac
import ipaddress
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Protocol

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from websockets.datastructures import Headers

from cpo.gateway.store import Record
from cpo.gateway.watch import Kind, Watch

MOST_CLOCKS = 1_000  # charge points named, those furthest off first
CONTENT_TYPE = CONTENT_TYPE_LATEST
_FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP")


class Held(Protocol):
    """A connection, as far as it is counted."""

    record: Record
    version: str


def may_read(headers: Headers, peer: str, token: str) -> bool:
    """Say whether somebody may have the numbers; behind a proxy everybody seems to come from next door."""
    if token:
        shown = headers.get_all("Authorization")
        return any(hmac.compare_digest(each.encode(), f"Bearer {token}".encode()) for each in shown)
    if any(name in headers for name in _FORWARDED):
        return False
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    return address.is_loopback or address.is_private


def text(watch: Watch, held: Iterable[Held], *, queued: int, dropped_frames: int, draining: bool) -> bytes:
    """Return the numbers of a node in Prometheus' text format."""
    kinds: Counter[Kind] = Counter()
    offsets: dict[str, float] = {}
    for connection in held:
        record = connection.record
        kinds[Kind(connection.version, record.tenant, record.security_profile)] += 1
        ahead = watch.clocks.ahead(record.id)
        if ahead is not None:
            offsets[record.identity] = ahead
    if len(offsets) > MOST_CLOCKS:
        worst = sorted(offsets, key=lambda identity: -abs(offsets[identity]))[:MOST_CLOCKS]
        offsets = {identity: offsets[identity] for identity in worst}

    class Numbers(Collector):
        def collect(self) -> Iterator[Metric]:
            return watch.metrics(kinds, offsets, queued=queued, dropped_frames=dropped_frames, draining=draining)

    return generate_latest(Numbers())
