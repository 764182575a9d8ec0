"""The platforms of FIG-04: one for each kind of evil and each call, so that no failure of one changes another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from django.utils import timezone

from ocpi import secrets, snapshot, targets
from ocpi.headers import Address
from ocpi.models import CredentialsToken, Endpoint, Party, Platform, TlsSettings
from ocpi.snapshot import KnownPlatform

_numbers = count(1)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


@dataclass(frozen=True, slots=True)
class Victim:
    """A platform on an evil server, made for one call."""

    kind: str
    call: str
    platform: Platform
    base: str  # of its URLs, up to where it turns evil
    address: Address

    @property
    def id(self) -> int:
        return self.platform.pk

    @property
    def known(self) -> KnownPlatform:
        return snapshot.current().platforms[self.platform.pk]

    def url(self, module: str, role: str) -> str:
        return f"{self.base}/2.2.1/credentials" if module == "credentials" else f"{self.base}/2.2.1/{role}/{module}"


class World:
    """Makes platforms, in few statements."""

    def __init__(self, ports: Mapping[str, int], authority: str) -> None:
        self.ports, self.authority = ports, authority
        self._rows: list[tuple[Victim, tuple[tuple[str, str], ...], str]] = []

    def add(
        self,
        kind: str,
        call: str,
        *endpoints: tuple[str, str],
        turns: str = "evil",
        state: str = "REGISTERED",
        role: str = "CPO",
        connection: str = "CONNECTED",
    ) -> Victim:
        """Plan a platform; `store` writes it."""
        scheme = "https" if kind.startswith("TLS") else "http"
        host = f"127.0.0.1:{self.ports[kind]}"
        number = next(_numbers)
        party = "".join(_LETTERS[number // 36**place % 36] for place in (2, 1, 0))
        row = Platform(
            name=f"{number}, {kind}, {call}"[:100],
            state=state,
            version="2.2.1" if state == "REGISTERED" else "",
            versions_url=f"{scheme}://{host}/{turns}/versions",
            hosts=[host],
            connection=connection,
            last_heard_at=timezone.now(),
            any_role=True,
        )
        victim = Victim(kind, call, row, f"{scheme}://{host}/{turns}", Address("XE", party))
        self._rows.append((victim, endpoints, role))
        return victim

    def store(self) -> None:
        """Write what was added."""
        victims = [victim for victim, _, _ in self._rows]
        Platform.objects.bulk_create([victim.platform for victim in victims])
        for victim in victims:
            victim.platform.token_out = secrets.encrypt(
                secrets.new_token(), context=targets.token_context(victim.platform.pk)
            )
        Platform.objects.bulk_update([victim.platform for victim in victims], ["token_out"])
        Party.objects.bulk_create(
            Party(
                platform=victim.platform,
                country_code=victim.address.country_code,
                party_id=victim.address.party_id,
                role=role,
                approved=True,
            )
            for victim, _, roles in self._rows
            for role in roles.split(",")
        )
        Endpoint.objects.bulk_create(
            Endpoint(platform=victim.platform, identifier=module, role=role, url=victim.url(module, role.lower()))
            for victim, endpoints, _ in self._rows
            for module, role in endpoints
        )
        TlsSettings.objects.bulk_create(
            TlsSettings(platform=victim.platform, authorities_pem=self.authority)
            for victim in victims
            if victim.kind.startswith("TLS")
        )
        self._rows.clear()
        snapshot.changed()


def show_us(victim: Victim, purpose: str) -> str:
    """Return a token that the platform may show us from now on."""
    token = secrets.new_token()
    CredentialsToken.objects.create(
        platform=victim.platform, digest=secrets.digest(token), purpose=purpose, last_four=token[-4:]
    )
    snapshot.changed()
    return token


def credentials(victim: Victim, roles: Iterable[str] = ("CPO",)) -> dict[str, Any]:
    """Return the Credentials object with which it registers."""
    return {
        "token": secrets.new_token(),
        "url": victim.platform.versions_url,
        "roles": [
            {
                "role": role,
                "country_code": victim.address.country_code,
                "party_id": victim.address.party_id,
                "business_details": {"name": "Evil"},
            }
            for role in roles
        ],
    }
