"""The edges of what we take in: sizes of bodies, their encoding, values of queries, bytes of paths, ids of messages."""

from __future__ import annotations

import gzip
import json
import logging
import zlib
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from ocpi.views import MAX_BODY, MAX_LOCATION_BODY
from tests.fixtures import Document
from tests.people import Person

TARIFFS, LOCATIONS = "emsp/2.2.1/tariffs/NL/TNM", "emsp/2.2.1/locations/NL/TNM"


def padded(told: Any, size: int) -> bytes:
    """Return an object as JSON of exactly so many bytes."""
    text = json.dumps(told).encode()
    return text + b" " * (size - len(text))


@pytest.mark.req("SEC-45")
@pytest.mark.parametrize(("over", "codes"), [(0, (201, 1000)), (1, (400, 2000))])
def test_a_body_is_a_mebibyte_and_a_location_four(
    emsp_side: None, cpo: Person, document: Document, over: int, codes: tuple[int, int]
) -> None:
    tariff, location = document("tariff"), document("location")
    assert cpo.put(f"{TARIFFS}/{tariff['id']}", padded(tariff, MAX_BODY + over)).codes == codes
    assert cpo.put(f"{LOCATIONS}/{location['id']}", padded(location, MAX_LOCATION_BODY + over)).codes == codes
    assert (MAX_BODY, MAX_LOCATION_BODY) == (1 << 20, 4 << 20)


@pytest.mark.req("SEC-45")
@pytest.mark.parametrize(("over", "codes"), [(0, (201, 1000)), (1, (400, 2000))])
def test_the_same_at_a_hub(hub_side: None, cpo: Person, document: Document, over: int, codes: tuple[int, int]) -> None:
    tariff, location = document("tariff"), document("location")
    base = "hub/2.2.1/receiver"
    assert cpo.put(f"{base}/tariffs/NL/TNM/{tariff['id']}", padded(tariff, MAX_BODY + over)).codes == codes
    pushed = cpo.put(f"{base}/locations/NL/TNM/{location['id']}", padded(location, MAX_LOCATION_BODY + over))
    assert pushed.codes == codes


@pytest.mark.req("SEC-45")
@pytest.mark.parametrize("place", ["emsp_side", "hub_side"])
@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "br", "identity, gzip", "x"])
def test_an_encoded_body_is_415(
    request: pytest.FixtureRequest, place: str, cpo: Person, document: Document, encoding: str
) -> None:
    request.getfixturevalue(place)
    told = document("tariff")
    where = f"{'emsp/2.2.1' if place == 'emsp_side' else 'hub/2.2.1/receiver'}/tariffs/NL/TNM/{told['id']}"
    plain = json.dumps(told).encode()
    for body in (plain, gzip.compress(plain), zlib.compress(plain)):
        assert cpo.put(where, body, headers={"Content-Encoding": encoding}).codes == (415, 2000)
    assert cpo.put(where, plain, headers={"Content-Encoding": "identity"}).codes == (201, 1000)


@pytest.mark.req("SEC-47", "TRN-079")
@pytest.mark.parametrize(
    ("query", "accepted"),
    [
        ({"offset": "10000000"}, True),
        ({"offset": "10000001"}, False),
        ({"offset": "-1"}, False),
        ({"offset": "+1"}, False),
        ({"offset": "٣"}, False),
        ({"offset": "1_0"}, False),
        ({"limit": "1"}, True),
        ({"limit": "0"}, False),
        ({"limit": "-5"}, False),
        ({"limit": "1.0"}, False),
        ({"limit": "0x10"}, False),
        ({"limit": "1" * 18}, True),  # capped
        ({"limit": "1" * 19}, False),
        ({"date_from": "1970-01-01T00:00:00Z"}, True),  # what many send for "everything"
        ({"date_from": "1969-12-31T23:59:59Z"}, False),
        ({"date_to": "2100-12-31T23:59:59Z"}, True),
        ({"date_to": "2101-01-01T00:00:00Z"}, False),
        ({"date_from": "2026-13-01T00:00:00Z"}, False),
        ({"nobody": "knows", "OFFSET": "x", "limit[]": "-1"}, True),
    ],
    ids=str,
)
def test_values_of_queries(cpo_side: None, emsp: Person, query: dict[str, str], accepted: bool) -> None:
    answer = emsp.get("cpo/2.2.1/tariffs", query=query)
    assert answer.codes == ((200, 1000) if accepted else (200, 2001))
    if accepted:
        assert int(answer.headers["X-Limit"]) == min(int(query.get("limit", 100)), 100)
    else:
        assert next(iter(query)) in answer.message


@pytest.mark.req("SEC-47", "SEC-48")
@pytest.mark.parametrize("given", ["%00", "A%00", "%0a", "A" * 21, "A" * 3000])
def test_a_type_that_nobody_could_keep(hub_side: None, emsp: Person, document: Document, given: str) -> None:
    told = document("token_rfid")
    where = f"hub/2.2.1/receiver/tokens/DE/EMS/{told['uid']}"
    emsp.put(where, told)
    change = {"valid": False, "last_updated": "2030-01-01T00:00:00Z"}
    for query in (f"?type={given}", f"?type=RFID&type={given}"):
        for refused in (emsp.patch(where + query, change), emsp.put(where + query, told)):
            assert refused.codes == (200, 2001)
            assert refused.message == "type: must be a word of at most 20 characters"
    assert emsp.put(where, told | {"type": "A" * 21}).codes == (200, 2001)


# Where exact numbers stop, which is further than doubles do, and the last that all can read.
@pytest.mark.req("SEC-46", "SEC-48")
@pytest.mark.parametrize(
    ("number", "accepted"),
    [("1e-9999999999999999999", False), ("1e-999999", False), ("1e-309", False), ("1e-308", True), ("1e308", True)],
)
@pytest.mark.parametrize(
    ("place", "path", "name", "member"),
    [
        ("emsp_side", "emsp/2.2.1/sessions/NL/TNM/{id}", "session", "kwh"),
        ("emsp_side", "emsp/2.2.1/cdrs", "cdr", "total_energy"),
        ("emsp_side", "emsp/2.2.1/cdrs", "cdr", "x_unknown"),
        ("emsp_side", "emsp/2.2.1/tariffs/NL/TNM/{id}", "tariff", "min_price"),
        ("hub_side", "hub/2.2.1/receiver/tariffs/NL/TNM/{id}", "tariff", "min_price"),
    ],
)
def test_the_smallest_and_the_largest_number(
    request: pytest.FixtureRequest, cpo: Person, document: Document, caplog: pytest.LogCaptureFixture,
    place: str, path: str, name: str, member: str, number: str, accepted: bool,
) -> None:  # fmt: skip
    request.getfixturevalue(place)
    told = document(name, max_price=None)
    told[member] = {"excl_vat": 4711.25} if member == "min_price" else 4711.25
    body = json.dumps(told).replace("4711.25", number).encode()
    answer = cpo.request("POST" if name == "cdr" else "PUT", path.format(id=told["id"]), body)
    assert answer.codes == ((201, 1000) if accepted else (400, 2000))
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.req("SEC-47")
@pytest.mark.parametrize("place", ["emsp_side", "hub_side"])
@pytest.mark.parametrize("part", ["%00", "a%00b", "%ff", "%c3%28", "%ed%a0%80", "%0a", "%7f", "%c2%85"])
def test_paths_that_are_no_text(
    request: pytest.FixtureRequest, place: str, cpo: Person, document: Document, part: str
) -> None:
    request.getfixturevalue(place)
    base = "/ocpi/emsp/2.2.1" if place == "emsp_side" else "/ocpi/hub/2.2.1/receiver"
    for path in (f"{base}/tariffs/NL/TNM/{part}", f"{base}/tariffs/N{part}/TNM/1", f"{base}/{part}", f"/ocpi/{part}"):
        for method, body in (("GET", None), ("PUT", document("tariff")), ("DELETE", None)):
            assert cpo.request(method, path, body, documented=False).http_status == 404, path


@pytest.mark.req("SEC-49", "TRN-060")
@pytest.mark.parametrize("place", ["emsp_side", "hub_side"])
@pytest.mark.parametrize(
    ("sent", "back"),
    [
        ("x" * 64, "x" * 64),
        ("".join(map(chr, range(0x21, 0x7F)))[:64], "".join(map(chr, range(0x21, 0x7F)))[:64]),
        ("".join(map(chr, range(0x21, 0x7F)))[64:], "".join(map(chr, range(0x21, 0x7F)))[64:]),
        ("y" * 255, "y" * 255),  # requirements of the protocol allow more than the 64 that are safe everywhere
        ("y" * 256, "y" * 255),
        ("a\x1b[31mb\x07", "a[31mb"),
        ("\x01\x02", None),
        ("é", None),
    ],
)
def test_ids_come_back_if_they_are_printable(
    request: pytest.FixtureRequest,
    place: str,
    cpo: Person,
    caplog: pytest.LogCaptureFixture,
    sent: str,
    back: str | None,
) -> None:
    request.getfixturevalue(place)
    with caplog.at_level(logging.DEBUG):
        for path in ("/ocpi/versions", "/ocpi/nothing", "/ocpi/emsp/2.2.1/tariffs/NL/TNM/1"):
            headers = {"Authorization": cpo.authorization, "X-Request-ID": sent, "X-Correlation-ID": sent}
            answer = Client().get(path, headers=headers, RAW_URI=path)
            for name in ("X-Request-ID", "X-Correlation-ID"):
                assert answer.headers[name] == back if back else len(answer.headers[name]) == 36
    assert sent not in caplog.text, "an id is no text for our logs"
    assert quote(sent) == sent or quote(sent) not in caplog.text
