"""200 charge points charge while gateway nodes, workers, PostgreSQL and Redis are killed: the CPO's books stay exact.

Two gateway nodes, as behind a balancer, two worker machines. At the end every session and every Wh at the CPO is what
the charge points metered, exactly; each session has one CDR; each answered message is there, and none twice (OCPP-98).
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.figures.faults import Faults
from tests.figures.figure import Options, Report, say
from tests.figures.gateway_books import Audit
from tests.figures.gateway_points import Books, Point
from tests.figures.gateway_world import Cpo, until
from tests.figures.place import Place, place

_CRASH, _REDIS, _GATEWAY, _WORKER = "crash of PostgreSQL", "Redis stopped", "gateway killed", "worker killed"


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    points: int
    seconds: float
    quiet_seconds: float
    gateways: int
    workers: int
    gateway_kills: int
    worker_kills: int
    crashes: int
    redis: int
    pause: float  # of a charge point between two messages
    settle: float


FULL = Size(200, 120.0, 30.0, 2, 2, 24, 10, 4, 4, 1.0, 240.0)
SHORT = Size(10, 4.0, 0.0, 1, 1, 2, 1, 1, 1, 0.1, 60.0)


def run(options: Options) -> Report:
    """Run the figure: first quiet, then with faults, each with a CPO of its own."""
    size = SHORT if options.short else FULL
    report = Report("gateway-chaos", options)
    quiet: Books | None = None
    with place(short=options.short) as found:
        if size.quiet_seconds:
            say(f"{size.quiet_seconds:g} s without faults")
            quiet = _charging(found, size, options, size.quiet_seconds, None)
        books = _charging(found, size, options, size.seconds, report)
    limits = {"quiet": round(quiet.percentile(0.99), 3)} if quiet is not None else {}
    report.add("answers p50", round(books.percentile(0.5), 3), "s")
    report.add("answers p99, faults included", round(books.percentile(0.99), 3), "s", **limits)
    return report


def _versions(size: Size) -> list[tuple[str, str]]:
    return [(f"CHAOS-{number:03}", "1.6" if number % 2 else "2.0.1") for number in range(size.points)]


def _charging(found: Place, size: Size, options: Options, seconds: float, report: Report | None) -> Books:
    cpo = Cpo(found, _versions(size), gateways=size.gateways, workers=size.workers)
    books = Books()
    points = [
        Point(identity, version, cpo.urls, books, options.seed, pause=size.pause)
        for identity, version in _versions(size)
    ]
    driver = Driver(points)
    faults = _faults(size, seconds, cpo, random.Random(options.seed)) if report is not None else Faults()
    driver.start()
    until(lambda: {each.identity for each in books.metered} == {each.identity for each in points}, 120)
    faults.start()
    began = time.monotonic()
    faults.join(seconds + 60)
    time.sleep(max(0.0, began + seconds - time.monotonic()))
    say(f"{len(books.metered)} sessions begun, {len(books.answered)} messages answered; the cars leave")
    left = driver.finish(size.settle)
    audit = Audit(cpo.database)
    settled = until(lambda: audit.waiting() == 0, size.settle)
    differences = audit.differences(books)
    driver.close()
    cpo.stop()
    faults.end()
    for line in [*differences.all()[:12], *books.failed[:5], *books.refused[:5], *faults.failed]:
        say(line)
    if report is not None:
        for name, least in ((_GATEWAY, size.gateway_kills), (_WORKER, size.worker_kills), (_CRASH, size.crashes),
                            (_REDIS, size.redis)):  # fmt: skip
            report.add(name, faults.done[name], least=least)
        report.add("sessions", len(books.metered), least=size.points)
        report.add("sessions of OCPP 2.0.1", sum(each.version != "1.6" for each in books.metered))
        report.add("energy metered", float(differences.kwh), "kWh")
        report.add("messages answered", len(books.answered), least=7 * size.points)
        report.add("sent again", sum(each.repeats for each in books.answered), "times")
        report.add("connections", books.connects, least=size.points)
        report.add("cars that could not leave", float(not left), most=0)
        report.add("still to be applied at the end", float(not settled), most=0)
        report.add("transactions missing, twice or nobody's", len(differences.transactions), most=0)
        report.add("transactions whose meter differs", len(differences.energy), most=0)
        report.add("sessions whose kWh differs", len(differences.sessions), most=0)
        report.add("sessions without exactly one CDR of their kWh", len(differences.cdrs), most=0)
        report.add("sessions that lack meter readings", len(differences.readings), most=0)
        report.add("answered messages lost", len(differences.lost), most=0)
        report.add("messages and readings doubled", len(differences.doubled), most=0)
        report.add("refused with an error", len(books.failed), most=0)
        report.add("cards not accepted while no worker lived to decide", len(books.refused))
        report.add("parked for an operator", differences.parked + differences.unmatched, most=0)
    elif differences.all() or not left:
        raise RuntimeError(f"the quiet run is not clean: {differences.all()[:5]}")
    return books


def _faults(size: Size, seconds: float, cpo: Cpo, draw: random.Random) -> Faults:
    faults = Faults()
    end = seconds * 0.9

    def spread(number: int) -> Sequence[float]:
        return [end * (each + draw.random()) / number for each in range(number)]

    for moment in spread(size.gateway_kills):
        faults.at(moment, _GATEWAY, lambda: cpo.kill_gateway(draw))
    for moment in spread(size.worker_kills):
        faults.at(moment, _WORKER, lambda: cpo.kill_worker(draw))
    for moment in spread(size.crashes):
        faults.at(moment, _CRASH, cpo.place.crash_database)
    for moment in spread(size.redis):
        faults.span(moment, 1.0, _REDIS, cpo.place.broker.stop, cpo.place.broker.start)
    return faults


class Driver:
    """The charge points in a thread of their own."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = points
        self._coming = True
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._live(),), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self, seconds: float) -> bool:
        """Let no more cars come; say whether all that charge have left in time."""
        self._coming = False
        return self._left.wait(seconds)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(20)
        self._loop.close()

    async def _live(self) -> None:
        running = [asyncio.create_task(point.run()) for point in self._points]
        charging = [asyncio.create_task(point.charge(lambda: self._coming)) for point in self._points]
        leaving = asyncio.create_task(self._leave(charging))
        await self._over.wait()
        for point in self._points:
            await point.end()
        for task in (*charging, *running):
            task.cancel()
        await asyncio.gather(*running, *charging, leaving, return_exceptions=True)

    async def _leave(self, charging: Sequence[asyncio.Task[None]]) -> None:
        await asyncio.gather(*charging)
        self._left.set()
