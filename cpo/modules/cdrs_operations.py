"""CDRs: made once from an ended session, priced from the periods that are in them, never changed (CDR-11, PRI-100)."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from typing import Any

from cpo import recipients, stop_reasons
from cpo.models import CDR, Transaction
from cpo.modules import locations_operations as locations
from cpo.modules import readings, snapshots
from cpo.modules import sessions_operations as sessions
from cpo.modules.sessions_operations import Metered
from cpo.modules.snapshots import Snapshot
from ocpi import audit, audit_rows, cdr_reviews, documents, lists, outbox, outbox_pulled, tariff_pricing
from ocpi.headers import Address
from ocpi.outbox_policy import CDR as CDR_KIND
from ocpi.outbox_pulled import Reader
from ocpi.pagination import Page
from ocpi.v2_2_1.types import format_datetime, plain

_MODULE = "cdrs"
SOURCE = "cpo.CDR"
_NOT_AVAILABLE = "#NA"
# Lengths of CdrLocation, where they are shorter than a Location's (PIT-37).
_SHORTER = {"address": 45, "state": 20}


def fetch(owner: Address, emsps: Sequence[Address], page: Page, reader: Reader) -> lists.Found:
    """Return a page of the CDRs of these eMSPs' drivers (CDR-15)."""
    return lists.fetch(outbox_pulled.noted(sessions.of_emsps("cpo_cdr", owner, emsps), reader, SOURCE), page)


def is_due(row: Transaction, metered: Metered) -> bool:
    """Say whether an ended session has anything to settle (M-5, PRI-100)."""
    energy = metered.course.energy
    if not stop_reasons.is_billed(row.reason, energy, metered.course.end - metered.course.start):
        return False
    if metered.priced is None or not metered.periods:
        return False
    return energy >= stop_reasons.LEAST_ENERGY or metered.priced.total_cost.excl_vat > 0


def produce(row: Transaction, metered: Metered) -> CDR | None:
    """Make the CDR of a completed session and send it, in the caller's transaction; nothing if there is none to make.

    Once per session: a second call finds the first one's CDR and sends nothing (OCPP-97).
    """
    session = row.session
    if session is None or not is_due(row, metered):
        return None
    existing = CDR.objects.filter(session_id=session.object_id, credit=False).first()
    if existing is not None:
        return existing
    return issue(build(row, metered))


def issue(cdr: CDR) -> CDR:
    """Store a CDR and have it sent; in the caller's transaction."""
    cdr.save(force_insert=True)
    cdr_reviews.enter(cdr.document)
    digest = hashlib.sha256(cdr.document.encode()).hexdigest()
    told = {"sha256": digest, **audit_rows.details("cdr.out", cdr)}
    audit.record("cdr.out", actor=audit.SYSTEM, about=str(cdr), details=told)
    push(cdr, documents.get(cdr.document, "cdr_location")["id"])
    return cdr


def build(row: Transaction, metered: Metered) -> CDR:
    """Return the CDR of a session, not stored yet.

    :raises ValueError: if the session has no price.
    """
    session = row.session
    if session is None or metered.priced is None:
        raise ValueError(f"{row} has nothing to bill")
    seen = snapshots.read(row.snapshot)
    now = locations.moment_now()
    cdr = CDR(
        country_code=session.country_code,
        party_id=session.party_id,
        object_id=str(uuid.uuid4()),  # random, never from a sequence (REL-09)
        last_updated=now,
        session_id=session.object_id,
        token_uid=session.token_uid,
        start_date_time=row.reserved_from or row.started_at,
        emsp_country_code=session.emsp_country_code,
        emsp_party_id=session.emsp_party_id,
    )
    cdr.document = documents.text(
        plain(
            {
                "country_code": cdr.country_code,
                "party_id": cdr.party_id,
                "id": cdr.object_id,
                "start_date_time": format_datetime((row.reserved_from or row.started_at).replace(microsecond=0)),
                "end_date_time": format_datetime(metered.course.end.replace(microsecond=0)),
                "session_id": session.object_id,
                "cdr_token": seen.cdr_token,
                "auth_method": seen.auth_method,
                "authorization_reference": seen.authorization_reference or None,
                "cdr_location": location_of(seen),
                "currency": seen.currency,
                "tariffs": _tariffs(row, seen, metered),
                "charging_periods": metered.periods,
                "signed_data": readings.signed_data(row),
                **tariff_pricing.totals(metered.priced),
                "remark": f"Stop reason: {row.reason}" if row.reason else None,
                "last_updated": now,
            }
        )
    )
    return cdr


def push(cdr: CDR, location_id: str) -> None:
    """Have a CDR sent to the eMSP it concerns, until that confirms it."""
    owner = Address(cdr.country_code, cdr.party_id)
    outbox.mark(
        recipients.party(Address(cdr.emsp_country_code, cdr.emsp_party_id), _MODULE, owner),
        module=_MODULE,
        source=SOURCE,
        source_id=cdr.pk,
        path="",
        order_key=recipients.order_key(owner, location_id),
        kind=CDR_KIND,
    )


def _tariffs(row: Transaction, seen: Snapshot, metered: Metered) -> list[Any]:
    """Return the Tariffs that the ChargingPeriods name, as they were when they began to apply (CDR-19)."""
    texts = snapshots.tariffs_of(seen, row.tariff_changes).texts
    named = {str(period.get("tariff_id", "")) for period in metered.periods}
    return [documents.raw(text) for tariff_id, text in texts.items() if tariff_id in named]


def location_of(seen: Snapshot) -> dict[str, Any]:
    """Return the CdrLocation, with its own lengths (PIT-37) and without gaps (CDR-47)."""
    location, connector = seen.location, seen.connector
    members: dict[str, Any] = {
        name: location.get(name) for name in ("id", "name", "address", "city", "postal_code", "state", "country")
    }
    for name, longest in _SHORTER.items():
        if members[name]:
            members[name] = members[name][:longest]
    coordinates = location["coordinates"]
    return {
        **members,
        "coordinates": {"latitude": coordinates["latitude"], "longitude": coordinates["longitude"]},
        "evse_uid": seen.evse_uid,
        "evse_id": (seen.evse.get("evse_id") if seen.assigned else None) or _NOT_AVAILABLE,
        "connector_id": seen.connector_id,
        "connector_standard": connector["standard"],
        "connector_format": connector["format"],
        "connector_power_type": connector["power_type"],
    }
