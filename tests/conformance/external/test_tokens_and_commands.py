"""Real-time authorization, commands and charging profiles: what is asked of an eMSP or a CPO, and answered at once.

Only questions about things that do not exist are asked, so nothing is started, stopped or reserved; Tokens are those
that the platform itself lists. Commands need --ocpi-callback, although nothing is expected to arrive there.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.external.cases import MUST, OURS, Case, Run, Step, row
from tests.conformance.external.conftest import Judge
from tests.conformance.external.tables import faults
from tests.conformance.external.target import Answer, Target, join

TOKENS, COMMANDS = ("tokens", "SENDER"), ("commands", "RECEIVER")
PROFILES = ("chargingprofiles", "RECEIVER")
ANY_ERROR = tuple(range(2000, 3000))
REFUSED: Any = {"http": (200,), "code": (2001,)}


# ---- authorize


@pytest.fixture
def token(target: Target) -> Any:
    """A Token that the platform lists."""
    if TOKENS not in target.endpoints:
        pytest.skip("tokens SENDER is not advertised")
    data = target.get(target.endpoints[TOKENS], interface=TOKENS, query={"limit": "50"}).data
    found = next((each for each in data or [] if each["type"] == "RFID" and each["valid"]), None)
    return found or pytest.skip("the platform lists no valid RFID Token")


def authorize(target: Target, uid: str, body: Any = None, **query: str) -> Answer:
    url = join(target.endpoints[TOKENS], f"{uid}/authorize")
    return target.request("POST", url, body, interface=TOKENS, query=query)


@pytest.mark.req("TOK-02", "TOK-25", "TOK-37")
@pytest.mark.parametrize("body", [None, {"location_id": "NOT-THERE", "evse_uids": ["1"]}], ids=["no body", "a body"])
def test_a_known_token_gets_a_verdict_and_the_whole_token(target: Target, token: Any, body: Any) -> None:
    answer = authorize(target, token["uid"], body)

    if answer.code == 2002 and body is None:
        return  # it needs to know where (TOK-29)
    assert (answer.http, answer.code) == (200, 1000), answer.shown
    assert not list(faults("AuthorizationInfo", answer.data)), answer.shown
    assert answer.data["token"]["uid"].upper() == token["uid"].upper()


@pytest.mark.req("TOK-07", "TOK-02")
def test_the_type_is_rfid_if_it_is_not_said(target: Target, token: Any) -> None:
    plain, said = authorize(target, token["uid"]), authorize(target, token["uid"], type="RFID")

    assert (plain.http, plain.code) == (said.http, said.code)


@pytest.mark.req("TOK-10")
@pytest.mark.level(OURS)
def test_the_uid_may_have_any_case(target: Target, token: Any) -> None:
    answer = authorize(target, token["uid"].swapcase())

    assert answer.http == 200, answer.shown
    assert answer.code in (1000, 2002), answer.shown


@pytest.mark.req("TOK-27", "PIT-21")
@pytest.mark.parametrize("query", [{}, {"type": "APP_USER"}], ids=str)
def test_an_unknown_token_is_http_404_and_2004(target: Target, token: Any, query: dict[str, str]) -> None:
    answer = authorize(target, "CONF-NO-SUCH-TOKEN", **query)

    assert (answer.http, answer.code) == (404, 2004), answer.shown
    assert answer.data is None, answer.shown


@pytest.mark.req("TOK-31")
def test_a_place_is_named_only_if_it_was_asked_about(target: Target, token: Any) -> None:
    answer = authorize(target, token["uid"])

    assert answer.code == 2002 or "location" not in (answer.data or {}), answer.shown


# ---- commands


def response_url(run: Run) -> str:
    """A URL for this request alone (CMD-19)."""
    return f"{run.target.callback.rstrip('/')}/{run.id}"


def command(**members: Any) -> Any:
    return lambda run: {"response_url": response_url(run), **members}


def with_token(**members: Any) -> Any:
    """A command in the name of one of our drivers."""
    return lambda run: command(token=run.document("token_rfid"), **members)(run)


def responds(*results: str) -> Any:
    def check(answer: Answer, run: Run) -> None:
        assert not list(faults("CommandResponse", answer.data)), answer.shown
        assert answer.data["result"] in results, answer.shown

    return check


def post(name: str, body: Any, **options: Any) -> Step:
    return Step("POST", name, body, **options)


SOMEWHERE = {"location_id": "CONF-NOWHERE", "evse_uid": "1", "connector_id": "1"}
_COMMANDS = [
    row(pytest.mark.req("CMD-01", "CMD-07", "CMD-12"), MUST, "stopping a session nobody knows",
        post("STOP_SESSION", command(session_id="CONF-NO-SESSION"), check=responds("UNKNOWN_SESSION"))),
    row(pytest.mark.req("CMD-10", "TRN-041"), MUST, "starting at a Location nobody knows",
        post("START_SESSION", with_token(location_id="CONF-NOWHERE"), code=(2003,), check=responds("REJECTED"))),
    row(pytest.mark.req("CMD-10"), MUST, "unlocking at a Location nobody knows",
        post("UNLOCK_CONNECTOR", command(**SOMEWHERE), code=(2003, 1000),
             check=responds("REJECTED", "NOT_SUPPORTED"))),
    row(pytest.mark.req("CMD-39", "CMD-13"), OURS, "cancelling a reservation nobody knows",
        post("CANCEL_RESERVATION", command(reservation_id="CONF-NONE"), check=responds("REJECTED", "NOT_SUPPORTED"))),
    row(pytest.mark.req("CMD-05"), OURS, "a command that does not exist",
        post("MAKE_COFFEE", command(), http=(404,), code=(2000,))),
    row(pytest.mark.req("TRN-039"), OURS, "without a session_id",
        post("STOP_SESSION", command(), **REFUSED)),
    row(pytest.mark.req("TRN-039", "CMD-04"), OURS, "without a response_url",
        post("STOP_SESSION", lambda run: {"session_id": "X"}, **REFUSED)),
    row(pytest.mark.req("PIT-64", "TRN-002"), OURS, "with a response_url that is no URL",
        post("STOP_SESSION", lambda run: {"response_url": "nowhere", "session_id": "X"}, **REFUSED)),
    row(pytest.mark.req("CMD-33"), OURS, "a Connector without its EVSE",
        post("START_SESSION", with_token(location_id="CONF-NOWHERE", connector_id="1"), code=(2001, 2003))),
    row(pytest.mark.req("CMD-25"), OURS, "a Token of somebody else",
        post("START_SESSION", lambda run: command(
            token=run.document("token_rfid") | {"country_code": "ZZ", "party_id": "ZZZ"},
            location_id="CONF-NOWHERE")(run), code=(2001, 2003))),
    row(pytest.mark.req("TRN-019"), MUST, "what is no JSON",
        post("STOP_SESSION", b"{", http=(400,), code=ANY_ERROR)),
]  # fmt: skip


@pytest.mark.parametrize("case", _COMMANDS)
def test_commands(judge: Judge, target: Target, case: Case) -> None:
    if not target.callback:
        pytest.skip("needs --ocpi-callback")
    judge(case, interface=COMMANDS)


# ---- charging profiles


def profile(answer: Answer, run: Run) -> None:
    assert not list(faults("ChargingProfileResponse", answer.data)), answer.shown
    assert answer.data["result"] == "UNKNOWN_SESSION", answer.shown


def asked(run: Run) -> Any:
    return {"response_url": response_url(run),
            "charging_profile": {"charging_rate_unit": "A",
                                 "charging_profile_period": [{"start_period": 0, "limit": 16.0}]}}  # fmt: skip


def queried(method: str, query: str, **options: Any) -> Step:
    return Step(method, "{id}", query={} if not query else dict([pair.split("=", 1) for pair in query.split(" ")]),
                **options)  # fmt: skip


@pytest.mark.req("CHP-02", "CHP-10", "CHP-14")
@pytest.mark.level(OURS)
def test_a_profile_for_a_session_nobody_knows(judge: Judge, target: Target) -> None:
    if not target.callback:
        pytest.skip("needs --ocpi-callback")
    judge(Case(OURS, (Step("PUT", "{id}", asked, check=profile),)), interface=PROFILES)


@pytest.mark.req("CHP-01", "CHP-03", "CHP-10", "CHP-14")
@pytest.mark.level(OURS)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_the_profile_of_a_session_nobody_knows(judge: Judge, target: Target, method: str) -> None:
    if not target.callback:
        pytest.skip("needs --ocpi-callback")
    query = f"response_url={target.callback}" + (" duration=60" if method == "GET" else "")
    judge(Case(OURS, (queried(method, query, check=profile),)), interface=PROFILES)


@pytest.mark.req("CHP-09")
@pytest.mark.level(OURS)
@pytest.mark.parametrize(("method", "query"), [("GET", ""), ("GET", "duration=60"), ("DELETE", "")])
def test_a_question_about_a_profile_without_its_parameters(judge: Judge, method: str, query: str) -> None:
    judge(Case(OURS, (queried(method, query, **REFUSED),)), interface=PROFILES)


@pytest.mark.req("SES-37")
@pytest.mark.level(OURS)
def test_preferences_for_a_session_nobody_knows(judge: Judge, target: Target) -> None:
    step = Step("PUT", "{id}/charging_preferences", lambda run: {"profile_type": "GREEN"}, http=(404,), code=(2000,))
    judge(Case(OURS, (step,)), interface=("sessions", "SENDER"))
