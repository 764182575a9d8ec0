"""What all load_… commands have in common: their options, a progress bar, the report."""

from __future__ import annotations

import json
import sys
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from ocpi import loading, ours
from ocpi.enums import Role
from ocpi.headers import Address
from ocpi.loading import Loader, Objects, Report

_SPOKEN = {Role.CPO: "a CPO", Role.EMSP: "an eMSP"}
_SHOWN = 20  # refusals, for people; --json has them all


class LoadingCommand(BaseCommand):
    """A command that loads a file of our own objects; `role` is the one of ours that owns them."""

    role: ClassVar[Role]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="OCPI 2.2.1 JSON: an array, or an envelope with data; plain or .gz")
        parser.add_argument("--party", help="load as this party of ours, e.g. NL*TNM, whatever the file says")
        parser.add_argument("--dry-run", action="store_true", help="check and count, write nothing")
        parser.add_argument("--json", action="store_true", help="print the report as one JSON line")

    @abstractmethod
    def loader(self, *, owners: tuple[Address, ...], as_party: Address | None, dry_run: bool) -> Loader[Any]:
        """Return how the objects of this command are checked and kept."""

    def handle(self, *args: Any, **options: Any) -> None:
        owners = ours.addresses(self.role)
        as_party = party(options["party"], owners, self.role) if options["party"] else None
        loader = self.loader(owners=owners, as_party=as_party, dry_run=options["dry_run"])
        try:
            report = _load(Objects(options["file"]), loader)
        except (loading.BadFile, OSError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json()))
            return
        for refused in report.refused[:_SHOWN]:
            self.stderr.write(f"{refused['id']}: {refused['message']}")
        for remark in report.remarks[:_SHOWN]:
            self.stderr.write(f"{remark['id']}: taken, but {remark['message']}")
        counts = f"{report.created} created, {report.updated} updated, {report.unchanged} unchanged"
        self.stdout.write(f"{report.read} read: {counts}, {report.refused_count} refused")


def party(text: str, owners: tuple[Address, ...], role: Role) -> Address:
    """Return the party of ours that a text like NL*TNM names.

    :raises CommandError: if it is none of ours.
    """
    country_code, _, party_id = text.partition("*")
    wanted = Address(country_code, party_id)
    for owner in owners:
        if owner.key == wanted.key:
            return owner
    known = ", ".join(map(str, owners)) or "there is none"
    raise CommandError(f"{text} is not {_SPOKEN.get(role, role)} party of this platform: {known}")


def _load(objects: Objects, loader: Loader[Any]) -> Report:
    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("loading", total=objects.size)
        return loading.load(
            objects,
            loader,
            progress=lambda report: bar.update(
                task, completed=objects.position, description=f"{report.read} read, {report.refused_count} refused"
            ),
        )
