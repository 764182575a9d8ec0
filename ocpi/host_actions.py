"""What an operator decides about hosts that platforms have named, and about the TLS of a platform."""

from __future__ import annotations

import logging
from collections.abc import Collection

from django.db import transaction
from django.db.models.functions import Now

from ocpi import audit, snapshot
from ocpi.models import Platform, RequestedHost, TlsSettings

log = logging.getLogger(__name__)


def approve_hosts(ids: Collection[int]) -> int:
    """Let the tokens of these requests' platforms go to these hosts, too; return how many became approved.

    What was refused because of the host is not repeated by itself: the partner names it again.
    """
    approved = 0
    with transaction.atomic():
        for row in RequestedHost.objects.select_for_update().filter(pk__in=ids).order_by("platform_id", "id"):
            platform = Platform.objects.select_for_update().get(pk=row.platform_id)
            if row.host not in platform.hosts:
                platform.hosts = sorted({*platform.hosts, row.host})
                platform.save(update_fields=["hosts"])
            RequestedHost.objects.filter(pk=row.pk).update(decision=RequestedHost.Decision.APPROVED, decided_at=Now())
            approved += 1
            log.warning("host %s of platform %s is approved by an operator", row.host, row.platform_id)
    snapshot.changed()
    return approved


def refuse_hosts(ids: Collection[int]) -> int:
    """Keep tokens from these hosts, also where they were approved before; return how many."""
    refused = 0
    with transaction.atomic():
        for row in RequestedHost.objects.select_for_update().filter(pk__in=ids).order_by("platform_id", "id"):
            platform = Platform.objects.select_for_update().get(pk=row.platform_id)
            if row.host in platform.hosts:
                platform.hosts = [host for host in platform.hosts if host != row.host]
                platform.save(update_fields=["hosts"])
            RequestedHost.objects.filter(pk=row.pk).update(decision=RequestedHost.Decision.REFUSED, decided_at=Now())
            refused += 1
            log.warning("host %s of platform %s is refused by an operator", row.host, row.platform_id)
    snapshot.changed()
    return refused


def set_tls(platform_id: int, *, authorities_pem: str, certificate: str, client_sha256: str = "", actor: str) -> None:
    """Set which authorities a platform's server is checked with, which certificate of ours it gets (SEC-31), and the
    fingerprints of the certificates of which it has to show us one (SEC-65).

    Empty means: the system's, none, and none needed.
    """
    given = {"authorities_pem": authorities_pem, "certificate": certificate, "client_sha256": client_sha256}
    with transaction.atomic():
        if any(given.values()):
            TlsSettings.objects.update_or_create(platform_id=platform_id, defaults=given)
        else:
            TlsSettings.objects.filter(platform_id=platform_id).delete()
        about = str(Platform.objects.get(pk=platform_id))
        audit.record("platform.tls", actor=actor, about=about, details=given)
    log.warning("TLS of platform %s is set by an operator", platform_id)
    snapshot.changed()
