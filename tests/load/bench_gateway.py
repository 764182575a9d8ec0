"""BENCH-09: the OCPP gateway, OCPP-109 … OCPP-114, beside the `ocpp` package's own receive loop in the same run."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import psycopg

from tests.certificates import server_files
from tests.load import gateway_lab
from tests.load.gateway_lab import Fleet
from tests.load.harness import Lab, Line, Process, free_port, say

_STOCK = "the ocpp package's receive loop, which keeps nothing"
_IDLE = 10_000
_TALKING = 400  # connections that say something at the same time


def gateway(lab: Lab) -> Iterable[Line]:
    """BENCH-09: connections at rest and in a storm, durable messages per second, operations, pushes."""
    yield from idle(lab)
    yield from secured(lab)
    yield from ingest(lab)
    yield from operations(lab)
    yield from pushes(lab)


def _count(lab: Lab, full: int, least: int) -> int:
    return max(least, min(full, round(full * lab.options.scale)))


def _goal(lab: Lab, value: float) -> float | None:
    """Return a goal only where as much is asked for as it says."""
    return value if lab.options.scale >= 1 else None


# ---------------------------------------------------------------- OCPP-109, OCPP-110


def idle(lab: Lab) -> Iterable[Line]:
    """Connect and boot all at once, then let them rest."""
    count = _count(lab, _IDLE, 500)
    database = lab.database("gateway_idle")
    gateway_lab.add_points(lab, database, count)
    measured = {}
    for name, server in (("stock", gateway_lab.stock(lab)), ("gateway", gateway_lab.node(lab, database))):
        measured[name] = _rest(lab, name, server, count)
        lab.stop(server)
    ours, theirs = measured["gateway"], measured["stock"]
    yield Line(
        f"BENCH-09 {count:,} charge points connect and boot (OCPP-110)", ours["seconds"], "s", _STOCK,
        theirs["seconds"], limit=_goal(lab, 60), lower_is_better=True, note=_lost(ours), details=measured,
    )  # fmt: skip
    yield Line(
        f"BENCH-09 memory of {count:,} idle connections (OCPP-109)", ours["rss"], "MiB", _STOCK, theirs["rss"],
        limit=_goal(lab, 400), lower_is_better=True,
        note=f"{ours['each']:.1f} KiB each beside {theirs['each']:.1f}", details=measured,
    )  # fmt: skip
    yield Line(
        f"BENCH-09 CPU of {count:,} idle connections, Heartbeat 60 s (OCPP-109)", ours["cpu"], "% of a core", _STOCK,
        theirs["cpu"], limit=_goal(lab, 25), lower_is_better=True, note=_lost(ours), details=measured,
    )  # fmt: skip


def _rest(lab: Lab, name: str, server: Process, count: int, *, port: int = 0, tls: bool = False) -> dict[str, float]:
    before = gateway_lab.rss(server)
    fleet = Fleet(lab, port or server.port, count, at_once=200, tls=tls)
    opening = fleet.opening
    say(f"{name}: {opening['opened']} of {count} open after {opening['seconds']:.1f} s {opening['first_error'][:200]}")
    time.sleep(3)
    cpu, began = server.cpu(), time.monotonic()
    # As many as the goal says are watched longer than the half minute in which a node looks at each once.
    rest = fleet.do("idle", seconds=max(lab.options.seconds, 35 if count == _IDLE else 8))
    share = 100 * (server.cpu() - cpu) / (time.monotonic() - began)
    memory = gateway_lab.rss(server)
    fleet.close()
    each = (memory - before) * 1024 / max(opening["opened"], 1)
    say(f"{name}: {memory:.0f} MiB, {each:.1f} KiB each, {share:.1f} % of a core")
    return {
        "seconds": opening["seconds"], "failed": opening["failed"], "lost": rest["lost"], "rss": memory, "cpu": share,
        "each": each,
    }  # fmt: skip


def _lost(found: dict[str, float]) -> str:
    return f"{found['failed']:.0f} not let in, {found['lost']:.0f} dropped" if found["failed"] or found["lost"] else ""


# ---------------------------------------------------------------- OCPP-114


def secured(lab: Lab) -> Iterable[Line]:
    """Let connections with TLS ended in the node itself rest."""
    count = _count(lab, 5_000, 500)
    database = lab.database("gateway_tls")
    gateway_lab.add_points(lab, database, count)
    certificate, key = server_files(lab.folder)
    port = free_port()
    files = {"OCPP_TLS_CERT": certificate, "OCPP_TLS_KEY": key, "OCPP_TLS_PORT": str(port)}
    server = gateway_lab.node(lab, database, files)
    found = _rest(lab, "gateway, TLS", server, count, port=port, tls=True)
    lab.stop(server)
    yield Line(
        f"BENCH-09 memory of a connection with TLS, of {count:,} (OCPP-114)", found["each"], "KiB", "", None, limit=60,
        lower_is_better=True, note=_lost(found), details=found,
    )  # fmt: skip


# ---------------------------------------------------------------- OCPP-111


def ingest(lab: Lab) -> Iterable[Line]:
    """Say as much as is answered, each message committed before its answer; then half as much, to see how long."""
    database = lab.database("gateway_ingest")
    gateway_lab.add_points(lab, database, _TALKING)
    sides = {"gateway": gateway_lab.node(lab, database), "stock": gateway_lab.stock(lab)}
    seconds = lab.options.seconds / 2
    for action, wanted in (("StatusNotification", 3000.0), ("MeterValues", 1000.0)):
        found: dict[str, dict[str, Any]] = {}
        for name, server in sides.items():
            fleet = Fleet(lab, server.port, _TALKING)
            fleet.do("load", action=action, seconds=1)
            cpu = server.cpu()
            found[name] = fleet.do("load", action=action, seconds=seconds)
            found[name]["cpu_us"] = (server.cpu() - cpu) / max(found[name]["count"], 1) * 1e6
            if name == "gateway":
                found["half"] = fleet.do("load", action=action, seconds=seconds, rate=wanted / 2)
            fleet.close()
            say(f"{name}: {action} {_rate(found[name]):,.0f}/s, {found[name]['cpu_us']:.0f} µs CPU each")
        of_nine = " of nine samples" if action == "MeterValues" else ""
        yield Line(
            f"BENCH-09 durable {action}{of_nine} (OCPP-111)", _rate(found["gateway"]), "per second", _STOCK,
            _rate(found["stock"]), limit=wanted, details=found, note=f"{found['gateway']['cpu_us']:.0f} µs CPU each",
        )  # fmt: skip
        yield Line(
            f"BENCH-09 {action} answered, p99 at {wanted / 2:,.0f}/s (OCPP-111)", found["half"]["p99"], "ms", "", None,
            limit=100, lower_is_better=True, details=found, note=f"p50 {found['half']['p50']:.1f} ms",
        )  # fmt: skip
    lab.stop(*sides.values())


def _rate(found: dict[str, Any]) -> float:
    return float(found["count"] / found["seconds"])


# ---------------------------------------------------------------- OCPP-112


def operations(lab: Lab) -> Iterable[Line]:
    """Ask through the database, as every process does, for what another node has to send."""
    database = lab.database("gateway_operations")
    gateway_lab.add_points(lab, database, 200)
    other, holder = gateway_lab.node(lab, database, name="other"), gateway_lab.node(lab, database)
    fleet = Fleet(lab, holder.port, 200)
    seconds = lab.options.seconds
    number = int(seconds * 40)
    asked: dict[str, float] = {}
    floor = _two_commits(database, number // 2)
    fleet.begin("frames", seconds=seconds + 3)
    with psycopg.connect(database, autocommit=True) as connection:
        points = [row[0] for row in connection.execute("SELECT id FROM cpo_chargepoint").fetchall()]
        for turn in range(number):
            operation = str(uuid.uuid4())
            asked[operation] = time.time()
            connection.execute(
                "INSERT INTO cpo_operation (id, charge_point_id, action, payload, asked_by) "
                "VALUES (%s, %s, 'ClearCache', '{}', 'bench')",
                (operation, points[turn % len(points)]),
            )
            time.sleep(max(0.0, seconds / number - (time.time() - asked[operation])))
    came = fleet.end()["came"]
    fleet.close()
    lab.stop(other, holder)
    times = sorted((came[operation] - at) * 1000 for operation, at in asked.items() if operation in came)
    missing = len(asked) - len(times)
    for share, limit in ((0.5, 5.0), (0.99, 30.0)):
        value = times[min(int(len(times) * share), len(times) - 1)] if times else None
        yield Line(
            f"BENCH-09 operation from database to frame on another node, p{share * 100:.0f} (OCPP-112)", value, "ms",
            "two durable commits one after the other: the wish and the claim", floor[int(len(floor) * share)],
            limit=limit, lower_is_better=True, note=f"{missing} of {number} never came" if missing else "",
        )  # fmt: skip


def _two_commits(database: str, number: int) -> list[float]:
    """Return how long two commits take that wait for the disk, sorted (ms)."""
    times = []
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE bench_commits (number int)")
        for turn in range(number):
            began = time.perf_counter()
            for _ in range(2):
                connection.execute("INSERT INTO bench_commits VALUES (%s)", (turn,))
            times.append((time.perf_counter() - began) * 1000)
            time.sleep(0.02)
    return sorted(times)


# ---------------------------------------------------------------- OCPP-113


def pushes(lab: Lab) -> Iterable[Line]:
    """Change statuses ever faster, those of one EVSE three seconds apart, until the eMSP hears of them too late."""
    most = max(20.0, _PUSHED * min(1.0, lab.options.scale))
    count = int(most * _APART)
    database, receiver, environment = _world_of_pushes(lab, count)
    server = gateway_lab.node(lab, database)
    command = [sys.executable, "manage.py", "run", "--no-migrate", "--only", "worker", "--only", "beat"]
    worker = lab.start("worker", command, environment)
    fleet = Fleet(lab, server.port, count)
    # What boots bring about is no part of this: lists of tokens are looked at 20 to 80 s later, and of thousands that
    # takes minutes.
    if left := _settled(database, 900, booted=True):
        raise RuntimeError(f"{left} messages and operations of boots are not settled")
    tried: dict[str, dict[str, Any]] = {}
    for rate in (each for each in _RATES if each <= most * _A_LITTLE_MORE):
        before = worker.cpu()
        one = _push(lab, fleet, database, receiver, rate)
        one["note"] += f"; {(worker.cpu() - before) / max(one['count'], 1) * 1000:.1f} ms CPU of the worker each"
        tried[f"{rate:g}/s"] = one
        say(f"{one['sent']:,.0f} changes/s: {one['note']}")
        if one["p95"] is None or one["p95"] > _PUSH_SECONDS:
            break
    fleet.close()
    lab.stop(server, worker, receiver)
    good = [one for one in tried.values() if one["p95"] is not None and one["p95"] <= _PUSH_SECONDS]
    last = list(tried.values())[-1]
    beyond = "" if good and good[-1] is last else f"at {last['sent']:,.0f}/s: {last['note']}"
    yield Line(
        f"BENCH-09 StatusNotifications/s that reach OCPI within {_PUSH_SECONDS} s at p95 (OCPP-113)",
        good[-1]["sent"] if good else 0.0, "per second", "", None, limit=_goal(lab, _PUSHED),
        note="; ".join(each for each in (good[-1]["note"] if good else "", beyond) if each), details=tried,
    )  # fmt: skip


_PUSHED, _PUSH_SECONDS, _APART = 1000.0, 2, 3
_A_LITTLE_MORE = 1.01  # than the goal: of what is asked for some never gets sent in its time
_UNDER_WAY = """SELECT (SELECT count(*) FROM ocpi_delivery)
    + (SELECT count(*) FROM cpo_inboxmessage WHERE state = 'NEW')"""
_OF_BOOTS = """
    + (SELECT count(*) FROM cpo_operation WHERE state IN ('QUEUED', 'SENT'))
    + (SELECT count(*) FROM cpo_locallist WHERE wished AND state NOT IN ('READY', 'FAILED', 'UNSUPPORTED'))
"""
_RATES = (20.0, 50.0, 100.0, 200.0, 350.0, 500.0, 700.0, 1010.0)  # changes per second


def _push(lab: Lab, fleet: Fleet, database: str, receiver: Process, rate: float) -> dict[str, Any]:
    """Change so many statuses a second; return when the eMSP heard. One it never heard of counts as endless."""
    found = fleet.do("load", action="Flip", seconds=lab.options.seconds, rate=rate)
    left = _settled(database, 60)
    delays, missing = _heard(database, receiver, found["flips"])
    every = len(delays) + missing
    p50, p95 = (delays[place] if (place := int(every * share)) < len(delays) else None for share in (0.5, 0.95))
    notes = [f"p50 {'none' if p50 is None else f'{p50:.2f} s'}, p95 {'none' if p95 is None else f'{p95:.2f} s'}"]
    notes += [f"{missing} of {every} not heard of before the next"] if missing else []
    notes += [f"{left} still waited a minute later"] if left else []
    sent = found["count"] / found["seconds"]
    return {
        "count": found["count"],
        "sent": sent,
        "p50": p50,
        "p95": p95,
        "missing": missing,
        "left": left,
        "note": "; ".join(notes),
    }


def _world_of_pushes(lab: Lab, count: int) -> tuple[str, Process, dict[str, str]]:
    database = lab.database("gateway_pushes")
    port = free_port()
    receiver = lab.start("receiver", [sys.executable, "-m", "tests.load.gateway_receiver", str(port)], {}, port=port)
    emsp = {"name": "emsp", "url": f"http://127.0.0.1:{port}", "token": "emsp-token-of-the-benchmark-0123456789",
            "parties": [["DE", "EMS", "EMSP"]]}  # fmt: skip
    wanted = {
        "platforms": [emsp], "cards": [], "password": gateway_lab.PASSWORD,
        "points": [[f"{gateway_lab.PREFIX}{number:05}", "1.6"] for number in range(count)],
    }  # fmt: skip
    environment = gateway_lab.environment(lab, database)
    patient = {**environment, "OCPI_TRANSACTION_TIMEOUT": "0"}
    lab.run([sys.executable, "-m", "tests.figures.gateway_seed"], patient, given=json.dumps(wanted))
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DELETE FROM ocpi_delivery")
        # As it is a minute later by itself; of what is still empty nothing can be known.
        connection.execute("ANALYZE cpo_chargepoint, cpo_evse, cpo_location")
    return database, receiver, environment


def _settled(database: str, seconds: float, *, booted: bool = False) -> int:
    """Wait until nothing is under way, nor what boots bring about for a minute; return how much still is."""
    limit = time.monotonic() + seconds
    with psycopg.connect(database, autocommit=True) as connection:
        while True:
            [(left,)] = connection.execute(_UNDER_WAY + (_OF_BOOTS if booted else "")).fetchall()
            if not left or time.monotonic() > limit:
                return int(left)
            time.sleep(0.2)


def _heard(database: str, receiver: Process, flips: list[tuple[int, float, str]]) -> tuple[list[float], int]:
    """Return how long each change took to the eMSP (s), and how many it did not hear of before the next one."""
    with urllib.request.urlopen(f"http://127.0.0.1:{receiver.port}/noted") as answer:
        noted = json.load(answer)
    with psycopg.connect(database, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT e.uid, p.identity FROM cpo_evse e JOIN cpo_chargepoint p ON p.id = e.charge_point_id"
        ).fetchall()
    places = {uid: int(identity.removeprefix(gateway_lab.PREFIX)) for uid, identity in rows}
    came: dict[int, list[tuple[float, str]]] = defaultdict(list)
    for at, uid, status in noted:
        if uid in places:
            came[places[uid]].append((at, status))
    delays, missing = [], 0
    following: dict[int, float] = {}
    for place, at, status in reversed(flips):
        until = following.get(place, float("inf"))
        found = next((moment for moment, said in came[place] if at <= moment < until and said == status), None)
        if found is None:
            missing += 1
        else:
            delays.append(found - at)
        following[place] = at
    return sorted(delays), missing
