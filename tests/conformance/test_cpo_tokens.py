"""Tokens, Receiver interface."""

from __future__ import annotations

import pytest

from cpo.models import Token
from tests.conformance.suites import LATEST, ClientOwnedObjectSuite, PatchSuite, Subject
from tests.fixtures import Document
from tests.people import Person

PATH = "cpo/2.2.1/tokens"
pytestmark = pytest.mark.usefixtures("cpo_side")


class TestTokens(ClientOwnedObjectSuite, PatchSuite):
    place, owner, other = "cpo_side", "emsp", "second_emsp"
    path, document = PATH, "token_rfid"
    required, optional = "issuer", "visual_number"
    id_member, unknown = "uid", 2004

    @pytest.mark.req("TOK-05", "TOK-12")
    def test_a_token_is_invalidated_by_a_patch(self, subject: Subject) -> None:
        subject.put()

        subject.patch(valid=False, whitelist="NEVER", last_updated=LATEST)

        row = Token.objects.get()
        assert (row.valid, row.whitelist) == (False, "NEVER")
        assert subject.get().data["valid"] is False


@pytest.mark.req("TOK-07", "TOK-14", "PIT-47")
def test_one_uid_may_be_a_card_and_an_app(emsp: Person, document: Document) -> None:
    url = f"{PATH}/DE/EMS/ONE"
    emsp.put(url, document("token_rfid", uid="ONE"))

    answer = emsp.put(url, document("token_app_user", uid="ONE"), query={"type": "APP_USER"})

    assert answer.codes == (201, 1000)
    assert emsp.get(url).data["type"] == "RFID"
    assert emsp.get(url, query={"type": "APP_USER"}).data["type"] == "APP_USER"
    assert emsp.get(url, query={"type": "OTHER"}).codes == (404, 2004)


@pytest.mark.req("TOK-08")
def test_a_type_that_differs_from_the_urls_is_refused(emsp: Person, document: Document) -> None:
    url = f"{PATH}/DE/EMS/ONE"

    answer = emsp.put(url, document("token_app_user", uid="ONE"), query={"type": "RFID"})

    assert answer.codes == (200, 2001)
    assert not Token.objects.exists()


@pytest.mark.req("TOK-08")
def test_without_a_type_in_the_url_the_body_says_it_unless_a_card_is_known(emsp: Person, document: Document) -> None:
    accepted = emsp.put(f"{PATH}/DE/EMS/NEW", document("token_app_user", uid="NEW"))
    emsp.put(f"{PATH}/DE/EMS/CARD", document("token_rfid", uid="CARD"))

    refused = emsp.put(f"{PATH}/DE/EMS/CARD", document("token_app_user", uid="CARD"))

    assert accepted.codes == (201, 1000)
    assert refused.codes == (200, 2001)
    assert "type" in refused.message


@pytest.mark.req("TOK-07")
def test_a_type_that_does_not_exist_is_refused(emsp: Person, document: Document) -> None:
    answer = emsp.put(f"{PATH}/DE/EMS/ONE", document("token_rfid", uid="ONE"), query={"type": "NFC"})

    assert answer.codes == (200, 2001)


@pytest.mark.req("TOK-10")
def test_a_uid_may_have_odd_characters_in_the_url(emsp: Person, document: Document) -> None:
    url = f"{PATH}/DE/EMS/A%2FB%20C"

    emsp.put(url, document("token_rfid", uid="A/B C"))

    assert emsp.get(url).data["uid"] == "A/B C"
    assert Token.objects.get().object_id == "A/B C"


@pytest.mark.req("TOK-06", "TOK-12")
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_tokens_are_never_deleted(emsp: Person, document: Document, method: str) -> None:
    assert emsp.request(method, f"{PATH}/DE/EMS/ONE", document("token_rfid", uid="ONE")).http_status == 405


@pytest.mark.req("TOK-18")
def test_a_uid_too_long_for_a_charge_point_has_a_substitute(emsp: Person, document: Document) -> None:
    uid = "012345678901234567890123456789012345"
    emsp.put(f"{PATH}/DE/EMS/{uid}", document("token_rfid", uid=uid))
    emsp.put(f"{PATH}/DE/EMS/SHORT", document("token_rfid", uid="SHORT"))

    tags = dict(Token.objects.values_list("uid", "id_tag"))

    assert tags["SHORT"] == "SHORT"
    assert tags[uid].startswith("Z")
    assert len(tags[uid]) == 20


@pytest.mark.req("SEC-35")
def test_a_cpo_owns_no_tokens(cpo: Person, document: Document) -> None:
    body = document("token_rfid", uid="ONE", country_code="NL", party_id="TNM")

    assert cpo.put(f"{PATH}/NL/TNM/ONE", body).http_status == 404
