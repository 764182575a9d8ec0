"""CDRs, Receiver interface: POST once, read at the Location that was named, never change. Needs --ocpi-write."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.external.cases import MUST, OURS, SHOULD, Case, Run, Step, Subject, gives, no_data, row
from tests.conformance.external.conftest import Judge
from tests.conformance.external.target import Answer

CDR = Subject("cdrs", "cdr", "CPO", required="total_cost", optional="remark", patch=False)
STORED = (200, 201)
ANY_ERROR = tuple(range(2000, 3000))
REFUSED: Any = {"http": (200,), "code": (2001,)}


def whole(**changes: Any) -> Any:
    return lambda run: run.document(**changes)


def without(member: str) -> Any:
    return lambda run: run.document(without=member)


def keep_location(answer: Answer, run: Run) -> None:
    """Expect a Location header, and remember it."""
    url = answer.headers.get("Location", "")
    assert url.startswith(("https://", "http://")), f"the Location header is {url!r}: {answer.shown}"
    run.saved["first"] = run.saved.get("first", url)
    run.saved["again"] = url


def same_location(answer: Answer, run: Run) -> None:
    keep_location(answer, run)
    assert run.saved["again"] == run.saved["first"]


def post(body: Any = None, **options: Any) -> Step:
    return Step("POST", "", body or whole(), **{"http": STORED, "check": keep_location, **options})


READ = Step("GET", url="first", check=gives(whole()))
_CDRS = [
    row(pytest.mark.req("CDR-02", "CDR-03", "CDR-04", "PIT-27"), MUST, "it is read where the Location says", post(),
        READ),
    row(pytest.mark.req("CDR-06"), OURS, "a new one is HTTP 201", post(http=(201,))),
    row(pytest.mark.req("TRN-033"), SHOULD, "a POST is answered without data", post(check=no_data)),
    row(pytest.mark.req("CDR-10"), OURS, "the same again is the same", post(), post(http=(200,), check=same_location)),
    row(pytest.mark.req("CDR-10", "CDR-11"), OURS, "another one with its id is refused", post(),
        post(whole(total_energy=1), check=None, **REFUSED), READ),
    row(pytest.mark.req("CDR-05", "CDR-11", "TRN-093"), OURS, "nothing changes or deletes it", post(),
        *(Step(method, body=whole() if method != "DELETE" else None, url="first", http=(405,), code=ANY_ERROR)
          for method in ("PUT", "PATCH", "DELETE")), READ),
    row(pytest.mark.req("CDR-09"), OURS, "of a CPO that is not ours it is refused",
        post(whole(country_code="ZZ", party_id="ZZZ"), check=None, **REFUSED)),
    row(pytest.mark.req("TRN-039", "TRN-082"), OURS, "without a required member it is refused",
        post(without("total_cost"), check=None, **REFUSED)),
    row(pytest.mark.req("CDR-33"), MUST, "it has at least one period",
        post(whole(charging_periods=[]), check=None, **REFUSED)),
    row(pytest.mark.req("CDR-22"), OURS, "a credit names what it credits",
        post(whole(credit=True), check=None, **REFUSED)),
    row(pytest.mark.req("CDR-20", "CDR-25"), MUST, "a credit is taken", post(),
        Step("POST", "", lambda run: run.document() | {
            "id": f"{run.id}-C", "credit": True, "credit_reference_id": run.id,
            "total_cost": {"excl_vat": -18.875, "incl_vat": -22.8388}}, http=STORED)),
    row(pytest.mark.req("CDR-16"), OURS, "of a Location nobody has published it is taken",
        post(lambda run: run.document() | {"cdr_location": run.document()["cdr_location"] | {"id": "HOME"}})),
    row(pytest.mark.req("CDR-53"), OURS, "signed data comes back byte for byte",
        post(lambda run: run.document() | {"signed_data": {"encoding_method": "My own", "signed_values": [
            {"nature": "Start", "plain_data": "  OCMF|{\"a\": 1.50}|  ", "signed_data": "c2ln"}]}}),
        Step("GET", url="first", check=lambda answer, run: _same_plain(answer))),
    row(pytest.mark.req("TRN-019"), MUST, "what is no JSON is HTTP 400",
        Step("POST", "", b"{", http=(400,), code=ANY_ERROR)),
    row(pytest.mark.req("TRN-114"), OURS, "members nobody knows are kept", post(whole(x_note={"a": [None, 1.5]})),
        Step("GET", url="first", check=gives(whole(x_note={"a": [None, 1.5]})))),
    row(pytest.mark.req("CDR-46"), MUST, "a reservation without EVSE is taken",
        post(lambda run: run.document(without="session_id") | {"cdr_location": run.document()["cdr_location"] | {
            "evse_uid": "#NA", "evse_id": "#NA", "connector_id": "#NA"}})),
]  # fmt: skip


def _same_plain(answer: Answer) -> None:
    assert answer.data["signed_data"]["signed_values"][0]["plain_data"] == '  OCMF|{"a": 1.50}|  ', answer.shown


@pytest.mark.parametrize("case", _CDRS)
def test_cdrs(judge: Judge, case: Case) -> None:
    judge(case, subject=CDR, write=True)


@pytest.mark.req("CDR-08", "TRN-040")
@pytest.mark.level(OURS)
def test_what_nobody_has_posted_is_not_there(judge: Judge) -> None:
    judge(Case(OURS, (Step("GET", "{id}", http=(404,), code=ANY_ERROR),)), subject=CDR)
