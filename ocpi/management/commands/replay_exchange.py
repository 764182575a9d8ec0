"""Send again what an exchange was about."""

from __future__ import annotations

import getpass
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ocpi import audit, exchange_compare, exchange_replay, exchange_search
from ocpi.exchange_replay import CannotReplay
from ocpi.models import Exchange
from ocpi.secrets import without_keys


class Command(BaseCommand):
    help = "Send again what an exchange was about: the current object, or the very request with a new X-Request-ID."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("exchange", type=int, help="its number, from the address of its page in the admin")
        parser.add_argument("--yes", action="store_true", help="do it; without, only say what would be done")
        parser.add_argument(
            "--execute-again", metavar="WHY", default="", help="needed for commands and charging profiles"
        )
        parser.add_argument("--json", action="store_true", help="one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        row = Exchange.objects.select_related("platform").filter(pk=options["exchange"]).first()
        if row is None:
            raise CommandError(f"There is no exchange {options['exchange']}")
        try:
            planned = exchange_replay.plan(row)
            if planned.executes and options["yes"] and not options["execute_again"].strip():
                raise CommandError(f"{planned.warning} Say why with --execute-again.")
            if not options["yes"]:
                self._say(options["json"], {"done": False, "does": planned.does, "warning": planned.warning})
                return
            replayed = exchange_replay.replay(row, planned)
        except CannotReplay as error:
            raise CommandError(f"It is not sent again: {error}") from error
        audit.record(
            "exchange.replay",
            actor=f"replay_exchange by {getpass.getuser()}",
            about=without_keys(str(row)),
            details={"came": replayed.words, "reason": options["execute_again"]},
        )
        found: dict[str, Any] = {"done": True, "came": replayed.words}
        again = exchange_search.of_request(replayed.request_id)
        if again is not None:
            found["exchange"] = again.pk
            found["differences"] = [
                {"path": path, "before": before, "after": after}
                for path, before, after in exchange_compare.differences(row.response_body, again.response_body)
            ]
        self._say(options["json"], found)

    def _say(self, as_json: bool, found: dict[str, Any]) -> None:
        if as_json:
            self.stdout.write(json.dumps(found, ensure_ascii=False))
            return
        if not found["done"]:
            self.stdout.write(" ".join(filter(None, (found["does"], found["warning"], "Do it with --yes."))))
            return
        self.stdout.write(found["came"])
        for one in found.get("differences", ()):
            self.stdout.write(f"{one['path']}: {one['before']} → {one['after']}")
        if "differences" in found and not found["differences"]:
            self.stdout.write("The answer is the same.")
