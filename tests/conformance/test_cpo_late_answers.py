"""An eMSP that answers too late: the whitelist decides, and its late word counts from then on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cpo.models import Operation
from cpo.modules import authorization, late_answers
from cpo.modules.authorization import Question, Verdict
from tests.cpo_support import BASE
from tests.cpo_support import emsp_fixture as emsp_fixture
from tests.cpo_support import point_fixture as point_fixture
from tests.fixtures import Document
from tests.people import Person
from tests.platforms import Listener
from tests.station_support import Station, event
from tests.station_support import station_fixture as station_fixture

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]

TAG = "04C7A1E2B95D80"
AUTHORIZE = f"/ocpi/2.2.1/sender/tokens/{TAG}/authorize"


def started(station: Station) -> int:
    """Let a driver in by the whitelist, because the eMSP gives no answer; return the message of the start."""
    station.tells(event("Started", 0, BASE, state="Charging", token=TAG, wh=1000))
    assert station.transaction.authorised
    return int(station.row.inbox.get().pk)


def question(station: Station) -> Question:
    asked = authorization.prepare(station.row, TAG, connector=1, token_type="ISO14443")
    assert isinstance(asked, Question)
    return asked


@pytest.mark.req("OCPP-73")
@pytest.mark.parametrize(("answer", "wished", "ends"), [
    ("BLOCKED", True, True), ("BLOCKED", False, False), ("ALLOWED", True, False), ("silence", True, False),
])  # fmt: skip
def test_a_late_no_ends_what_runs_by_the_whitelist_alone(
    station: Station, emsp: Person, listener: Listener, document: Document, settings: Any,
    answer: str, wished: bool, ends: bool,
) -> None:  # fmt: skip
    settings.OCPP_STOP_REFUSED = wished
    token = document("token_rfid", whitelist="ALLOWED_OFFLINE")
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", token)
    listener.reply("POST", AUTHORIZE, status=503, code=3000)
    message = started(station)
    if answer != "silence":
        listener.reply("POST", AUTHORIZE, data={"allowed": answer, "token": token})

    heard = late_answers.follow_up(message, question(station))

    assert heard is (answer != "silence")
    stops = [json.loads(each.payload) for each in Operation.objects.filter(action="RequestStopTransaction")]
    assert stops == ([{"transactionId": station.transaction.ocpp_id}] if ends else [])


@pytest.mark.req("OCPP-73")
def test_a_late_yes_spares_the_next_attempt_the_question(
    station: Station, emsp: Person, listener: Listener, document: Document
) -> None:
    token = document("token_rfid", whitelist="NEVER")
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", token)
    listener.reply("POST", AUTHORIZE, status=503, code=3000)
    info = station.says("Authorize", {"idToken": {"idToken": TAG, "type": "ISO14443"}})["idTokenInfo"]
    asked = question(station)
    listener.reply("POST", AUTHORIZE, data={"allowed": "ALLOWED", "token": token})

    late_answers.follow_up(station.row.inbox.get().pk, asked)

    assert info["status"] == "Invalid"
    decided = authorization.prepare(station.row, TAG, connector=1, token_type="ISO14443")
    assert isinstance(decided, Verdict), "nobody is asked again"
    assert decided.accepted


@pytest.mark.req("OCPP-73")
@pytest.mark.parametrize(("asked", "due"), [(False, True), (True, False)])
def test_who_has_answered_is_not_asked_again(
    station: Station, emsp: Person, document: Document, asked: bool, due: bool
) -> None:
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="NEVER"))

    assert late_answers.is_due(question(station), Verdict("Accepted", asked=asked)) is due
