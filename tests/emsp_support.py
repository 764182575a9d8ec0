"""What the tests of the eMSP's requests share: a CPO that listens, one of our Tokens, and the command line."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import call_command

from emsp.models import EVSE, Command, Session, Token
from emsp.modules import tokens_operations as tokens
from tests.fixtures import Document, Partner
from tests.people import Person, at
from tests.platforms import Listener

RECEIVER = "/ocpi/2.2.1/receiver/commands"
ACCEPTED = {"result": "ACCEPTED", "timeout": 30}
TNM = at("NL*TNM")
LOCATION, EVSE_UID = "LOC-UTR-0042", "TNM-UTR-0042-1"
SESSION = "SES-20250912-0042"


@pytest.fixture(name="cpo")
def cpo_fixture(emsp_side: None, partner: Partner, listener: Listener) -> Person:
    """The CPO of the example documents; it accepts every command."""
    listener.reply("POST", RECEIVER, data=ACCEPTED)
    return partner("NL*TNM:CPO", listener=listener)


@pytest.fixture(name="token")
def token_fixture(cpo: Person, document: Document) -> Token:
    kept = tokens.keep(json.dumps(document("token_rfid")).encode())
    return Token.objects.get(pk=kept.row_id)


@pytest.fixture(name="evse")
def evse_fixture(cpo: Person, document: Document) -> EVSE:
    """The first EVSE of the example Location: it can be reserved, unlocked, and charge by a profile."""
    cpo.put(f"emsp/2.2.1/locations/NL/TNM/{LOCATION}", document("location"))
    return EVSE.objects.get(uid=EVSE_UID)


@pytest.fixture(name="session")
def session_fixture(evse: EVSE, cpo: Person, document: Document) -> Session:
    """An ACTIVE Session at that EVSE."""
    cpo.put(f"emsp/2.2.1/sessions/NL/TNM/{SESSION}", document("session"))
    return Session.objects.get(object_id=SESSION)


def response_url(command: Command) -> str:
    found: str = json.loads(command.request)["response_url"]
    return found


def without_capability(evse: EVSE, capability: str) -> None:
    """Take a capability from an EVSE."""
    document = json.loads(evse.document)
    document["capabilities"].remove(capability)
    EVSE.objects.filter(pk=evse.pk).update(document=json.dumps(document, separators=(",", ":")))


def run(name: str, **options: str) -> dict[str, Any]:
    """Run a management command and return its JSON line."""
    printed = io.StringIO()
    call_command(name, "--json", *(f"--{key}={value}" for key, value in options.items()), stdout=printed)
    found: dict[str, Any] = json.loads(printed.getvalue())
    return found
