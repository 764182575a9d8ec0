"""What real partners do wrong when they answer: understood where that is safe, counted, or a failure that says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from emsp.models import Command, Token
from emsp.modules import commands_operations as commands
from emsp.modules import tokens_operations as tokens
from tests.deviations import counted, example
from tests.fixtures import Document, Partner
from tests.people import Person, at
from tests.platforms import Listener

COMMANDS = "/ocpi/2.2.1/receiver/commands"


# ---------------------------------------------------------------- QRK-06: answers


@pytest.fixture
def cpo_that_listens(emsp_side: None, partner: Partner, listener: Listener) -> Person:
    return partner("NL*TNM:CPO", listener=listener)


@pytest.fixture
def token(cpo_that_listens: Person, document: Document) -> Token:
    return Token.objects.get(pk=tokens.keep(json.dumps(document("token_rfid")).encode()).row_id)


TAKEN = {"result": "ACCEPTED", "timeout": 30}
NOW = "2026-01-01T00:00:00Z"
NO_ENVELOPE = "QRK-06 answer without an envelope"
# What a partner answers to START_SESSION → what becomes of the command, what is counted.
ANSWERS: list[tuple[dict[str, Any], str, dict[str, int]]] = [
    ({"data": TAKEN}, "ACCEPTED", {}),
    ({"data": TAKEN, "status": 201}, "ACCEPTED", {}),
    ({"data": TAKEN, "status": 202}, "ACCEPTED", {"QRK-06 HTTP 202": 1}),
    ({"data": [TAKEN]}, "ACCEPTED", {"QRK-06 data in a list": 1}),
    ({"data": TAKEN, "code": 2001}, "FAILED", {}),
    ({"data": TAKEN, "code": 3000}, "FAILED", {}),
    ({"data": TAKEN, "status": 400}, "FAILED", {"QRK-06 HTTP 400 with 1000": 1}),
    ({"status": 502, "raw": b"<html>Bad Gateway</html>", "headers": {"Content-Type": "text/html"}}, "FAILED",
     {NO_ENVELOPE: 1}),
    ({"raw": b""}, "FAILED", {NO_ENVELOPE: 1}),
    ({"raw": b"null"}, "FAILED", {NO_ENVELOPE: 1}),
    ({"raw": json.dumps(TAKEN).encode()}, "FAILED", {NO_ENVELOPE: 1}),
    ({}, "FAILED", {}),
    ({"raw": json.dumps({"status_code": "1000", "timestamp": NOW, "data": TAKEN}).encode()}, "ACCEPTED",
     {"PIT-26 status_code as a string": 1}),
    ({"raw": json.dumps({"status_code": 1000, "data": TAKEN}).encode()}, "ACCEPTED", {"PIT-26 timestamp missing": 1}),
    ({"data": TAKEN, "headers": {"X-Request-ID": "another"}}, "ACCEPTED",
     {"TRN-058 X-Request-ID not in the answer": 1}),
]  # fmt: skip


@pytest.mark.req("QRK-06", "PIT-26", "TRN-036", "TRN-037")
@pytest.mark.parametrize(("reply", "state", "kinds"), ANSWERS, ids=range(len(ANSWERS)))
def test_whatever_comes_back_is_understood_or_is_a_failure(
    cpo_that_listens: Person, token: Token, listener: Listener, reply: dict[str, Any], state: str, kinds: dict[str, int]
) -> None:
    listener.reply("POST", COMMANDS, **reply)

    command = commands.start_session(to=at("NL*TNM"), token=token, location_id="LOC1")

    assert command.state == state
    assert Command.objects.get().state == state
    assert counted(cpo_that_listens) == kinds


@pytest.mark.req("QRK-06")
def test_an_answer_with_a_key_in_its_place_is_counted_without_it(
    cpo_that_listens: Person, token: Token, listener: Listener
) -> None:
    listener.reply("POST", COMMANDS, status=202, data=TAKEN)

    commands.start_session(to=at("NL*TNM"), token=token, location_id="LOC1")

    assert example(cpo_that_listens, "QRK-06 HTTP 202") == f"POST {COMMANDS}/START_SESSION"


@pytest.mark.req("PIT-81")
@pytest.mark.parametrize("http_status", [200, 404, 502, 503, 504])
@pytest.mark.parametrize("code", [4001, 4002, 4003])
def test_a_hubs_codes_are_understood_under_any_http_status(
    cpo_that_listens: Person, token: Token, listener: Listener, http_status: int, code: int
) -> None:
    listener.reply("POST", COMMANDS, status=http_status, code=code, message="nobody there")

    command = commands.start_session(to=at("NL*TNM"), token=token, location_id="LOC1")

    assert command.state == "FAILED"
    assert str(code) in command.message
    assert "nobody there" in command.message


@pytest.mark.req("PIT-81")
def test_our_hub_sends_its_codes_with_http_200(hub_side: None, emsp: Person, partner: Partner) -> None:
    partner("NL*TNM:CPO", connection="OFFLINE")

    nobody = emsp.get("hub/2.2.1/sender/locations/LOC1", to="FR*XXX")
    away = emsp.get("hub/2.2.1/sender/locations/LOC1", to="NL*TNM")

    assert nobody.codes == (200, 4001)
    assert away.codes == (200, 4003)
