"""Check that the audit trail, and the CDRs it speaks of, are as they were written."""

import json
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ocpi import audit, audit_witness


class Command(BaseCommand):
    help = "Check the audit trail and the CDRs in it; names the first entry that was changed, removed or put in."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--expect", metavar="NUMBER:HASH", help="what an earlier run printed and you kept elsewhere"
        )
        parser.add_argument("--json", action="store_true", help="one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        given, noted = _expected(options["expect"]), _noted()
        found = audit.verify(*(one for one in (noted, given) if one is not None))
        whole = found.broken is None
        if options["json"]:
            line = {"ok": whole, "entries": found.entries, "cdrs": found.rows, "cdrs_not_compared": found.unchecked,
                    "number": found.last_number, "hash": found.last_hash, "broken": found.broken,
                    "reason": found.reason, "witness": noted and noted[0]}  # fmt: skip
            self.stdout.write(json.dumps(line))
        elif whole:
            self.stdout.write(found.message)
            if noted is None and given is None:
                self.stdout.write("Nothing was noted outside the database: an end that was cut off would not be seen.")
        if not whole:
            raise CommandError(found.message)


def _noted() -> tuple[int, str] | None:
    """Return the end of the trail that Redis knows of, or nothing if it is away or was emptied."""
    try:
        return audit_witness.read()
    except redis.RedisError:
        return None


def _expected(text: str | None) -> tuple[int, str] | None:
    if not text:
        return None
    number, _, digest = text.partition(":")
    if not number.isdecimal() or len(digest) != 64:
        raise CommandError("--expect: must look like 17:<64 hexadecimal digits>, as an earlier run printed it")
    return int(number), digest.lower()
