"""The sockets of a node: what a handshake has found stays with its socket, and all of them close in limited time."""

import asyncio
import logging
from typing import Any

from websockets.asyncio.server import Server, ServerConnection
from websockets.extensions.permessage_deflate import enable_server_permessage_deflate
from websockets.protocol import State
from websockets.typing import Subprotocol

from cpo.gateway import ending
from cpo.gateway.admission import Admission
from cpo.gateway.store import Record

# Strangers fail at the handshake all day; a traceback of each would be the easiest way to fill a disk.
library_logger = logging.getLogger("websockets.gateway")
library_logger.addFilter(lambda record: record.msg != "opening handshake failed")

# Enough for a close frame and its answer (`close_timeout` is one second).
_GOODBYE_SECONDS = 1.2


class Socket(ServerConnection):
    """A connection that remembers what its handshake has found."""

    admission: Admission | None = None

    async def handshake(self, *arguments: Any, **named: Any) -> None:
        """Read and answer the handshake; cancelled, hang up."""
        try:
            await super().handshake(*arguments, **named)
        except asyncio.CancelledError:
            self.transport.abort()
            raise


def fit(socket: ServerConnection, record: Record, frame_bytes: int) -> None:
    """Set how long the frames of a charge point may be, those of its record first (OCPP-10).

    Within its handshake this also offers compression, if the record wants it; nobody else is offered any. The limit is
    of what comes out of a compressed frame.
    """
    protocol = socket.protocol
    protocol.max_message_size = record.frame_bytes or frame_bytes
    if record.compression and protocol.state is State.CONNECTING:
        protocol.available_extensions = enable_server_permessage_deflate(None)


def select_subprotocol(socket: ServerConnection, offered: Any) -> Subprotocol | None:
    admission = socket.admission if isinstance(socket, Socket) else None
    return Subprotocol(admission.subprotocol) if admission is not None and admission.subprotocol else None


async def close_all(server: Server) -> None:
    """Take in no more and say goodbye; cut whoever does not answer.

    `Server.close` alone is not enough: it waits without a limit for sockets that never ask for anything, for those
    whose handshake ends in this very moment, and for those that read nothing of what is sent to them.
    """
    server.close(close_connections=True)
    closed = asyncio.create_task(server.wait_closed())
    await asyncio.wait({closed}, timeout=_GOODBYE_SECONDS)
    for socket in list(server.all_connections):
        socket.transport.abort()
    await ending.cancel(list(server.handler_tasks), 0.5)
    await ending.settle([closed], 0.1)
