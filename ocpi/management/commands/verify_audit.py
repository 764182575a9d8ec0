"""Check that the audit trail is as it was written."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ocpi import audit


class Command(BaseCommand):
    help = "Check the chain of the audit trail; names the first entry that was changed, removed or put in."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--expect", metavar="NUMBER:HASH", help="what an earlier run printed and you kept elsewhere"
        )
        parser.add_argument("--json", action="store_true", help="one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        found = audit.verify(_expected(options["expect"]))
        whole = found.broken is None
        if options["json"]:
            line = {"ok": whole, "entries": found.entries, "number": found.last_number, "hash": found.last_hash,
                    "broken": found.broken, "reason": found.reason}  # fmt: skip
            self.stdout.write(json.dumps(line))
        elif whole:
            self.stdout.write(
                f"{found.entries} entries, all as written. Keep elsewhere: {found.last_number}:{found.last_hash}"
            )
        if not whole:
            raise CommandError(f"Entry {found.broken} is the first that is not as it was written: {found.reason}.")


def _expected(text: str | None) -> tuple[int, str] | None:
    if not text:
        return None
    number, _, digest = text.partition(":")
    if not number.isdecimal() or len(digest) != 64:
        raise CommandError("--expect: must look like 17:<64 hexadecimal digits>, as an earlier run printed it")
    return int(number), digest.lower()
