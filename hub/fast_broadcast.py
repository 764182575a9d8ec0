"""Broadcasts in the fast lane: kept and marked on a thread of those for pages, answered without entering Django.

What a hub does most is to take the status of an EVSE for all. The rules were asked in the event loop (`fast_lane`); the
database's part is the same function that `hub/views.py` calls.
"""

from __future__ import annotations

from hub import fanout
from hub.fast_message import Message, Reply
from hub.fast_threads import Threads
from hub.routing import Asked, Broadcast
from ocpi import defects, envelope, message_defects, status
from ocpi.headers import Address
from ocpi.snapshot import Snapshot


async def answer(
    message: Message, asked: Asked, route: Broadcast, *, registry: Snapshot, hub: Address, correlation_id: str,
    threads: Threads,
) -> Reply:  # fmt: skip
    """Take a push that is for all and return what is answered.

    :raises OcpiError: as `fanout.receive`.
    """
    is_new = await threads.run_with_care(_received, message, asked, route, registry, hub, correlation_id)
    body = envelope.compose(1000, "Success")
    return Reply(201 if is_new else 200, {"Content-Type": "application/json"}, body)


def _received(
    message: Message, asked: Asked, route: Broadcast, registry: Snapshot, hub: Address, correlation_id: str
) -> bool:
    with defects.reading(asked.caller.id, f"{message.method} {message.path}"):
        try:
            return fanout.receive(
                asked, route, query=message.query, body=message.content, snapshot=registry, hub=hub,
                correlation_id=correlation_id,
            )  # fmt: skip
        except status.InvalidParameters as error:
            defects.noted([message_defects.of_refusal(error)])
            raise
