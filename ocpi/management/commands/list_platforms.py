"""List the platforms, what they are and what still waits for them."""

import json
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db.models import Count

from ocpi import delivery_states
from ocpi.models import Delivery, FinishedDelivery, Party, Platform


class Command(BaseCommand):
    help = "List the platforms: state, connection, roles, and the deliveries that wait, are marks, or have failed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        found = _platforms()
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        # The JSON has the status of HubClientInfo, which knows no pause.
        paused = {
            platform_id: f"PAUSED ({reason})"
            for platform_id, reason in Platform.objects.exclude(paused_reason="").values_list("id", "paused_reason")
        }
        for row in found:
            roles = ", ".join(row["roles"]) or "no roles"
            counts = f"{row['pending']} pending, {row['marks']} marks, {row['dead']} dead"
            connection = paused.get(row["platform"], row["connection"])
            self.stdout.write(f"{row['name']}: {row['state']}, {connection}, {roles}; {counts}")
        if not found:
            self.stdout.write("No platforms yet: invite one with invite_platform.")


def _platforms() -> list[dict[str, Any]]:
    waiting: Counter[tuple[int, str]] = Counter()
    for model in (Delivery, FinishedDelivery):
        counts = model.objects.order_by().values_list("platform_id", "state").annotate(number=Count("id"))
        for platform_id, state, number in counts:
            waiting[(platform_id, state)] += number
    roles: dict[int, list[str]] = {}
    for party in Party.objects.filter(approved=True, claimed=True, through_hub=False).order_by("id"):
        roles.setdefault(party.platform_id, []).append(str(party))
    return [
        {
            "platform": row.pk,
            "name": row.name,
            "state": row.state,
            "connection": row.connection,
            "version": row.version,
            "roles": roles.get(row.pk, []),
            "pending": waiting[(row.pk, delivery_states.PENDING)],
            "marks": waiting[(row.pk, delivery_states.MARKED)],
            "dead": waiting[(row.pk, delivery_states.DEAD)],
        }
        for row in Platform.objects.order_by("id")
    ]
