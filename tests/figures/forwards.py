"""FIG-05: Direct requests to 20 receivers, 6 of which take everything in and never answer; the others notice nothing.

A CPO sends Sessions through the hub, each receiver's at its own pace, however long an answer takes; first to receivers
that all answer, then with the silent ones among them. What counts is when the requester has its answer.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.figures.figure import Options, Report, say
from tests.figures.place import Place, place
from tests.figures.receivers import Receivers
from tests.figures.world import platforms
from tests.load import registry
from tests.load.client import TIME
from tests.load.harness import http

_PER_PLATFORM = 8  # requests that may wait for one platform; the setting's default
_ANSWER_SECONDS = 40.0  # a requester's patience, longer than the hub's


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    receivers: int
    silent: int
    per_second: float  # requests to each receiver
    seconds: float  # of each of the two runs


FULL = Size(20, 6, 20.0, 60.0)
SHORT = Size(7, 2, 20.0, 2.0)


@dataclass(slots=True)
class Seen:
    """What the requester saw: for each receiver the times of its answers, and how often each status code came."""

    times: dict[int, list[float]] = field(default_factory=dict)
    codes: dict[int, Counter[str]] = field(default_factory=dict)

    def note(self, receiver: int, code: str, seconds: float) -> None:
        """Note one request."""
        self.times.setdefault(receiver, []).append(seconds)
        self.codes.setdefault(receiver, Counter())[code] += 1

    def percentile(self, receivers: list[int], share: float) -> float:
        """Return the time within which this share of the answers came, in seconds."""
        found = sorted(moment for number in receivers for moment in self.times.get(number, []))
        return found[min(len(found) - 1, int(len(found) * share))] if found else float("inf")

    def failed(self, receivers: list[int]) -> int:
        """Return how many requests to these receivers were not answered with 1000."""
        return sum(len(self.times.get(number, [])) for number in receivers) - self.count(receivers, "1000")

    def count(self, receivers: list[int], *codes: str) -> int:
        """Return how many requests to these receivers ended with one of the codes."""
        return sum(self.codes.get(number, Counter())[code] for number in receivers for code in codes)


def run(options: Options) -> Report:
    """Run the figure."""
    size = SHORT if options.short else FULL
    report = Report("FIG-05 forwards", options)
    with place(short=options.short) as found:
        _run(found, size, options, report)
    return report


def _run(found: Place, size: Size, options: Options, report: Report) -> None:
    receivers = Receivers(found, size.receivers, seed=options.seed)
    database = found.database("forwards")
    listed = platforms(receivers)
    found.seed(database, listed)
    # Nobody waits for the real time limit in a few seconds of everything.
    hub = found.instance("hub", database, {"OCPI_FORWARD_TIMEOUT": "3"} if options.short else {})
    silent = sorted(random.Random(options.seed).sample(range(size.receivers), size.silent))
    others = [number for number in range(size.receivers) if number not in silent]
    requests = [_request(number, listed[number + 1]["parties"][0]) for number in range(size.receivers)]
    load(hub.port, requests, size.per_second, 1.0)  # connections are made, callers are known
    quiet = load(hub.port, requests, size.per_second, size.seconds)
    receivers.never_answer(silent)
    say(f"silent from now on: {silent}")
    judged = load(hub.port, requests, size.per_second, size.seconds)
    held = receivers.counts().get("held", 0)
    found.stop(hub)
    full = not options.short
    sent = int(size.per_second * size.seconds)
    asked = sum(len(judged.times.get(number, [])) for number in others)
    report.add("requests to the others", asked, least=int(len(others) * sent * 0.95))
    report.add("of them not answered with 1000", judged.failed(others), most=0 if full else asked // 20)
    report.add("requests that a receiver held", held, least=size.silent)
    everybody = list(range(size.receivers))
    report.add("refused or broken connections", judged.count(everybody, "error"), most=0)
    report.add(
        "answered 4002 or 4003", judged.count(silent, "4002", "4003"), "requests", least=size.silent * sent * 0.95
    )
    most = max((count for number in silent for count in [judged.codes[number]["4002"]]), default=0)
    report.add("waited for one silent receiver until its time was over", most, "requests", most=3 * _PER_PLATFORM)
    before, after = quiet.percentile(others, 0.99) * 1000, judged.percentile(others, 0.99) * 1000
    report.add("p99 of the others", round(after), "ms", most=500.0 if full else None, quiet=round(before))
    quick = judged.percentile(silent, 0.5) * 1000
    report.add("p50 of the silent ones' requests: answered 4003 at once", round(quick), "ms")


def _request(number: int, party: list[str]) -> bytes:
    body = f'{{"kwh":12.5,"status":"ACTIVE","last_updated":"{TIME}"}}'.encode()
    headers = registry.headers(registry.CPO_TOKEN, registry.CPO, (party[0], party[1]))
    return http("PATCH", f"/ocpi/hub/2.2.1/receiver/sessions/NL/TNM/SESSION-{number}", headers, body)


# ---------------------------------------------------------------- the requester


def load(port: int, requests: list[bytes], per_second: float, seconds: float) -> Seen:
    """Send each request so often per second, whether answers come or not, and return what came."""
    return asyncio.run(_send_all(port, requests, per_second, seconds))


async def _send_all(port: int, requests: list[bytes], per_second: float, seconds: float) -> Seen:
    """Send at the pace, whether answers come or not; wait for the last of them."""
    seen, idle = Seen(), list[Any]()
    started, count = time.perf_counter(), int(per_second * seconds) * len(requests)
    tasks = []
    for number in range(count):
        pause = started + number / (per_second * len(requests)) - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        receiver = number % len(requests)
        tasks.append(asyncio.create_task(_ask(port, requests[receiver], receiver, idle, seen)))
    await asyncio.gather(*tasks)
    for _, writer in idle:
        writer.close()
    return seen


async def _ask(port: int, request: bytes, receiver: int, idle: list[Any], seen: Seen) -> None:
    asked_at = time.perf_counter()
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
            body = await reader.readexactly(length)
        idle.append((reader, writer))
        code = body.partition(b'"status_code":')[2][:4].decode()
    except (OSError, asyncio.IncompleteReadError):
        code = "error"
    seen.note(receiver, code, time.perf_counter() - asked_at)
