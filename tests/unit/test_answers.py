"""What we make of a platform's answers, the bent ones too."""

import msgspec
import pytest

from ocpi import client
from tests.unit.hostile_server import HostileServer, answer, keep_answering
from tests.unit.platform_calls import loopback_fixture as loopback_fixture
from tests.unit.platform_calls import send


@pytest.mark.req("TRN-037")
@pytest.mark.parametrize(
    ("status", "code", "ok"),
    [
        ("200 OK", 1000, True),
        ("201 Created", 1000, True),
        ("202 Accepted", 1999, True),
        ("200 OK", 2000, False),
        ("200 OK", 3001, False),
        ("200 OK", 4002, False),
        ("200 OK", 999, False),
        ("404 Not Found", 1000, False),
        ("500 Internal Server Error", 1000, False),
        ("302 Found", 1000, False),
    ],
)
def test_success_needs_both_http_and_ocpi(status: str, code: int, ok: bool) -> None:
    with HostileServer(keep_answering(answer(b'{"status_code":%d}' % code, status=status))) as server:
        got = send(server)

    assert got.ok is ok
    assert got.status_code == code
    assert got.http_status == int(status[:3])


@pytest.mark.req("PIT-26", "TRN-034", "TRN-051")
@pytest.mark.parametrize(
    ("body", "code", "data"),
    [
        (b'{"status_code":"1000","data":1}', 1000, b"1"),
        (b'{"status_code":1000}', 1000, None),
        (b'{"status_code":1000,"data":null}', 1000, None),
        (b'{"status_code":1000,"data":"ACCEPTED"}', 1000, b'"ACCEPTED"'),
        (b'{"data":{"kwh":1.10, "x": 1e0},"status_code":1000,"more":[]}', 1000, b'{"kwh":1.10, "x": 1e0}'),
        (b'{"status_code":2987}', 2987, None),
        (b'{"status_code":1000,"status_message":7}', 1000, None),
        (b'{"status_code":true}', None, None),
        (b'{"status_code":null}', None, None),
        (b'{"status_code":[1000]}', None, None),
        (b'{"status_code":-1000}', None, None),
        (b'{"status_code":1e3}', None, None),
        (b'{"status_code":""}', None, None),
        (b'{"status_code":"1000x"}', None, None),
        (b'{"statuscode":1000}', None, None),
    ],
)
def test_a_bent_envelope_is_understood_as_far_as_it_goes(body: bytes, code: int | None, data: bytes | None) -> None:
    with HostileServer(keep_answering(answer(body))) as server:
        got = send(server)

    assert got.status_code == code
    assert got.data_text() == data
    assert got.status_message is None


@pytest.mark.req("REL-28", "TRN-036", "SEC-46")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>502 Bad Gateway</body></html>",
        b'{"status_code":1000,"data":[',
        b"[]",
        b'"1000"',
        b"null",
        b"1000",
        b"\xff\xfe",
        b'{"status_code":1000,"data":"\xff"}',
        b'{"status_code":1000,"status_code":2000}',
        b'{"status_code":1000,"data":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"status_code":1000,"data":"\\ud800"}',
        b'{"status_code":1000}{"status_code":1000}',
    ],
)
@pytest.mark.parametrize("status", ["200 OK", "503 Service Unavailable"])
def test_an_answer_that_is_no_envelope_is_a_failure_and_no_accident(body: bytes, status: str) -> None:
    with HostileServer(keep_answering(answer(body, "Content-Type: text/html", status=status))) as server:
        got = send(server)

    assert got.http_status == int(status[:3])
    assert (got.ok, got.status_code, got.status_message, got.data_text()) == (False, None, None, None)
    assert len(got.excerpt) <= 2048
    with pytest.raises(client.Garbage):
        got.data(list[msgspec.Raw])


@pytest.mark.req("REL-28")
def test_data_of_another_type_is_garbage_with_the_request_it_answers() -> None:
    with HostileServer(keep_answering(answer(b'{"status_code":1000,"data":{"a":"b"}}'))) as server:
        got = send(server)

    assert got.data() == {"a": "b"}
    assert got.data(dict[str, str]) == {"a": "b"}
    with pytest.raises(client.Garbage) as caught:
        got.data(list[str])
    assert caught.value.sent is got.sent
    assert "status_code" in caught.value.excerpt
