"""What one node counts of its charge points, and how it tells: plain numbers, put into words when asked (OCPP-106).

Counting costs a frame about a microsecond: a dictionary and an addition, no locks, for all of it happens in one thread.
Labels come from what OCPP defines; an action a charge point has made up is counted as "other".
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from cpo.gateway import schemas
from cpo.gateway.clocks import Clocks
from cpo.gateway.frames import Call, FrameError

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds
RECEIVED, SENT = "in", "out"
OTHER = "other"


@dataclass(slots=True)
class Times:
    """How often something took how long."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds

    def cumulated(self) -> list[tuple[str, float]]:
        total, found = 0, []
        for limit, number in zip((*map(str, BUCKETS), "+Inf"), self.buckets, strict=True):
            total += number
            found.append((limit, float(total)))
        return found


@dataclass(frozen=True, slots=True)
class Kind:
    """What connections are counted by."""

    protocol: str
    tenant: str
    profile: int


class Watch:
    """The numbers of one node since it started."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str, str]] = Counter()  # direction, action, result
        self.answers: dict[str, Times] = {}
        self.operations: dict[str, Times] = {}
        self.deviations: Counter[str] = Counter()
        self.duplicates: Counter[str] = Counter()
        self.connects: Counter[str] = Counter()
        self.clocks = Clocks()

    def answered(self, version: str, item: Call | FrameError, answer: str | None, seconds: float) -> None:
        """Count a CALL of a charge point, and what it was answered."""
        action = item.action if isinstance(item, Call) else ""
        if action and action not in schemas.actions(version):
            action = OTHER
        self.calls[RECEIVED, action, _result(answer)] += 1
        times = self.answers.get(action)
        if times is None:
            times = self.answers[action] = Times()
        times.add(seconds)

    def ended(self, action: str, outcome: str, seconds: float) -> None:
        """Count a CALL of ours, and how it ended."""
        self.calls[SENT, action, outcome] += 1
        times = self.operations.get(action)
        if times is None:
            times = self.operations[action] = Times()
        times.add(seconds)

    def connected(self, epoch: int, *, takes_over: bool) -> None:
        """Count a connection: the charge point's first ever, one that came back, or one that pushed out an older."""
        self.connects["takeover" if takes_over else "first" if epoch <= 1 else "reconnect"] += 1

    def metrics(
        self,
        kinds: Counter[Kind],
        offsets: dict[str, float],
        *,
        queued: int,
        dropped_frames: int,
        draining: bool,
    ) -> Iterator[Metric]:
        """Return all of it as Prometheus names it; `offsets` are seconds that a charge point's clock is ahead."""
        connections = GaugeMetricFamily(
            "ocpp_connections", "charge points connected to this node", labels=("protocol", "tenant", "profile")
        )
        for kind, number in sorted(kinds.items(), key=repr):
            connections.add_metric([kind.protocol, kind.tenant, str(kind.profile)], number)
        yield connections
        calls = CounterMetricFamily(
            "ocpp_frames", "CALLs by how they were answered", labels=("direction", "action", "result")
        )
        for labels, number in sorted(self.calls.items()):
            calls.add_metric(labels, number)
        yield calls
        yield _histogram("ocpp_answer_seconds", "from reading a CALL to its answer on the socket", self.answers)
        yield _histogram("ocpp_operation_seconds", "from sending a CALL of ours to its end", self.operations)
        for name, text, label, counted in (
            ("ocpp_deviations", "CALLs that were otherwise than their version says", "action", self.deviations),
            ("ocpp_duplicates_suppressed", "repeated messages answered once more", "action", self.duplicates),
            ("ocpp_connects", "connections of charge points", "kind", self.connects),
        ):
            family = CounterMetricFamily(name, text, labels=(label,))
            for value, number in sorted(counted.items()):
                family.add_metric([value], number)
            yield family
        yield from _node(offsets, queued, dropped_frames, draining)


def _node(offsets: dict[str, float], queued: int, dropped_frames: int, draining: bool) -> Iterator[Metric]:
    clock = GaugeMetricFamily(
        "ocpp_clock_offset_seconds", "a charge point's clock before ours", labels=("charge_point",)
    )
    for identity, seconds in sorted(offsets.items()):
        clock.add_metric([identity], seconds)
    waiting = GaugeMetricFamily("ocpp_inbox_queue", "messages that wait to be committed", value=queued)
    dropped = CounterMetricFamily("ocpp_frame_log_dropped", "frames left out of the log", value=dropped_frames)
    leaving = GaugeMetricFamily("ocpp_draining", "1 while this node lets nobody in", value=float(draining))
    yield from (clock, waiting, dropped, leaving)


def _histogram(name: str, text: str, counted: dict[str, Times]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=("action",))
    for action, times in sorted(counted.items()):
        family.add_metric([action], times.cumulated(), times.seconds)
    return family


def _result(answer: str | None) -> str:
    """Return how a CALL was answered: "ok", "none", or the code of the CALLERROR."""
    if answer is None:
        return "none"
    return "ok" if not answer.startswith("[4") else str(json.loads(answer)[2])
