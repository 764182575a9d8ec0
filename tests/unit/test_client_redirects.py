"""Redirects: for GET, on the same host, twice at most."""

import pytest

from tests.unit.hostile_server import HostileServer, Peer, Script, answer
from tests.unit.platform_calls import header, send, target
from tests.unit.platform_calls import loopback_fixture as loopback_fixture


def redirect(*locations: str, status: str = "302 Found") -> Script:
    """Return a script that sends a GET from location to location, and then answers."""
    left = list(locations)

    def script(peer: Peer) -> None:
        while peer.request():
            if left:
                peer.send(answer(b"", f"Location: {left.pop(0)}", status=status))
            else:
                peer.send(answer())

    return script


@pytest.mark.req("TRN-023", "SEC-26", "TRN-062")
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_get_follows_a_redirect_on_its_host_with_a_new_request_id(status: str) -> None:
    with HostileServer(redirect("/y?a=b", status=status)) as server:
        got = send(server, headers={"X-Request-ID": "request-1", "X-Correlation-ID": "correlation-1"})

    assert got.ok
    assert got.sent.url.endswith("/y?a=b")
    assert server.requests[1].startswith(b"GET /y?a=b HTTP/1.1\r\n")
    assert header(server.requests[1], "X-Request-ID") not in (None, "request-1")
    assert header(server.requests[1], "X-Correlation-ID") == "correlation-1"


@pytest.mark.req("SEC-26")
@pytest.mark.parametrize(
    "status", ["200 OK", "201 Created", "300 Multiple Choices", "304 Not Modified", "404 Not Found"]
)
def test_a_location_in_any_other_answer_is_not_followed(status: str) -> None:
    with HostileServer(redirect("/y", status=status)) as server:
        assert send(server).http_status == int(status[:3])

    assert len(server.requests) == 1


@pytest.mark.req("SEC-26")
def test_a_third_redirect_is_not_followed() -> None:
    with HostileServer(redirect("/1", "/2")) as server:
        assert send(server).ok
    with HostileServer(redirect("/1", "/2", "/3")) as server:
        got = send(server)

    assert got.http_status == 302
    assert not got.ok
    assert len(server.requests) == 3


@pytest.mark.req("TRN-023", "SEC-26")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_no_other_method_follows_a_redirect(method: str) -> None:
    with HostileServer(redirect("/y", status="307 Temporary Redirect")) as server:
        got = send(server, method)

    assert got.http_status == 307
    assert not got.ok
    assert len(server.requests) == 1


@pytest.mark.req("TRN-023", "SEC-26", "TRN-013", "SEC-22")
@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2:{port}/y",
        "http://localhost:{port}/y",
        "//localhost:{port}/y",
        "http://user@127.0.0.1:{port}/y",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "http://[::1",
        "http://127.0.0.1:{port}\\@localhost/",
        "",
    ],
)
def test_a_redirect_elsewhere_is_not_followed(location: str) -> None:
    with HostileServer(lambda peer: None) as elsewhere:

        def script(peer: Peer) -> None:
            while peer.request():
                peer.send(answer(b"", f"Location: {location.format(port=elsewhere.port)}", status="302 Found"))

        with HostileServer(script) as server:
            got = send(server, to=target("127.0.0.1", "localhost", "127.0.0.2"))

        assert elsewhere.connections == 0
    assert got.http_status == 302
    assert not got.ok
    assert len(server.requests) == 1
