"""Whether another CDR bills the same, and whether a Credit CDR takes back what it says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from ocpi.cdr_firewall.facts import Facts, Neighbour
from ocpi.cdr_firewall.findings import Finding, finding
from ocpi.cdr_firewall.reading import moment, number, part, same
from ocpi.tariff_pricing import NotPriceable, credit_differences

_NOT_AVAILABLE = "#NA"


def others(cdr: dict[str, Any], facts: Facts) -> Iterator[Finding]:
    if facts.other_content:
        yield finding("same_id_other_content", "id", cdr.get("id"))
    start, end = moment(cdr.get("start_date_time")), moment(cdr.get("end_date_time"))
    if cdr.get("credit") or start is None or end is None:
        return
    seen = set()
    for each in facts.neighbours:
        found = _between(cdr, start, end, each, facts)
        if found is not None and found.code not in seen:
            seen.add(found.code)
            yield found


def _between(cdr: dict[str, Any], start: datetime, end: datetime, other: Neighbour, facts: Facts) -> Finding | None:
    driver, place = cdr.get("cdr_token"), cdr.get("cdr_location")
    session = cdr.get("session_id")
    if session and same(session, other.session_id):
        return finding("duplicate", "session_id", session, f"CDR {other.id}")
    token = same(part(driver, "uid"), other.token_uid)
    if token and (start, end, number(cdr.get("total_energy"))) == (other.start, other.end, other.energy):
        return finding("duplicate", "id", cdr.get("id"), f"CDR {other.id}")
    if min(end, other.end) - max(start, other.start) <= timedelta(seconds=facts.limits.overlap_seconds):
        return None
    evse = part(place, "evse_uid")
    here = same(evse, other.evse) and same(part(place, "connector_id"), other.connector_id)
    if evse != _NOT_AVAILABLE and here and same(part(place, "id"), other.location_id):
        return finding("connector_busy", "cdr_location.connector_id", evse, f"CDR {other.id}")
    # A card is in one place at a time; an app may start several cars.
    if token and {other.token_type, part(driver, "type")} == {"RFID"} and not same(evse, other.evse):
        return finding("token_elsewhere", "cdr_token.uid", part(driver, "uid"), f"CDR {other.id} at {other.evse}")
    return None


def credits(cdr: dict[str, Any], facts: Facts) -> Iterator[Finding]:
    """Yield what is wrong with a Credit CDR (CDR-20 … CDR-26)."""
    if not cdr.get("credit"):
        return
    reference = cdr.get("credit_reference_id")
    if facts.original is None:
        yield finding("original_unknown", "credit_reference_id", reference)
        return
    if facts.credited_before:
        yield finding("credited_before", "credit_reference_id", reference)
    try:
        for name in credit_differences(cdr, facts.original):
            yield finding("credit_differs", name, _shown(cdr.get(name)), _shown(facts.original.get(name)))
    except NotPriceable as error:
        yield finding("credit_differs", "credit_reference_id", reference, error.code)


def _shown(value: object) -> str:
    return "" if value is None else str(value)[:80]
