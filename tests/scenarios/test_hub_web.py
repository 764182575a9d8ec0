"""The hub's web server as it runs: connections as clients really treat them, and its end."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.instances import ROOT, Instance, free_port, run_instance
from tests.load import registry
from tests.load.harness import http
from tests.platforms import Listener, eventually

SESSION = "/ocpi/hub/2.2.1/receiver/sessions/NL/TNM/S1"
BODY = b'{"kwh":12.5,"last_updated":"2026-01-01T00:00:00Z"}'
HEADERS = registry.headers(registry.CPO_TOKEN, registry.CPO, registry.EMSP)


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with Listener() as running:
        yield running


@pytest.fixture(scope="module")
def hub(listener: Listener) -> Iterator[Instance]:
    with run_instance("hub", parties=["NL*HUB:HUB"]) as running:
        platforms = registry.platforms([int(listener.host.partition(":")[2])])
        subprocess.run(
            [sys.executable, "-m", "tests.load.seed"], cwd=ROOT, env=dict(running.environment), check=True,
            input=json.dumps(platforms), text=True, capture_output=True, timeout=120,
        )  # fmt: skip
        yield running


@pytest.fixture(autouse=True)
def _usual(listener: Listener) -> Iterator[None]:
    listener.forget()
    yield
    listener.restore()


@dataclass(slots=True)
class Answer:
    status: int
    head: bytes
    body: bytes

    @property
    def codes(self) -> tuple[int, int]:
        return self.status, json.loads(self.body)["status_code"]


class Client:
    """A socket and what came out of it."""

    def __init__(self, url: str) -> None:
        self._sock = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=60)
        self._octets = b""

    def send(self, octets: bytes) -> None:
        self._sock.sendall(octets)

    def answer(self) -> Answer:
        while b"\r\n\r\n" not in self._octets:
            self._more()
        head, _, rest = self._octets.partition(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 100"):
            self._octets = rest
            return Answer(100, head, b"")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        while len(rest) < length:
            self._more()
            rest = self._octets.partition(b"\r\n\r\n")[2]
        self._octets = rest[length:]
        return Answer(int(head[9:12]), head, rest[:length])

    def is_closed(self) -> bool:
        try:
            return self._sock.recv(1) == b""
        except ConnectionError:
            return True

    def waits(self) -> bool:
        """Say whether nothing has come yet, not even the end."""
        return not select.select([self._sock], [], [], 0)[0]

    def close(self) -> None:
        self._sock.close()

    def _more(self) -> None:
        octets = self._sock.recv(65536)
        assert octets, f"closed after {self._octets!r}"
        self._octets += octets


@contextmanager
def client(url: str) -> Iterator[Client]:
    found = Client(url)
    try:
        yield found
    finally:
        found.close()


def patch(path: str = SESSION, body: bytes = BODY, **headers: str) -> bytes:
    return http("PATCH", path, {**HEADERS, **headers}, body)


@pytest.mark.req("HUB-12", "SEC-45")
def test_a_connection_is_kept_and_requests_may_be_sent_ahead(hub: Instance, listener: Listener) -> None:
    listener.reply("PATCH", "/", delay=0.2, times=1)
    with client(hub.url) as mine:
        pieces = patch()
        for place in range(0, len(pieces), 50):  # a body and headers in pieces
            mine.send(pieces[place : place + 50])
        mine.send(patch(f"{SESSION}b") + http("GET", "/ocpi/versions", HEADERS, b"") + patch(f"{SESSION}c"))

        assert [mine.answer().codes for _ in range(4)] == [(200, 1000)] * 4

    assert [got.path.rpartition("/")[2] for got in listener.received("PATCH")] == ["S1", "S1b", "S1c"]


@pytest.mark.req("SEC-45")
def test_a_body_that_is_too_long_is_refused_and_the_connection_closed(hub: Instance, listener: Listener) -> None:
    with client(hub.url) as mine:
        head = patch(body=b"").replace(b"Content-Length: 0", b"Content-Length: 9000000")
        mine.send(head + b" " * (1 << 20) + b"xx")

        answer = mine.answer()
        assert answer.codes == (400, 2000)
        assert mine.is_closed()
    assert listener.received("PATCH") == []


@pytest.mark.req("SEC-45")
def test_endless_headers_are_refused(hub: Instance) -> None:
    with client(hub.url) as mine:
        mine.send(patch()[:-60].rstrip(b"\r\n") + b"\r\n")
        with pytest.raises((ConnectionError, AssertionError)):  # noqa: PT012 - somewhere on the way it is closed
            for number in range(200):
                mine.send(b"x-%d: " % number + b"y" * 1000 + b"\r\n")
            mine.answer()
            raise ConnectionError


def test_who_asks_whether_to_go_on_is_told_so(hub: Instance) -> None:
    request = patch(Expect="100-continue")
    with client(hub.url) as mine:
        mine.send(request[: -len(BODY)])
        assert mine.answer().status == 100
        mine.send(request[-len(BODY) :])
        assert mine.answer().codes == (200, 1000)


@pytest.mark.req("HUB-55", "TRN-008")
def test_what_is_not_for_one_party_is_answered_by_django(hub: Instance) -> None:
    everything = {**HEADERS, "OCPI-to-country-code": "NL", "OCPI-to-party-id": "HUB"}
    with client(hub.url) as mine:
        mine.send(http("GET", "/ocpi/hub/2.2.1/sender/tokens", everything, b""))
        assert mine.answer().codes == (200, 1000)
        mine.send(patch(Authorization="Token eA=="))
        assert mine.answer().codes == (401, 2000)
        mine.send(patch())
        assert mine.answer().codes == (200, 1000)


@pytest.mark.req("REL-03")
def test_no_web_process_outlives_a_killed_one_that_holds_the_port(hub: Instance) -> None:
    port = free_port()
    environment = {**hub.environment, "PORT": str(port), "WEB_PROCESSES": "2"}
    process = subprocess.Popen([sys.executable, "-m", "hub.web"], cwd=ROOT, env=environment)
    try:
        eventually(lambda: _listens(port))
        with client(f":{port}") as mine:
            mine.send(patch())
            assert mine.answer().codes == (200, 1000)
            children = [int(pid) for pid in _children_of(process.pid).read_text().split()]
            assert len(children) >= 2
    finally:
        process.kill()
        process.wait()

    eventually(lambda: not any(_children_of(pid).exists() for pid in children))
    assert not _listens(port)


def _children_of(pid: int) -> Path:
    return Path(f"/proc/{pid}/task/{pid}/children")


@pytest.mark.req("REL-56")
@pytest.mark.parametrize("processes", [1, 2])
def test_at_the_end_requests_in_flight_are_answered(hub: Instance, listener: Listener, processes: int) -> None:
    port = free_port()
    environment = {
        **hub.environment, "PORT": str(port), "WEB_GRACE_SECONDS": "3", "WEB_PROCESSES": str(processes),
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "hub.web"], cwd=ROOT, env=environment)
    try:
        eventually(lambda: _listens(port))
        listener.reply("PATCH", f"{_path('S-fast')}", delay=1.0)
        listener.reply("PATCH", f"{_path('S-never')}", delay=30.0)
        with client(f":{port}") as fast, client(f":{port}") as never:
            fast.send(patch(SESSION.replace("S1", "S-fast")))
            never.send(patch(SESSION.replace("S1", "S-never")))
            listener.wait_for(2, "PATCH")
            asked_at = time.monotonic()
            process.send_signal(signal.SIGTERM)

            eventually(lambda: not _listens(port))  # whoever comes is refused, and not left to wait for nothing
            assert never.waits()
            assert fast.answer().codes == (200, 1000)
            assert never.answer().codes == (200, 4002)
            assert process.wait(15) == 0
            assert time.monotonic() - asked_at < 15
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()


def _path(session: str) -> str:
    return f"/ocpi/receiver/sessions/NL/TNM/{session}"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
