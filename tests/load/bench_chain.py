"""BENCH-06: a StatusNotification at the charge point, through CPO and hub, until it is committed at the eMSP."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import psycopg

from ocpi.sample_data import dumps, locations, tariffs
from tests.load.harness import Lab, Line, Process, free_port, say

_RATE = 50.0  # changes per second
_POINTS, _CONNECTORS = 12, 5
_HOPS = ("charge point → CPO sends", "CPO → hub", "hub keeps, marks, sends", "hub → eMSP", "eMSP stores and commits")
_PARTIES = {"hub": "NL*HUB:HUB", "cpo": "NL*TNM:CPO", "emsp": "DE*EMS:EMSP"}


def chain(lab: Lab) -> Iterable[Line]:
    """BENCH-06: from StatusNotification to commit at the eMSP, 50 changes a second, hop by hop."""
    places = _Places(lab)
    started = [places.start(side) for side in _PARTIES]
    places.introduce()
    points = places.furnish()
    seconds = max(6.0, lab.options.seconds)
    file = lab.folder / "points.json"
    file.write_text(json.dumps(points))
    url = f"ws://127.0.0.1:{places.gateway}/ocpp"
    say(f"{_RATE:.0f} changes a second for {seconds:.0f} s at {len(points)} charge points")
    before = {process.name: process.cpu() for process in started}
    command = [sys.executable, "-m", "tests.load.points", str(file), "--url", url, "--rate", str(_RATE)]
    sent = json.loads(lab.run([*command, "--seconds", str(seconds)], {}).splitlines()[-1])
    time.sleep(2)
    cpu = {process.name: round(process.cpu() - before[process.name], 2) for process in started}
    arrived, hops = _follow(places.databases, sent)
    lab.stop(*started)
    times = sorted(arrived)
    missing = len(sent) - len(times)
    if not times:
        raise RuntimeError("no change arrived at the eMSP")
    p50, p95 = (times[min(len(times) - 1, int(len(times) * share))] for share in (0.5, 0.95))
    share = ", ".join(f"{name} {statistics.median(values):.0f} ms" for name, values in hops.items() if values)
    yield Line(
        "BENCH-06 StatusNotification to commit at the eMSP through the hub, p95", p95, "ms",
        f"p50 of the same run; {_RATE:.0f} changes per second", p50,
        limit=250, lower_is_better=True, note=f"medians: {share}"
        + (f"; {missing} of {len(sent)} did not arrive on their own (merged with a later one)" if missing else ""),
        details={
            "changes": len(sent), "arrived": len(times), "p50_ms": round(p50, 1), "p95_ms": round(p95, 1), "cpu_s": cpu,
            "hops_p95_ms": {name: round(sorted(values)[int(len(values) * 0.95)], 1) for name, values in hops.items()
                            if values},
        },
    )  # fmt: skip


class _Places:
    """Three instances with their worker and clock; the CPO's has its gateway."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.ports = {side: free_port() for side in _PARTIES}
        self.gateway = free_port()
        self.databases = {side: lab.database(f"chain_{side}") for side in _PARTIES}
        redis = lab.servers.redis_url.rpartition("/")[0]
        self.env = {
            side: {
                "DATABASE_URL": self.databases[side],
                "REDIS_URL": f"{redis}/{number}",
                "OCPI_SIDES": side,
                "OCPI_PARTIES": party,
                "PORT": str(self.ports[side]),
                "OCPI_BASE_URL": f"http://127.0.0.1:{self.ports[side]}",
                "OCPP_GATEWAY_PORT": str(self.gateway),
            }
            for number, (side, party) in enumerate(_PARTIES.items(), 6)
        }

    def start(self, side: str) -> Process:
        """Start an instance as `manage.py run` does, everything on."""
        command = [sys.executable, "manage.py", "run", "--no-migrate"]
        return self.lab.start(side, command, self.env[side], port=self.ports[side])

    def manage(self, side: str, *arguments: str) -> Any:
        """Run a command that prints JSON."""
        found = self.lab.run([sys.executable, "manage.py", *arguments, "--json"], self.env[side])
        return json.loads(found.strip().splitlines()[-1])

    def introduce(self) -> None:
        """Let the CPO and the eMSP register at the hub."""
        say("CPO and eMSP register at the hub")
        for side in ("cpo", "emsp"):
            invited = self.manage("hub", "invite_platform", "--name", side, "--party", _PARTIES[side])
            versions = ["--versions-url", invited["versions_url"], f"--token={invited['token_a']}"]
            self.manage(side, "register_platform", "--name", "hub", *versions, "--party", _PARTIES["hub"])

    def furnish(self) -> list[dict[str, Any]]:
        """Load Locations at the CPO, wait until the eMSP has them, add their charge points."""
        found = list(locations(_POINTS, evses=_CONNECTORS, status="AVAILABLE"))
        for name, objects in (("load_tariffs", tariffs("NL", "TNM")), ("load_locations", found)):
            file = self.lab.folder / f"{name}.json"
            file.write_text("[" + ",".join(dumps(each) for each in objects) + "]")
            self.manage("cpo", name, str(file))
        self._until(lambda: self._count("emsp") == len(found))
        points = []
        for number, location in enumerate(found):
            party = _PARTIES["cpo"].partition(":")[0]
            asked = ["add_charge_point", f"BENCH-{number:03}", "--party", party, "--location", location["id"]]
            added = self.manage("cpo", *asked)
            points.append({"identity": asked[1], "password": added["password"], "evses": added["evses"]})
        return points

    def _count(self, side: str) -> int:
        with psycopg.connect(self.databases[side]) as connection:
            row = connection.execute(f"SELECT count(*) FROM {side}_location").fetchone()  # noqa: S608
        return int(row[0]) if row else 0

    def _until(self, ready: Callable[[], bool], seconds: float = 40) -> None:
        limit = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > limit:
                raise RuntimeError("the Locations did not reach the eMSP")
            time.sleep(0.2)


def _follow(databases: dict[str, str], sent: list[list[Any]]) -> tuple[list[float], dict[str, list[float]]]:
    """Return from the exchange logs how long each change took (ms) in all, and at each hop."""
    legs = {(side, way): _patches(databases[side], way) for side, way in
            (("cpo", "OUT"), ("hub", "IN"), ("hub", "OUT"), ("emsp", "IN"))}  # fmt: skip
    by_evse: dict[str, list[Any]] = defaultdict(list)
    for leg in legs["emsp", "IN"]:
        by_evse[leg[1].rpartition("/")[2].upper()].append(leg)
    by_correlation = {key: {leg[0]: leg for leg in found} for key, found in legs.items()}
    times: list[float] = []
    hops: dict[str, list[float]] = {name: [] for name in _HOPS}
    for uid, status, at in sorted(sent, key=lambda change: change[2]):
        waiting = by_evse[uid.upper()]
        index = next((n for n, leg in enumerate(waiting) if leg[2] >= at and f'"{status}"' in leg[4]), None)
        if index is None or waiting[index][2] - at > 20:
            continue
        leg = waiting.pop(index)
        end = leg[2] + leg[3] / 1000
        times.append((end - at) * 1000)
        path = [by_correlation[key].get(leg[0]) for key in (("cpo", "OUT"), ("hub", "IN"), ("hub", "OUT"))]
        if all(path):
            cpo, hub_in, hub_out = path
            moments = [at, cpo[2], hub_in[2], hub_out[2], leg[2], end]
            for name, first, last in zip(_HOPS, moments[:-1], moments[1:], strict=True):
                hops[name].append((last - first) * 1000)
    return times, hops


def _patches(database: str, way: str) -> list[tuple[str, str, float, float, str]]:
    """Return correlation id, object path, beginning, milliseconds and body of the PATCHes of EVSEs."""
    with psycopg.connect(database) as connection:
        return connection.execute(
            "SELECT correlation_id, object_path, extract(epoch FROM at)::float8, milliseconds, request_body "
            "FROM ocpi_exchange WHERE direction = %s AND module = 'locations' AND method = 'PATCH' ORDER BY at",
            [way],
        ).fetchall()  # type: ignore[return-value]
