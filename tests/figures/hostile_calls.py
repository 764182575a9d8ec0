"""Every call that the product makes to a partner, each at every kind of evil.

`python -m tests.figures.hostile_calls` reads one JSON line (ports, authority, limit, …), makes the calls in a process
of its own, and prints one JSON line. What is called is drawn from the product's own lists (modules, commands, pulls),
and the places in the code that call are compared with those that were seen to call: one that is added to the product
and not here is reported.
"""

from __future__ import annotations

import ast
import asyncio
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PROJECT = Path(__file__).resolve().parents[2]
PRODUCT = ("hub", "ocpi", "cpo", "emsp")
LARGE = ("1 GB", "endless chunks", "gzip bomb", "deep JSON")
DOORS = frozenset(("send", "page", "walk"))


@dataclass(slots=True)
class Made:
    """One call that was made."""

    kind: str
    place: str
    method: str
    limit: float  # seconds
    seconds: float
    outcome: str


def places_in_code() -> set[str]:
    """Return every place in the product that calls the door, as file:function."""
    found = set()
    for app in PRODUCT:
        for file in sorted((PROJECT / app).rglob("*.py")):
            name = file.relative_to(PROJECT).as_posix()
            if name in ("ocpi/client.py", "ocpi/client_async.py"):
                continue
            for function in ast.walk(ast.parse(file.read_text())):
                if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    found |= {f"{name}:{function.name}" for node in ast.walk(function) if _calls(node)}
    return found


def _calls(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in DOORS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in ("client", "client_async")
    )


class Watch:
    """Stands in the door: shortens each limit, and notes how long each call took and who made it."""

    def __init__(self, ports: dict[str, int], longest: float) -> None:
        self.kinds = {port: kind for kind, port in ports.items()}
        self.longest = longest
        self.made: list[Made] = []
        self._large = threading.Semaphore(1)  # a page may be 16 MiB: the memory of one is what is measured

    @contextmanager
    def watching(self) -> Iterator[None]:
        from ocpi import client, client_async

        real, real_async = client.send, client_async.send

        def send(target: Any, method: str, url: str, *, timeout: float, **more: Any) -> Any:
            limit = min(timeout, self.longest)
            kind = self.kinds.get(urlsplit(url).port or 0, "?")
            outcome = "answer"
            large = more.get("max_body", 0) > 1 << 20 and kind in ("1 GB", "endless chunks")
            if large:
                self._large.acquire()
            started = time.monotonic()
            try:
                return real(target, method, url, timeout=limit, **more)
            except client.ClientError as error:
                outcome = type(error).__name__
                raise
            except BaseException as error:
                outcome = f"unhandled {type(error).__name__}: {error}"
                raise
            finally:
                seconds = time.monotonic() - started
                if large:
                    self._large.release()
                self.made.append(Made(kind, _caller(), method, limit, seconds, outcome))

        async def send_async(pool: Any, target: Any, method: str, url: str, *, timeout: float, **more: Any) -> Any:
            limit = min(timeout, self.longest)
            kind = self.kinds.get(urlsplit(url).port or 0, "?")
            if kind in ("1 GB", "endless chunks"):
                await asyncio.to_thread(self._large.acquire)
            outcome, place, started = "answer", _caller(), time.monotonic()
            try:
                return await real_async(pool, target, method, url, timeout=limit, **more)
            except BaseException as error:
                known = isinstance(error, client.ClientError)
                outcome = type(error).__name__ if known else f"unhandled {type(error).__name__}: {error}"
                raise
            finally:
                seconds = time.monotonic() - started
                if kind in ("1 GB", "endless chunks"):
                    self._large.release()
                self.made.append(Made(kind, place, method, limit, seconds, outcome))

        client.send, client_async.send = send, send_async
        try:
            yield
        finally:
            client.send, client_async.send = real, real_async


def _caller() -> str:
    frame = sys._getframe(2)
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if file.name not in ("client.py", "client_async.py") or file.parent.name != "ocpi":
            break
        frame = frame.f_back  # type: ignore[assignment]
    return f"{file.relative_to(PROJECT).as_posix()}:{frame.f_code.co_name}"


Job = tuple[str, str, Callable[[], object]]  # kind, call, what is done
Prepared = tuple[str, list[Job]]  # in the name of which sides


class Caller:
    """Makes the calls and keeps what nobody handled."""

    def __init__(self, *, threads: int, close: bool) -> None:
        self._threads, self._close = threads, close
        self.troubles: list[str] = []

    def do(self, job: Job) -> None:
        """Make one call; what is said to the operator or the partner is as it should be."""
        from django.db import connection

        from ocpi import status
        from ocpi.modules.initiation import HandshakeFailed

        kind, call, action = job
        try:
            action()
        except (HandshakeFailed, status.OcpiError):
            pass
        except BaseException as error:
            self.troubles.append(f"{call} at {kind}: {type(error).__name__}: {error}"[:300])
        finally:
            if self._close:
                connection.close()

    def do_all(self, prepared: list[Prepared]) -> float:
        """Make many at once; return how many seconds they took."""
        from django.db import connection

        from tests.figures import hostile_jobs

        started = time.monotonic()
        for sides, jobs in prepared:
            hostile_jobs.become(sides)
            with ThreadPoolExecutor(self._threads, thread_name_prefix="call") as pool:
                list(pool.map(self.do, jobs))
                list(pool.map(lambda _: connection.close(), range(self._threads * 4)))
        return time.monotonic() - started

    def largest(self, prepared: list[Prepared]) -> tuple[str, float]:
        """Make them one after the other; return which one took most memory, and how many megabytes."""
        from tests.figures import hostile_jobs

        found = ("", 0.0)
        for sides, jobs in prepared:
            hostile_jobs.become(sides)
            for job in jobs:
                _forget_peak()
                resident = _resident()
                self.do(job)
                grown = (_peak() - resident) / 1e6
                found = max(found, (f"{job[1]} at {job[0]}", grown), key=lambda each: each[1])
        return found


def run(given: dict[str, Any]) -> dict[str, Any]:
    """Make the calls and return what came of them."""
    from tests.figures import hostile_jobs
    from tests.figures.hostile_world import World

    world = World(given["ports"], given["authority"])
    watch = Watch(given["ports"], given["limit"])
    caller = Caller(threads=given["threads"], close=given.get("close", False))

    def prepare(kinds: list[str], some: bool) -> list[Prepared]:
        return [(sides, hostile_jobs.of(sides, world, kinds, some=some)) for sides in hostile_jobs.SIDES]

    evil = [kind for kind in given["ports"] if kind not in ("canary", "good")]
    with watch.watching():
        # One after the other, for what a single call takes.
        single = [] if given["short"] else prepare([kind for kind in evil if kind in LARGE], True)
        prepared = prepare(evil, given["short"])  # the platforms themselves are no answer: their memory does not count
        quiet = caller.do_all(prepare(["good"] if given["short"] else ["good"] * len(evil), False))
        others = Others(world, watch)
        with others.going():
            time.sleep(given["limit"])
        alone = others.take()
        quiet_made, watch.made = watch.made, []
        largest = caller.largest(single)
        _forget_peak()
        before = _resident()
        with others.going():
            seconds = caller.do_all(prepared)
        peak = _peak()
    return {
        "made": [asdict(one) for one in watch.made],
        "quiet_calls": len(quiet_made),
        "quiet_seconds": quiet,
        "seconds": seconds,
        "troubles": caller.troubles,
        "unseen": sorted(places_in_code() - {one.place for one in quiet_made + watch.made}),
        "grown_mb": (peak - before) / 1e6,
        "largest": largest,
        "others": others.take(),
        "others_alone": alone,
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    }


class Others:
    """A good platform that goes on getting what it should, beside all this."""

    def __init__(self, world: Any, watch: Watch) -> None:
        self.victim = world.add("good", "the others", ("locations", "RECEIVER"))
        world.store()
        self.target = self.victim.known.target()
        self.url = self.victim.url("locations", "receiver") + "/NL/TNM/LOC1"
        self._seconds: list[float] = []
        self._over = threading.Event()

    @contextmanager
    def going(self) -> Iterator[None]:
        self._over.clear()
        thread = threading.Thread(target=self._go, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _go(self) -> None:
        from ocpi import client

        while not self._over.wait(0.02):
            started = time.monotonic()
            try:
                ok = client.send(self.target, "PUT", self.url, body=b"{}", timeout=5).ok
            except client.ClientError:
                ok = False
            self._seconds.append(time.monotonic() - started if ok else 1e9)

    def take(self) -> list[float]:
        found, self._seconds = sorted(self._seconds), []
        return found


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0


def _resident() -> int:
    return _status("VmRSS:")


def _peak() -> int:
    return _status("VmHWM:")


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    django.setup()
    print(json.dumps(run(json.loads(sys.stdin.readline()))), flush=True)
