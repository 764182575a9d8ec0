"""The WebSocket server of one gateway node: handshake, one connection per charge point, health, draining."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import psycopg
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from cpo.gateway import certificate_watch, ending, numbers, sockets
from cpo.gateway.admission import Door
from cpo.gateway.bus import Bus
from cpo.gateway.config import Config
from cpo.gateway.connection import Connection
from cpo.gateway.connection_log import ConnectionLog
from cpo.gateway.decisions import Decisions
from cpo.gateway.frame_log import FrameLog
from cpo.gateway.handshake import Refused
from cpo.gateway.inbox_writer import InboxWriter
from cpo.gateway.operation_runner import OperationRunner
from cpo.gateway.registry import Entry, Registry
from cpo.gateway.sockets import Socket
from cpo.gateway.store import UNREACHABLE, Store
from cpo.gateway.takeovers import Takeovers
from cpo.gateway.tls import Tls, is_secure, peer_certificate
from cpo.gateway.watch import Watch

logger = logging.getLogger(__name__)

_CHUNK = 500
_BACKLOG = 4096  # connections nobody has looked at yet; Python's own hundred are lost when thousands come back at once
_INTRODUCE_SECONDS = 10


class Gateway:
    """One node."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.store = Store(config)
        self.inbox = InboxWriter(config)
        self.decisions = Decisions(self.store)
        self.frame_log = FrameLog(config)
        self.watch = Watch()
        self.connection_log = ConnectionLog(self.store, config.node)
        self.connections: dict[int, Connection] = {}
        self.registry = Registry(config.redis_url, config.node, self._entries)
        self.runner = OperationRunner(self.store, config.node, self.connections.get)
        self.draining = False
        self._door = Door(config, self.store)
        self._takeovers = Takeovers(config.node, self.store, self.connections.get, self.spawn)
        self._bus = Bus(
            config.conninfo,
            {
                "ocpp_answer": self.decisions.hear,
                "ocpp_operation": self.runner.hear,
                "ocpp_connection": self._takeovers.hear_connection,
                "ocpp_charge_point": self._hear_change,
                "ocpp_ping": self._takeovers.hear_ping,
                "ocpp_pong": self._takeovers.hear_pong,
            },
            self._caught_up,
            name=config.node,
        )
        self._heard_by: float = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._servers: list[Server] = []
        self._tls = Tls(config, self.store) if config.tls_certificate else None
        self.tls_port = 0
        self._alive = False

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the connections; a lost database is no reason to fail."""
        task = asyncio.create_task(self._quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _quietly(self, work: Awaitable[None]) -> None:
        try:
            await work
        except (*UNREACHABLE, psycopg.Error) as error:
            logger.warning("ocpp store: %s", str(error).strip()[:200])

    # ------------------------------------------------------------ life

    async def start(self) -> int:
        """Open everything; return the port."""
        await self.store.open()
        self.inbox.start()
        self._loops = [
            asyncio.create_task(work)
            for work in (
                self._bus.run(),
                self.decisions.run(),
                self.registry.run(),
                self.frame_log.run(),
                self._every(5, self._beat),
                self._every(1, self._keep_alive),
                self._every(5, self.runner.sweep),
                self._every(30, self._refresh),
                self._every(2, self.connection_log.write),
                self._every(30, self._tell_clocks),
            )
        ]
        port = await self._listen(self.config.port)
        if self._tls is not None:
            await self._quietly(self._tls.refresh())
            self._loops.append(asyncio.create_task(self._every(30, self._tls.refresh)))
            self.tls_port = await self._listen(self.config.tls_port, self._tls.context)
        return port

    async def _listen(self, port: int, context: ssl.SSLContext | None = None) -> int:
        """Open a port, with TLS if there is a context; return its number."""
        server = await serve(
            self._handle,
            self.config.host,
            port,
            ssl=context,
            create_connection=Socket,
            process_request=self._process_request,
            select_subprotocol=sockets.select_subprotocol,
            compression=None,
            ping_interval=None,  # one sweep pings all: no task per connection
            close_timeout=1,
            open_timeout=self.config.handshake_seconds,
            max_size=self.config.frame_bytes,
            max_queue=8,
            backlog=_BACKLOG,
            server_header=None,
            logger=sockets.library_logger,
        )
        self._servers.append(server)
        port = int(next(iter(server.sockets)).getsockname()[1])
        tls = " with TLS" if context is not None else ""
        logger.info("ocpp gateway %s listens on %s:%s%s", self.config.node, self.config.host, port, tls)
        return port

    async def drain(self) -> None:
        """Refuse newcomers; close all sockets bit by bit, each once what it has open has ended (OCPP-102)."""
        self.draining = True
        waiting = list(self.connections.values())
        pause = self.config.drain_seconds / len(waiting) if waiting else 0
        leaving = []
        for connection in waiting:
            leave = connection.leave(self.config.drain_calls_seconds, 1012, "service restart")
            leaving.append(asyncio.create_task(self._quietly(leave)))
            await asyncio.sleep(pause)
        # A handshake may have ended while the others left.
        late = [each for each in self.connections.values() if not each.leaving]
        leaving += [asyncio.create_task(self._quietly(each.leave(1, 1012, "service restart"))) for each in late]
        await asyncio.gather(*leaving)

    async def stop(self) -> None:
        """Close everything that is still open, in limited time whatever hangs or is gone."""
        await asyncio.gather(*(sockets.close_all(server) for server in self._servers))
        # What is left undone here, `bury` does for the whole node.
        await asyncio.gather(ending.settle(self._tasks, 0.5), self.runner.stop())
        await asyncio.gather(ending.cancel(self._loops, 1), self.inbox.stop())
        await asyncio.gather(
            ending.within(2, "writing the frame log", self._quietly(self.frame_log.flush())),
            ending.within(2, "writing the connections", self._quietly(self.connection_log.write())),
            ending.within(2, "taking the node out of the database", self._quietly(self.store.bury(self.config.node))),
            ending.within(2, "taking the node out of the registry", self.registry.close()),
        )
        await ending.within(1, "closing the pool", self.store.close())

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except UNREACHABLE as error:
                self._alive = False
                logger.warning("ocpp store unreachable: %s", str(error).strip()[:200])
            except Exception:
                logger.exception("ocpp sweep failed")
            await asyncio.sleep(seconds)

    async def _beat(self) -> None:
        for dead in await self.store.beat():
            await self.registry.bury(dead)
        self._alive = True

    async def _keep_alive(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in list(self.connections.values()):
            connection.keep_alive(now)

    async def _refresh(self) -> None:
        """Bring records up to date, say who was heard, and take out who is gone (OCPP-105)."""
        now, since = asyncio.get_running_loop().time(), self._heard_by
        held = list(self.connections)
        for start in range(0, len(held), _CHUNK):
            part = held[start : start + _CHUNK]
            await self._read_again(part)
            here = [(cp, self.connections[cp]) for cp in part if cp in self.connections]
            heard = [cp for cp, connection in here if connection.heard_at >= since]
            await self.store.seen(heard, datetime.now(UTC))
        self._heard_by = now
        await self.store.execute(
            """UPDATE cpo_chargepoint SET online = false WHERE node = %s AND online AND id <> ALL(%s)
               AND connected_at < clock_timestamp() - interval '30 seconds'""",
            (self.config.node, list(self.connections)),
        )

    async def _read_again(self, charge_points: list[int]) -> None:
        found = {record.id: record for record in await self.store.records(charge_points)}
        for charge_point in charge_points:
            connection = self.connections.get(charge_point)
            if connection is None:
                continue
            if charge_point in found:
                connection.record = found[charge_point]
                sockets.fit(connection.socket, connection.record, self.config.frame_bytes)
            else:
                self.spawn(connection.socket.close(1008, "no longer known"))
        held = [self.connections[cp] for cp in charge_points if cp in self.connections]
        for connection, objection in await certificate_watch.objections(self.store, held):
            self.spawn(connection.socket.close(1008, f"the certificate: {objection}"[:120]))

    async def _caught_up(self) -> None:
        await self._read_again(list(self.connections))
        await self.runner.sweep()

    def is_ready(self) -> bool:
        """Whether newcomers are welcome (OCPP-12)."""
        return not self.draining and self._alive and self._bus.listening.is_set() and self.registry.reachable

    def _entries(self) -> list[Entry]:
        return [_entry(connection) for connection in self.connections.values()]

    # ------------------------------------------------------------ notes of other processes

    def _hear_change(self, note: str) -> None:
        if int(note) in self.connections:
            self.spawn(self._read_again([int(note)]))

    # ------------------------------------------------------------ handshake and connection

    async def _process_request(self, socket: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path == "/health":
            return socket.respond(HTTPStatus.OK, "ok\n")
        if path == "/ready":
            ready = self.is_ready()
            return socket.respond(
                HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE, "ready\n" if ready else "not ready\n"
            )
        if path == "/metrics":
            return self._metrics(socket, request)
        if self.draining:
            return socket.respond(HTTPStatus.SERVICE_UNAVAILABLE, "draining\n")
        try:
            admission = await self._door.admit(
                request,
                str(socket.remote_address[0]),
                secure=is_secure(socket.transport),
                shown=peer_certificate(socket.transport),
            )
            record = admission.record
            older = self.connections.get(record.id)
            here = older is not None and older.is_open
            if here or record.online:
                if not admission.authenticated and await self._takeovers.older_answers(record):
                    raise Refused(HTTPStatus.CONFLICT, "already connected")
                if here or await self._takeovers.is_held(record):
                    await self._door.took_over(record, admission.address)
        except Refused as refused:
            response = socket.respond(HTTPStatus(refused.status), refused.text + "\n")
            if refused.status == HTTPStatus.UNAUTHORIZED:
                response.headers["WWW-Authenticate"] = 'Basic realm="ocpp", charset="UTF-8"'
            return response
        except psycopg.Error as error:
            logger.warning("ocpp store unreachable: %s", str(error).strip()[:200])
            return socket.respond(HTTPStatus.SERVICE_UNAVAILABLE, "try again later\n")
        if isinstance(socket, Socket):
            socket.admission = admission
        sockets.fit(socket, record, self.config.frame_bytes)
        return None

    def _metrics(self, socket: ServerConnection, request: Request) -> Response:
        if not numbers.may_read(request.headers, str(socket.remote_address[0]), self.config.metrics_token):
            return socket.respond(HTTPStatus.FORBIDDEN, "Forbidden\n")
        text = numbers.text(
            self.watch,
            self.connections.values(),
            queued=self.inbox.queued,
            dropped_frames=self.frame_log.dropped,
            draining=self.draining,
        )
        response = socket.respond(HTTPStatus.OK, text.decode())
        response.headers["Content-Type"] = numbers.CONTENT_TYPE
        return response

    async def _tell_clocks(self) -> None:
        await self.connection_log.write_clocks(self.watch.clocks.changed())

    async def _handle(self, socket: ServerConnection) -> None:
        admission = socket.admission if isinstance(socket, Socket) else None
        if admission is None:
            return
        record = admission.record
        try:
            connected = await self.store.connected(record.id, protocol=admission.version, address=admission.address)
        except (*UNREACHABLE, psycopg.Error, LookupError):
            await socket.close(1013, "try again later")
            return
        epoch = connected.epoch
        connection = Connection(self, socket, record, version=admission.version, epoch=epoch, address=admission.address)
        older = self.connections.get(record.id)
        if older is not None and older.epoch > epoch:
            await socket.close(1000, "a newer connection has come")
            return
        self.connections[record.id] = connection
        if older is not None:
            older.supersede()
        self.registry.add(_entry(connection))
        self.watch.connected(epoch, takes_over=older is not None or record.online)
        self.connection_log.opened(record.id, epoch, address=admission.address, protocol=admission.version)
        if connected.asked or self.runner.missed(record.id):
            self.runner.wake(record.id)
        if not record.booted:
            asyncio.get_running_loop().call_later(_INTRODUCE_SECONDS, self._introduce, connection)
        try:
            await connection.run()
        finally:
            if self.connections.get(record.id) is connection:
                del self.connections[record.id]
                self.watch.clocks.forget(record.id)
            self.connection_log.closed(record.id, epoch, code=socket.close_code, reason=socket.close_reason)
            self.registry.remove(_entry(connection))
            self.spawn(_shielded(self.store.disconnected(record.id, epoch)))

    def _introduce(self, connection: Connection) -> None:
        if self.connections.get(connection.record.id) is connection and not connection.booted:
            self.spawn(self.runner.trigger_boot(connection))


async def _shielded(work: Awaitable[None]) -> None:
    await asyncio.shield(work)


def _entry(connection: Connection) -> Entry:
    since = connection.since.isoformat(timespec="seconds")
    return Entry(
        connection.record.identity,
        connection.services.config.node,
        connection.epoch,
        since,
        connection.version,
        connection.address,
    )
