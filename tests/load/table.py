"""Write the results of runs as the tables of docs/PERFORMANCE.md: `python -m tests.load.table RESULTS.json …`.

What a later file has measured again is left out of the earlier ones.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "PERFORMANCE.md"
_BEGIN, _END = "<!-- results: begin -->", "<!-- results: end -->"


def tables(runs: list[dict[str, Any]]) -> list[str]:
    """Return the lines of the tables, one for each run."""
    lines: list[str] = []
    for index, found in enumerate(runs):
        again = {_bench(line) for later in runs[index + 1 :] for line in later["lines"]}
        lines += ["", *rows(found | {"lines": [line for line in found["lines"] if _bench(line) not in again]})]
    return lines[1:]


def _bench(line: dict[str, Any]) -> str:
    return str(line["name"]).partition(" ")[0]


def rows(found: dict[str, Any]) -> list[str]:
    """Return the lines of the table of one run."""
    lines = [
        f"Run of {found['date']} on {found['machine']}; {found['seconds']:g} s of load for each side, "
        f"{found['scale']:g} of the rows.",
        "",
        "| What | Measured | Beside it | Ratio | Goal | Reached |",
        "|---|---|---|---|---|---|",
    ]
    for line in found["lines"]:
        reached = {True: "yes", False: "**no**", None: ""}[line.get("reached")]
        measured = f"{_number(line['value'])} {line['unit']}"
        beside = f"{_number(line['baseline_value'])} – {line['baseline']}"
        note = f"<br>{line['note']}" if line.get("note") else ""
        goal = line.get("goal", "")
        lines.append(
            f"| {line['name']} | {measured}{note} | {beside} | {_number(line['ratio'])} | {goal} | {reached} |"
        )
    return lines


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def main() -> None:
    """Replace the tables in the document."""
    parser = argparse.ArgumentParser(description="write the results of runs into docs/PERFORMANCE.md")
    parser.add_argument("results", type=Path, nargs="+")
    asked = parser.parse_args()
    text = _DOCUMENT.read_text()
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    table = "\n".join(tables([json.loads(file.read_text()) for file in asked.results]))
    _DOCUMENT.write_text(f"{before}{_BEGIN}\n{table}\n{_END}{after}")
    print(f"{_DOCUMENT} has the results of {', '.join(map(str, asked.results))}")


if __name__ == "__main__":
    main()
