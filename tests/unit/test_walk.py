"""Lists page by page, and URLs put together."""

import inspect
import json
from typing import Any

import msgspec
import pytest

from ocpi import client, pull
from tests.unit.hostile_server import OK_BODY, HostileServer, Peer, Script, answer, keep_answering
from tests.unit.platform_calls import header, send, target
from tests.unit.platform_calls import loopback_fixture as loopback_fixture


def page(ids: list[int], *headers: str) -> bytes:
    return answer(json.dumps({"status_code": 1000, "data": [{"id": n} for n in ids]}).encode(), *headers)


def pages(answers: dict[str, bytes]) -> Script:
    """Return a script that answers each path with its page."""

    def script(peer: Peer) -> None:
        while request := peer.request():
            peer.send(answers[request.split()[1].decode()])

    return script


def walk(server: HostileServer, **options: Any) -> list[int]:
    found: list[int] = []
    for _, objects in client.walk(target(), server.url + "/x", timeout=0.4, **options):
        found += [msgspec.json.decode(text)["id"] for text in objects]
    return found


@pytest.mark.req("TRN-077", "TRN-062", "QRK-07")
@pytest.mark.parametrize(
    "link",
    [
        '<{url}/x?offset=2&limit=2>; rel="next"',
        "<{url}/x?offset=2&limit=2>; rel=next",
        '<{url}/x?offset=2&limit=2>;title="a";rel="last next"',
        '<{url}/x?offset=0>; rel="prev", <{url}/x?offset=2&limit=2>; REL="NEXT"',
        "</x?offset=2&limit=2>; rel=next",
    ],
)
def test_a_walk_follows_the_links_as_given(link: str) -> None:
    answers = {"/x?offset=2&limit=2": page([3, 4], "Link:"), "/x": b""}
    with HostileServer(pages(answers)) as server:
        answers["/x"] = page([1, 2], "Link: " + link.format(url=server.url))
        found = walk(server, headers={"X-Request-ID": "request-1"})

    assert found == [1, 2, 3, 4]
    assert header(server.requests[0], "X-Request-ID") == "request-1"
    assert header(server.requests[1], "X-Request-ID") not in (None, "request-1")
    assert header(server.requests[0], "X-Correlation-ID") == header(server.requests[1], "X-Correlation-ID")


@pytest.mark.req("QRK-07")
def test_a_walk_goes_on_by_offset_if_a_full_page_has_no_link() -> None:
    counts = ("X-Limit: 2", "X-Total-Count: 3")
    answers = {"/x": page([1, 2], *counts), "/x?offset=2": page([3], *counts)}
    with HostileServer(pages(answers)) as server:
        assert walk(server) == [1, 2, 3]


@pytest.mark.req("TRN-071")
@pytest.mark.parametrize(
    "headers",
    [
        ["X-Limit: 2", "X-Total-Count: 2"],
        ["X-Limit: 50", "X-Total-Count: 3"],
        ["X-Total-Count: 3"],
        ["X-Limit: 2", f"X-Total-Count: {'9' * 5000}"],
        ["X-Limit: two", "X-Total-Count: many"],
        ['Link: <http://127.0.0.1/x>; rel="prev"'],
        ['Link: <http://127.0.0.1/x>; title="next"'],
    ],
)
def test_a_page_without_a_next_link_is_the_last(headers: list[str]) -> None:
    with HostileServer(pages({"/x": page([1, 2], *headers)})) as server:
        assert walk(server) == [1, 2]


@pytest.mark.req("TRN-078", "SEC-30", "QRK-07")
def test_a_walk_stops_at_a_link_it_has_seen() -> None:
    with HostileServer(pages({"/x": page([1], "Link: </x>; rel=next")})) as server:
        with pytest.raises(client.WalkStopped, match="before"):
            walk(server, max_pages=5)

        assert len(server.requests) == 1


@pytest.mark.req("TRN-078", "SEC-30")
def test_a_walk_stops_after_so_many_pages_and_so_much_time() -> None:
    def endless(peer: Peer) -> None:
        while peer.request():
            peer.send(page([1], f"Link: </x?offset={len(peer.server.requests)}>; rel=next"))

    with HostileServer(endless) as server:
        with pytest.raises(client.WalkStopped):
            walk(server, max_pages=3)
        assert len(server.requests) == 3
        with pytest.raises((client.WalkStopped, client.NoAnswer)):
            walk(server, total=0.2)


@pytest.mark.req("SEC-28", "SEC-29", "SEC-30")
def test_the_limits_of_a_pull() -> None:
    walking = inspect.signature(client.walk).parameters

    assert (walking["max_pages"].default, walking["total"].default, walking["timeout"].default) == (10_000, 1800, 60)
    assert (pull.MOST_PAGES, pull.MOST_SECONDS, pull.PAGE_SECONDS) == (10_000, 1800, 60)
    assert client.PAGE_BYTES == 16 << 20


@pytest.mark.req("SEC-29")
@pytest.mark.parametrize(("octets", "taken"), [((16 << 20) - 100, True), (16 << 20, False)])
def test_a_page_has_sixteen_mebibytes_at_most(octets: int, taken: bool) -> None:
    body = b'{"status_code":1000,"data":[%s]}' % b",".join([b'{"x":"%s"}' % (b"x" * 60_000)] * (octets // 60_009))
    body += b" " * (octets - len(body) + (0 if taken else 1))
    with HostileServer(keep_answering(answer(body))) as server:
        if taken:
            assert client.page(target(), f"{server.url}/x", timeout=20)[0].ok
        else:
            with pytest.raises(client.Garbage):
                client.page(target(), f"{server.url}/x", timeout=20)


@pytest.mark.req("TRN-013", "TRN-078", "SEC-21", "SEC-30")
@pytest.mark.parametrize(
    "link", ["http://localhost:{port}/x", "//localhost:{port}/x", "http://10.0.0.1/x", "file:///x", "http://[::1"]
)
def test_a_walk_stops_at_a_link_to_another_host_even_an_approved_one(link: str) -> None:
    with HostileServer(lambda peer: None) as elsewhere:
        foreign = link.format(port=elsewhere.port)
        with HostileServer(pages({"/x": page([1], f"Link: <{foreign}>; rel=next")})) as server:
            walking = client.walk(target("127.0.0.1", "localhost"), server.url + "/x", timeout=0.4)
            assert len(next(walking)[1]) == 1
            with pytest.raises(client.ForeignHost):
                next(walking)

        assert elsewhere.connections == 0


@pytest.mark.req("REL-28", "TRN-037")
@pytest.mark.parametrize(
    "answered", [answer(b'{"status_code":2001}'), answer(b"<html>"), answer(OK_BODY, status="500 Oops")]
)
def test_a_page_that_fails_ends_the_walk_with_its_answer(answered: bytes) -> None:
    with HostileServer(pages({"/x": answered})) as server, pytest.raises(client.Refused) as caught:
        walk(server)

    assert not caught.value.answer.ok


@pytest.mark.req("QRK-06", "REL-28")
def test_a_page_may_hold_one_object_or_nothing_but_no_text() -> None:
    for data, found in ((b',"data":{"id":7}', [7]), (b',"data":null', []), (b"", []), (b',"data":[]', [])):
        with HostileServer(pages({"/x": answer(b'{"status_code":1000%s}' % data)})) as server:
            assert walk(server) == found
    text = answer(b'{"status_code":1000,"data":"text"}')
    with HostileServer(pages({"/x": text})) as server, pytest.raises(client.Garbage):
        walk(server)


@pytest.mark.req("SEC-29")
def test_a_page_may_be_larger_than_an_answer_to_a_push() -> None:
    body = b'{"status_code":1000,"data":[%s]}' % b",".join(b'{"id":1,"x":"%s"}' % (b"x" * 60_000) for _ in range(40))
    with HostileServer(keep_answering(answer(body))) as server:
        with pytest.raises(client.Garbage):
            send(server, timeout=2)
        found = sum(len(objects) for _, objects in client.walk(target(), server.url + "/x", timeout=2))

    assert found == 40


@pytest.mark.req("TRN-125", "TRN-024")
@pytest.mark.parametrize(
    ("url", "segments", "expected"),
    [
        ("https://h/ocpi/x", ("NL", "TNM", "LOC1"), "https://h/ocpi/x/NL/TNM/LOC1"),
        ("https://h/ocpi/x/", ("NL",), "https://h/ocpi/x/NL"),
        ("https://h/ocpi/x//", ("NL",), "https://h/ocpi/x/NL"),
        ("https://h/x?tenant=1", ("NL", "a"), "https://h/x/NL/a?tenant=1"),
        ("https://h/x/?tenant=1", ("NL",), "https://h/x/NL?tenant=1"),
        ("https://h/x", ("#NA",), "https://h/x/%23NA"),
        ("https://h/x", ("a/b?c=d&e f%é",), "https://h/x/a%2Fb%3Fc%3Dd%26e%20f%25%C3%A9"),
        ("https://h/x", ("..", "."), "https://h/x/%2E%2E/%2E"),
        ("https://h/x", ("a..b",), "https://h/x/a..b"),
        ("https://h/x", (), "https://h/x"),
        ("https://h/x/", (), "https://h/x/"),
    ],
)
def test_sub_paths_are_joined_with_one_slash_and_encoded(url: str, segments: tuple[str, ...], expected: str) -> None:
    assert client.join(url, *segments) == expected


@pytest.mark.req("TRN-024")
def test_a_query_is_encoded_and_put_behind_the_one_that_is_there() -> None:
    query = {"date_from": "2026-01-01T00:00:00Z", "type": "A&B C"}

    assert (
        client.join("https://h/x", "y", query=query)
        == "https://h/x/y?date_from=2026-01-01T00%3A00%3A00Z&type=A%26B%20C"
    )
    assert client.join("https://h/x?t=1", query=query).startswith("https://h/x?t=1&date_from=")
    with pytest.raises(ValueError, match="empty"):
        client.join("https://h/x", "NL", "")


@pytest.mark.req("SEC-46")
@pytest.mark.parametrize(("count", "taken"), [(10_000, True), (10_001, False)])
def test_a_page_has_at_most_ten_thousand_objects(count: int, taken: bool) -> None:
    with HostileServer(keep_answering(page(list(range(count))))) as server:
        if taken:
            assert len(walk(server, max_pages=1)) == count
        else:
            with pytest.raises(client.Garbage, match="more than 10000 objects"):
                walk(server)
