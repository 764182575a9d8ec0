"""The connected platforms in memory: token → platform, address → party, platform → endpoints.

The forwarding path and every authentication read this and no table. A snapshot is immutable; it is replaced when a
registry table changed: triggers NOTIFY `ocpi_registry`, one listening thread per process marks the snapshot stale
within milliseconds (SEC-07), and code in this process that changes a registry row calls `changed()`. While the thread
has no connection, nothing in memory is trusted for longer than a second.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from django.conf import settings

from ocpi import client, clock, db_care, ours, targets
from ocpi.headers import Address
from ocpi.models import CredentialsToken, Endpoint, Party, Platform, TlsSettings

log = logging.getLogger(__name__)

CHANNEL = "ocpi_registry"
# How long a caller's old token lives on after its PUT on credentials (CRED-37).
RECEIVED_OVERLAP_SECONDS = 60.0
_RECONNECT_SECONDS = 1.0
_DEAF_SECONDS = 1.0
# A connection whose other end is gone without a word is found out in ten seconds.
_KEEP_ALIVE: dict[str, Any] = {"keepalives_idle": 4, "keepalives_interval": 2, "keepalives_count": 3}


@dataclass(frozen=True, slots=True)
class KnownParty:
    """A role at an address, as the registry knows it."""

    address: Address
    role: str
    platform_id: int
    approved: bool
    claimed: bool
    through_hub: bool
    status: str
    business_details: Mapping[str, object]
    # A hub names it, and it is connected itself: then it alone speaks for itself (CRED-53, SEC-35).
    direct_elsewhere: bool = False

    @property
    def active(self) -> bool:
        return self.approved and self.claimed


@dataclass(frozen=True, slots=True)
class KnownPlatform:
    """A platform with all that is needed to let it in and to call it."""

    id: int
    name: str
    state: str
    connection: str
    version: str
    base64_token: bool
    sealed_token: str
    hosts: frozenset[str]
    paused: bool
    catch_up: str
    parties: tuple[KnownParty, ...]
    endpoints: Mapping[tuple[str, str], str]
    # What an operator may choose about its habits (QRK-01, QRK-10, PIT-37).
    detects_token: bool = False
    late_authorization: str = "whitelist"
    authorize_seconds: int | None = None
    longest_address: int = 255
    # What its TLS is checked with and gets, beyond the usual (SEC-31).
    authorities_pem: str = field(default="", repr=False)
    certificate: str = ""
    client_certificates: tuple[str, ...] = ()  # fingerprints, one of which it has to show (SEC-65)
    # What an operator may choose about a hub (HUB-80, PIT-78).
    offers_clients: bool = False
    speaks_for_all: bool = False

    @property
    def is_hub(self) -> bool:
        return any(party.role == "HUB" and party.active and not party.through_hub for party in self.parties)

    @property
    def reachable(self) -> bool:
        return self.state == "REGISTERED" and self.connection == "CONNECTED" and not self.paused

    @property
    def leads_to_unnamed(self) -> bool:
        """Say whether it is a hub without HubClientInfo that an operator lets stand for everybody behind it (PIT-78).

        One that has named anybody is taken at its word.
        """
        return self.speaks_for_all and self.is_hub and not any(party.through_hub for party in self.parties)

    def has_party(self, address: Address, *roles: str) -> bool:
        """Say whether this platform may act for an address (in one of these roles, if any is named)."""
        found = self.roles_of(address)
        return bool(found.intersection(roles) if roles else found)

    def roles_of(self, address: Address) -> frozenset[str]:
        """Return the roles in which this platform may act for an address."""
        return frozenset(
            party.role
            for party in self.parties
            if party.active and not party.direct_elsewhere and party.address.key == address.key
        )

    def away(self, address: Address) -> str:
        """Return what keeps requests from a party behind this hub: its status, or UNNAMED; "" if they may go (HCI-20).

        Of its own parties, and of anybody on a platform that is no hub, the connection of the platform says enough.
        """
        behind: set[str] = set()
        for party in self.parties:
            if party.active and party.address.key == address.key:
                if not party.through_hub:
                    return ""
                behind.add(party.status)
        if not behind:
            return "UNNAMED" if self.is_hub and not self.leads_to_unnamed else ""
        return next((status for status in ("", "OFFLINE", "PLANNED") if (status or "CONNECTED") in behind), "SUSPENDED")

    def target(self) -> client.Target:
        """Return what the client needs to call this platform."""
        return targets.opened(
            self.id, self.name, self.sealed_token, self.base64_token, self.hosts, self.authorities_pem,
            targets.certificate_file(self.certificate),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class KnownToken:
    platform_id: int
    purpose: str
    expires_at: float | None  # seconds since the epoch
    last_four: str = ""

    def valid(self, now: float) -> bool:
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of the registry at one moment."""

    platforms: Mapping[int, KnownPlatform] = field(default_factory=dict)
    tokens: Mapping[str, KnownToken] = field(default_factory=dict)
    # Platforms that may still use a token which our own PUT on credentials replaced (CRED-37).
    overlapping: frozenset[int] = frozenset()
    # Every party at an address, active or not, by (country_code, party_id) in upper case.
    parties: Mapping[tuple[str, str], tuple[KnownParty, ...]] = field(default_factory=dict)
    # What others read together with the registry, by the name they gave to `also_load`.
    extras: Mapping[str, object] = field(default_factory=dict)

    def at(self, address: Address, *roles: str) -> tuple[KnownParty, ...]:
        """Return the active parties at an address, those of the platform itself before those known through a hub."""
        found = [
            party for party in self.parties.get(address.key, ()) if party.active and (not roles or party.role in roles)
        ]
        return tuple(sorted(found, key=lambda party: party.through_hub))

    def platform_of(self, party: KnownParty) -> KnownPlatform:
        return self.platforms[party.platform_id]


_lock = threading.Lock()
_loaders: dict[str, Callable[[], object]] = {}
_others: dict[str, Callable[[str], None]] = {}  # by channel
_current: Snapshot | None = None
_generation = 0
_listener_pid: int | None = None
_deaf_since: float | None = None  # since when no change is announced to this process, on time.monotonic


def current() -> Snapshot:
    """Return the registry as it is now, from memory if nothing changed."""
    global _current, _deaf_since
    if _is_too_old():
        _deaf_since = time.monotonic()
        changed()
    snapshot = _current
    if snapshot is not None and _listener_pid == os.getpid():
        return snapshot
    with _lock:
        _listen()
        if _current is None:
            generation = _generation
            loaded = load()
            if generation == _generation:
                _current = loaded
            return loaded
        return _current


def _is_too_old() -> bool:
    """Say whether changes may have been missed for longer than may be."""
    deaf_since = _deaf_since  # another thread may have it set back in between
    return deaf_since is not None and time.monotonic() > deaf_since + _DEAF_SECONDS


def at_hand() -> Snapshot | None:
    """Return the registry if it is in memory as it is now; reads nothing, for those who must not wait."""
    return _current if _listener_pid == os.getpid() and not _is_too_old() else None


def changed() -> None:
    """Forget the snapshot: a registry row was changed in this process, or a NOTIFY said so."""
    global _current, _generation
    _generation += 1
    _current = None


def also_load(name: str, loader: Callable[[], object]) -> None:
    """Have something read with every snapshot, into `extras` (docs/adr/0013).

    Its tables need a trigger that calls the function `ocpi_registry_changed`.
    """
    _loaders[name] = loader


def also_hear(channel: str, heard: Callable[[str], None]) -> None:
    """Have something called with what is announced on another channel; with "" when something may have been missed."""
    _others[channel] = heard


def hears() -> bool:
    """Say whether what is announced reaches this process, so that what it knows may be remembered."""
    listens: bool = ours.known_settings().OCPI_SNAPSHOT_LISTEN
    return listens and _deaf_since is None and _listener_pid == os.getpid()


def load() -> Snapshot:
    """Read the registry: five queries, whatever the number of platforms, and what was added with `also_load`."""
    parties_of: dict[int, list[KnownParty]] = defaultdict(list)
    by_address: dict[tuple[str, str], list[KnownParty]] = defaultdict(list)
    platforms, rows = list(Platform.objects.all()), list(Party.objects.order_by("id"))
    registered = {platform.id for platform in platforms if platform.state == "REGISTERED"}
    direct = {
        (row.country_code.upper(), row.party_id.upper(), row.role)
        for row in rows
        if row.approved and row.claimed and not row.through_hub and row.platform_id in registered
    }
    for row in rows:
        party = KnownParty(
            address=Address(row.country_code, row.party_id),
            role=row.role,
            platform_id=row.platform_id,
            approved=row.approved,
            claimed=row.claimed,
            through_hub=row.through_hub,
            status=row.status,
            business_details=row.business_details,
            direct_elsewhere=row.through_hub and (row.country_code.upper(), row.party_id.upper(), row.role) in direct,
        )
        parties_of[row.platform_id].append(party)
        by_address[party.address.key].append(party)
    endpoints: dict[int, dict[tuple[str, str], str]] = defaultdict(dict)
    for endpoint in Endpoint.objects.all():
        endpoints[endpoint.platform_id][(endpoint.identifier, endpoint.role)] = endpoint.url
    tokens = {
        row.digest: KnownToken(
            row.platform_id, row.purpose, row.expires_at.timestamp() if row.expires_at else None, row.last_four
        )
        for row in CredentialsToken.objects.all()
    }
    tls = {row.platform_id: row for row in TlsSettings.objects.all()}
    until = clock.seconds() + RECEIVED_OVERLAP_SECONDS
    return Snapshot(
        platforms={
            row.id: _known(row, tuple(parties_of[row.id]), endpoints[row.id], tls.get(row.id)) for row in platforms
        },
        tokens=tokens,
        overlapping=frozenset(
            token.platform_id for token in tokens.values() if token.purpose == "OLD" and token.valid(until)
        ),
        parties={key: tuple(found) for key, found in by_address.items()},
        extras={name: loader() for name, loader in _loaders.items()},
    )


def _known(
    row: Platform, parties: tuple[KnownParty, ...], endpoints: Mapping[tuple[str, str], str], tls: TlsSettings | None
) -> KnownPlatform:
    return KnownPlatform(
        id=row.id,
        name=row.name,
        state=row.state,
        connection=row.connection,
        version=row.version,
        base64_token=row.base64_token,
        sealed_token=row.token_out,
        hosts=frozenset(row.hosts),
        paused=bool(row.paused_reason),
        catch_up=row.catch_up,
        parties=parties,
        endpoints=endpoints,
        detects_token=row.detects_token,
        late_authorization=row.late_authorization,
        authorize_seconds=row.authorize_seconds,
        longest_address=row.longest_address,
        authorities_pem=tls.authorities_pem if tls else "",
        certificate=tls.certificate if tls else "",
        client_certificates=tuple(tls.client_sha256.split()) if tls else (),
        offers_clients=row.offers_clients,
        speaks_for_all=row.speaks_for_all,
    )


def _listen() -> None:
    """Start the listening thread of this process, once; a fork starts its own."""
    global _listener_pid, _current, _deaf_since
    if _listener_pid == os.getpid():
        return
    _listener_pid = os.getpid()
    _current = None
    _deaf_since = time.monotonic() if settings.OCPI_SNAPSHOT_LISTEN else None
    if settings.OCPI_SNAPSHOT_LISTEN:
        threading.Thread(target=_listen_forever, name="registry-listener", daemon=True).start()


def _listen_forever() -> None:
    global _deaf_since
    parameters = db_care.own_parameters(**_KEEP_ALIVE)
    while True:
        try:
            with psycopg.connect(autocommit=True, **parameters) as listening:
                for channel in (*_others, CHANNEL):
                    listening.execute(f"LISTEN {channel}")
                _missed()  # what happened before we listened
                _deaf_since = None
                while True:
                    clock.measure(listening)
                    for notice in listening.notifies(timeout=clock.MEASURED_EVERY):
                        if notice.channel == CHANNEL:
                            changed()
                        else:
                            _others[notice.channel](notice.payload)
        except psycopg.Error:
            # Without the channel nothing in memory can be trusted for long.
            _deaf_since = time.monotonic()
            _missed()
            log.warning("registry listener lost its connection, trying again")
            time.sleep(_RECONNECT_SECONDS)


def _missed() -> None:
    changed()
    for heard in _others.values():
        heard("")
