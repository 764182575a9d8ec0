"""A CPO whose parts may be killed: gateway nodes and workers, started again by a keeper as on real machines."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence

from tests.figures.figure import say
from tests.figures.gateway_points import PASSWORD, card_of
from tests.figures.gateway_seed import EMSP, OWNER
from tests.figures.place import Place
from tests.load.harness import free_port
from tests.load.process import Process, descendants, processes

_RESTART_SECONDS = 0.2
_numbers = itertools.count(1)


class Cpo:
    """The CPO: `gateways` nodes and `workers` machines with worker and beat, one eMSP that takes everything."""

    def __init__(
        self,
        place: Place,
        points: Sequence[tuple[str, str]],
        *,
        gateways: int,
        workers: int,
        env: dict[str, str] | None = None,
    ) -> None:
        self.place = place
        self.database = place.database(f"gateway_{next(_numbers)}")
        _, ports = place.upstream()
        self.environment = {
            "DATABASE_URL": self.database,
            "REDIS_URL": place.broker.url,
            "OCPI_SIDES": "cpo",
            "OCPI_PARTIES": f"{'*'.join(OWNER)}:CPO",
            "OCPI_BASE_URL": "http://127.0.0.1:9",
            "OCPP_DRAIN_SECONDS": "0.5",
            "OCPP_HEARTBEAT": "60",
            "OCPI_PULLS": "false",  # the eMSP has no list: its cards would be taken for gone
            **(env or {}),
        }
        emsp = {"name": "emsp", "url": f"http://127.0.0.1:{ports[0]}", "token": "emsp-token-of-the-figure-0123456789",
                "parties": [[*EMSP, "EMSP"]]}  # fmt: skip
        self.ports = [free_port() for _ in range(gateways)]
        self.urls = [f"ws://127.0.0.1:{port}/ocpp" for port in self.ports]
        self.killed: Counter[str] = Counter()
        self._commands: list[tuple[str, list[str]]] = [
            ("gateway", [sys.executable, "-m", "cpo.gateway", "--host", "127.0.0.1", "--port", str(port)])
            for port in self.ports
        ]
        run = [sys.executable, "manage.py", "run", "--no-migrate", "--only", "worker", "--only", "beat"]
        self._commands += [("worker", run)] * workers
        self._stopped = threading.Event()
        self._members: list[Process | None] = [None] * len(self._commands)
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keeper.start()
        cards = [card_of(identity) for identity, _ in points]
        wanted = {"platforms": [emsp], "points": list(points), "password": PASSWORD, "cards": cards}
        patient = {**self.environment, "OCPI_TRANSACTION_TIMEOUT": "0"}
        place.run([sys.executable, "-m", "tests.figures.gateway_seed"], patient, given=json.dumps(wanted))

    def _keep(self) -> None:
        while not self._stopped.is_set():
            for number, (name, command) in enumerate(self._commands):
                member = self._members[number]
                if member is None or member.popen.poll() is not None:
                    if member is not None:
                        member.stop()  # what it may have left
                    self._members[number] = self.place.start(name, command, self.environment)
            self._stopped.wait(_RESTART_SECONDS)
        self._over()

    def _over(self) -> None:
        members = [member for member in self._members if member is not None]
        for member in members:
            member.popen.send_signal(signal.SIGTERM)
        self.place.stop(*members)

    def kill_gateway(self, draw: random.Random) -> None:
        """SIGKILL one node."""
        self._kill("gateway", draw.choice(self._of("gateway")))

    def kill_worker(self, draw: random.Random) -> None:
        """SIGKILL a process of a worker machine, its supervisor included."""
        known = processes()
        members = self._of("worker")
        found = [pid for member in members for pid in descendants(member, known)]
        self._kill("worker", draw.choice(found))

    def _of(self, name: str) -> list[int]:
        return [
            member.popen.pid
            for (what, _), member in zip(self._commands, self._members, strict=True)
            if what == name and member is not None and member.popen.poll() is None
        ]

    def _kill(self, what: str, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.killed[what] += 1
            say(f"killed: {what}")

    def cpu(self) -> float:
        """Return the CPU seconds of the gateway nodes."""
        return sum(member.cpu() for member in self._members if member is not None and member.name == "gateway")

    def stop(self) -> None:
        """End all of it."""
        self._stopped.set()
        self._keeper.join(40)


def until(ready: object, seconds: float, pause: float = 0.3) -> bool:
    """Wait until something is so; say whether it was in time."""
    assert callable(ready)
    limit = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > limit:
            return False
        time.sleep(pause)
    return True
