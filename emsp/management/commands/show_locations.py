"""List the Locations that are shown to the public, or to the owner of a Token, as a driver sees them now."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from emsp.management.sending import token_of
from emsp.models import Location
from emsp.modules import locations_showing as showing
from ocpi import documents


class Command(BaseCommand):
    help = "List the Locations that are shown to the public, or to the owner of one of our Tokens."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--token", default="", help="uid of one of our Tokens: what its owner sees as well")
        parser.add_argument("--json", action="store_true", help="print one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        token = token_of(options["token"]).document if options["token"] else None
        found = [_row(shown) for shown in _shown(token)]
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        for row in found:
            state = {True: "open", False: "closed", None: ""}[row["open"]]
            private = "" if row["public"] else "private"
            self.stdout.write("  ".join(filter(None, (row["party"], row["id"], row["name"] or "", state, private))))


def _shown(token: str | None) -> Iterator[showing.Shown]:
    now = timezone.now()
    private: Iterator[Location] = showing.of_owner(token) if token else iter(())
    public = showing.public().order_by("pk").prefetch_related("evses")
    for location in chain(public.iterator(chunk_size=500), private):
        shown = showing.show(location, token=token, moment=now)
        if shown is not None:
            yield shown


def _row(shown: showing.Shown) -> dict[str, Any]:
    location = shown.location
    return {
        "party": f"{location.country_code}*{location.party_id}",
        "id": location.object_id,
        "name": documents.get(location.document, "name"),
        "public": shown.public,
        "operator": shown.operator.get("name"),
        "open": shown.open,
        "may_charge": shown.may_charge,
        "evses": [{"uid": each.uid, "status": each.status} for each in shown.evses],
    }
