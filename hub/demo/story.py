"""The demo from beginning to end: start three platforms, introduce them to each other, and let drivers charge."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import queue
import secrets
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hub import embedded
from hub.demo import chargers, drivers, instances, report
from hub.demo.zygote import Process, command, stop_all
from ocpi import sample_data

CPO, EMSP, HUB = "NL*TNM", "DE*EMS", "NL*HUB"
_START_SECONDS = 30.0
_QUIET_SECONDS = 25.0
Say = Callable[[str], None]


class Demo:
    """Everything that runs, and what was seen of it."""

    def __init__(self, servers: embedded.Servers, keys: dict[str, str], say: Say, *, points: int, seed: int) -> None:
        self.servers, self.keys, self.say, self.points, self.seed = servers, keys, say, points, seed
        self.folder = Path(tempfile.mkdtemp(prefix="ocpi-demo-"))
        self.password = secrets.token_urlsafe(9)
        self.template = f"demo_{secrets.token_hex(4)}"
        self.telling: Any = multiprocessing.get_context("fork").Queue()
        self.stop_driving = multiprocessing.get_context("fork").Event()
        self.stop_charging = multiprocessing.get_context("fork").Event()
        self.found: dict[str, instances.Instance] = {}
        self.actors: list[Process] = []
        self.statuses: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self.verified = 0

    # ------------------------------------------------------------ the platforms

    def start(self) -> None:
        """Start the three instances and wait until all answer."""
        template = self.template
        base = {**self.keys, "DATABASE_URL": embedded.create_database(self.servers, template), "OCPI_SIDES": "hub"}
        base |= {"REDIS_URL": self.servers.redis_url, "OCPI_BASE_URL": "http://127.0.0.1:8000"}
        base |= {"OCPI_ALLOWED_NETWORKS": "127.0.0.0/8", "OCPI_PARTIES": instances.PARTIES["hub"]}
        base |= {"DJANGO_SUPERUSER_PASSWORD": self.password, "LOG_LEVEL": "WARNING"}
        migrating = instances.Instance("template", 0, base, str(self.folder / "migrate.log"))
        migrating.run("migrate", "--verbosity", "0", "--no-input", seconds=300)
        migrating.run("createsuperuser", "--no-input", "--username", "admin", "--email", "admin@example.com")
        self.found = instances.create(self.servers, self.keys, self.folder, template)
        for instance in self.found.values():
            instance.start("web", instances.web(instance.side, instance.port))
            instance.start("worker", instances.worker)
        gateway = self.found["cpo"].environment["OCPP_GATEWAY_PORT"]
        self.found["cpo"].start("gateway", command("ocpp_gateway", "--host", instances.HOST, "--port", gateway))
        for port in (*(each.port for each in self.found.values()), int(gateway)):
            self._until_it_listens(port)
        self.say("three platforms are up: " + ", ".join(f"{each.side} {each.url}" for each in self.found.values()))

    def introduce(self) -> None:
        """Let the CPO and the eMSP register at the hub, each with a token A that the hub's operator gave it."""
        hub = self.found["hub"]
        for side, party in (("cpo", f"{CPO}:CPO"), ("emsp", f"{EMSP}:EMSP")):
            name = instances.NAMES[side]
            invited = json.loads(hub.run("invite_platform", "--name", name, "--party", party, "--json"))
            registered = json.loads(
                self.found[side].run(
                    "register_platform",
                    "--name",
                    instances.NAMES["hub"],
                    "--versions-url",
                    invited["versions_url"],
                    "--token",
                    invited["token_a"],
                    "--party",
                    f"{HUB}:HUB",
                    "--json",
                )
            )
            self.say(f"{name} and {instances.NAMES['hub']} registered: {registered['state']}, {registered['version']}")

    # ------------------------------------------------------------ the data

    def furnish(self) -> None:
        """Load tariffs, Locations and Tokens at their owners; OCPI brings them to the others."""
        cpo, emsp = self.found["cpo"], self.found["emsp"]
        tariffs = sample_data.tariffs("NL", "TNM", seed=self.seed)
        locations = list(sample_data.locations(self.points, seed=self.seed, country_code="NL", party_id="TNM"))
        tokens = list(sample_data.tokens(40, seed=self.seed))
        self._load(cpo, "load_tariffs", tariffs)
        self._load(cpo, "load_locations", locations)
        self._load(emsp, "load_tokens", tokens)
        self.say(f"{len(locations)} Locations, {len(tariffs)} Tariffs, {len(tokens)} Tokens are on their way")
        points = []
        for number, location in enumerate(locations, 1):
            identity, protocol = f"DEMO-{number:03}", "2.0.1" if number % 3 == 1 else "1.6"
            where = ("--party", CPO, "--location", location["id"], "--protocol", protocol)
            added = json.loads(cpo.run("add_charge_point", identity, *where, "--json"))
            points.append(
                {
                    "identity": identity,
                    "protocol": protocol,
                    "password": added["password"],
                    "evses": added["evses"],
                    "power_w": chargers.power_of(location),
                }
            )
        url = f"{cpo.environment['OCPP_GATEWAY_URL']}/ocpp"
        work = chargers.work(url, points, self.telling, self.stop_charging)
        self.actors.append(Process("charge points", {}, work, log=str(self.folder / "charge_points.log")))
        self.valid = [token["uid"] for token in tokens if token["valid"] and token["type"] in ("RFID", "APP_USER")]
        self.places = [(location["id"], evse["uid"]) for location in locations for evse in location["evses"]]

    def wait_for_exchange(self) -> None:
        """Wait until every platform has what the others own and all charge points are there."""
        limit, booted = time.monotonic() + _START_SECONDS, False
        while time.monotonic() < limit:
            booted = any(event["event"] == "booted" for event in self.heard()) or booted
            if booted and self._exchanged():
                self.say("Locations, Tariffs and Tokens have arrived everywhere; the charge points are online")
                return
            time.sleep(0.3)
        self.errors.append("not everything was exchanged in time")

    # ------------------------------------------------------------ the play

    def drive(self) -> None:
        """Start the drivers."""
        plan = drivers.Plan(
            cpo=CPO, places=self.places, tokens=self.valid, drivers=4, seconds=(4.0, 9.0), seed=self.seed
        )
        environment = self.found["emsp"].environment
        work = drivers.work(plan, self.telling, self.stop_driving)
        self.actors.append(Process("drivers", environment, work, log=str(self.folder / "drivers.log")))

    @property
    def driving(self) -> bool:
        """Say whether the drivers were started: then charge points and drivers are the actors."""
        return len(self.actors) == 2

    def heard(self) -> list[dict[str, Any]]:
        """Take what the actors told since the last time, and show it."""
        events: list[dict[str, Any]] = []
        while True:
            try:
                event = self.telling.get_nowait()
            except queue.Empty:
                return events
            events.append(event)
            self._note(event)

    def finish(self) -> None:
        """Let running sessions end, the charge points go home, and everything arrive."""
        self.stop_driving.set()
        drivers_process, points_process = self.actors[-1], self.actors[0]
        self._wait(lambda: not drivers_process.running())
        self._wait(self._quiet)
        # A charge point has something to say for a while after its last session: cable out, connector free.
        self.stop_charging.set()
        self._wait(lambda: not points_process.running())
        self._wait(self._quiet)
        self.heard()

    def _wait(self, over: Callable[[], bool]) -> None:
        limit = time.monotonic() + _QUIET_SECONDS
        while time.monotonic() < limit and not over():
            self.heard()
            time.sleep(0.2)

    def report(self) -> dict[str, Any]:
        """Return the report of interfaces: ok is false if anything is missing, unverified, dead or pending."""
        hub, cpo, emsp = self._seen("hub"), self._seen("cpo"), self._seen("emsp")
        deliveries = report.added_up([each["deliveries"] for each in (hub, cpo, emsp)])
        refusals = [text for each in (hub, cpo, emsp) for text in each["refusals"]]
        statuses = report.status_latencies(self.statuses, emsp["status_commits"])
        cdrs = emsp["cdrs"]
        platforms = [
            {"name": each["name"], "roles": each["roles"], "url": self._url_of(each["name"]), "state": each["state"]}
            for each in json.loads(self.found["hub"].run("list_platforms", "--json"))
        ]
        whole = (
            len(platforms) == 2
            and all(each["state"] == "REGISTERED" for each in platforms)
            and emsp["locations"] == cpo["locations"] > 0
            and emsp["tariffs"] == cpo["tariffs"] > 0
            and emsp["tokens"] == cpo["tokens"] > 0
            and len(cdrs) == cpo["cdrs"] > 0
            and all(cdr["verified"] for cdr in cdrs)
            and not emsp["open"] and not cpo["open"] and not emsp["unchecked"]
            and not deliveries["refused"] and not deliveries["dead"] and not deliveries["pending"]
        )  # fmt: skip
        return {
            "ok": whole and not self.errors,
            "platforms": platforms,
            "locations": emsp["locations"],
            "tariffs": emsp["tariffs"],
            "tokens": cpo["tokens"],
            "charge_points": cpo["charge_points"],
            "sessions": emsp["sessions"],
            "cdrs": cdrs,
            "deliveries": deliveries,
            "latency_ms": report.latencies(hub["forwards"], statuses),
            "errors": [*self.errors, *refusals],
        }

    def stop(self) -> None:
        """Stop every process, the actors first."""
        self.stop_driving.set()
        self.stop_charging.set()
        stop_all(self.actors)
        stop_all([process for instance in self.found.values() for process in instance.processes])
        for name in (*(f"{self.template}_{side}" for side in self.found), self.template):
            embedded.drop_database(self.servers, name)

    # ------------------------------------------------------------ small steps

    def dead(self) -> list[str]:
        """Return the processes that have ended although nobody stopped them."""
        running = [*self.actors, *(each for instance in self.found.values() for each in instance.processes)]
        return [process.name for process in running if not process.running()]

    def _note(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "status":
                self.statuses.append(event)
            case "booted":
                self.say(f"{event['count']} charge points booted, {event['ocpp201']} of them with OCPP 2.0.1")
            case "started":
                self.say(f"session {event['session'][:8]} started at {event['evse']} with token {event['token']}")
            case "stopped":
                self.say(f"session {event['session'][:8]} stopped")
            case "cdr":
                self.verified += event["verified"]
                verdict = "verified" if event["verified"] else "NOT VERIFIED"
                self.say(
                    f"CDR {event['id'][:8]}: {event['kwh']} kWh, {event['total_cost']} {event['currency']}, {verdict}"
                )
            case "error":
                self.errors.append(event["text"])
                self.say(f"error: {event['text']}")

    def _load(self, instance: instances.Instance, name: str, objects: list[Any]) -> None:
        file = self.folder / f"{name}.json"
        file.write_text("[" + ",".join(sample_data.dumps(each) for each in objects) + "]")
        loaded = json.loads(instance.run(name, str(file), "--json"))
        if loaded["refused"]:
            raise RuntimeError(f"{name} refused {loaded['refused'][:3]}")

    def _exchanged(self) -> bool:
        cpo, emsp = self._seen("cpo"), self._seen("emsp")
        return bool(
            emsp["locations"] == cpo["locations"] > 0
            and emsp["tariffs"] == cpo["tariffs"] > 0
            and emsp["tokens"] == cpo["tokens"] > 0
        )

    def _quiet(self) -> bool:
        sides = [self._seen(side) for side in ("hub", "cpo", "emsp")]
        waiting = any(side["deliveries"]["pending"] for side in sides)
        cpo, emsp = sides[1], sides[2]
        return not (waiting or cpo["open"] or emsp["open"] or emsp["unchecked"] or len(emsp["cdrs"]) != cpo["cdrs"])

    def _seen(self, side: str) -> dict[str, Any]:
        instance = self.found[side]
        work = {"hub": report.hub_side, "cpo": report.owner_side, "emsp": report.receiver_side}[side]
        looking = Process(f"look at {side}", instance.environment, report.as_json(work), log=instance.log)
        try:
            seen: dict[str, Any] = json.loads(looking.value(20))
        finally:
            looking.stop()
        return seen

    def _url_of(self, name: str) -> str:
        side = next((side for side, known in instances.NAMES.items() if known == name), "")
        return f"{self.found[side].url}/ocpi/versions" if side else ""

    def _until_it_listens(self, port: int) -> None:
        limit = time.monotonic() + _START_SECONDS
        while time.monotonic() < limit:
            with contextlib.suppress(OSError), socket.create_connection((instances.HOST, port), timeout=1):
                return
            if ended := self.dead():
                raise RuntimeError(f"{', '.join(ended)} ended; see {self.folder}")
            time.sleep(0.05)
        raise RuntimeError(f"nothing listens on port {port}; see {self.folder}")
