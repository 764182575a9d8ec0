"""Take a Tariff of ours out of use."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from cpo.modules import tariffs_deleting
from ocpi import ours, status
from ocpi.enums import Role
from ocpi.management.loading import party


class Command(BaseCommand):
    help = "Delete a Tariff that no Connector names any more, here and at everybody who has it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tariff", help="its id")
        parser.add_argument("--party", help="the party of ours that owns it, e.g. NL*TNM; needed if there are several")
        parser.add_argument("--json", action="store_true", help="print one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        owners = ours.addresses(Role.CPO)
        if not options["party"] and len(owners) != 1:
            raise CommandError(f"Name the party: {', '.join(map(str, owners))}")
        owner = party(options["party"], owners, Role.CPO) if options["party"] else owners[0]
        try:
            tariffs_deleting.delete(owner, options["tariff"])
        except (status.UnknownObject, tariffs_deleting.TariffInUse) as error:
            raise CommandError(str(error)) from error
        report = {"deleted": options["tariff"], "party": str(owner)}
        self.stdout.write(json.dumps(report) if options["json"] else f"{options['tariff']} is deleted")
