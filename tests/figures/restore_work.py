"""The work of FIG-14 in the instance that is restored: each line of input is a JSON list, a command and what it is
given; each is answered with one JSON line.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from io import StringIO
from typing import Any

import django


def ready() -> dict[str, Any]:
    """Have a Location with a tariff and a charge point."""
    from tests.cpo_support import add_location, add_point, add_tariff, tariff, with_tariff
    from tests.fixtures import DOCUMENTS

    add_tariff(tariff())
    add_point(add_location(with_tariff(json.loads((DOCUMENTS / "location.json").read_text()))))
    return {}


def charge(number: int) -> dict[str, Any]:
    """Have a driver charge so many times, through the inbox of the gateway; return the ids that partners see."""
    from datetime import timedelta

    from cpo.models import CDR, ChargePoint, Session
    from tests.cpo_support import BASE, Point
    from tests.figures.restore_partner import TAG

    known = set(CDR.objects.values_list("object_id", flat=True)) | set(
        Session.objects.values_list("object_id", flat=True)
    )
    point = Point(ChargePoint.objects.get())
    after = BASE + timedelta(hours=2 * CDR.objects.count())
    for turn in range(number):
        begin = after + timedelta(hours=2 * turn)
        transaction_id = point.start(TAG, at=begin)["transactionId"]
        point.stop(transaction_id, 11_000, at=begin + timedelta(hours=1))
    sessions = set(Session.objects.values_list("object_id", flat=True)) - known
    cdrs = set(CDR.objects.values_list("object_id", flat=True)) - known
    return {"sessions": sorted(sessions), "cdrs": sorted(cdrs)}


def pull_due() -> dict[str, Any]:
    """Pull what is due, as a worker does."""
    from ocpi import pull, pull_plan, pull_rows

    ids = pull_rows.due(pull_plan.lists())
    for cursor_id in ids:
        pull.run(cursor_id, seconds=None)
    return {"lists": len(ids)}


def dump() -> dict[str, Any]:
    """Return what is kept of the partner's, by module and id, and the keys of the CDRs' URLs."""
    from cpo.models import Token
    from emsp.models import CDR, EVSE, Session, Tariff

    kept: dict[str, dict[str, str]] = {
        "evses": {row.uid: row.document for row in EVSE.objects.filter(deleted_at=None)},
        "tokens": {row.uid: row.document for row in Token.objects.filter(gone_at=None)},
    }
    for module, model in (("tariffs", Tariff), ("sessions", Session), ("cdrs", CDR)):
        kept[module] = {row.object_id: row.document for row in model.objects.all()}
    return {"kept": kept, "keys": dict(CDR.objects.values_list("object_id", "key"))}


def manage(*words: str) -> dict[str, Any]:
    """Run a command of `manage.py` that prints JSON."""
    from django.core.management import call_command

    output = StringIO()
    call_command(*words, "--json", stdout=output)
    found: dict[str, Any] = json.loads(output.getvalue().splitlines()[-1])
    return found


def main() -> None:
    """Answer until the input ends; between two commands the database may be another."""
    from django.db import connection

    for line in sys.stdin:
        name, *given = json.loads(line)
        found = _COMMANDS[name](*given)
        connection.close()
        print(json.dumps(found), flush=True)


_COMMANDS: dict[str, Callable[..., dict[str, Any]]] = {
    "ready": ready, "charge": charge, "pull_due": pull_due, "dump": dump, "manage": manage,
}  # fmt: skip

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    django.setup()
    main()
