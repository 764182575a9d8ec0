"""What an end has to do with our own operations, and a start with the end before it (M-5)."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q

from cpo import stop_reasons
from cpo.models import Operation, Token, Transaction
from ocpi import clock, documents

_RECENT = timedelta(minutes=10)
_UNASKED = ("QUEUED", "CANCELLED", "EXPIRED")


def note(row: Transaction, *, trigger: str = "") -> list[str]:
    """Join a transaction that has just ended with the operation that ended it; return what is to be noted."""
    notes = []
    actions = stop_reasons.causes(row.reason, trigger)
    found = _operation(row, actions) if actions else None
    if found is not None:
        row.ended_by = found.pk
        if found.action == "Reset":
            notes.append("our_reset")
    if stop_reasons.is_refusal(row.reason) and row.snapshot and not _is_valid(row):
        notes.append("token_not_valid")
    return notes


def compare_meters(row: Transaction) -> None:
    """Flag the transaction before this one on the same meter if power was lost and the meter has moved since (M-5)."""
    before = (
        Transaction.objects.filter(
            charge_point_id=row.charge_point_id, connector_id=row.connector_id, stopped_at__isnull=False
        )
        .exclude(pk=row.pk)
        .filter(started_at__lte=row.started_at)
        .order_by("-started_at", "-id")
        .first()
    )
    if before is None or before.meter_stop is None or not stop_reasons.loses_power(before.reason):
        return
    differs = abs(row.meter_start - before.meter_stop) > stop_reasons.METER_DIFFERENCE
    if differs and "meter_differs" not in before.flags:
        before.flags = [*before.flags, "meter_differs"]
        before.save(update_fields=["flags"])


def _operation(row: Transaction, actions: tuple[str, ...]) -> Operation | None:
    recent = Operation.objects.filter(
        charge_point_id=row.charge_point_id, action__in=actions, created_at__gt=clock.now() - _RECENT
    ).exclude(state__in=_UNASKED)
    number = row.ocpp_id or str(row.transaction_id)
    for operation in recent.filter(~Q(sent_at=None)).order_by("-created_at")[:20]:
        asked = documents.get(operation.payload, "transactionId")
        if asked is None or str(asked) == number:
            return operation
    return None


def _is_valid(row: Transaction) -> bool:
    """Say whether its Token still is valid, as far as we have been told."""
    token = documents.get(row.snapshot, "token") or {}
    rows = Token.objects.filter(
        uid=token.get("uid"),
        type=token.get("type"),
        country_code__iexact=token.get("country_code"),
        party_id__iexact=token.get("party_id"),
    )
    known = rows.first()
    return known is None or known.valid
