"""Tokens, Sender interface: the list, real-time authorization, and what is pushed."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from emsp.models import Authorization, Location, Token
from emsp.modules import tokens_operations as tokens
from ocpi import status
from ocpi.models import Delivery
from ocpi.v2_2_1.types import format_datetime
from tests.conformance.suites import EARLIER, LATER, ListSuite, at_most
from tests.fixtures import Document, Side
from tests.people import Person

PATH = "emsp/2.2.1/tokens"
UID = "04C7A1E2B95D80"


def keep(document: dict[str, Any]) -> Token:
    kept = tokens.keep(json.dumps(document).encode())
    return Token.objects.get(pk=kept.row_id)


class TestTokensList(ListSuite):
    place, reader, path = "emsp_side", "cpo", PATH
    id_member = "uid"

    @pytest.fixture(autouse=True)
    def _a_token(self, document: Document) -> None:
        self.token = document("token_rfid")

    def make(self, index: int, moment: datetime) -> str:
        uid = f"TOKEN-{index}"
        keep({**self.token, "uid": uid, "last_updated": format_datetime(moment)})
        return uid


@pytest.mark.req("TOK-01", "TRN-114")
@pytest.mark.usefixtures("emsp_side")
def test_the_list_has_the_tokens_as_they_are(cpo: Person, document: Document) -> None:
    stored = [document("token_rfid", x_note={"a": 1}), document("token_app_user")]
    for token in stored:
        keep(token)

    assert cpo.get(PATH).data == stored


@pytest.mark.req("TOK-01", "HUB-07")
def test_the_list_is_that_of_the_party_asked(side: Side, cpo: Person, document: Document) -> None:
    side("emsp", parties=["DE*EMS:EMSP", "BE*ZWO:EMSP"])
    keep(document("token_rfid"))
    keep(document("token_rfid", country_code="BE", party_id="ZWO", uid="OTHER"))

    assert [token["uid"] for token in cpo.get(PATH, to="be*zwo").data] == ["OTHER"]
    assert cpo.get(PATH, to=None).codes == (200, 2001)


@pytest.mark.req("TOK-06", "TRN-093")
@pytest.mark.usefixtures("emsp_side")
def test_a_token_is_not_written_over_the_sender_interface(cpo: Person) -> None:
    url = f"{PATH}/{UID}/authorize"

    assert [cpo.request(method, url, {}).http_status for method in ("GET", "PUT", "PATCH", "DELETE")] == [405] * 4


# ---- real-time authorization


@pytest.fixture
def token(emsp_side: None, cpo: Person, document: Document) -> Token:
    return keep(document("token_rfid"))


@pytest.fixture
def location(token: Token, cpo: Person, document: Document) -> dict[str, Any]:
    body: dict[str, Any] = document("location")
    cpo.put("emsp/2.2.1/locations/NL/TNM/LOC-UTR-0042", body)
    return body


def ask(person: Person, uid: str = UID, body: Any = None, **query: Any) -> Any:
    return person.post(f"{PATH}/{uid}/authorize", body, query=query)


@pytest.mark.req("TOK-02", "TOK-25", "TOK-34", "PIT-46")
def test_a_known_token_is_allowed(token: Token, cpo: Person, document: Document) -> None:
    answer = ask(cpo)

    assert answer.codes == (200, 1000)
    assert answer.data == {
        "allowed": "ALLOWED",
        "token": document("token_rfid"),
        "authorization_reference": Authorization.objects.get().reference,
    }


@pytest.mark.req("TOK-22")
@pytest.mark.parametrize("whitelist", ["NEVER", "ALWAYS", "ALLOWED", "ALLOWED_OFFLINE"])
def test_a_token_is_authorized_whatever_its_whitelist(
    token: Token, cpo: Person, document: Document, whitelist: str
) -> None:
    keep(document("token_rfid", whitelist=whitelist, last_updated=LATER))

    answer = ask(cpo)

    assert (answer.codes, answer.data["allowed"]) == ((200, 1000), "ALLOWED")
    assert answer.data["token"]["whitelist"] == whitelist


@pytest.mark.req("TOK-34")
def test_each_authorization_has_a_reference_of_its_own(token: Token, cpo: Person) -> None:
    assert ask(cpo).data["authorization_reference"] != ask(cpo).data["authorization_reference"]


@pytest.mark.req("TOK-26")
def test_a_blocked_token_is_an_answer_not_an_error(token: Token, cpo: Person) -> None:
    tokens.block(token)

    answer = ask(cpo)

    assert answer.codes == (200, 1000)
    assert answer.data["allowed"] == "BLOCKED"
    assert answer.data["token"]["valid"] is False
    assert "authorization_reference" not in answer.data


@pytest.mark.req("TOK-27", "PIT-21")
def test_an_unknown_token_is_not_found(token: Token, cpo: Person) -> None:
    answer = ask(cpo, uid="NOBODYS")

    assert answer.codes == (404, 2004)
    assert not answer.has_data


@pytest.mark.req("TOK-07", "TOK-10")
def test_a_token_is_found_by_uid_and_type(token: Token, cpo: Person, document: Document) -> None:
    app = document("token_app_user")
    keep(app)

    assert ask(cpo, uid=UID.lower()).data["allowed"] == "ALLOWED"
    assert ask(cpo, uid=app["uid"]).codes == (404, 2004)
    assert ask(cpo, uid=app["uid"], type="APP_USER").data["token"] == app
    assert ask(cpo, type="NO_SUCH_TYPE").codes == (200, 2001)


@pytest.mark.req("TOK-30", "TOK-31", "TOK-32")
def test_the_evses_that_may_be_used_are_named(location: dict[str, Any], cpo: Person) -> None:
    references = {"location_id": "LOC-UTR-0042", "evse_uids": ["TNM-UTR-0042-2", "NOT-THERE"]}

    answer = ask(cpo, body=references)

    assert answer.data["allowed"] == "ALLOWED"
    assert answer.data["location"] == {"location_id": "LOC-UTR-0042", "evse_uids": ["TNM-UTR-0042-2"]}


@pytest.mark.req("TOK-30", "TOK-31", "TOK-37")
@pytest.mark.parametrize("gone", ["REMOVED", "left out"])
def test_an_evse_that_is_gone_is_not_allowed(location: dict[str, Any], cpo: Person, gone: str) -> None:
    url = "emsp/2.2.1/locations/NL/TNM/LOC-UTR-0042"
    if gone == "REMOVED":
        cpo.patch(f"{url}/TNM-UTR-0042-1", {"status": "REMOVED", "last_updated": LATER})
    else:
        cpo.put(url, {**location, "evses": location["evses"][1:], "last_updated": LATER})

    answer = ask(cpo, body={"location_id": "LOC-UTR-0042", "evse_uids": ["TNM-UTR-0042-1"]})

    assert answer.codes == (200, 1000)
    assert answer.data["allowed"] == "NOT_ALLOWED"
    assert "location" not in answer.data


@pytest.mark.req("TOK-33")
def test_a_location_that_was_never_published_is_allowed(token: Token, cpo: Person) -> None:
    references = {"location_id": "AT-HOME", "evse_uids": ["1"]}

    answer = ask(cpo, body=references)

    assert (answer.data["allowed"], answer.data["location"]) == ("ALLOWED", references)


@pytest.mark.req("TOK-30", "TRN-096")
def test_the_location_is_that_of_the_cpo_that_asks(location: dict[str, Any], second_cpo: Person, cpo: Person) -> None:
    references = {"location_id": "LOC-UTR-0042", "evse_uids": ["SOMETHING-ELSE"]}

    assert ask(second_cpo, body=references).data["allowed"] == "ALLOWED"
    assert ask(cpo, body=references).data["allowed"] == "NOT_ALLOWED"
    assert cpo.post(f"{PATH}/{UID}/authorize", references, sender=None).data["allowed"] == "NOT_ALLOWED"


@pytest.mark.req("TOK-02", "TRN-039")
def test_references_that_are_none_are_refused(token: Token, cpo: Person) -> None:
    assert ask(cpo, body={"evse_uids": ["1"]}).codes == (200, 2001)
    assert not Authorization.objects.exists()


@pytest.mark.req("TOK-38")
def test_without_to_headers_the_token_must_be_unambiguous(side: Side, cpo: Person, document: Document) -> None:
    side("emsp", parties=["DE*EMS:EMSP", "BE*ZWO:EMSP"])
    twin = document("token_rfid", country_code="BE", party_id="ZWO")
    keep(document("token_rfid"))
    keep(document("token_rfid", uid="SINGLE"))
    keep(twin)
    url = f"{PATH}/{UID}/authorize"

    assert cpo.post(url, to=None).codes == (200, 2002)
    assert cpo.post(url, to="BE*ZWO").data["token"] == twin
    assert cpo.post(f"{PATH}/SINGLE/authorize", to=None).data["allowed"] == "ALLOWED"


@pytest.mark.req("TOK-36")
def test_an_authorization_takes_three_statements(location: dict[str, Any], cpo: Person) -> None:
    with at_most(3):
        answer = ask(cpo, body={"location_id": "LOC-UTR-0042", "evse_uids": ["TNM-UTR-0042-1"]})

    assert answer.data["allowed"] == "ALLOWED"
    assert Location.objects.exists()


@pytest.mark.req("TRN-008")
def test_a_stranger_learns_nothing(token: Token, stranger: Person) -> None:
    assert stranger.post(f"{PATH}/{UID}/authorize", sender=None).http_status == 401


# ---- what is pushed


@pytest.mark.req("TOK-11", "TOK-12")
def test_a_blocked_token_is_pushed_and_never_deleted(token: Token, cpo: Person) -> None:
    Delivery.objects.all().delete()

    tokens.block(token)

    left = Delivery.objects.get()
    assert (left.source_id, left.deleted, left.fields) == (token.pk, False, None)
    assert (left.from_party_id, left.to_party_id) == ("EMS", "TNM")
    token.refresh_from_db()
    assert not token.valid
    assert json.loads(token.document)["last_updated"] > LATER


@pytest.mark.usefixtures("emsp_side")
def test_everybody_who_takes_tokens_gets_each_one(
    cpo: Person, hub: Person, second_emsp: Person, document: Document, capsys: pytest.CaptureFixture[str]
) -> None:
    with transaction.atomic():
        keep(document("token_rfid"))
        keep(document("token_app_user"))
    Delivery.objects.all().delete()

    call_command("push_tokens", "--platform", "BE*HUB:HUB")
    one = set(Delivery.objects.values_list("platform_id", flat=True))
    call_command("push_tokens", "--json")

    assert one == {hub.id}
    assert set(Delivery.objects.values_list("platform_id", flat=True)) == {cpo.id, hub.id}
    assert Delivery.objects.count() == 4
    assert '{"tokens": 2}' in capsys.readouterr().out
    with pytest.raises(CommandError, match="no platform"):
        call_command("push_tokens", "--platform", "nobody")


@pytest.mark.usefixtures("emsp_side", "db")
@pytest.mark.parametrize("change", [{"party_id": "XXX"}, {"contract_id": None}, {"last_updated": EARLIER}])
def test_a_token_that_breaks_a_rule_is_not_kept(document: Document, change: dict[str, Any]) -> None:
    keep(document("token_rfid"))

    with pytest.raises(status.InvalidParameters):
        keep(document("token_rfid", **change))

    assert json.loads(Token.objects.get().document) == document("token_rfid")
