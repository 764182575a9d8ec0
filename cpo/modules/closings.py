"""Close EVSEs, at once or as planned, whatever their charge points say (OCPP-63, M-3).

A closing in force makes the EVSE INOPERATIVE, or leaves it CHARGING until the car is done; planned ones are told in the
EVSE's `status_schedule` (OCPI 2.2.1, Locations). Closings are kept when they are over.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from cpo.models import EVSE, Closing
from cpo.modules import locations_operations as locations
from cpo.operator_models import ClosingState
from ocpi import clock
from ocpi.v2_2_1.types import format_datetime

log = logging.getLogger(__name__)

MOST_PLANNED = 20  # of one EVSE
_OPEN = (ClosingState.PLANNED, ClosingState.IN_FORCE)


class NotClosed(Exception):
    """It cannot be closed as asked."""


def close(evse_ids: Iterable[int], *, since: datetime, until: datetime | None, reason: str, made_by: str) -> int:
    """Close EVSEs from a moment on, until another or until lifted; return how many.

    :raises NotClosed: if the time makes no sense, or an EVSE has no charge point or is out of service.
    """
    now = clock.now()
    if until is not None and until <= max(since, now):
        raise NotClosed("The end must be after the beginning and in the future")
    with transaction.atomic():
        rows = list(EVSE.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=list(evse_ids)))
        for row in rows:
            if row.charge_point_id is None:
                raise NotClosed(f"EVSE {row.uid} has no charge point: its status is loaded with its Location")
            if row.status == "REMOVED":
                raise NotClosed(f"EVSE {row.uid} is removed")
            if Closing.objects.filter(evse=row, state__in=_OPEN).count() >= MOST_PLANNED:
                raise NotClosed(f"EVSE {row.uid} has {MOST_PLANNED} closings already")
            state = ClosingState.IN_FORCE if since <= now else ClosingState.PLANNED
            Closing.objects.create(
                evse=row, since=since, until=until, reason=reason[:200], made_by=made_by[:150], state=state
            )
            _tell(row)
    return len(rows)


def lift(evse_ids: Iterable[int], *, planned: bool = True) -> int:
    """End the closings of EVSEs, with `planned` those to come as well; return how many there were."""
    states = _OPEN if planned else (ClosingState.IN_FORCE,)
    return _end(Closing.objects.filter(evse__in=list(evse_ids), state__in=states), ClosingState.LIFTED)


def lift_one(closing_id: int) -> bool:
    """End one closing, or take back a planned one; say whether there was still something to end."""
    return _end(Closing.objects.filter(pk=closing_id, state__in=_OPEN), ClosingState.LIFTED) > 0


def begin_and_end_due() -> int:
    """Begin the closings whose time has come, and end those whose time is over; return how many."""
    now = clock.now()
    ended = _end(Closing.objects.filter(state__in=_OPEN, until__lte=now), ClosingState.OVER)
    begun = 0
    for row in Closing.objects.filter(state=ClosingState.PLANNED, since__lte=now).select_related("evse")[:500]:
        with transaction.atomic():
            if Closing.objects.filter(pk=row.pk, state=ClosingState.PLANNED).update(state=ClosingState.IN_FORCE):
                _tell(row.evse)
                begun += 1
    return ended + begun


def _end(rows: QuerySet[Closing], state: ClosingState) -> int:
    ended = 0
    for row in rows.select_related("evse")[:500]:
        with transaction.atomic():
            if Closing.objects.filter(pk=row.pk, state__in=_OPEN).update(state=state):
                _tell(row.evse)
                ended += 1
    return ended


def _tell(evse: EVSE) -> None:
    """Have everybody know what follows, in the caller's transaction."""
    open_ones = Closing.objects.filter(evse=evse, state__in=_OPEN).order_by("since", "pk")
    schedule = []
    for row in open_ones.filter(Q(state=ClosingState.PLANNED) | Q(until__isnull=False)):
        period = {"period_begin": format_datetime(row.since)}
        if row.until is not None:
            period["period_end"] = format_datetime(row.until)
        schedule.append({**period, "status": "INOPERATIVE"})
    locations.set_schedule(evse.pk, schedule)
    if evse.charge_point_id is not None:
        locations.refresh(evse.charge_point_id)
