"""When our tokens are renewed: once a month, and at once when one may have been seen by others (CRED-35, CRED-36)."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from ocpi import registration_states
from ocpi.models import ConnectionStatus, CredentialsToken, Platform
from ocpi.modules import claims, initiation

log = logging.getLogger(__name__)

LONGEST_LIFE = timedelta(days=30)


def renew_due(*, older_than: timedelta = LONGEST_LIFE) -> list[int]:
    """Renew the tokens of all connected platforms whose token is older; return those that took the new one."""
    due = CredentialsToken.objects.filter(
        purpose=CredentialsToken.Purpose.CURRENT,
        created_at__lt=timezone.now() - older_than,
        platform__state=registration_states.REGISTERED,
        platform__connection=ConnectionStatus.CONNECTED,
        platform__paused_reason="",
    )
    renewed = []
    for platform_id in due.order_by("created_at").values_list("platform_id", flat=True):
        try:
            initiation.update_at(platform_id)
        except initiation.HandshakeFailed as error:
            log.error("the token of platform %s was not renewed: %s", platform_id, error)
        else:
            renewed.append(platform_id)
    return renewed


def revoke(platform_id: int) -> None:
    """Let none of a platform's tokens in from now on; a following `initiation.update_at` gives it a new one."""
    with transaction.atomic():
        Platform.objects.select_for_update().get(pk=platform_id)
        tokens = CredentialsToken.objects.filter(platform_id=platform_id)
        tokens.exclude(purpose=CredentialsToken.Purpose.TOMBSTONE).delete()
        claims.announce()
    log.warning("all tokens of platform %s are revoked", platform_id)
