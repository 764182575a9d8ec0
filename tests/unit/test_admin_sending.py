"""The buttons with which an operator sends something to a CPO, and what a Location looks like to a driver."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from emsp.models import EVSE, ChargingProfileRequest, Command, Location, Reservation, SentPreferences, Session, Token
from emsp.modules import commands_operations
from tests.admin_world import operator_fixture as operator_fixture
from tests.emsp_support import EVSE_UID, LOCATION, RECEIVER, SESSION, TNM, response_url
from tests.emsp_support import cpo_fixture as cpo_fixture
from tests.emsp_support import evse_fixture as evse_fixture
from tests.emsp_support import session_fixture as session_fixture
from tests.emsp_support import token_fixture as token_fixture
from tests.fixtures import Document
from tests.people import Person
from tests.platforms import Listener

PROFILES = "/ocpi/2.2.1/receiver/chargingprofiles"


@pytest.fixture
def location(evse: EVSE) -> Location:
    return evse.location


@pytest.fixture
def helpdesk(db: None) -> Client:
    """Somebody who may look at everything and send commands, but not unlock."""
    return somebody("add_command")


def somebody(*permissions: str) -> Client:
    client = Client()
    user = User.objects.create_user(f"may {permissions}", password="a long password of a person", is_staff=True)
    looking = ("view_location", "view_session", "view_command", "view_reservation", "view_chargingprofilerequest")
    codes = [*looking, *permissions]
    found = user.user_permissions.model.objects.filter(codename__in=codes, content_type__app_label="emsp")
    user.user_permissions.add(*found)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def url(name: str, row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{name}", args=[row.pk])


def text(answer: Any) -> str:
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def leads_to(answer: Any, row: Any) -> bool:
    return bool(answer.status_code == 302 and answer.headers["Location"] == url("change", row))


def test_a_session_is_started_at_a_location(
    operator: Client, location: Location, token: Token, listener: Listener
) -> None:
    form = text(operator.get(url("start_session", location)))
    answer = operator.post(url("start_session", location), {"token": "04c7a1e2b95d80", "evse_uid": EVSE_UID})

    command = Command.objects.get()
    assert EVSE_UID in form
    assert leads_to(answer, command)
    (request,) = listener.received("POST", f"{RECEIVER}/START_SESSION")
    assert (request.json["location_id"], request.json["evse_uid"]) == (LOCATION, EVSE_UID)
    listed = text(operator.get(reverse("admin:emsp_command_changelist")))
    assert "Answered after" in listed
    assert re.search(r"\b[0-9]\.[0-9]{2} s\b", listed)


def test_a_place_is_reserved_and_given_up(
    operator: Client, location: Location, token: Token, cpo: Person, listener: Listener
) -> None:
    answer = operator.post(url("reserve_now", location), {"token": token.uid, "evse_uid": EVSE_UID, "minutes": 30})
    reserved = Command.objects.get()
    cpo.post(response_url(reserved), {"result": "ACCEPTED"})
    row = Reservation.objects.get()
    question = text(operator.get(url("cancel_reservation", row)))
    nothing_yet = listener.received("POST", f"{RECEIVER}/CANCEL_RESERVATION")
    canceled = operator.post(url("cancel_reservation", row))

    assert leads_to(answer, reserved)
    assert row.state == "RESERVED"
    assert row.reservation_id in question
    assert not nothing_yet
    assert leads_to(canceled, Command.objects.get(command="CANCEL_RESERVATION"))


@pytest.mark.req("CMD-42", "CMD-43")
def test_unlocking_needs_a_permission_of_its_own(
    helpdesk: Client, operator: Client, location: Location, listener: Listener
) -> None:
    data = {"evse_uid": EVSE_UID, "connector_id": "1"}

    refused = [helpdesk.get(url("unlock_connector", location)), helpdesk.post(url("unlock_connector", location), data)]
    button = url("unlock_connector", location)
    seen = [button in text(client.get(url("change", location))) for client in (helpdesk, somebody("unlock_connector"))]

    assert [answer.status_code for answer in refused] == [403, 403]
    assert seen == [False, True]
    assert not listener.received("POST", f"{RECEIVER}/UNLOCK_CONNECTOR")
    answer = somebody("unlock_connector", "add_command").post(url("unlock_connector", location), data)
    command = Command.objects.get()
    assert leads_to(answer, command)
    assert command.asked_by.startswith("may ")
    (request,) = listener.received("POST", f"{RECEIVER}/UNLOCK_CONNECTOR")
    assert request.json["connector_id"] == "1"


def test_who_may_only_look_sends_nothing(location: Location, session: Session, token: Token, cpo: Person) -> None:
    viewer = somebody()
    commands_operations.start_session(to=TNM, token=token, location_id=LOCATION)
    pages = [
        *(url(name, location) for name in ("start_session", "reserve_now", "unlock_connector")),
        *(url(name, session) for name in ("stop_session", "set_profile", "get_profile", "clear_profile",
                                          "set_preferences")),
    ]  # fmt: skip

    answers = [(viewer.get(page).status_code, viewer.post(page, {}).status_code) for page in pages]

    assert answers == [(403, 403)] * 8
    assert Command.objects.count() == 1


def test_a_session_is_stopped_after_a_question(operator: Client, session: Session, listener: Listener) -> None:
    question = text(operator.get(url("stop_session", session)))
    before = listener.received("POST", f"{RECEIVER}/STOP_SESSION")

    answer = operator.post(url("stop_session", session))

    assert f"Stop Session {SESSION}?" in question
    assert not before
    assert leads_to(answer, Command.objects.get())
    assert listener.received("POST", f"{RECEIVER}/STOP_SESSION")[0].json["session_id"] == SESSION


def test_profiles_are_set_asked_for_and_cleared(
    operator: Client, session: Session, cpo: Person, listener: Listener, document: Document
) -> None:
    listener.reply("*", PROFILES, data={"result": "ACCEPTED", "timeout": 30})
    whole = document("charging_profile")["charging_profile"]

    answers = [
        operator.post(url("set_profile", session), {"limit": "7400.5", "unit": "W", "duration": "600"}),
        operator.post(url("set_profile", session), {"profile": json.dumps(whole), "unit": "W"}),
        operator.post(url("get_profile", session), {"duration": "900"}),
        operator.post(url("clear_profile", session)),
    ]

    rows = list(ChargingProfileRequest.objects.order_by("pk"))
    assert [leads_to(answer, row) for answer, row in zip(answers, rows, strict=True)] == [True] * 4
    limited, given = (request.json["charging_profile"] for request in listener.received("PUT", PROFILES))
    assert limited == {
        "duration": 600, "charging_rate_unit": "W", "charging_profile_period": [{"start_period": 0, "limit": 7400.5}],
    }  # fmt: skip
    assert given == whole
    assert [row.asked_by for row in rows] == ["operator"] * 4
    cpo.put(f"emsp/2.2.1/chargingprofiles/{SESSION}", document("active_charging_profile"))
    assert "2025-09-12T16:01:00Z" in text(operator.get(url("change", session)))  # its start_date_time


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"unit": "W"}, "Give either"),
        ({"unit": "W", "limit": "1", "profile": "{}"}, "Give either"),
        ({"unit": "W", "profile": "{"}, "not JSON"),
        ({"unit": "W", "profile": "{}"}, "charging_rate_unit"),
    ],
)
def test_a_profile_that_is_none_is_said_in_the_form(
    operator: Client, session: Session, listener: Listener, data: dict[str, str], said: str
) -> None:
    answer = operator.post(url("set_profile", session), data)

    assert said in text(answer)
    assert not listener.received("PUT", PROFILES)


def test_preferences_are_sent(operator: Client, session: Session, listener: Listener) -> None:
    listener.reply("PUT", "/ocpi/2.2.1/sender/sessions", data="NOT_POSSIBLE")

    answer = operator.post(
        url("set_preferences", session),
        {"profile_type": "GREEN", "departure_time": "2035-01-01 10:00", "energy_need": "12.5"},
    )

    assert leads_to(answer, session)
    assert SentPreferences.objects.get().response == "NOT_POSSIBLE"
    assert "NOT_POSSIBLE" in text(operator.get(url("change", session)))
    (request,) = listener.received("PUT", "/ocpi/2.2.1/sender/sessions")
    assert request.json == {
        "profile_type": "GREEN", "departure_time": "2035-01-01T10:00:00Z", "energy_need": 12.5,
    }  # fmt: skip


def test_what_an_operation_refuses_is_said_in_the_form(operator: Client, location: Location, token: Token) -> None:
    Token.objects.update(valid=False)

    blocked = text(operator.post(url("start_session", location), {"token": token.uid}))
    unknown = text(operator.post(url("start_session", location), {"token": "NOBODYS"}))

    assert "is blocked" in blocked
    assert "There is no Token NOBODYS" in unknown
    assert not Command.objects.exists()


@pytest.mark.req("LOC-34", "LOC-35")
def test_the_list_says_what_the_public_sees(operator: Client, location: Location, cpo: Person) -> None:
    page = reverse("admin:emsp_location_changelist")

    before = text(operator.get(page))
    cpo.patch(f"emsp/2.2.1/locations/NL/TNM/{LOCATION}", {"publish": False, "last_updated": "2035-01-01T00:00:00Z"})
    after = text(operator.get(page))

    assert [">yes</span>" in content for content in (before, after)] == [True, False]


@pytest.mark.req("LOC-35", "LOC-37")
def test_a_location_as_a_driver_sees_it(
    operator: Client, location: Location, token: Token, cpo: Person, document: Document
) -> None:
    allowed = [{"uid": token.uid, "type": "RFID"}]
    body = document("location", publish=False, publish_allowed_to=allowed)
    cpo.put(f"emsp/2.2.1/locations/NL/TNM/{LOCATION}", body)
    page = url("as_a_driver", location)

    public = text(operator.get(page))
    driver = text(operator.get(page, {"token": token.uid.lower()}))
    nobody = text(operator.get(page, {"token": "NOBODYS"}))

    assert "not shown to the public" in public
    assert "Tulp Net Mobiliteit" in driver
    assert f"EVSE {EVSE_UID}" in driver
    assert "There is no Token NOBODYS" in nobody
    assert "Tulp Net Mobiliteit" not in public + nobody


@pytest.mark.req("PIT-44")
def test_a_standard_that_nobody_knows_is_marked_where_the_evse_is_shown(
    operator: Client, cpo: Person, document: Document
) -> None:
    body = document("location")
    known = body["evses"][1]["connectors"][0]["standard"]
    body["evses"][0]["connectors"][0]["standard"] = "<MCS>"
    assert cpo.put(f"emsp/2.2.1/locations/NL/TNM/{LOCATION}", body).ok
    odd, even = (EVSE.objects.get(uid=each["uid"]) for each in body["evses"][:2])

    pages = [text(operator.get(url("change", row))) for row in (odd.location, odd, even)]

    assert [page.count("unknown value: <MCS>") for page in pages] == [1, 1, 0]
    assert not any(f"unknown value: {known}" in page for page in pages)
