"""Sends the requests of a generator to an instance with several connections, and counts what must not happen."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from tests.fuzz.generator import Attempt, Generator
from tests.fuzz.wire import Connection, Reply
from tests.fuzz.world import Target

_KEPT = 20


@dataclass(slots=True)
class Counts:
    """What came of the requests."""

    sent: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    by_status: Counter[int] = field(default_factory=Counter)
    by_code: Counter[int] = field(default_factory=Counter)
    http_5xx: int = 0
    ocpi_3xxx: int = 0
    undocumented: int = 0
    unanswered: int = 0
    front_server: int = 0  # refused by the web server before OCPI saw it
    failures: list[str] = field(default_factory=list)

    def fail(self, attempt: Attempt, text: str) -> None:
        if len(self.failures) < _KEPT:
            self.failures.append(f"{text}\n    {attempt}")


def storm(
    target: Target, requests: int, *, seed: int, connections: int, progress: Callable[[int], None], counts: Counts
) -> None:
    """Send so many requests; every connection has its own part of the seed."""
    document = target.document
    threads = [
        threading.Thread(
            target=_send,
            args=(target, Generator(document, target.actors, f"{seed}/{target.side}/{number}"),
                  requests // connections + (number < requests % connections), progress, counts),
        )
        for number in range(connections)
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


_counting = threading.Lock()


def _send(target: Target, generator: Generator, requests: int, progress: Callable[[int], None], counts: Counts) -> None:
    with Connection(target.instance.url) as connection:
        for attempt in islice(generator.attempts(), requests):
            try:
                reply = connection.send(attempt)
            except TimeoutError:
                reply = None
            with _counting:
                counts.sent += 1
                counts.by_kind[attempt.kind] += 1
                _judge(attempt, reply, generator, counts)
            progress(1)


def _judge(attempt: Attempt, reply: Reply | None, generator: Generator, counts: Counts) -> None:
    """Count an answer, and keep what is wrong with it."""
    if reply is None or not reply.http_status:
        counts.unanswered += 1
        counts.fail(attempt, "no answer in time" if reply is None else "the connection was closed")
        return
    counts.by_status[reply.http_status] += 1
    if reply.http_status >= 500:
        counts.http_5xx += 1
        counts.fail(attempt, f"HTTP {reply.http_status} {reply.body[:500]!r}")
        return
    if attempt.method == "HEAD":
        return
    if not reply.headers.get("Content-Type", "").startswith("application/json"):
        if reply.headers.get("Connection", "").lower() == "close" and reply.http_status in (400, 414, 431, 501, 505):
            counts.front_server += 1
            return
        counts.undocumented += 1
        counts.fail(attempt, f"HTTP {reply.http_status} without an envelope: {reply.body[:300]!r}")
        return
    code = json.loads(reply.body).get("status_code", 0)
    counts.by_code[code] += 1
    if 3000 <= code < 4000:
        counts.ocpi_3xxx += 1
        counts.fail(attempt, f"OCPI {code} {reply.body[:500]!r}")
        return
    _document(attempt, reply, generator, counts)


def _document(attempt: Attempt, reply: Reply, generator: Generator, counts: Counts) -> None:
    """Hold an answer against the OpenAPI document."""
    methods = generator.surface.methods(attempt.target.partition("?")[0])
    operation = methods.get(attempt.method.upper())
    if operation is None:
        accepted = json.loads(reply.body)["status_code"] == 1000
        if accepted and not attempt.target.startswith("/ocpi/hub/"):  # a hub passes on what it does not know
            counts.undocumented += 1
            counts.fail(attempt, "accepted, but not in the document")
        return
    if operation.method == "GET" and operation.told["x-ocpi-role"] == "RECEIVER":
        return  # an object is as its owner sent it, also where it bends a rule in a way we bear
    if problems := operation.problems(reply.http_status, reply.headers, reply.body):
        counts.undocumented += 1
        counts.fail(attempt, f"not as documented: {'; '.join(problems)[:600]}")
