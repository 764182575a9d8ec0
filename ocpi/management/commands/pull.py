"""Fetch from the Sender interfaces of partners, now."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ocpi import pull, pull_plan, pull_rows, pull_table
from ocpi.models import Platform, PullCursor
from ocpi.v2_2_1.types import parse_datetime

COUNTS = ("pages", *pull_rows.COUNTS, "removed")


class Command(BaseCommand):
    help = "Pull what partners offer: what changed since the last time, or everything."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--platform", help="the name of one platform")
        parser.add_argument("--module", help="one module, e.g. locations")
        group = parser.add_mutually_exclusive_group()
        group.add_argument("--since", metavar="ISO", help="what changed since this moment, e.g. 2026-01-31T08:00:00Z")
        group.add_argument("--full", action="store_true", help="everything; what a list does not hold is gone")
        parser.add_argument("--json", action="store_true", help="print counts per platform and module as one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        cursors = _chosen(options["platform"], options["module"])
        since = _moment(options["since"]) if options["since"] else None
        counts, failed = _pull(cursors, since, options["full"])
        if options["json"]:
            self.stdout.write(json.dumps(counts))
        else:
            for platform, modules in counts.items():
                for module, found in modules.items():
                    words = ", ".join(f"{found[name]} {name}" for name in COUNTS if found[name] or name == "read")
                    self.stdout.write(f"{platform} {module}: {words}")
        if failed:
            raise CommandError("; ".join(failed))


def _chosen(platform: str | None, module: str | None) -> list[PullCursor]:
    """Return the cursors of the lists that are asked for.

    :raises CommandError: if there is no such platform or module, or nothing to pull.
    """
    platform_id = None
    if platform is not None:
        platform_id = Platform.objects.filter(name=platform).values_list("pk", flat=True).first()
        if platform_id is None:
            raise CommandError(f"There is no platform {platform}")
    modules = pull_table.table()
    if module is not None and module not in modules:
        raise CommandError(f"{module} is not pulled here, but {', '.join(sorted(modules)) or 'nothing is'}")
    cursors = pull_rows.of(pull_plan.lists(platform_id=platform_id, module=module))
    if not cursors:
        raise CommandError("There is nothing to pull: no registered platform offers such a list")
    return cursors


def _moment(text: str) -> datetime:
    try:
        return parse_datetime(text)
    except ValueError as error:
        raise CommandError(f"--since {text}: {error}") from error


def _pull(
    cursors: Sequence[PullCursor], since: datetime | None, full: bool
) -> tuple[dict[str, dict[str, dict[str, int]]], list[str]]:
    """Pull one list after the other; one that fails does not stop the others (REL-20)."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    failed = []
    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        for found in cursors:
            name = f"{found.platform} {found}"
            task = bar.add_task(name, total=None)
            row = pull.run(
                found.pk,
                seconds=None,
                asked=True,
                since=since,
                full=full,
                progress=lambda held, task=task: bar.update(task, total=held.total, completed=held.read),  # type: ignore[misc]
            )
            if row is None:
                failed.append(f"{name} is being pulled by a worker just now")
            elif row.result != PullCursor.Result.DONE:
                failed.append(f"{name} failed: {row.error}")
            _add(counts, found, row)
    return counts, failed


def _add(counts: dict[str, dict[str, dict[str, int]]], found: PullCursor, row: PullCursor | None) -> None:
    """Sum up the lists of one module of a platform."""
    sums = counts.setdefault(found.platform.name, {}).setdefault(found.module, dict.fromkeys(COUNTS, 0))
    for name in COUNTS if row is not None else ():
        sums[name] += getattr(row, name)
