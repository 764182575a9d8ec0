"""Whose driver a Session or CDR tells of, who may read what was sent, and what is no module: at both doors of a hub."""

from __future__ import annotations

from typing import Any

import pytest

from hub.models import Permission
from ocpi import snapshot
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener
from tests.short_way import Served, after_warming, request
from tests.short_way import served_fixture as served_fixture

pytestmark = pytest.mark.usefixtures("hub_side")
AT = "hub/2.2.1/receiver"
PATHS = {"sessions": ("PUT", f"{AT}/sessions/NL/TNM/S1"), "cdrs": ("POST", f"{AT}/cdrs")}


@pytest.fixture
def receiver(partner: Partner, listener: Listener) -> Person:
    return partner("DE*EMS:EMSP", "DE*EM2:EMSP", listener=listener)


def told(document: Document, module: str, **holder: Any) -> dict[str, Any]:
    found = dict(document(module[:-1], id="S1"))
    return {**found, "cdr_token": {**found["cdr_token"], **holder}}


# ---- whose driver it is


@pytest.mark.req("SEC-37", "SEC-42", "SES-10")
@pytest.mark.usefixtures("front_door")
@pytest.mark.parametrize("module", PATHS)
@pytest.mark.parametrize(
    ("holder", "code"),
    [
        ({}, 1000),
        ({"country_code": "de", "party_id": "ems"}, 1000),
        ({"party_id": "EM2"}, 1000),  # the same platform's: it says itself what it thinks of that
        ({"country_code": "BE", "party_id": "MSX"}, 2001),
        ({"party_id": "XXX"}, 2001),
        ({"country_code": "NL", "party_id": "TNM"}, 2001),
        ({"party_id": 7}, 1000),  # what names nobody is for the receiver to say
        ({"party_id": None}, 1000),
    ],
)
def test_nobody_is_told_of_the_driver_of_another(
    cpo: Person, receiver: Person, second_emsp: Person, listener: Listener, document: Document, module: str,
    holder: dict[str, Any], code: int,
) -> None:  # fmt: skip
    method, path = PATHS[module]

    answer = cpo.request(method, path, told(document, module, **holder), to="DE*EMS", documented=False)

    assert answer.codes == (200, code)
    assert len(listener.received(method)) == (code == 1000)
    assert code == 1000 or "cdr_token.party_id" in answer.message


@pytest.mark.req("SEC-37", "SEC-42")
@pytest.mark.usefixtures("front_door")
@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"module": "sessions"}, 1000),
        ({"module": "sessions", "direction": "PULL"}, 1000),  # who may read them may be sent them
        ({"module": "cdrs"}, 2001),
        ({}, 2001),  # that they deal with each other says nothing of other people's drivers
    ],
)
def test_whom_a_rule_names_for_the_module_is_told_of_any_driver(
    cpo: Person, partner: Partner, listener: Listener, document: Document, rule: dict[str, str], code: int
) -> None:
    """An SCSP plans the charging of drivers who are never its own (SES-10)."""
    partner("DE*SCS:SCSP", listener=listener)
    Permission.objects.create(from_country_code="DE", from_party_id="SCS", to_country_code="NL", **rule)
    snapshot.changed()

    answer = cpo.put(PATHS["sessions"][1], told(document, "sessions"), to="DE*SCS")

    assert answer.codes == (200, code)
    assert len(listener.received("PUT")) == (code == 1000)


@pytest.mark.req("SEC-37", "SEC-42")
@pytest.mark.usefixtures("front_door")
@pytest.mark.parametrize(("agreed", "code"), [(("TNM",), 2001), (("TN2",), 2001), (("TNM", "TN2"), 1000)], ids=str)
def test_who_speaks_and_whose_session_it_is_must_both_be_named_by_a_rule(
    partner: Partner, listener: Listener, document: Document, agreed: tuple[str, ...], code: int
) -> None:
    cpo = partner("NL*TNM:CPO", "NL*TN2:CPO")
    partner("DE*SCS:SCSP", listener=listener)
    for party_id in agreed:
        Permission.objects.create(
            from_country_code="NL", from_party_id=party_id, to_country_code="DE", to_party_id="SCS", module="sessions"
        )
    snapshot.changed()
    body = told(document, "sessions") | {"party_id": "TN2"}

    answer = cpo.put(f"{AT}/sessions/NL/TN2/S1", body, to="DE*SCS", sender="NL*TNM")

    assert answer.codes == (200, code)
    assert len(listener.received("PUT")) == (code == 1000)


@pytest.mark.req("SEC-37", "SEC-42")
@pytest.mark.usefixtures("front_door")
def test_an_update_says_nothing_of_its_driver_or_nothing_new(
    cpo: Person, receiver: Person, second_emsp: Person, listener: Listener
) -> None:
    moved = {"cdr_token": {"country_code": "BE", "party_id": "MSX"}, "last_updated": "2031-05-01T10:00:00Z"}

    assert cpo.patch(PATHS["sessions"][1], {"kwh": 3}, to="DE*EMS").codes == (200, 1000)
    assert cpo.patch(PATHS["sessions"][1], moved, to="DE*EMS").codes == (200, 2001)
    assert [each.json for each in listener.received("PATCH")] == [{"kwh": 3}]


@pytest.mark.req("SEC-37")
@pytest.mark.usefixtures("in_lane")
@pytest.mark.parametrize("fill", ["", "x" * 5000])
@pytest.mark.parametrize(("party", "code"), [(b"EMS", 1000), (b"ems", 1000), (b"EM2", 1000), (b"MSX", 2001)])
def test_the_short_way_looks_whose_driver_it_is(
    cpo: Person, receiver: Person, listener: Listener, served: Served, party: bytes, code: int, fill: str
) -> None:
    own = b'{"cdr_token":{"country_code":"DE","party_id":"EMS"},"fill":"%s"}' % fill.encode()
    octets = request(cpo, path=f"/ocpi/{PATHS['sessions'][1]}", body=own)

    answer, _ = after_warming(served, octets, octets.replace(b'"EMS"', b'"%s"' % party))

    assert answer.codes == (200, code)
    assert len(listener.received("PUT")) == 2 + (code == 1000)


# ---- who reads what was sent


@pytest.mark.req("CDR-04", "CDR-08", "SEC-37", "SEC-39", "HUB-74")
@pytest.mark.usefixtures("front_door")
@pytest.mark.parametrize("to", ["DE*EMS", None])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "cdrs/9"), ("GET", "cdrs/NL/TNM/9"), ("GET", "cdrs"), ("GET", "cdrs?limit=9"),
        ("POST", "cdrs/9"), ("POST", "cdrs/NL/TNM/9"),
    ],
)  # fmt: skip
def test_a_cdr_is_read_at_the_url_that_came_back_and_nowhere_else(
    cpo: Person, second_cpo: Person, emsp_that_keeps: Person, listener: Listener, document: Document, method: str,
    path: str, to: str | None,
) -> None:  # fmt: skip
    """Its receiver tells apart only tokens, and that is the hub's: who guesses an id would read the CDR of another."""
    url = cpo.post(PATHS["cdrs"][1], document("cdr"), to="DE*EMS").headers["Location"]
    listener.forget()

    answers = [
        person.request(method, f"{AT}/{path}", {} if method == "POST" else None, to=to, documented=False)
        for person in (cpo, second_cpo)
    ]

    assert [answer.codes for answer in answers] == [(404, 2000)] * 2
    assert listener.requests == []
    assert cpo.get(url, to="DE*EMS").data == {"id": "9"}
    assert second_cpo.get(url, to="DE*EMS").codes == (404, 2000)


@pytest.fixture
def emsp_that_keeps(receiver: Person, listener: Listener) -> Person:
    listener.reply("POST", "/", status=201, headers={"Location": f"{listener.url}/ocpi/2.2.1/receiver/cdrs/9"})
    listener.reply("GET", "/", data={"id": "9"})
    return receiver


@pytest.mark.req("SES-04", "SEC-35", "SEC-39")
@pytest.mark.usefixtures("front_door")
def test_a_session_is_read_by_its_owner_alone(
    cpo: Person, second_cpo: Person, receiver: Person, listener: Listener
) -> None:
    listener.reply("GET", "/", data={"id": "S1"})

    owner = cpo.get(PATHS["sessions"][1], to="DE*EMS")
    others = [person.get(PATHS["sessions"][1], to="DE*EM2") for person in (second_cpo, receiver)]

    assert owner.data == {"id": "S1"}
    assert [answer.codes for answer in others] == [(404, 2000)] * 2
    assert len(listener.received("GET")) == 1


# ---- what is no module


@pytest.mark.req("VER-19", "HUB-63", "TRN-041")
@pytest.mark.usefixtures("front_door")
@pytest.mark.parametrize("to", ["DE*EMS", "NL*HUB", None])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("name", ["receiver/nltnm-parking", "sender/nltnm-parking/NL/TNM/1", "receiver/payments/1"])
def test_a_module_of_others_is_none_of_the_hubs(
    cpo: Person, receiver: Person, listener: Listener, name: str, method: str, to: str | None
) -> None:
    body = {"id": "1"} if method in ("PUT", "POST", "PATCH") else None

    answer = cpo.request(method, f"hub/2.2.1/{name}", body, to=to, documented=False)

    assert answer.codes == (404, 2000)
    assert listener.requests == []
