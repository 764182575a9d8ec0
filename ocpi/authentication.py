"""Credentials token → Platform: who is calling, settled before any view (OCPI 2.2.1, Authorization header)."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import timedelta

from django.core.exceptions import SynchronousOnlyOperation
from django.db.models import Q

from ocpi import clock, secrets, snapshot, status
from ocpi.headers import Address, Getter
from ocpi.models import CredentialsToken, Platform
from ocpi.snapshot import KnownPlatform, Snapshot

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """A platform that has shown a valid token."""

    platform: KnownPlatform
    purpose: str
    token: str  # as shown; GET credentials gives it back (CRED-58)
    deviations: tuple[str, ...] = ()  # what is odd in the header that let it in


CURRENT = frozenset({"CURRENT", "OLD"})
CONFIGURATION = CURRENT | {"A", "PENDING"}


def authenticate(get: Getter, registry: Snapshot, *, purposes: frozenset[str] = CURRENT) -> Caller:
    """Return who is calling.

    :raises AuthenticationFailed: for a missing, malformed or unknown token, and for a token that is not valid for this
        purpose, all alike (TRN-008, TRN-009, TRN-010).
    """
    now = clock.seconds()
    header = get("Authorization")
    decoded = secrets.readings(header, raw_allowed=False)
    for token in secrets.readings(header, raw_allowed=True):
        known = registry.tokens.get(secrets.digest(token))
        if known is None or not known.valid(now):
            continue
        if known.purpose not in purposes:
            if known.purpose == "PENDING":  # the operator should know (CRED-29)
                log.warning("platform %s considers us registered; our registration is open", known.platform_id)
            continue
        platform = registry.platforms.get(known.platform_id)
        # A raw token counts only where the platform's settings say so (TRN-006, PIT-02).
        if platform is not None and (token in decoded or not platform.base64_token or platform.detects_token):
            caller = Caller(platform, known.purpose, token, _deviations(header or "", token, platform, decoded))
            if platform.detects_token and platform.base64_token != (token in decoded):
                _remember_form(platform, base64_token=token in decoded)
            if known.purpose == "CURRENT" and platform.id in registry.overlapping:
                _end_overlap(caller, functional=purposes == CURRENT)
            return caller
    raise status.AuthenticationFailed("The credentials token is missing or unknown")


def _deviations(header: str, token: str, platform: KnownPlatform, decoded: list[str]) -> tuple[str, ...]:
    """Return what is odd in a header that was understood all the same."""
    found = []
    if not header.startswith("Token ") or header.count(" ") != 1:
        found.append("QRK-02 Authorization header")
    if token not in decoded:
        found += ["QRK-01 raw token"] if platform.detects_token else []
    elif token != decoded[0]:
        found.append("PIT-01 token with a line feed")
    return tuple(found)


# When a platform's form was changed, so that one that uses both does not change it at every request.
_remembered: dict[int, float] = {}
_FORM_SECONDS = 60.0


def _remember_form(platform: KnownPlatform, *, base64_token: bool) -> None:
    """Use the form of token towards a platform that it uses towards us (QRK-01)."""
    now = time.monotonic()
    if now < _remembered.get(platform.id, 0.0) + _FORM_SECONDS:
        return
    rows = Platform.objects.filter(pk=platform.id, detects_token=True)
    try:
        if rows.exclude(base64_token=base64_token).update(base64_token=base64_token):
            _remembered[platform.id] = now
            log.warning("platform %s uses %s tokens", platform.id, "Base64" if base64_token else "raw")
            snapshot.changed()
    except SynchronousOnlyOperation:  # in an event loop; the next request on a thread does it
        return


def _end_overlap(caller: Caller, *, functional: bool) -> None:
    """End the tokens that our own PUT on credentials replaced, now that the new one is in use (CRED-37).

    While that PUT is open (they have no end yet), the peer's callback to our versions does not count as use.
    """
    now = clock.now()
    ended = Q(expires_at__gt=now + timedelta(seconds=snapshot.RECEIVED_OVERLAP_SECONDS))
    if functional:
        ended |= Q(expires_at=None)
    replaced = CredentialsToken.objects.filter(ended, platform_id=caller.platform.id, purpose="OLD")
    try:
        if replaced.update(expires_at=now):
            snapshot.changed()
    except SynchronousOnlyOperation:  # in an event loop; the next request on a thread does it
        return


def acts_for(platform: KnownPlatform, address: Address, *roles: str) -> bool:
    """Say whether a platform may act for an address in one of these roles: its own, or one its ClientInfo names.

    A hub without HubClientInfo may act for everybody not connected elsewhere, where an operator lets it (PIT-78).
    """
    if platform.has_party(address, *roles):
        return True
    if not platform.leads_to_unnamed:
        return False
    return all(party.platform_id == platform.id for party in snapshot.current().at(address))


def behind(platform: KnownPlatform, sender: Address | None) -> Address | None:
    """Return the party behind a hub that a request comes from; None if the platform speaks for itself."""
    if sender is None or not platform.is_hub or platform.has_party(sender, "HUB"):
        return None
    return sender


def check_sender(caller: Caller, sender: Address | None) -> None:
    """Refuse a From that is not a party of the caller (HUB-10, SEC-34).

    :raises InvalidParameters: if the caller may not speak for this party.
    """
    if sender is not None and not acts_for(caller.platform, sender):
        raise status.InvalidParameters("OCPI-from-party-id", f"{sender} is not a party of the calling platform")
