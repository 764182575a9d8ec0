"""What limits a session now and later, and who is told of it: the ActiveChargingProfile (CHP-21 … CHP-25).

Everything here runs in the caller's transaction.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Q
from django.utils import timezone

from cpo import active_profiles, charging_schedules
from cpo import chargingprofile_states as states
from cpo.active_profiles import TX, Layer
from cpo.charging_schedules import Electrics, Schedule
from cpo.models import ActiveChargingProfile, ChargePoint, ChargePointProfile, ChargingProfileRequest, Transaction
from cpo.modules import locations_operations as locations
from cpo.modules import snapshots
from ocpi import outbox
from ocpi.headers import Address
from ocpi.v2_2_1.types import format_datetime, parse_datetime

MODULE = "chargingprofiles"


def electrics_at(charge_point: ChargePoint, connector: int, row: Transaction | None = None) -> Electrics:
    """Return what a connector delivers at most; of the charge point as a whole, what all of them do."""
    if row is not None and row.snapshot:
        return charging_schedules.electrics_of(snapshots.read(row.snapshot).connector)
    rows = charge_point.evses.exclude(status="REMOVED").order_by("connector_id")
    if connector:
        rows = rows.filter(connector_id=connector)
    found = [charging_schedules.electrics_of(locations.first_connector(each)) for each in rows]
    if not found:
        return charging_schedules.electrics_of({})
    return Electrics(
        voltage=found[0].voltage,
        phases=found[0].phases,
        maximum_w=sum((each.maximum_w for each in found), Decimal(0)),
        maximum_a=sum((each.maximum_a for each in found), Decimal(0)),
        direct=any(each.direct for each in found),
    )


def succeeded(request: ChargingProfileRequest, row: ChargePointProfile) -> None:
    """Note that a Sender has put a profile with success: from now on it is told of every change (CHP-21, CHP-22)."""
    if row.transaction is None or row.transaction.stopped_at is not None or request.session_id is None:
        return
    electrics = electrics_at(row.charge_point, row.connector_id, row.transaction)
    told = {
        "platform_id": request.platform_id,
        "country_code": request.country_code,
        "party_id": request.party_id,
        "unit": row.schedule["asked_unit"],
    }
    known, created = ActiveChargingProfile.objects.select_for_update().get_or_create(
        session_id=request.session_id, defaults={**told, "document": ""}
    )
    if not created:
        ActiveChargingProfile.objects.filter(pk=known.pk).update(**told)
        known.refresh_from_db()
    _tell(known, row.transaction, electrics)


def note_change(charge_point_id: int, connector: int) -> None:
    """Tell the Senders whose sessions a changed profile concerns what is active now, if that is something else."""
    rows = (
        ActiveChargingProfile.objects.select_for_update(of=("self",))
        .select_related("session__transaction__charge_point")
        .filter(session__transaction__charge_point_id=charge_point_id, session__transaction__stopped_at=None)
    )
    if connector:
        rows = rows.filter(session__transaction__connector_id=connector)
    for known in rows.order_by("pk"):
        row = known.session.transaction
        _tell(known, row, electrics_at(row.charge_point, row.connector_id, row))


def _tell(known: ActiveChargingProfile, row: Transaction, electrics: Electrics) -> None:
    now = timezone.now().replace(microsecond=0)
    steps = active_profiles.timeline(_layers(row), electrics, known.unit, now)
    if known.document and active_profiles.steps_of(known.document, now) == (known.unit, steps):
        return
    known.document, known.changed_at = active_profiles.text_of(steps, known.unit), now
    known.save(update_fields=["document", "changed_at"])
    session = known.session
    outbox.mark(
        [
            outbox.Recipient(
                known.platform_id,
                to=Address(known.country_code, known.party_id),
                sender=Address(session.country_code, session.party_id),
            )
        ],
        module=MODULE,
        source="cpo.ActiveChargingProfile",
        source_id=known.pk,
        path=outbox.path_of(session.object_id),
        order_key=f"profile {session.object_id}",
    )


def _layers(row: Transaction) -> list[Layer]:
    own = Q(purpose=TX, transaction=row) | (~Q(purpose=TX) & Q(connector_id__in=(0, row.connector_id)))
    rows = ChargePointProfile.objects.filter(own, charge_point_id=row.charge_point_id, state__in=states.IN_FORCE)
    return [
        Layer(each.purpose, each.stack_level, each.connector_id, read(each.unit, each.schedule), row.started_at)
        for each in rows
    ]


def kept(schedule: Schedule, asked_unit: str) -> dict[str, Any]:
    return {
        "start": None if schedule.start is None else format_datetime(schedule.start),
        "duration": schedule.duration,
        "least": None if schedule.least is None else str(schedule.least),
        "periods": [[start, str(limit)] for start, limit in schedule.periods],
        "asked_unit": asked_unit,
    }


def read(unit: str, kept: dict[str, Any]) -> Schedule:
    """Return a schedule as `kept` has stored it."""
    start: datetime | None = None if kept["start"] is None else parse_datetime(kept["start"])
    return Schedule(
        unit=unit,
        periods=tuple((int(second), Decimal(limit)) for second, limit in kept["periods"]),
        start=start,
        duration=kept["duration"],
        least=None if kept["least"] is None else Decimal(kept["least"]),
    )
