"""A statement as page, PDF and CSV, by button and by command."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from ocpi import clock, statement_papers, statement_text
from ocpi.models import Party, Platform, Statement, StatementTerms
from tests.admin_world import EVIL
from tests.admin_world import operator_fixture as operator_fixture
from tests.admin_world import viewer_fixture as viewer_fixture
from tests.unit.test_statements import BEGIN, END, Books, issue
from tests.unit.test_statements import books as books

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("emsp_side")]


@pytest.fixture(autouse=True)
def _november(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: END + timedelta(days=3))


@pytest.fixture
def issued(books: Books) -> Statement:
    StatementTerms.objects.create(fee_per_cdr="0.1", note=f"with love {EVIL}")
    books.add("A", "10")
    books.add("=1+1", "20", vat="19", at=BEGIN + timedelta(hours=5))
    return issue()


def run(*arguments: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command(*arguments, "--json", stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_the_csv_has_every_cdr_and_no_formula(issued: Statement) -> None:
    lines = list(csv.DictReader(io.StringIO("".join(statement_papers.as_csv(issued)))))

    assert [line["cdr_id"] for line in lines] == ["A", "'=1+1"]
    assert [line["incl_vat"] for line in lines] == ["12.1000", "23.8000"]
    assert [line["rates"] for line in lines] == ["21%", "19%"]


def test_the_pdf_is_one_and_the_same_each_time(issued: Statement) -> None:
    once, again = statement_papers.as_pdf(issued), statement_papers.as_pdf(issued)

    assert once.startswith(b"%PDF-")
    assert once == again
    assert len(once) > 2000


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Müller & Söhne <b>", "Müller &amp; Söhne &lt;b&gt;"),
        ("ΔΕΗ Ευρώπη", "<i>DEI</i> <i>Eyropi</i>"),
        ("Щит & Ёж", "<i>Shchit</i> &amp; <i>Yozh</i>"),
        ("Łódź", "<i>L</i>ód<i>z</i>"),
        ("東京 チャージ", '<font name="HeiseiKakuGo-W5">東京</font> <font name="HeiseiKakuGo-W5">チャージ</font>'),
        ("한전 KEPCO", '<font name="HYSMyeongJo-Medium">한전</font> KEPCO'),
        ("国网", '<font name="STSong-Light">国网</font>'),
        ("⚡𠮷", "<i>U+26A1U+20BB7</i>"),
    ],
)
def test_names_in_other_letters_are_readable_on_paper(given: str, shown: str) -> None:
    assert statement_text.markup(given) == shown
    assert statement_text.is_rewritten(given) == ("<i>" in shown)


def test_a_pdf_names_the_font_of_a_party_whose_name_needs_one(issued: Statement) -> None:
    plain = statement_papers.as_pdf(issued)

    with_party(issued, "東京電力")

    assert b"HeiseiKakuGo-W5" not in plain
    assert b"STSong-Light" in statement_papers.as_pdf(issued)


def with_party(row: Statement, name: str) -> None:
    Party.objects.create(
        country_code=row.country_code, party_id=row.party_id, role="CPO", business_details={"name": name},
        platform=Platform.objects.get(),
    )  # fmt: skip


def test_what_it_says(issued: Statement) -> None:
    text = " ".join(statement_papers.said(issued))

    assert "DE*EMS owes NL*TNM 35.90 EUR including 5.90 EUR VAT" in text
    assert "2 CDRs, 0 credits" in text
    assert statement_papers.sums(json.loads(issued.figures))[1:] == [
        ["19 % VAT", "20.00", "3.80", "23.80"],
        ["21 % VAT", "10.00", "2.10", "12.10"],
        ["Total", "30.00", "5.90", "35.90"],
    ]


def test_by_command(books: Books, tmp_path: Path) -> None:
    books.add("A", "10")

    would = run("issue_statements", "--month", "2026-10", "--dry-run")["statements"]
    (made,) = run("issue_statements", "--month", "2026-10", "--cpo", "NL*TNM")["statements"]
    again = run("issue_statements", "--month", "2026-10")["statements"]
    file = tmp_path / "statement"
    found = run("statement", made["number"], "--check", "--pdf", f"{file}.pdf", "--csv", f"{file}.csv")

    assert [(each["number"], each["incl_vat"]) for each in would] == [(None, "12.10")]
    assert (made["incl_vat"], made["emsp"], again) == ("12.10", "DE*EMS", [])
    assert (found["ok"], found["differences"]) == (True, [])
    assert Path(f"{file}.pdf").read_bytes().startswith(b"%PDF-")
    assert "A" in Path(f"{file}.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["issue_statements", "--month", "2026-13"], "must look like"),
        (["issue_statements", "--month", "2026-11"], "is not over yet"),
        (["issue_statements", "--cpo", "NL"], "must look like NL"),
        (["statement", "2026-000009"], "There is no statement"),
    ],
)
def test_a_command_that_cannot_be_says_why(arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        call_command(*arguments)


def test_an_operator_is_told_that_nothing_is_due(operator: Client, books: Books) -> None:
    answer = operator.post(reverse("admin:ocpi_statement_issue"), {"month": "2026-10", "pair": ""}, follow=True)

    assert answer.redirect_chain == [(reverse("admin:ocpi_statement_changelist"), 302)]
    assert "Nothing is due for 2026-10." in answer.content.decode()


def test_an_operator_issues_after_seeing_what_is_due(operator: Client, books: Books) -> None:
    books.add("A", "10")
    url = reverse("admin:ocpi_statement_issue")

    form = operator.get(url).content.decode()
    asked = operator.post(url, {"month": "2026-10", "pair": ""}).content.decode()
    assert "2026-10" in form
    assert "DE*EMS owes NL*TNM 12.10 EUR for 1 CDRs" in asked
    assert not Statement.objects.exists()
    operator.post(url, {"month": "2026-10", "pair": "", "confirmed": "yes"})

    assert Statement.objects.get().issued_by == "operator"
    refused = operator.post(url, {"month": "2026-11", "pair": ""}).content.decode()
    assert "is not over yet" in refused


def test_its_page_its_papers_and_its_check(operator: Client, issued: Statement) -> None:
    def get(name: str) -> Any:
        return operator.get(reverse(f"admin:ocpi_statement_{name}", args=[issued.pk]))

    page = get("change").content.decode()
    assert "35.90" in page
    assert "Fee of" in page
    assert EVIL not in page
    assert get("pdf")["Content-Type"] == "application/pdf"
    assert b"".join(get("csv").streaming_content).startswith(b"position,")
    assert "right to the cent" in get("compare").content.decode()
    assert operator.get(reverse("admin:ocpi_statement_changelist")).status_code == 200


def test_who_may_not_look_gets_no_paper(viewer: Client, issued: Statement) -> None:
    urls = [reverse(f"admin:ocpi_statement_{name}", args=[issued.pk]) for name in ("pdf", "csv", "compare")]

    assert {viewer.get(url).status_code for url in urls} == {403}
    assert viewer.post(reverse("admin:ocpi_statement_issue"), {"month": "2026-10"}).status_code == 403
