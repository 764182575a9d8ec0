"""Tags that a tenant lets in by itself: no eMSP is asked, and their transactions make no Session (OCPP-122)."""

from __future__ import annotations

from dataclasses import dataclass

from cpo.models import ChargePoint, IdTag, Transaction
from cpo.whitelist_states import ACCEPTED, BLOCKED, CONCURRENT
from ocpi import clock

EXPIRED = "Expired"


@dataclass(frozen=True, slots=True)
class Decided:
    """What the tenant itself says of a tag."""

    status: str  # idTagInfo of OCPP 1.6
    parent: str = ""


def decide(charge_point: ChargePoint, id_tag: str, *, connector: int | None) -> Decided | None:
    """Return what holds for a tag of the charge point's tenant; nothing if it is none of its own."""
    row = find(charge_point.country_code, charge_point.party_id, id_tag)
    if row is None:
        return None
    return Decided(_status(row, charge_point, connector), row.parent_id_tag)


def find(country_code: str, party_id: str, id_tag: str) -> IdTag | None:
    """Return a tenant's tag; letter case does not matter, as OCPP says."""
    return (
        IdTag.objects.filter(country_code__iexact=country_code, party_id__iexact=party_id)
        .extra(where=["UPPER(id_tag) = UPPER(%s)"], params=[id_tag])
        .first()
    )


def open_transactions(row: IdTag) -> int:
    """Return how many authorised transactions run with a tag at its tenant's charge points."""
    return len(_running(row))


def _status(row: IdTag, charge_point: ChargePoint, connector: int | None) -> str:
    if row.status == IdTag.Status.BLOCKED:
        return BLOCKED
    if row.expires_at is not None and row.expires_at <= clock.now():
        return EXPIRED
    if not row.max_transactions:
        return ACCEPTED
    # A start on the same connector is a repeat or follows a stop that was lost; an Authorize where the tag charges
    # already is how most drivers end a session (OCPP-76).
    running = [each for each in _running(row) if each != (charge_point.pk, connector)]
    if connector is None and any(where == charge_point.pk for where, _ in running):
        return ACCEPTED
    return CONCURRENT if len(running) >= row.max_transactions else ACCEPTED


def _running(row: IdTag) -> list[tuple[int, int]]:
    rows = Transaction.objects.extra(where=["UPPER(id_tag) = UPPER(%s)"], params=[row.id_tag]).filter(
        stopped_at=None,
        superseded_at=None,
        authorised=True,
        charge_point__country_code__iexact=row.country_code,
        charge_point__party_id__iexact=row.party_id,
    )
    return list(rows.values_list("charge_point_id", "connector_id"))
