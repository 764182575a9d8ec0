"""Charging profiles, Sender: what we ask of a CPO, its answer, the result at our response_url, and what is active."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.utils import timezone

from emsp import tasks
from emsp.models import EVSE, ActiveProfile, ChargingProfileRequest, Session
from emsp.modules import chargingprofiles_operations as profiles
from ocpi import status
from tests.emsp_support import SESSION, without_capability
from tests.emsp_support import cpo_fixture as cpo_fixture
from tests.emsp_support import evse_fixture as evse_fixture
from tests.emsp_support import session_fixture as session_fixture
from tests.emsp_support import token_fixture as token_fixture
from tests.fixtures import Document, Partner, add_party
from tests.people import Person
from tests.platforms import Listener

RECEIVER = "/ocpi/2.2.1/receiver/chargingprofiles"
ENDPOINT = f"{RECEIVER}/{SESSION}"
ACCEPTED = {"result": "ACCEPTED", "timeout": 30}
Ask = Callable[..., ChargingProfileRequest]


@pytest.fixture(autouse=True)
def accepting(listener: Listener) -> None:
    for method in ("GET", "PUT", "DELETE"):
        listener.reply(method, RECEIVER, data=ACCEPTED)


@pytest.fixture
def profile(document: Document) -> str:
    return json.dumps(document("charging_profile")["charging_profile"])


@pytest.fixture
def set_profile(session: Session, profile: str) -> Ask:
    return lambda **changes: profiles.set_profile(**{"session": session, "profile": profile, **changes})


def last_url(listener: Listener, method: str = "PUT") -> str:
    """Return the response_url of the last request that the CPO got."""
    request = listener.received(method, ENDPOINT)[-1]
    return str(request.json["response_url"]) if request.body else parse_qs(request.query)["response_url"][0]


@pytest.mark.req("CHP-02", "HUB-03")
def test_a_profile_is_put_to_the_cpo(set_profile: Ask, listener: Listener, profile: str) -> None:
    row = set_profile()

    (request,) = listener.received("PUT", RECEIVER)
    assert request.path == ENDPOINT
    assert request.json == {"charging_profile": json.loads(profile), "response_url": last_url(listener)}
    assert (request.headers["ocpi-to-party-id"], request.headers["ocpi-from-party-id"]) == ("TNM", "EMS")
    assert request.headers["x-correlation-id"] == row.correlation_id
    assert (row.state, row.response, row.timeout, row.profile) == ("ACCEPTED", "ACCEPTED", 30, profile)
    assert row.deadline_at is not None
    assert 25 < (row.deadline_at - timezone.now()).total_seconds() <= 30


@pytest.mark.req("CHP-01", "CHP-08", "PIT-18")
def test_the_active_profile_is_asked_for(session: Session, listener: Listener) -> None:
    profiles.get_active_profile(session=session, duration=900)

    (request,) = listener.received("GET", ENDPOINT)
    url = last_url(listener, "GET")
    assert parse_qs(request.query) == {"duration": ["900"], "response_url": [url]}
    assert "://" not in request.query
    assert not request.body


@pytest.mark.req("CHP-03", "CHP-08")
def test_a_profile_is_cleared(session: Session, listener: Listener) -> None:
    profiles.clear_profile(session=session)

    (request,) = listener.received("DELETE", ENDPOINT)
    assert parse_qs(request.query) == {"response_url": [last_url(listener, "DELETE")]}
    assert not request.body


@pytest.mark.req("CHP-04", "CHP-16", "PIT-70")
@pytest.mark.parametrize("kind", ["SET", "GET", "CLEAR"])
def test_each_result_is_taken_at_its_own_url(
    session: Session, set_profile: Ask, cpo: Person, listener: Listener, document: Document, kind: str
) -> None:
    method = {"SET": "PUT", "GET": "GET", "CLEAR": "DELETE"}[kind]
    asks: dict[str, Ask] = {
        "SET": set_profile,
        "GET": lambda: profiles.get_active_profile(session=session, duration=60),
        "CLEAR": lambda: profiles.clear_profile(session=session),
    }
    row = asks[kind]()
    body: dict[str, Any] = {"result": "ACCEPTED"}
    if kind == "GET":
        body["profile"] = document("active_charging_profile")

    answer = cpo.post(last_url(listener, method), body)

    assert answer.codes == (200, 1000)
    assert not answer.has_data
    row.refresh_from_db()
    assert (row.state, row.result, json.loads(row.result_body)) == ("DONE", "ACCEPTED", body)


@pytest.mark.req("PIT-70", "CHP-18")
def test_the_url_says_which_result_is_due(
    session: Session, cpo: Person, listener: Listener, document: Document
) -> None:
    row = profiles.get_active_profile(session=session, duration=60)
    url = last_url(listener, "GET")

    incomplete = cpo.post(url, {"result": "ACCEPTED"})
    of_another_kind = cpo.post(url.replace("ActiveChargingProfileResult", "ClearProfileResult"), {"result": "ACCEPTED"})
    complete = cpo.post(url, {"result": "ACCEPTED", "profile": document("active_charging_profile")})

    assert incomplete.codes == (200, 2001)
    assert "profile" in incomplete.message
    assert of_another_kind.codes == (404, 2000)
    assert complete.codes == (200, 1000)
    row.refresh_from_db()
    assert row.state == "DONE"
    assert json.loads(ActiveProfile.objects.get(session=session).document) == document("active_charging_profile")


@pytest.mark.req("CHP-17", "CHP-16")
@pytest.mark.parametrize("result", ["REJECTED", "UNKNOWN"])
def test_a_result_without_a_profile_is_a_result(session: Session, cpo: Person, listener: Listener, result: str) -> None:
    row = profiles.get_active_profile(session=session, duration=60)

    assert cpo.post(last_url(listener, "GET"), {"result": result}).codes == (200, 1000)

    row.refresh_from_db()
    assert (row.state, row.result) == ("DONE", result)


@pytest.mark.req("CHP-16", "TRN-039")
@pytest.mark.parametrize("body", [{}, {"result": "TIMEOUT"}, {"data": {}}])
def test_what_is_no_result_is_refused(set_profile: Ask, cpo: Person, listener: Listener, body: Any) -> None:
    row = set_profile()

    assert cpo.post(last_url(listener), body).codes == (200, 2001)

    row.refresh_from_db()
    assert row.state == "ACCEPTED"


@pytest.mark.req("PIT-65")
def test_two_requests_at_once_are_told_apart(session: Session, cpo: Person, listener: Listener) -> None:
    first = profiles.get_active_profile(session=session, duration=60)
    first_url = last_url(listener, "GET")
    second = profiles.get_active_profile(session=session, duration=60)

    cpo.post(last_url(listener, "GET"), {"result": "UNKNOWN"})
    cpo.post(first_url, {"result": "REJECTED"})

    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.result, second.result) == ("REJECTED", "UNKNOWN")


def test_a_second_result_is_logged_and_changes_nothing(
    set_profile: Ask, cpo: Person, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    row = set_profile()
    cpo.post(last_url(listener), {"result": "ACCEPTED"})

    answer = cpo.post(last_url(listener), {"result": "REJECTED"})

    assert answer.codes == (200, 1000)
    assert "REJECTED came too" in caplog.text
    row.refresh_from_db()
    assert row.result == "ACCEPTED"


@pytest.mark.req("SEC-39")
def test_a_result_at_a_url_that_is_none_is_not_found(
    set_profile: Ask, cpo: Person, second_cpo: Person, listener: Listener
) -> None:
    row = set_profile()
    url = last_url(listener)

    answers = [cpo.post(f"{url}x", {"result": "ACCEPTED"}), second_cpo.post(url, {"result": "ACCEPTED"})]

    assert [answer.codes for answer in answers] == [(404, 2000)] * 2
    row.refresh_from_db()
    assert row.state == "ACCEPTED"


@pytest.mark.req("CHP-10", "CHP-12", "CHP-16")
@pytest.mark.parametrize("response", ["NOT_SUPPORTED", "REJECTED", "TOO_OFTEN", "UNKNOWN_SESSION"])
def test_what_is_not_accepted_is_kept_and_has_no_result(
    set_profile: Ask, cpo: Person, listener: Listener, response: str
) -> None:
    listener.reply("PUT", RECEIVER, data={"result": response, "timeout": 0})

    row = set_profile()

    assert (row.state, row.response) == ("REFUSED", response)
    assert cpo.post(last_url(listener), {"result": "ACCEPTED"}).codes == (404, 2000)


@pytest.mark.parametrize("reply", [{"code": 2001}, {"data": ACCEPTED, "code": 4002}, {"close": True}, {"data": "odd"}])
def test_an_answer_that_is_none_is_kept(set_profile: Ask, listener: Listener, reply: dict[str, Any]) -> None:
    listener.reply("PUT", RECEIVER, **reply)

    row = set_profile()

    assert row.state == "FAILED"
    assert row.message


@pytest.mark.req("CHP-19", "CHP-20")
def test_after_the_timeout_no_result_is_taken(set_profile: Ask, cpo: Person, listener: Listener) -> None:
    row = set_profile()
    ChargingProfileRequest.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    tasks.sweep()

    answer = cpo.post(last_url(listener), {"result": "ACCEPTED"})

    assert answer.codes == (404, 2000)
    row.refresh_from_db()
    assert (row.state, row.result) == ("EXPIRED", "")


def test_a_request_whose_process_is_gone_does_not_stay_open(set_profile: Ask) -> None:
    row = set_profile()
    ChargingProfileRequest.objects.update(state="SENT", created_at=timezone.now() - timedelta(hours=1))

    tasks.sweep()

    row.refresh_from_db()
    assert row.state == "FAILED"


# ---- what is not asked for


@pytest.mark.req("CHP-14")
def test_nothing_is_asked_for_a_session_that_is_over(set_profile: Ask, session: Session, listener: Listener) -> None:
    session.status = "COMPLETED"

    with pytest.raises(status.InvalidParameters, match="COMPLETED"):
        set_profile(session=session)

    assert not listener.received("PUT", RECEIVER)


@pytest.mark.req("CHP-15", "LOC-69")
def test_an_evse_that_cannot_charge_by_a_profile_is_not_asked(
    set_profile: Ask, session: Session, evse: EVSE, listener: Listener
) -> None:
    without_capability(evse, "CHARGING_PROFILE_CAPABLE")

    asks: tuple[Ask, ...] = (
        set_profile,
        lambda: profiles.get_active_profile(session=session, duration=60),
        lambda: profiles.clear_profile(session=session),
    )
    for ask in asks:
        with pytest.raises(status.InvalidParameters, match="CHARGING_PROFILE_CAPABLE"):
            ask()

    assert not listener.received(None, RECEIVER)


@pytest.mark.req("CHP-30", "CHP-33", "CHP-01")
def test_a_profile_that_breaks_its_table_is_not_sent(set_profile: Ask, session: Session, listener: Listener) -> None:
    for periods in ([], [{"start_period": 5, "limit": 1}], [{"start_period": 0, "limit": 1.25}]):
        with pytest.raises(status.InvalidParameters, match="charging_profile"):
            set_profile(profile=json.dumps({"charging_rate_unit": "W", "charging_profile_period": periods}))
    with pytest.raises(status.InvalidParameters, match="duration"):
        profiles.get_active_profile(session=session, duration=0)

    assert not listener.received(None, RECEIVER)
    assert not ChargingProfileRequest.objects.exists()


@pytest.mark.req("HUB-87")
def test_a_cpo_behind_a_hub_is_asked_through_it(
    emsp_side: None, partner: Partner, listener: Listener, document: Document, profile: str
) -> None:
    hub = partner("BE*HUB:HUB", listener=listener)
    add_party(hub.platform, "NL*TNM:CPO", through_hub=True)
    hub.put(f"emsp/2.2.1/sessions/NL/TNM/{SESSION}", document("session"), sender="NL*TNM")

    row = profiles.set_profile(session=Session.objects.get(), profile=profile)

    (request,) = listener.received("PUT", ENDPOINT)
    assert request.headers["ocpi-to-party-id"] == "TNM"
    assert hub.post(last_url(listener), {"result": "ACCEPTED"}, sender="NL*TNM").codes == (200, 1000)
    row.refresh_from_db()
    assert (row.platform_id, row.result) == (hub.id, "ACCEPTED")


# ---- what the CPO tells by itself


@pytest.mark.req("CHP-05")
def test_the_active_profile_that_a_cpo_tells_is_kept(session: Session, cpo: Person, document: Document) -> None:
    told = document("active_charging_profile")
    for limit in (11000, 6000):
        told["charging_profile"]["charging_profile_period"][0]["limit"] = limit

        answer = cpo.put(f"emsp/2.2.1/chargingprofiles/{SESSION.lower()}", told)

        assert answer.codes == (200, 1000)
        assert not answer.has_data

    kept = ActiveProfile.objects.get()
    assert (kept.session_id, json.loads(kept.document)) == (session.pk, told)


@pytest.mark.req("CHP-05", "SEC-37", "SEC-39")
def test_the_profile_of_a_session_of_another_is_not_taken(
    session: Session, cpo: Person, second_cpo: Person, emsp: Person, document: Document
) -> None:
    told = document("active_charging_profile")

    answers = [
        cpo.put("emsp/2.2.1/chargingprofiles/SOME-OTHER", told),
        second_cpo.put(f"emsp/2.2.1/chargingprofiles/{SESSION}", told),
        emsp.put(f"emsp/2.2.1/chargingprofiles/{SESSION}", told),
    ]

    assert [answer.codes for answer in answers] == [(404, 2000)] * 3
    assert not ActiveProfile.objects.exists()


@pytest.mark.req("CHP-05", "CHP-33")
def test_a_profile_that_breaks_its_table_is_not_taken(session: Session, cpo: Person, document: Document) -> None:
    answer = cpo.put(
        f"emsp/2.2.1/chargingprofiles/{SESSION}", document("active_charging_profile", start_date_time=None)
    )

    assert answer.codes == (200, 2001)
    assert not ActiveProfile.objects.exists()


@pytest.mark.req("CHP-06")
def test_only_the_methods_of_the_table_are_available(set_profile: Ask, cpo: Person, listener: Listener) -> None:
    set_profile()
    own, result = f"emsp/2.2.1/chargingprofiles/{SESSION}", last_url(listener)
    receiver = f"emsp/2.2.1/receiver/chargingprofiles/{SESSION}"

    codes = {
        (path, method): cpo.request(method, path, {}).http_status
        for path, methods in (
            (own, ("GET", "POST", "PATCH", "DELETE")),
            (result, ("GET", "PUT", "PATCH", "DELETE")),
            (receiver, ("POST", "PATCH")),
        )
        for method in methods
    }

    assert set(codes.values()) == {405}


def test_a_session_may_be_called_like_a_part_of_another_url(session: Session, cpo: Person, document: Document) -> None:
    cpo.put("emsp/2.2.1/sessions/NL/TNM/results", document("session", id="results"))

    answer = cpo.put("emsp/2.2.1/chargingprofiles/results", document("active_charging_profile"))

    assert answer.codes == (200, 1000)


def test_both_interfaces_stand_in_the_version_details(cpo: Person) -> None:
    endpoints = cpo.get("2.2.1").data["endpoints"]

    urls = {entry["role"]: entry["url"] for entry in endpoints if entry["identifier"] == "chargingprofiles"}
    assert urls == {
        "SENDER": "http://127.0.0.1:8000/ocpi/emsp/2.2.1/chargingprofiles",
        "RECEIVER": "http://127.0.0.1:8000/ocpi/emsp/2.2.1/receiver/chargingprofiles",
    }


@pytest.mark.req("VER-07")
def test_an_instance_that_is_both_lists_each_interface_once(both_sides: None, partner: Partner) -> None:
    endpoints = partner("NL*SCS:SCSP").get("2.2.1").data["endpoints"]

    listed = [(entry["identifier"], entry["role"]) for entry in endpoints]
    assert len(listed) == len(set(listed))
    (url,) = [
        each["url"] for each in endpoints if (each["identifier"], each["role"]) == ("chargingprofiles", "RECEIVER")
    ]
    assert url == "http://127.0.0.1:8000/ocpi/cpo/2.2.1/chargingprofiles"
