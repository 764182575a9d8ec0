"""Write the state tables into docs/ARCHITECTURE.md again; with --check only say whether they are true."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

_BEGIN, _END = "<!-- states -->", "<!-- /states -->"
# Every table with the sentence that introduces it; modules are named as strings, sides stay apart.
MACHINES = {
    "ocpi.registration_states.TABLE": "Registration of a platform",
    "ocpi.delivery_states.TABLE": "A delivery",
    "cpo.session_states.TRANSITIONS": "A Session at the CPO",
    "cpo.command_states.TRANSITIONS": "A command at the CPO",
    "emsp.command_states.TABLE": "A command at the eMSP",
}


def page() -> Path:
    return Path(settings.BASE_DIR) / "docs" / "ARCHITECTURE.md"


def written() -> str:
    """Return the page as it should be."""
    before, _, rest = page().read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{states()}{_END}{after}"


def states() -> str:
    """Return every state machine as a table: from a state, by an event, to the next."""
    parts = []
    for name, title in MACHINES.items():
        module, _, attribute = name.rpartition(".")
        table: Mapping[str, Mapping[str, str]] = getattr(import_module(module), attribute)
        parts += [f"\n**{title}** (`{module.replace('.', '/')}.py`)\n", "| State | Event → next state |", "|---|---|"]
        parts += [f"| {state} | {_events(row)} |" for state, row in table.items()]
    return "\n".join(parts) + "\n\n"


def _events(row: Mapping[str, str]) -> str:
    return ", ".join(f"{event} → {following}" for event, following in row.items()) or "the end"


class Command(BaseCommand):
    help = "Write the state tables into docs/ARCHITECTURE.md again."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; fail if the page is not true")

    def handle(self, *args: Any, **options: Any) -> None:
        text = written()
        if options["check"]:
            if text != page().read_text():
                raise CommandError("docs/ARCHITECTURE.md is not true any more: run make docs")
            return
        page().write_text(text)
