"""What an operator sees and does with CDRs that are wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from cpo.models import CDR
from emsp.models import CDR as RECEIVED
from emsp.modules import cdr_checks
from tests.admin_world import operator_fixture as operator_fixture
from tests.admin_world import viewer_fixture as viewer_fixture
from tests.fixtures import Document
from tests.people import Person

pytestmark = pytest.mark.django_db


@pytest.fixture
def cdr(cpo_side: None, emsp: Person, document: Document) -> CDR:
    found = document("cdr")
    return CDR.objects.create(
        country_code="NL", party_id="TNM", object_id=found["id"], last_updated=found["last_updated"],
        document=json.dumps(found), token_uid="T", start_date_time=found["start_date_time"],
        emsp_country_code="DE", emsp_party_id="EMS",
    )  # fmt: skip


def button(cdr: CDR, name: str) -> str:
    return reverse(f"admin:cpo_cdr_{name}", args=[cdr.pk])


def said(answer: Any) -> list[str]:
    return [str(message) for message in get_messages(answer.wsgi_request)]


@pytest.mark.req("CDR-20", "SEC-53")
def test_a_cdr_is_taken_back_after_a_question_and_with_a_reason(operator: Client, cdr: CDR) -> None:
    asked = operator.post(button(cdr, "credit"))
    unexplained = operator.post(button(cdr, "credit"), {"confirmed": "yes", "reason": " "})
    assert "Take this CDR back?" in asked.content.decode()
    assert unexplained.status_code == 200
    assert CDR.objects.count() == 1

    done = operator.post(button(cdr, "credit"), {"confirmed": "yes", "reason": "Free for staff"})

    credit = CDR.objects.get(credit=True)
    assert (credit.original, credit.reason) == (cdr, "Free for staff")
    assert said(done) == [f"Credit CDR {cdr.object_id}-C is issued."]
    again = operator.post(button(cdr, "credit"), {"confirmed": "yes", "reason": "Free for staff"})
    assert "already taken back" in said(again)[-1]
    page = operator.get(reverse("admin:cpo_cdr_changelist")).content.decode()
    assert "taken back" in page


@pytest.mark.req("CDR-24")
def test_a_cdr_is_taken_back_and_issued_anew(operator: Client, cdr: CDR) -> None:
    operator.post(button(cdr, "credit_and_reissue"), {"confirmed": "yes", "reason": "Lost at the eMSP"})

    first, credit, anew = CDR.objects.order_by("id")
    assert (first, credit.original, anew.replaces) == (cdr, cdr, cdr)
    assert operator.get(reverse("admin:cpo_cdr_change", args=[anew.pk])).status_code == 200


@pytest.mark.req("SEC-53")
def test_who_may_only_look_takes_nothing_back(viewer: Client, cdr: CDR) -> None:
    answers = [viewer.post(button(cdr, name), {"confirmed": "yes", "reason": "x"})
               for name in ("credit", "credit_and_reissue")]  # fmt: skip

    assert {answer.status_code for answer in answers} == {403}
    assert CDR.objects.count() == 1


@pytest.mark.req("CDR-26")
def test_the_emsp_sees_which_cdrs_were_taken_back_and_which_credits_are_odd(
    emsp_side: None, cpo: Person, document: Document, operator: Client
) -> None:
    turned = {"credit": True, "total_cost": {"excl_vat": -18.875, "incl_vat": -22.8388}}
    cpo.post("emsp/2.2.1/cdrs", document("cdr"))
    cpo.post("emsp/2.2.1/cdrs", document("cdr", id="ODD", credit_reference_id="NEVER-SEEN", **turned))
    before = operator.get(reverse("admin:emsp_cdr_changelist")).content.decode()
    cpo.post("emsp/2.2.1/cdrs", document("cdr", id="A", credit_reference_id="cdr-20250912-0042", **turned))
    cdr_checks.check_waiting()

    page = operator.get(reverse("admin:emsp_cdr_changelist")).content.decode()

    assert "taken back" not in before
    assert page.count("taken back") == 1
    assert "original unknown" in page
    assert RECEIVED.objects.count() == 3
