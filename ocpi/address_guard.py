"""Where we may connect to: the form of a URL, and the addresses behind its name.

Checked on the address that the socket is opened to, so a name cannot point somewhere else a moment later.
"""

import ipaddress
import os
import re
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import lru_cache
from typing import NamedTuple

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
SocketAddress = tuple[int, tuple[str, int] | tuple[str, int, int, int]]  # family, what `connect` takes

_LONGEST_URL = 2048
_LONGEST_HOST = 253
_HTTPS_PORT = 443
_FIRST_USER_PORT = 1024
_LAST_PORT = 65535
# Printable ASCII only. In the path and query no backslash, quote, angle bracket or fragment: none of them is legal
# there, and readers disagree about what they mean. User info does not fit into the host.
_URL = re.compile(
    r"(?P<scheme>[A-Za-z]+)://"
    r"(?:(?P<name>[A-Za-z0-9._-]+)|\[(?P<ip6>[0-9A-Fa-f.]{0,4}:[0-9A-Fa-f:.]{1,44})\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>(?:[/?][!$-;=?-\[\]-~]*)?)"
)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

# Python's `is_global` calls several of these global, so the list is ours.
DENIED: tuple[IpNetwork, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32"),
        *("2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
    )
)
_MOST_LOOKUPS = 32  # threads that hanging name servers may hold
Question = tuple[str, int]  # host and port
Answer = Future[list[SocketAddress]]
_lookups = threading.BoundedSemaphore(_MOST_LOOKUPS)
_under_way: dict[Question, Answer] = {}
_asking = threading.Lock()


class AddressDenied(Exception):
    """We do not connect there."""


class Unresolved(Exception):
    """The name has no address, or none was found in time."""


class Url(NamedTuple):
    """A URL whose form is in order."""

    scheme: str
    host: str  # lower case, without brackets
    port: int
    path_and_query: str

    @property
    def authority(self) -> str:
        """Return host and port as the Host header shows them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (_HTTPS_PORT if self.scheme == "https" else 80) else f"{host}:{self.port}"


def check_url(url: str, *, allowed_networks: Sequence[str], tls_required: bool) -> Url:
    """Return the parts of a URL that we may call.

    :raises AddressDenied: if its form is not in order, or its host is a denied address.
    """
    parts = split(url)
    if parts.scheme == "http" and (tls_required or not allowed_networks):
        raise AddressDenied("URL: must be https")
    if parts.port != _HTTPS_PORT and not _FIRST_USER_PORT <= parts.port <= _LAST_PORT:
        raise AddressDenied(f"URL: port {parts.port} is neither 443 nor from 1024 to 65535")
    _check_host(parts.host, tuple(allowed_networks))
    return parts


def split(url: str) -> Url:
    """Return the parts of a URL, wherever it leads.

    :raises AddressDenied: if it is no http or https URL that we could call.
    """
    if len(url) > _LONGEST_URL:
        raise AddressDenied(f"URL: is longer than {_LONGEST_URL} characters")
    match = _URL.fullmatch(url)
    if match is None:
        raise AddressDenied("URL: is no absolute https URL in printable ASCII without user info or fragment")
    scheme, name, ip6, port, rest = match.groups()
    scheme = scheme.lower()
    if scheme not in ("https", "http"):
        raise AddressDenied("URL: must be https")
    if not rest.startswith("/"):
        rest = "/" + rest
    return Url(scheme, (name or ip6).lower(), int(port or (_HTTPS_PORT if scheme == "https" else 80)), rest)


@lru_cache(maxsize=1024)
def _check_host(host: str, allowed: tuple[str, ...]) -> None:
    if len(host) > _LONGEST_HOST:
        raise AddressDenied(f"URL: the host is longer than {_LONGEST_HOST} characters")
    literal = _literal(host)
    if literal is not None:
        check_address(literal, allowed_networks=allowed)
        return
    labels = host.split(".")
    # "127.1", "2130706433" and "0x7f.0.0.1" are addresses to a resolver, though not to us.
    if ":" in host or _NUMBER.fullmatch(labels[-1]):
        raise AddressDenied("URL: the host is an address in an unusual form")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise AddressDenied("URL: the host is not a DNS name")


def _literal(host: str) -> IpAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def check_address(address: IpAddress, *, allowed_networks: Sequence[str], only_allowed: bool = False) -> None:
    """Check one address; with `only_allowed` even a public one has to be in an allowed network.

    :raises AddressDenied: if we may not connect to it.
    """
    if any(address in network for network in _networks(tuple(allowed_networks))):
        return
    if only_allowed:
        raise AddressDenied(f"address {address}: http is for allowed networks only")
    if any(address in network for network in DENIED) or not address.is_global or address.is_multicast:
        raise AddressDenied(f"address {address}: is not public")


def is_allowed(address: SocketAddress, networks: Sequence[str]) -> bool:
    """Say whether an address is in one of these networks."""
    found = ipaddress.ip_address(address[1][0].partition("%")[0])
    return any(found in network for network in _networks(tuple(networks)))


@lru_cache(maxsize=16)
def _networks(texts: tuple[str, ...]) -> tuple[IpNetwork, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


def resolve(
    host: str, port: int, *, allowed_networks: Sequence[str], timeout: float = 2.0, only_allowed: bool = False
) -> list[SocketAddress]:
    """Look a name up once and return the addresses to connect to.

    :raises AddressDenied: if any of its addresses is denied.
    :raises Unresolved: if it has none, or the name server is too slow.
    """
    literal = _literal(host)
    if literal is not None:
        family = socket.AF_INET if literal.version == 4 else socket.AF_INET6
        found: list[SocketAddress] = [(family, (str(literal), port))]
    else:
        found = look_up(host, port, timeout)
    for _, address in found:
        text = address[0].partition("%")[0]  # the scope of a link-local address
        check_address(ipaddress.ip_address(text), allowed_networks=allowed_networks, only_allowed=only_allowed)
    return found


def look_up(host: str, port: int, timeout: float) -> list[SocketAddress]:
    """Return the addresses of a name, whatever they are; there is one at least.

    :raises Unresolved: as `resolve`.
    """
    # getaddrinfo knows no time limit, so it waits in a thread of its own that nobody waits for. Who asks for a name
    # that is being looked up waits for the same answer: one that hangs holds one thread, however often it is wanted.
    until = time.monotonic() + timeout
    question = (host, port)
    with _asking:
        answer = _under_way.get(question)
        is_new = answer is None
        if answer is None:
            answer = _under_way[question] = Future()
    if is_new:
        _begin(question, answer, timeout)
    try:
        found = answer.result(max(until - time.monotonic(), 0))
    except TimeoutError:
        raise Unresolved(f"{host}: no answer from the name server in time") from None
    except (OSError, UnicodeError) as error:
        raise Unresolved(f"{host}: {error}") from error
    if not found:
        raise Unresolved(f"{host}: has no address")
    return found


def _begin(question: Question, answer: Answer, timeout: float) -> None:
    if _lookups.acquire(timeout=max(timeout, 0)):
        threading.Thread(target=_ask, args=(question, answer), daemon=True, name=f"look up {question[0]}").start()
        return
    _end(question)
    answer.set_exception(OSError("too many names are being looked up"))


def _ask(question: Question, answer: Answer) -> None:
    try:
        found: list[SocketAddress] = []
        for family, _, _, _, address in socket.getaddrinfo(*question, type=socket.SOCK_STREAM):
            if (family, address) not in found:
                found.append((family, address))  # type: ignore[arg-type]
    except Exception as error:
        _end(question)
        answer.set_exception(error)
    else:
        _end(question)
        answer.set_result(found)
    finally:
        _lookups.release()


def _end(question: Question) -> None:
    with _asking:
        _under_way.pop(question, None)


def _forget() -> None:
    """Begin anew: the threads of a parent's lookups are not there in a forked process."""
    global _asking, _lookups
    _asking, _lookups = threading.Lock(), threading.BoundedSemaphore(_MOST_LOOKUPS)
    _under_way.clear()


os.register_at_fork(after_in_child=_forget)
