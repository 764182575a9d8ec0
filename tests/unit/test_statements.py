"""Statements: every CDR in exactly one, sums as the CDRs say, frozen, and reproducible from the CDRs."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from pytest_django import DjangoAssertNumQueries

from emsp.models import CDR
from ocpi import audit, cdr_disputes, cdr_finders, cdr_reviews, clock, statements
from ocpi.headers import Address
from ocpi.models import AuditEntry, CdrReview, Platform, Statement, StatementItem, StatementTerms
from ocpi.statement_figures import Item, add_up, rates_of
from ocpi.statements import NothingToBill, Pair
from tests.fixtures import Document

BEGIN, END = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
PAIR = Pair(Address("NL", "TNM"), Address("DE", "EMS"), "EUR")
CENT = Decimal("0.01")
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("emsp_side")]


class Books:
    """CDRs of a CPO that were stored and reviewed."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.platform = Platform.objects.create(name="a CPO")

    def add(self, name: str, excl: str, vat: str = "21", *, at: datetime = BEGIN, **members: Any) -> CdrReview:
        amount = Decimal(excl)
        incl = amount + amount * Decimal(vat) / 100
        body = self.document(
            "cdr", id=name, session_id=f"S-{name}", start_date_time=f"{at:%FT%TZ}",
            end_date_time=f"{at + timedelta(hours=1):%FT%TZ}",
            total_cost={"excl_vat": float(amount), "incl_vat": float(round(incl, 4))}, **members,
        )  # fmt: skip
        text = json.dumps(body)
        CDR.objects.create(
            platform=self.platform, key=name, digest="d", country_code=body["country_code"], party_id=body["party_id"],
            object_id=name, last_updated=body["last_updated"], document=text, token_uid="T", start_date_time=at,
        )  # fmt: skip
        entered = cdr_reviews.enter(text)
        assert entered is not None
        row = CdrReview.objects.get(pk=entered)
        CdrReview.objects.filter(pk=row.pk).update(verdict="good")
        return row

    def credit(self, row: CdrReview) -> CdrReview:
        name = f"{row.cdr_id}-C"
        credit = self.add(name, str(-row.total_excl_vat), credit=True, credit_reference_id=row.cdr_id)
        CdrReview.objects.filter(pk=row.pk).update(taken_back=True, dispute="CREDITED" if row.dispute else "")
        return credit


@pytest.fixture
def books(db: None, document: Document) -> Books:
    return Books(document)


def issue(pair: Pair = PAIR, until: datetime = END) -> Statement:
    return statements.issue(pair, BEGIN, until, by="anna")


def billed(row: Statement) -> list[str]:
    return list(row.items.order_by("position").values_list("review__cdr_id", flat=True))


def test_the_sums_are_those_of_the_cdrs_to_the_cent(books: Books) -> None:
    draw, expected = random.Random(5), dict[Decimal, list[Decimal]]()
    for index in range(300):
        vat = draw.choice(["19", "21", "0"])
        excl = Decimal(draw.randrange(1, 600_000)) / 10_000
        books.add(f"C{index}", str(excl), vat, at=BEGIN + timedelta(minutes=index))
        row = expected.setdefault(Decimal(vat), [Decimal(0), Decimal(0)])
        row[0] += excl
        row[1] += round(excl + excl * Decimal(vat) / 100, 4) - excl

    made = issue()

    figures = json.loads(made.figures)
    rounded = {
        rate: [each.quantize(CENT, ROUND_HALF_UP) for each in amounts] for rate, amounts in sorted(expected.items())
    }
    assert {Decimal(each["rate"]): [Decimal(each["excl_vat"]), Decimal(each["vat"])] for each in figures["rates"]} == (
        rounded
    )
    assert made.excl_vat == sum(each[0] for each in rounded.values())
    assert made.incl_vat == sum(sum(each) for each in rounded.values())
    assert (made.cdrs, made.credits, made.items.count()) == (300, 0, 300)
    assert statements.differences(made) == []


def test_each_cdr_is_in_one_statement_and_a_late_one_in_the_next(books: Books) -> None:
    books.add("IN", "10")
    books.add("AFTER", "10", at=END)
    first = issue()
    books.add("LATE", "10", at=BEGIN + timedelta(days=3))

    with pytest.raises(NothingToBill):
        statements.issue(Pair(PAIR.cpo, Address("BE", "MSX"), "EUR"), BEGIN, END, by="anna")
    second = issue(until=END + timedelta(days=30))

    assert billed(first) == ["IN"]
    assert billed(second) == ["LATE", "AFTER"]
    assert (first.number, second.number) == (f"{clock.now().year}-000001", f"{clock.now().year}-000002")
    assert AuditEntry.objects.filter(action="statement.issue").count() == 2


def test_what_is_disputed_waits_until_the_dispute_has_ended(books: Books) -> None:
    right, wrong, withdrawn = (books.add(name, "10") for name in ("RIGHT", "WRONG", "WITHDRAWN"))
    for row in (wrong, withdrawn):
        cdr_disputes.move(row.pk, "OPEN", by="anna", text="?")

    first = issue()

    assert billed(first) == [right.cdr_id]
    assert (first.left_out, first.left_out_excl_vat) == (2, Decimal(20))
    cdr_disputes.move(withdrawn.pk, "WITHDRAWN", by="anna", text="fine")
    wrong.refresh_from_db()
    books.credit(wrong)
    second = issue(until=END + timedelta(days=30))
    assert sorted(billed(second)) == ["WITHDRAWN", "WRONG", "WRONG-C"]
    assert (second.cdrs, second.credits, second.excl_vat) == (2, 1, Decimal(10))
    assert second.energy == Decimal("31.5")  # what was taken back is taken off


def test_the_terms_may_bill_what_is_disputed_and_take_a_fee(books: Books) -> None:
    StatementTerms.objects.create(fee_per_cdr=9)
    StatementTerms.objects.create(
        country_code="NL", party_id="TNM", include_disputed=True, fee_per_cdr="0.1", fee_per_kwh="0.01", fee_vat=19
    )
    row = books.add("A", "10")
    books.add("B", "20")
    cdr_disputes.move(row.pk, "OPEN", by="anna", text="?")

    made = issue()

    fee = json.loads(made.figures)["fee"]
    assert (made.left_out, made.disputed_in, made.excl_vat) == (0, True, Decimal(30))
    assert (fee["excl_vat"], fee["vat"], fee["incl_vat"]) == ("0.83", "0.16", "0.99")  # 2 x 0.10 and 63 kWh x 0.01
    assert made.incl_vat == Decimal("36.30")  # the fee is not owed to the CPO


def test_what_was_issued_cannot_be_changed(books: Books) -> None:
    books.add("A", "10")
    made = issue()

    for rows, changes in ((Statement.objects, {"excl_vat": 0}), (StatementItem.objects, {"excl_vat": 0})):
        with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
            rows.update(**changes)
        with pytest.raises(DatabaseError), transaction.atomic():
            rows.all().delete()
    assert Statement.objects.get() == made


def test_a_cdr_that_says_otherwise_than_what_was_billed_is_found(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    books.add("A", "10")
    made = issue()
    changed = CDR.objects.get().document.replace("10.0", "11.0")
    monkeypatch.setattr(cdr_finders, "document_of", lambda row: changed)

    (said,) = statements.differences(made)

    assert "the CDR says 11.0" in said


def test_a_preview_is_what_would_be_issued(books: Books) -> None:
    books.add("A", "10.005")

    before = statements.preview(PAIR, END)
    made = issue()

    assert (before.figures.excl_vat, before.figures.incl_vat) == (made.excl_vat, made.incl_vat)
    assert made.excl_vat == Decimal("10.01")


def test_terms_are_read_once_for_all_pairs(books: Books, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    StatementTerms.objects.create(country_code="NL", party_id="TNM", include_disputed=True)
    StatementTerms.objects.create(country_code="NL", party_id="TNM", emsp_country_code="DE", monthly=False)
    other = Pair(Address("FR", "TNM"), PAIR.emsp, "EUR")

    with django_assert_num_queries(1):
        found = statements.with_terms([PAIR, other])

    assert [(terms.monthly, terms.include_disputed) for _, terms in found] == [(False, False), (True, False)]


def test_a_month_is_issued_once_and_only_where_the_terms_say_so(books: Books) -> None:
    books.add("A", "10")
    books.add("B", "10", currency="CHF", tariffs=[])
    books.add("C", "10", country_code="FR")
    StatementTerms.objects.create(country_code="FR", party_id="TNM", monthly=False)
    now = datetime(2026, 11, 1, 3, tzinfo=UTC)

    issued = statements.issue_due(now)
    books.add("LATE", "10")

    assert [(row.creditor, row.currency, row.since, row.until) for row in issued] == [
        ("NL*TNM", "CHF", BEGIN, END),
        ("NL*TNM", "EUR", BEGIN, END),
    ]
    assert statements.issue_due(now + timedelta(hours=1)) == []
    assert len(statements.issue_due(datetime(2026, 12, 1, tzinfo=UTC))) == 1


def test_a_month_that_a_crash_cut_short_is_issued_to_the_end(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    books.add("A", "10")
    books.add("B", "10", currency="CHF", tariffs=[])
    now, write_down = datetime(2026, 11, 1, 3, tzinfo=UTC), audit.record

    def crash(action: str, **named: Any) -> None:
        if "EUR" in str(named):
            raise RuntimeError("the process ends here")
        write_down(action, **named)

    with monkeypatch.context() as patch:
        patch.setattr(audit, "record", crash)
        with pytest.raises(RuntimeError):
            statements.issue_due(now)
    assert [row.currency for row in Statement.objects.all()] == ["CHF"]

    assert [row.currency for row in statements.issue_due(now + timedelta(hours=1))] == ["EUR"]
    assert statements.issue_due(now + timedelta(hours=2)) == []


def test_what_nobody_has_reviewed_yet_waits(books: Books) -> None:
    books.add("A", "10")
    CdrReview.objects.update(verdict="")

    with pytest.raises(NothingToBill):
        issue()


@pytest.mark.parametrize(
    ("excl", "incl", "lines", "rates"),
    [
        ("10", "12.1", [("21", "10")], [("21", "10", "2.1")]),
        ("10", "11.4", [("19", "5"), ("9", "5")], [("9", "5", "0.45"), ("19", "5", "0.95")]),
        ("10", "12.1", [], [("21", "10", "2.1")]),
        ("10", "10", [], [("0", "10", "0")]),
        ("10", None, [("21", "10")], [(None, "10", "0")]),
        ("99", "119.79", [("21", "10")], [("21", "99", "20.79")]),  # the lines are of another price
        ("-10", "-12.1", [("21", "10")], [("21", "-10", "-2.1")]),
        ("10.0001", "12.1002", [("21", "10.00005"), ("0", "0")], [("21", "10.0001", "2.1001")]),
        ("0", "0", [], [("0", "0", "0")]),
    ],
)
def test_what_is_claimed_is_split_by_rate_to_the_last_digit(
    excl: str, incl: str | None, lines: list[tuple[str, str]], rates: list[tuple[str | None, str, str]]
) -> None:
    found = rates_of(
        Decimal(excl),
        None if incl is None else Decimal(incl),
        [(Decimal(rate), Decimal(amount)) for rate, amount in lines],
    )

    assert [(None if rate is None else Decimal(rate), Decimal(one), Decimal(two)) for rate, one, two in rates] == found


def test_amounts_are_rounded_once() -> None:
    items = [Item([(Decimal(21), Decimal("0.0049"), Decimal("0.001"))], Decimal(1), credit=False)] * 1000

    figures = add_up(items, "EUR")

    assert (figures.excl_vat, figures.vat) == (Decimal("4.90"), Decimal("1.00"))
    assert add_up(items, "JPY").excl_vat == 5
