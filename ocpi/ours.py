"""Who we are: the sides this instance serves, its parties and its addresses, from the settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings

from ocpi.enums import Role
from ocpi.headers import Address

# What the lazy wrapper holds, one dictionary for good; to ask the wrapper itself costs half a microsecond each time.
_OF_WRAPPER: dict[str, Any] = object.__getattribute__(settings, "__dict__")

# Which of our roles implements an interface of a functional module (requirements, section 15).
_OWNER_SENDS = frozenset({"locations", "sessions", "cdrs", "tariffs"})


@dataclass(frozen=True, slots=True)
class OurParty:
    address: Address
    role: Role


def parties() -> tuple[OurParty, ...]:
    """Return the parties of this instance, in the order of OCPI_PARTIES."""
    return _parties(tuple(known_settings().OCPI_PARTIES))


def addresses(*roles: Role) -> tuple[Address, ...]:
    """Return our addresses in these roles (all roles if none is named), each once."""
    return tuple(dict.fromkeys(party.address for party in parties() if not roles or party.role in roles))


def role_for(module: str, interface: str) -> Role:
    """Return the role that implements this interface on our side: CPO sends Locations, eMSP receives them …"""
    if "hub" in settings.OCPI_SIDES:
        return Role.HUB
    return Role.CPO if (module in _OWNER_SENDS) == (interface == "SENDER") else Role.EMSP


def known_settings() -> Any:
    """Return the settings past Django's lazy wrapper, which costs a hub's hot path a microsecond for each of them."""
    return _OF_WRAPPER["_wrapped"]


def versions_url() -> str:
    """Return the URL every partner starts from (VER-04, VER-23: from a setting, never from the Host header)."""
    return f"{settings.OCPI_BASE_URL}/ocpi/versions"


@lru_cache(maxsize=8)
def _parties(texts: tuple[str, ...]) -> tuple[OurParty, ...]:
    found = []
    for text in texts:
        address, _, role = text.partition(":")
        country_code, _, party_id = address.partition("*")
        found.append(OurParty(Address(country_code, party_id), Role(role)))
    return tuple(found)
