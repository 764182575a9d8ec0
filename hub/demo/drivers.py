"""The eMSP's drivers: each starts a session through the hub, charges, stops, and waits for its verified CDR."""

from __future__ import annotations

import contextlib
import io
import json
import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import close_old_connections, connection

_CDR_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What the drivers have: where they may charge, with what, and for how long (real seconds)."""

    cpo: str
    places: list[tuple[str, str]]  # Location id, EVSE uid
    tokens: list[str]
    drivers: int
    seconds: tuple[float, float]
    seed: int


class Drivers:
    """A few threads inside a process that is the eMSP."""

    def __init__(self, plan: Plan, tell: Callable[[dict[str, Any]], None], stopping: threading.Event) -> None:
        self.plan, self.tell, self.stopping = plan, tell, stopping
        self.random = random.Random(plan.seed)  # noqa: S311 - a simulation
        self.free: queue.Queue[tuple[str, str]] = queue.Queue()
        for place in self.random.sample(plan.places, len(plan.places)):
            self.free.put(place)

    def run(self) -> None:
        """Drive until told to stop; sessions that are open then are ended properly."""
        threads = [
            threading.Thread(target=self._drive, args=(number,), name=f"driver {number}")
            for number in range(self.plan.drivers)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _drive(self, number: int) -> None:
        self.stopping.wait(number * 0.7)
        while not self.stopping.is_set():
            place = self.free.get()
            try:
                self._session(place, self.random.choice(self.plan.tokens))
            except CommandError as error:
                self.tell({"event": "error", "text": f"{place[1]}: {error}"})
                self.stopping.wait(2)
            finally:
                self.free.put(place)
                close_old_connections()
            self.stopping.wait(self.random.uniform(0.5, 2.0))
        connection.close()

    def _session(self, place: tuple[str, str], token: str) -> None:
        location, evse = place
        started = self._call(
            "start_session", "--to", self.plan.cpo, "--location", location, "--evse", evse, "--token", token
        )
        session = started["session"]
        if session is None:
            raise CommandError("the command was accepted, but no Session came")
        self.tell({"event": "started", "session": session, "evse": evse, "token": token})
        self.stopping.wait(self.random.uniform(*self.plan.seconds))
        self._call("stop_session", "--session", session)
        self.tell({"event": "stopped", "session": session, "evse": evse})
        cdr = self._cdr(session)
        if cdr is None:
            raise CommandError(f"no CDR came for session {session} within {_CDR_SECONDS:.0f} s")
        self.tell({"event": "cdr", "session": session, **cdr})

    def _call(self, name: str, *arguments: str) -> dict[str, Any]:
        output = io.StringIO()
        call_command(name, *arguments, "--json", stdout=output)
        found: dict[str, Any] = json.loads(output.getvalue().strip().splitlines()[-1])
        return found

    def _cdr(self, session: str) -> dict[str, Any] | None:
        model = apps.get_model("emsp.CDR")
        limit = time.monotonic() + _CDR_SECONDS
        while time.monotonic() < limit:
            row = model.objects.filter(session_id=session).exclude(verdict="").first()
            if row is not None:
                return cdr_line(row)
            time.sleep(0.1)
        return None


def cdr_line(row: Any) -> dict[str, Any]:
    """Return what the report says of a CDR."""
    document = json.loads(row.document, parse_float=str)
    return {
        "id": row.object_id,
        "kwh": float(document["total_energy"]),
        "total_cost": str(document["total_cost"]["excl_vat"]),
        "currency": document["currency"],
        "verified": row.verdict == "match",
    }


def work(plan: Plan, telling: Any, stopping: Any) -> Callable[[], None]:
    """Return the work of the drivers' process; `telling` is a queue, `stopping` an event of another process."""

    def drive() -> None:
        ended = threading.Event()

        def watch() -> None:
            stopping.wait()
            ended.set()

        threading.Thread(target=watch, daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt):
            Drivers(plan, telling.put, ended).run()

    return drive
