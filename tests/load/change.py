"""Change objects and mark them for every receiver, on request: a number of objects per line in, moments out.

A process of its own with the hub's settings. Each answer is one JSON line: the monotonic moments just before the
transaction began and just after it was committed, and the CPU seconds that this took.
"""

from __future__ import annotations

import json
import os
import sys
import time

import django


def main() -> None:
    """Answer until the input ends."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    django.setup()
    from django.db import transaction
    from django.db.models.functions import Now

    from hub.models import SharedObject
    from ocpi import outbox, snapshot
    from ocpi.headers import Address

    registry = snapshot.current()
    hub = Address("NL", "HUB")
    receivers = [
        outbox.Recipient(platform.id, platform.parties[0].address, hub)
        for platform in registry.platforms.values()
        if platform.name != "cpo"
    ]
    evses = list(SharedObject.objects.exclude(container=None).order_by("container_id", "id").values_list("id", "path"))
    # Neighbours are of different Locations, so a burst spreads over the slots.
    evses = [evse for start in range(10) for evse in evses[start::10]]
    print(json.dumps(len(receivers)), flush=True)
    for line in sys.stdin:
        began, cpu = time.monotonic(), time.process_time()
        with transaction.atomic():
            for row_id, path in evses[: int(line)]:
                SharedObject.objects.filter(pk=row_id).update(received_at=Now())
                outbox.mark(
                    receivers, module="locations", source="hub.SharedObject", source_id=row_id, path=f"NL/TNM/{path}",
                    order_key=f"NL*TNM/{path.partition('/')[0]}", fields=("status", "last_updated"),
                )  # fmt: skip
        found = {"began": began, "committed": time.monotonic(), "cpu": time.process_time() - cpu}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
