"""Charging profiles and reservations through the hub: its own URL for a response_url, and how long that lives."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, quote

import pytest
from django.utils import timezone

from hub.models import Callback
from ocpi.v2_2_1.types import format_datetime
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

PROFILES = "hub/2.2.1/receiver/chargingprofiles"
HUB_URL = "http://127.0.0.1:8000/ocpi/hub/2.2.1/callbacks/"
pytestmark = pytest.mark.usefixtures("hub_side", "front_door")


@pytest.fixture
def far_cpo(partner: Partner, listener: Listener) -> Person:
    """A CPO that really answers."""
    listener.reply("*", "/ocpi/2.2.1/receiver", data={"result": "ACCEPTED", "timeout": 30})
    return partner("NL*TNM:CPO", listener=listener)


@pytest.fixture
def far_emsp(partner: Partner, listener: Listener) -> Person:
    return partner("DE*EMS:EMSP", listener=listener)


@pytest.mark.req("HUB-72", "CHP-01", "CHP-03", "CHP-08", "PIT-18", "PIT-82")
@pytest.mark.parametrize("form", ["encoded", "unencoded", "unencoded and last", "name escaped"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_response_url_in_a_query_is_the_hubs_own(
    far_cpo: Person, far_emsp: Person, listener: Listener, method: str, form: str
) -> None:
    original = f"{far_emsp.url}/results/1?mine=7&more=a"
    url = quote(original, safe="") if form in ("encoded", "name escaped") else original
    name = "response%5Furl" if form == "name escaped" else "response_url"
    duration = "duration=900" if method == "GET" else "x=y"
    query = f"response_url={url}&{duration}" if form == "unencoded" and method == "GET" else f"{duration}&{name}={url}"

    answer = far_emsp.request(method, f"http://127.0.0.1:8000/ocpi/{PROFILES}/S1?{query}", to="NL*TNM")

    assert answer.data == {"result": "ACCEPTED", "timeout": 30}
    (request,) = listener.received(method, "/ocpi/2.2.1/receiver/chargingprofiles/S1")
    sent = parse_qs(request.query)
    assert sent.pop("response_url")[0].startswith(HUB_URL)
    assert sent == parse_qs(duration)
    assert Callback.objects.get().url == original


@pytest.mark.req("HUB-72", "HUB-73", "CHP-02", "CHP-04")
def test_the_result_of_a_profile_comes_back_through_the_hub(
    far_cpo: Person, far_emsp: Person, listener: Listener, document: Document
) -> None:
    body = document("charging_profile", response_url=f"{far_emsp.url}/results/1")
    far_emsp.put(f"{PROFILES}/S1", body, to="NL*TNM")
    (request,) = listener.received("PUT", "/ocpi/2.2.1/receiver/chargingprofiles/S1")
    assert request.json == {**body, "response_url": request.json["response_url"]}

    answer = far_cpo.post(request.json["response_url"], {"result": "ACCEPTED"}, to="DE*EMS")

    assert answer.codes == (200, 1000)
    (result,) = listener.received("POST", "/results/1")
    assert result.json == {"result": "ACCEPTED"}
    assert (result.headers["ocpi-from-party-id"], result.headers["ocpi-to-party-id"]) == ("TNM", "EMS")
    assert result.token == far_emsp.token_out


@pytest.mark.req("CHP-05", "HUB-12")
def test_an_active_profile_goes_to_the_party_it_is_for(
    far_cpo: Person, far_emsp: Person, listener: Listener, document: Document
) -> None:
    told = document("active_charging_profile")

    answer = far_cpo.put("hub/2.2.1/sender/chargingprofiles/S1", told, to="DE*EMS")

    assert answer.codes == (200, 1000)
    (request,) = listener.received("PUT", "/ocpi/2.2.1/sender/chargingprofiles/S1")
    assert request.json == told


@pytest.mark.req("HUB-72", "CMD-20")
def test_the_url_of_a_reservation_lives_until_an_hour_after_it_and_takes_more_than_one_result(
    far_cpo: Person, far_emsp: Person, listener: Listener, document: Document
) -> None:
    end = (timezone.now() + timedelta(hours=3)).replace(microsecond=0)
    changes: dict[str, Any] = {"response_url": f"{far_emsp.url}/results/1", "expiry_date": format_datetime(end)}
    far_emsp.post("hub/2.2.1/receiver/commands/RESERVE_NOW", document("reserve_now", **changes), to="NL*TNM")
    (request,) = listener.received("POST", "/ocpi/2.2.1/receiver/commands/RESERVE_NOW")
    url = request.json["response_url"]

    answers = [far_cpo.post(url, {"result": word}, to="DE*EMS") for word in ("ACCEPTED", "CANCELED_RESERVATION")]
    lives_until = Callback.objects.get().expires_at
    Callback.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    late = far_cpo.post(url, {"result": "CANCELED_RESERVATION"}, to="DE*EMS")

    assert [answer.codes for answer in answers] == [(200, 1000)] * 2
    assert [each.json["result"] for each in listener.received("POST", "/results/1")] == [
        "ACCEPTED", "CANCELED_RESERVATION",
    ]  # fmt: skip
    assert lives_until == end + timedelta(hours=1)
    assert late.codes == (404, 2000)
