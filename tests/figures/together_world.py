"""The five instances: how they are made, connected, filled, stopped and started again."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from hub import embedded, environment
from hub.processes import die_with_parent
from ocpi.sample_data import dumps, locations, tariffs
from tests import command_server
from tests.figures.figure import say
from tests.load.harness import free_port
from tests.load.process import descendants, processes

ROOT = Path(__file__).resolve().parents[2]
SIDES = {"hub": "hub", "cpo1": "cpo", "cpo2": "cpo", "emsp": "emsp"}
PARTIES = {"hub": "NL*HUB", "cpo1": "NL*TNM", "cpo2": "BE*BEC", "emsp": "DE*EMS", "script": "FR*SCR"}
_POINTS = 2  # of each CPO, two connectors each


@dataclass(slots=True)
class Member:
    """One of the five: a command line that is started again whenever it has ended."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    away_until: float = 0.0
    forked: bool = False  # from a process that has loaded everything: seconds sooner, the same otherwise
    process: subprocess.Popen[bytes] | command_server.Lasting | None = None

    def start(self) -> None:
        if self.forked:
            self.process = command_server.Lasting(self.command[2:], self.environment, log=self.log)
            return
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=die_with_parent(),
            )  # fmt: skip

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def below(self) -> list[int]:
        """Return every process under its first one."""
        return descendants(self.process.pid)[1:] if self.process is not None and self.running() else []

    def kill(self, seconds_away: float) -> None:
        """End it without a warning; what it had started ends with it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.away_until = time.monotonic() + seconds_away

    def manage(self, *words: str) -> Any:
        return json.loads(command_server.run([*words, "--json"], self.environment).strip().splitlines()[-1])

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.environment["DATABASE_URL"], autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()


@dataclass(slots=True)
class World:
    """All of them."""

    folder: Path
    members: dict[str, Member]
    points: dict[str, tuple[str, str]] = field(default_factory=dict)
    cards: list[str] = field(default_factory=list)
    tariffs: dict[str, list[Any]] = field(default_factory=dict)
    changes: int = 0

    def revive(self) -> None:
        """Start whatever has ended and is not meant to stay away any longer."""
        for member in self.members.values():
            if not member.running() and time.monotonic() >= member.away_until:
                member.start()

    def repair(self) -> None:
        """Start everything now."""
        for member in self.members.values():
            member.away_until = 0.0
        self.revive()

    def stop_one(self, chance: random.Random) -> str:
        """SIGKILL one process of one of the five; return which."""
        member = chance.choice(list(self.members.values()))
        below = member.below()
        if not below or chance.random() < 0.15:
            member.kill(chance.uniform(0.5, 8))
            return f"{member.name}: all of it"
        victim = chance.choice(below)
        what = _name(victim)
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        return f"{member.name}: {what}"

    def change_something(self, chance: random.Random) -> None:
        """Change a price of one CPO, through the same door as an operator."""
        name = chance.choice(["cpo1", "cpo2"])
        self.changes += 1
        changed = chance.choice(self.tariffs[name])
        changed["elements"][0]["price_components"][0]["price"] = round(0.2 + self.changes / 1000, 3)
        changed["last_updated"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        file = _write(self.folder, f"change-{self.changes}", [changed])
        self.members[name].manage("load_tariffs", str(file))

    def close(self) -> None:
        for member in self.members.values():
            if member.process is not None and member.running():
                member.process.terminate()
        for member in self.members.values():
            if member.process is not None:
                with suppress(subprocess.TimeoutExpired):
                    member.process.wait(15)
                member.kill(0)


def build(folder: Path, servers: embedded.Servers, settings: Mapping[str, str] | None = None) -> World:
    """Start the five, register four of them at the hub, load what they own; `settings` are for all but the script."""
    say("making the tables")
    template = embedded.create_database(servers, "together_template")
    secrets = environment.new_secrets()
    command_server.run(["migrate", "-v", "0"], {**secrets, "DATABASE_URL": template})
    stores = {
        name: {
            "DATABASE_URL": embedded.create_database(servers, f"together_{name}", "together_template"),
            "REDIS_URL": f"{servers.redis_url.rpartition('/')[0]}/{number}",
        }
        for number, name in enumerate(SIDES, 1)
    }
    world = _begin(folder, stores, settings or {})
    _wait_for_all(world)
    _connect(world)
    _load_owned(world)
    _load_cards(world)
    return world


def build_small(folder: Path, stores: Mapping[str, Mapping[str, str]], settings: Mapping[str, str]) -> World:
    """Do the same without a hub: one CPO, whose database is there, and the script, which registers at the CPO.

    What the CPO owns is loaded while its processes start: commands need the database only.
    """
    world = _begin(folder, stores, settings, forked=True)
    _load_owned(world)
    _wait_for_all(world)
    _connect(world)
    _load_cards(world)
    return world


def _begin(
    folder: Path, stores: Mapping[str, Mapping[str, str]], settings: Mapping[str, str], *, forked: bool = False
) -> World:
    """Start those of the five that have a database."""
    members = {
        name: Member(
            name,
            [sys.executable, "manage.py", "run", "--no-migrate"],
            {**_environment(name, SIDES[name]), **found, **settings},
            folder / f"{name}.log",
            forked=forked,
        )
        for name, found in stores.items()
    }
    world = World(folder, members)
    say(f"starting {', '.join(members)}")
    world.revive()
    return world


def _wait_for_all(world: World) -> None:
    """Wait until all that were started answer."""
    for member in world.members.values():
        _wait_for(member)


def _environment(name: str, side: str) -> dict[str, str]:
    port = free_port()
    gateway = free_port()
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
    return {
        **kept,
        **environment.new_secrets(),
        "OCPI_SIDES": side,
        "OCPI_PARTIES": f"{PARTIES[name]}:{side.upper()}",
        "OCPI_BASE_URL": f"http://127.0.0.1:{port}",
        "OCPI_ALLOWED_NETWORKS": "127.0.0.0/8",
        "OCPI_RATE_PER_PLATFORM": "off",
        "OCPI_PULL_GRACE": "20",  # in place of ten minutes: the run is short
        "OCPI_PUSH_TTL": "15",
        "OCPI_REQUEST_TIMEOUT": "5",
        "OCPI_FORWARD_TIMEOUT": "8",
        "PORT": str(port),
        "OCPP_GATEWAY_PORT": str(gateway),
        "OCPP_GATEWAY_URL": f"ws://127.0.0.1:{gateway}",
        "OCPP_DRAIN_SECONDS": "0.5",
        "LOG_LEVEL": "WARNING",
    }


def _connect(world: World) -> None:
    hub = world.members.get("hub") or world.members["cpo1"]
    say(f"registering at the {hub.name}")
    for name in [each for each in world.members if each != hub.name]:
        party = f"{PARTIES[name]}:{SIDES[name].upper()}"
        invited = hub.manage("invite_platform", "--name", name, "--party", party)
        world.members[name].manage(
            "register_platform", "--name", "hub", "--versions-url", invited["versions_url"],
            f"--token={invited['token_a']}", "--party", f"{PARTIES['hub']}:HUB",
        )  # fmt: skip
    cards = [_card(PARTIES["script"], f"04FFEE00AA{number:02}") for number in range(2)]
    world.cards += [each["uid"] for each in cards]
    invited = hub.manage("invite_platform", "--name", "script", "--party", f"{PARTIES['script']}:EMSP")
    port = free_port()
    command = [
        sys.executable, "-m", "tests.figures.script_emsp", "--store", str(world.folder / "script.sqlite"),
        "--port", str(port), "--versions-url", invited["versions_url"], f"--token={invited['token_a']}",
        "--party", PARTIES["script"], "--tokens", str(_write(world.folder, "cards", cards)),
    ]  # fmt: skip
    plain = {"PATH": os.environ.get("PATH", ""), "PYTHONUNBUFFERED": "1"}
    world.members["script"] = Member("script", command, plain, world.folder / "script.log")
    world.revive()


def _owners(world: World) -> list[str]:
    return [name for name in ("cpo1", "cpo2") if name in world.members]


def _load_owned(world: World) -> None:
    say("loading Locations and Tariffs")
    for name in _owners(world):
        member = world.members[name]
        country_code, party_id = PARTIES[name].split("*")
        world.tariffs[name] = [json.loads(dumps(each)) for each in tariffs(country_code, party_id)]
        member.manage("load_tariffs", str(_write(world.folder, f"{name}-tariffs", world.tariffs[name])))
        owned = locations(_POINTS, country_code=country_code, party_id=party_id, evses=2, status="AVAILABLE")
        documents = [json.loads(dumps(each)) for each in owned]
        member.manage("load_locations", str(_write(world.folder, f"{name}-locations", documents)))
        for number, document in enumerate(documents):
            identity = f"{name.upper()}-{number}"
            added = member.manage("add_charge_point", identity, "--party", PARTIES[name], "--location", document["id"])
            gateway = f"{member.environment['OCPP_GATEWAY_URL']}/ocpp"
            world.points[identity] = (gateway, added["password"])


def _load_cards(world: World) -> None:
    say("loading Tokens")
    if "emsp" in world.members:
        cards = [_card(PARTIES["emsp"], f"04AABB00CC{number:02}") for number in range(2)]
        world.cards += [each["uid"] for each in cards]
        world.members["emsp"].manage("load_tokens", str(_write(world.folder, "tokens", cards)))
    end = time.monotonic() + 180  # what was refused by one that was still starting comes again after a while
    while any(len(world.members[name].query("SELECT FROM cpo_token")) < len(world.cards) for name in _owners(world)):
        if time.monotonic() > end:
            raise RuntimeError("the Tokens did not reach the CPOs")
        time.sleep(0.2)


def _card(party: str, uid: str) -> Mapping[str, Any]:
    country_code, party_id = party.split("*")
    return {
        "country_code": country_code, "party_id": party_id, "uid": uid, "type": "RFID",
        "contract_id": f"{country_code}-{party_id}-C{uid[-9:]}", "issuer": party_id, "valid": True,
        "whitelist": "ALWAYS", "last_updated": "2026-01-01T00:00:00Z",
    }  # fmt: skip


def _write(folder: Path, name: str, documents: Any) -> Path:
    file = folder / f"{name}.json"
    file.write_text(json.dumps(documents))
    return file


def _wait_for(member: Member) -> None:
    """Wait until it answers: the first request of a process has it load what every later one finds loaded."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", int(member.environment["PORT"]), timeout=30)
        with closing(connection), suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/ocpi/versions")
            if connection.getresponse().status == 401:
                return
        time.sleep(0.1)
    raise RuntimeError(f"{member.name} does not start:\n{member.log.read_text()[-2000:]}")


def _name(pid: int) -> str:
    """Return what a process is, from its command line and its name."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") + Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return "gone"
    for part in ("beat", "worker", "ocpp_gateway", "hub.web", "uvicorn", "gunicorn", "multiprocessing"):
        if part in words:
            return "web" if part in ("hub.web", "uvicorn", "gunicorn", "multiprocessing") else part
    return processes().get(pid, (0, "other", 0.0))[1]
