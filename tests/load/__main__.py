"""Run benchmarks and print one JSON line for each comparison; progress goes to standard error."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.load import (
    bench_chain,
    bench_exchanges,
    bench_fanout,
    bench_forward,
    bench_gateway,
    bench_libraries,
    bench_lists,
    bench_money,
    bench_push,
)
from tests.load.harness import Bench, Lab, Line, Options, say

BENCHES: dict[str, Bench] = {
    "BENCH-01": bench_forward.forward,
    "BENCH-02": bench_push.patch_status,
    "BENCH-03": bench_push.put_location,
    "BENCH-04": bench_lists.lists,
    "BENCH-05": bench_fanout.fan_out,
    "BENCH-06": bench_chain.chain,
    "BENCH-09": bench_gateway.gateway,
    "BENCH-07": bench_forward.exchange_log,
    "BENCH-10": bench_forward.authorize,
    "BENCH-12": bench_forward.slow_receivers,
    "BENCH-11": bench_libraries.libraries,
    "BENCH-08": bench_money.pricing,
    "EXCHANGES": bench_exchanges.searches,
    "STATEMENTS": bench_money.statements,
}
RESULTS = Path(__file__).resolve().parent / "results"


def main() -> int:
    """Run what is asked for, or everything."""
    usual = Options()
    parser = argparse.ArgumentParser(prog="python -m tests.load", description="benchmarks beside their baselines")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(sorted(BENCHES))}; all without any")
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="of load for each side of a comparison")
    parser.add_argument(
        "--scale", type=float, default=usual.scale, help="share of the rows: 1 = as many as the goal says"
    )
    parser.add_argument("--rounds", type=int, default=usual.rounds, help="turns that the sides take")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all that was measured in this file, too")
    asked = parser.parse_args()
    wanted = [_named(name) for name in asked.names] or sorted(BENCHES)
    unknown = [name for name in wanted if name not in BENCHES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.gettempdir()) / f"ocpi-bench-{os.getpid()}"
    lab = Lab(folder, Options(asked.seconds, asked.scale, asked.rounds))
    lines: list[Line] = []
    failed = 0
    try:
        for name in wanted:
            failed += not _run(name, lab, lines)
    except KeyboardInterrupt:
        return 130
    finally:
        lab.close()
        if asked.json:
            _keep(asked.json, lines, asked)
    return 1 if failed else 0


def _named(name: str) -> str:
    return f"BENCH-{int(name):02}" if name.isdigit() else name.upper()


def _run(name: str, lab: Lab, lines: list[Line]) -> bool:
    """Run one benchmark; one that fails says so in its line, and the others go on."""
    started = time.monotonic()
    say(f"{name}: {(BENCHES[name].__doc__ or '').partition(': ')[2]}")
    try:
        for line in BENCHES[name](lab):
            lines.append(line)
            print(json.dumps(line.as_json(), ensure_ascii=False), flush=True)
    except Exception as error:
        line = Line(name, None, "", "", None, note=f"failed: {type(error).__name__}: {error}"[-1500:])
        lines.append(line)
        print(json.dumps(line.as_json(), ensure_ascii=False), flush=True)
        return False
    finally:
        say(f"{name}: {time.monotonic() - started:.0f} s")
    return True


def _keep(file: Path, lines: list[Line], asked: argparse.Namespace) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    machine = f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"
    found = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine,
        "seconds": asked.seconds,
        "scale": asked.scale,
        "lines": [line.as_json() | {"details": line.details} for line in lines],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
