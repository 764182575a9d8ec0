"""Make the groups of people that an admin has."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from hub import groups


class Command(BaseCommand):
    help = (
        "Make the groups viewer (sees everything but accounts), operator (acts, too, but for tokens, roles, hosts, "
        "keys) and security (these, platforms and accounts). Put accounts into them in the admin. Groups already "
        "there stay."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--anew", action="store_true", help="give groups that are there these rights again")
        parser.add_argument("--json", action="store_true", help="one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        made = groups.create(anew=options["anew"])
        if options["json"]:
            self.stdout.write(json.dumps(made))
        elif made:
            self.stdout.write(", ".join(f"{name}: {rights} rights" for name, rights in made.items()))
        else:
            self.stdout.write("All three are there already; --anew gives them their rights again.")
