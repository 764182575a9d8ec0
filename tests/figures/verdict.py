"""What receivers got, held against what was sent: lost, out of order, stale, twice, and how late.

A message is one change of one object for one receiver. While it waits it may be superseded by a newer change of the
same object (REL-16): it has arrived when this or a newer state has.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from tests.figures.receivers import Arrival, Receivers
from tests.figures.senders import EvseSender, Sent


@dataclass(frozen=True, slots=True)
class State:
    """A state of an object as it reached a receiver."""

    at: float
    receiver: int
    name: str
    version: int


@dataclass(slots=True)
class Verdict:
    """What came of all messages."""

    messages: int = 0
    lost: list[tuple[int, Sent]] = field(default_factory=list)
    stale: int = 0  # objects of receivers whose last state is not the last one sent
    out_of_order: list[State] = field(default_factory=list)
    twice: int = 0
    delays: list[tuple[int, float, float]] = field(default_factory=list)  # receiver, sent at, arrived at

    def percentile(self, share: float, counts: Callable[[int, float, float], bool] = lambda *_: True) -> float:
        """Return the delay (s) that this share of the messages stays below; of those that count."""
        found = sorted(max(arrived - sent, 0.0) for to, sent, arrived in self.delays if counts(to, sent, arrived))
        return found[min(int(len(found) * share), len(found) - 1)] if found else 0.0

    def counted(self, counts: Callable[[int, float, float], bool]) -> int:
        return sum(counts(*delay) for delay in self.delays)


def states(arrivals: Iterable[Arrival]) -> list[State]:
    """Read the states of EVSEs out of what arrived: one of a request for an EVSE, all of one for a Location."""
    found = []
    for arrival in arrivals:
        segments = arrival.path.split("/")
        if segments[0] != "locations":
            continue
        parts = arrival.body.get("evses", []) if len(segments) == 4 else [arrival.body]
        for part in parts:
            reference = str(part.get("physical_reference", ""))
            if reference.startswith("v") and reference[1:].isdigit():
                name = f"{segments[3]}/{part['uid'] if len(segments) == 4 else segments[4]}"
                found.append(State(arrival.at, arrival.receiver, name, int(reference[1:])))
    return found


def judge(sent: Sequence[Sent], arrived: Sequence[State], receivers: Collection[int]) -> Verdict:
    """Hold what arrived against what was sent to all these receivers."""
    verdict = Verdict(messages=len(sent) * len(receivers))
    by_object: dict[tuple[int, str], list[State]] = defaultdict(list)
    for state in sorted(arrived, key=lambda found: found.at):
        if state.receiver in receivers:
            by_object[state.receiver, state.name].append(state)
    raised: dict[tuple[int, str], list[State]] = {}
    for key, found in by_object.items():
        rising: list[State] = []
        raised[key] = rising
        for state in found:
            newest = rising[-1].version if rising else -1
            if state.version > newest:
                rising.append(state)
            elif state.version == newest:
                verdict.twice += 1
            else:
                verdict.out_of_order.append(state)
    last: dict[str, int] = {}
    for one in sent:
        last[one.name] = max(last.get(one.name, 0), one.version)
        for receiver in receivers:
            arrival = next((s for s in raised.get((receiver, one.name), ()) if s.version >= one.version), None)
            if arrival is None:
                verdict.lost.append((receiver, one))
            else:
                verdict.delays.append((receiver, one.at, arrival.at))
    for name, version in last.items():
        for receiver in receivers:
            found = by_object.get((receiver, name), [])
            verdict.stale += not found or found[-1].version != version
    return verdict


def settled(sender: EvseSender, receivers: Receivers, which: Collection[int], *, seconds: float) -> Verdict:
    """Wait until everything has arrived at these receivers, for a limited time; return what came of it."""
    limit = time.monotonic() + seconds
    while True:
        judged = judge(sender.sent, states(receivers.arrivals()), which)
        if not (judged.lost or judged.stale) or time.monotonic() > limit:
            time.sleep(0.5)  # what comes twice comes now
            return judge(sender.sent, states(receivers.arrivals()), which)
        time.sleep(0.2)
