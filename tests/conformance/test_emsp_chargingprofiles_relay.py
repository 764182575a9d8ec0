"""Charging profiles, Receiver towards SCSPs: their requests go to the CPO, its answers and results back (CHP-26)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, quote

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from emsp import tasks
from emsp.models import ChargingProfileRequest, Session
from emsp.modules import chargingprofiles_operations as profiles
from ocpi import status
from ocpi.models import Delivery
from ocpi.outbox_engine import drain_now
from tests.answers import OcpiAnswer
from tests.emsp_support import SESSION
from tests.emsp_support import cpo_fixture as cpo_fixture
from tests.emsp_support import evse_fixture as evse_fixture
from tests.emsp_support import session_fixture as session_fixture
from tests.emsp_support import token_fixture as token_fixture
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener, Received, Reply

PATH = f"emsp/2.2.1/receiver/chargingprofiles/{SESSION}"
CPO_PATH = f"/ocpi/2.2.1/receiver/chargingprofiles/{SESSION}"
SENDER = "/ocpi/2.2.1/sender/chargingprofiles"
ACCEPTED = {"result": "ACCEPTED", "timeout": 30}


@pytest.fixture
def scsp_listener() -> Iterator[Listener]:
    with Listener() as running:
        yield running


@pytest.fixture
def scsp(session: Session, partner: Partner, listener: Listener, scsp_listener: Listener, settings: Settings) -> Person:
    """An SCSP that we have an agreement with; the CPO accepts what it asks."""
    settings.OCPI_SCSP_AGREEMENTS = ["nl*scs", "FR*SCX"]
    for method in ("GET", "PUT", "DELETE"):
        listener.reply(method, "/ocpi/2.2.1/receiver/chargingprofiles", data=ACCEPTED)
    return partner("NL*SCS:SCSP", listener=scsp_listener)


@pytest.fixture
def second_scsp(scsp: Person, partner: Partner) -> Person:
    return partner("FR*SCX:SCSP", url="http://127.0.0.1:4001")


@pytest.fixture
def body(document: Document, scsp: Person) -> dict[str, Any]:
    found: dict[str, Any] = document("charging_profile", response_url=f"{scsp.url}/results/1")
    return found


def ours(listener: Listener, method: str = "PUT") -> str:
    """Return our response_url in the last request that the CPO got."""
    request = listener.received(method, CPO_PATH)[-1]
    return str(request.json["response_url"]) if request.body else parse_qs(request.query)["response_url"][0]


def results(scsp_listener: Listener) -> list[Any]:
    drain_now()
    return [request.json for request in scsp_listener.received("POST", "/results")]


def delete(scsp: Person, number: int = 2) -> OcpiAnswer:
    return scsp.delete(PATH, query={"response_url": f"{scsp.url}/results/{number}"})


@pytest.mark.req("CHP-26", "CHP-02", "CHP-07")
def test_a_profile_of_an_scsp_goes_to_the_cpo_with_our_response_url(
    scsp: Person, body: dict[str, Any], listener: Listener
) -> None:
    answer = scsp.put(PATH.replace(SESSION, SESSION.lower()), body)

    assert (answer.codes, answer.data) == ((200, 1000), ACCEPTED)
    (request,) = listener.received("PUT", CPO_PATH)
    assert request.json["charging_profile"] == body["charging_profile"]
    assert request.json["response_url"].startswith("http://127.0.0.1:8000/ocpi/emsp/2.2.1/chargingprofiles/results/")
    assert (request.headers["ocpi-to-party-id"], request.headers["ocpi-from-party-id"]) == ("TNM", "EMS")
    assert request.headers["x-correlation-id"] == answer.headers["X-Correlation-ID"]


@pytest.mark.req("CHP-26", "CHP-01", "CHP-03", "CHP-08")
@pytest.mark.parametrize("encoded", [True, False])
def test_the_active_profile_is_asked_for_and_a_profile_cleared_for_an_scsp(
    scsp: Person, listener: Listener, encoded: bool
) -> None:
    plain = f"{scsp.url}/results/1?mine=7&more=a"
    url = quote(plain, safe="") if encoded else plain

    path = f"http://127.0.0.1:8000/ocpi/{PATH}"

    got = scsp.get(f"{path}?duration=900&response_url={url}")
    deleted = scsp.delete(f"{path}?response_url={url}")

    assert [answer.data for answer in (got, deleted)] == [ACCEPTED, ACCEPTED]
    (asked,) = listener.received("GET", CPO_PATH)
    assert parse_qs(asked.query)["duration"] == ["900"]
    (cleared,) = listener.received("DELETE", CPO_PATH)
    assert list(parse_qs(cleared.query)) == ["response_url"]
    stored = ChargingProfileRequest.objects.values_list("scsp_response_url", flat=True)
    assert list(stored) == [plain, plain]


@pytest.mark.req("CHP-26", "CHP-04", "CHP-19")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_the_result_goes_to_the_scsps_url(
    scsp: Person, cpo: Person, body: dict[str, Any], document: Document, listener: Listener,
    scsp_listener: Listener, method: str,
) -> None:  # fmt: skip
    if method == "PUT":
        answer = scsp.put(PATH, body)
    else:
        query: dict[str, Any] = {"duration": 60, "response_url": f"{scsp.url}/results/1"}
        answer = scsp.request(method, PATH, query=query)
    result: dict[str, Any] = {"result": "ACCEPTED"}
    if method == "GET":
        result["profile"] = document("active_charging_profile")
    drain_now()
    assert not scsp_listener.received()

    cpo.post(ours(listener, method), result)

    assert results(scsp_listener) == [result]
    (posted,) = scsp_listener.received("POST", "/results/1")
    assert (posted.headers["ocpi-to-party-id"], posted.headers["ocpi-from-party-id"]) == ("SCS", "EMS")
    assert posted.headers["x-correlation-id"] == answer.headers["X-Correlation-ID"]
    assert posted.token == scsp.token_out


@pytest.mark.req("CHP-16", "CHP-26")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("response", "passed"), [("ACCEPTED", [{"result": "ACCEPTED"}]), ("REJECTED", [])])
def test_a_result_that_comes_before_the_answer_is_passed_on_after_it(
    scsp: Person, cpo: Person, body: dict[str, Any], listener: Listener, scsp_listener: Listener,
    response: str, passed: list[Any],
) -> None:  # fmt: skip
    waiting: list[int] = []

    def answer(request: Received) -> Reply:
        try:
            cpo.post(request.json["response_url"], {"result": "ACCEPTED"})
            waiting.append(Delivery.objects.count())
        finally:
            connection.close()  # the listener's thread has one of its own
        return Reply(data={"result": response, "timeout": 30})

    listener.reply("PUT", "/ocpi/2.2.1/receiver/chargingprofiles", using=answer)

    assert scsp.put(PATH, body).data["result"] == response

    assert waiting == [0]
    assert results(scsp_listener) == passed


@pytest.mark.req("CHP-10", "CHP-11", "CHP-26", "CHP-16")
@pytest.mark.parametrize("response", ["NOT_SUPPORTED", "REJECTED", "TOO_OFTEN", "UNKNOWN_SESSION"])
def test_what_the_cpo_does_not_accept_the_scsp_hears(
    scsp: Person, cpo: Person, body: dict[str, Any], listener: Listener, scsp_listener: Listener, response: str
) -> None:
    listener.reply("PUT", CPO_PATH, data={"result": response, "timeout": 0})

    answer = scsp.put(PATH, body)

    assert (answer.codes, answer.data) == ((200, 1000), {"result": response, "timeout": 0})
    assert cpo.post(ours(listener), {"result": "ACCEPTED"}).codes == (404, 2000)
    assert results(scsp_listener) == []


@pytest.mark.req("CHP-10", "CHP-11")
@pytest.mark.parametrize("reply", [{"close": True}, {"code": 3000}, {"data": {"result": "MAYBE", "timeout": 1}}])
def test_a_cpo_that_gives_no_answer_is_a_rejection(
    scsp: Person, body: dict[str, Any], listener: Listener, reply: dict[str, Any]
) -> None:
    listener.reply("PUT", CPO_PATH, **reply)

    assert scsp.put(PATH, body).data == {"result": "REJECTED", "timeout": 0}


@pytest.mark.req("CHP-20", "CHP-26")
def test_a_cpo_that_says_nothing_in_time_is_a_rejection(
    scsp: Person, body: dict[str, Any], cpo: Person, listener: Listener, scsp_listener: Listener
) -> None:
    scsp.put(PATH, body)
    ChargingProfileRequest.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))

    tasks.sweep()
    tasks.sweep()
    late = cpo.post(ours(listener), {"result": "ACCEPTED"})

    assert results(scsp_listener) == [{"result": "REJECTED"}]
    assert late.codes == (404, 2000)


# ---- who may


@pytest.mark.req("CHP-13")
def test_an_scsp_without_an_agreement_is_rejected(
    scsp: Person, body: dict[str, Any], listener: Listener, settings: Settings
) -> None:
    settings.OCPI_SCSP_AGREEMENTS = []

    answers = [scsp.put(PATH, body), delete(scsp), scsp.put(PATH.replace(SESSION, "NONE"), body)]

    assert [answer.data for answer in answers] == [{"result": "REJECTED", "timeout": 0}] * 3
    assert [answer.codes for answer in answers] == [(200, 1000)] * 3
    assert not listener.received(None, "/ocpi/2.2.1/receiver/chargingprofiles")


@pytest.mark.req("CHP-13")
def test_an_agreement_does_not_make_an_scsp_of_anybody(
    scsp: Person, body: dict[str, Any], partner: Partner, listener: Listener, settings: Settings
) -> None:
    settings.OCPI_SCSP_AGREEMENTS = ["NL*SCS", "DE*DRV", "DE*NEW"]
    driver = partner("DE*DRV:EMSP", url="http://127.0.0.1:4002")
    unapproved = partner("DE*NEW:SCSP", url="http://127.0.0.1:4003", approved=False)

    answers = [
        driver.put(PATH, body | {"response_url": f"{driver.url}/results/1"}),
        unapproved.put(PATH, body | {"response_url": f"{unapproved.url}/results/1"}, sender=None),
    ]

    assert answers[0].data == {"result": "REJECTED", "timeout": 0}
    assert answers[1].codes == (200, 2001)
    assert not listener.received("PUT", CPO_PATH)


@pytest.mark.req("CHP-27")
def test_one_session_is_controlled_by_one_scsp(
    scsp: Person, second_scsp: Person, body: dict[str, Any], cpo: Person, listener: Listener
) -> None:
    other = body | {"response_url": f"{second_scsp.url}/results/1"}
    scsp.put(PATH, body)
    cpo.post(ours(listener), {"result": "ACCEPTED"})

    refused = [second_scsp.put(PATH, other), delete(second_scsp)]
    allowed = scsp.put(PATH, body | {"response_url": f"{scsp.url}/results/3"})

    assert [answer.data for answer in refused] == [{"result": "REJECTED", "timeout": 0}] * 2
    assert allowed.data == ACCEPTED
    assert len(listener.received("PUT", CPO_PATH)) == 2
    assert not listener.received("DELETE", CPO_PATH)


@pytest.mark.req("CHP-27")
@pytest.mark.parametrize("ending", ["cleared", "nothing to clear", "refused", "agreement ends"])
def test_who_gives_a_session_up_leaves_it_to_others(
    scsp: Person, second_scsp: Person, body: dict[str, Any], cpo: Person, listener: Listener, settings: Settings,
    ending: str,
) -> None:  # fmt: skip
    scsp.put(PATH, body)
    cpo.post(ours(listener), {"result": "REJECTED" if ending == "refused" else "ACCEPTED"})
    if ending == "agreement ends":
        settings.OCPI_SCSP_AGREEMENTS = ["FR*SCX"]
    elif ending != "refused":
        delete(scsp)
        cpo.post(ours(listener, "DELETE"), {"result": "ACCEPTED" if ending == "cleared" else "UNKNOWN"})

    answer = second_scsp.put(PATH, body | {"response_url": f"{second_scsp.url}/results/1"})

    assert answer.data == ACCEPTED


@pytest.mark.req("CHP-27")
def test_we_and_an_scsp_do_not_control_one_session_together(
    scsp: Person, session: Session, body: dict[str, Any], document: Document, listener: Listener
) -> None:
    profile = json.dumps(document("charging_profile")["charging_profile"])
    scsp.put(PATH, body)

    with pytest.raises(status.InvalidParameters, match=r"NL\*SCS"):
        profiles.set_profile(session=session, profile=profile)
    ChargingProfileRequest.objects.all().delete()
    profiles.set_profile(session=session, profile=profile)

    assert scsp.put(PATH, body).data == {"result": "REJECTED", "timeout": 0}
    assert scsp.get(PATH, query={"duration": 60, "response_url": f"{scsp.url}/results/4"}).data == ACCEPTED


@pytest.mark.req("CHP-14", "CHP-07")
@pytest.mark.parametrize("change", [{"status": "COMPLETED"}, {"object_id": "OTHER"}])
def test_a_session_that_is_not_there_or_over_is_unknown(
    scsp: Person, body: dict[str, Any], listener: Listener, change: dict[str, str]
) -> None:
    Session.objects.update(**change)

    answer = scsp.put(PATH, body)

    assert (answer.codes, answer.data) == ((200, 1000), {"result": "UNKNOWN_SESSION", "timeout": 0})
    assert not listener.received("PUT", "/ocpi/2.2.1/receiver/chargingprofiles")


@pytest.mark.req("CHP-07")
def test_an_id_that_two_cpos_use_means_neither(
    scsp: Person, body: dict[str, Any], second_cpo: Person, document: Document, listener: Listener
) -> None:
    second_cpo.put(f"emsp/2.2.1/sessions/FR/CPX/{SESSION}", document("session", country_code="FR", party_id="CPX"))

    assert scsp.put(PATH, body).data["result"] == "UNKNOWN_SESSION"

    assert not listener.received("PUT", CPO_PATH)


@pytest.mark.req("CHP-09")
@pytest.mark.parametrize("query", ["", "duration=60", "response_url=URL", "duration=0&response_url=URL",
                                   "duration=x&response_url=URL"])  # fmt: skip
def test_a_get_without_what_it_needs_is_refused(scsp: Person, listener: Listener, query: str) -> None:
    answer = scsp.get(f"{PATH}?{query.replace('URL', quote(f'{scsp.url}/results/1', safe=''))}")

    assert answer.codes == (200, 2001)
    assert scsp.delete(PATH).codes == (200, 2001)
    assert not listener.received(None, CPO_PATH)


@pytest.mark.req("PIT-64")
def test_a_response_url_at_another_host_is_refused(scsp: Person, body: dict[str, Any], listener: Listener) -> None:
    answer = scsp.put(PATH, body | {"response_url": "http://127.0.0.2:9/results"})

    assert answer.codes == (200, 2001)
    assert "response_url" in answer.message
    assert not listener.received("PUT", CPO_PATH)


# ---- what the CPO tells by itself


@pytest.mark.req("CHP-26", "CHP-05")
def test_the_scsp_that_controls_a_session_hears_of_its_active_profile(
    scsp: Person, cpo: Person, body: dict[str, Any], document: Document, listener: Listener, scsp_listener: Listener
) -> None:
    told = document("active_charging_profile")
    cpo.put(f"emsp/2.2.1/chargingprofiles/{SESSION}", told)  # before the profile was set: not for the SCSP
    scsp.put(PATH.replace(SESSION, SESSION.lower()), body)
    cpo.post(ours(listener), {"result": "ACCEPTED"})
    results(scsp_listener)
    assert not scsp_listener.received("PUT")

    cpo.put(f"emsp/2.2.1/chargingprofiles/{SESSION}", told)
    drain_now()

    (request,) = scsp_listener.received("PUT", SENDER)
    assert request.path == f"{SENDER}/{SESSION.lower()}"
    assert request.json == told
    assert (request.headers["ocpi-to-party-id"], request.headers["ocpi-from-party-id"]) == ("SCS", "EMS")


@pytest.mark.req("CHP-26", "CHP-05")
def test_an_active_profile_that_overtakes_the_result_is_passed_on_after_it(
    scsp: Person, cpo: Person, body: dict[str, Any], document: Document, listener: Listener, scsp_listener: Listener
) -> None:
    told = document("active_charging_profile")
    scsp.put(PATH, body)
    cpo.put(f"emsp/2.2.1/chargingprofiles/{SESSION}", told)
    drain_now()
    assert not scsp_listener.received("PUT")

    cpo.post(ours(listener), {"result": "ACCEPTED"})

    assert results(scsp_listener) == [{"result": "ACCEPTED"}]
    assert [request.json for request in scsp_listener.received("PUT", SENDER)] == [told]


@pytest.mark.req("CHP-26", "CHP-22")
def test_an_scsp_that_controls_no_session_hears_of_none(
    scsp: Person, cpo: Person, body: dict[str, Any], document: Document, listener: Listener, scsp_listener: Listener
) -> None:
    scsp.put(PATH, body)
    cpo.post(ours(listener), {"result": "REJECTED"})

    cpo.put(f"emsp/2.2.1/chargingprofiles/{SESSION}", document("active_charging_profile"))
    drain_now()

    assert not scsp_listener.received("PUT")
