"""What an operator may do with a platform: suspend it, let it go on, approve the parties it speaks for."""

from __future__ import annotations

import logging
from collections.abc import Collection

from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from ocpi import audit, health, ours, registration_states, snapshot
from ocpi.headers import Address
from ocpi.models import ConnectionStatus, Party, Platform

log = logging.getLogger(__name__)


def suspend(platform_id: int) -> bool:
    """Send nothing more to a platform until `resume`; of its state pushes only marks stay. Say whether it was so."""
    with transaction.atomic(), connection.cursor() as cursor:
        suspended = bool(
            Platform.objects.filter(pk=platform_id, state=registration_states.REGISTERED)
            .exclude(connection=ConnectionStatus.SUSPENDED)
            .update(connection=ConnectionStatus.SUSPENDED, offline_since=Now())
        )
        if suspended:
            cursor.execute(
                "UPDATE ocpi_delivery SET state = 'MARKED', fields = NULL, attempts = 0 "
                "WHERE platform_id = %s AND state = 'PENDING' AND kind = 'STATE'",
                [platform_id],
            )
    if suspended:
        log.warning("platform %s is SUSPENDED by an operator", platform_id)
        snapshot.changed()
    return suspended


def resume(platform_id: int) -> bool:
    """Let a SUSPENDED, OFFLINE or paused platform go on, pulling first; say whether it is registered at all."""
    with transaction.atomic():
        platforms = Platform.objects.filter(pk=platform_id, state=registration_states.REGISTERED)
        if not platforms.exists():
            return False
        # From here on it is a platform that was away and is back.
        platforms.filter(connection=ConnectionStatus.SUSPENDED).update(connection=ConnectionStatus.OFFLINE)
        health.resume(platform_id)
    snapshot.changed()
    return True


def pause(platform_id: int, reason: str, *, actor: str) -> bool:
    """Send nothing to a platform until `resume`, although it takes our token; say whether it was not paused before."""
    with transaction.atomic():
        found = Platform.objects.select_for_update().filter(pk=platform_id, paused_reason="").first()
        if found is None:
            return False
        health.pause(platform_id, f"by {actor}: {reason}")
        audit.record("platform.pause", actor=actor, about=found.name, details={"reason": reason})
    snapshot.changed()
    return True


def set_habits(
    platform_id: int,
    *,
    actor: str,
    base64_token: bool,
    detects_token: bool,
    late_authorization: str,
    authorize_seconds: int | None,
    longest_address: int,
    offers_clients: bool,
    speaks_for_all: bool,
) -> None:
    """Set what is done about a platform's habits: its form of tokens, its late answers, the addresses it takes.

    Of a hub also whether its clients are offered to ours (HUB-80), and whether it may act for whom it never named
    (PIT-78).
    """
    given = {
        "base64_token": base64_token,
        "detects_token": detects_token,
        "late_authorization": late_authorization,
        "authorize_seconds": authorize_seconds,
        "longest_address": longest_address,
        "offers_clients": offers_clients,
        "speaks_for_all": speaks_for_all,
    }
    with transaction.atomic():
        platforms = Platform.objects.filter(pk=platform_id)
        platforms.update(**given)
        name = platforms.values_list("name", flat=True).get()
        audit.record("platform.habits", actor=actor, about=name, details=given)
    log.warning("the habits of platform %s are set by an operator", platform_id)
    snapshot.changed()


def approve(party_ids: Collection[int]) -> tuple[list[Party], list[Party]]:
    """Allow platforms to act as these parties; return those that are approved now, and those active elsewhere."""
    approved: list[Party] = []
    refused: list[Party] = []
    with transaction.atomic(), connection.cursor() as cursor:
        # The same lock as a platform's own claim: two approvals of one party must see each other.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('ocpi_party'))")
        own = {(party.address.key, party.role) for party in ours.parties()}
        for party in Party.objects.select_for_update().filter(pk__in=party_ids).order_by("id"):
            is_ours = (Address(party.country_code, party.party_id).key, party.role) in own
            (refused if is_ours or not _approve(party) else approved).append(party)
    for party in approved:
        log.warning("party %s of platform %s is approved by an operator", party, party.platform_id)
    snapshot.changed()
    return approved, refused


def withdraw(party_ids: Collection[int]) -> int:
    """End the approval of these parties; return how many had one."""
    with transaction.atomic():
        found = Party.objects.filter(pk__in=party_ids, approved=True).update(approved=False, last_updated=Now())
    log.warning("the approval of parties %s is withdrawn by an operator", sorted(party_ids))
    snapshot.changed()
    return found


def _approve(party: Party) -> bool:
    try:
        with transaction.atomic():
            Party.objects.filter(pk=party.pk).update(approved=True, last_updated=Now())
    except IntegrityError:  # party_active_on_one_platform
        return False
    return True
