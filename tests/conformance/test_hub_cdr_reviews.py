"""CDRs that pass through the hub: passed on unchanged and at once, and held against what else has passed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError

from hub import direct_versions, passing
from hub.models import Permission, SharedObject
from ocpi import cdr_reviews, clock, snapshot
from ocpi.models import CdrReview, MeterKey
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener
from tests.unit.test_signed_meter import REAL, REAL_KEY, Meter, value

CDRS = "hub/2.2.1/receiver/cdrs"
pytestmark = pytest.mark.usefixtures("hub_side")


class Passing:
    """A CPO and an eMSP that send each other everything through the hub."""

    def __init__(self, partner: Partner, document: Document, listener: Listener) -> None:
        self.document = document
        self.cpo = partner("NL*TNM:CPO")
        self.emsp = partner("DE*EMS:EMSP", listener=listener)
        self.listener = listener

    def tell(self, *, session: bool = True) -> None:
        """Send all that a good CDR refers to."""
        receiver = "hub/2.2.1/receiver"
        energy = self.document("cdr")["total_energy"]
        self._put(self.cpo, f"{receiver}/locations/NL/TNM/LOC-UTR-0042", self.document("location"), "NL*HUB")
        self._put(self.cpo, f"{receiver}/tariffs/NL/TNM/TNM-FLEX", self.document("tariff"), "NL*HUB")
        token = self.document("token_rfid")
        self._put(self.emsp, f"{receiver}/tokens/DE/EMS/{token['uid']}", token, "NL*HUB")
        if session:
            body = self.document("session", status="COMPLETED", kwh=energy)
            self._put(self.cpo, f"{receiver}/sessions/NL/TNM/{body['id']}", body, "DE*EMS")

    def _put(self, person: Person, path: str, body: dict[str, Any], to: str) -> None:
        answer = person.put(path, body, to=to)
        assert answer.status_code == 1000, answer.message
        passing.flush()

    def bill(self, **members: Any) -> CdrReview:
        body = self.document("cdr", **members)
        assert self.cpo.post(CDRS, body, to="DE*EMS").status_code == 1000
        cdr_reviews.review_due()
        return CdrReview.objects.get(cdr_id=body["id"])


@pytest.fixture
def between(partner: Partner, document: Document, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> Passing:
    ended = datetime.fromisoformat(document("cdr")["end_date_time"])
    monkeypatch.setattr(clock, "now", lambda: ended + timedelta(minutes=1))
    return Passing(partner, document, listener)


def codes(row: CdrReview) -> set[str]:
    return set(row.findings.values_list("code", flat=True))


@pytest.mark.req("PRI-98")
def test_nothing_is_found_in_a_good_cdr(between: Passing) -> None:
    between.tell()

    row = between.bill()

    assert (row.verdict, codes(row)) == ("good", set())


@pytest.mark.req("PRI-98", "HUB-62")
def test_a_cdr_is_kept_before_its_sender_is_answered(between: Passing) -> None:
    body = between.document("cdr")

    assert between.cpo.post(CDRS, body, to="DE*EMS").status_code == 1000
    passing.forget()  # as a kill of the hub does

    assert CdrReview.objects.get().cdr_id == body["id"]
    assert SharedObject.objects.get(module="cdrs").receiver == "DE*EMS"


@pytest.mark.req("PRI-98", "HUB-62")
def test_a_cdr_that_passes_while_the_database_is_away_is_kept_when_it_is_back(
    between: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: object, **named: object) -> None:
        raise OperationalError("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(direct_versions, "store", away)
        assert between.cpo.post(CDRS, between.document("cdr"), to="DE*EMS").status_code == 1000
        assert not CdrReview.objects.exists()
    passing.flush()

    assert CdrReview.objects.exists()


@pytest.mark.req("PRI-98")
def test_a_wrong_one_is_passed_on_as_it_is_and_found(between: Passing) -> None:
    between.tell()
    wrong = {"excl_vat": 99.0, "incl_vat": 119.79}

    row = between.bill(total_cost=wrong)

    assert between.listener.requests[-1].json["total_cost"] == wrong
    assert (row.verdict, "price_differs" in codes(row)) == ("wrong", True)


def test_of_what_a_party_never_sends_nothing_is_missed(between: Passing) -> None:
    assert codes(between.bill()) == set()


def test_a_session_that_did_not_pass_is_missed_where_others_do(between: Passing) -> None:
    between.tell()

    assert codes(between.bill(session_id="SES-OTHER")) == {"session_unknown"}


def test_the_same_session_billed_twice_is_found(between: Passing) -> None:
    between.bill()

    assert codes(between.bill(id="CDR-2")) == {"duplicate"}


@pytest.mark.req("SEC-40")
def test_what_was_charged_before_the_agreement_is_outside_of_it(between: Passing) -> None:
    started = datetime.fromisoformat(between.document("cdr")["start_date_time"])
    Permission.objects.create(
        effect="DENY", from_country_code="NL", to_country_code="DE", valid_until=started + timedelta(hours=1)
    )
    snapshot.changed()

    assert codes(between.bill()) == {"outside_agreement"}


def test_signed_meter_data_is_verified_on_its_way(between: Passing) -> None:
    MeterKey.objects.create(country_code="NL", party_id="TNM", serial="17619300", public_key=Meter().key)

    row = between.bill(signed_data={"encoding_method": "OCMF", "public_key": REAL_KEY, "signed_values": [value(REAL)]})

    assert row.signed_verdict == "invalid"
    assert {"signature_wrong", "signed_data_odd"} <= codes(row)
