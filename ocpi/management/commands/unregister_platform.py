"""End the registration of a platform, or withdraw its invitation."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ocpi.models import Platform
from ocpi.modules import initiation, leaving


class Command(BaseCommand):
    help = (
        "Tell a platform that we leave and forget each other's tokens, or withdraw an invitation that was not used. "
        "What it has sent stays; it may be invited again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True, help="what this platform is called here")
        parser.add_argument("--here-only", action="store_true", help="do not tell it: it is gone, say")
        parser.add_argument("--json", action="store_true", help="one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        platform = Platform.objects.filter(name=options["name"].strip()).first()
        if platform is None:
            raise CommandError(f"No platform is called {options['name']}; list_platforms shows all")
        try:
            said = leaving.leave(platform.pk, tell=not options["here_only"])
        except initiation.HandshakeFailed as error:
            raise CommandError(str(error)) from error
        found = {"platform": platform.pk, "state": Platform.objects.get(pk=platform.pk).state}
        self.stdout.write(json.dumps(found) if options["json"] else said)
