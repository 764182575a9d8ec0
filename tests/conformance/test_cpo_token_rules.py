"""Tokens at a CPO: groups, languages, what an answer may hold beside its verdict, and what no answer decides."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from cpo.models import CDR, Session
from tests.cpo_support import BASE, Point
from tests.cpo_support import point_fixture as point_fixture
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

TAG, SECOND_TAG = "04C7A1E2B95D80", "04FFFFFFFFFF01"
pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


def card(emsp: Person, document: Document, uid: str, **changes: Any) -> Any:
    body = document("token_rfid", uid=uid, **{"whitelist": "ALWAYS", **changes})
    assert emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{uid}", body).ok
    return body


def told(point: Point, tag: str) -> dict[str, Any]:
    found: dict[str, Any] = point.says("Authorize", {"idTag": tag})["idTagInfo"]
    return found


@pytest.mark.req("TOK-40")
def test_a_session_can_be_stopped_with_another_token_of_its_group(
    point: Point, emsp: Person, document: Document
) -> None:
    card(emsp, document, TAG, group_id="FAMILY-1")
    card(emsp, document, SECOND_TAG, group_id="FAMILY-1", contract_id="DE-EMS-OTHER")

    first, second = told(point, TAG), told(point, SECOND_TAG)
    number = point.start(TAG)["transactionId"]
    end = BASE + timedelta(hours=1)
    point.says("StopTransaction", {"transactionId": number, "meterStop": 6000, "timestamp": f"{end:%Y-%m-%dT%H:%M:%SZ}",
                                   "idTag": SECOND_TAG, "reason": "Local"}, at=end)  # fmt: skip

    # The charge point compares what it was told of both (OCPP: parentIdTag).
    assert first["parentIdTag"] == second["parentIdTag"] == "FAMILY-1"
    assert Session.objects.get().status == "COMPLETED"
    assert json.loads(CDR.objects.get().document)["cdr_token"]["uid"] == TAG


@pytest.mark.req("TOK-40")
def test_without_a_group_nothing_is_joined(point: Point, emsp: Person, document: Document) -> None:
    card(emsp, document, TAG, group_id=None)

    assert "parentIdTag" not in told(point, TAG)


@pytest.mark.req("TOK-40", "TOK-17", "OCPP-75", "OCPP-128")
def test_a_group_that_no_charge_point_can_hold_has_a_substitute_that_joins_its_tokens(
    point: Point, emsp: Person, document: Document
) -> None:
    card(emsp, document, TAG, group_id="G" * 21)
    card(emsp, document, SECOND_TAG, group_id="g" * 21, type="OTHER", contract_id="DE-EMS-OTHER")
    card(emsp, document, "04FFFFFFFFFF02", group_id="G" * 22, contract_id="DE-EMS-THIRD")

    first, second, third = (told(point, tag)["parentIdTag"] for tag in (TAG, SECOND_TAG, "04FFFFFFFFFF02"))

    assert re.fullmatch("Z[A-Z2-7]{19}", first)
    assert first == second != third


@pytest.mark.req("TOK-43")
@pytest.mark.parametrize(("language", "codes"), [("fr", (201, 1000)), ("fra", (200, 2001)), ("F1", (200, 2001))])
def test_a_language_has_two_letters(emsp: Person, document: Document, language: str, codes: tuple[int, int]) -> None:
    url = f"cpo/2.2.1/tokens/DE/EMS/{TAG}"

    assert emsp.put(url, document("token_rfid", uid=TAG, language=language)).codes == codes


@pytest.mark.req("TOK-41", "TOK-42")
@pytest.mark.parametrize(
    ("members", "codes"),
    [
        ({"default_profile_type": "FAST"}, (201, 1000)),
        ({"energy_contract": {"supplier_name": "Own Sun"}}, (201, 1000)),
        ({"energy_contract": {"contract_id": "1"}}, (200, 2001)),
    ],
)
def test_the_wishes_of_a_driver_are_kept_or_refused(
    emsp: Person, document: Document, members: dict[str, Any], codes: tuple[int, int]
) -> None:
    url, body = f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", uid=TAG, **members)

    assert emsp.put(url, body).codes == codes
    if codes[1] == 1000:
        assert emsp.get(url).data == body


# ---- what an answer decides


def asked(partner: Partner, listener: Listener, document: Document, **reply: Any) -> None:
    """An eMSP whose Token is always asked about, and what it answers."""
    emsp = partner("DE*EMS:EMSP", listener=listener)
    card(emsp, document, TAG, whitelist="NEVER")
    listener.reply("POST", f"/ocpi/2.2.1/sender/tokens/{TAG}/authorize", **reply)


@pytest.mark.req("TOK-35")
def test_a_text_for_the_driver_beside_the_verdict_is_no_obstacle(
    point: Point, partner: Partner, listener: Listener, document: Document
) -> None:
    info = {"language": "en", "text": "Have a good trip"}
    data = {"allowed": "ALLOWED", "token": document("token_rfid", uid=TAG), "info": info}
    asked(partner, listener, document, data=data)

    assert told(point, TAG)["status"] == "Accepted"


@pytest.mark.req("TRN-032")
@pytest.mark.parametrize(("status", "code"), [(200, 2004), (200, 2000), (200, 3000), (404, 2004)])
def test_data_beside_an_error_decides_nothing(
    point: Point, partner: Partner, listener: Listener, document: Document, status: int, code: int
) -> None:
    data = {"allowed": "ALLOWED", "token": document("token_rfid", uid=TAG)}
    asked(partner, listener, document, data=data, status=status, code=code)

    assert told(point, TAG)["status"] == "Invalid"
