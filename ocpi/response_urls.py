"""The response_url of a command or a charging profile: how it comes in a query, and where it may lead."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote

from django.conf import settings

from ocpi import address_guard, hosts, status
from ocpi.snapshot import KnownPlatform

_NAME = "response_url"
_LONGEST = 255
_TRAILING = re.compile(r"&(duration)=([0-9]+)$")


def check(url: str, platform: KnownPlatform) -> None:
    """Refuse a URL that leads anywhere but to the caller's own approved hosts (PIT-64).

    :raises InvalidParameters: naming `response_url`.
    """
    if len(url) > _LONGEST:
        raise status.InvalidParameters(_NAME, f"must be a string of at most {_LONGEST} characters")
    if not is_approved(url, platform):
        raise status.InvalidParameters(_NAME, "must be at a host of the calling platform")


def is_approved(url: str, platform: KnownPlatform) -> bool:
    """Say whether a URL is at a host that is approved for its platform; another one is noted for an admin (SEC-21).

    :raises InvalidParameters: naming `response_url`, if it could never be called (TRN-002, SEC-25).
    """
    try:
        place = address_guard.check_url(
            url, allowed_networks=settings.OCPI_ALLOWED_NETWORKS, tls_required=settings.OCPI_TLS_REQUIRED
        )
    except address_guard.AddressDenied as error:
        raise status.InvalidParameters(_NAME, str(error)) from error
    if place.host in platform.hosts or f"{place.host}:{place.port}" in platform.hosts:
        return True
    hosts.note(platform.id, f"{place.host}:{place.port}", f"{_NAME}: {url}")
    return False


def is_in(query: str) -> bool:
    """Say whether a query has a response_url, however its name is escaped (TRN-024)."""
    parts = [part.partition("=") for part in query.split("&")]
    return any(sign and _is_name(name) for name, sign, _ in parts)


def _is_name(text: str) -> bool:
    return text == _NAME or ("%" in text and unquote(text) == _NAME)


def from_query(query: str) -> tuple[dict[str, str], str]:
    """Return the other parameters of a query and its response_url, "" if it has none.

    One that is not percent-encoded, with a query of its own, reaches to the end (CHP-08, PIT-18); only a duration
    behind it, which no URL of a Sender is known to end with, is taken for ours if there is no other.
    """
    parts = [part.partition("=") for part in query.split("&")]
    spelled = "&".join([f"{_NAME if _is_name(name) else name}{sign}{value}" for name, sign, value in parts])
    head, _, tail = f"&{spelled}".partition(f"&{_NAME}=")
    others = dict(parse_qsl(head, keep_blank_values=True))
    first, _, rest = tail.partition("&")
    if "://" not in first:
        others.update(parse_qsl(rest, keep_blank_values=True))
        return others, dict(parse_qsl(f"{_NAME}={first}")).get(_NAME, "")
    trailing = _TRAILING.search(tail)
    if trailing and trailing[1] not in others:
        others[trailing[1]] = trailing[2]
        tail = tail[: trailing.start()]
    return others, tail
