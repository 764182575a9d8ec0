"""What an eMSP bills by, and what it asks for before it authorizes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from emsp.models import CDR, Token
from emsp.modules import cdr_checks, tokens_operations
from tests.fixtures import Document
from tests.people import Person

TAG = "04C7A1E2B95D80"
AUTHORIZE = f"emsp/2.2.1/tokens/{TAG}/authorize"
pytestmark = pytest.mark.usefixtures("emsp_side")


@pytest.fixture
def token(db: None, document: Document) -> Token:
    tokens_operations.keep(json.dumps(document("token_rfid", whitelist="NEVER")).encode())
    return Token.objects.get()


@pytest.mark.req("CDR-12")
@pytest.mark.parametrize("cost", [None, 0.0, 99.0])
def test_what_a_session_said_it_costs_changes_nothing_about_its_cdr(
    cpo: Person, document: Document, cost: float | None
) -> None:
    total = None if cost is None else {"excl_vat": cost}
    session = document("session", status="COMPLETED", total_cost=total)
    assert cpo.put("emsp/2.2.1/sessions/NL/TNM/SES-20250912-0042", session).ok
    cpo.put("emsp/2.2.1/locations/NL/TNM/LOC-UTR-0042", document("location"))

    cpo.post("emsp/2.2.1/cdrs", document("cdr"))
    cdr_checks.check(CDR.objects.get())

    assert CDR.objects.get().verdict == "match"


@pytest.mark.req("TOK-22", "VER-07")
def test_who_has_a_token_that_is_never_on_a_list_can_be_asked(token: Token, cpo: Person) -> None:
    details = cpo.get("2.2.1").data["endpoints"]
    url = next(each["url"] for each in details if (each["identifier"], each["role"]) == ("tokens", "SENDER"))

    answer = cpo.post(f"{url}/{TAG}/authorize")

    assert answer.codes == (200, 1000)
    assert answer.data["token"]["whitelist"] == "NEVER"


@pytest.mark.req("TOK-29")
@pytest.mark.parametrize(
    ("needed", "body", "code"),
    [
        (True, None, 2002),
        (True, {"location_id": "LOC-UTR-0042"}, 1000),
        (False, None, 1000),
    ],
)
def test_too_little_information_is_a_2002(
    token: Token, cpo: Person, settings: Settings, needed: bool, body: Any, code: int
) -> None:
    settings.OCPI_AUTHORIZE_NEEDS_LOCATION = needed

    answer = cpo.post(AUTHORIZE, body)

    assert answer.codes == (200, code)
    assert answer.has_data == (code == 1000)


@pytest.mark.req("SES-34", "CDR-40")
def test_values_of_a_moment_belong_to_sessions_and_bill_nothing_in_a_cdr(cpo: Person, document: Document) -> None:
    momentary = [{"type": kind, "volume": 7} for kind in
                 ("CURRENT", "ENERGY_EXPORT", "ENERGY_IMPORT", "POWER", "STATE_OF_CHARGE")]  # fmt: skip
    session, cdr = document("session"), document("cdr")
    for body in (session, cdr):
        body["charging_periods"][1]["dimensions"] += momentary
    cpo.put("emsp/2.2.1/locations/NL/TNM/LOC-UTR-0042", document("location"))
    path = "emsp/2.2.1/sessions/NL/TNM/SES-20250912-0042"

    assert cpo.put(path, session).ok
    kept = cpo.get(path).data  # its CDR will end it
    assert cpo.post("emsp/2.2.1/cdrs", cdr).ok
    cdr_checks.check(CDR.objects.get())

    assert kept == session
    assert (CDR.objects.get().verdict, CDR.objects.get().computed_cost) == ("match", "18.8750")
