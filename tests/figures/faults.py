"""Faults of a figure: a hub of several processes, and what is done to them at moments drawn from a seed."""

from __future__ import annotations

import contextlib
import heapq
import os
import random
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.figures.figure import say
from tests.figures.place import Place
from tests.load.harness import free_port
from tests.load.process import Process, descendants, processes

_RESTART_SECONDS = 0.3  # a supervisor that was killed is started again by the machine's service manager, here: by us


class Hub:
    """One hub of several `manage.py run`, each with some of its parts, as on several machines."""

    def __init__(
        self,
        place: Place,
        database_url: str,
        machines: Sequence[Sequence[str]],
        *,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.place = place
        self._env = {"DATABASE_URL": database_url, "REDIS_URL": place.broker.url, **(env or {})}
        self._machines = [(tuple(parts), free_port() if "web" in parts else 0) for parts in machines]
        self.ports = [port for _, port in self._machines if port]
        self._logs: list[Path] = []
        self.killed: Counter[str] = Counter()
        self.kills: list[Span] = []
        self._spared: set[int] = set()
        self._stopped = threading.Event()
        self._members = [self._start(*machine) for machine in self._machines]
        for member in self._members:
            if member.port:
                place._wait_for(member)
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    def _start(self, parts: Sequence[str], port: int) -> Process:
        only = [word for part in parts for word in ("--only", part)]
        command = [sys.executable, "manage.py", "run", "--no-migrate", *only]
        process = self.place.start("+".join(parts), command, {**self._env, **({"PORT": str(port)} if port else {})})
        process.port = port
        self._logs.append(process.log)
        return process

    def _keep(self) -> None:
        while not self._stopped.wait(_RESTART_SECONDS):
            for number, member in enumerate(self._members):
                if member.popen.poll() is not None and not self._stopped.is_set():
                    member.stop()  # what it may have left
                    self._members[number] = self._start(*self._machines[number])

    def victims(self) -> dict[str, list[int]]:
        """Return the living processes by what they are; supervisors are `run`."""
        known = processes()
        found: dict[str, list[int]] = {}
        for member in self._members:
            supervisor, *below = descendants(member.popen.pid, known)
            for pid in (supervisor, *below):
                part = "run" if pid == supervisor else _part_of(pid)
                if pid in known and pid not in self._spared and part:
                    found.setdefault(part, []).append(pid)
        return found

    def kill(self, choose: random.Random) -> str:
        """Kill one process, whichever; return what it was."""
        shares = {"worker": 10, "web": 6, "beat": 2, "run": 2}
        victims = self.victims()
        if not victims:
            return ""
        names = sorted(victims)
        name = choose.choices(names, [shares[each] for each in names])[0]
        with contextlib.suppress(ProcessLookupError):
            os.kill(choose.choice(sorted(victims[name])), signal.SIGKILL)
            self.killed[name] += 1
            self.kills.append(Span(f"{name} killed", time.monotonic(), time.monotonic()))
        return name

    def freeze_worker(self, choose: random.Random) -> Callable[[], None]:
        """Stop one worker where it stands; return how to have it go on."""
        pid = choose.choice(sorted(self.victims()["worker"]))
        held = {pid, processes()[pid][0]}  # its supervisor lives as long, or it would take the worker with it
        self._spared |= held
        os.kill(pid, signal.SIGSTOP)

        def thaw() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            self._spared -= held

        return thaw

    def ended_by_themselves(self) -> list[str]:
        """Return what the supervisors say about children that nobody killed (REL-05)."""
        lines = [line for log in self._logs for line in log.read_text(errors="replace").splitlines()]
        return [line for line in lines if re.search(r" ended with (?!-9\b)", line)]

    def stop(self) -> None:
        """End all of it."""
        self._stopped.set()
        self._keeper.join(10)
        for member in self._members:
            member.popen.send_signal(signal.SIGTERM)
        self.place.stop(*self._members)


def _part_of(pid: int) -> str:
    """Return which part of an instance a process is."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    if name in ("ocpi-web", "ocpi-worker", "ocpi-beat"):  # forked from its supervisor
        return name.removeprefix("ocpi-")
    if "celery" in words:
        return "beat" if "beat" in words else "worker"
    return "web" if {"gunicorn", "uvicorn", "hub.web"} & set(words) or "multiprocessing" in " ".join(words) else ""


@dataclass(slots=True)
class Span:
    """A time in which something was away."""

    what: str
    start: float
    end: float = float("inf")

    def holds(self, moment: float) -> bool:
        return self.start <= moment <= self.end

    def touches(self, start: float, end: float) -> bool:
        return start <= self.end and end >= self.start


@dataclass(order=True, slots=True)
class _Action:
    """What is done at a second of the run."""

    second: float
    name: str
    action: Callable[[], None] = field(compare=False)


@dataclass(slots=True)
class Faults:
    """What happens when: actions by the second, run by one thread; what was done is counted."""

    actions: list[_Action] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    _through: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)
    _began: float = 0.0

    def at(self, second: float, name: str, action: Callable[[], None]) -> None:
        """Have something done at a second of the run."""
        heapq.heappush(self.actions, _Action(second, name, action))

    def span(self, start: float, seconds: float, what: str, begin: Callable[[], None], end: Callable[[], None]) -> None:
        """Have something away from one second on for some."""

        def away() -> None:
            span = Span(what, time.monotonic())
            self.spans.append(span)
            begin()

            def back() -> None:
                end()
                span.end = time.monotonic()

            # Counted from when it began, however late that was.
            heapq.heappush(self.actions, _Action(time.monotonic() - self._began + seconds, f"{what} ends", back))

        self.at(start, what, away)

    def of(self, what: str) -> list[Span]:
        return [span for span in self.spans if span.what == what]

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="faults", daemon=True).start()

    def join(self, seconds: float) -> bool:
        """Wait until all is done; say whether it was in time."""
        return self._through.wait(seconds)

    def end(self) -> None:
        """Let the thread go, and with it what it started."""
        self._over.set()

    def _run(self) -> None:
        began = self._began = time.monotonic()
        while self.actions:
            next_one = heapq.heappop(self.actions)
            time.sleep(max(0.0, began + next_one.second - time.monotonic()))
            try:
                next_one.action()
                self.done[next_one.name] += 1
                say(f"{time.monotonic() - began:5.1f} s: {next_one.name}")
            except Exception as error:  # a fault that cannot be done makes the run void, not the figure
                self.failed.append(f"{next_one.name}: {type(error).__name__}: {error}")
                say(f"{time.monotonic() - began:5.1f} s: {next_one.name} could not be done: {error}")
        self._through.set()
        self._over.wait()  # a child goes with the thread that started it
