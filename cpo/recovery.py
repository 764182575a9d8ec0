"""What a CPO marks after a restore: Tariffs, Locations, Sessions and CDRs that changed (REL-58)."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from cpo.models import CDR, Location, Session, Tariff
from cpo.modules import cdrs_operations, locations_operations, sessions_operations, tariffs
from ocpi import documents, recovery
from ocpi.headers import Address


def mark_since(since: datetime) -> dict[str, int]:
    """Mark what changed since a moment; running Sessions anyway. Return how many objects, by module."""
    # Tariffs first: Connectors name them.
    changed_tariffs = [
        partial(
            tariffs.push,
            row.pk,
            Address(row.country_code, row.party_id),
            row.object_id,
            deleted=row.deleted_at is not None,
        )
        for row in Tariff.objects.filter(last_updated__gte=since) | Tariff.objects.filter(deleted_at__gte=since)
    ]
    locations = [
        partial(locations_operations.push, [(row.pk, Address(row.country_code, row.party_id), row.object_id)])
        for row in Location.objects.filter(last_updated__gte=since, hidden=False, private=False)
    ]
    sessions = [
        partial(sessions_operations.push, row)
        for row in Session.objects.filter(last_updated__gte=since) | Session.objects.filter(status="ACTIVE")
    ]
    cdrs = [
        partial(cdrs_operations.push, row, _location_of(row)) for row in CDR.objects.filter(last_updated__gte=since)
    ]
    return {
        "tariffs": recovery.mark(changed_tariffs),
        "locations": recovery.mark(locations),
        "sessions": recovery.mark(sessions),
        "cdrs": recovery.mark(cdrs),
    }


def _location_of(row: CDR) -> str:
    found = documents.get(row.document, "cdr_location")
    return str(found.get("id", "")) if isinstance(found, dict) else ""
