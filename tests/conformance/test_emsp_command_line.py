"""The management commands with which an eMSP asks something of a CPO: they wait for the result and print it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.core.management import CommandError
from django.db import connection
from django.utils import timezone

from emsp.models import ChargingProfileRequest, Command, Session, Token
from ocpi.v2_2_1.types import format_datetime
from tests.emsp_support import ACCEPTED, RECEIVER, SESSION, run
from tests.emsp_support import cpo_fixture as cpo_fixture
from tests.emsp_support import evse_fixture as evse_fixture
from tests.emsp_support import session_fixture as session_fixture
from tests.emsp_support import token_fixture as token_fixture
from tests.fixtures import Document
from tests.people import Person
from tests.platforms import Listener, Received, Reply, segments

START = f"{RECEIVER}/START_SESSION"
PROFILES = "/ocpi/2.2.1/receiver/chargingprofiles"
DONE = {"response": "ACCEPTED", "result": "ACCEPTED"}


@pytest.fixture
def quick_cpo(cpo: Person, token: Token, listener: Listener, document: Document) -> Person:
    """A CPO that is quick: the Session and the result come before its answer does (QRK-30)."""

    def answer(request: Received) -> Reply:
        members = request.json if request.body else {}
        url = members.get("response_url") or parse_qs(request.query)["response_url"][0]
        more = {"profile": document("active_charging_profile")} if request.method == "GET" else {}
        try:
            if segments(request.path)[-1] == "START_SESSION":
                reference = members["authorization_reference"]
                cpo.put(f"emsp/2.2.1/sessions/NL/TNM/{SESSION}", document("session", authorization_reference=reference))
            cpo.post(url, {"result": "ACCEPTED", **more})
        finally:
            connection.close()  # the listener's thread has one of its own
        return Reply(data=ACCEPTED)

    listener.reply("*", "/ocpi/2.2.1/receiver", using=answer)
    return cpo


@pytest.mark.django_db(transaction=True)
@pytest.mark.req("CMD-23", "CMD-30", "QRK-30")
def test_a_session_is_started_and_stopped(quick_cpo: Person) -> None:
    started = run("start_session", to="NL*TNM", location="LOC1", evse="E1", token="04c7a1e2b95d80")
    stopped = run("stop_session", session=started["session"])

    assert started == {"command": "START_SESSION", **DONE, "session": SESSION}
    assert stopped == {"command": "STOP_SESSION", **DONE, "session": SESSION}


@pytest.mark.django_db(transaction=True)
@pytest.mark.req("QRK-30")
def test_a_place_is_reserved_and_given_up_and_a_connector_unlocked(quick_cpo: Person, token: Token) -> None:
    expiry = format_datetime(timezone.now() + timedelta(minutes=5))
    reserved = run("reserve_now", to="NL*TNM", location="LOC1", token=token.uid, expiry=expiry, reservation="RES-9")
    canceled = run("cancel_reservation", to="NL*TNM", reservation="RES-9")
    unlocked = run("unlock_connector", to="NL*TNM", location="LOC1", evse="E1", connector="1")

    assert reserved == {"command": "RESERVE_NOW", **DONE, "reservation": "RES-9", "state": "RESERVED"}
    assert canceled == {"command": "CANCEL_RESERVATION", **DONE, "reservation": "RES-9", "state": "CANCELED"}
    assert unlocked == {"command": "UNLOCK_CONNECTOR", **DONE}


@pytest.mark.django_db(transaction=True)
@pytest.mark.req("CHP-01", "CHP-02", "CHP-03")
def test_a_profile_is_set_asked_for_and_cleared(
    session: Session, quick_cpo: Person, document: Document, listener: Listener
) -> None:
    was_set = run("set_charging_profile", session=SESSION, limit="16.0", unit="A")
    active = run("get_charging_profile", session=SESSION, duration="600")
    cleared = run("clear_charging_profile", session=SESSION)

    done = {**DONE, "session": SESSION}
    assert was_set == {"request": "SET", **done}
    assert active == {"request": "GET", **done, "profile": document("active_charging_profile")}
    assert cleared == {"request": "CLEAR", **done}
    (request,) = listener.received("PUT", f"{PROFILES}/{SESSION}")
    periods = [{"start_period": 0, "limit": 16.0}]
    assert request.json["charging_profile"] == {"charging_rate_unit": "A", "charging_profile_period": periods}


def test_what_is_not_carried_out_ends_with_an_error(token: Token, session: Session, listener: Listener) -> None:
    listener.reply("POST", START, data={"result": "REJECTED", "timeout": 0})
    listener.reply("PUT", PROFILES, data={"result": "TOO_OFTEN", "timeout": 0})

    with pytest.raises(CommandError, match="REJECTED"):
        run("start_session", to="NL*TNM", location="LOC1", token=token.uid)
    with pytest.raises(CommandError, match="TOO_OFTEN"):
        run("set_charging_profile", session=SESSION, limit="7400")


@pytest.mark.req("CMD-08", "QRK-30")
def test_waiting_for_a_command_ends_with_the_announced_timeout(token: Token, listener: Listener) -> None:
    listener.reply("POST", START, data={"result": "ACCEPTED", "timeout": 1})

    with pytest.raises(CommandError, match="TIMEOUT"):
        run("start_session", to="NL*TNM", location="LOC1", token=token.uid)

    assert Command.objects.get().state == "EXPIRED"


@pytest.mark.req("CHP-20")
def test_waiting_for_a_profile_ends_with_the_announced_timeout(session: Session, listener: Listener) -> None:
    listener.reply("PUT", PROFILES, data={"result": "ACCEPTED", "timeout": 1})

    with pytest.raises(CommandError, match="TIMEOUT"):
        run("set_charging_profile", session=SESSION, limit="7400")

    assert ChargingProfileRequest.objects.get().state == "EXPIRED"


AT: dict[str, Any] = {"to": "NL*TNM", "location": "LOC1"}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("start_session", {**AT, "to": "NL-TNM", "token": "04C7A1E2B95D80"}),
        ("start_session", {**AT, "token": "NOBODYS"}),
        ("start_session", {**AT, "to": "FR*CPX", "token": "04C7A1E2B95D80"}),
        ("reserve_now", {**AT, "token": "04C7A1E2B95D80", "expiry": "tomorrow"}),
        ("reserve_now", {**AT, "token": "04C7A1E2B95D80", "expiry": "2020-01-01T00:00:00Z"}),
        ("cancel_reservation", {"to": "NL*TNM", "reservation": "NONE"}),
        ("unlock_connector", {**AT, "to": "FR*CPX", "evse": "E1", "connector": "1"}),
        ("stop_session", {"session": "NONE"}),
        ("set_charging_profile", {"session": "NONE", "limit": "1"}),
        ("set_charging_profile", {"session": SESSION, "profile": "/no/such/file"}),
    ],
)
def test_what_makes_no_sense_is_said(token: Token, session: Session, name: str, options: dict[str, str]) -> None:
    with pytest.raises(CommandError):
        run(name, **options)

    assert not Command.objects.exists()
    assert not ChargingProfileRequest.objects.exists()
