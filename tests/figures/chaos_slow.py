"""FIG-02: 6 of 20 receivers take everything in and never answer; the others notice nothing.

One hub with one worker, first with receivers that all answer, then with the silent ones among them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.figures import verdict
from tests.figures.faults import Hub
from tests.figures.figure import Options, Report, say
from tests.figures.place import Place, place
from tests.figures.receivers import Receivers
from tests.figures.senders import EvseSender
from tests.figures.world import platforms
from tests.load import objects

_SETTLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    receivers: int
    silent: int
    locations: int
    evses: int  # of each Location
    per_second: float  # messages
    seconds: float  # of each of the two runs


FULL = Size(20, 6, 10, 5, 200.0, 60.0)
SHORT = Size(7, 2, 3, 2, 42.0, 2.0)


def run(options: Options) -> Report:
    """Run the figure."""
    size = SHORT if options.short else FULL
    report = Report("FIG-02 chaos-slow", options)
    with place(short=options.short) as found:
        _run(found, size, options, report)
    return report


def _run(found: Place, size: Size, options: Options, report: Report) -> None:
    receivers = Receivers(found, size.receivers, seed=options.seed)
    database = found.database("slow")
    ids = found.seed(database, platforms(receivers))
    objects.load_shared(database, ids["cpo"], size.locations)
    hub = Hub(found, database, [["web", "worker", "beat"]])
    silent = sorted(random.Random(options.seed).sample(range(size.receivers), size.silent))
    others = [number for number in range(size.receivers) if number not in silent]
    versions: dict[str, int] = {}
    quiet = _load(hub, receivers, size, versions, others)
    receivers.never_answer(silent)
    say(f"silent from now on: {silent}")
    judged = _load(hub, receivers, size, versions, others)
    held = receivers.counts().get("held", 0)
    for number in silent:  # the calls they hold end, and with them the hub without waiting for their limit
        receivers.down(number)
    hub.stop()
    full = not options.short
    report.add("messages to the others", judged.messages, least=int(size.per_second * size.seconds * 0.65))
    report.add("requests that were never answered", held, least=size.silent)
    report.add("lost", len(judged.lost), "messages", most=0)
    report.add("stale at the end", judged.stale, "objects of receivers", most=0)
    report.add("out of order", len(judged.out_of_order), "messages", most=0)
    before, after = quiet.percentile(0.99) * 1000, judged.percentile(0.99) * 1000
    report.add("p99 of the others", round(after), "ms", most=500.0 if full else None, quiet=round(before))
    report.add("p99 of the others, times the quiet run's", round(after / max(before, 1), 2), most=2.0 if full else None)
    report.add(
        "p50 of the others", round(judged.percentile(0.5) * 1000), "ms", quiet=round(quiet.percentile(0.5) * 1000)
    )


def _load(hub: Hub, receivers: Receivers, size: Size, versions: dict[str, int], others: list[int]) -> verdict.Verdict:
    """Report changes at the pace of the figure; return what came of them at the receivers that answer."""
    receivers.forget()
    sender = EvseSender(
        hub.ports, locations=size.locations, evses=size.evses, per_second=size.per_second / size.receivers,
        versions=versions,
    )  # fmt: skip
    sender.start(int(size.per_second / size.receivers * size.seconds))
    sender.join(size.seconds + 120)
    return verdict.settled(sender, receivers, others, seconds=_SETTLE_SECONDS)
