"""What an operator sees of CDR reviews, and does with them."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import openpyxl
import pytest
from django.test import Client
from django.urls import reverse

from emsp.models import CDR
from emsp.modules import cdr_checks
from ocpi import cdr_reviews
from ocpi.models import AuditEntry, CdrReview, MeterKey
from tests.admin_world import EVIL
from tests.admin_world import operator_fixture as operator_fixture
from tests.admin_world import viewer_fixture as viewer_fixture
from tests.fixtures import Document
from tests.people import Person
from tests.unit.test_signed_meter import REAL_KEY

LIST = "/admin/ocpi/cdrreview/"


@pytest.fixture
def rows(emsp_side: None, cpo: Person, document: Document) -> list[CdrReview]:
    """Return the review of a good price and of a wrong one."""
    wrong = {"excl_vat": 99.0, "incl_vat": 119.79}
    for changes in ({}, {"id": "CDR-WRONG", "session_id": f"S{EVIL}", "total_cost": wrong}):
        assert cpo.post("emsp/2.2.1/cdrs", document("cdr", **changes)).ok
    for cdr in CDR.objects.order_by("id"):
        cdr_checks.check(cdr)
    return list(CdrReview.objects.order_by("id"))


def page(row: CdrReview, name: str = "change") -> str:
    return reverse(f"admin:ocpi_cdrreview_{name}", args=[row.pk])


def shown(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    text = answer.content.decode()
    assert EVIL not in text
    return text


def test_the_list_says_what_was_found_and_can_be_narrowed(operator: Client, rows: list[CdrReview]) -> None:
    everything = shown(operator, LIST)
    priced = shown(operator, f"{LIST}?code=price_differs")
    by_verdict = shown(operator, f"{LIST}?verdict=wrong")

    assert "NL*TNM → DE*EMS" in everything
    assert "price differs" in everything
    for narrowed in (priced, by_verdict):
        assert rows[1].cdr_id in narrowed
        assert rows[0].cdr_id not in narrowed


def test_the_page_shows_both_figures_the_lines_and_the_periods(operator: Client, rows: list[CdrReview]) -> None:
    text = shown(operator, page(rows[1]))

    assert "the Tariff gives another total" in text
    assert "99.0000" in text
    assert f"{rows[1].computed_excl_vat:.4f}" in text
    assert 'class="o-chart"' in text
    assert text.count('class="o-period o-charging"') == 1
    assert text.count('class="o-period o-parking"') == 1
    assert "TNM-FLEX [4]" in text


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_what_is_shown_is_exported(operator: Client, rows: list[CdrReview], kind: str) -> None:
    CdrReview.objects.filter(pk=rows[1].pk).update(session_id="=1+1")
    fields = {f"cdrreviewresource_{name}": "on" for name in ("cdr_id", "session_id", "total_excl_vat", "codes")}
    form = {"format": {"csv": "0", "xlsx": "1"}[kind], "resource": "0", **fields}

    answer = operator.post(f"{LIST}export/?verdict=wrong", form)

    assert answer.status_code == 200
    if kind == "csv":
        table = [list(row) for row in csv.reader(io.StringIO(answer.content.decode()))]
    else:
        sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).active
        assert sheet is not None
        table = [[str(cell) for cell in row] for row in sheet.iter_rows(values_only=True)]
    head, *found = table
    assert len(found) == 1
    line = dict(zip(head, found[0], strict=True))
    assert (line["cdr_id"], line["session_id"]) == ("CDR-WRONG", "1+1")  # no formula
    assert "price_differs" in line["findings"].split()


def test_a_dispute_needs_a_word_and_is_shown(operator: Client, rows: list[CdrReview]) -> None:
    url = page(rows[1], "dispute")
    assert "Dispute this CDR?" in operator.post(url).content.decode()
    operator.post(url, {"confirmed": "yes", "reason": " "})
    assert CdrReview.objects.get(pk=rows[1].pk).dispute == ""

    operator.post(url, {"confirmed": "yes", "reason": "a hundred for nothing"})
    operator.post(page(rows[1], "write"), {"text": f"called them {EVIL}"})

    text = shown(operator, page(rows[1]))
    assert CdrReview.objects.get(pk=rows[1].pk).dispute == "OPEN"
    assert "a hundred for nothing" in text
    assert "called them" in text
    assert AuditEntry.objects.filter(action="cdr.dispute.open").count() == 1
    operator.post(page(rows[1], "withdraw"), {"confirmed": "yes", "reason": "it was two cars"})
    assert CdrReview.objects.get(pk=rows[1].pk).dispute == "WITHDRAWN"


def test_review_again_has_it_reviewed_again(operator: Client, rows: list[CdrReview]) -> None:
    operator.post(page(rows[0], "review_again"))

    assert CdrReview.objects.get(pk=rows[0].pk).verdict == ""
    assert cdr_reviews.review_due() == 1
    assert CdrReview.objects.get(pk=rows[0].pk).verdict != ""


def test_who_bills_well(operator: Client, rows: list[CdrReview]) -> None:
    text = shown(operator, reverse("admin:ocpi_cdrreview_by_party"))

    assert "NL*TNM" in text
    assert '<span class="o-badge o-bad">1</span>' in text


def test_who_may_not_look_sees_nothing(viewer: Client, rows: list[CdrReview]) -> None:
    urls = [LIST, page(rows[0]), f"{LIST}export/", reverse("admin:ocpi_cdrreview_by_party")]

    assert {viewer.get(url).status_code for url in urls} <= {302, 403}
    for name in ("dispute", "review_again", "write"):
        assert viewer.post(page(rows[0], name), {"confirmed": "yes", "reason": "no", "text": "no"}).status_code == 403
    assert not CdrReview.objects.filter(verdict="").exists()
    assert not CdrReview.objects.exclude(dispute="").exists()


@pytest.mark.parametrize(("key", "kept"), [(REAL_KEY, 1), ("no key", 0)])
def test_a_key_of_a_meter_must_be_one(operator: Client, key: str, kept: int) -> None:
    body: dict[str, Any] = {"country_code": "nl", "party_id": "tnm", "serial": "1", "public_key": key, "note": "plate"}

    answer = operator.post("/admin/ocpi/meterkey/add/", body)

    assert MeterKey.objects.count() == kept
    assert kept or "neither a DER public key" in answer.content.decode()
    assert json.dumps([row.country_code for row in MeterKey.objects.all()]) == json.dumps(["NL"] * kept)


def test_the_page_of_the_cdr_itself_shows_its_periods_and_leads_to_the_review(
    operator: Client, rows: list[CdrReview]
) -> None:
    cdr = CDR.objects.get(object_id=rows[1].cdr_id)

    text = shown(operator, reverse("admin:emsp_cdr_change", args=[cdr.pk]))

    assert 'class="o-chart"' in text
    assert "TNM-FLEX [4]" in text
    assert page(rows[1]) in text
