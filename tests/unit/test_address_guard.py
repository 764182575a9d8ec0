"""Which URLs and addresses we call, and which we do not."""

import ipaddress
import os
import socket
import threading
import time
from typing import Any

import pytest

from ocpi import address_guard
from ocpi.address_guard import AddressDenied, Url

LOOPBACK = ["127.0.0.0/8", "::1/128"]


def addresses(*texts: str) -> list[Any]:
    """Return what getaddrinfo says for the addresses."""
    return [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (text, 443, 0, 0))
        if ":" in text
        else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, 443))
        for text in texts
    ]


@pytest.mark.req("SEC-25")
@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://ocpi.example.org/ocpi/versions", Url("https", "ocpi.example.org", 443, "/ocpi/versions")),
        ("HTTPS://OCPI.Example.ORG/A", Url("https", "ocpi.example.org", 443, "/A")),
        ("https://ocpi.example.org", Url("https", "ocpi.example.org", 443, "/")),
        ("https://ocpi.example.org?a=b", Url("https", "ocpi.example.org", 443, "/?a=b")),
        ("https://ocpi.example.org:8443/x?y=1&z=%20", Url("https", "ocpi.example.org", 8443, "/x?y=1&z=%20")),
        ("https://ocpi.example.org:1024/", Url("https", "ocpi.example.org", 1024, "/")),
        ("https://ocpi.example.org:65535/", Url("https", "ocpi.example.org", 65535, "/")),
        ("https://a_b.example.org/x", Url("https", "a_b.example.org", 443, "/x")),
        ("https://xn--bcher-kva.example/", Url("https", "xn--bcher-kva.example", 443, "/")),
        ("https://3com.example/", Url("https", "3com.example", 443, "/")),
        ("https://8.8.8.8/", Url("https", "8.8.8.8", 443, "/")),
        ("https://[2606:4700::1111]:8443/x", Url("https", "2606:4700::1111", 8443, "/x")),
        ("https://h.example/a/b@c:d;e,f!g'h(i)*~j", Url("https", "h.example", 443, "/a/b@c:d;e,f!g'h(i)*~j")),
        ("https://h.example/x?u=https://10.0.0.1/", Url("https", "h.example", 443, "/x?u=https://10.0.0.1/")),
        ("https://" + "a." * 126 + "b/", Url("https", "a." * 126 + "b", 443, "/")),
        ("https://h.example/" + "a" * 2030, Url("https", "h.example", 443, "/" + "a" * 2030)),
    ],
)
def test_a_url_in_order_is_taken_apart(url: str, expected: Url) -> None:
    assert address_guard.check_url(url, allowed_networks=[], tls_required=True) == expected


@pytest.mark.req("SEC-25", "SEC-23")
@pytest.mark.parametrize(
    "url",
    [
        "",
        "/",
        "ocpi.example.org",
        "//ocpi.example.org/x",
        "http://ocpi.example.org/x",
        "http://ocpi.example.org:8443/x",
        "ftp://ocpi.example.org/x",
        "file:///etc/passwd",
        "gopher://ocpi.example.org:6379/x",
        "https:ocpi.example.org",
        "https:/ocpi.example.org",
        "https:///x",
        "https://",
        "https://:443/",
        "https://user@ocpi.example.org/",
        "https://user:secret@ocpi.example.org/",
        "https://ocpi.example.org@10.0.0.1/",
        "https://@ocpi.example.org/",
        "https://ocpi.example.org\\@10.0.0.1/",
        "https://ocpi.example.org\\x",
        "https://ocpi.example.org/a\\b",
        "https:\\\\ocpi.example.org\\",
        "https://ocpi.example.org/a b",
        " https://ocpi.example.org/",
        "https://ocpi.example.org/\n",
        "https://ocpi.example.org/\r\nHost: x",
        "https://ocpi.example.org/\tx",
        "https://ocpi.example.org/\x00",
        "https://ocpi.example.org/\x7f",
        "https://ocpi.example.org\n.evil.example/",
        "https://ocpi.example.org/é",
        "https://bücher.example/",
        "https://ocpi。example。org/",
        "https://①②⑦.0.0.1/",
        "https://ocpi.example.org/#fragment",
        "https://ocpi.example.org#@10.0.0.1/",
        'https://ocpi.example.org/"x"',
        "https://ocpi.example.org/<x>",
        "https://ocpi.example.org:80/",
        "https://ocpi.example.org:22/",
        "https://ocpi.example.org:0/",
        "https://ocpi.example.org:1023/",
        "https://ocpi.example.org:65536/",
        "https://ocpi.example.org:999999/",
        "https://ocpi.example.org:/",
        "https://ocpi.example.org:+443/",
        "https://ocpi.example.org:443:443/",
        "https://ocpi.example.org:٤٤٣/",
        "https://ocpi..example.org/",
        "https://.example.org/",
        "https://example.org./",
        "https://-a.example.org/",
        "https://a-.example.org/",
        "https://a%2eb.example/",
        "https://" + "a" * 64 + ".example/",
        "https://" + "a." * 127 + "bc/",
        "https://h.example/" + "a" * 2031,
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://017700000001/",
        "https://0177.0.0.1/",
        "https://127.0.0.01/",
        "https://1.2.3.256/",
        "https://1.2.3/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[::]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[0:0:0:0:0:0:0:1]/",
        "https://[64:ff9b::10.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://[127.0.0.1]/",
        "https://[::1/",
        "https://::1/",
        "https://[1::2::3]/",
        "https://[]/",
    ],
)
def test_a_url_out_of_order_is_refused(url: str) -> None:
    with pytest.raises(AddressDenied):
        address_guard.check_url(url, allowed_networks=[], tls_required=False)


@pytest.mark.req("SEC-23")
@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.1", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1"),
        *("127.255.255.255", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.9", "192.0.0.10"),
        *("192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1"),
        *("224.0.0.1", "224.0.1.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::7f00:1", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1"),
        *("2001::1", "2001:1::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::1", "2002:808:808::1", "3fff::1"),
        *("5f00::1", "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1", "ff02::1", "ff0e::1"),
    ],
)
def test_an_address_that_is_not_public_is_denied(address: str) -> None:
    with pytest.raises(AddressDenied):
        address_guard.check_address(ipaddress.ip_address(address), allowed_networks=[])


@pytest.mark.req("SEC-23")
@pytest.mark.parametrize(
    "network",
    [
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/23", "2002::/16", "fc00::/7"),
        *("fe80::/10", "fec0::/10", "ff00::/8", "100::/64", "5f00::/16", "3fff::/20", "2001:db8::/32"),
    ],
)
def test_each_net_is_denied_by_our_own_list_whatever_python_thinks_of_it(network: str) -> None:
    wanted = ipaddress.ip_network(network)

    assert wanted in address_guard.DENIED
    for address in (wanted[0], wanted[-1]):
        with pytest.raises(AddressDenied):
            address_guard.check_address(address, allowed_networks=[])


@pytest.mark.req("SEC-23")
@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "::1", "fd12::1", "224.0.1.1", "ff0e::1"])
def test_what_is_not_global_or_is_multicast_is_denied_beside_the_list(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(address_guard, "DENIED", ())

    with pytest.raises(AddressDenied):
        address_guard.check_address(ipaddress.ip_address(address), allowed_networks=[])


@pytest.mark.req("SEC-23")
@pytest.mark.parametrize(
    "address", ["1.1.1.1", "9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.1", "223.255.255.255",
                "2606:4700::1111", "2a00:1450::1", "2001:4860::8888", "2400::1"]
)  # fmt: skip
def test_a_public_address_is_called(address: str) -> None:
    address_guard.check_address(ipaddress.ip_address(address), allowed_networks=[])


@pytest.mark.req("SEC-24")
def test_an_allowed_network_opens_itself_and_nothing_else() -> None:
    allowed = ["127.0.0.0/8"]

    address_guard.check_address(ipaddress.ip_address("127.0.0.1"), allowed_networks=allowed)
    for address in ("10.0.0.1", "::1", "::ffff:127.0.0.1"):
        with pytest.raises(AddressDenied):
            address_guard.check_address(ipaddress.ip_address(address), allowed_networks=allowed)


@pytest.mark.req("SEC-25")
def test_http_is_for_allowed_networks_only(monkeypatch: pytest.MonkeyPatch) -> None:
    url = address_guard.check_url("http://h.example:9000/", allowed_networks=LOOPBACK, tls_required=False)

    assert url == Url("http", "h.example", 9000, "/")
    with pytest.raises(AddressDenied):
        address_guard.check_url("http://h.example:9000/", allowed_networks=LOOPBACK, tls_required=True)
    with pytest.raises(AddressDenied):
        address_guard.check_url("http://h.example:9000/", allowed_networks=[], tls_required=False)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses("8.8.8.8"))
    with pytest.raises(AddressDenied):
        address_guard.resolve("h.example", 9000, allowed_networks=LOOPBACK, only_allowed=True)
    assert address_guard.resolve("h.example", 9000, allowed_networks=LOOPBACK)


@pytest.mark.req("SEC-22")
def test_one_denied_address_among_public_ones_refuses_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses("8.8.8.8", "2606:4700::1111"))
    assert [address[0] for _, address in address_guard.resolve("h.example", 443, allowed_networks=[])] == [
        "8.8.8.8",
        "2606:4700::1111",
    ]

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses("8.8.8.8", "10.0.0.1"))
    with pytest.raises(AddressDenied):
        address_guard.resolve("h.example", 443, allowed_networks=[])


@pytest.mark.req("SEC-22")
def test_a_link_local_address_with_a_scope_is_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses("fe80::1%eth0"))

    with pytest.raises(AddressDenied):
        address_guard.resolve("h.example", 443, allowed_networks=[])


@pytest.mark.req("SEC-22")
def test_a_slow_name_server_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(5) and [])
    started = time.monotonic()

    with pytest.raises(address_guard.Unresolved):
        address_guard.resolve("h.example", 443, allowed_networks=[], timeout=0.1)

    assert time.monotonic() - started < 1.1
    over.set()


@pytest.mark.req("SEC-22", "REL-20")
def test_a_name_that_hangs_keeps_nobody_from_looking_up_another(monkeypatch: pytest.MonkeyPatch) -> None:
    over, asked = threading.Event(), []

    def look_up(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        return over.wait(30) and [] if host == "hangs.example" else addresses("8.8.8.8")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    try:
        for _ in range(40):
            with pytest.raises(address_guard.Unresolved):
                address_guard.resolve("hangs.example", 443, allowed_networks=[], timeout=0.001)

        assert address_guard.resolve("h.example", 443, allowed_networks=[], timeout=5)
    finally:
        over.set()
    assert asked == ["hangs.example", "h.example"]


@pytest.mark.req("SEC-22")
def test_a_name_is_asked_for_anew_once_its_answer_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(
        [addresses("8.8.8.8"), socket.gaierror(-2, "not known"), addresses("10.0.0.1"), addresses("1.1.1.1")]
    )

    def look_up(*_: Any, **__: Any) -> Any:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    assert address_guard.resolve("h.example", 443, allowed_networks=[])
    for problem in (address_guard.Unresolved, AddressDenied):
        with pytest.raises(problem):
            address_guard.resolve("h.example", 443, allowed_networks=[])
    assert address_guard.resolve("h.example", 443, allowed_networks=[])


@pytest.mark.req("SEC-22")
def test_a_forked_process_waits_for_no_lookup_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(30) and [])
    with pytest.raises(address_guard.Unresolved):
        address_guard.resolve("h.example", 443, allowed_networks=[], timeout=0.01)

    child = os.fork()
    if child == 0:
        socket.getaddrinfo = lambda *_, **__: addresses("8.8.8.8")
        try:
            os._exit(0 if address_guard.resolve("h.example", 443, allowed_networks=[], timeout=5) else 1)
        finally:
            os._exit(2)
    over.set()

    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.req("SEC-22")
@pytest.mark.parametrize("problem", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_a_name_without_address_is_told_apart_from_a_denied_one(
    monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    with pytest.raises(address_guard.Unresolved):
        address_guard.resolve("h.example", 443, allowed_networks=[])


def test_the_authority_leaves_out_the_usual_port() -> None:
    assert Url("https", "h.example", 443, "/").authority == "h.example"
    assert Url("https", "h.example", 8443, "/").authority == "h.example:8443"
    assert Url("http", "::1", 9000, "/").authority == "[::1]:9000"
