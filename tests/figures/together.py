"""Five instances on one machine with random stops of any process: at the end all stores agree, each CDR is there once.

A hub, two CPOs with charge points, one eMSP of this project and one of another code base (`script_emsp.py`). Cars
charge with the cards of both eMSPs while one process after the other gets a SIGKILL: any child of an instance, a whole
instance, the script. Then charging ends, everybody is left alone until nothing is pending, and the stores are compared.
"""

from __future__ import annotations

import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub import embedded
from tests.figures.figure import Options, Report, say
from tests.figures.together_cars import Cars
from tests.figures.together_stores import Stores
from tests.figures.together_world import World, build

_SECONDS, _SHORT_SECONDS = 600.0, 25.0
_BETWEEN = (2.0, 7.0)  # seconds from one stop to the next
_SETTLING = 150.0  # seconds at most until nothing is pending


def run(options: Options) -> Report:
    """Run it all; the limits are the same in the short form, with less time and fewer stops."""
    report = Report("together", options)
    chance = random.Random(options.seed)
    with _world() as world, Cars(world.points, world.cards, chance) as cars:
        quiet = time.monotonic() + (5 if options.short else 20)
        while time.monotonic() < quiet:
            world.revive()
            time.sleep(0.2)
        stops = _disturb(world, chance, _SHORT_SECONDS if options.short else _SECONDS)
        say(f"stopped: {dict(stops)}; {cars.finished()} sessions have ended, letting the others end")
        world.repair()
        cars.finish(seconds=90)
        stores = Stores(world)
        ended = cars.transactions()
        settled = _until(lambda: stores.pending() == 0 and stores.uncharged(ended) == 0, world, _SETTLING)
        _until(lambda: not stores.differences(), world, 60)
        _judge(report, options, stops, cars, stores, settled)
    return report


def _disturb(world: World, chance: random.Random, seconds: float) -> Counter[str]:
    """Stop one process after the other; an instance's own supervisor, or we, start it again."""
    stops: Counter[str] = Counter()
    end = time.monotonic() + seconds
    following = time.monotonic()
    changes = time.monotonic() + 5
    while time.monotonic() < end:
        world.revive()
        if time.monotonic() >= following:
            stops[world.stop_one(chance)] += 1
            following = time.monotonic() + chance.uniform(*_BETWEEN)
        if time.monotonic() >= changes:
            world.change_something(chance)
            changes = time.monotonic() + 10
        time.sleep(0.1)
    return stops


def _until(ready: object, world: World, seconds: float) -> float:
    """Wait until something is so; return how long that took."""
    assert callable(ready)
    begun = time.monotonic()
    while time.monotonic() < begun + seconds:
        world.revive()
        if ready():
            break
        time.sleep(0.5)
    return time.monotonic() - begun


def _judge(report: Report, options: Options, stops: Counter[str], cars: Cars, stores: Stores, settled: float) -> None:
    report.add("stops", stops.total(), least=5 if options.short else 60)
    report.add("kinds of processes stopped", len(stops), least=3 if options.short else 10)
    report.add("sessions ended at the charge points", cars.finished(), least=4 if options.short else 100)
    report.add("sessions without exactly one CDR at their CPO", stores.uncharged(cars.transactions()), most=0)
    report.add("CDRs at the CPOs", stores.cdrs_sent(), least=4 if options.short else 100)
    report.add("CDRs missing, different or twice at their eMSP", len(stores.wrong_cdrs()), most=0)
    for name, count in stores.compared().items():
        wrong = [difference for difference in stores.differences() if difference.startswith(name)]
        for each in wrong[:5]:
            say(each)
        report.add(f"{name}: differ, of {count}", len(wrong), most=0)
    report.add("deliveries pending at the end", stores.pending(), most=0)
    dead = stores.dead()
    for each in dead[:10]:
        say(each)
    report.add("dead or refused deliveries", len(dead), most=0)
    report.add("until nothing was pending", round(settled, 1), "s", most=_SETTLING)


@contextmanager
def _world() -> Iterator[World]:
    folder = Path(tempfile.mkdtemp(prefix="ocpi-together-"))
    servers = embedded.ensure(folder / "servers", durable=False, remove=True)
    world = build(folder, servers)
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield world
    finally:
        world.close()
        embedded.stop(folder / "servers")
        signal.signal(signal.SIGTERM, previous)
        shutil.rmtree(folder, ignore_errors=True)
