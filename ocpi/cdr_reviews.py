"""Review CDRs that have been stored: what comes in, what passes through (PRI-90 … PRI-98).

A CDR is stored first; `enter` writes its figures in the same transaction. It is reviewed a moment later by whoever is
free: a review never delays, blocks or changes a CDR. Whose side we are decides what is known around it (`Collector`).
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from ocpi import cdr_finders, cdr_firewall, clock, database_trouble, statement_figures, tariff_pricing
from ocpi.cdr_firewall import Facts, Finding, Inspection, Neighbour
from ocpi.cdr_firewall.reading import moment, number, part
from ocpi.models import CdrFinding, CdrReview

log = logging.getLogger(__name__)

# What it refers to may come a little later; then the CDR is looked at once more.
AGAIN = timedelta(minutes=15)
_MAY_COME = frozenset({"session_unknown", "session_differs", "token_unknown", "location_unknown", "not_priceable",
                       "original_unknown", "tariff_differs"})  # fmt: skip
_MOST_NEIGHBOURS = 20
_LONGEST_SESSION = timedelta(days=30)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENTER = """
INSERT INTO ocpi_cdrreview (
    country_code, party_id, cdr_id, emsp_country_code, emsp_party_id, digest, session_id, token_uid, token_type,
    location_id, evse_uid, connector_id, start_at, end_at, energy, currency, total_excl_vat, total_incl_vat,
    credit_reference_id, received_at)
VALUES (
    %(country_code)s, %(party_id)s, %(cdr_id)s, %(emsp_country_code)s, %(emsp_party_id)s, %(digest)s, %(session_id)s,
    %(token_uid)s, %(token_type)s, %(location_id)s, %(evse_uid)s, %(connector_id)s, %(start_at)s, %(end_at)s,
    %(energy)s, %(currency)s, %(total_excl_vat)s, %(total_incl_vat)s, %(credit_reference_id)s, %(received_at)s)
ON CONFLICT (upper(country_code), upper(party_id), upper(cdr_id)) DO UPDATE SET other_content = true, verdict = ''
    WHERE ocpi_cdrreview.digest <> EXCLUDED.digest AND NOT ocpi_cdrreview.other_content
RETURNING id
"""
_COLUMNS = (
    """cdr_id, session_id, token_uid, token_type, evse_uid, location_id, connector_id, start_at, end_at, energy"""
)
# Of two that bill the same, the one that came later is to be explained.
_OTHERS = "id < %(id)s AND credit_reference_id = '' AND NOT taken_back"
# A session of the same owner; and what the Token or the Connector did at the time.
_NEIGHBOURS = f"""
(SELECT {_COLUMNS} FROM ocpi_cdrreview
 WHERE %(session_id)s <> '' AND session_id <> '' AND upper(session_id) = upper(%(session_id)s)
   AND upper(country_code) = upper(%(country_code)s) AND upper(party_id) = upper(%(party_id)s) AND {_OTHERS}
 ORDER BY id LIMIT {_MOST_NEIGHBOURS})
UNION ALL
(SELECT {_COLUMNS} FROM ocpi_cdrreview
 WHERE upper(token_uid) = upper(%(token_uid)s) AND start_at BETWEEN %(earliest)s AND %(end_at)s
   AND end_at >= %(start_at)s AND upper(emsp_country_code) = upper(%(emsp_country_code)s)
   AND upper(emsp_party_id) = upper(%(emsp_party_id)s) AND {_OTHERS}
 ORDER BY start_at DESC LIMIT {_MOST_NEIGHBOURS})
UNION ALL
(SELECT {_COLUMNS} FROM ocpi_cdrreview
 WHERE upper(evse_uid) = upper(%(evse_uid)s) AND start_at BETWEEN %(earliest)s AND %(end_at)s AND end_at >= %(start_at)s
   AND upper(country_code) = upper(%(country_code)s) AND upper(party_id) = upper(%(party_id)s) AND {_OTHERS}
 ORDER BY start_at DESC LIMIT {_MOST_NEIGHBOURS})
"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a CDR here, whatever side we are."""

    received_at: datetime
    neighbours: Sequence[Neighbour]
    other_content: bool
    credited_before: bool


Collector = Callable[[dict[str, Any], Known], Facts]


def enter(document: str) -> int | None:
    """Write down the figures of a CDR that is stored in the caller's transaction, to be reviewed soon.

    One that has come before changes nothing; one that comes again otherwise is noted. What is no CDR is left alone.
    Returns the row, or None if there is nothing new to review.
    """
    values = _values(document)
    if values is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(_ENTER, values)
        row = cursor.fetchone()
    return None if row is None else int(row[0])


def review(row: CdrReview, document: str, collect: Collector) -> Inspection:
    """Inspect a CDR and store what was found; may be repeated at any time."""
    cdr = tariff_pricing.loads(document)
    facts = collect(cdr, _known(row))
    found = cdr_firewall.inspect(cdr, facts)
    first = row.reviewed_at is None
    row.verdict = found.verdict.value
    row.check_result = json.dumps(_check(found), ensure_ascii=False)
    row.signed = json.dumps(facts.signed.as_json()) if facts.signed is not None else ""
    row.signed_verdict = facts.signed.verdict.value if facts.signed is not None else ""
    row.computed_excl_vat = found.check.computed.total_cost.excl_vat if found.check.computed is not None else None
    row.rates = statement_figures.written(_rates(row, found))
    row.reviewed_at = clock.now()
    row.again_at = row.reviewed_at + AGAIN if first and _MAY_COME & set(found.codes) else None
    row.save(update_fields=["verdict", "check_result", "signed", "signed_verdict", "computed_excl_vat",
                            "rates", "reviewed_at", "again_at"])  # fmt: skip
    _write(row, found.findings, new=first)
    if row.credit_reference_id:
        _take_back(row)
    return found


def review_due(limit: int = 200) -> int:
    """Review what waits, and once more what could not be judged; return how many.

    Any number of workers may do so at once. One CDR that fails keeps no other waiting.
    """
    now, done = clock.now(), 0
    for due in ({"verdict": ""}, {"again_at__lte": now}):
        for pk in list(CdrReview.objects.filter(**due).order_by("id").values_list("pk", flat=True)[:limit]):
            with transaction.atomic():
                row = CdrReview.objects.select_for_update(skip_locked=True).filter(pk=pk, **due).first()
                if row is None:
                    continue
                try:
                    with transaction.atomic():
                        kept = cdr_finders.find(row)
                        if kept is None:
                            _give_up(row, "the CDR is not kept here")
                        else:
                            side, document = kept
                            review(row, document, side.collect)
                except Exception as error:  # an edge: the others must not wait for this one
                    if database_trouble.passes(error):  # nothing is wrong with the CDR: the next sweep finds it
                        log.warning("%s is reviewed later: %s", row, database_trouble.words(error))
                        continue
                    log.exception("%s could not be reviewed", row)
                    _give_up(row, f"internal error: {type(error).__name__}")
                done += 1
    return done


def _give_up(row: CdrReview, reason: str) -> None:
    CdrReview.objects.filter(pk=row.pk).update(verdict=CdrReview.Verdict.NOTED, reviewed_at=clock.now(), again_at=None)
    _write(row, [Finding(cdr_firewall.KINDS["not_priceable"], "", reason)], new=False)


def _write(row: CdrReview, findings: Sequence[Finding], *, new: bool) -> None:
    if not new:
        CdrFinding.objects.filter(review=row).delete()
    CdrFinding.objects.bulk_create(
        CdrFinding(
            review=row,
            code=each.code,
            severity=each.kind.severity,
            field=each.field[:80],
            claimed=_clean(each.claimed),
            expected=_clean(each.expected),
        )
        for each in findings
    )


def _clean(text: str) -> str:
    return text.replace("\x00", "")[:120]


def _take_back(row: CdrReview) -> None:
    """Note at the original that it is taken back; a dispute about it ends with that."""
    original = CdrReview.objects.filter(
        country_code__iexact=row.country_code, party_id__iexact=row.party_id, cdr_id__iexact=row.credit_reference_id
    ).exclude(pk=row.pk)
    original.filter(taken_back=False).update(taken_back=True)
    original.filter(dispute__in=[CdrReview.Dispute.OPEN, CdrReview.Dispute.AGREED]).update(
        dispute=CdrReview.Dispute.CREDITED
    )


def _known(row: CdrReview) -> Known:
    values = {
        name: getattr(row, name)
        for name in ("id", "session_id", "country_code", "party_id", "token_uid", "evse_uid", "start_at", "end_at",
                     "emsp_country_code", "emsp_party_id")
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_NEIGHBOURS, {**values, "earliest": row.start_at - _LONGEST_SESSION})
        neighbours = [Neighbour(*found) for found in dict.fromkeys(cursor.fetchall())]
    before = bool(row.credit_reference_id) and CdrReview.objects.filter(
        country_code__iexact=row.country_code,
        party_id__iexact=row.party_id,
        credit_reference_id__iexact=row.credit_reference_id,
        pk__lt=row.pk,
    ).exists()  # fmt: skip
    return Known(row.received_at, neighbours, row.other_content, before)


def _rates(row: CdrReview, found: Inspection) -> statement_figures.Rates:
    """Return what the CDR claims, split by the VAT rates of the lines of its price."""
    lines = [(line.component.vat, line.excl) for line in found.check.lines]
    return statement_figures.rates_of(row.total_excl_vat, row.total_incl_vat, lines)


def _check(found: Inspection) -> dict[str, Any]:
    shown = found.check.as_json()
    shown["lines"] = [line.as_json() for line in found.check.lines]
    return shown


def _values(document: str) -> dict[str, Any] | None:
    """Return the columns of a CDR; None if it lacks what every CDR has."""
    try:
        cdr = tariff_pricing.loads(document)
    except ValueError:
        return None
    if not isinstance(cdr, dict):
        return None
    driver, place, total = cdr.get("cdr_token"), cdr.get("cdr_location"), cdr.get("total_cost")
    excluding = number(part(total, "excl_vat"))
    if not isinstance(cdr.get("id"), str) or excluding is None:
        return None
    values: dict[str, Any] = {
        "country_code": _text(cdr.get("country_code"), 2),
        "party_id": _text(cdr.get("party_id"), 3),
        "cdr_id": _text(cdr["id"], 39),
        "emsp_country_code": _text(part(driver, "country_code"), 2),
        "emsp_party_id": _text(part(driver, "party_id"), 3),
        "digest": hashlib.sha256(document.encode()).hexdigest(),
        "session_id": _text(cdr.get("session_id"), 36),
        "token_uid": _text(part(driver, "uid"), 36),
        "token_type": _text(part(driver, "type"), 11),
        "location_id": _text(part(place, "id"), 36),
        "evse_uid": _text(part(place, "evse_uid"), 36),
        "connector_id": _text(part(place, "connector_id"), 36),
        "start_at": moment(cdr.get("start_date_time")) or _EPOCH,
        "end_at": moment(cdr.get("end_date_time")) or _EPOCH,
        "energy": _amount(number(cdr.get("total_energy"))) or Decimal(0),
        "currency": _text(cdr.get("currency"), 3),
        "total_excl_vat": _amount(excluding) or Decimal(0),
        "total_incl_vat": _amount(number(part(total, "incl_vat"))),
        "credit_reference_id": _text(cdr.get("credit_reference_id"), 39) if cdr.get("credit") else "",
        "received_at": clock.now(),
    }
    return values


def _text(value: object, longest: int) -> str:
    return str(value or "")[:longest]


def _amount(value: Decimal | None) -> Decimal | None:
    # What no column holds is no amount anybody owes; the document keeps it, and the review says what it thinks of it.
    return value if value is not None and abs(value) < Decimal(10) ** 9 else None
