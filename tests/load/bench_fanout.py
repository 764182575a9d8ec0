"""BENCH-05: one change to 100 receivers with a real worker, and how many pushes a second it makes in a burst."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable
from typing import Any

from tests.load import objects, registry
from tests.load.harness import Lab, Line, Process, say

RECEIVERS = 100
_TURNS = 10
_BURST = 40  # objects, each for every receiver


def fan_out(lab: Lab) -> Iterable[Line]:
    """BENCH-05: one change committed, until all 100 receivers have it; and a burst of changes."""
    upstream, ports = lab.upstream(RECEIVERS + 1)
    database = lab.database("fan_out")
    ids = lab.seed(database, registry.platforms([ports[-1], *ports[1:RECEIVERS], ports[0]], receivers=RECEIVERS))
    objects.load_shared(database, ids["cpo"], 64)
    env = {"DATABASE_URL": database, "REDIS_URL": lab.servers.redis_url.rpartition("/")[0] + "/5"}
    worker = lab.start("worker", [sys.executable, "manage.py", "run", "--only", "worker", "--no-migrate"], env)
    ours = Asker(lab, "change", ["tests.load.change"], env)
    pool = Asker(lab, "thread-pool", ["tests.load.baselines.thread_pool", *map(str, ports[:RECEIVERS])], {})
    for asker in (ours, pool, ours, pool):  # connections stand, code is warm
        asker.ask(4)
        _arrivals(upstream, 4 * RECEIVERS, 60)
    one: dict[str, list[float]] = {"worker": [], "pool": []}
    burst: dict[str, list[float]] = {"worker": [], "pool": []}
    for _ in range(_TURNS):
        for name, asker in (("worker", ours), ("pool", pool)):
            found = asker.ask(1)
            times = _arrivals(upstream, RECEIVERS, 20)
            one[name].append((max(times) - found["committed"]) * 1000)
            time.sleep(0.3)
    cpu = 0.0
    for _ in range(lab.options.rounds):
        for name, asker in (("worker", ours), ("pool", pool)):
            before = worker.cpu()
            found = asker.ask(_BURST)
            times = _arrivals(upstream, _BURST * RECEIVERS, 120)
            cpu += worker.cpu() - before if name == "worker" else 0
            burst[name].append(len(times) / (max(times) - (found["committed"] if name == "worker" else found["began"])))
            say(f"burst: {name}: {burst[name][-1]:,.0f} pushes/s")
    for asker in (ours, pool):
        asker.close()
    lab.stop(worker, upstream)
    details = {
        "one_ms": {name: [round(value, 1) for value in values] for name, values in one.items()},
        "burst_per_second": {name: [round(value) for value in values] for name, values in burst.items()},
        "worker_cpu_us_per_push": round(cpu / (lab.options.rounds * _BURST * RECEIVERS) * 1e6, 1),
    }
    yield Line(
        "BENCH-05 One change to 100 receivers, from commit to the last arrival", statistics.median(one["worker"]), "ms",
        "bare pool of 32 urllib3 threads, nothing stored", statistics.median(one["pool"]), goal=3, lower_is_better=True,
        details=details,
    )  # fmt: skip
    rate = statistics.median(burst["worker"])
    yield Line(
        "BENCH-05 Burst, one worker", rate, "pushes per second", "bare pool of 32 urllib3 threads, nothing stored",
        statistics.median(burst["pool"]), details=details,
        limit=1500,
    )  # fmt: skip


class Asker:
    """A helper process that does something for each number it is given."""

    def __init__(self, lab: Lab, name: str, module: list[str], env: dict[str, str]) -> None:
        self._lab = lab
        self._process = lab.start(name, [sys.executable, "-m", *module], env, given=subprocess.PIPE)
        self._read = 0
        self._line()

    def ask(self, number: int) -> dict[str, Any]:
        """Give a number and return the answer."""
        assert self._process.popen.stdin is not None
        self._process.popen.stdin.write(f"{number}\n")
        self._process.popen.stdin.flush()
        found: dict[str, Any] = self._line()
        return found

    def _line(self, seconds: float = 60) -> Any:
        limit = time.monotonic() + seconds
        while time.monotonic() < limit and self._process.popen.poll() is None:
            lines = self._process.log.read_text().split("\n")[:-1]
            lines = [line for line in lines if line[:1] in "{0123456789" and not line[:5].count("-")]
            if len(lines) > self._read:
                self._read += 1
                return json.loads(lines[self._read - 1])
            time.sleep(0.0005)
        raise RuntimeError(f"{self._process.name} says nothing:\n{self._process.log.read_text()[-2000:]}")

    def close(self) -> None:
        """End the process."""
        self._lab.stop(self._process)


def _arrivals(upstream: Process, count: int, seconds: float) -> list[float]:
    """Return when requests arrived, once there are so many."""
    limit = time.monotonic() + seconds
    times: list[float] = []
    while len(times) < count:
        if time.monotonic() > limit:
            raise RuntimeError(f"{len(times)} of {count} pushes arrived in {seconds:.0f} s")
        time.sleep(0.02)
        with urllib.request.urlopen(f"http://127.0.0.1:{upstream.port}/arrivals", timeout=10) as answer:
            times += json.load(answer)["times"]
    return times
