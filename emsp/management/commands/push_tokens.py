"""Have all our Tokens sent, for a platform that has just registered."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from emsp.modules import tokens_operations
from ocpi.models import Platform


class Command(BaseCommand):
    help = "Push every Token of ours to all platforms, or to one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--platform", help="the name of one platform")
        parser.add_argument("--json", action="store_true", help="print one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        platform_id = None
        if options["platform"]:
            platform_id = Platform.objects.filter(name=options["platform"]).values_list("pk", flat=True).first()
            if platform_id is None:
                raise CommandError(f"There is no platform {options['platform']}")
        count = tokens_operations.push_all(platform_id)
        self.stdout.write(json.dumps({"tokens": count}) if options["json"] else f"{count} tokens are on their way")
