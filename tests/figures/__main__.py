"""Run one figure: `python -m tests.figures chaos`; progress on standard error, one JSON line at the end."""

from __future__ import annotations

import argparse
import importlib
import random
import sys

from tests.figures.figure import Options, Report, say

FIGURES = {
    "chaos": "FIG-01",
    "chaos-slow": "FIG-02",
    "outage": "FIG-03",
    "hostile": "FIG-04",
    "forwards": "FIG-05",
    "tenants": "FIG-07",
    "ssrf": "FIG-08",
    "secrets": "FIG-09",
    "twice": "FIG-10",
    "hijack": "FIG-12",
    "restore": "FIG-14",
    "tamper": "FIG-15",
    "gateway-chaos": "the gateway killed",
    "together": "five instances",
}


def main() -> int:
    """Run what is asked for; 0 if it passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.figures", description="figures of reliability and security")
    parser.add_argument("figure", choices=sorted(FIGURES))
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--short", action="store_true", help="a few seconds of everything")
    parser.add_argument("--ocpi-url", default="", help="measure this platform, where the figure can")
    parser.add_argument("--ocpi-token", default="", help="its token C for us")
    chosen = parser.parse_args()
    options = Options(chosen.seed, chosen.short, chosen.ocpi_url, chosen.ocpi_token)
    say(f"{chosen.figure} ({FIGURES[chosen.figure]}), seed {options.seed}")
    report = run(chosen.figure, options)
    print(report.as_json(), flush=True)
    return 0 if report.passed else 1


def run(figure: str, options: Options) -> Report:
    """Run one figure by its name; its module has the same name."""
    module = importlib.import_module(f"tests.figures.{figure.replace('-', '_')}")
    report: Report = module.run(options)
    return report


if __name__ == "__main__":
    sys.exit(main())
