"""Write the parts of docs/ that follow from the code again; with --check only say whether they are true."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ocpi import openapi
from ocpi.enums import FUNCTIONAL_MODULES

_MARKS = "<!-- {0} -->", "<!-- /{0} -->"
SIDES = ("cpo", "emsp", "hub")
_METHODS = ("get", "post", "put", "patch", "delete")
# Every table with the sentence that introduces it; modules are named as strings, sides stay apart.
MACHINES = {
    "ocpi.registration_states.TABLE": "Registration of a platform",
    "ocpi.delivery_states.TABLE": "A delivery",
    "cpo.session_states.TRANSITIONS": "A Session at the CPO",
    "cpo.command_states.TRANSITIONS": "A command at the CPO",
    "cpo.reservation_states.TRANSITIONS": "A reservation at the CPO",
    "cpo.chargingprofile_states.REQUESTS": "A request for a charging profile at the CPO",
    "cpo.chargingprofile_states.PROFILES": "A charging profile at a charge point",
    "cpo.device_job_states.JOBS": "A job of a charge point: firmware or a log",
    "cpo.device_job_states.ROLLOUTS": "A rollout of firmware",
    "cpo.certificate_states.CERTIFICATES": "A certificate of a charge point",
    "cpo.provisioning_states.RUNS": "A run of a provisioning plan",
    "cpo.provisioning_states.SETTINGS": "A wanted setting of a charge point",
    "emsp.command_states.TABLE": "A command at the eMSP",
    "emsp.reservation_states.TABLE": "A reservation at the eMSP",
    "emsp.chargingprofile_states.TABLE": "A request about a charging profile at the eMSP",
}


def docs() -> Path:
    return Path(settings.BASE_DIR) / "docs"


def written() -> dict[Path, str]:
    """Return the pages as they should be."""
    parts = {"ARCHITECTURE.md": ("states", states()), "CONFORMANCE.md": ("endpoints", endpoints())}
    pages = {docs() / name: _between((docs() / name).read_text(), *part) for name, part in parts.items()}
    operations = import_module("cpo.api.openapi")
    return {
        **pages,
        docs() / "openapi.json": openapi.text(openapi.SIDES, server="/ocpi"),
        docs() / "openapi-ocpp.json": operations.text(server=operations.SERVER),
    }


def endpoints() -> str:
    """Return what each side serves: module, interface, URL and methods, and the files whose tests prove it."""
    lines = ["| Side | Module | Interface | URL below `/ocpi/` | Methods | Tests in `tests/conformance/` |"]
    lines.append("|---|---|---|---|---|---|")
    for side in ("ocpi.modules", *SIDES):
        found = import_module(f"{side}.endpoints")
        name = "all" if side == "ocpi.modules" else side
        for path, view in getattr(found, "UNLISTED", ()):
            lines.append(f"| {name} | – | – | `{path}` | {_methods(view)} | {_tests(name, path)} |")
        for entry in found.ENDPOINTS:
            if side == "hub" and entry.module in FUNCTIONAL_MODULES:
                lines.append(
                    f"| hub | {entry.module} | {entry.role} | `{entry.path}/…` | routed | {_tests('hub', '')} |"
                )
                continue
            for tail, view in entry.views.items():
                url = f"{entry.path}/{tail}".rstrip("/")
                tests = _tests(name, entry.module)
                lines.append(f"| {name} | {entry.module} | {entry.role} | `{url}` | {_methods(view)} | {tests} |")
    return "\n".join(lines) + "\n"


def _between(text: str, mark: str, content: str) -> str:
    begin, end = (each.format(mark) for each in _MARKS)
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{content}{end}{rest.partition(end)[2]}"


def _methods(view: type) -> str:
    return ", ".join(method.upper() for method in _METHODS if hasattr(view, method))


def _tests(side: str, module: str) -> str:
    folder = docs().parent / "tests" / "conformance"
    word = {"versions": "versions", "2.2.1": "versions"}.get(module, module)
    names = sorted(path.stem for path in folder.glob("test_*.py"))
    if side == "all":
        return ", ".join(name for name in names if word in name)
    return ", ".join(name for name in names if name.startswith(f"test_{side}_") and (not word or word in name))


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
    help = "Write the parts of docs/ that follow from the code again."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; fail if a page is not true")

    def handle(self, *args: Any, **options: Any) -> None:
        if missing := openapi.undocumented(openapi.SIDES):
            raise CommandError(f"ocpi/openapi_operations.py has no row for {', '.join(missing)}")
        for page, text in written().items():
            if not options["check"]:
                page.write_text(text)
            elif text != page.read_text():
                raise CommandError(f"docs/{page.name} is not true any more: run make docs")
