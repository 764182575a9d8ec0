"""May a tag charge? The whitelist table, real-time authorization, and what a charge point is told."""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from cpo import policy
from cpo.models import AuthorizationAnswer, Session, Token, Transaction
from cpo.modules import authorization
from cpo.modules.authorization import Candidate, Question, Verdict
from cpo.whitelist_states import TABLE
from ocpi import clock, snapshot
from tests.cpo_support import BASE, LOCATION, Point, add_location, add_point, with_tariff
from tests.cpo_support import emsp_fixture as emsp_fixture
from tests.cpo_support import point_fixture as point_fixture
from tests.fixtures import Document
from tests.people import Person
from tests.platforms import Listener

TAG = "04C7A1E2B95D80"
AUTHORIZE = f"/ocpi/2.2.1/sender/tokens/{TAG}/authorize"
pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


def push(emsp: Person, body: dict[str, Any]) -> None:
    url = f"cpo/2.2.1/tokens/{body['country_code']}/{body['party_id']}/{body['uid']}"
    assert emsp.put(url, body, query={"type": body["type"]}).ok


def allow(listener: Listener, token: dict[str, Any], allowed: str = "ALLOWED", **info: Any) -> None:
    path = f"/ocpi/2.2.1/sender/tokens/{token['uid']}"
    listener.reply("POST", path, data={"allowed": allowed, "token": token, **info})


def authorize(point: Point, tag: str = TAG) -> str:
    found: str = point.says("Authorize", {"idTag": tag})["idTagInfo"]["status"]
    return found


# One row per row of the table of requirements 9.3: whitelist, valid, what the eMSP does → accepted, asked.
ROWS = [
    ("ALWAYS", True, "ALLOWED", True, False),
    ("ALWAYS", False, "ALLOWED", False, False),
    ("ALLOWED", True, "BLOCKED", True, False),
    ("ALLOWED", True, "away", True, False),
    ("ALLOWED", False, "ALLOWED", True, True),
    ("ALLOWED", False, "BLOCKED", False, True),
    ("ALLOWED", False, "away", False, True),
    ("ALLOWED_OFFLINE", True, "ALLOWED", True, True),
    ("ALLOWED_OFFLINE", True, "BLOCKED", False, True),
    ("ALLOWED_OFFLINE", False, "ALLOWED", True, True),
    ("ALLOWED_OFFLINE", True, "away", True, True),
    ("ALLOWED_OFFLINE", False, "away", False, True),
    ("NEVER", True, "ALLOWED", True, True),
    ("NEVER", False, "ALLOWED", True, True),
    ("NEVER", True, "NO_CREDIT", False, True),
    ("NEVER", True, "away", False, True),
    ("NEVER", False, "away", False, True),
]


@pytest.mark.req("TOK-19", "TOK-20", "TOK-21", "OCPP-72", "PIT-61")
@pytest.mark.parametrize(("whitelist", "valid", "answer", "accepted", "asked"), ROWS)
def test_the_whitelist_table(
    point: Point, emsp: Person, listener: Listener, document: Document,
    whitelist: str, valid: bool, answer: str, accepted: bool, asked: bool,
) -> None:  # fmt: skip
    token = document("token_rfid", whitelist=whitelist, valid=valid)
    push(emsp, token)
    if answer == "away":
        listener.reply("POST", AUTHORIZE, status=503, code=3000)
    else:
        allow(listener, token, answer)

    status = authorize(point)

    assert (status == "Accepted") is accepted
    assert bool(listener.received("POST", AUTHORIZE)) is asked


def test_every_row_of_the_table_is_tested() -> None:
    assert {(whitelist, valid) for whitelist, valid, *_ in ROWS} == set(TABLE)


@pytest.mark.req("TOK-23", "TRN-106")
@pytest.mark.parametrize(("answer", "told"), [("ALLOWED", "Accepted"), ("BLOCKED", "Blocked"), ("away", "Blocked")])
def test_a_token_that_its_emsps_list_no_longer_holds_is_asked_about_as_an_unknown_one(
    point: Point, emsp: Person, listener: Listener, document: Document, answer: str, told: str
) -> None:
    token = document("token_rfid", whitelist="ALWAYS")
    push(emsp, token)
    Token.objects.update(valid=False, gone_at=clock.now())
    if answer == "away":
        listener.reply("POST", AUTHORIZE, status=503, code=3000)
    else:
        allow(listener, token, answer)

    assert authorize(point) == told
    assert listener.received("POST", AUTHORIZE)


@pytest.mark.req("TOK-24")
@pytest.mark.parametrize("reply", [{"status": 500, "code": 3000}, {"code": 4002}, {"code": 4003}, {"close": True}])
def test_what_counts_as_not_reachable(
    point: Point, emsp: Person, listener: Listener, document: Document, reply: dict[str, Any]
) -> None:
    push(emsp, document("token_rfid", whitelist="ALLOWED_OFFLINE"))
    listener.reply("POST", AUTHORIZE, **reply)

    assert authorize(point) == "Accepted"


@pytest.mark.req("TOK-24", "TOK-28")
@pytest.mark.parametrize("reply", [{"status": 404, "code": 2004}, {"code": 2004}, {"status": 404, "raw": b"gone"}])
def test_an_unknown_token_is_an_answer_and_no_outage(
    point: Point, emsp: Person, listener: Listener, document: Document, reply: dict[str, Any]
) -> None:
    push(emsp, document("token_rfid", whitelist="ALLOWED_OFFLINE"))
    listener.reply("POST", AUTHORIZE, **reply)

    assert authorize(point) == "Invalid"


@pytest.mark.req("TOK-24")
def test_an_emsp_that_is_not_connected_is_not_asked(
    point: Point, emsp: Person, listener: Listener, document: Document
) -> None:
    push(emsp, document("token_rfid", whitelist="ALLOWED_OFFLINE"))
    assert emsp.platform is not None
    emsp.platform.connection = "OFFLINE"
    emsp.platform.save()
    snapshot.changed()

    assert authorize(point) == "Accepted"
    assert not listener.received("POST", AUTHORIZE)


@pytest.mark.req("OCPP-75", "TOK-37")
@pytest.mark.parametrize(
    ("allowed", "told"),
    [("ALLOWED", "Accepted"), ("BLOCKED", "Blocked"), ("EXPIRED", "Expired"), ("NO_CREDIT", "Blocked"),
     ("NOT_ALLOWED", "Invalid")],
)  # fmt: skip
def test_what_a_charge_point_is_told(
    point: Point, emsp: Person, listener: Listener, document: Document, allowed: str, told: str
) -> None:
    token = document("token_rfid", whitelist="NEVER")
    push(emsp, token)
    allow(listener, token, allowed)

    assert authorize(point) == told


@pytest.mark.req("TOK-02", "TOK-30", "TRN-062")
def test_the_question_names_the_location_and_the_emsp(
    point: Point, emsp: Person, listener: Listener, document: Document
) -> None:
    token = document("token_app_user", uid="APP-1", whitelist="NEVER")
    push(emsp, token)
    allow(listener, token)

    authorize(point, "APP-1")

    [got] = listener.received("POST")
    assert got.path == "/ocpi/2.2.1/sender/tokens/APP-1/authorize"
    assert got.query == "type=APP_USER"
    assert got.json == {"location_id": LOCATION, "evse_uids": ["TNM-UTR-0042-1"]}
    assert (got.headers["ocpi-to-party-id"], got.headers["ocpi-from-party-id"]) == ("EMS", "TNM")


@pytest.mark.req("TOK-23", "TOK-21")
def test_an_unknown_token_is_asked_about_and_its_session_has_what_the_emsp_says(
    point: Point, emsp: Person, listener: Listener, document: Document
) -> None:
    token = document("token_rfid")
    allow(listener, token, authorization_reference="REF-1")

    told = authorize(point)
    point.start(TAG)

    found = json.loads(Session.objects.get().document)
    assert told == "Accepted"
    assert len(listener.received("POST", AUTHORIZE)) == 1, "asked once for the Authorize, not again for the start"
    assert found["auth_method"] == "AUTH_REQUEST"
    assert found["authorization_reference"] == "REF-1"
    assert found["cdr_token"]["contract_id"] == token["contract_id"]
    assert not Token.objects.exists()


@pytest.mark.req("TOK-15")
def test_a_tag_is_asked_about_and_the_list_of_tokens_is_not_read_for_it(
    point: Point, emsp: Person, listener: Listener, document: Document
) -> None:
    allow(listener, document("token_rfid", uid=TAG))

    authorize(point)
    authorize(point, "UNKNOWN")

    assert [got.method for got in listener.received(path="/ocpi/2.2.1/sender/tokens")] == ["POST", "POST"]


@pytest.mark.req("TOK-34", "SES-24")
def test_a_start_without_authorize_asks_itself(
    point: Point, emsp: Person, listener: Listener, document: Document
) -> None:
    token = document("token_rfid", whitelist="NEVER")
    push(emsp, token)
    allow(listener, token, authorization_reference="REF-2")

    answer = point.start(TAG)

    assert answer["idTagInfo"]["status"] == "Accepted"
    assert json.loads(Session.objects.get().document)["authorization_reference"] == "REF-2"


@pytest.mark.req("SEC-37", "OCPP-72")
@pytest.mark.parametrize("changes", [{"party_id": "OTH"}, {"uid": "ANOTHER"}])
def test_an_emsp_cannot_answer_with_somebody_elses_token(
    point: Point, emsp: Person, listener: Listener, document: Document, changes: dict[str, str]
) -> None:
    listener.reply("POST", AUTHORIZE, data={"allowed": "ALLOWED", "token": document("token_rfid", **changes)})

    assert authorize(point) == "Invalid"


@pytest.mark.req("TOK-31", "OCPP-72")
def test_a_token_that_is_allowed_at_other_evses_only_is_refused(
    point: Point, emsp: Person, listener: Listener, document: Document
) -> None:
    token = document("token_rfid")
    allow(listener, token, location={"location_id": LOCATION, "evse_uids": ["SOMEWHERE-ELSE"]})

    assert authorize(point) == "Invalid"


@pytest.mark.req("REL-28", "TOK-24")
@pytest.mark.parametrize(
    ("info", "told"),
    [
        ({"allowed": []}, "Invalid"),
        ({"allowed": {"ALLOWED": True}}, "Invalid"),
        ({"allowed": 1}, "Invalid"),
        ({"location": LOCATION}, "Accepted"),
        ({"location": [LOCATION]}, "Accepted"),
        ({"location": {"location_id": LOCATION, "evse_uids": 5}}, "Accepted"),
        ({"location": {"location_id": LOCATION, "evse_uids": "TNM-UTR-0042-1"}}, "Accepted"),
        ({"authorization_reference": ["REF"]}, "Accepted"),
    ],
    ids=str,
)
def test_an_answer_of_odd_types_leaves_no_driver_without_one(
    point: Point, emsp: Person, listener: Listener, document: Document, info: dict[str, Any], told: str
) -> None:
    allow(listener, document("token_rfid"), **info)

    assert authorize(point) == told


@pytest.mark.req("OCPP-72", "OCPP-128", "SES-24")
def test_what_the_whitelist_said_is_not_taken_for_an_answer_of_the_emsp(
    point: Point, emsp: Person, listener: Listener, document: Document
) -> None:
    """A start after it goes by the whitelist as it is then, and its Session says so (M-8)."""
    push(emsp, document("token_rfid", whitelist="ALWAYS"))
    assert authorize(point) == "Accepted"

    number = point.start(TAG)["transactionId"]
    assert json.loads(Session.objects.get().document)["auth_method"] == "WHITELIST"
    point.stop(number, 2000, at=BASE + timedelta(minutes=5))

    push(emsp, document("token_rfid", whitelist="ALWAYS", valid=False, last_updated="2030-01-01T00:00:00Z"))
    assert point.start(TAG, connector=2)["idTagInfo"]["status"] == "Blocked"
    assert not listener.received("POST", AUTHORIZE)


@pytest.mark.req("OCPP-73")
def test_all_who_are_asked_share_one_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, had = [100.0], list[float]()

    def answers_late(question: Question, candidate: Candidate, seconds: float) -> None:
        had.append(seconds)
        clock[0] += 5

    monkeypatch.setattr(authorization, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(authorization, "_ask_one", answers_late)
    monkeypatch.setattr(policy, "authorize_seconds", lambda: 8.0)
    platform: Any = SimpleNamespace(authorize_seconds=None, late_authorization="")
    everybody = (Candidate(platform, None),) * 3
    otherwise = Verdict("Invalid")

    assert authorization.ask(Question("TAG", "RFID", everybody, otherwise)) == otherwise
    assert had == [8.0, 3.0]


def test_nobody_to_ask_means_no(point: Point) -> None:
    assert authorize(point, "NOBODY") == "Invalid"


@pytest.mark.req("OCPP-39")
def test_a_refused_start_is_stored_and_makes_no_session(point: Point) -> None:
    answer = point.start("NOBODY")

    row = Transaction.objects.get()
    assert answer == {"idTagInfo": {"status": "Invalid"}, "transactionId": row.transaction_id}
    assert not row.authorised
    point.stop(row.transaction_id, 2000, at=row.started_at)
    assert not Session.objects.exists()


@pytest.mark.req("OCPP-76")
def test_a_card_that_charges_elsewhere_is_in_use(
    point: Point, emsp: Person, listener: Listener, document: Document
) -> None:
    push(emsp, document("token_rfid", whitelist="ALWAYS"))
    other = add_point(add_location(with_tariff(document("location", id="LOC2"))), "CP-2")
    point.start(TAG)

    at_the_other, at_the_same = authorize(other), authorize(point)
    started = other.start(TAG)["idTagInfo"]["status"]

    assert (at_the_other, at_the_same, started) == ("ConcurrentTx", "Accepted", "ConcurrentTx")


@pytest.mark.req("OCPP-76")
def test_an_app_may_charge_at_several_places_and_a_card_again_where_its_stop_was_lost(
    point: Point, emsp: Person, document: Document
) -> None:
    push(emsp, document("token_rfid", whitelist="ALWAYS"))
    push(emsp, document("token_app_user", uid="APP-1", whitelist="ALWAYS"))
    other = add_point(add_location(with_tariff(document("location", id="LOC2"))), "CP-2")

    for tag, place in ((TAG, point), (TAG, point), ("APP-1", other), ("APP-1", other)):
        assert place.start(tag, meter=Transaction.objects.count())["idTagInfo"]["status"] == "Accepted"
    assert point.start("APP-1", connector=2)["idTagInfo"]["status"] == "Accepted"
    assert point.start(TAG, connector=2)["idTagInfo"]["status"] == "ConcurrentTx"


@pytest.mark.req("OCPP-76")
def test_a_start_that_was_refused_is_no_use_of_a_card(point: Point, emsp: Person, document: Document) -> None:
    push(emsp, document("token_rfid", whitelist="ALWAYS", valid=False))
    other = add_point(add_location(with_tariff(document("location", id="LOC2"))), "CP-2")
    refused = other.start(TAG)["idTagInfo"]["status"]
    push(emsp, document("token_rfid", whitelist="ALWAYS", last_updated="2030-01-01T00:00:00Z"))

    assert (refused, point.start(TAG)["idTagInfo"]["status"]) == ("Blocked", "Accepted")


@pytest.mark.req("OCPP-40")
def test_an_offline_start_with_a_card_now_blocked_is_billed(
    point: Point, emsp: Person, listener: Listener, document: Document
) -> None:
    push(emsp, document("token_rfid", whitelist="ALWAYS", valid=False))
    point.row.connected_at = None
    refused = point.start(TAG, connector=2)["idTagInfo"]["status"]
    point.row.refresh_from_db()
    type(point.row).objects.update(connected_at="2026-03-02T12:00:00Z")

    answer = point.start(TAG)

    row = Transaction.objects.get(connector_id=1)
    assert refused == answer["idTagInfo"]["status"] == "Blocked"
    assert row.authorised
    assert "offline_authorised" in row.flags


def test_an_answer_is_kept_for_the_start_of_the_same_charge_point_only(
    point: Point, emsp: Person, listener: Listener, document: Document
) -> None:
    token = document("token_rfid", whitelist="NEVER")
    push(emsp, token)
    allow(listener, token)
    authorize(point)
    listener.reply("POST", AUTHORIZE, data={"allowed": "BLOCKED", "token": token})
    other = add_point(add_location(with_tariff(document("location", id="LOC2"))), "CP-2")

    assert other.start(TAG)["idTagInfo"]["status"] == "Blocked"
    assert AuthorizationAnswer.objects.count() == 1
