"""Commands, Sender: RESERVE_NOW, CANCEL_RESERVATION and UNLOCK_CONNECTOR, and the reservation as we see it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from emsp import reservation_states, tasks
from emsp.models import EVSE, Command, Reservation, Session, Token
from emsp.modules import commands_operations as commands
from emsp.modules import commands_results as results
from emsp.modules import tokens_operations as tokens
from ocpi import status
from ocpi.v2_2_1.types import format_datetime
from tests.conformance.suites import LATER
from tests.emsp_support import EVSE_UID, LOCATION, RECEIVER, SESSION, TNM, response_url, without_capability
from tests.emsp_support import cpo_fixture as cpo_fixture
from tests.emsp_support import evse_fixture as evse_fixture
from tests.emsp_support import token_fixture as token_fixture
from tests.fixtures import Document
from tests.people import Person, at
from tests.platforms import Listener

RESERVE, CANCEL, UNLOCK = (f"{RECEIVER}/{name}" for name in ("RESERVE_NOW", "CANCEL_RESERVATION", "UNLOCK_CONNECTOR"))
Reserve = Callable[..., Command]


@pytest.fixture
def expiry() -> datetime:
    return (timezone.now() + timedelta(minutes=30)).replace(microsecond=0)


@pytest.fixture
def reserve(token: Token, expiry: datetime) -> Reserve:
    return lambda **changes: commands.reserve_now(
        **{"to": TNM, "token": token, "location_id": LOCATION, "evse_uid": EVSE_UID, "expiry_date": expiry, **changes}
    )


@pytest.fixture
def reserved(reserve: Reserve, cpo: Person) -> Command:
    """A reservation that its CPO confirmed."""
    command = reserve(reservation_id="RES-1")
    cpo.post(response_url(command), {"result": "ACCEPTED"})
    return command


def state() -> str:
    return Reservation.objects.get().state


@pytest.mark.req("CMD-01", "CMD-24", "PIT-66")
def test_reserve_now_is_posted_to_the_cpo(
    reserve: Reserve, listener: Listener, document: Document, expiry: datetime
) -> None:
    command = reserve()

    (request,) = listener.received("POST", RESERVE)
    row = Reservation.objects.get()
    assert request.json == {
        "response_url": response_url(command),
        "token": document("token_rfid"),
        "expiry_date": format_datetime(expiry),
        "reservation_id": row.reservation_id,
        "location_id": LOCATION,
        "evse_uid": EVSE_UID,
        "authorization_reference": command.authorization_reference,
    }
    assert (request.headers["ocpi-to-party-id"], request.headers["ocpi-from-party-id"]) == ("TNM", "EMS")
    assert (row.state, row.expiry_date, row.emsp_party_id) == ("REQUESTED", expiry, "EMS")


def test_the_result_of_a_reservation_confirms_it(reserved: Command) -> None:
    reserved.refresh_from_db()
    assert (reserved.state, reserved.result, state()) == ("DONE", "ACCEPTED", "RESERVED")


@pytest.mark.req("CMD-20", "CMD-21")
def test_a_reservation_may_be_cancelled_by_its_cpo_later(reserved: Command, cpo: Person) -> None:
    Command.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    tasks.sweep()

    answer = cpo.post(response_url(reserved), {"result": "CANCELED_RESERVATION"})

    assert answer.codes == (200, 1000)
    reserved.refresh_from_db()
    assert (reserved.result, state()) == ("CANCELED_RESERVATION", "CANCELED_BY_CPO")


@pytest.mark.req("CMD-20")
def test_the_url_of_a_reservation_outlives_the_timeout_of_its_command(reserve: Reserve, cpo: Person) -> None:
    command = reserve()
    Command.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    tasks.sweep()
    command.refresh_from_db()
    assert command.state == "EXPIRED"

    answer = cpo.post(response_url(command), {"result": "ACCEPTED"})

    assert answer.codes == (200, 1000)
    assert state() == "RESERVED"


@pytest.mark.req("CMD-20", "CMD-21")
def test_the_url_of_a_reservation_ends_with_it(reserved: Command, cpo: Person) -> None:
    Command.objects.update(deadline_at=timezone.now() - timedelta(minutes=40))
    Reservation.objects.update(expiry_date=timezone.now() - timedelta(minutes=2))

    before = cpo.post(response_url(reserved), {"result": "CANCELED_RESERVATION"})
    tasks.sweep()
    after = cpo.post(response_url(reserved), {"result": "CANCELED_RESERVATION"})

    assert [before.codes, after.codes] == [(404, 2000)] * 2
    reserved.refresh_from_db()
    assert (reserved.result, state()) == ("ACCEPTED", "EXPIRED")


@pytest.mark.req("CMD-21")
def test_a_second_result_of_a_reservation_is_logged_and_changes_nothing(
    reserved: Command, cpo: Person, caplog: pytest.LogCaptureFixture
) -> None:
    answer = cpo.post(response_url(reserved), {"result": "REJECTED"})

    assert answer.codes == (200, 1000)
    assert "REJECTED came too" in caplog.text
    reserved.refresh_from_db()
    assert (reserved.result, state()) == ("ACCEPTED", "RESERVED")


@pytest.mark.req("CMD-21")
def test_only_a_reservation_is_cancelled_after_its_result(token: Token, cpo: Person) -> None:
    command = commands.start_session(to=TNM, token=token, location_id=LOCATION)
    cpo.post(response_url(command), {"result": "ACCEPTED"})

    cpo.post(response_url(command), {"result": "CANCELED_RESERVATION"})

    command.refresh_from_db()
    assert command.result == "ACCEPTED"


@pytest.mark.parametrize("result", ["REJECTED", "EVSE_OCCUPIED", "TIMEOUT"])
def test_a_result_that_is_none_refuses_the_reservation(reserve: Reserve, cpo: Person, result: str) -> None:
    cpo.post(response_url(reserve()), {"result": result})

    assert state() == "REFUSED"


def test_a_response_that_is_none_refuses_the_reservation(reserve: Reserve, listener: Listener) -> None:
    listener.reply("POST", RESERVE, data={"result": "NOT_SUPPORTED", "timeout": 0})

    command = reserve()

    assert (command.state, command.response, state()) == ("REFUSED", "NOT_SUPPORTED", "REFUSED")


@pytest.mark.req("CMD-37")
def test_the_same_id_replaces_the_reservation_once_the_cpo_agrees(
    reserved: Command, reserve: Reserve, cpo: Person, expiry: datetime
) -> None:
    later = expiry + timedelta(hours=1)

    command = reserve(reservation_id="res-1", expiry_date=later)
    before = Reservation.objects.get()
    cpo.post(response_url(command), {"result": "ACCEPTED"})
    after = Reservation.objects.get()

    assert (before.state, before.expiry_date) == ("RESERVED", expiry)
    assert (after.state, after.expiry_date) == ("RESERVED", later)


@pytest.mark.req("CMD-37")
def test_a_replacement_that_is_refused_leaves_the_reservation(
    reserved: Command, reserve: Reserve, cpo: Person, expiry: datetime
) -> None:
    command = reserve(reservation_id="RES-1", expiry_date=expiry + timedelta(hours=1))

    cpo.post(response_url(command), {"result": "REJECTED"})

    row = Reservation.objects.get()
    assert (row.state, row.expiry_date) == ("RESERVED", expiry)


def test_one_id_is_not_used_at_two_locations(reserved: Command, reserve: Reserve, listener: Listener) -> None:
    with pytest.raises(status.InvalidParameters, match=LOCATION):
        reserve(reservation_id="RES-1", location_id="ELSEWHERE", evse_uid="")

    assert len(listener.received("POST", RESERVE)) == 1


@pytest.mark.req("CMD-40")
def test_a_reservation_that_would_be_over_is_not_asked_for(reserve: Reserve, listener: Listener) -> None:
    with pytest.raises(status.InvalidParameters, match="expiry_date"):
        reserve(expiry_date=timezone.now() - timedelta(seconds=1))

    assert not listener.received("POST", RESERVE)
    assert not Reservation.objects.exists()


@pytest.mark.req("CMD-24", "LOC-40")
def test_a_blocked_or_foreign_token_reserves_nothing(reserve: Reserve, token: Token, listener: Listener) -> None:
    tokens.block(token)
    token.refresh_from_db()
    with pytest.raises(status.InvalidParameters, match="blocked"):
        reserve(token=token)
    Token.objects.update(party_id="XXX", valid=True)
    token.refresh_from_db()
    with pytest.raises(status.InvalidParameters, match="not of one of our parties"):
        reserve(token=token)

    assert not listener.received("POST", RESERVE)
    assert not Reservation.objects.exists()


@pytest.mark.req("LOC-69")
def test_an_evse_that_cannot_be_reserved_is_not_asked_for(evse: EVSE, reserve: Reserve, listener: Listener) -> None:
    assert reserve().state == "ACCEPTED"
    without_capability(evse, "RESERVABLE")

    with pytest.raises(status.InvalidParameters, match="RESERVABLE"):
        reserve()

    assert len(listener.received("POST", RESERVE)) == 1


# ---- giving it up


@pytest.mark.req("CMD-01", "CMD-39")
def test_cancel_reservation_is_posted_by_the_party_that_had_reserved(
    reserved: Command, cpo: Person, listener: Listener
) -> None:
    command = commands.cancel_reservation(to=TNM, reservation_id="res-1")
    between = state()
    cpo.post(response_url(command), {"result": "ACCEPTED"})

    (request,) = listener.received("POST", CANCEL)
    assert request.json == {"response_url": response_url(command), "reservation_id": "RES-1"}
    assert request.headers["ocpi-from-party-id"] == "EMS"
    assert (between, state()) == ("RESERVED", "CANCELED")


@pytest.mark.req("CMD-39")
@pytest.mark.parametrize(
    ("result", "following"), [("UNKNOWN_RESERVATION", "CANCELED"), ("FAILED", "RESERVED"), ("REJECTED", "RESERVED")]
)
def test_what_a_cancellation_says_counts(reserved: Command, cpo: Person, result: str, following: str) -> None:
    command = commands.cancel_reservation(to=TNM, reservation_id="RES-1")

    cpo.post(response_url(command), {"result": result})

    assert state() == following


@pytest.mark.req("CMD-39")
def test_nobody_elses_reservation_is_cancelled(reserved: Command, listener: Listener) -> None:
    Reservation.objects.update(emsp_party_id="XXX")

    with pytest.raises(status.UnknownObject):
        commands.cancel_reservation(to=TNM, reservation_id="RES-1")
    with pytest.raises(status.UnknownObject):
        commands.cancel_reservation(to=at("FR*CPX"), reservation_id="RES-1")

    assert not listener.received("POST", CANCEL)


@pytest.mark.parametrize("earlier", ["CANCELED", "CANCELED_BY_CPO", "EXPIRED", "REFUSED"])
def test_a_reservation_that_is_over_hears_nothing_more(earlier: str) -> None:
    assert not [event for event in ("confirmed", "canceled", "over") if reservation_states.takes(earlier, event)]
    assert reservation_states.next_state(earlier, "requested") == "REQUESTED"


# ---- unlocking


@pytest.mark.req("CMD-01", "CMD-42")
def test_unlock_connector_is_posted_for_an_operator(cpo: Person, listener: Listener) -> None:
    command = commands.unlock_connector(
        to=TNM, location_id=LOCATION, evse_uid=EVSE_UID, connector_id="1", asked_by="helpdesk"
    )

    (request,) = listener.received("POST", UNLOCK)
    assert request.json == {
        "response_url": response_url(command),
        "location_id": LOCATION,
        "evse_uid": EVSE_UID,
        "connector_id": "1",
    }
    assert command.asked_by == "helpdesk"


@pytest.mark.req("CMD-42")
def test_nobody_unlocks_without_a_name(cpo: Person, listener: Listener) -> None:
    with pytest.raises(status.InvalidParameters, match="operator"):
        commands.unlock_connector(to=TNM, location_id=LOCATION, evse_uid=EVSE_UID, connector_id="1", asked_by="")
    with pytest.raises(IntegrityError, match="emsp_unlock_is_asked_by_somebody"), transaction.atomic():
        Command.objects.create(
            key="k", command="UNLOCK_CONNECTOR", state="SENT", platform_id=cpo.id, country_code="NL", party_id="TNM",
            request="{}", correlation_id="c",
        )  # fmt: skip

    assert not listener.received("POST", UNLOCK)


@pytest.mark.req("LOC-69")
def test_an_evse_that_cannot_be_unlocked_is_not_asked(evse: EVSE, listener: Listener) -> None:
    without_capability(evse, "UNLOCK_CAPABLE")

    with pytest.raises(status.InvalidParameters, match="UNLOCK_CAPABLE"):
        commands.unlock_connector(
            to=TNM, location_id=LOCATION, evse_uid=EVSE_UID, connector_id="1", asked_by="helpdesk"
        )

    assert not listener.received("POST", UNLOCK)


@pytest.mark.req("CMD-23")
def test_the_session_of_a_reservation_is_that_of_the_start_which_takes_it_over(
    reserved: Command, cpo: Person, token: Token, document: Document
) -> None:
    path = f"emsp/2.2.1/sessions/NL/TNM/{SESSION}"
    kept = document("session", status="RESERVATION", authorization_reference=reserved.authorization_reference)
    cpo.put(path, kept)
    Reservation.objects.update(created_at=timezone.now() - timedelta(minutes=9))
    Session.objects.update(created_at=timezone.now() - timedelta(minutes=8))
    start = commands.start_session(to=TNM, token=token, location_id=LOCATION, evse_uid=EVSE_UID, connector_id="1")
    assert results.session_of(start) is None

    begun = {"authorization_reference": start.authorization_reference, "last_updated": LATER}
    cpo.put(path, document("session", **begun))

    found = results.session_of(start)
    assert found is not None
    assert found.object_id == SESSION
