"""Receiver interfaces of Client Owned Objects: PUT, GET, PATCH, DELETE under our own party. Needs --ocpi-write.

Every row works on an object of its own, whose id begins with CONF-.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.external.cases import (
    EARLIER,
    LATER,
    LATEST,
    MUST,
    OURS,
    SHOULD,
    Case,
    Run,
    Step,
    Subject,
    gives,
    no_data,
    row,
    says,
)
from tests.conformance.external.conftest import Judge
from tests.conformance.external.target import Answer

SUBJECTS = [
    Subject("locations", "location", "CPO", required="time_zone", optional="postal_code", unknown=2003),
    Subject("sessions", "session", "CPO", required="kwh", optional="meter_id"),
    Subject("tariffs", "tariff", "CPO", required="currency", optional="tariff_alt_url", patch=False, delete=True),
    Subject("tokens", "token_rfid", "EMSP", required="issuer", optional="visual_number", id_member="uid",
            unknown=2004),
    Subject("tokens", "token_app_user", "EMSP", required="issuer", optional="visual_number", id_member="uid",
            unknown=2004, query={"type": "APP_USER"}),
]  # fmt: skip
OBJECT = "{owner}/{id}"
STORED = (200, 201)
_MODULES = (
    pytest.mark.req("LOC-03", "LOC-04", "LOC-05", "LOC-18"),
    pytest.mark.req("SES-04", "SES-05", "SES-06", "SES-08"),
    pytest.mark.req("TAR-02", "TAR-03", "TAR-06"),
    pytest.mark.req("TOK-03", "TOK-04", "TOK-05", "TOK-09"),
    pytest.mark.req("TOK-03", "TOK-04", "TOK-05", "TOK-07"),
)
every_subject = pytest.mark.parametrize(
    "subject",
    [pytest.param(each, marks=mark, id=each.document) for each, mark in zip(SUBJECTS, _MODULES, strict=True)],
)


def doc(**changes: Any) -> Any:
    """Return what makes our document with some members changed."""
    return lambda run: run.document(**changes)


def without(member: str, **changes: Any) -> Any:
    """Return what makes our document without its required or its optional member."""
    return lambda run: run.document(without=getattr(run.subject, member), **changes)


def patch(member: str, value: Any) -> Any:
    return lambda run: {getattr(run.subject, member): value, "last_updated": LATEST}


def optional(run: Run) -> str:
    assert run.subject is not None
    return run.subject.optional


def put(body: Any = None, path: str = OBJECT, **options: Any) -> Step:
    return Step("PUT", path, body or doc(), **{"http": STORED, **options})


def get(body: Any = None) -> Step:
    """Expect that the object reads like this."""
    return Step("GET", OBJECT, check=gives(body or doc()))


def lower(run: Run, **changes: Any) -> Any:
    assert run.subject is not None
    found = run.document(**changes)
    return found | {name: found[name].lower() for name in ("country_code", "party_id", run.subject.id_member)}


ANY_ERROR = tuple(range(2000, 3000))
GONE = Step("GET", OBJECT, http=(404,), code=ANY_ERROR)
REFUSED: Any = {"http": (200,), "code": (2001,)}

_OWNED = [
    row(pytest.mark.req("TRN-094", "TRN-095"), MUST, "what is PUT can be read", put(), get()),
    row(pytest.mark.req("TRN-042", "TRN-043"), SHOULD, "201 when new, 200 when known", put(http=(201,)),
        put(doc(last_updated=LATEST), http=(200,))),
    row(pytest.mark.req("TRN-033"), SHOULD, "a PUT is answered without data", put(check=no_data)),
    row(pytest.mark.req("TRN-083", "TRN-082"), MUST, "a PUT replaces everything", put(),
        put(without("optional", last_updated=LATEST)), get(without("optional", last_updated=LATEST))),
    row(pytest.mark.req("TRN-114"), OURS, "members nobody knows are kept",
        put(doc(x_note={"b": 1.5, "a": [None]})), get(doc(x_note={"b": 1.5, "a": [None]}))),
    row(pytest.mark.req("TRN-108", "PIT-41"), MUST, "null is the same as absent",
        put(lambda run: run.document() | {optional(run): None})),
    row(pytest.mark.req("TRN-039", "TRN-082"), OURS, "without a required member nothing is stored",
        put(without("required"), check=says(), **REFUSED), GONE),
    row(pytest.mark.req("TRN-019"), MUST, "what is no JSON is HTTP 400",
        Step("PUT", OBJECT, b"{", http=(400,), code=ANY_ERROR)),
    row(pytest.mark.req("TRN-018"), OURS, "the content type may have a charset",
        put(headers={"Content-Type": "application/json; charset=utf-8"})),
    row(pytest.mark.req("TRN-022"), OURS, "with a slash at the end", put(path=OBJECT + "/"), get()),
    row(pytest.mark.req("TRN-047"), SHOULD, "another id in the body than in the URL",
        Step("PUT", "{owner}/CONF-OTHER", doc(), **REFUSED)),
    row(pytest.mark.req("TRN-048"), OURS, "another owner in the body",
        put(doc(party_id="ZZZ"), **REFUSED), GONE),
    row(pytest.mark.req("TRN-045", "TRN-046"), OURS, "an owner that is not ours is not found",
        Step("PUT", "ZZ/ZZZ/{id}", doc(country_code="ZZ", party_id="ZZZ"), http=(404,), code=ANY_ERROR)),
    row(pytest.mark.req("TRN-097", "PIT-16"), OURS, "keys ignore case and keep their first spelling", put(),
        put(lambda run: lower(run, last_updated=LATEST), path="{lower}"), get(doc(last_updated=LATEST)),
        Step("GET", "{lower}", check=gives(doc(last_updated=LATEST)))),
    row(pytest.mark.req("TRN-097"), OURS, "also if only the body is in lower case", put(),
        put(lambda run: lower(run, last_updated=LATEST)), get(doc(last_updated=LATEST))),
    row(pytest.mark.req("TRN-091"), OURS, "what is older is not applied", put(doc(last_updated=LATEST)),
        put(doc(last_updated=LATER, x_note="older"), **REFUSED), get(doc(last_updated=LATEST))),
    row(pytest.mark.req("TRN-091"), OURS, "what is equally old is applied", put(doc(last_updated=LATEST)),
        put(doc(last_updated=LATEST, x_note="equal")), get(doc(last_updated=LATEST, x_note="equal"))),
    row(pytest.mark.req("TRN-040"), SHOULD, "what is not there is HTTP 404", GONE),
]  # fmt: skip

_PATCHED = [
    row(pytest.mark.req("TRN-084"), MUST, "only what it names is changed", put(),
        Step("PATCH", OBJECT, patch("optional", "changed")),
        get(lambda run: run.document() | {optional(run): "changed", "last_updated": LATEST})),
    row(pytest.mark.req("TRN-052", "TRN-085", "PIT-56"), MUST, "without last_updated it is refused", put(),
        Step("PATCH", OBJECT, lambda run: {optional(run): "changed"}, check=says("last_updated"), **REFUSED),
        get()),
    row(pytest.mark.req("TRN-044"), OURS, "of what is not there: HTTP 404",
        Step("PATCH", OBJECT, patch("optional", "changed"), http=(404,), code=ANY_ERROR), GONE),
    row(pytest.mark.req("TRN-088"), OURS, "null clears an optional member", put(),
        Step("PATCH", OBJECT, patch("optional", None)), get(without("optional", last_updated=LATEST))),
    row(pytest.mark.req("TRN-088"), OURS, "null for a required member is refused", put(),
        Step("PATCH", OBJECT, patch("required", None), **REFUSED), get()),
    row(pytest.mark.req("TRN-089"), OURS, "what breaks the object is refused", put(),
        Step("PATCH", OBJECT, patch("required", {"no": "such thing"}), **REFUSED), get()),
    row(pytest.mark.req("TRN-090"), OURS, "nothing changes its id", put(),
        Step("PATCH", OBJECT, patch("id_member", "CONF-OTHER"), **REFUSED), get()),
    row(pytest.mark.req("TRN-091"), OURS, "what is older is not applied", put(doc(last_updated=LATEST)),
        Step("PATCH", OBJECT, lambda run: {optional(run): "older", "last_updated": EARLIER}, **REFUSED),
        get(doc(last_updated=LATEST))),
    row(pytest.mark.req("TRN-033"), SHOULD, "it is answered without data", put(),
        Step("PATCH", OBJECT, patch("optional", "changed"), check=no_data)),
]  # fmt: skip


@every_subject
@pytest.mark.parametrize("case", _OWNED)
def test_put_and_get(judge: Judge, subject: Subject, case: Case) -> None:
    judge(case, subject=subject, write=True)


@every_subject
@pytest.mark.parametrize("case", _PATCHED)
def test_patch(judge: Judge, subject: Subject, case: Case) -> None:
    if not subject.patch:
        pytest.skip(f"{subject.module} have no PATCH")
    judge(case, subject=subject, write=True)


@pytest.mark.req("TRN-041")
@pytest.mark.level(OURS)
@every_subject
def test_the_status_code_of_what_is_not_there(judge: Judge, subject: Subject) -> None:
    judge(Case(OURS, (Step("GET", OBJECT, http=(404,), code=(subject.unknown,)),)), subject=subject)


# ---- Locations: EVSEs and Connectors

EVSE, CONNECTOR = OBJECT + "/CONF-EVSE", OBJECT + "/CONF-EVSE/1"


def location(status: str = "AVAILABLE", *, stamp: str = EARLIER, evse_stamp: str = EARLIER, **changes: Any) -> Any:
    """Return what makes a Location with one EVSE and one Connector."""
    return lambda run: run.document(
        **{"evses": [evse(status, stamp=evse_stamp)(run)], "last_updated": stamp, **changes}
    )


def evse(status: str = "AVAILABLE", *, uid: str = "CONF-EVSE", stamp: str = EARLIER, **changes: Any) -> Any:
    def make(run: Run) -> Any:
        connector = run.document("connector") | {"last_updated": EARLIER}
        return run.document("evse") | {"uid": uid, "status": status, "last_updated": stamp,
                                       "connectors": [connector]} | changes  # fmt: skip

    return make


def stamped(depth: int, moment: str) -> Any:
    """Expect this last_updated in the Location (0), its EVSE (1) and its Connector (2), down to a depth."""

    def check(answer: Answer, run: Run) -> None:
        found = answer.data
        for level in range(depth + 1):
            assert found["last_updated"] == moment, f"level {level}: {answer.shown}"
            found = (found.get("evses") or found.get("connectors") or [{}])[0]

    return check


def has(member: str, value: Any) -> Any:
    def check(answer: Answer, run: Run) -> None:
        assert answer.data[member] == value, answer.shown

    return check


def uids(*expected: str) -> Any:
    def check(answer: Answer, run: Run) -> None:
        assert sorted(each["uid"] for each in answer.data.get("evses", [])) == sorted(expected), answer.shown

    return check


WHOLE = put(location())
_PARTS = [
    row(pytest.mark.req("LOC-03", "LOC-08"), MUST, "an EVSE and a Connector can be read", WHOLE,
        Step("GET", EVSE, check=has("uid", "CONF-EVSE")), Step("GET", CONNECTOR, check=has("id", "1"))),
    row(pytest.mark.req("LOC-04", "LOC-10"), MUST, "PUT of an EVSE stamps the Location", WHOLE,
        Step("PUT", EVSE, evse("CHARGING", stamp=LATEST), http=STORED),
        Step("GET", EVSE, check=has("status", "CHARGING")), Step("GET", OBJECT, check=stamped(1, LATEST))),
    row(pytest.mark.req("LOC-05", "LOC-10", "LOC-32"), MUST, "PATCH of a status stamps the Location", WHOLE,
        Step("PATCH", EVSE, lambda run: {"status": "CHARGING", "last_updated": LATEST}),
        Step("GET", EVSE, check=has("status", "CHARGING")), Step("GET", OBJECT, check=stamped(1, LATEST))),
    row(pytest.mark.req("LOC-05", "LOC-10", "LOC-33"), MUST, "PATCH of tariff_ids stamps EVSE and Location", WHOLE,
        Step("PATCH", CONNECTOR, lambda run: {"tariff_ids": ["CONF-T"], "last_updated": LATEST}),
        Step("GET", CONNECTOR, check=has("tariff_ids", ["CONF-T"])), Step("GET", OBJECT, check=stamped(2, LATEST))),
    row(pytest.mark.req("LOC-11", "LOC-12"), OURS, "a parent's time stamp never goes back",
        put(location(stamp=LATEST)), Step("PATCH", EVSE, lambda run: {"status": "CHARGING", "last_updated": LATER}),
        Step("GET", OBJECT, check=stamped(0, LATEST))),
    row(pytest.mark.req("LOC-19"), MUST, "PUT of a new EVSE adds it", WHOLE,
        Step("PUT", OBJECT + "/CONF-EVSE-2", evse(uid="CONF-EVSE-2", stamp=LATEST), http=STORED),
        Step("GET", OBJECT, check=uids("CONF-EVSE", "CONF-EVSE-2"))),
    row(pytest.mark.req("LOC-19"), MUST, "PUT of a new Connector adds it", WHOLE,
        Step("PUT", OBJECT + "/CONF-EVSE/2",
             lambda run: run.document("connector") | {"id": "2", "last_updated": LATEST}, http=STORED),
        Step("GET", OBJECT + "/CONF-EVSE/2", check=has("id", "2")), Step("GET", CONNECTOR)),
    row(pytest.mark.req("LOC-20", "PIT-57"), OURS, "an EVSE below an unknown Location is not found",
        Step("PUT", EVSE, evse(), http=(404,), code=(2003,)), GONE),
    row(pytest.mark.req("LOC-20"), OURS, "a PATCH below an unknown EVSE is not found", WHOLE,
        Step("PATCH", OBJECT + "/NO-EVSE", lambda run: {"status": "CHARGING", "last_updated": LATEST}, http=(404,),
             code=(2003,))),
    row(pytest.mark.req("LOC-18"), OURS, "another uid in the body than in the URL", WHOLE,
        Step("PUT", OBJECT + "/CONF-EVSE-3", evse(), **REFUSED), Step("GET", OBJECT, check=uids("CONF-EVSE"))),
    row(pytest.mark.req("LOC-22"), MUST, "PUT of a Location replaces its EVSEs", WHOLE,
        put(location(stamp=LATEST, evses=[])), Step("GET", OBJECT, check=uids())),
    row(pytest.mark.req("LOC-25", "LOC-26"), MUST, "REMOVED is a status, nothing is deleted", WHOLE,
        Step("PATCH", EVSE, lambda run: {"status": "REMOVED", "last_updated": LATEST}),
        Step("GET", EVSE, check=has("status", "REMOVED"))),
    row(pytest.mark.req("LOC-26", "TRN-093"), OURS, "an EVSE cannot be deleted", WHOLE,
        Step("DELETE", EVSE, http=(405,), code=ANY_ERROR), Step("GET", EVSE)),
    row(pytest.mark.req("LOC-31", "PIT-51"), OURS, "PATCH of a Location merges its EVSEs by uid", WHOLE,
        Step("PUT", OBJECT + "/CONF-EVSE-2", evse(uid="CONF-EVSE-2"), http=STORED),
        Step("PATCH", OBJECT, lambda run: {"evses": [{"uid": "CONF-EVSE-2", "status": "CHARGING"}],
                                           "last_updated": LATEST}),
        Step("GET", OBJECT, check=uids("CONF-EVSE", "CONF-EVSE-2")),
        Step("GET", OBJECT + "/CONF-EVSE-2", check=has("status", "CHARGING"))),
    row(pytest.mark.req("LOC-36"), OURS, "publish_allowed_to goes with publish = false only",
        put(location(publish=True, publish_allowed_to=[{"uid": "1", "type": "RFID"}]), **REFUSED)),
    row(pytest.mark.req("LOC-63"), OURS, "a Tariff nobody knows yet is no fault", WHOLE,
        Step("PATCH", CONNECTOR, lambda run: {"tariff_ids": ["CONF-NOT-YET"], "last_updated": LATEST})),
    row(pytest.mark.req("TRN-115"), OURS, "an unknown facility is no reason to refuse",
        put(location(facilities=["MOON_BASE", "CAFE"]))),
    row(pytest.mark.req("TRN-113"), OURS, "#NA is taken for a required string", put(location(city="#NA"))),
    row(pytest.mark.req("TRN-024", "PIT-17"), OURS, "ids are percent-encoded in URLs", WHOLE,
        Step("PUT", OBJECT + "/E%2F1%20%232", evse(uid="E/1 #2", stamp=LATEST), http=STORED),
        Step("GET", OBJECT + "/E%2F1%20%232", check=has("uid", "E/1 #2"))),
]  # fmt: skip


@pytest.mark.parametrize("case", _PARTS)
def test_locations(judge: Judge, case: Case) -> None:
    judge(case, subject=SUBJECTS[0], write=True)


# ---- Sessions


def periods(*begins: str) -> list[dict[str, Any]]:
    return [{"start_date_time": begin, "dimensions": [{"type": "ENERGY", "volume": 1}]} for begin in begins]


def begun(*expected: str) -> Any:
    def check(answer: Answer, run: Run) -> None:
        found = [each["start_date_time"] for each in answer.data.get("charging_periods", [])]
        assert found == list(expected), answer.shown

    return check


FIRST, SECOND = "2025-09-12T15:00:00Z", "2025-09-12T15:30:00Z"
_SESSIONS = [
    row(pytest.mark.req("SES-28"), MUST, "PUT without periods removes them", put(doc(charging_periods=periods(FIRST))),
        put(doc(charging_periods=[], last_updated=LATEST)), Step("GET", OBJECT, check=begun())),
    row(pytest.mark.req("SES-29", "SES-30", "PIT-52"), MUST, "PATCH adds periods",
        put(doc(charging_periods=periods(FIRST))),
        Step("PATCH", OBJECT, lambda run: {"charging_periods": periods(SECOND), "last_updated": LATEST}),
        Step("GET", OBJECT, check=begun(FIRST, SECOND))),
    row(pytest.mark.req("SES-29"), MUST, "PATCH without periods keeps them", put(doc(charging_periods=periods(FIRST))),
        Step("PATCH", OBJECT, lambda run: {"kwh": 22, "last_updated": LATEST}),
        Step("GET", OBJECT, check=begun(FIRST))),
    row(pytest.mark.req("SES-32", "PIT-53"), OURS, "the same period again is not doubled",
        put(doc(charging_periods=periods(FIRST))),
        Step("PATCH", OBJECT, lambda run: {"charging_periods": periods(SECOND, FIRST), "last_updated": LATEST}),
        Step("GET", OBJECT, check=begun(FIRST, SECOND))),
    row(pytest.mark.req("SES-31"), OURS, "there are no URLs inside a Session", put(),
        Step("PATCH", OBJECT + "/charging_periods", lambda run: {"last_updated": LATEST}, http=(404,),
             code=ANY_ERROR)),
    row(pytest.mark.req("SES-14"), OURS, "a change after COMPLETED is applied", put(doc(status="COMPLETED")),
        Step("PATCH", OBJECT, lambda run: {"kwh": 23, "last_updated": LATEST}),
        Step("GET", OBJECT, check=has("kwh", 23))),
    row(pytest.mark.req("SES-23"), OURS, "an unknown Location makes no Session invalid",
        put(doc(location_id="NOWHERE"))),
    row(pytest.mark.req("SES-26"), MUST, "no cost and a cost of zero are two things",
        put(doc(total_cost={"excl_vat": 0.0})), Step("GET", OBJECT, check=has("total_cost", {"excl_vat": 0})),
        put(lambda run: run.document(without="total_cost", last_updated=LATEST)),
        get(lambda run: run.document(without="total_cost", last_updated=LATEST))),
]  # fmt: skip


@pytest.mark.parametrize("case", _SESSIONS)
def test_sessions(judge: Judge, case: Case) -> None:
    judge(case, subject=SUBJECTS[1], write=True)


# ---- Tariffs, Tokens

_TARIFFS = [
    row(pytest.mark.req("TAR-04", "TRN-092"), MUST, "DELETE takes it out of use", put(), Step("DELETE", OBJECT)),
    row(pytest.mark.req("TAR-08"), OURS, "a deleted one is not there any more", put(), Step("DELETE", OBJECT), GONE,
        Step("DELETE", OBJECT, http=(404,), code=(2000,))),
    row(pytest.mark.req("TAR-03", "TAR-08"), OURS, "and comes back with a PUT", put(), Step("DELETE", OBJECT),
        put(doc(last_updated=LATEST)), get(doc(last_updated=LATEST))),
    row(pytest.mark.req("TAR-08"), OURS, "DELETE of what never was", Step("DELETE", OBJECT, http=(404,), code=(2000,))),
    row(pytest.mark.req("TAR-19", "PIT-77"), OURS, "a step_size of 0 is possible, a negative one is not",
        put(lambda run: run.document(elements=flat(0))), put(lambda run: run.document(elements=flat(-1)), **REFUSED)),
    row(pytest.mark.req("TAR-44"), MUST, "elements are at least one", put(doc(elements=[]), **REFUSED)),
    row(pytest.mark.req("TAR-23"), OURS, "the minimum is not above the maximum",
        put(doc(min_price={"excl_vat": 9}, max_price={"excl_vat": 1}), **REFUSED)),
]  # fmt: skip


def flat(step_size: int) -> list[dict[str, Any]]:
    return [{"price_components": [{"type": "FLAT", "price": 0.0, "step_size": step_size}]}]


@pytest.mark.parametrize("case", _TARIFFS)
def test_tariffs(judge: Judge, case: Case) -> None:
    judge(case, subject=SUBJECTS[2], write=True)


_TOKENS = [
    row(pytest.mark.req("TOK-07"), MUST, "without a type it is RFID", put(), Step("GET", OBJECT + "?type=RFID"),
        Step("GET", OBJECT + "?type=APP_USER", http=(404,), code=ANY_ERROR)),
    row(pytest.mark.req("TOK-08"), OURS, "another type in the query than in the body",
        put(path=OBJECT + "?type=APP_USER", **REFUSED)),
    row(pytest.mark.req("TOK-12"), MUST, "a Token is made invalid, not deleted", put(),
        Step("PATCH", OBJECT, lambda run: {"valid": False, "last_updated": LATEST}),
        Step("GET", OBJECT, check=has("valid", False))),
    row(pytest.mark.req("TOK-39"), MUST, "a contract_id of any form is taken", put(doc(contract_id="no-ema-id"))),
    row(pytest.mark.req("TOK-42"), MUST, "an energy_contract needs its supplier",
        put(doc(energy_contract={"contract_id": "1"}), **REFUSED)),
]  # fmt: skip


@pytest.mark.parametrize("case", _TOKENS)
def test_tokens(judge: Judge, case: Case) -> None:
    judge(case, subject=SUBJECTS[3], write=True)
