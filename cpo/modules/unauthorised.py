"""A charge point that goes on although its driver was refused is told to stop, if the operator wishes so (OCPP-77)."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction

from cpo import policy
from cpo.models import Transaction
from cpo.modules import abilities
from cpo.ocpp import calls
from ocpi import clock

log = logging.getLogger(__name__)

FLAG = "stop_asked"
# By then the refusal itself is on the wire: the charge point knows which transaction is meant.
_AFTER = timedelta(seconds=2)
_WITHIN = timedelta(days=1)


def stop_due() -> int:
    """Ask for the end of refused transactions that their charge points let run; return how many."""
    if not policy.stops_refused():
        return 0
    now = clock.now()
    rows = Transaction.objects.select_related("charge_point").filter(
        stopped_at=None, superseded_at=None, authorised=False, created_at__lte=now - _AFTER,
        created_at__gt=now - _WITHIN, charge_point__online=True,
    )  # fmt: skip
    refused = rows.exclude(id_tag="").exclude(flags__contains=[FLAG])
    pks = [row.pk for row in refused[:200] if abilities.said(row.charge_point, abilities.STOPS_REFUSED) == "false"]
    return sum(deauthorise(pk, why="not authorised") for pk in pks)


def deauthorise(pk: int, *, why: str) -> bool:
    """Ask for the end of a running transaction whose driver is not accepted (any more), once; say whether it was."""
    with transaction.atomic():
        rows = Transaction.objects.select_for_update(of=("self",)).select_related("charge_point")
        row = rows.filter(pk=pk, stopped_at=None).first()
        if row is None or FLAG in row.flags:
            return False
        try:
            calls.remote_stop(row, asked_by=why, key=f"refused transaction {row.pk}", timeout=30)
        except calls.NotAsked as error:
            log.warning("%s cannot be asked to end %s: %s", row.charge_point, row, error)
            return False
        row.flags = [*row.flags, FLAG]
        row.save(update_fields=["flags"])
    log.warning("%s is asked to end %s: %s", row.charge_point, row, why)
    return True
