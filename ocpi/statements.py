"""Issue statements between parties: all CDRs of a period that are in none yet, numbered, frozen, reproducible.

A CDR that comes after its period was billed is in the next statement, so each is in exactly one. What is disputed waits
until the dispute has ended, unless the terms say otherwise; what was taken back meanwhile is in it with its credit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from ocpi import audit, cdr_finders, clock, statement_figures, tariff_pricing
from ocpi.cdr_firewall.reading import number, part
from ocpi.headers import Address
from ocpi.models import Statement, StatementItem, StatementTerms
from ocpi.statement_figures import Fee, Figures, Item, Sum

_LOCK_KEY = 0x4F4B << 40
_AT_ONCE = 5000
MONTHLY = "month's end"  # who issues those of a month
_COLUMNS = "r.id, r.total_excl_vat, r.total_incl_vat, r.energy, r.credit_reference_id, r.rates"
_PAIR = """
upper(r.country_code) = %(cpo_country)s AND upper(r.party_id) = %(cpo_party)s
AND upper(r.emsp_country_code) = %(emsp_country)s AND upper(r.emsp_party_id) = %(emsp_party)s
AND r.currency = %(currency)s AND r.end_at < %(until)s AND r.verdict <> ''
AND NOT EXISTS (SELECT FROM ocpi_statementitem i WHERE i.review_id = r.id)
"""
_DISPUTED = "r.dispute IN ('OPEN', 'AGREED')"
_TO_BILL = f"""
SELECT {_COLUMNS} FROM ocpi_cdrreview r WHERE {_PAIR} AND (%(disputed)s OR NOT {_DISPUTED}) ORDER BY r.end_at, r.id
"""  # noqa: S608 - constants only
_LEFT_OUT = f"""
SELECT count(*), COALESCE(sum(r.total_excl_vat), 0) FROM ocpi_cdrreview r WHERE {_PAIR} AND {_DISPUTED}
"""  # noqa: S608 - constants only
_PAIRS = """
SELECT upper(country_code), upper(party_id), upper(emsp_country_code), upper(emsp_party_id), currency
FROM ocpi_cdrreview r
WHERE end_at < %s AND verdict <> '' AND NOT EXISTS (SELECT FROM ocpi_statementitem i WHERE i.review_id = r.id)
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
"""
_KEEP = """
COPY ocpi_statementitem (statement_id, review_id, position, excl_vat, vat, energy, rates) FROM STDIN
"""


class NothingToBill(Exception):
    """There is no CDR that is in no statement yet."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Who owes whom, in which currency."""

    cpo: Address
    emsp: Address
    currency: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What a statement would come to now."""

    figures: Figures
    left_out: int
    left_out_excl_vat: Decimal


def month(year: int, number: int) -> tuple[datetime, datetime]:
    """Return begin and end of a month (UTC)."""
    begin = datetime(year, number, 1, tzinfo=UTC)
    return begin, (begin + timedelta(days=32)).replace(day=1)


def month_before(now: datetime) -> tuple[datetime, datetime]:
    """Return begin and end of the last month that is over."""
    end = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (end - timedelta(days=1)).replace(day=1), end


def pairs(until: datetime) -> list[Pair]:
    """Return who owes whom for what ended before a moment and is in no statement yet."""
    with connection.cursor() as cursor:
        cursor.execute(_PAIRS, [until])
        return [Pair(Address(*row[:2]), Address(*row[2:4]), row[4]) for row in cursor.fetchall()]


def with_terms(among: Iterable[Pair]) -> list[tuple[Pair, StatementTerms]]:
    """Return pairs with the terms of each, read once."""
    written = list(StatementTerms.objects.all())
    return [(pair, _terms_of(pair, written)) for pair in among]


def terms_of(pair: Pair) -> StatementTerms:
    """Return the terms of a pair; those that nobody has written down are the defaults."""
    return with_terms([pair])[0][1]


def _terms_of(pair: Pair, written: Iterable[StatementTerms]) -> StatementTerms:
    wanted = (*pair.cpo.key, *pair.emsp.key)
    found, rank = StatementTerms(), -1
    for row in written:
        given = (row.country_code, row.party_id, row.emsp_country_code, row.emsp_party_id)
        if all(not one or one.upper() == other for one, other in zip(given, wanted, strict=True)):
            exact = sum(map(bool, given))
            if exact > rank:
                found, rank = row, exact
    return found


def preview(pair: Pair, until: datetime, *, terms: StatementTerms | None = None) -> Preview:
    """Return what a statement of a pair would come to."""
    terms = terms or terms_of(pair)
    with transaction.atomic():
        total = Sum(pair.currency)
        for _, item in _items(pair, until, terms.include_disputed):
            total.add(item)
        number_left, amount_left = _left_out(pair, until, terms)
    return Preview(total.figures(_fee(terms)), number_left, amount_left)


def issue(pair: Pair, since: datetime, until: datetime, *, by: str, terms: StatementTerms | None = None) -> Statement:
    """Write a statement of all that is due until a moment. From then on it never changes.

    :raises NothingToBill: if nothing is due.
    """
    terms = terms or terms_of(pair)
    with transaction.atomic():
        with connection.cursor() as cursor:  # one at a time: numbers have no gaps, and no CDR is in two
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK_KEY])
        total, digest = Sum(pair.currency), hashlib.sha256()
        rows = []
        for position, (review_id, item) in enumerate(_items(pair, until, terms.include_disputed), 1):
            total.add(item)
            rates = statement_figures.written(item.rates)
            rows.append((review_id, position, item.excl_vat, item.vat, item.energy, rates))
            digest.update(_line(review_id, item.energy, rates))
        if not rows:
            raise NothingToBill(f"nothing of {pair.emsp} at {pair.cpo} is due in {pair.currency}")
        figures = total.figures(_fee(terms))
        number_left, amount_left = _left_out(pair, until, terms)
        text = json.dumps(figures.as_json())
        digest.update(text.encode())
        row = Statement.objects.create(
            number=_next_number(clock.now()),
            country_code=pair.cpo.key[0], party_id=pair.cpo.key[1],
            emsp_country_code=pair.emsp.key[0], emsp_party_id=pair.emsp.key[1],
            since=since, until=until, currency=pair.currency, cdrs=figures.cdrs, credits=figures.credits,
            left_out=number_left, left_out_excl_vat=amount_left, disputed_in=terms.include_disputed,
            energy=figures.energy, excl_vat=figures.excl_vat, vat=figures.vat, incl_vat=figures.incl_vat,
            figures=text, note=terms.note, digest=digest.hexdigest(), issued_by=by,
        )  # fmt: skip
        with connection.cursor() as cursor, cursor.copy(_KEEP) as copy:
            for each in rows:
                copy.write_row((row.pk, *each))
        audit.record(
            "statement.issue", actor=by, about=f"{row} {row.creditor} ← {row.debtor}",
            details={"sha256": row.digest, "incl_vat": f"{row.incl_vat} {row.currency}"},
        )  # fmt: skip
    return row


def issue_all(since: datetime, until: datetime, *, by: str, monthly: bool = False) -> list[Statement]:
    """Issue what is due between all parties; a pair without anything due gets none.

    With `monthly` only for those whose terms say so, and who have none of that period yet.
    """
    issued = []
    for pair, terms in with_terms(pairs(until)):
        if monthly and (not terms.monthly or _is_issued(pair, until)):
            continue
        try:
            issued.append(issue(pair, since, until, by=by, terms=terms))
        except NothingToBill:  # all of it is disputed, or another process was quicker
            continue
    return issued


def _is_issued(pair: Pair, until: datetime) -> bool:
    (country_code, party_id), (emsp_country_code, emsp_party_id) = pair.cpo.key, pair.emsp.key
    return Statement.objects.filter(
        country_code=country_code, party_id=party_id, emsp_country_code=emsp_country_code, emsp_party_id=emsp_party_id,
        currency=pair.currency, until__gte=until,
    ).exists()  # fmt: skip


def issue_due(now: datetime | None = None) -> list[Statement]:
    """Issue the statements of the last month, one for each pair: what comes late for it is in that of the next.

    What a crash has left is issued by the next call: it is asked of each pair, not of the month.
    """
    since, until = month_before(now or clock.now())
    return issue_all(since, until, by=MONTHLY, monthly=True)


def differences(row: Statement) -> list[str]:
    """Compute a statement anew from the CDRs themselves; return what is not as it was issued (nothing, if all is).

    Each amount is read from the CDR's document, where it is kept; the sums are made from those.
    """
    found: list[str] = []
    total, digest = Sum(row.currency), hashlib.sha256()
    items = StatementItem.objects.filter(statement=row).select_related("review").order_by("position")
    for item in items.iterator(chunk_size=_AT_ONCE):
        rates = statement_figures.read(item.rates)
        credit = bool(item.review.credit_reference_id)
        total.add(Item(rates, item.energy, credit))
        digest.update(_line(item.review_id, item.energy, item.rates))
        found += _not_as_the_cdr(item)
    figures = total.figures()
    digest.update(row.figures.encode())
    if digest.hexdigest() != row.digest:
        found.append("the items or figures are not those that were issued")
    for name in ("excl_vat", "vat", "incl_vat"):
        if getattr(figures, name) != getattr(row, name):
            found.append(f"{name}: {getattr(row, name)} was issued, {getattr(figures, name)} is computed")
    return found


def _not_as_the_cdr(item: StatementItem) -> Iterator[str]:
    document = cdr_finders.document_of(item.review)
    if document is None:
        yield f"{item.review}: the CDR is not kept here any more"
        return
    total = tariff_pricing.loads(document).get("total_cost")
    excluding, including = number(part(total, "excl_vat")), number(part(total, "incl_vat"))
    if excluding != item.excl_vat or (including is not None and including != item.excl_vat + item.vat):
        yield f"{item.review}: {item.excl_vat} + {item.vat} was billed, the CDR says {excluding}, {including}"


def _items(pair: Pair, until: datetime, disputed: bool) -> Iterator[tuple[int, Item]]:
    """Yield what is due, read through a cursor of the database's, so that a large statement needs little memory."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(_TO_BILL, _values(pair, until) | {"disputed": disputed})
        while rows := cursor.fetchmany(_AT_ONCE):
            yield from ((row[0], item_of(*row[1:])) for row in rows)


def item_of(excl: Decimal, incl: Decimal | None, energy: Decimal, credit_of: str, rates: str) -> Item:
    """Return a CDR as it is added up; energy that a credit takes back is negative."""
    split = statement_figures.read(rates) if rates else statement_figures.rates_of(excl, incl, [])
    return Item(split, -energy if credit_of else energy, bool(credit_of))


def _left_out(pair: Pair, until: datetime, terms: StatementTerms) -> tuple[int, Decimal]:
    if terms.include_disputed:
        return 0, Decimal(0)
    with connection.cursor() as cursor:
        cursor.execute(_LEFT_OUT, _values(pair, until))
        left, amount = cursor.fetchone()
    return int(left), Decimal(amount)


def _values(pair: Pair, until: datetime) -> dict[str, Any]:
    (cpo_country, cpo_party), (emsp_country, emsp_party) = pair.cpo.key, pair.emsp.key
    return {"cpo_country": cpo_country, "cpo_party": cpo_party, "emsp_country": emsp_country, "emsp_party": emsp_party,
            "currency": pair.currency, "until": until}  # fmt: skip


def _fee(terms: StatementTerms) -> Fee:
    return Fee(terms.fee_per_cdr, terms.fee_per_kwh, terms.fee_vat, terms.fee_currency, terms.fee_payer)


def _line(review_id: int, energy: Decimal, rates: str) -> bytes:
    return f"{review_id} {energy:.4f} {rates}\n".encode()


def _next_number(now: datetime) -> str:
    year = now.astimezone(UTC).year
    last = Statement.objects.filter(number__startswith=f"{year}-").order_by("-number").values_list("number").first()
    return f"{year}-{(int(last[0].split('-')[1]) if last else 0) + 1:06d}"
