"""FIG-10: the same CDRs and commands from sixteen clients at once, some with other contents, web processes killed.

Each client sends every CDR and every command, in an order of its own, and again until it has an answer. A quarter of
them change something in the body. At the end each CDR and each command is there once, as somebody sent it and was told
1000; each command was put to the charge point once; and everybody who was told 1000 finds what he sent.
"""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
import requests

from tests.figures.figure import Options, Report, say
from tests.figures.place import Place, place
from tests.figures.twice_world import NOWHERE
from tests.load.harness import PROJECT, free_port
from tests.load.process import Process, descendants, processes

DOCUMENTS = PROJECT / "tests" / "documents" / "2.2.1"
CLIENTS, OBJECTS = 16, 50
SHORT_OBJECTS = 4
_EVERY = 1.0  # seconds between two kills
_SHORT_KILLS = 1
_WEB_PROCESSES = 4  # some are always there, though each takes a while to start
_PATIENCE = 120.0


@dataclass(slots=True)
class Sent:
    """What one client sent, and what it was told in the end."""

    key: str
    variant: bool  # the body was changed
    tries: int
    http_status: int
    code: int | None
    location: str
    text: str  # of `data`


@dataclass(slots=True)
class Load:
    """Sixteen clients that send the same objects."""

    url: str
    token: str
    to: tuple[str, str]
    sender: tuple[str, str]
    bodies: Callable[[int, bool], dict[str, Any]]
    objects: int
    seed: int
    pause: float  # seconds between two messages of a client, at most
    sent: list[Sent] = field(default_factory=list)

    def run(self) -> None:
        threads = [threading.Thread(target=self._client, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _client(self, number: int) -> None:
        choose = random.Random(f"{self.seed} {number}")
        order = list(range(self.objects))
        choose.shuffle(order)
        session = requests.Session()
        session.headers.update(
            {
                "Authorization": "Token " + base64.b64encode(self.token.encode()).decode(),
                "OCPI-to-country-code": self.to[0],
                "OCPI-to-party-id": self.to[1],
                "OCPI-from-country-code": self.sender[0],
                "OCPI-from-party-id": self.sender[1],
            }
        )
        for object_number in order:
            time.sleep(choose.uniform(0, self.pause))  # so that the load outlasts some kills
            variant = number % 4 == 3
            self.sent.append(self._until_answered(session, object_number, variant))

    def _until_answered(self, session: requests.Session, number: int, variant: bool) -> Sent:
        body = self.bodies(number, variant)
        limit = time.monotonic() + _PATIENCE
        tries = 0
        while time.monotonic() < limit:
            tries += 1
            headers = {"X-Request-ID": f"{number}-{tries}", "X-Correlation-ID": f"{number}"}
            try:
                answer = session.post(self.url, json=body, headers=headers, timeout=20)
                envelope = answer.json()
            except (requests.RequestException, ValueError):
                time.sleep(0.05)
                continue
            if answer.status_code == 503:
                continue
            data = json.dumps(envelope.get("data"), sort_keys=True)
            location = answer.headers.get("Location", "")
            return Sent(str(number), variant, tries, answer.status_code, envelope.get("status_code"), location, data)
        return Sent(str(number), variant, tries, 0, None, "", "")


def run(options: Options) -> Report:
    """Run the figure."""
    report = Report("FIG-10", options)
    objects = SHORT_OBJECTS if options.short else OBJECTS
    with place(short=options.short) as here:
        _cdrs(report, here, objects)
        _commands(report, here, objects)
    return report


def _instance(here: Place, side: str, parties: str, *parts: str, webs: int) -> tuple[Process, str, str]:
    database = here.database(f"twice_{side}")
    port = free_port()
    env = {
        "DATABASE_URL": database,
        "OCPI_SIDES": side,
        "OCPI_PARTIES": parties,
        "PORT": str(port),
        "OCPI_BASE_URL": f"http://127.0.0.1:{port}",
        "WEB_PROCESSES": str(webs),
        "DJANGO_SETTINGS_MODULE": "hub.settings",
    }
    token = json.loads(here.run([sys.executable, "-m", "tests.figures.twice_world", side], env))["token"]
    words = [word for part in parts for word in ("--only", part)]
    process = here.start(side, [sys.executable, "manage.py", "run", "--no-migrate", *words], env, port=port)
    return process, database, token


def _pause(report: Report) -> float:
    return 0.0 if report.options.short else 0.6


def _webs(report: Report) -> int:
    return 2 if report.options.short else _WEB_PROCESSES


class Killer:
    """Kills one of an instance's web processes every second."""

    def __init__(self, instance: Process, options: Options) -> None:
        self.killed = 0
        self._most = _SHORT_KILLS if options.short else 1_000_000
        self._instance, self._choose = instance, random.Random(options.seed)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go, daemon=True)

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _go(self) -> None:
        while not self._over.wait(_EVERY) and self.killed < self._most:
            if victims := self._victims():
                with suppress(ProcessLookupError):
                    os.kill(self._choose.choice(victims), signal.SIGKILL)
                    self.killed += 1

    def _victims(self) -> list[int]:
        """Return the processes that answer requests: the children of a web server, or itself if it has none."""
        known = processes()
        below = descendants(self._instance.popen.pid, known)
        words = {pid: _words(pid) for pid in below}
        # One that is forked from its supervisor has its words and a name of its own.
        servers = {pid for pid in below if known[pid][1] == "ocpi-web" or words[pid] & {"gunicorn", "hub.web"}}
        helpers = {pid for pid in below if any("resource_tracker" in word for word in words[pid])}
        answering = {pid for pid in below if known[pid][0] in servers} - helpers
        return sorted(answering or servers)


def _words(pid: int) -> set[str]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return set(file.read().decode(errors="replace").split("\0"))
    except OSError:
        return set()


def _cdrs(report: Report, here: Place, objects: int) -> None:
    instance, database, token = _instance(here, "emsp", "DE*EMS:EMSP", "web", webs=_webs(report))
    example = json.loads((DOCUMENTS / "cdr.json").read_text())

    def body(number: int, variant: bool) -> dict[str, Any]:
        changed = {"meter_id": "ANOTHER"} if variant else {}
        return {**example, "id": f"CDR-{number}", "session_id": f"S-{number}", **changed}

    base = f"http://127.0.0.1:{instance.port}/ocpi/emsp/2.2.1"
    load = Load(f"{base}/cdrs", token, ("DE", "EMS"), ("NL", "TNM"), body, objects, report.options.seed, _pause(report))
    with Killer(instance, report.options) as killer:
        load.run()
        _hold(killer)
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT object_id, document FROM emsp_cdr").fetchall()
    stored = {object_id: json.loads(document).get("meter_id") for object_id, document in rows}
    told = [one for one in load.sent if one.code == 1000]
    wrong = [one for one in told if (stored.get(f"CDR-{one.key}") == "ANOTHER") != one.variant]
    places: dict[str, set[str]] = defaultdict(set)
    for one in told:
        places[one.key].add(one.location)
    report.add("CDRs: web processes killed", killer.killed, least=1 if report.options.short else 5)
    report.add("CDRs: sent", len(load.sent), least=CLIENTS * objects)
    report.add("CDRs: rows too many or missing", abs(len(rows) - objects), most=0)
    report.add("CDRs: told 1000 and not stored so", len(wrong), most=0)
    report.add("CDRs: objects nobody was told 1000 for", objects - len(places), most=0)
    report.add("CDRs: objects with two places", sum(len(found) > 1 for found in places.values()), most=0)
    _codes(report, "CDRs", load.sent)
    here.stop(instance)


def _commands(report: Report, here: Place, objects: int) -> None:
    instance, database, token = _instance(here, "cpo", "NL*TNM:CPO", "web", "worker", webs=_webs(report))
    example = json.loads((DOCUMENTS / "start_session.json").read_text())

    def body(number: int, variant: bool) -> dict[str, Any]:
        changed = {"authorization_reference": "ANOTHER"} if variant else {}
        token_of_it = {**example["token"], "uid": f"UID{number:03}"}
        response_url = f"{NOWHERE}/results/{number}"
        return {**example, "token": token_of_it, "response_url": response_url, **changed}

    base = f"http://127.0.0.1:{instance.port}/ocpi/cpo/2.2.1"
    load = Load(
        f"{base}/commands/START_SESSION", token, ("NL", "TNM"), ("DE", "EMS"), body, objects, report.options.seed,
        _pause(report),
    )  # fmt: skip
    with Killer(instance, report.options) as killer:
        load.run()
        _hold(killer)
    with psycopg.connect(database, autocommit=True) as connection:
        limit = time.monotonic() + _PATIENCE
        waiting = "SELECT count(*) FROM cpo_command WHERE state = 'WAITING'"
        while connection.execute(waiting).fetchone() != (0,) and time.monotonic() < limit:
            time.sleep(0.2)
        rows = connection.execute("SELECT response_url, request FROM cpo_command").fetchall()
        operations = connection.execute("SELECT asked_by, count(*) FROM cpo_operation GROUP BY 1").fetchall()
    stored = {url.rpartition("/")[2]: json.loads(text).get("authorization_reference") for url, text in rows}
    told = [one for one in load.sent if one.code == 1000]
    wrong = [one for one in told if (stored.get(one.key) == "ANOTHER") != one.variant]
    answers: dict[str, set[str]] = defaultdict(set)
    for one in told:
        answers[one.key].add(one.text)
    report.add("commands: web processes killed", killer.killed, least=1 if report.options.short else 5)
    report.add("commands: sent", len(load.sent), least=CLIENTS * objects)
    report.add("commands: rows too many or missing", abs(len(rows) - objects), most=0)
    report.add("commands: told 1000 and not stored so", len(wrong), most=0)
    report.add("commands: with two answers", sum(len(found) > 1 for found in answers.values()), most=0)
    report.add("commands: accepted", sum('"ACCEPTED"' in text for found in answers.values() for text in found),
               least=objects)  # fmt: skip
    report.add("commands: never put to the charge point", objects - len(operations), most=0)
    report.add("commands: put to it twice", sum(count > 1 for _, count in operations), most=0)
    _codes(report, "commands", load.sent)
    here.stop(instance)


def _hold(killer: Killer) -> None:
    """Wait for the first kill, should everything be over before."""
    limit = time.monotonic() + 10
    while not killer.killed and time.monotonic() < limit:
        time.sleep(0.05)


def _codes(report: Report, what: str, sent: list[Sent]) -> None:
    codes = Counter(str(one.code) for one in sent)
    say(f"{what}: {dict(codes)}, {sum(one.tries for one in sent)} requests for {len(sent)} answers")
    report.add(f"{what}: answered neither 1000 nor 2001", len(sent) - codes["1000"] - codes["2001"], most=0)
    report.add(f"{what}: refused although like the first", _refused_alike(sent), most=0)


def _refused_alike(sent: list[Sent]) -> int:
    """Return how many were refused whose body was the one that others were told 1000 for."""
    accepted = {(one.key, one.variant) for one in sent if one.code == 1000}
    return sum(one.code == 2001 and (one.key, one.variant) in accepted for one in sent)
