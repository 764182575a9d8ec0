"""Charging preferences: sent for a capable EVSE while charging goes on, and both forms of their answer."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Any

import pytest
from django.core.management import CommandError

from emsp.models import EVSE, SentPreferences, Session
from emsp.modules import charging_preferences
from ocpi import status
from tests.emsp_support import SESSION, run, without_capability
from tests.emsp_support import cpo_fixture as cpo_fixture
from tests.emsp_support import evse_fixture as evse_fixture
from tests.emsp_support import session_fixture as session_fixture
from tests.fixtures import Document
from tests.platforms import Listener

SENDER = "/ocpi/2.2.1/sender/sessions"
PATH = f"{SENDER}/{SESSION}/charging_preferences"


@pytest.mark.req("SES-03", "SES-35", "HUB-03")
def test_preferences_are_put_to_the_cpo(session: Session, document: Document, listener: Listener) -> None:
    listener.reply("PUT", SENDER, data="ACCEPTED")

    sent = charging_preferences.send(session=session, preferences=document("charging_preferences"))

    (request,) = listener.received("PUT", SENDER)
    assert (request.path, request.json) == (PATH, document("charging_preferences"))
    assert (request.headers["ocpi-to-party-id"], request.headers["ocpi-from-party-id"]) == ("TNM", "EMS")
    assert (sent.response, json.loads(sent.document)) == ("ACCEPTED", document("charging_preferences"))


@pytest.mark.req("PIT-29", "SES-38")
@pytest.mark.parametrize("response", ["ACCEPTED", "DEPARTURE_REQUIRED", "ENERGY_NEED_REQUIRED", "NOT_POSSIBLE",
                                      "PROFILE_TYPE_NOT_SUPPORTED"])  # fmt: skip
@pytest.mark.parametrize("wrapped", [True, False])
def test_both_forms_of_the_answer_are_understood(
    session: Session, document: Document, listener: Listener, response: str, wrapped: bool
) -> None:
    listener.reply("PUT", SENDER, data={"result": response} if wrapped else response)

    sent = charging_preferences.send(session=session, preferences=document("charging_preferences"))

    assert (sent.response, sent.message) == (response, "")


@pytest.mark.parametrize(
    "reply", [{"status": 404, "code": 2001, "message": "EVSE"}, {"data": ["ACCEPTED"]}, {"close": True}]
)
def test_an_answer_that_is_none_is_kept(
    session: Session, document: Document, listener: Listener, reply: dict[str, Any]
) -> None:
    listener.reply("PUT", SENDER, **reply)

    sent = charging_preferences.send(session=session, preferences=document("charging_preferences"))

    assert sent.response == ""
    assert sent.message


@pytest.mark.req("SES-41")
def test_the_last_preferences_are_those_of_the_session(
    session: Session, document: Document, listener: Listener
) -> None:
    listener.reply("PUT", SENDER, data="ACCEPTED")
    charging_preferences.send(session=session, preferences=document("charging_preferences"))

    charging_preferences.send(session=session, preferences={"profile_type": "FAST", "energy_need": None})

    row = SentPreferences.objects.get(session=session)
    assert json.loads(row.document) == {"profile_type": "FAST"}
    assert listener.received("PUT", PATH)[-1].json == {"profile_type": "FAST"}


@pytest.mark.req("SES-35")
def test_an_evse_without_the_capability_gets_none(
    session: Session, evse: EVSE, document: Document, listener: Listener
) -> None:
    preferences = document("charging_preferences")
    without_capability(evse, "CHARGING_PREFERENCES_CAPABLE")
    with pytest.raises(status.InvalidParameters, match="CHARGING_PREFERENCES_CAPABLE"):
        charging_preferences.send(session=session, preferences=preferences)
    evse.delete()
    with pytest.raises(status.InvalidParameters, match="CHARGING_PREFERENCES_CAPABLE"):
        charging_preferences.send(session=session, preferences=preferences)

    assert not listener.received("PUT", SENDER)
    assert not SentPreferences.objects.exists()


@pytest.mark.req("SES-35")
@pytest.mark.parametrize(("state", "sent"), [("ACTIVE", 1), ("PENDING", 1), ("COMPLETED", 0), ("INVALID", 0)])
def test_only_an_ongoing_session_gets_them(
    session: Session, document: Document, listener: Listener, state: str, sent: int
) -> None:
    listener.reply("PUT", SENDER, data="ACCEPTED")
    session.status = state

    with nullcontext() if sent else pytest.raises(status.InvalidParameters, match=state):
        charging_preferences.send(session=session, preferences=document("charging_preferences"))

    assert len(listener.received("PUT", SENDER)) == sent


@pytest.mark.req("SES-39")
def test_preferences_that_break_their_table_are_not_sent(session: Session, listener: Listener) -> None:
    for wrong in ({"energy_need": 5}, {"profile_type": "SLOW"}, {"profile_type": "FAST", "departure_time": "soon"}):
        with pytest.raises(status.InvalidParameters):
            charging_preferences.send(session=session, preferences=wrong)

    assert not listener.received("PUT", SENDER)


def test_preferences_from_the_command_line(session: Session, listener: Listener) -> None:
    listener.reply("PUT", SENDER, data="ACCEPTED")

    options = {"profile-type": "GREEN", "departure": "2035-09-12T21:30:00Z", "energy": "35.5"}
    assert run("set_charging_preferences", session=SESSION, **options) == {"session": SESSION, "response": "ACCEPTED"}

    assert listener.received("PUT", PATH)[0].json == {
        "profile_type": "GREEN", "departure_time": "2035-09-12T21:30:00Z", "energy_need": 35.5,
    }  # fmt: skip
    listener.reply("PUT", SENDER, data="NOT_POSSIBLE")
    with pytest.raises(CommandError, match="NOT_POSSIBLE"):
        run("set_charging_preferences", session=SESSION, **options)
