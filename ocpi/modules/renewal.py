"""When our tokens are renewed: once in OCPI_TOKEN_DAYS, and at once when one may have been seen (CRED-35, CRED-36)."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.db import transaction

from ocpi import clock, registration_states
from ocpi.models import ConnectionStatus, CredentialsToken, Platform
from ocpi.modules import claims, initiation

log = logging.getLogger(__name__)


def due() -> list[int]:
    """Return the connected platforms whose token is older than OCPI_TOKEN_DAYS, the oldest first (SEC-07)."""
    rows = CredentialsToken.objects.filter(
        purpose=CredentialsToken.Purpose.CURRENT,
        created_at__lt=clock.now() - timedelta(days=settings.OCPI_TOKEN_DAYS),
        platform__state=registration_states.REGISTERED,
        platform__connection=ConnectionStatus.CONNECTED,
        platform__paused_reason="",
    )
    return list(rows.order_by("created_at").values_list("platform_id", flat=True))


def renew(platform_id: int) -> bool:
    """Renew the token of one platform; say whether it took the new one. What it does not take stays in force."""
    try:
        initiation.update_at(platform_id)
    except initiation.HandshakeFailed as error:
        log.error("the token of platform %s was not renewed: %s", platform_id, error)
        return False
    return True


def revoke(platform_id: int) -> None:
    """Let none of a platform's tokens in from now on; a following `initiation.update_at` gives it a new one."""
    with transaction.atomic():
        Platform.objects.select_for_update().get(pk=platform_id)
        tokens = CredentialsToken.objects.filter(platform_id=platform_id)
        tokens.exclude(purpose=CredentialsToken.Purpose.TOMBSTONE).delete()
        claims.announce()
    log.warning("all tokens of platform %s are revoked", platform_id)
