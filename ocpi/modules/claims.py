"""What a platform's credentials say, written to the registry: token, endpoints, roles. Callers hold a transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from ocpi import defects, ours, pull_rows, registration_states, secrets, snapshot, status, targets
from ocpi.enums import Role
from ocpi.headers import Address
from ocpi.models import ConnectionStatus, CredentialsToken, Endpoint, Party, Platform
from ocpi.modules.discovery import Discovered

log = logging.getLogger(__name__)

HANDSHAKE_LIMIT = timedelta(seconds=60)
_SHORT_TOKEN = 16
Purpose = CredentialsToken.Purpose


def begin_handshake(platform_id: int) -> None:
    """Claim the platform for one handshake.

    :raises GenericClientError: if another one is running (CRED-21).
    """
    now = timezone.now()
    free = Platform.objects.filter(Q(handshake_until=None) | Q(handshake_until__lt=now), pk=platform_id)
    if not free.update(handshake_until=now + HANDSHAKE_LIMIT):
        raise status.GenericClientError("Another registration or update of this platform is running")


def end_handshake(platform_id: int) -> None:
    Platform.objects.filter(pk=platform_id).update(handshake_until=None)


def lock() -> None:
    """Wait, until the end of the caller's transaction, for whoever writes what platforms claim.

    Two that claim one party or bring one token at the same moment must see each other. Taken before any row is: others
    hold it while they wait for rows.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('ocpi_party'))")


def announce() -> None:
    """Make a change of the registry known in this process, now and when it is committed."""
    snapshot.changed()
    transaction.on_commit(snapshot.changed)


def new_inbound_token(platform: Platform, purpose: str, *, expires_at: datetime | None = None) -> str:
    """Create a token the platform may show us; only its digest is kept."""
    token = secrets.new_token()
    CredentialsToken.objects.create(
        platform=platform,
        digest=secrets.digest(token),
        purpose=purpose,
        last_four=token[-4:],
        expires_at=expires_at,
    )
    return token


def check_token(token: str, platform_id: int) -> None:
    """Refuse a token for our calls that is somebody's already (TRN-007, SEC-06).

    :raises InvalidParameters: if a platform shows it to us, or we show it to another platform.
    """
    if _is_shown_to_us(token) or _is_used_towards(Platform.objects.exclude(pk=platform_id), token):
        raise status.InvalidParameters("token", "is in use already")
    if len(token) < _SHORT_TOKEN:
        log.warning("platform %s gave us a token of only %s characters", platform_id, len(token))
        defects.note(platform_id, f"SEC-06 token under {_SHORT_TOKEN} characters", "credentials")


def is_in_force(token: str, platform_id: int) -> bool:
    """Say whether a token A that a partner gave us is one of ours, or what we show another registered platform."""
    registered = Platform.objects.filter(state=registration_states.REGISTERED)
    return _is_shown_to_us(token) or _is_used_towards(registered.exclude(pk=platform_id), token)


def _is_shown_to_us(token: str) -> bool:
    return CredentialsToken.objects.filter(digest=secrets.digest(token)).exists()


def _is_used_towards(platforms: QuerySet[Platform], token: str) -> bool:
    sealed = platforms.exclude(token_out="").values_list("pk", "token_out")
    return any(_opened(text, pk) == token for pk, text in sealed)


def _opened(sealed: str, platform_id: int) -> str | None:
    try:
        return secrets.decrypt(sealed, context=targets.token_context(platform_id))
    except secrets.Unsealable:  # its key is gone: nobody can use it, so nobody shares it
        return None


def take_token(platform: Platform, token: str) -> None:
    """Set the token that we use towards a platform; the caller holds `lock` and saves.

    It is looked at once more: another platform may have brought the same one since.

    :raises InvalidParameters: as `check_token`.
    """
    check_token(token, platform.pk)
    platform.token_out = secrets.encrypt(token, context=targets.token_context(platform.pk))


def connect(platform: Platform, *, token: str, versions_url: str, host: str, found: Discovered, roles: Any) -> None:
    """Write all that a successful handshake brings; endpoints and roles are replaced as a whole (CRED-39).

    The caller holds `lock`.

    :raises InvalidParameters: if the token is somebody's by now.
    """
    is_new = platform.state != registration_states.REGISTERED
    platform.state = registration_states.next_state(platform.state, "registered")
    platform.version = found.version
    platform.versions_url = versions_url
    take_token(platform, token)
    platform.base64_token = found.base64_token
    platform.hosts = sorted({*platform.hosts, host})
    platform.connection = ConnectionStatus.CONNECTED
    platform.paused_reason = platform.last_error = ""
    platform.failures, platform.failing_since, platform.backoff_until, platform.offline_since = 0, None, None, None
    platform.last_heard_at = timezone.now()
    platform.save()
    Endpoint.objects.filter(platform=platform).delete()
    Endpoint.objects.bulk_create(
        Endpoint(platform=platform, identifier=identifier, role=role, url=url)
        for (identifier, role), url in found.endpoints.items()
    )
    claim(platform, roles)
    if is_new:
        pull_rows.start_anew(platform.pk)


def disconnect(platform: Platform) -> None:
    """End a registration: both tokens are invalid, what was stored stays (CRED-40, CRED-43)."""
    platform.state = registration_states.next_state(platform.state, "unregistered")
    platform.token_out = ""
    platform.connection = ConnectionStatus.OFFLINE
    platform.save()
    tokens = CredentialsToken.objects.filter(platform=platform)
    tokens.filter(purpose__in=(Purpose.A, Purpose.PENDING)).delete()
    # Kept so that their owner gets 405 instead of 401 on PUT and DELETE (CRED-34, CRED-42).
    tokens.update(purpose=Purpose.TOMBSTONE, expires_at=None)
    Endpoint.objects.filter(platform=platform).delete()


def approve(platform: Platform, parties: Iterable[tuple[Address, Role]]) -> None:
    """Allow a platform to act in these roles, whether it claims them yet or not."""
    for address, role in parties:
        known = _find(platform, address, role)
        if known is None:
            Party.objects.create(
                platform=platform,
                country_code=address.country_code,
                party_id=address.party_id,
                role=role,
                approved=True,
                claimed=False,
            )
        elif not known.claimed:
            Party.objects.filter(pk=known.pk).update(approved=True)


def claim(platform: Platform, roles: Any) -> None:
    """Bring the parties of a platform in line with the roles of its credentials (CRED-51, CRED-56, CRED-57).

    The caller holds `lock`.
    """
    connected = Party.objects.filter(platform=platform, through_hub=False, claimed=True).exists()
    kept: list[int] = []
    for entry in roles:
        address, role = Address(entry.country_code, entry.party_id), Role(entry.role)
        known = _find(platform, address, role) or Party(
            platform=platform, country_code=entry.country_code, party_id=entry.party_id, role=role, approved=False
        )
        if known._state.adding and connected:
            defects.note(platform.pk, "QRK-34 role added")
        known.approved = (known.approved and not known.through_hub) or platform.any_role
        known.claimed, known.through_hub = True, False
        known.business_details = msgspec.to_builtins(entry.business_details)
        known.last_updated = timezone.now()
        if holder(platform, address, role):
            known.approved = False
            log.error("platform %s claims %s as %s, which is active elsewhere", platform.pk, address, role)
        elif not known.approved:
            log.warning("platform %s claims %s as %s: approval is pending", platform.pk, address, role)
        known.save()
        kept.append(known.pk)
    left = Party.objects.filter(platform=platform, through_hub=False, claimed=True).exclude(pk__in=kept)
    if left.update(claimed=False):
        defects.note(platform.pk, "QRK-34 role dropped")


def _find(platform: Platform, address: Address, role: Role) -> Party | None:
    return Party.objects.filter(
        platform=platform,
        role=role,
        country_code__iexact=address.country_code,
        party_id__iexact=address.party_id,
    ).first()


def holder(platform: Platform, address: Address, role: Role) -> str:
    """Return who else acts in a role here: the name of a platform, "this instance", or nothing."""
    if any(party.address.key == address.key and party.role == role for party in ours.parties()):
        return "this instance"
    others = Party.objects.filter(
        role=role,
        country_code__iexact=address.country_code,
        party_id__iexact=address.party_id,
        approved=True,
        claimed=True,
        through_hub=False,
    )
    found = others.exclude(platform=platform).select_related("platform").first()
    return str(found.platform.name) if found else ""
