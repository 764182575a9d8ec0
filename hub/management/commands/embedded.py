"""Run the embedded servers alone, for other programs, until Ctrl-C."""

import json
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hub import embedded


class Command(BaseCommand):
    help = "Start the embedded PostgreSQL and Valkey, print DATABASE_URL and REDIS_URL, and wait until Ctrl-C."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--data", type=Path, default=settings.EMBEDDED_DATA, help="folder of their files")
        parser.add_argument("--fast", action="store_true", help="not safe against a loss of power")
        parser.add_argument("--json", action="store_true", help="one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            servers = embedded.ensure(options["data"], durable=not options["fast"])
            addresses = {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url}
            lines = [json.dumps(addresses)] if options["json"] else [f"{k}={v}" for k, v in addresses.items()]
            self.stdout.write("\n".join(lines))
            self.stdout.flush()
            while True:
                signal.pause()
        except embedded.CannotStart as failure:
            raise CommandError(str(failure)) from failure
        except KeyboardInterrupt:
            embedded.stop(options["data"])
            sys.exit(0)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
