"""What an eMSP marks after a restore: Tokens that changed (REL-58)."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from emsp.models import Token
from emsp.modules import tokens_operations
from ocpi import recovery
from ocpi.headers import Address


def mark_since(since: datetime) -> dict[str, int]:
    """Mark the Tokens that changed since a moment; return how many."""
    tokens = [
        partial(tokens_operations.push, row.pk, Address(row.country_code, row.party_id), row.uid, row.type)
        for row in Token.objects.filter(last_updated__gte=since)
    ]
    return {"tokens": recovery.mark(tokens)}
