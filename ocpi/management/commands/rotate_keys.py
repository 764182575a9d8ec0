"""Seal the tokens and keys that we use towards others anew, with the newest of FIELD_KEYS (SEC-04)."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ocpi.modules import sealing


class Command(BaseCommand):
    help = (
        "Seal all stored tokens and keys with the newest of FIELD_KEYS. Put the new key in front, restart every "
        "process, run this, then take the old key away and restart again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; fail if something is to be done")
        parser.add_argument("--json", action="store_true", help="one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        done = sealing.seal_anew(check=options["check"])
        found = {"sealed_anew": done.sealed_anew, "left": done.left, "unopened": done.unopened}
        word = "to be sealed" if options["check"] else "sealed"
        text = f"{done.sealed_anew} tokens and keys {word} anew, {done.left} were sealed with the newest key already"
        self.stdout.write(json.dumps(found) if options["json"] else text)
        if done.unopened:
            names = ", ".join(done.unopened)
            raise CommandError(f"The key of what is sealed for these is not in FIELD_KEYS: {names}")
        if options["check"] and done.sealed_anew:
            raise CommandError("Some tokens or keys are sealed with an older key")
