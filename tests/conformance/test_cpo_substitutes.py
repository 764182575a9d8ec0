"""What a charge point of OCPP 1.6 calls a token whose uid is too long for it: always the same, and nobody else's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from cpo.models import Command, Operation, Token
from cpo.modules import commands_operations as commands
from cpo.modules import tokens
from ocpi.headers import Address
from ocpi.status import ServerError
from tests.cpo_support import Point
from tests.cpo_support import emsp_fixture as emsp_fixture
from tests.cpo_support import point_fixture as point_fixture
from tests.fixtures import Document
from tests.people import Person

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]
PATH = "cpo/2.2.1/tokens"
UID = "012345678901234567890123456789012345"
OWNER = Address("DE", "EMS")
Put = Callable[..., Token]


@pytest.fixture
def put(document: Document) -> Put:
    def send(person: Person, uid: str, owner: Address = OWNER, **members: Any) -> Token:
        names = {"country_code": owner.country_code, "party_id": owner.party_id}
        body = document("token_rfid", uid=uid, **names) | members
        at = f"{PATH}/{owner.country_code}/{owner.party_id}/{uid}?type={body['type']}"
        assert person.put(at, body).status_code == 1000
        return tokens.find(owner, uid, body["type"]) or pytest.fail("it is not there")

    return send


@pytest.mark.req("OCPP-75", "TOK-18")
def test_a_substitute_that_another_token_has_is_not_given_again(emsp: Person, second_emsp: Person, put: Put) -> None:
    first, second = (tokens._substitute(OWNER, "RFID", UID, number) for number in range(2))
    other = put(second_emsp, first.lower(), second_emsp.address)

    row = put(emsp, UID)

    assert (other.id_tag.upper(), row.id_tag) == (first, second)
    assert [each.pk for each in tokens.with_tag(second)] == [row.pk]
    other.delete()
    assert put(emsp, UID, whitelist="NEVER").id_tag == second
    assert tokens.id_tag(Address("de", "ems"), "RFID", UID) == second
    assert tokens.id_tag(OWNER, "APP_USER", UID) not in (first, second)


@pytest.mark.req("OCPP-75", "TOK-18")
def test_a_token_pushed_later_under_the_name_of_a_substitute_does_not_get_its_driver(
    emsp: Person, second_emsp: Person, put: Put
) -> None:
    row = put(emsp, UID, type="APP_USER")

    put(second_emsp, row.id_tag, second_emsp.address)

    assert tokens.with_tag(row.id_tag)[0].pk == row.pk


@pytest.mark.req("OCPP-75")
def test_if_others_have_all_substitutes_the_token_is_not_taken(emsp: Person, second_emsp: Person, put: Put) -> None:
    for number in range(4):
        put(second_emsp, tokens._substitute(OWNER, "RFID", UID, number), second_emsp.address)

    with pytest.raises(ServerError):
        tokens.id_tag(OWNER, "RFID", UID)


@pytest.mark.req("OCPP-75", "OCPP-91")
def test_a_command_names_the_token_as_it_is_stored(
    point: Point, emsp: Person, second_emsp: Person, put: Put, document: Document
) -> None:
    put(second_emsp, tokens._substitute(OWNER, "RFID", UID), second_emsp.address)
    row = put(emsp, UID)
    body = document("start_session", response_url=f"{emsp.url}/results/1")

    answer = emsp.post("cpo/2.2.1/commands/START_SESSION", body | {"token": document("token_rfid", uid=UID)})
    commands.carry_out(Command.objects.get().pk)

    assert answer.data["result"] == "ACCEPTED"
    assert json.loads(Operation.objects.get().payload)["idTag"] == row.id_tag
    assert row.id_tag == tokens._substitute(OWNER, "RFID", UID, 1)
