"""The credentials handshake as its Sender: invite, register, renew our token, leave (OCPI 2.2.1, Credentials)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from ocpi import client, clock, defects, exchanges, hosts, ours, registration_states, secrets, snapshot, status, targets
from ocpi.enums import Role
from ocpi.headers import Address, Ids, Routing, new_id
from ocpi.models import CredentialsToken, Platform
from ocpi.modules import claims, discovery, registration

log = logging.getLogger(__name__)

# The peer fetches our versions and their details before it answers, ten seconds each.
HANDSHAKE_SECONDS = 30.0
PENDING_LIFE = timedelta(minutes=10)
OVERLAP = timedelta(hours=1)
_LONGEST_URL = 255
Purpose = CredentialsToken.Purpose
Roles = Iterable[tuple[Address, Role]]


class HandshakeFailed(Exception):
    """The other side refused, or cannot be reached; nothing has changed on ours."""


class OutcomeUnknown(HandshakeFailed):
    """The request went out and no answer came: the other side may consider it done."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a partner needs to register with us; the token is shown this once."""

    platform: Platform
    token_a: str
    versions_url: str
    warnings: tuple[str, ...] = ()  # roles that it will not have, and why


def invite(*, name: str, parties: Sequence[tuple[Address, Role]] = (), any_role: bool = False) -> Invitation:
    """Create a platform that may register with us, and its token A (CRED-09).

    :raises HandshakeFailed: if a platform of this name is registered.
    """
    with transaction.atomic():
        platform = _invited(name, parties, any_role)
        CredentialsToken.objects.filter(platform=platform, purpose=Purpose.A).delete()
        expires_at = clock.now() + timedelta(days=settings.OCPI_TOKEN_A_DAYS)
        token_a = claims.new_inbound_token(platform, Purpose.A, expires_at=expires_at)
        claims.announce()
        warnings = tuple(
            f"{holder} acts as {role} for {address} already: {name} can do so only once {holder} has given that up"
            for address, role in parties
            if (holder := claims.holder(platform, address, role))
        )
    return Invitation(platform, token_a, ours.versions_url(), warnings)


def register_with(
    *, name: str, versions_url: str, token_a: str, parties: Roles = (), any_role: bool = False
) -> Platform:
    """Play the whole handshake with a platform that gave us a token A (CRED-24), and return it registered.

    :raises HandshakeFailed: if it does not work out; token A is kept, our token B is not (CRED-28).
    :raises OutcomeUnknown: if their answer to the POST never came; token B is kept for ten minutes (CRED-29).
    """
    if len(versions_url) > _LONGEST_URL:
        raise HandshakeFailed(f"versions URL: is longer than {_LONGEST_URL} characters")
    try:
        host = discovery.host_of(versions_url, field="versions URL")
    except status.InvalidParameters as error:
        raise HandshakeFailed(str(error)) from error
    correlation_id = new_id()
    with transaction.atomic():
        platform = _invited(name, parties, any_role)
        if claims.is_in_force(token_a, platform.pk):
            raise HandshakeFailed("token A is in use already: it is ours, or that of another platform")
        platform.versions_url = versions_url
        platform.token_out = secrets.encrypt(token_a, context=targets.token_context(platform.pk))
        platform.save()
        claims.announce()
    target = targets.under_way(platform, token_a, host)
    with _Handshake(platform):
        found = _discover(target, versions_url, correlation_id, platform.detects_token)
        target = replace(target, base64_token=found.base64_token)
        with transaction.atomic():
            # Accepted before the POST goes out: the peer calls back while it is open (CRED-25).
            CredentialsToken.objects.filter(platform=platform, purpose=Purpose.PENDING).delete()
            token_b = claims.new_inbound_token(platform, Purpose.PENDING, expires_at=clock.now() + PENDING_LIFE)
            claims.announce()
        try:
            theirs = _send(target, "POST", found.credentials_url, token_b, correlation_id)
            with transaction.atomic():
                claims.lock()
                platform = Platform.objects.select_for_update().get(pk=platform.pk)
                tokens = CredentialsToken.objects.filter(platform=platform)
                tokens.exclude(digest=secrets.digest(token_b)).delete()
                tokens.update(purpose=Purpose.CURRENT, expires_at=None)
                claims.connect(
                    platform,
                    token=theirs.token,
                    versions_url=_versions_url(platform, theirs.url, versions_url, host),
                    host=host,
                    found=found,
                    roles=theirs.roles,
                )
                claims.announce()
        except OutcomeUnknown as error:
            Platform.objects.filter(pk=platform.pk).update(last_error=f"Registration unanswered: {error}"[:500])
            raise
        except (HandshakeFailed, status.OcpiError) as error:
            _revoke(platform, token_b)
            raise HandshakeFailed(str(error)) from error
    log.info("registered with platform %s, version %s", platform.pk, found.version)
    return platform


def update_at(platform_id: int) -> None:
    """Send a registered platform our credentials with a new token (CRED-30, CRED-36); it answers with a new one too.

    Both our tokens are accepted meanwhile; the old one ends at the first request with the new one, or after an hour.

    :raises HandshakeFailed: if it refuses; the old token stays in force.
    :raises OutcomeUnknown: if no answer came; both tokens stay until the new one is used.
    """
    platform, target, url = _registered(platform_id)
    with _Handshake(platform):
        with transaction.atomic():
            current = CredentialsToken.objects.filter(platform=platform, purpose=Purpose.CURRENT)
            replaced = list(current.values_list("pk", flat=True))
            current.update(purpose=Purpose.OLD, expires_at=None)
            token = claims.new_inbound_token(platform, Purpose.CURRENT)
            claims.announce()
        try:
            theirs = _send(target, "PUT", url, token, new_id())
            with transaction.atomic():
                claims.lock()
                platform = Platform.objects.select_for_update().get(pk=platform_id)
                if platform.state != registration_states.REGISTERED:
                    raise HandshakeFailed("The platform has unregistered while it was asked")
                claims.take_token(platform, theirs.token)
                platform.save(update_fields=["token_out"])
                old = CredentialsToken.objects.filter(platform=platform, purpose=Purpose.OLD)
                old.filter(expires_at=None).update(expires_at=clock.now() + OVERLAP)
                claims.claim(platform, theirs.roles)
                claims.announce()
        except OutcomeUnknown:
            raise
        except (HandshakeFailed, status.OcpiError) as error:
            _revoke(platform, token, replaced)
            raise HandshakeFailed(str(error)) from error


def unregister_at(platform_id: int) -> None:
    """Tell a platform that we leave, then forget each other's tokens (CRED-40, CRED-43).

    :raises HandshakeFailed: if it cannot be told; then nothing has changed.
    """
    _, target, url = _registered(platform_id)
    answer = _exchange(target, "DELETE", url, None, new_id())
    # 401 and 405 say that we are strangers to it already; some never made a DELETE (QRK-34).
    if answer.http_status in (404, 501):
        defects.note(platform_id, "QRK-34 no DELETE of credentials", f"DELETE {url}")
    elif not answer.ok and answer.http_status not in (401, 405):
        raise HandshakeFailed(_said("DELETE", url, answer))
    registration.unregister(platform_id=platform_id)


class _Handshake:
    """One handshake with a platform at a time."""

    def __init__(self, platform: Platform) -> None:
        self._platform_id = platform.pk

    def __enter__(self) -> None:
        try:
            claims.begin_handshake(self._platform_id)
        except status.GenericClientError as error:
            raise HandshakeFailed(str(error)) from error

    def __exit__(self, *_: object) -> None:
        claims.end_handshake(self._platform_id)


def _invited(name: str, parties: Roles, any_role: bool) -> Platform:
    platform, _ = Platform.objects.select_for_update().get_or_create(name=name)
    if platform.state == registration_states.REGISTERED:
        raise HandshakeFailed(
            f"{name} is registered already; unregister it first (unregister_platform, or on its page)"
        )
    platform.state = registration_states.next_state(platform.state, "invited")
    platform.any_role = any_role
    platform.save()
    claims.approve(platform, parties)
    return platform


def _registered(platform_id: int) -> tuple[Platform, client.Target, str]:
    known = snapshot.current().platforms.get(platform_id)
    url = known.endpoints.get(("credentials", "SENDER")) if known else None
    if known is None or known.state != registration_states.REGISTERED or url is None:
        raise HandshakeFailed("The platform is not registered")
    return Platform.objects.get(pk=platform_id), known.target(), url


def _discover(
    target: client.Target, versions_url: str, correlation_id: str, detects_token: bool
) -> discovery.Discovered:
    try:
        return discovery.discover(
            target, versions_url, version=None, correlation_id=correlation_id, detects_token=detects_token
        )
    except status.OcpiError as error:
        log.error("registration with platform %s stopped before the POST: %s", target.platform_id, error)
        raise HandshakeFailed(str(error)) from error


def _send(target: client.Target, method: str, url: str, token: str, correlation_id: str) -> Any:
    """Send our credentials and return theirs."""
    answer = _exchange(target, method, url, registration.our_credentials(token).encode(), correlation_id)
    if not answer.ok:
        raise HandshakeFailed(_said(method, url, answer))
    try:
        with defects.reading(target.platform_id, f"{method} {url}"):
            return discovery.read_credentials(answer.data_text())
    except (status.OcpiError, ValueError) as error:
        raise HandshakeFailed(f"{method} {url} was answered without Credentials: {error}") from error


def _exchange(target: client.Target, method: str, url: str, body: bytes | None, correlation_id: str) -> client.Answer:
    ids = Ids(new_id(), correlation_id)
    try:
        answer = client.send(target, method, url, body=body, headers=ids.as_headers(), timeout=HANDSHAKE_SECONDS)
    except client.ClientError as error:
        exchanges.record_out(error, platform_id=target.platform_id, module="credentials", routing=Routing())
        unknown = isinstance(error, client.NoAnswer | client.Garbage)
        raise (OutcomeUnknown if unknown else HandshakeFailed)(f"{method} {url}: {error}") from error
    exchanges.record_out(answer, platform_id=target.platform_id, module="credentials", routing=Routing())
    return answer


def _said(method: str, url: str, answer: client.Answer) -> str:
    said = f"HTTP {answer.http_status}, status_code {answer.status_code}"
    return f"{method} {url} was answered with {said}: {answer.status_message or 'no message'}"


def _revoke(platform: Platform, token: str, replaced: Iterable[int] = ()) -> None:
    """Take a token back that did not make it; the one it replaced is in force again, unless its owner has left."""
    with transaction.atomic():
        tokens = CredentialsToken.objects.filter(platform=platform)
        tokens.filter(digest=secrets.digest(token)).delete()
        tokens.filter(pk__in=replaced, purpose=Purpose.OLD).update(purpose=Purpose.CURRENT, expires_at=None)
        claims.announce()


def _versions_url(platform: Platform, theirs: str, given: str, host: str) -> str:
    """Return the versions URL they name, if it is where we may send our token; else the one we were given."""
    try:
        named = discovery.host_of(theirs)
    except status.InvalidParameters:
        named = ""
    if named in {*platform.hosts, host}:
        return theirs
    log.warning("platform %s names a versions URL at a host that is not approved: %s", platform.pk, theirs)
    if named:
        hosts.note(platform.pk, named, f"url of its credentials: {theirs}")
    return given
