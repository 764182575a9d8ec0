"""Platforms for tests: a listener that plays one and records what it got, and real instances of this project.

with Listener() as listener:
    listener.reply("PUT", "/ocpi/2.2.1/receiver/locations", code=2001)   # from now on, for this path and below
    listener.reply("GET", "/ocpi/versions", status=500, times=1)             # once; later replies win over older ones
    …
    assert listener.received("PUT")[0].json["id"] == "LOC1"
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote

from ocpi import secrets
from tests.instances import Instance, run_instance

__all__ = ["Instance", "Listener", "Received", "Reply", "eventually", "run_instance"]

ALL_MODULES = tuple(
    (module, role)
    for module in ("locations", "sessions", "cdrs", "tariffs", "tokens", "commands", "chargingprofiles")
    for role in ("SENDER", "RECEIVER")
)
VERSION = "2.2.1"


@dataclass(frozen=True, slots=True)
class Received:
    """A request that reached the listener."""

    method: str
    path: str  # without the query, as it came
    query: str
    headers: Mapping[str, str]  # lower-case names
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def token(self) -> str:
        """Return the token that was shown, Base64 undone."""
        return secrets.readings(self.headers.get("authorization"), raw_allowed=True)[0]


@dataclass(slots=True)
class Reply:
    """What the listener does with a request."""

    status: int = 200
    code: int = 1000
    data: Any = None
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None  # the whole body, instead of an envelope
    delay: float = 0.0  # seconds before the answer
    close: bool = False  # no answer at all: the connection is closed


@dataclass(slots=True)
class _Rule:
    method: str
    path: str
    reply: Reply | Callable[[Received], Reply]
    left: int | None

    def fits(self, request: Received) -> bool:
        path = request.path.rstrip("/")
        below = path == self.path or path.startswith(self.path + "/")
        return self.method in ("*", request.method) and below and (self.left is None or self.left > 0)


class Listener:
    """A platform that records what it is sent. Serves versions, version details, credentials; anything else is 1000."""

    def __init__(
        self,
        roles: Iterable[str] = ("DE*EMS:EMSP",),
        *,
        endpoints: Iterable[tuple[str, str]] = ALL_MODULES,
        port: int = 0,
    ) -> None:
        self.roles = list(roles)
        self.endpoints = list(endpoints)
        self.requests: list[Received] = []
        self.token_for_us = "listener-token-" + secrets.new_token()[:20]  # what a registered platform shows it
        self._rules: list[_Rule] = []
        self._arrived = threading.Condition()
        self._port = port
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    # ---- on the network

    def up(self) -> None:
        """Listen, on the same port as before."""
        self._server = _Server(("127.0.0.1", self._port), self)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Stop: connections are refused from now on, open ones are closed."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def versions_url(self) -> str:
        return f"{self.url}/ocpi/versions"

    def endpoint(self, module: str, role: str) -> str:
        return f"{self.url}{endpoint_path(module, role)}"

    def credentials(self, token: str | None = None, *, roles: Iterable[str] | None = None) -> dict[str, Any]:
        """Return the Credentials object this platform sends; `token` is what we have to show it."""
        return {
            "token": token or self.token_for_us,
            "url": self.versions_url,
            "roles": [credentials_role(role) for role in (self.roles if roles is None else roles)],
        }

    # ---- what it answers

    def reply(
        self,
        method: str,
        path: str,
        *,
        times: int | None = None,
        using: Callable[[Received], Reply] | None = None,
        **reply: Any,
    ) -> None:
        """Answer like this from now on ("*": any method; the path and all below it)."""
        self._rules.insert(0, _Rule(method, path.rstrip("/"), using or Reply(**reply), times))

    def restore(self) -> None:
        """Forget all that `reply` set up."""
        with self._arrived:
            self._rules.clear()

    def answer(self, request: Received) -> Reply:
        """Record a request and return what is answered."""
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
            rule = next((rule for rule in self._rules if rule.fits(request)), None)
            if rule is not None and rule.left is not None:
                rule.left -= 1
        if rule is None:
            return self._usual(request)
        return rule.reply if isinstance(rule.reply, Reply) else rule.reply(request)

    def _usual(self, request: Received) -> Reply:
        path = request.path.rstrip("/")
        if path == "/ocpi/versions":
            return Reply(data=[{"version": VERSION, "url": f"{self.url}/ocpi/{VERSION}"}])
        if path == f"/ocpi/{VERSION}":
            return Reply(data=self.version_details())
        if path == f"/ocpi/{VERSION}/credentials":
            return Reply() if request.method == "DELETE" else Reply(data=self.credentials())
        if request.method == "GET":
            return Reply(data=[], headers={"X-Total-Count": "0", "X-Limit": "100"})
        return Reply()

    def version_details(self) -> dict[str, Any]:
        listed = [("credentials", "SENDER"), *self.endpoints]
        return {
            "version": VERSION,
            "endpoints": [
                {"identifier": module, "role": role, "url": self.endpoint(module, role)} for module, role in listed
            ],
        }

    # ---- what it got

    def received(self, method: str | None = None, path: str = "") -> list[Received]:
        """Return the requests so far, of a method, to a path and all below it."""
        path = path.rstrip("/")
        with self._arrived:
            return [
                request
                for request in self.requests
                if method in (None, request.method)
                and (not path or request.path.rstrip("/") == path or request.path.startswith(path + "/"))
            ]

    def wait_for(self, count: int, method: str | None = None, path: str = "", *, seconds: float = 10) -> list[Received]:
        """Return the requests once there are so many."""
        limit = time.monotonic() + seconds
        while len(found := self.received(method, path)) < count:
            left = limit - time.monotonic()
            if left <= 0:
                raise AssertionError(f"{len(found)} of {count} {method} {path} came in {seconds} s")
            with self._arrived:
                self._arrived.wait(min(left, 0.1))
        return found

    def forget(self) -> None:
        """Forget the requests so far; the replies stay."""
        with self._arrived:
            self.requests.clear()


def endpoint_path(module: str, role: str) -> str:
    """Return where a listener serves an interface."""
    return f"/ocpi/{VERSION}/credentials" if module == "credentials" else f"/ocpi/{VERSION}/{role.lower()}/{module}"


def credentials_role(text: str) -> dict[str, Any]:
    """Return the CredentialsRole for a text such as "NL*TNM:CPO"."""
    address, _, role = text.partition(":")
    country_code, _, party_id = address.partition("*")
    return {
        "role": role,
        "country_code": country_code,
        "party_id": party_id,
        "business_details": {"name": f"{party_id} {role}"},
    }


def eventually(check: Callable[[], Any], *, seconds: float = 60, every: float = 0.05) -> Any:
    """Return what `check` gives as soon as that is true; the limit is for what hangs, not for a slow machine."""
    limit = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < limit, f"not within {seconds} s"
        time.sleep(every)
    return found


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], listener: Listener) -> None:
        self.listener = listener
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: that we hang up on a listener is part of many tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _handle(self) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        request = Received(self.command, path, query, headers, body, time.time())
        reply = self.server.listener.answer(request)
        if reply.delay:
            time.sleep(reply.delay)
        if reply.close:
            self.close_connection = True
            return
        octets = reply.raw if reply.raw is not None else _envelope(reply)
        self.send_response(reply.status)
        for name, value in {
            "Content-Type": "application/json",
            "X-Request-ID": headers.get("x-request-id", ""),
            "X-Correlation-ID": headers.get("x-correlation-id", ""),
            "Content-Length": str(len(octets)),
            **reply.headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(octets)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _envelope(reply: Reply) -> bytes:
    found: dict[str, Any] = {"status_code": reply.code, "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    if reply.message:
        found["status_message"] = reply.message
    if reply.data is not None:
        found["data"] = reply.data
    return json.dumps(found).encode()


def segments(path: str) -> list[str]:
    """Return the decoded segments of a path."""
    return [unquote(part) for part in path.split("/") if part]
