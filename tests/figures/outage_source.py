"""The CPO of the outage: changes its EVSEs and makes CDRs with its own operations, a JSON command per line.

A process of its own with the CPO's settings. Each line is answered with one JSON line.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import django

_TOGETHER = 100  # changes in one transaction: the figure asks about what is kept, not about commits
_STATUSES = ("AVAILABLE", "CHARGING", "BLOCKED", "OUTOFORDER", "INOPERATIVE")


def main() -> None:
    """Answer until the input ends."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    django.setup()
    for line in sys.stdin:
        command = json.loads(line)
        found = _COMMANDS[command.pop("do")](**command)
        print(json.dumps(found), flush=True)


def change(count: int, seed: int) -> dict[str, Any]:
    """Give drawn EVSEs another status, so many times; every one is changed at least once if there are enough."""
    from django.db import transaction

    from cpo.models import EVSE
    from cpo.modules import locations_operations

    draw = random.Random(seed)
    ids = list(EVSE.objects.order_by("id").values_list("id", flat=True))
    first = draw.sample(ids, len(ids))
    numbers: dict[int, int] = {}
    began, changed = time.monotonic(), 0
    while changed < count:
        together = min(_TOGETHER, count - changed)
        some = [first.pop() if first else draw.choice(ids) for _ in range(together)]
        with transaction.atomic():
            for evse_id in sorted(some):
                numbers[evse_id] = numbers.get(evse_id, draw.randrange(len(_STATUSES))) + 1
                changed += locations_operations.set_status(evse_id, _STATUSES[numbers[evse_id] % len(_STATUSES)])
    return {"changed": changed, "seconds": time.monotonic() - began}


def cdrs(count: int, parties: list[list[str]]) -> dict[str, Any]:
    """Make CDRs for these eMSPs by turns."""
    from django.db import transaction

    from cpo.models import CDR
    from cpo.modules import cdrs_operations
    from ocpi import documents
    from ocpi.sample_data.cdrs import cdrs as samples

    sample = next(iter(samples(1)))
    for number in range(count):
        emsp = parties[number % len(parties)]
        now = datetime.now(UTC).replace(microsecond=0)
        token = {**sample["cdr_token"], "country_code": emsp[0], "party_id": emsp[1]}
        stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        rest = {name: value for name, value in sample.items() if name != "last_updated"}
        document = {**rest, "id": f"CDR-{number}", "cdr_token": token, "last_updated": stamp}
        with transaction.atomic():
            cdrs_operations.issue(
                CDR(
                    country_code=sample["country_code"], party_id=sample["party_id"], object_id=document["id"],
                    last_updated=now, session_id=f"SESSION-{number}", token_uid=token["uid"], start_date_time=now,
                    emsp_country_code=emsp[0], emsp_party_id=emsp[1], document=documents.text(document),
                )
            )  # fmt: skip
    return {"made": count}


def dump(file: str) -> dict[str, Any]:
    """Write the current documents of all EVSEs and CDRs into a file."""
    from cpo.models import CDR, EVSE

    evses = EVSE.objects.select_related("location").iterator(chunk_size=2000)
    found: dict[str, dict[str, Any]] = {
        "evses": {f"{row.location.object_id}/{row.uid}": row.document for row in evses},
        "cdrs": {row.object_id: [row.emsp_party_id, row.document] for row in CDR.objects.iterator(chunk_size=2000)},
    }
    Path(file).write_text(json.dumps(found))
    return {"evses": len(found["evses"]), "cdrs": len(found["cdrs"])}


_COMMANDS: dict[str, Callable[..., dict[str, Any]]] = {"change": change, "cdrs": cdrs, "dump": dump}

if __name__ == "__main__":
    main()
