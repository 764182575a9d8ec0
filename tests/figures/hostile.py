"""FIG-04: fourteen kinds of evil answers to every call of ours; each call ends in time, and nobody else notices.

Limits are shortened, so that hundreds of calls that wait for their end fit into minutes; what counts is by how much a
call exceeds its own. With `--ocpi-url` and `--ocpi-token` (a token A, or C) any system can be measured: we register
there, or update our credentials, with a versions URL at each evil server, and see whether it answers in time and lives.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.figures import hostile_outside
from tests.figures.figure import Options, Report, say
from tests.figures.place import Place, place
from tests.load.harness import PROJECT

LIMIT = 2.0  # seconds, at most, of every call
SHORT_LIMIT = 0.3
MOST_OVER = 1.0  # seconds
MOST_GROWN = 20.0  # MB
KINDS = 14


def run(options: Options) -> Report:
    """Run the figure."""
    report = Report("FIG-04", options)
    with place(short=options.short) as here, servers(here) as (ports, authority):
        if options.ocpi_url:
            hostile_outside.measure_at(report, options.ocpi_url, options.ocpi_token, ports)
            return report
        found = calls(here, ports, authority, short=options.short)
        _report(report, found, ports, short=options.short)
        if not options.short:
            hostile_outside.measure(report, here, ports)
    return report


@contextmanager
def servers(here: Place) -> Iterator[tuple[dict[str, int], str]]:
    """Run the evil servers; their ports by kind, and the authority of the one that speaks TLS."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.figures.hostile_servers"],
        cwd=PROJECT,
        env=here.environment({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdin
    try:
        given: dict[str, Any] = json.loads(process.stdout.readline())
        yield given["ports"], given["authority"]
    finally:
        process.stdin.close()
        process.kill()
        process.wait()
        process.stdout.close()


def calls(here: Place, ports: dict[str, int], authority: str, *, short: bool) -> dict[str, Any]:
    """Make every call at every kind in a process of its own, and return what it found; it must live to tell."""
    limit, threads = (SHORT_LIMIT, 24) if short else (LIMIT, 8)
    given = {"ports": ports, "authority": authority, "limit": limit, "threads": threads, "short": short}
    env = {
        "DATABASE_URL": here.database(f"hostile_{time.monotonic_ns()}"),
        "OCPI_SIDES": "cpo,emsp",
        "OCPI_SEND_THREADS": "96",
        "OCPI_CONNECT_TIMEOUT": str(given["limit"]),
        "OCPI_SNAPSHOT_LISTEN": "false",
        "OCPI_EXCHANGES": "false",
        "OCPI_WAKE": "false",
        "MALLOC_ARENA_MAX": "2",  # as `manage.py run` starts its processes
        "LOG_LEVEL": "ERROR",
        "DJANGO_SETTINGS_MODULE": "hub.settings",
    }
    say("making the calls")
    return dict(
        json.loads(here.run([sys.executable, "-m", "tests.figures.hostile_calls"], env, given=json.dumps(given) + "\n"))
    )


def _report(report: Report, found: dict[str, Any], ports: dict[str, int], *, short: bool) -> None:
    made = found["made"]
    over: dict[str, float] = defaultdict(float)
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    for one in made:
        over[one["kind"]] = max(over[one["kind"]], one["seconds"] - one["limit"])
        outcomes[one["kind"]][one["outcome"]] += 1
    for kind in sorted(outcomes):
        say(f"{kind}: {dict(outcomes[kind])}, at most {over[kind]:+.2f} s over the limit")
    for text in found["troubles"][:20]:
        say(text)
    report.add("kinds of evil", len(outcomes.keys() - {"good"}), least=KINDS)
    report.add("calls made", len(made), least=KINDS * 20)
    report.add("places in the code that were not seen to call", len(found["unseen"]), most=0)
    for name in found["unseen"]:
        say(f"not seen to call: {name}")
    # On a machine that does much else besides, the short form only sees that every call ends.
    report.add("longest beyond its limit", max(over.values()), "s", most=10.0 if short else MOST_OVER)
    report.add("what nobody handled", len(found["troubles"]), most=0)
    if not short:
        say(f"the call that took most: {found['largest'][0]}")
        report.add("memory that one call took", found["largest"][1], "MB", most=MOST_GROWN)
    report.add("memory that all took, many at once", found["grown_mb"], "MB", most=5 * MOST_GROWN)
    alone, beside = found["others_alone"], found["others"]
    report.add("a good platform beside it, not served", sum(each > 1e6 for each in beside), most=0)
    report.add(
        "a good platform beside it, p99",
        _p99(beside) * 1000,
        "ms",
        most=None if short else 500.0,
        quiet=_p99(alone) * 1000,
    )
    report.add("requests at the address behind the redirects", _count(ports, "canary"), most=0)
    report.add("requests behind the wrong certificate", _count(ports, "TLS name wrong"), most=0)
    say(
        f"quiet {found['quiet_calls']} calls in {found['quiet_seconds']:.1f} s, "
        f"evil {len(made)} in {found['seconds']:.1f} s"
    )


def _p99(seconds: list[float]) -> float:
    return seconds[int(len(seconds) * 0.99)] if seconds else 0.0


def _count(ports: dict[str, int], kind: str) -> int:
    return int(hostile_outside.get_json(f"http://127.0.0.1:{ports['good']}/counts").get(kind, 0))
