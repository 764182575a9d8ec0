"""Send queued operations to the charge points on this node and record how they end.

The claim is a conditional UPDATE that also asks for the connection's epoch: only the node with the newest socket gets
it, and no operation is sent twice (OCPP-101). If the charge point moved between claim and frame, the operation is given
back once and follows it. A node that dies leaves its claims as SENT; they become CONNECTION_LOST
(`Store.bury`).
"""

import asyncio
import logging
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from cpo.gateway import ending, frames, outgoing, schemas
from cpo.gateway.connection import Connection, ConnectionLost, NotSent
from cpo.gateway.frames import CallError, PayloadError
from cpo.gateway.operation_states import OperationState
from cpo.gateway.store import UNREACHABLE, Store

logger = logging.getLogger(__name__)

OFFLINE_SECONDS = 5
_MISSED = 2_000

_CLAIM = """
    UPDATE cpo_operation SET state = 'SENT', sent_at = clock_timestamp(), node = %s, epoch = %s
    WHERE state = 'QUEUED' AND id = (
        SELECT o.id FROM cpo_operation AS o JOIN cpo_chargepoint AS c ON c.id = o.charge_point_id
        WHERE o.charge_point_id = %s AND c.epoch = %s AND o.state = 'QUEUED'
            AND (o.expires_at IS NULL OR o.expires_at > clock_timestamp())
        ORDER BY o.created_at, o.id LIMIT 1 FOR UPDATE OF o SKIP LOCKED)
    RETURNING id, action, payload, timeout_s, protocol
"""
# The charge point moved before a byte was written: whoever has it now may send it. The error marks that it did so once.
_FOLLOW = """
    UPDATE cpo_operation SET state = 'QUEUED', sent_at = NULL, error = 'moved'
    WHERE id = %s AND state = 'SENT' AND error = '' RETURNING id
"""
# The answer may be written down before the note that its question is on the wire is, and without it.
_SETTLE = """
    UPDATE cpo_operation SET state = %s, answer = %s, error = %s, ended_at = clock_timestamp(),
        on_wire_at = coalesce(on_wire_at, clock_timestamp() - make_interval(secs => %s::float8))
    WHERE id = %s AND state = 'SENT'
"""
# Nobody waits until this is on the disk, as the claim was: it is only told to whoever asks.
_ON_WIRE = """
    WITH wired AS (
        UPDATE cpo_operation SET on_wire_at = clock_timestamp() WHERE id = %s AND on_wire_at IS NULL RETURNING id)
    SELECT pg_notify('ocpp_operation_sent', id::text), set_config('synchronous_commit', 'off', true) FROM wired
"""
_OFFLINE = """
    UPDATE cpo_operation AS o SET state = 'CONNECTION_LOST', ended_at = clock_timestamp(), error = 'OFFLINE'
    FROM cpo_chargepoint AS c
    WHERE o.charge_point_id = c.id AND o.state = 'QUEUED' AND NOT o.deliver_later AND NOT c.online
        AND o.created_at < clock_timestamp() - make_interval(secs => %s)
"""
_EXPIRED = """
    UPDATE cpo_operation SET state = 'EXPIRED', ended_at = clock_timestamp()
    WHERE state = 'QUEUED' AND expires_at <= clock_timestamp()
"""
# A claim whose connection is no longer the newest, or whose time is long over: nobody will settle it any more.
_FORGOTTEN = """
    UPDATE cpo_operation AS o SET state = 'CONNECTION_LOST', ended_at = clock_timestamp(), error = 'never settled'
    WHERE o.state = 'SENT' AND o.sent_at < clock_timestamp() - make_interval(secs => o.timeout_s + 30)
"""
_WAITING = "SELECT DISTINCT charge_point_id FROM cpo_operation WHERE state = 'QUEUED'"

Ending = tuple[OperationState, str | None, str]


class OperationRunner:
    """The operations of one node."""

    def __init__(self, store: Store, node: str, holds: Callable[[int], Connection | None]) -> None:
        self._store = store
        self._node = node
        self._holds = holds
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._again: set[int] = set()
        self._missed: OrderedDict[int, None] = OrderedDict()
        self._notes: set[asyncio.Task[None]] = set()
        self._wired: dict[uuid.UUID, float] = {}  # what is on the wire, and since when, on the loop's clock

    def hear(self, note: str) -> None:
        self.wake(int(note))

    def wake(self, charge_point: int) -> None:
        """Look for operations of a charge point, if it is here."""
        if self._holds(charge_point) is None:
            self._missed[charge_point] = None
            if len(self._missed) > _MISSED:
                self._missed.popitem(last=False)
            return
        if charge_point in self._tasks:
            self._again.add(charge_point)
            return
        task = asyncio.create_task(self._run(charge_point))
        self._tasks[charge_point] = task
        task.add_done_callback(lambda _: self._done(charge_point))

    def missed(self, charge_point: int) -> bool:
        """Return whether a note came for it while it was not here, or not quite yet."""
        return self._missed.pop(charge_point, False) is None

    def _done(self, charge_point: int) -> None:
        self._tasks.pop(charge_point, None)
        if charge_point in self._again:
            self._again.discard(charge_point)
            self.wake(charge_point)

    @property
    def busy(self) -> bool:
        return bool(self._tasks)

    async def stop(self) -> None:
        """Let what has lost its socket be settled; `Store.bury` ends the rest."""
        self._again.clear()
        await ending.settle([*self._tasks.values(), *self._notes], 0.5)

    async def _run(self, charge_point: int) -> None:
        connection = self._holds(charge_point)
        if connection is None:
            return
        async with connection.asking:
            while self._holds(charge_point) is connection and not connection.leaving and await self._one(connection):
                pass

    async def _one(self, connection: Connection) -> bool:
        values = (self._node, connection.epoch, connection.record.id, connection.epoch)
        try:
            claimed = await self._store.fetch(_CLAIM, values)
        except UNREACHABLE as error:
            logger.warning("ocpp operations unreachable: %s", str(error).strip()[:200])
            return False  # the next sweep looks again
        if not claimed:
            return False
        operation, action, payload, timeout_s, protocol = claimed[0]
        if protocol and not outgoing.same_family(protocol, connection.version):
            why = f"it was asked for in OCPP {protocol}, the charge point now speaks {connection.version}"
            await self._settle(operation, (OperationState.CANCELLED, None, why))
            return True
        began = asyncio.get_running_loop().time()
        try:
            ending = await self._send(connection, operation, action, payload, timeout_s)
        except NotSent:
            if await self._give_back(operation):
                return False
            ending = OperationState.CONNECTION_LOST, None, "the charge point moved twice before it could be sent"
        connection.services.watch.ended(action, ending[0].value, asyncio.get_running_loop().time() - began)
        await self._settle(operation, ending)
        return True

    async def _give_back(self, operation: uuid.UUID) -> bool:
        try:
            return bool(await self._store.fetch(_FOLLOW, (operation,)))
        except UNREACHABLE:
            return False

    async def _send(
        self, connection: Connection, operation: uuid.UUID, action: str, payload: str, timeout_s: float
    ) -> Ending:
        trigger = action == "TriggerMessage" and '"BootNotification"' in payload
        if connection.record.boot_status == "Rejected" and not trigger:
            return OperationState.CANCELLED, None, "the charge point is rejected"
        if action not in schemas.actions(connection.version):
            return OperationState.CANCELLED, None, f"OCPP {connection.version} has no {action}"
        try:
            outcome = await connection.ask(
                str(operation),
                action,
                frames.read_payload(payload),
                timeout_s,
                on_wire=lambda: self._note_on_wire(operation),
            )
        except NotSent:
            raise
        except TimeoutError:
            return OperationState.TIMEOUT, None, f"no answer within {timeout_s:g} s"
        except ConnectionLost:
            return OperationState.CONNECTION_LOST, None, "the connection closed before the answer"
        result = outcome.result
        if isinstance(result, CallError):
            error_text = f"{result.code}: {result.description}".replace("\x00", "")
            return OperationState.CALLERROR, frames.payload_text(_details(result)), error_text
        try:
            lenient = connection.record.lenient
            frames.check_payload(connection.version, action, result.payload, answer=True, lenient=lenient)
        except PayloadError as error:
            await connection.refuse(result, error.fault, error.text)
            return OperationState.INVALID_ANSWER, result.text, error.text
        return OperationState.ANSWERED, result.text, ""

    def _note_on_wire(self, operation: uuid.UUID) -> None:
        # Beside the waiting for the answer: whoever has asked for it learns that it is out (OCPP-115).
        self._wired[operation] = asyncio.get_running_loop().time()
        task = asyncio.create_task(self._say_on_wire(operation))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _say_on_wire(self, operation: uuid.UUID) -> None:
        try:
            await self._store.execute(_ON_WIRE, (operation,))
        except UNREACHABLE as error:
            logger.warning("ocpp operations unreachable: %s", str(error).strip()[:200])

    async def _settle(self, operation: uuid.UUID, ending: Ending) -> None:
        state, answer, error_text = ending
        wired, clock = self._wired.pop(operation, None), asyncio.get_running_loop().time
        for pause in (0.2, 0.5, 1, 2, 4, 8, None):
            try:
                on_wire = None if wired is None else clock() - wired
                await self._store.execute(_SETTLE, (state.value, answer, error_text, on_wire, operation))
                return
            except UNREACHABLE:
                if pause is None:
                    logger.exception("ocpp operation not settled: %s %s", operation, state)
                    return
                await asyncio.sleep(pause)

    async def sweep(self) -> None:
        """End what can no longer be sent, and look for what notes have been lost of."""
        await self._store.execute(_EXPIRED)
        await self._store.execute(_OFFLINE, (OFFLINE_SECONDS,))
        await self._store.execute(_FORGOTTEN)
        rows: list[tuple[Any, ...]] = await self._store.fetch(_WAITING)
        for (charge_point,) in rows:
            self.wake(charge_point)

    async def trigger_boot(self, connection: Connection) -> None:
        """Ask a charge point we know nothing about to introduce itself (OCPP-33)."""
        await self._store.execute(
            """INSERT INTO cpo_operation (id, charge_point_id, action, payload, asked_by)
               VALUES (%s, %s, 'TriggerMessage', '{"requestedMessage":"BootNotification"}', 'gateway')""",
            (uuid.uuid4(), connection.record.id),
        )


def _details(error: CallError) -> Any:
    return {
        "errorCode": error.code,
        "errorDescription": error.description,
        "errorDetails": frames.read_payload(error.details),
    }
