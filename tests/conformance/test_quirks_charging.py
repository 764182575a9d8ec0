"""What real partners do wrong while somebody charges: out of order, missing, or written oddly."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.utils import timezone

from emsp.models import CDR, Authorization, Session, Token
from emsp.modules import cdr_checks
from emsp.modules import tokens_operations as tokens
from ocpi import normal_ids
from tests.conformance.suites import LATER, LATEST
from tests.deviations import counted
from tests.fixtures import Document
from tests.people import Person

SESSION = "emsp/2.2.1/sessions/NL/TNM/SES-20250912-0042"
CDRS = "emsp/2.2.1/cdrs"
LOCATION = "emsp/2.2.1/locations/NL/TNM/LOC-UTR-0042"
LAST = "2026-03-01T00:00:00Z"
req = pytest.mark.req
pytestmark = pytest.mark.usefixtures("emsp_side")

# ---------------------------------------------------------------- QRK-27: Sessions out of order


# What comes after COMPLETED at LATER → the answer, the status that holds, what is counted.
AFTER: list[tuple[dict[str, Any], tuple[int, int], str, dict[str, int]]] = [
    ({"status": "ACTIVE", "last_updated": LATEST}, (200, 1000), "COMPLETED",
     {"SES-14 change after COMPLETED": 1, "QRK-27 ACTIVE after COMPLETED": 1}),
    ({"status": "ACTIVE", "last_updated": LATER}, (200, 1000), "COMPLETED",
     {"SES-14 change after COMPLETED": 1, "QRK-27 ACTIVE after COMPLETED": 1}),
    ({"status": "PENDING", "last_updated": LATEST}, (200, 1000), "COMPLETED",
     {"SES-14 change after COMPLETED": 1, "QRK-27 PENDING after COMPLETED": 1}),
    ({"status": "ACTIVE", "last_updated": "2025-09-12T16:30:00Z"}, (200, 2001), "COMPLETED",
     {"TRN-039 refused: last_updated": 1}),
    ({"status": "INVALID", "last_updated": LATEST}, (200, 1000), "INVALID", {"SES-14 change after COMPLETED": 1}),
    ({"kwh": 30, "last_updated": LATEST}, (200, 1000), "COMPLETED", {"SES-14 change after COMPLETED": 1}),
]  # fmt: skip


@pytest.mark.req("QRK-27", "SES-14")
@pytest.mark.parametrize(("change", "codes", "status", "kinds"), AFTER, ids=range(len(AFTER)))
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_the_newest_word_counts_and_an_end_is_an_end(
    cpo: Person, document: Document, method: str,
    change: dict[str, Any], codes: tuple[int, int], status: str, kinds: dict[str, int],
) -> None:  # fmt: skip
    ended = document("session", status="COMPLETED", last_updated=LATER)
    cpo.put(SESSION, ended)

    answer = cpo.request(method, SESSION, {**ended, **change} if method == "PUT" else change)

    assert answer.codes == codes
    found = cpo.get(SESSION).data
    applied = change if codes == (200, 1000) else {}
    assert found == {**ended, **applied, "status": status}
    assert Session.objects.get().status == status
    assert counted(cpo) == kinds


@pytest.mark.req("QRK-27")
def test_before_the_end_the_status_is_what_was_said_last(cpo: Person, document: Document) -> None:
    for status, moment in (("RESERVATION", LATER), ("ACTIVE", LATEST), ("PENDING", LAST)):
        assert cpo.put(SESSION, document("session", status=status, last_updated=moment)).ok
        assert Session.objects.get().status == status

    assert counted(cpo) == {}


# ---------------------------------------------------------------- QRK-28: Sessions and CDRs that do not meet


@pytest.mark.req("QRK-28")
@pytest.mark.parametrize(("session_id", "cdr_id"), [
    ("SES-20250912-0042", "CDR-1"), ("ses-20250912-0042", "CDR-1"), (None, "SES-20250912-0042"),
])  # fmt: skip
def test_a_cdr_ends_the_session_that_was_never_completed(
    cpo: Person, document: Document, session_id: str | None, cdr_id: str
) -> None:
    sent = document("session")
    cpo.put(SESSION, sent)

    answer = cpo.post(CDRS, document("cdr", id=cdr_id, session_id=session_id))

    cdr = document("cdr")
    assert answer.codes == (201, 1000)
    assert cpo.get(SESSION).data == {
        **sent, "status": "COMPLETED", "end_date_time": cdr["end_date_time"], "kwh": cdr["total_energy"],
        "total_cost": cdr["total_cost"],
    }  # fmt: skip
    assert Session.objects.get().status == "COMPLETED"
    assert counted(cpo) == {"QRK-28 CDR of an open Session": 1}
    # Its own last word still comes through, and cannot open it again.
    assert cpo.patch(SESSION, {"status": "ACTIVE", "kwh": 22, "last_updated": "2025-09-12T17:00:00Z"}).ok
    assert (cpo.get(SESSION).data["status"], cpo.get(SESSION).data["kwh"]) == ("COMPLETED", 22)


@pytest.mark.req("QRK-28")
@pytest.mark.parametrize("status", ["COMPLETED", "INVALID"])
def test_a_cdr_leaves_a_session_that_has_ended_as_it_is(cpo: Person, document: Document, status: str) -> None:
    sent = document("session", status=status)
    cpo.put(SESSION, sent)

    cpo.post(CDRS, document("cdr"))

    assert cpo.get(SESSION).data == sent
    assert counted(cpo) == {}


@pytest.mark.req("QRK-28", "SES-23")
def test_a_cdr_without_a_session_is_taken_and_the_session_may_follow(cpo: Person, document: Document) -> None:
    answer = cpo.post(CDRS, document("cdr"))
    late = cpo.put(SESSION, document("session"))

    assert (answer.codes, late.codes) == ((201, 1000), (201, 1000))
    assert Session.objects.get().status == "COMPLETED"
    assert counted(cpo) == {"QRK-28 CDR without a Session": 1, "QRK-27 ACTIVE after COMPLETED": 1}


@pytest.mark.req("QRK-28", "QRK-22")
def test_the_session_of_another_cpo_under_the_same_id_stays_open(
    cpo: Person, second_cpo: Person, document: Document
) -> None:
    second_cpo.put(SESSION.replace("NL/TNM", "FR/CPX"), document("session", country_code="FR", party_id="CPX"))

    cpo.post(CDRS, document("cdr"))

    assert Session.objects.get().status == "ACTIVE"
    assert counted(cpo) == {"QRK-28 CDR without a Session": 1}
    assert cpo.put(SESSION, document("session")).codes == (201, 1000)
    assert {row.party_id: row.status for row in Session.objects.all()} == {"CPX": "ACTIVE", "TNM": "COMPLETED"}


@pytest.mark.req("QRK-28", "QRK-32")
def test_a_credit_cdr_ends_nothing(cpo: Person, document: Document) -> None:
    cpo.put(SESSION, document("session"))

    assert cpo.post(CDRS, document("cdr", id="CREDIT-1", credit=True, credit_reference_id="CDR-0")).codes == (201, 1000)

    assert Session.objects.get().status == "ACTIVE"


@pytest.mark.req("QRK-25")
def test_sessions_by_put_alone_and_periods_in_the_cdr_alone(cpo: Person, document: Document) -> None:
    bare = document("session", charging_periods=None, total_cost=None)
    for kwh, moment in ((1, LATER), (2, LATEST)):
        assert cpo.put(SESSION, {**bare, "kwh": kwh, "last_updated": moment}).ok

    answer = cpo.post(CDRS, document("cdr"))

    assert answer.codes == (201, 1000)
    session = cpo.get(SESSION).data
    assert (session["kwh"], "charging_periods" in session) == (document("cdr")["total_energy"], False)
    assert cpo.get(answer.headers["Location"]).data["charging_periods"] == document("cdr")["charging_periods"]


# ---------------------------------------------------------------- QRK-29, QRK-32, QRK-19: what a CDR says


def checked(**columns: Any) -> dict[str, Any]:
    """Return what the check of the only CDR says."""
    cdr = CDR.objects.get(**columns)
    cdr_checks.check(cdr)
    cdr.refresh_from_db()
    found: dict[str, Any] = json.loads(cdr.check_result)
    return found


@pytest.fixture
def known(cpo: Person, document: Document) -> None:
    """The Location, the Session and the Token of the CDR are known here."""
    cpo.put(LOCATION, document("location"))
    cpo.put(SESSION, document("session", status="COMPLETED"))
    token = Token.objects.get(pk=tokens.keep(json.dumps(document("token_rfid")).encode()).row_id)
    Authorization.objects.create(reference="AUTH-OURS", token=token, allowed="ALLOWED", at=timezone.now())


def place(**changes: Any) -> dict[str, Any]:
    return {"cdr_location": changes}


# What is odd in the CDR, the flags beside it, what is counted.
CDR_ROWS: list[tuple[pytest.MarkDecorator, dict[str, Any], list[str], dict[str, int]]] = [
    (req("QRK-29"), {}, [], {}),
    (req("QRK-29"), place(id="NEVER-SEEN"), ["location_unknown"], {"QRK-29 CDR for an unknown Location": 1}),
    (req("QRK-29"), place(evse_uid="NEVER-SEEN"), ["evse_unknown"], {"QRK-29 CDR for an unknown EVSE": 1}),
    (req("QRK-29"), place(evse_uid="#NA", evse_id="#NA"), [], {}),
    (req("PIT-38", "QRK-29"), place(evse_id="#NA"), [], {}),
    (req("QRK-29"), {"authorization_reference": None}, ["authorization_reference_missing"],
     {"QRK-29 authorization_reference missing": 1}),
    (req("QRK-29"), {"authorization_reference": None, "auth_method": "WHITELIST"}, [], {}),
    (req("QRK-29"), {"authorization_reference": "04C7A1E2B95D80", "auth_method": "AUTH_REQUEST"},
     ["authorization_unknown"],
     {"QRK-29 authorization_reference of nobody": 1}),
    (req("QRK-29"), {"authorization_reference": "auth-ours", "auth_method": "AUTH_REQUEST"}, [], {}),
    (req("QRK-28"), {"session_id": "ANOTHER"}, ["session_unknown"], {"QRK-28 CDR without a Session": 1}),
    (req("QRK-19"), place(evse_id="NLTNMEUTR00421"), [], {}),
    (req("QRK-19"), place(evse_id="nl-tnm-eutr0042-1"), [], {}),
    (req("QRK-19"), place(evse_id="NL*TNM*EUTR0042*2"), ["evse_id_differs"],
     {"QRK-19 evse_id of a CDR differs from the EVSE's": 1}),
    (req("QRK-19"), {"cdr_token": {"contract_id": "deemsc00004711a"}}, [], {}),
    (req("QRK-19"), {"cdr_token": {"contract_id": "DE*EMS*C00004711"}}, [], {}),
    (req("QRK-19"), {"cdr_token": {"contract_id": "DE-EMS-C00004712-A"}}, ["contract_id_differs"],
     {"QRK-19 contract_id of a CDR differs from the Token's": 1}),
    (req("QRK-33"), {"cdr_token": {"uid": "NOBODYS"}}, ["token_unknown"], {}),
    (req("QRK-32"), {"total_energy": 0}, [], {"QRK-32 CDR without energy": 1}),
    (req("QRK-32"), {"total_cost": {"excl_vat": 0}, "total_energy_cost": None, "total_time_cost": None}, [], {}),
    (req("PIT-37"), place(address="x" * 46), [], {"PIT-37 address or state of a CdrLocation too long": 1}),
    (req("PIT-33"), {"last_updated": "2025-09-12T16:00:00Z"}, [], {"PIT-33 last_updated before end_date_time": 1}),
    (req("PIT-39"), place(country="NL"), [], {"PIT-39 country": 1}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "flags", "kinds"),
    [pytest.param(*rest, marks=numbers, id=f"{numbers.args[0]}-{index}")
     for index, (numbers, *rest) in enumerate(CDR_ROWS)],
)  # fmt: skip
def test_an_odd_cdr_is_taken_flagged_and_counted(
    known: None, cpo: Person, document: Document, changes: dict[str, Any], flags: list[str], kinds: dict[str, int]
) -> None:
    body = document("cdr")
    for name, value in changes.items():
        if value is None:
            body.pop(name)
        elif isinstance(value, dict) and name in ("cdr_location", "cdr_token"):
            body[name].update(value)
        else:
            body[name] = value

    answer = cpo.post(CDRS, body)

    assert answer.codes == (201, 1000)
    assert checked().get("references", []) == flags
    assert counted(cpo) == kinds
    checked()
    assert counted(cpo) == kinds  # a second check counts nothing again


@pytest.mark.req("QRK-29")
def test_a_cdr_of_a_location_that_is_not_published_is_a_cdr(cpo: Person, document: Document) -> None:
    cpo.put(LOCATION, document("location", publish=False))
    cpo.put(SESSION, document("session", status="COMPLETED"))

    assert cpo.post(CDRS, document("cdr")).codes == (201, 1000)
    assert "location_unknown" not in checked()["references"]


@pytest.mark.req("QRK-32", "CDR-10")
def test_a_cdr_again_and_another_under_its_id(cpo: Person, document: Document) -> None:
    first = cpo.post(CDRS, document("cdr"))
    again = cpo.post(CDRS, document("cdr"))
    revised = cpo.post(CDRS, document("cdr", remark="corrected"))

    assert (first.codes, again.codes, revised.codes) == ((201, 1000), (200, 1000), (200, 2001))
    assert again.headers["Location"] == first.headers["Location"]
    assert cpo.get(first.headers["Location"]).data == document("cdr")
    assert counted(cpo) == {
        "QRK-28 CDR without a Session": 1, "QRK-32 another CDR under the same id": 1, "TRN-039 refused: id": 1,
    }  # fmt: skip


@pytest.mark.req("QRK-26")
def test_tariffs_that_were_never_sent_are_a_matter_of_checking(cpo: Person, document: Document) -> None:
    body = document("cdr", tariffs=None)
    for each in body["charging_periods"]:
        each["tariff_id"] = "NEVER-SENT"

    assert cpo.post(CDRS, body).codes == (201, 1000)
    assert cpo.put(SESSION, document("session")).codes == (201, 1000)

    assert checked()["verdict"] == "unverifiable"


# ---------------------------------------------------------------- ids that are written in several ways


@pytest.mark.req("QRK-19", "QRK-33")
@pytest.mark.parametrize(
    ("compare", "one", "other", "same"),
    [
        (normal_ids.same_evse_id, "BE*BEC*E041503001", "BEBECE041503001", True),
        (normal_ids.same_evse_id, "BE*BEC*E041503001", "be-bec-e041503001", True),
        (normal_ids.same_evse_id, "BE*BEC*E041503001", "BE*BEC*E041503002", False),
        (normal_ids.same_contract_id, "DE-8AA-CA2B3C4D5-L", "DE8AACA2B3C4D5L", True),
        (normal_ids.same_contract_id, "DE-8AA-CA2B3C4D5-L", "de*8aa*ca2b3c4d5", True),
        (normal_ids.same_contract_id, "DE-8AA-CA2B3C4D5-L", "DE-8AA-CA2B3C4D5-M", False),
        (normal_ids.same_contract_id, "DE-8AA-CA2B3C4D", "DE-8AA-CA2B3C4D5", False),
    ],
)
def test_ids_are_compared_without_separators_and_case(compare: Any, one: str, other: str, same: bool) -> None:
    assert compare(one, other) is compare(other, one) is same


@pytest.mark.req("QRK-33")
@pytest.mark.parametrize(
    ("uid", "turned"),
    [
        ("04C7A1E2B95D80", "805DB9E2A1C704"),
        ("a1b2c3d4", "d4c3b2a1"),
        ("APP-USER-1", None),
        ("04C7A", None),
        ("AB", None),
    ],
)
def test_only_an_rfid_uid_has_another_end(uid: str, turned: str | None) -> None:
    assert normal_ids.reversed_uid(uid) == turned


# What a CPO asks for → the answer, the EVSEs allowed, what is counted.
AUTHORIZE: list[tuple[Any, ...]] = [
    (req("QRK-33"), "04C7A1E2B95D80", None, (200, 1000), None, {}),
    (req("QRK-33", "TOK-10"), "04c7a1e2b95d80", None, (200, 1000), None, {}),
    (req("QRK-33"), "805DB9E2A1C704", None, (200, 1000), None, {"QRK-33 uid in reversed byte order": 1}),
    (req("QRK-33"), "805DB9E2A1C705", None, (404, 2004), None, {}),
    (req("QRK-19"), "04C7A1E2B95D80", {"location_id": "LOC-UTR-0042", "evse_uids": ["NLTNMEUTR00421"]}, (200, 1000),
     ["NLTNMEUTR00421"], {"QRK-19 evse_id where the uid is due": 1}),
    (req("QRK-19"), "04C7A1E2B95D80", {"location_id": "LOC-UTR-0042", "evse_uids": ["TNM-UTR-0042-1"]}, (200, 1000),
     ["TNM-UTR-0042-1"], {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("uid", "body", "codes", "evses", "kinds"),
    [pytest.param(*rest, marks=numbers, id=f"{numbers.args[0]}-{index}")
     for index, (numbers, *rest) in enumerate(AUTHORIZE)],
)  # fmt: skip
def test_a_token_is_found_however_its_uid_is_written(
    cpo: Person, document: Document, uid: str, body: Any, codes: tuple[int, int], evses: Any, kinds: dict[str, int]
) -> None:
    tokens.keep(json.dumps(document("token_rfid")).encode())
    cpo.put(LOCATION, document("location"))

    answer = cpo.post(f"emsp/2.2.1/tokens/{uid}/authorize", body)

    assert answer.codes == codes
    if codes == (200, 1000):
        assert answer.data["allowed"] == "ALLOWED"
        assert answer.data.get("location", {}).get("evse_uids") == evses
    assert counted(cpo) == kinds
