"""Table M-9 at a charging station of OCPP 2.0.1, and the answers at once of M-6 and M-9 to what is asked of it."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from cpo import chargingprofile_states as states
from cpo.models import EVSE, ChargePointProfile, Operation, Session, SmartCharging
from cpo.modules import chargingprofiles_limits, pausing
from cpo.modules import chargingprofiles_operations as profiles
from cpo.modules.pausing import PauseState
from tests.chargingprofiles_support import TAG, a_while_later, ask, delete, get, results, sent, settle
from tests.chargingprofiles_support import put_fixture as put_fixture
from tests.commands_support import Commander, payload
from tests.cpo_support import BASE, EVSE_UID, stamp
from tests.cpo_support import emsp_fixture as emsp_fixture
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener
from tests.station_support import TRANSACTION, Station, event
from tests.station_support import station_fixture as station_fixture

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]

ACTIVE = "/ocpi/2.2.1/sender/chargingprofiles"
SCHEDULE = {
    "evseId": 1, "duration": 900, "scheduleStart": stamp(BASE), "chargingRateUnit": "W",
    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 11000.0}],
}  # fmt: skip


@pytest.fixture
def session(station: Station, emsp: Person, document: Document) -> Session:
    """A session of a driver of the eMSP at the station."""
    station.status("Available")
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))
    station.tells(event("Started", 0, BASE, state="Charging", token=TAG, wh=1000))
    return Session.objects.get()


# ---------------------------------------------------------------- what is asked, and what becomes of the answers


@pytest.mark.req("OCPP-92", "OCPP-128", "CHP-16")
@pytest.mark.parametrize(("method", "how", "result"), [
    ("PUT", {"status": "Accepted"}, "ACCEPTED"), ("PUT", {"status": "Rejected"}, "REJECTED"),
    ("PUT", {"state": "CALLERROR", "error": "NotSupported: no"}, "REJECTED"), ("PUT", {"state": "TIMEOUT"}, "REJECTED"),
    ("DELETE", {"status": "Accepted"}, "ACCEPTED"), ("DELETE", {"status": "Unknown"}, "UNKNOWN"),
    ("DELETE", {"state": "TIMEOUT"}, "REJECTED"),
    ("GET", {"answer": {"status": "Rejected"}}, "REJECTED"), ("GET", {"answer": {"status": "Accepted"}}, "UNKNOWN"),
    ("GET", {"answer": {"status": "Accepted", "schedule": SCHEDULE}}, "ACCEPTED"),
    ("GET", {"state": "CONNECTION_LOST"}, "REJECTED"),
])  # fmt: skip
def test_how_the_operation_ends_is_the_one_result(
    session: Session, put: Any, emsp: Person, listener: Listener, method: str, how: dict[str, Any], result: str
) -> None:
    if method == "DELETE":
        put(session)
        settle()
        results(listener)
        listener.forget()
        a_while_later()
    assert ask(method, session, put, emsp).data["result"] == "ACCEPTED"

    operation = settle(**how)
    profiles.settle(operation.pk)
    profiles.sweep()

    [got] = results(listener)
    assert got["result"] == result
    if result == "ACCEPTED" and method == "GET":
        found = got["profile"]["charging_profile"]
        assert got["profile"]["start_date_time"] == stamp(BASE)
        assert (found["charging_rate_unit"], found["duration"]) == ("W", 900)
        assert found["charging_profile_period"] == [{"start_period": 0, "limit": 11000}]


@pytest.mark.req("OCPP-92", "OCPP-128")
def test_put_get_and_delete_in_the_words_of_2_0_1(session: Session, put: Any, emsp: Person) -> None:
    periods = [{"start_period": 0, "limit": 32.0}, {"start_period": 60, "limit": 10.5}]
    put(session, start_date_time=None, duration=None, charging_rate_unit="A", min_charging_rate=None,
        charging_profile_period=periods)  # fmt: skip
    given = sent(settle())
    a_while_later()
    get(emsp, session, duration=600)
    asked = sent(settle(answer={"status": "Rejected"}))
    delete(emsp, session)
    cleared = sent(settle())

    row = ChargePointProfile.objects.get()
    assert given["evseId"] == 1
    assert given["chargingProfile"] == {
        "id": row.pk, "stackLevel": 1, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative",
        "transactionId": TRANSACTION,
        "chargingSchedule": [{
            "id": row.pk, "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 32}, {"startPeriod": 60, "limit": 10.5}],
        }],
    }  # fmt: skip
    assert asked == {"evseId": 1, "duration": 600}
    assert cleared == {"chargingProfileId": row.pk}


@pytest.mark.req("OCPP-92", "OCPP-89", "CHP-21")
def test_a_site_limit_is_told_to_the_partner_and_profiles_go_with_the_session(
    session: Session, station: Station, put: Any, listener: Listener
) -> None:
    limit = [{"start_period": 0, "limit": 11000.0}]
    put(session, start_date_time=None, duration=None, charging_rate_unit="W", charging_profile_period=limit)
    settle()
    results(listener)
    chargingprofiles_limits.set_limit(station.row, connector=0, unit="W", limit=Decimal(5000), by="admin")
    site = settle()
    results(listener)
    told = [each.json["charging_profile"]["charging_profile_period"][0]["limit"]
            for each in listener.received("PUT", ACTIVE)]  # fmt: skip

    station.tells(event("Ended", 1, BASE + timedelta(minutes=30), wh=3000, reason="Local"))

    assert sent(site)["evseId"] == 0
    assert told == [11000, 5000]
    cleared = Operation.objects.get(action="ClearChargingProfile")
    assert payload(cleared) == {"chargingProfileId": ChargePointProfile.objects.get(origin="PARTNER").pk}
    assert ChargePointProfile.objects.get(origin="OPERATOR").state == states.INSTALLED


@pytest.mark.req("OCPP-92", "OCPP-128", "CHP-11", "CHP-12")
def test_the_answers_at_once(
    session: Session, station: Station, put: Any, partner: Partner, listener: Listener
) -> None:
    stranger = partner("BE*OTH:EMSP", url="http://127.0.0.1:2222")
    answers = {"unknown": put("NOPE").data["result"], "another's": put(session, by=stranger).data["result"]}
    type(station.row).objects.update(online=False)
    answers["offline"] = put(session).data["result"]
    type(station.row).objects.update(online=True)
    answers["first"] = put(session).data["result"]
    settle()
    answers["second"] = put(session, 2).data["result"]
    a_while_later()
    SmartCharging.objects.update_or_create(charge_point=station.row, defaults={"supported": False})
    answers["not able"] = put(session, 3).data["result"]

    assert answers == {
        "unknown": "UNKNOWN_SESSION", "another's": "REJECTED", "offline": "REJECTED", "first": "ACCEPTED",
        "second": "TOO_OFTEN", "not able": "NOT_SUPPORTED",
    }  # fmt: skip


@pytest.mark.req("OCPP-89")
def test_a_session_of_2_0_1_is_paused_and_resumed(session: Session) -> None:
    pausing.pause(session, by="admin")
    given = sent(settle())["chargingProfile"]
    paused = pausing.state_of(session).state
    pausing.resume(session, by="admin")
    cleared = sent(settle())

    assert paused == PauseState.PAUSED
    assert (given["transactionId"], given["stackLevel"]) == (TRANSACTION, 2)
    assert given["chargingSchedule"][0]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 0}]
    assert cleared == {"chargingProfileId": given["id"]}
    assert pausing.state_of(session).state == PauseState.RUNNING


# ---------------------------------------------------------------- M-6: the answers at once to commands


@pytest.mark.req("OCPP-91", "OCPP-93", "OCPP-94", "OCPP-128", "CMD-12", "CMD-39")
def test_the_answers_at_once_to_commands(
    session: Session, station: Station, emsp: Person, listener: Listener, document: Document, partner: Partner
) -> None:
    ours = Commander(emsp, listener, document)
    theirs = Commander(partner("BE*OTH:EMSP", url="http://127.0.0.1:2222"), listener, document)

    def told(who: Commander, command: str, **members: Any) -> tuple[int, str]:
        answer = who.reserve(**members) if command == "RESERVE_NOW" else who.send(command, **members)
        return answer.codes[1], answer.data["result"] if answer.data else ""

    found = {
        "unknown Location": told(ours, "START_SESSION", location_id="NOPE"),
        "unknown EVSE": told(ours, "UNLOCK_CONNECTOR", evse_uid="NOPE"),
        "unknown Connector": told(ours, "START_SESSION", connector_id="9"),
        "unknown session": told(ours, "STOP_SESSION", session_id="NOPE"),
        "session of another": told(theirs, "STOP_SESSION", session_id=session.object_id),
        "unlocking another's": told(theirs, "UNLOCK_CONNECTOR"),
        "unknown reservation": told(ours, "CANCEL_RESERVATION"),
        "somebody's token": told(theirs, "START_SESSION")[0],
        "running session": told(ours, "STOP_SESSION", session_id=session.object_id),
    }
    station.tells(event("Ended", 1, BASE + timedelta(minutes=30), wh=3000, reason="Local"))
    found["completed session"] = told(ours, "STOP_SESSION", session_id=session.object_id)
    type(station.row).objects.update(online=False)
    found["offline"] = told(ours, "START_SESSION")
    type(station.row).objects.update(online=True, boot_status="Pending")
    found["not accepted"] = told(ours, "RESERVE_NOW")
    type(station.row).objects.update(boot_status="Accepted")
    row = EVSE.objects.get(uid=EVSE_UID)
    EVSE.objects.update(document=json.dumps({**json.loads(row.document), "capabilities": []}))
    found["not capable"] = told(ours, "START_SESSION")

    assert found == {
        "unknown Location": (2003, "REJECTED"), "unknown EVSE": (2003, "REJECTED"),
        "unknown Connector": (2003, "REJECTED"), "unknown session": (1000, "UNKNOWN_SESSION"),
        "session of another": (1000, "REJECTED"), "unlocking another's": (1000, "REJECTED"),
        "unknown reservation": (1000, "REJECTED"), "somebody's token": 2001, "running session": (1000, "ACCEPTED"),
        "completed session": (1000, "UNKNOWN_SESSION"), "offline": (1000, "REJECTED"),
        "not accepted": (1000, "REJECTED"), "not capable": (1000, "NOT_SUPPORTED"),
    }  # fmt: skip
