"""Load our Tokens from a file."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from emsp.modules import tokens_loading
from ocpi import loading, ours
from ocpi.enums import Role
from ocpi.headers import Address

_SHOWN = 20  # refusals, for people; --json has them all


class Command(BaseCommand):
    help = "Load Tokens from OCPI 2.2.1 JSON, checked as the API checks them, and push what changed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="OCPI 2.2.1 JSON: an array, or an envelope with data; plain or .gz")
        parser.add_argument("--party", help="load as this party of ours, e.g. DE*EMS, whatever the file says")
        parser.add_argument("--dry-run", action="store_true", help="check and count, write nothing")
        parser.add_argument("--json", action="store_true", help="print the report as one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        as_party = _party(options["party"]) if options["party"] else None
        loader = loading.Loader(
            check=partial(tokens_loading.check, as_party=as_party),
            keep=partial(tokens_loading.keep, dry_run=options["dry_run"]),
            key=lambda loaded: loaded.key,
            id_member="uid",
        )
        try:
            report = _load(loading.Objects(options["file"]), loader)
        except (loading.BadFile, OSError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json()))
            return
        for refused in report.refused[:_SHOWN]:
            self.stderr.write(f"{refused['id']}: {refused['message']}")
        counts = f"{report.created} created, {report.updated} updated, {report.unchanged} unchanged"
        self.stdout.write(f"{report.read} read: {counts}, {report.refused_count} refused")


def _party(text: str) -> Address:
    """Return the party of ours that a text like DE*EMS names.

    :raises CommandError: if it is none of ours.
    """
    country_code, _, party_id = text.partition("*")
    owners = ours.addresses(Role.EMSP)
    for owner in owners:
        if owner.key == Address(country_code, party_id).key:
            return owner
    known = ", ".join(map(str, owners)) or "there is none"
    raise CommandError(f"{text} is not an eMSP party of this platform: {known}")


def _load(objects: loading.Objects, loader: loading.Loader[tokens_loading.Loaded]) -> loading.Report:
    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("loading", total=objects.size)

        def show(report: loading.Report) -> None:
            said = f"{report.read} read, {report.refused_count} refused"
            bar.update(task, completed=objects.position, description=said)

        return loading.load(objects, loader, progress=show)
