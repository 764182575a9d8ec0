"""CDRs that come to an eMSP: stored first, then held against all that is known; never blocked, never changed."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from psycopg.errors import DeadlockDetected

from emsp.models import CDR, Token
from emsp.modules import cdr_checks, tokens_operations
from ocpi import cdr_disputes, cdr_reviews, clock
from ocpi.models import AuditEntry, CdrReview, MeterKey
from tests.fixtures import Document
from tests.people import Person
from tests.troubles import raised_by
from tests.unit.test_signed_meter import REAL, REAL_KEY, Meter, value

URL = "emsp/2.2.1/cdrs"
pytestmark = pytest.mark.usefixtures("emsp_side")


class Billing:
    """A CPO that has told all that a good CDR refers to, and bills."""

    def __init__(self, cpo: Person, document: Document) -> None:
        self.cpo, self.document = cpo, document
        for path, body in (
            ("locations/NL/TNM/LOC-UTR-0042", document("location")),
            ("tariffs/NL/TNM/TNM-FLEX", document("tariff")),
            ("sessions/NL/TNM/SES-20250912-0042", self.session()),
        ):
            assert cpo.put(f"emsp/2.2.1/{path}", body).ok
        tokens_operations.keep(json.dumps(document("token_rfid")).encode())

    def session(self, **members: Any) -> dict[str, Any]:
        energy = self.document("cdr")["total_energy"]
        found: dict[str, Any] = self.document("session", status="COMPLETED", kwh=energy, **members)
        return found

    def bill(self, **members: Any) -> CdrReview:
        body = self.document("cdr", auth_method="WHITELIST", **members)
        answer = self.cpo.post(URL, body)
        assert answer.codes == (201, 1000), answer.message
        return self.review(body["id"])

    def review(self, name: str) -> CdrReview:
        cdr_checks.check(CDR.objects.get(object_id=name))
        return CdrReview.objects.get(cdr_id=name)


@pytest.fixture
def billing(cpo: Person, document: Document, monkeypatch: pytest.MonkeyPatch) -> Billing:
    # The sample CDR is of 2025; it arrives the same day.
    ended = datetime.fromisoformat(document("cdr")["end_date_time"])
    monkeypatch.setattr(clock, "now", lambda: ended + timedelta(minutes=1))
    return Billing(cpo, document)


def codes(row: CdrReview) -> set[str]:
    return set(row.findings.values_list("code", flat=True))


@pytest.mark.req("PRI-98")
def test_a_good_cdr_has_no_finding(billing: Billing) -> None:
    row = billing.bill()

    assert (row.verdict, codes(row)) == ("good", set())
    assert (row.country_code, row.emsp_party_id, row.currency) == ("NL", "EMS", "EUR")
    assert row.computed_excl_vat == row.total_excl_vat


@pytest.mark.req("PRI-98", "PRI-90")
def test_a_wrong_cdr_is_accepted_and_kept_as_it_came(billing: Billing) -> None:
    row = billing.bill(total_cost={"excl_vat": 99.0, "incl_vat": 119.79})

    assert row.verdict == "wrong"
    found = row.findings.get(code="price_differs", field="total_cost.excl_vat")
    assert (found.claimed, found.expected) == ("99.0000", f"{row.computed_excl_vat:.4f}")
    assert json.loads(CDR.objects.get().document)["total_cost"]["excl_vat"] == 99.0
    assert json.loads(row.check_result)["lines"]


def test_the_same_session_billed_twice_is_found_at_the_second(billing: Billing) -> None:
    first, second = billing.bill(), billing.bill(id="CDR-2")

    assert codes(first) == set()
    assert "duplicate" in codes(second)
    assert second.findings.get(code="duplicate").expected == f"CDR {first.cdr_id}"


def test_a_cdr_that_comes_again_otherwise_is_refused_and_noted(billing: Billing) -> None:
    row = billing.bill()

    answer = billing.cpo.post(URL, billing.document("cdr", remark="otherwise"))

    assert answer.codes == (200, 2001)
    assert "same_id_other_content" in codes(billing.review(row.cdr_id))
    assert CDR.objects.count() == 1


def test_who_is_not_our_driver_is_found(billing: Billing) -> None:
    Token.objects.all().delete()

    assert {"token_unknown"} <= codes(billing.bill())


def test_what_comes_later_is_held_against_it_once_more(
    cpo: Person, document: Document, billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = billing.bill(session_id="SES-LATE")
    assert codes(row) == {"session_unknown"}
    assert row.again_at is not None
    assert cpo.put("emsp/2.2.1/sessions/NL/TNM/SES-LATE", billing.session(id="SES-LATE")).ok

    monkeypatch.setattr(clock, "now", lambda: row.again_at)
    assert cdr_reviews.review_due() == 1

    row.refresh_from_db()
    assert (row.verdict, codes(row)) == ("good", set())
    assert not row.again_at


@pytest.mark.req("CDR-51")
@pytest.mark.parametrize(("registered", "verdict"), [("", "verified"), (REAL_KEY, "verified"), ("other", "invalid")])
def test_signed_meter_data_is_verified_with_the_registered_key_first(
    billing: Billing, registered: str, verdict: str
) -> None:
    if registered:
        key = Meter().key if registered == "other" else registered
        MeterKey.objects.create(country_code="nl", party_id="tnm", serial="17619300", public_key=key)

    row = billing.bill(signed_data={"encoding_method": "OCMF", "public_key": REAL_KEY, "signed_values": [value(REAL)]})

    assert row.signed_verdict == verdict
    assert ("signature_wrong" in codes(row)) == (verdict == "invalid")
    assert "signed_energy_differs" in codes(row)  # a tenth of a watt hour, in another year


def test_another_encoding_is_kept_and_shown_as_not_verified(billing: Billing) -> None:
    row = billing.bill(signed_data={"encoding_method": "EDL40 Mennekes", "signed_values": [value("of its own")]})

    assert (row.signed_verdict, row.verdict) == ("unverified", "good")
    assert "EDL40 Mennekes" in CDR.objects.get().document


def test_a_dispute_ends_with_the_credit_cdr(billing: Billing) -> None:
    row = billing.bill(total_cost={"excl_vat": 99.0, "incl_vat": 119.79})
    cdr_disputes.move(row.pk, "OPEN", by="anna", text="nearly a hundred for nothing")
    credit = {
        "id": f"{row.cdr_id}-C",
        "credit": True,
        "credit_reference_id": row.cdr_id,
        "total_cost": {"excl_vat": -99.0, "incl_vat": -119.79},
    }

    credited = billing.bill(**credit)
    again = billing.bill(id="CDR-NEW")

    row.refresh_from_db()
    assert (row.dispute, row.taken_back) == ("CREDITED", True)
    assert codes(credited) == {"price_differs"}  # the credit of a wrong price is as wrong
    assert codes(again) == set()  # what was taken back is no duplicate


def test_every_step_of_a_dispute_is_written_down(billing: Billing) -> None:
    row = billing.bill()

    for to, text in (("OPEN", "too much"), ("AGREED", "they say so, too"), ("WITHDRAWN", "no, it is right")):
        cdr_disputes.move(row.pk, to, by="anna", text=text)
    with pytest.raises(cdr_disputes.NotPossible):
        cdr_disputes.move(row.pk, "AGREED", by="anna", text="once more")
    with pytest.raises(cdr_disputes.NotPossible):
        cdr_disputes.move(row.pk, "OPEN", by="anna", text=" ")

    assert list(row.notes.order_by("id").values_list("dispute", "text", "by")) == [
        ("OPEN", "too much", "anna"),
        ("AGREED", "they say so, too", "anna"),
        ("WITHDRAWN", "no, it is right", "anna"),
    ]
    assert AuditEntry.objects.filter(action__startswith="cdr.dispute.").count() == 3


def test_one_that_fails_keeps_no_other_waiting(billing: Billing, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("A", "B"):
        assert billing.cpo.post(URL, billing.document("cdr", id=name)).ok
    CdrReview.objects.filter(cdr_id="A").update(cdr_id="NOWHERE")

    assert cdr_reviews.review_due() == 2

    assert dict(CdrReview.objects.values_list("cdr_id", "verdict"))["NOWHERE"] == "noted"
    assert CdrReview.objects.filter(verdict="").count() == 0


@pytest.mark.req("PRI-98")
def test_a_cdr_is_reviewed_later_if_the_database_could_not_do_it(
    billing: Billing, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crossed(*_arguments: Any) -> Any:
        raise raised_by(DeadlockDetected)

    assert billing.cpo.post(URL, document("cdr", auth_method="WHITELIST")).codes == (201, 1000)
    with monkeypatch.context() as patched:
        patched.setattr(cdr_reviews, "review", crossed)
        cdr_checks.check_waiting()
        reviewed = cdr_reviews.review_due()
    verdicts = (reviewed, CDR.objects.get().verdict, CdrReview.objects.get().verdict)

    cdr_checks.check_waiting()

    assert verdicts == (0, "", "")
    assert (CDR.objects.get().verdict, CdrReview.objects.get().verdict) == ("match", "good")
