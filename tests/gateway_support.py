"""A gateway for one test: nodes in this process or their own, charge points by hand, and a CPO side that decides.

def test_something(world):
    world.add("CP1", password="…")

    async def scenario(node):
        async with node.connect("CP1", "…") as cp:
            assert await cp.call("Heartbeat", {}) …

    world.run(scenario)
"""

import asyncio
import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from cpo.gateway import moments, passwords
from cpo.gateway.config import Config
from cpo.gateway.server import Gateway

Payload = dict[str, Any]

_HANGS_SECONDS = 120  # says only that something hangs: a busy machine is slow
_LISTENS_SECONDS = 60

PASSWORD = "0123456789abcdef0123456789abcdef01234567"
BOOT = {"chargePointVendor": "Simulated", "chargePointModel": "One"}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


class Point:
    """A charge point played by hand, frame by frame."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, frame: Any) -> None:
        await self.socket.send(frame if isinstance(frame, str) else json.dumps(frame))

    async def receive(self, seconds: float = 15) -> Any:
        return json.loads(await asyncio.wait_for(self.socket.recv(), seconds))

    async def ask(self, frame: Any) -> Any:
        await self.send(frame)
        return await self.receive()

    async def call(self, action: str, payload: Payload, message_id: str | None = None) -> Payload:
        """Return the payload of the CALLRESULT."""
        message_id = message_id or uuid.uuid4().hex
        kind, answered, *rest = await self.ask([2, message_id, action, payload])
        assert (kind, answered) == (3, message_id), rest
        answer: Payload = rest[0]
        return answer


class Node:
    """A gateway that listens, and how to connect to it."""

    def __init__(self, port: int, gateway: Gateway | None = None) -> None:
        self.url = f"ws://127.0.0.1:{port}/ocpp"
        self.http = f"http://127.0.0.1:{port}"
        self._gateway = gateway

    @property
    def gateway(self) -> Gateway:
        assert self._gateway is not None, "this node runs in a process of its own"
        return self._gateway

    @asynccontextmanager
    async def connect(
        self, identity: str, password: str | bytes | None = None, *, user: str | None = None, **options: Any
    ) -> AsyncIterator[Point]:
        headers = {}
        if password is not None:
            shown = password.encode() if isinstance(password, str) else password
            token = base64.b64encode(f"{user or identity}:".encode() + shown).decode()
            headers["Authorization"] = f"Basic {token}"
        options = {"subprotocols": [Subprotocol("ocpp1.6")], "proxy": None, "close_timeout": 1} | options
        async with connect(f"{self.url}/{identity}", additional_headers=headers, **options) as socket:
            yield Point(socket)


Decide = Callable[[str, Payload], Payload | None]


def let_in(action: str, payload: Payload) -> Payload:
    if action in ("DataTransfer", "SignCertificate"):
        return {"status": "UnknownVendorId" if action == "DataTransfer" else "Accepted"}
    if "idTag" in payload:
        return {"idTagInfo": {"status": "Blocked" if payload["idTag"] == "BLOCKED" else "Accepted"}}
    if "idToken" not in payload:
        return {}  # an event of a transaction that is about no token
    return {"idTokenInfo": {"status": "Blocked" if payload["idToken"]["idToken"] == "BLOCKED" else "Accepted"}}


class CpoSide:
    """Takes the inbox in order and answers what is to be decided, as the CPO's consumer does."""

    def __init__(self, conninfo: str, decide: Decide = let_in) -> None:
        self._conninfo = conninfo
        self._decide = decide
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.decided: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        with psycopg.connect(self._conninfo, autocommit=True) as listener:
            listener.execute("LISTEN ocpp_inbox")
            while not self._stop.is_set():
                for row, action, payload in listener.execute(
                    "SELECT id, action, payload FROM cpo_inboxmessage WHERE state = 'NEW' ORDER BY id"
                ).fetchall():
                    answer = self._decide(action, json.loads(payload)) if action in _DECIDED else None
                    if answer is not None:
                        self.decided.append(action)
                        listener.execute(
                            "UPDATE cpo_inboxmessage SET answer = %s WHERE id = %s AND answer IS NULL",
                            (json.dumps(answer), row),
                        )
                    listener.execute("UPDATE cpo_inboxmessage SET state = 'DONE' WHERE id = %s", (row,))
                for _note in listener.notifies(timeout=0.1, stop_after=1):
                    pass


_DECIDED = {"Authorize", "DataTransfer", "SignCertificate", "StartTransaction", "TransactionEvent"}

# Everything a gateway writes, whatever points to something else first.
_TABLES = (
    "cpo_framelog",
    "cpo_stationevent",
    "cpo_stationcertificate",
    "cpo_certificateauthority",
    "cpo_bootrecord",
    "cpo_inboxmessage",
    "cpo_operation",
    "cpo_chargepointdeviation",
    "cpo_chargepointconnection",
    "cpo_unknownchargepoint",
    "cpo_gatewaynode",
    "cpo_chargepoint",
)


@dataclass
class World:
    """The database of the test, and what is in it."""

    config: Config
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def conninfo(self) -> str:
        return self.config.conninfo

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.conninfo, autocommit=True, row_factory=dict_row) as connected:
            return connected.execute(query, values).fetchall()

    def execute(self, query: str, *values: Any) -> None:
        with psycopg.connect(self.conninfo, autocommit=True) as connected:
            connected.execute(query, values)

    def inbox(self, action: str | None = None) -> list[dict[str, Any]]:
        found = self.rows("SELECT * FROM cpo_inboxmessage ORDER BY id")
        return [row for row in found if action in (None, row["action"])]

    def add(self, identity: str, password: str | None = None, **columns: Any) -> int:
        digest = passwords.digest(password, self.config.secret_key) if password else ""
        values = {
            "identity": identity,
            "country_code": "NL",
            "party_id": "TNM",
            "password_digest": digest,
            "security_profile": 1 if password else 0,
            "protocols": json.dumps(["ocpp1.6"]),
            "boot_data": "{}",
        } | columns
        names = ", ".join(values)
        marks = ", ".join(["%s"] * len(values))
        query = f"INSERT INTO cpo_chargepoint ({names}) VALUES ({marks}) RETURNING id"  # noqa: S608
        return int(self.rows(query, *values.values())[0]["id"])

    def ask(self, charge_point: int, action: str, payload: Payload, **columns: Any) -> uuid.UUID:
        operation = uuid.uuid4()
        values = {
            "id": operation,
            "charge_point_id": charge_point,
            "action": action,
            "payload": json.dumps(payload),
            "asked_by": "test",
        } | columns
        names = ", ".join(values)
        marks = ", ".join(["%s"] * len(values))
        self.execute(f"INSERT INTO cpo_operation ({names}) VALUES ({marks})", *values.values())  # noqa: S608
        return operation

    async def ended(self, operation: uuid.UUID, seconds: float = 10) -> dict[str, Any]:
        """Return an operation once it has ended."""
        deadline = time.monotonic() + seconds
        while True:
            rows = await asyncio.to_thread(self.rows, "SELECT * FROM cpo_operation WHERE id = %s", operation)
            if rows[0]["state"] not in {"QUEUED", "SENT"} or time.monotonic() > deadline:
                return rows[0]
            await asyncio.sleep(0.02)

    @asynccontextmanager
    async def node(self, **changes: Any) -> AsyncIterator[Node]:
        gateway = Gateway(replace(self.config, node=f"node-{uuid.uuid4().hex[:8]}", **changes))
        port = await gateway.start()
        try:
            await eventually(gateway.is_ready)
            yield Node(port, gateway)
        finally:
            await gateway.stop()

    def run(
        self, scenario: Callable[[Node], Awaitable[None]], *, decide: Decide | None = let_in, **changes: Any
    ) -> None:
        """Run a scenario with one node, and with a CPO side unless `decide` is None."""

        async def whole() -> None:
            async with self.node(**changes) as node:
                await scenario(node)

        self.run_bare(whole, decide=decide)

    def run_bare(self, scenario: Callable[[], Awaitable[None]], *, decide: Decide | None = let_in) -> None:
        async def limited() -> None:
            async with asyncio.timeout(_HANGS_SECONDS):
                await scenario()

        if decide is None:
            asyncio.run(limited())
            return
        with CpoSide(self.conninfo, decide):
            asyncio.run(limited())

    def clear(self) -> None:
        """Take out what charge points and nodes have left: much quicker than emptying every table there is."""
        for table in _TABLES:
            self.execute(f"DELETE FROM {table}")  # noqa: S608 (constants)

    def start_process(self, port: int, **environ: str) -> "subprocess.Popen[bytes]":
        """Start a node in a process of its own."""
        environment = os.environ | {
            "DATABASE_URL": _url(self.conninfo),
            "OCPP_DRAIN_SECONDS": "0.1",
            "OCPI_SIDES": "cpo",
            "OCPI_PARTIES": "NL*TNM:CPO",
        }
        environment |= environ
        process = subprocess.Popen(
            [sys.executable, "-m", "cpo.gateway", "--host", "127.0.0.1", "--port", str(port)], env=environment
        )
        self.processes.append(process)
        return process


def _url(conninfo: str) -> str:
    parts = psycopg.conninfo.conninfo_to_dict(conninfo)
    return f"postgresql://{parts['user']}:{parts.get('password', '')}@{parts['host']}:{parts['port']}/{parts['dbname']}"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def eventually(true: Callable[[], bool], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.02)


def start(**changes: Any) -> Payload:
    return {
        "connectorId": 1,
        "idTag": "TAG1",
        "meterStart": 1000,
        "timestamp": moments.write(datetime.now(UTC) - timedelta(seconds=5)),
    } | changes


def stop(transaction_id: int, **changes: Any) -> Payload:
    return {"transactionId": transaction_id, "meterStop": 4500, "timestamp": moments.write(datetime.now(UTC))} | changes


async def refusal(node: Node, identity: str, password: str | bytes | None = None, **options: Any) -> InvalidStatus:
    """Return how a handshake is refused."""
    with pytest.raises(InvalidStatus) as refused:
        async with node.connect(identity, password, **options):
            pass
    return refused.value


async def listens(port: int) -> None:
    """Wait until a process accepts connections."""
    deadline = time.monotonic() + _LISTENS_SECONDS
    while time.monotonic() < deadline:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        writer.close()
        await writer.wait_closed()
        return
    raise AssertionError("the gateway does not listen")


@contextmanager
def open_world() -> Iterator[World]:
    """Give the test database, seen from outside Django; kill what was started and leave no row."""
    parameters = connection.get_connection_params()
    known = {name: parameters[name] for name in ("dbname", "user", "password", "host", "port") if parameters.get(name)}
    world = World(
        Config(
            conninfo=make_conninfo("", **known),
            redis_url=settings.REDIS_URL,
            secret_key=settings.SECRET_KEY,
            host="127.0.0.1",
            port=0,
            party=("NL", "TNM"),
            refusal_seconds=0.01,
            drain_calls_seconds=2,
            drain_seconds=0.1,
        )
    )
    world.clear()
    try:
        yield world
    finally:
        for process in world.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait(10)
        world.clear()


@pytest.fixture(name="world")
def world_fixture(db: None) -> Iterator[World]:
    """For tests that never ask Django's models: what nodes commit is outside of the test's transaction."""
    with open_world() as opened:
        yield opened
