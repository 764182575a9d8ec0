"""Add a charge point that may connect to the gateway."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from cpo.modules import charge_points
from ocpi import ours
from ocpi.enums import Role
from ocpi.management.loading import party


class Command(BaseCommand):
    help = "Add a charge point with EVSEs of its own; its password is shown once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("identity")
        parser.add_argument("--party", help="whose it is, e.g. NL*TNM; by default our first CPO party")
        parser.add_argument("--location", help="the id of a Location of ours; by default one is made up")
        parser.add_argument(
            "--evses",
            type=int,
            help="add so many EVSEs, one per connector; by default it takes those of the Location that are free",
        )
        parser.add_argument(
            "--connectors-per-evse",
            type=int,
            default=1,
            help="how many connectors share one hardware EVSE, where only one of them charges at a time; by default 1",
        )
        parser.add_argument("--protocol", choices=sorted(charge_points.PROTOCOLS), default="1.6")
        parser.add_argument("--password", help="by default a random one")
        parser.add_argument("--profile", type=int, choices=[0, 1, 2, 3], default=1, help="OCPP security profile")
        parser.add_argument("--json", action="store_true", help="print one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        owners = ours.addresses(Role.CPO)
        if not owners:
            raise CommandError("OCPI_PARTIES names no CPO party")
        if options["evses"] is not None and not 1 <= options["evses"] <= 100:
            raise CommandError("--evses: from 1 to 100")
        if not 1 <= options["connectors_per_evse"] <= 100:
            raise CommandError("--connectors-per-evse: from 1 to 100")
        try:
            added = charge_points.add(
                options["identity"],
                owner=party(options["party"], owners, Role.CPO) if options["party"] else owners[0],
                location_id=options["location"],
                evses=options["evses"],
                protocol=options["protocol"],
                password=options["password"],
                profile=options["profile"],
                connectors_per_evse=options["connectors_per_evse"],
            )
        except charge_points.NotAdded as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(asdict(added)))
        else:
            self.stdout.write(f"{added.url}\npassword {added.password}\n{added.location}: {', '.join(added.evses)}")
