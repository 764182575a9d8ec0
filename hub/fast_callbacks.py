"""Results of commands and profiles, pages and CDRs on their way back through URLs of the hub, in the event loop.

The same rules as `hub.views.CallbackView`, in its order, and the limits of every Direct request (REL-24): whoever waits
for a requester that does not answer holds no thread.
"""

from __future__ import annotations

import time

from hub import callbacks, forwarding, returning
from hub.fast_doors import EventLoopDoors
from hub.fast_message import Message, Reply, limit_of
from hub.fast_replies import finish, refusal, reply_of
from ocpi import authentication, defects, door, json_text, message_defects, ours, status
from ocpi.headers import Ids, Routing, read_ids, read_routing, read_sender
from ocpi.snapshot import Snapshot
from ocpi.views import check_encoding

METHODS = ("GET", "POST")


async def answer(
    message: Message, caller: authentication.Caller, registry: Snapshot, doors: EventLoopDoors, started: float
) -> Reply:
    """Answer a request at a URL of the hub that stands for a partner's; `started` on `time.perf_counter`."""
    get = message.headers.get
    ids, malformed = read_ids(get), None
    try:
        routing = read_routing(get)
    except status.InvalidParameters as error:
        routing, malformed = Routing(sender=read_sender(get)), error
    doors.heard_from(caller.platform)
    try:
        if message.admission is None:
            door.limit(caller)
        elif message.admission is not True:
            raise message.admission
        _note_what_is_odd(message, caller, ids)
        if malformed is not None:
            raise malformed
        if routing.sender is not None and not caller.platform.has_party(routing.sender):
            await doors.run(door.check_asker, caller, routing.sender, ())  # who is behind a hub may have to be read
        _check_body(message, caller)
        callback = await doors.run(callbacks.find, message.place.tail[0], caller_id=caller.platform.id)
        owner, onward = returning.way_of(callback, message.method, caller.platform, routing, registry)
        body = message.body if message.method == "POST" else b""
        passed = await forwarding.pass_back(
            callback, owner=owner, method=message.method, body=body, routing=onward, ids=ids, doors=doors
        )
        reply = reply_of(passed)
    except Exception as error:
        if isinstance(error, status.InvalidParameters):
            defects.note(caller.platform.id, message_defects.of_refusal(error), f"{message.method} {message.path}")
        reply = refusal(error)
    back = routing.answered_by(ours.addresses()[0]).as_headers()
    finish(message, reply, ids, routing, back, caller.platform.id, time.perf_counter() - started)
    return reply


def _note_what_is_odd(message: Message, caller: authentication.Caller, ids: Ids) -> None:
    with defects.reading(caller.platform.id, f"{message.method} {message.path}"):
        defects.noted(caller.deviations)
        defects.noted(message_defects.of_request(message.headers.get, ids, message.path, functional=True))


def _check_body(message: Message, caller: authentication.Caller) -> None:
    if message.method == "POST":
        with defects.reading(caller.platform.id, f"{message.method} {message.path}"):
            check_encoding(message.headers.get)
            json_text.read(message.body, limit=limit_of(message.place))
