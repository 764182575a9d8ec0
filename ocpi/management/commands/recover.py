"""What has to be done after a backup was restored."""

from __future__ import annotations

import getpass
import json
from contextlib import suppress
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ocpi import audit, audit_witness, recovery
from ocpi.v2_2_1.types import format_datetime, parse_datetime


class Command(BaseCommand):
    help = "After a restore: mark what others may have missed, pull what we may have, list tokens that may be outdated."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since", required=True, metavar="ISO", help="the time of the backup, e.g. 2026-01-31T08:00:00Z"
        )
        parser.add_argument("--check", action="store_true", help="ask every platform whether it knows our token")
        parser.add_argument("--dry-run", action="store_true", help="only look at the tokens, mark and pull nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            since = parse_datetime(options["since"])
        except ValueError as error:
            raise CommandError(f"--since {options['since']}: {error}") from error
        if not options["dry_run"]:
            _forget_end()
        report = recovery.recover(since, check=options["check"], dry_run=options["dry_run"])
        if not options["dry_run"]:
            details = {"since": options["since"], "marked": report.marked, "pulls": report.pulls}
            audit.record("instance.recover", actor=f"recover by {getpass.getuser()}", details=details)
        if options["json"]:
            found = {
                "since": format_datetime(report.since),
                "marked": report.marked,
                "pulls": report.pulls,
                "tokens": report.tokens,
            }
            self.stdout.write(json.dumps(found, ensure_ascii=False))
            return
        self.stdout.write(f"From {format_datetime(report.since)} on, an hour before the backup:")
        for module, count in report.marked.items():
            self.stdout.write(f"  {count} {module} are marked and go out, unless they are pulled before")
        for platform, count in report.pulls.items():
            self.stdout.write(f"  {count} lists of {platform} are being pulled")
        for platform, why in report.tokens.items():
            self.stdout.write(f"  {platform}: {why}")
        if not report.tokens:
            self.stdout.write(
                "  no token looks outdated" + ("" if options["check"] else "; --check asks the platforms")
            )


def _forget_end() -> None:
    """Let the audit trail end where the backup ended; without Redis there is no note of it."""
    with suppress(redis.RedisError):
        audit_witness.forget()
