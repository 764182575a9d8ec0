"""The credentials handshake as its Receiver: register, update, unregister (OCPI 2.2.1, Credentials).

The callback GETs run before anything is written and outside of any transaction; what they brought is then stored at
once, or not at all. Our own handshakes with others are in `initiation.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from ocpi import (
    clock,
    defects,
    documents,
    endpoints,
    ours,
    registration_states,
    secrets,
    snapshot,
    status,
    targets,
    version_numbers,
)
from ocpi.enums import ModuleID
from ocpi.models import CredentialsToken, Platform, RequestedHost
from ocpi.modules import claims, discovery

log = logging.getLogger(__name__)

# A caller's old token lives on for a little after its PUT, should our answer be lost on the way (CRED-37).
OLD_TOKEN_LIFE = timedelta(seconds=snapshot.RECEIVED_OVERLAP_SECONDS)
Purpose = CredentialsToken.Purpose


def our_credentials(token: str) -> str:
    """Return the Credentials object that gives `token` to somebody for calls to us."""
    roles = [
        {
            "role": party.role.value,
            "business_details": {"name": settings.OCPI_BUSINESS_NAME},
            "party_id": party.address.party_id,
            "country_code": party.address.country_code,
        }
        for party in ours.parties()
    ]
    return documents.text({"token": token, "url": ours.versions_url(), "roles": roles})


def register(*, platform_id: int, token_a: str, body: bytes, correlation_id: str) -> str:
    """Register an invited platform with the credentials in `body`; return ours, with a new token C.

    :raises OcpiError: 2000, 2001, 3001, 3002 or 3003; then nothing of it is kept and token A stays valid.
    """

    def finish(platform: Platform) -> None:
        used = CredentialsToken.objects.filter(
            platform=platform, digest=secrets.digest(token_a), purpose=Purpose.A
        ).delete()[0]
        if not used:  # spent or replaced while we were calling back
            raise status.AuthenticationFailed()
        # Tombstones of an earlier registration and token B of an open one of ours mean nothing any more.
        CredentialsToken.objects.filter(platform=platform).delete()

    return _take_in(
        platform_id, body, correlation_id, expected=registration_states.INVITED, approve_host=True, finish=finish
    )


def update(*, platform_id: int, token: str, body: bytes, correlation_id: str) -> str:
    """Replace a platform's credentials and fetch its endpoints again; return ours, with a new token (CRED-30).

    :param token: the one that the platform has shown us.
    :raises OcpiError: 2000, 2001, 3001, 3002 or 3003; then everything stays as it was (CRED-38).
    """

    def finish(platform: Platform) -> None:
        now = clock.now()
        tokens = CredentialsToken.objects.filter(platform=platform)
        # Who was let in by a token that an operator has revoked meanwhile gets no new one for it (SEC-07).
        if not tokens.filter(digest=secrets.digest(token), purpose__in=(Purpose.CURRENT, Purpose.OLD)).exists():
            raise status.AuthenticationFailed()
        tokens.filter(expires_at__lte=now).delete()
        tokens.filter(purpose=Purpose.CURRENT).update(purpose=Purpose.OLD, expires_at=now + OLD_TOKEN_LIFE)

    return _take_in(
        platform_id, body, correlation_id, expected=registration_states.REGISTERED, approve_host=False, finish=finish
    )


def unregister(*, platform_id: int) -> None:
    """End the registration of a platform (CRED-40 to CRED-43)."""
    with transaction.atomic():
        platform = Platform.objects.select_for_update().get(pk=platform_id)
        if platform.state == registration_states.REGISTERED:
            claims.disconnect(platform)
            claims.announce()
    log.info("platform %s has unregistered", platform_id)


def _take_in(
    platform_id: int,
    body: bytes,
    correlation_id: str,
    *,
    expected: str,
    approve_host: bool,
    finish: Callable[[Platform], None],
) -> str:
    schema = version_numbers.schema(endpoints.VERSION, ModuleID.credentials)
    theirs: Any = schema.check(defects.taken(schema.check_leniently(body, "Credentials")), "Credentials")
    host = discovery.host_of(theirs.url)
    claims.begin_handshake(platform_id)
    try:
        platform = Platform.objects.get(pk=platform_id)
        claims.check_token(theirs.token, platform_id)
        refused = RequestedHost.objects.filter(platform=platform, host=host, decision=RequestedHost.Decision.REFUSED)
        approved = [host] if approve_host and not refused.exists() else []
        target = targets.under_way(platform, theirs.token, *approved)
        found = discovery.discover(
            target,
            theirs.url,
            version=endpoints.VERSION,
            correlation_id=correlation_id,
            detects_token=platform.detects_token,
        )
        with transaction.atomic():
            claims.lock()
            platform = Platform.objects.select_for_update().get(pk=platform_id)
            if platform.state != expected:  # unregistered or registered while we were calling back
                raise status.GenericClientError(f"The platform is {platform.state.lower()} by now")
            finish(platform)
            claims.connect(
                platform, token=theirs.token, versions_url=theirs.url, host=host, found=found, roles=theirs.roles
            )
            answer = our_credentials(claims.new_inbound_token(platform, Purpose.CURRENT))
            claims.announce()
    finally:
        claims.end_handshake(platform_id)
    log.info("platform %s: credentials accepted, version %s", platform_id, found.version)
    return answer
