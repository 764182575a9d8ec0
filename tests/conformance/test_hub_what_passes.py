"""What of a request passes a hub, and what gives its sender no rights: dots in paths, stray bodies, a chosen From."""

from __future__ import annotations

from typing import Any

import pytest

from hub.models import Permission
from ocpi import snapshot
from ocpi.models import Delivery
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener
from tests.short_way import Served, after_warming, request
from tests.short_way import served_fixture as served_fixture

pytestmark = pytest.mark.usefixtures("hub_side")
SESSION = "hub/2.2.1/receiver/sessions/NL/TNM/S1"


@pytest.fixture
def receiver(partner: Partner, listener: Listener) -> Person:
    return partner("DE*EMS:EMSP", listener=listener)


# ---- paths


@pytest.mark.req("SEC-33", "HUB-15", "PIT-17")
@pytest.mark.usefixtures("front_door")
@pytest.mark.parametrize("to", ["DE*EMS", "NL*HUB", None])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "sender/tokens/.."),
        ("GET", "sender/tokens/../../credentials"),
        ("GET", "sender/tokens/%2e%2E/%2e%2e/credentials"),
        ("GET", "sender/tokens/T1%2F..%2F..%2F..%2Fcredentials"),
        ("GET", "sender/tokens/T1%5C..%5Cx"),
        ("GET", "sender/tokens/./T1"),
        ("DELETE", "receiver/tariffs/../../credentials"),
        ("PUT", "receiver/sessions/NL/TNM/.."),
    ],
)
def test_a_path_does_not_lead_out_of_its_endpoint(
    cpo: Person, receiver: Person, listener: Listener, method: str, path: str, to: str | None
) -> None:
    """A front server of the receiver would make another URL of it, and the hub's token goes with it."""
    body = {"id": "S1"} if method == "PUT" else None

    answer = cpo.request(method, f"hub/2.2.1/{path}", body, to=to, sender="NL*TNM")

    assert answer.codes == (404, 2000)
    assert answer.headers["OCPI-from-party-id"] == "HUB"
    assert listener.requests == []


@pytest.mark.req("SEC-33")
@pytest.mark.usefixtures("in_lane")
def test_a_path_of_dots_is_not_taken_for_one_that_passed_a_moment_ago(
    cpo: Person, receiver: Person, listener: Listener, served: Served
) -> None:
    octets = request(cpo, method="GET", path="/ocpi/hub/2.2.1/receiver/sessions/NL/TNM/S1", body=b"")

    answer, _ = after_warming(served, octets, octets.replace(b"/TNM/S1", b"/TNM/.."))

    assert answer.codes == (404, 2000)
    assert len(listener.received("GET")) == 2


@pytest.mark.req("HUB-14", "PIT-17")
@pytest.mark.usefixtures("front_door")
@pytest.mark.parametrize("name", [".hidden", "a..b", "1.5", "..."])
def test_dots_in_a_name_are_part_of_it(cpo: Person, receiver: Person, listener: Listener, name: str) -> None:
    assert cpo.get(f"hub/2.2.1/sender/tokens/{name}", to="DE*EMS").codes == (200, 1000)

    assert listener.received("GET")[0].path.endswith(f"/tokens/{name}")


@pytest.mark.req("HUB-08", "HUB-09")
@pytest.mark.usefixtures("front_door")
def test_where_nothing_is_the_hub_says_so_and_not_who_was_meant(cpo: Person, receiver: Person) -> None:
    answer = cpo.get("hub/2.2.1/sender/bookings/1", to="DE*EMS")

    assert answer.codes == (404, 2000)
    assert answer.headers["OCPI-from-party-id"] == "HUB"
    assert answer.headers["OCPI-to-party-id"] == "TNM"


# ---- bodies


@pytest.mark.req("TRN-017", "SEC-46")
@pytest.mark.usefixtures("front_door")
@pytest.mark.parametrize(
    "body", [b'{"a":1}', b"<html>", b'{"response_url":"http://127.0.0.1:1/r"}', b'"response_url"{']
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_body_where_there_is_none_is_not_passed_on(
    cpo: Person, receiver: Person, listener: Listener, method: str, body: bytes
) -> None:
    answer = cpo.request(method, "hub/2.2.1/receiver/tariffs/NL/TNM/T1", body, to="DE*EMS")

    assert answer.codes == (200, 1000)
    [arrived] = listener.received(method)
    assert arrived.body == b""
    assert "content-type" not in arrived.headers


@pytest.mark.req("TRN-017")
@pytest.mark.usefixtures("in_lane")
def test_a_body_where_there_is_none_is_not_passed_on_by_the_short_way(
    cpo: Person, receiver: Person, listener: Listener, served: Served
) -> None:
    octets = request(cpo, method="GET", path=f"/ocpi/{SESSION}", body=b"")
    stray = request(cpo, method="GET", path=f"/ocpi/{SESSION}", body=b"<html>")

    answer, _ = after_warming(served, octets, stray)

    assert answer.codes == (200, 1000)
    assert [each.body for each in listener.received("GET")] == [b"", b"", b""]


@pytest.mark.req("HUB-21", "HUB-72")
@pytest.mark.usefixtures("front_door")
@pytest.mark.parametrize(
    "body", [b'{"response_url":"x"}', b'["\\u00e9"]', b'{ "response_url" : "https://a.example/r" }']
)
def test_a_member_that_only_commands_have_passes_unchanged_elsewhere(
    cpo: Person, receiver: Person, listener: Listener, body: bytes
) -> None:
    assert cpo.put(SESSION, body, to="DE*EMS").codes == (200, 1000)

    assert [each.body for each in listener.received("PUT")] == [body]


# ---- methods


@pytest.mark.req("TRN-021", "HUB-22")
@pytest.mark.usefixtures("front_door")
def test_which_methods_a_receiver_has_comes_back_with_its_refusal(
    cpo: Person, receiver: Person, listener: Listener
) -> None:
    listener.reply("PATCH", "/", status=405, code=2000, headers={"Allow": "GET, PUT"})

    answer = cpo.patch(SESSION, {"status": "ACTIVE"}, to="DE*EMS")

    assert answer.codes == (405, 2000)
    assert answer.headers["Allow"] == "GET, PUT"


@pytest.mark.req("TRN-021")
@pytest.mark.usefixtures("front_door")
@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "receiver/commands/START_SESSION", "POST"),
        ("GET", "sender/commands", "POST"),
        ("PUT", "receiver/cdrs", "GET, POST"),
        ("DELETE", "receiver/cdrs", "GET, POST"),
        ("PATCH", "receiver/chargingprofiles/S1", "GET, PUT, DELETE"),
        ("DELETE", "receiver/sessions/NL/TNM/S1", "PUT, PATCH"),
        ("DELETE", "sender/locations", "GET"),
        ("OPTIONS", "receiver/sessions/NL/TNM/S1", "GET, PUT, PATCH"),
    ],
)
def test_what_the_hub_allows_is_never_what_it_refuses(cpo: Person, method: str, path: str, allow: str) -> None:
    body = {"id": "1"} if method in ("PUT", "PATCH") else None

    answer = cpo.request(method, f"hub/2.2.1/{path}", body, to="NL*HUB")

    assert answer.codes == (405, 2000)
    assert answer.headers["Allow"] == allow


@pytest.mark.req("TRN-021", "TRN-093", "TRN-092")
@pytest.mark.usefixtures("front_door")
@pytest.mark.parametrize("to", ["DE*EMS", None])
@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "receiver/sessions/NL/TNM/S1", "GET, PUT, PATCH"),
        ("DELETE", "receiver/locations/NL/TNM/LOC1", "GET, PUT, PATCH"),
        ("PATCH", "receiver/tariffs/NL/TNM/T1", "GET, PUT, DELETE"),
        ("POST", "receiver/sessions/NL/TNM/S1", "GET, PUT, PATCH"),
        ("DELETE", "receiver/cdrs", "GET, POST"),
        ("PUT", "sender/locations/LOC1", "GET"),
        ("DELETE", "sender/tokens/T1", "GET, POST"),
        ("GET", "sender/commands/1", "POST"),
        ("PUT", "receiver/commands/START_SESSION", "POST"),
        ("POST", "receiver/chargingprofiles/S1", "GET, PUT, DELETE"),
        ("GET", "sender/chargingprofiles/S1", "PUT, POST"),
    ],
)
def test_what_ocpi_has_nowhere_is_not_passed_on(
    cpo: Person, receiver: Person, listener: Listener, method: str, path: str, allow: str, to: str | None
) -> None:
    body = {"id": "1"} if method in ("PUT", "PATCH", "POST") else None

    answer = cpo.request(method, f"hub/2.2.1/{path}", body, to=to)

    assert answer.codes == (405, 2000)
    assert answer.headers["Allow"] == allow
    assert answer.headers["OCPI-from-party-id"] == "HUB"
    assert listener.requests == []


# ---- whose objects


@pytest.fixture
def two(partner: Partner) -> Person:
    """Two CPOs and an eMSP on one platform; what the second pushes, DE*EMS must not get."""
    found = partner("NL*TNM:CPO", "NL*TN2:CPO", "NL*OWN:EMSP")
    Permission.objects.create(
        effect="DENY", from_country_code="NL", from_party_id="TN2", to_country_code="DE", to_party_id="EMS"
    )
    snapshot.changed()
    return found


@pytest.mark.req("SEC-40", "SEC-34")
@pytest.mark.usefixtures("front_door")
@pytest.mark.parametrize("to", ["DE*EMS", None])
@pytest.mark.parametrize(("owner", "code"), [("TNM", 1000), ("TN2", 4001)])
def test_a_chosen_from_gives_no_rights(
    two: Person, receiver: Person, listener: Listener, document: Document, to: str | None, owner: str, code: int
) -> None:
    body = document("session", id="S1", party_id=owner)

    answer = two.put(f"hub/2.2.1/receiver/sessions/NL/{owner}/S1", body, to=to, sender="NL*TNM")

    assert answer.codes == (200, code)
    assert len(listener.received("PUT")) == (code == 1000)


@pytest.mark.req("SEC-40", "SEC-34")
@pytest.mark.usefixtures("front_door")
@pytest.mark.parametrize(("owner", "left_for"), [("TNM", ["EMS", "MSX"]), ("TN2", ["MSX"])])
def test_a_chosen_from_brings_no_broadcast_to_whom_the_owner_may_not_send(
    two: Person, emsp: Person, second_emsp: Person, document: Document, owner: str, left_for: list[str]
) -> None:
    body = document("location", id="LOC1", party_id=owner)

    answer = two.put(f"hub/2.2.1/receiver/locations/NL/{owner}/LOC1", body, sender="NL*TNM")

    assert answer.codes == (201, 1000)
    assert sorted(Delivery.objects.values_list("to_party_id", flat=True)) == left_for


@pytest.mark.req("SEC-35")
@pytest.mark.usefixtures("front_door")
@pytest.mark.parametrize(
    ("module", "name", "owner", "sender"),
    [("locations", "location", "OWN", "TNM"), ("tokens", "token_rfid", "TNM", "OWN")],
)
def test_a_party_owns_no_objects_that_its_role_has_not(
    two: Person, second_emsp: Person, document: Document, module: str, name: str, owner: str, sender: str
) -> None:
    id_member: dict[str, Any] = {"uid": "X1"} if module == "tokens" else {"id": "X1"}
    body = document(name, country_code="NL", party_id=owner, **id_member)

    answer = two.put(f"hub/2.2.1/receiver/{module}/NL/{owner}/X1", body, sender=f"NL*{sender}")

    assert answer.http_status == 404
    assert not Delivery.objects.exists()


@pytest.mark.req("SEC-33", "SEC-35", "SEC-42", "TRN-041")
@pytest.mark.usefixtures("front_door")
@pytest.mark.parametrize("to", ["DE*EMS", None])
@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize(
    "path",
    [
        "sessions/FR%2FCPX%2FS1", "sessions/FR/CPX%2FS1", "sessions/FR%2fCPX/S1", "sessions/FR%5CCPX%5CS1",
        "sessions/%2FFR%2FCPX/S1/x", "locations/FR%2FCPX%2FLOC1", "tariffs/NL//T1", "tokens/NL/TNM", "sessions/NL",
        "sessions/NL/TNM", "sessions", "locations/",
    ],
)  # fmt: skip
def test_a_path_has_an_owner_and_no_other_one_inside(
    cpo: Person, second_cpo: Person, receiver: Person, listener: Listener, method: str, path: str, to: str | None
) -> None:
    """A receiver that decodes a path before it splits it would take it for an object of the other CPO."""
    body = {"id": "S1"} if method == "PUT" else None

    answer = cpo.request(method, f"hub/2.2.1/receiver/{path}", body, to=to, documented=False)

    assert answer.http_status == 404
    assert answer.status_code == {"locations": 2003, "tokens": 2004}.get(path.partition("/")[0], 2000)
    assert listener.requests == []


@pytest.mark.req("HUB-21", "TRN-024")
@pytest.mark.usefixtures("front_door")
def test_an_id_may_have_a_slash_in_it(cpo: Person, receiver: Person, listener: Listener) -> None:
    assert cpo.put("hub/2.2.1/receiver/sessions/NL/TNM/FR%2FCPX%2FS1", {"id": "FR/CPX/S1"}, to="DE*EMS").codes == (
        200, 1000,
    )  # fmt: skip

    assert listener.received("PUT")[0].path.endswith("/sessions/NL/TNM/FR%2FCPX%2FS1")


@pytest.mark.req("SEC-35", "SEC-34", "TRN-048")
@pytest.mark.usefixtures("front_door")
@pytest.mark.parametrize("to", ["DE*EMS", None])
@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({}, 1000),
        ({"party_id": "tnm", "country_code": "nl"}, 1000),
        ({"party_id": "TN2"}, 1000),  # the same platform's
        ({"party_id": "OWN"}, 2001),  # an eMSP has no CDRs
        ({"party_id": "CPX"}, 2001),
        ({"country_code": "FR"}, 2001),
        ({"party_id": "XXX"}, 2001),
        ({"party_id": 7}, 1000),  # what is none is for the receiver to say
        ({"party_id": None, "country_code": "FR"}, 1000),
    ],
)
def test_a_cdr_is_of_a_party_of_the_platform_that_posts_it(
    partner: Partner, second_cpo: Person, receiver: Person, listener: Listener, document: Document,
    members: dict[str, Any], code: int, to: str | None,
) -> None:  # fmt: skip
    poster = partner("NL*TNM:CPO", "NL*TN2:CPO", "NL*OWN:EMSP")

    answer = poster.post("hub/2.2.1/receiver/cdrs", {**document("cdr"), **members}, to=to, documented=False)

    assert answer.codes == (200, code)
    assert len(listener.received("POST")) == (code == 1000)


@pytest.mark.req("SEC-35", "SEC-34")
@pytest.mark.usefixtures("front_door")
def test_a_name_that_is_spelled_with_escapes_is_read_all_the_same(
    cpo: Person, receiver: Person, listener: Listener
) -> None:
    body = rb'{"country\u005fcode":"FR","party\u005fid":"CPX"}'

    assert cpo.post("hub/2.2.1/receiver/cdrs", body, to="DE*EMS").codes == (200, 2001)
    assert cpo.put(SESSION, body, to="DE*EMS").codes == (200, 2001)
    assert listener.requests == []


@pytest.mark.req("SEC-34", "SEC-40")
@pytest.mark.usefixtures("front_door")
@pytest.mark.parametrize("to", ["DE*EMS", None])
@pytest.mark.parametrize(("owner", "code"), [("TNM", 1000), ("TN2", 4001)])
def test_a_cdr_goes_in_nobody_elses_name_where_its_owner_may_not_send_it(
    two: Person, receiver: Person, listener: Listener, document: Document, to: str | None, owner: str, code: int
) -> None:
    answer = two.post("hub/2.2.1/receiver/cdrs", document("cdr", party_id=owner), to=to, sender="NL*TNM")

    assert answer.codes == (200, code)
    assert len(listener.received("POST")) == (code == 1000)


@pytest.mark.req("SEC-35", "SEC-36", "TRN-048")
@pytest.mark.usefixtures("front_door")
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(
    ("path", "members", "code"),
    [
        ("sessions/NL/TNM/S1", {"country_code": "NL", "party_id": "TNM"}, 1000),
        ("sessions/nl/tnm/S1", {"country_code": "NL", "party_id": "TNM"}, 1000),
        ("sessions/NL/TNM/S1", {}, 1000),
        ("sessions/NL/TNM/S1", {"country_code": None}, 1000),
        ("sessions/NL/TNM/S1", {"party_id": "CPX"}, 2001),
        ("sessions/NL/TNM/S1", {"country_code": "FR"}, 2001),
        ("sessions/NL/TNM/S1", {"cdr_token": {"country_code": "DE", "party_id": "EMS"}}, 1000),
        ("locations/NL/TNM/LOC1", {"party_id": "CPX"}, 2001),
        ("locations/NL/TNM/LOC1/E1", {"party_id": "CPX"}, 1000),  # an EVSE has no owner of its own
    ],
)
def test_a_body_names_no_other_owner_than_its_path(
    cpo: Person, receiver: Person, listener: Listener, method: str, path: str, members: dict[str, Any], code: int
) -> None:
    answer = cpo.request(method, f"hub/2.2.1/receiver/{path}", members, to="DE*EMS", documented=False)

    assert answer.codes == (200, code)
    assert len(listener.received(method)) == (code == 1000)


@pytest.mark.req("SEC-35", "TRN-048")
@pytest.mark.usefixtures("in_lane")
@pytest.mark.parametrize("fill", ["", "x" * 5000])
@pytest.mark.parametrize(("owner", "code"), [(b"TNM", 1000), (b"tnm", 1000), (b"CPX", 2001)])
def test_the_short_way_looks_whom_a_body_names(
    cpo: Person, receiver: Person, listener: Listener, served: Served, owner: bytes, code: int, fill: str
) -> None:
    own = b'{"country_code":"NL","party_id":"TNM","fill":"%s"}' % fill.encode()
    octets = request(cpo, path=f"/ocpi/{SESSION}", body=own)

    answer, _ = after_warming(served, octets, octets.replace(b'"TNM"', b'"%s"' % owner))

    assert answer.codes == (200, code)
    assert len(listener.received("PUT")) == 2 + (code == 1000)


# ---- queries


@pytest.mark.req("HUB-72", "HUB-21")
@pytest.mark.usefixtures("front_door")
@pytest.mark.parametrize("query", ["xresponse_url=1", "my_response_url=a%3Ab&duration=1", "duration=9"])
def test_a_parameter_whose_name_only_ends_so_is_no_response_url(
    emsp: Person, partner: Partner, listener: Listener, query: str
) -> None:
    partner("NL*TNM:CPO", listener=listener)

    answer = emsp.get(f"hub/2.2.1/receiver/chargingprofiles/S1?{query}", to="NL*TNM")

    assert answer.codes == (200, 1000)
    assert listener.received("GET")[0].query == query
