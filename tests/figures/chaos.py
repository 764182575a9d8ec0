"""FIG-01: 30,000 messages while processes, PostgreSQL and Redis fall: nothing lost, nothing out of order.

A hub of two web servers, three workers and a beat takes the changes of 50 EVSEs in, each for 20 receivers. Meanwhile
processes are killed, PostgreSQL crashes, Redis is emptied, frozen and stopped, a worker is frozen, a receiver is down,
and of each hundred requests of a receiver two are answered with 503 and one is not answered after its work was done.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.figures import verdict
from tests.figures.faults import Faults, Hub
from tests.figures.figure import Options, Report, say
from tests.figures.place import Place, place
from tests.figures.receivers import Receivers
from tests.figures.senders import EvseSender
from tests.figures.world import platforms, show_up
from tests.load import objects

_REDIS, _DOWN, _FROZEN = ("Redis frozen", "Redis stopped"), "a receiver down", "a worker frozen"
_CRASH, _EMPTIED = "crash of PostgreSQL", "Redis emptied"
_GRACE_SECONDS = 3  # for a receiver that comes back, in place of ten minutes


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, as counted."""

    killed: int
    counts: dict[str, int]  # of the receivers


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    receivers: int
    locations: int
    evses: int  # of each Location
    per_second: float  # messages
    seconds: float
    quiet_seconds: float
    machines: tuple[tuple[str, ...], ...]
    kills: int
    crashes: int
    flushes: int
    away: float  # seconds that Redis is frozen, and stopped
    frozen: float  # seconds that a worker is
    down: float  # seconds that a receiver is
    settle: float  # seconds in which everything has to have arrived

    @property
    def messages(self) -> int:
        return int(self.per_second * self.seconds)


_WEB, _WORKER, _BEAT = ("web",), ("worker",), ("beat",)
FULL = Size(
    20, 10, 5, 300.0, 100.0, 15.0, (_WEB, _WEB, _WORKER, _WORKER, _WORKER, _BEAT), 64, 3, 5, 10.0, 15.0, 30.0, 60.0
)
SHORT = Size(5, 4, 3, 50.0, 4.0, 0.0, (("web", "worker"), ("worker", "beat")), 3, 1, 1, 0.7, 0.0, 1.5, 60.0)


def run(options: Options) -> Report:
    """Run the figure."""
    size = SHORT if options.short else FULL
    report = Report("FIG-01 chaos", options)
    with place(short=options.short) as found:
        _run(found, size, options, report)
    return report


def _run(found: Place, size: Size, options: Options, report: Report) -> None:
    receivers = Receivers(found, size.receivers, seed=options.seed)
    database = found.database("chaos")
    ids = found.seed(database, platforms(receivers))
    objects.load_shared(database, ids["cpo"], size.locations)
    hub = Hub(found, database, size.machines, env={"OCPI_PULL_GRACE": str(_GRACE_SECONDS)})
    found.checkpoint()
    versions: dict[str, int] = {}
    quiet = _quiet(hub, receivers, size, versions) if size.quiet_seconds else None

    receivers.forget()
    receivers.fail(unavailable=2, lost=1)
    sender = EvseSender(
        hub.ports, locations=size.locations, evses=size.evses, per_second=size.per_second / size.receivers,
        versions=versions,
    )  # fmt: skip
    faults, chosen = _faults(size, hub, receivers, random.Random(options.seed))
    say(f"{size.messages} messages at {size.per_second:g}/s, {size.receivers} receivers")
    faults.start()
    sender.start(size.messages // size.receivers)
    answered = sender.join(size.seconds * 3 + 60)
    faults.join(120)
    loaded = time.monotonic()
    judged = verdict.settled(sender, receivers, range(size.receivers), seconds=size.settle)
    settled = time.monotonic() - loaded
    hub_ended = hub.ended_by_themselves()
    _lines(report, size, judged, faults, chosen, Done(hub.killed.total(), receivers.counts()), quiet)
    hub.stop()
    faults.end()
    report.add("changes never answered with 1000", float(not answered) + len(sender.refused), "", most=0)
    report.add("processes that ended by themselves", len(hub_ended), "", most=0)
    say(
        f"the last message was settled {settled:.1f} s after the last was sent; {sender.repeats} requests were repeated"
    )
    for state in judged.out_of_order[:20]:
        near = [f"{span.what} {state.at - span.start:.2f} s before" for span in [*faults.spans, *hub.kills]
                if span.start <= state.at <= min(span.end, span.start + 60) + 2]  # fmt: skip
        say(
            f"out of order: receiver {state.receiver} {state.name} {state.version}: {', '.join(near) or 'nothing near'}"
        )
    for line in [*hub_ended[:5], *sender.refused[:5], *faults.failed]:
        say(line)


def _quiet(hub: Hub, receivers: Receivers, size: Size, versions: dict[str, int]) -> float:
    """Return the p99 of the same load with nothing in its way (s)."""
    say(f"{size.quiet_seconds:g} s without faults")
    sender = EvseSender(
        hub.ports, locations=size.locations, evses=size.evses, per_second=size.per_second / size.receivers,
        versions=versions,
    )  # fmt: skip
    sender.start(int(size.per_second / size.receivers * size.quiet_seconds))
    sender.join(size.quiet_seconds + 60)
    return verdict.settled(sender, receivers, range(size.receivers), seconds=size.settle).percentile(0.99)


def _faults(size: Size, hub: Hub, receivers: Receivers, draw: random.Random) -> tuple[Faults, int]:
    """Draw what happens when, and which receiver is down for a while."""
    faults = Faults()
    end = size.seconds * 0.95
    for number in range(size.kills):
        faults.at(
            end * (number + draw.random()) / size.kills, "kill", lambda: say(f"killed: {hub.kill(draw) or 'nobody'}")
        )
    for number in range(size.crashes):
        moment = end * (number + draw.uniform(0.2, 0.8)) / size.crashes
        faults.span(moment, 0.01, _CRASH, hub.place.crash_database, lambda: None)
    broker = hub.place.broker
    # Redis is there again before it is emptied or taken away once more.
    frozen, stopped = draw.uniform(0.1, 0.2) * size.seconds, draw.uniform(0.45, 0.55) * size.seconds
    faults.span(frozen, size.away, _REDIS[0], broker.freeze, broker.thaw)
    faults.span(stopped, size.away, _REDIS[1], broker.stop, broker.start)
    there = [(0.0, frozen), (frozen + size.away + 1, stopped), (stopped + size.away + 1, end)]
    for number in range(size.flushes):
        faults.at(draw.uniform(*there[number % len(there)]), _EMPTIED, broker.flush)
    if size.frozen:
        thaw: list[Callable[[], None]] = []
        faults.span(
            draw.uniform(0.3, 0.75) * size.seconds, size.frozen, _FROZEN,
            lambda: thaw.append(hub.freeze_worker(draw)), lambda: thaw.pop()(),
        )  # fmt: skip
    chosen = draw.randrange(size.receivers)

    def back() -> None:
        receivers.up(chosen)
        threading.Thread(target=show_up, args=(hub.ports, chosen), daemon=True).start()

    faults.span(draw.uniform(0.2, 0.5) * size.seconds, size.down, _DOWN, lambda: receivers.down(chosen), back)
    return faults, chosen


def _lines(
    report: Report, size: Size, judged: verdict.Verdict, faults: Faults, chosen: int, done: Done, quiet: float | None
) -> None:
    full = not report.options.short
    report.add("messages", judged.messages, least=size.messages)
    report.add("kills", done.killed, least=size.kills)
    for name, least in ((_CRASH, size.crashes), (_EMPTIED, size.flushes), *((what, 1) for what in _REDIS), (_DOWN, 1)):
        report.add(name, faults.done[name], least=least)
    if size.frozen:
        report.add(_FROZEN, faults.done[_FROZEN], least=1)
    for what, long in ((_REDIS[0], size.away), (_REDIS[1], size.away), (_FROZEN, size.frozen), (_DOWN, size.down)):
        if long:
            seconds = sum(span.end - span.start for span in faults.of(what))
            report.add(f"{what}: for", round(seconds, 1), "s", least=long)
    answers = sum(done.counts.get(name, 0) for name in ("ok", "busy", "lost"))
    for name, what, share in (("busy", "answered with 503", 2), ("lost", "not answered after the work", 1)):
        value = round(100 * done.counts.get(name, 0) / max(answers, 1), 2)
        report.add(f"requests {what}", value, "%", least=share * 0.8 if full else 0.0)
    report.add("lost", len(judged.lost), "messages", most=0)
    report.add("stale at the end", judged.stale, "objects of receivers", most=0)
    report.add("out of order", len(judged.out_of_order), "messages", most=0)
    allowed = 3 * done.killed + done.counts.get("lost", 0)
    report.add("arrived twice", judged.twice, "messages", most=allowed)
    down, away = faults.of(_DOWN), [span for what in _REDIS for span in faults.of(what)]

    def up(to: int, sent: float, arrived: float) -> bool:
        return to != chosen or not any(span.touches(sent, arrived) for span in down)

    def counts(to: int, sent: float, arrived: float) -> bool:
        return up(to, sent, arrived) and not any(span.holds(sent) for span in away)

    limits: dict[str, float | None] = {}
    if full:
        limits = {"most": 1.5, "quiet": None if quiet is None else round(quiet, 3)}
    report.add("p99 to receivers that are up, Redis there", round(judged.percentile(0.99, counts), 3), "s", **limits)
    report.add(
        "left out of it: the receiver was down", judged.messages - len(judged.lost) - judged.counted(up), "messages"
    )
    report.add("left out of it: sent while Redis was away", judged.counted(up) - judged.counted(counts), "messages")
    report.add("p99 to receivers that are up, Redis away or not", round(judged.percentile(0.99, up), 3), "s")
    report.add("time to pull (OCPI_PULL_GRACE), in place of 600", _GRACE_SECONDS, "s")
    report.add("p50, nothing left out", round(judged.percentile(0.5), 3), "s")
    report.add("longest, nothing left out", round(judged.percentile(1.0), 3), "s")
