"""PENDING Sessions: a START_SESSION that the charge point accepted, until its transaction begins (M-4).

Only if the operator wishes so (OCPI_PENDING_SECONDS): the specification leaves it open, most receivers expect a Session
to be ACTIVE when they first hear of it, and an accepted START_SESSION is no promise (CMD-23).
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction

from cpo import metering, policy, session_states
from cpo.models import Command, CommandedToken, Reservation, Session
from cpo.modules import locations_operations as locations
from cpo.modules import sessions_operations as sessions
from cpo.modules import snapshots
from cpo.modules.authorization import Verdict
from cpo.modules.sessions_operations import Metered
from cpo.whitelist_states import ACCEPTED
from ocpi import clock, documents
from ocpi.v2_2_1.sessions import SessionStatus
from ocpi.v2_2_1.types import format_datetime

log = logging.getLogger(__name__)


def begin(command: Command) -> Session | None:
    """Show an accepted START_SESSION as a Session, in the caller's transaction; not one that has begun already."""
    token = CommandedToken.objects.filter(command=command).first()
    if not policy.pending_seconds() or token is None or token.used_at is not None or command.evse is None:
        return None
    place = locations.place_of(command.charge_point_id or 0, command.evse.connector_id or 0)
    reserved = Reservation.objects.filter(
        charge_point_id=command.charge_point_id or 0, state="ACCEPTED", id_tag__iexact=token.id_tag
    )
    if place is None or reserved.exists():
        return None
    now = clock.now()
    verdict = Verdict(ACCEPTED, token.document, "COMMAND", token.authorization_reference)
    text, odd = snapshots.text_of(place, verdict, now)
    if odd:
        log.warning("START_SESSION %s: %s", command.pk, ", ".join(odd))
    seen = snapshots.read(text)
    session = sessions.new(seen, SessionStatus.PENDING, now)
    nothing = metering.Course(now, Decimal(0), now, Decimal(0), (), ())
    sessions.write(session, seen, Metered(nothing, [], None), ended=False)
    sessions.push(session)
    command.session_id = session.object_id
    command.save(update_fields=["session_id"])
    return session


def of_start(verdict: Verdict) -> Session | None:
    """Return the PENDING Session that a start belongs to."""
    if verdict.commanded_id is None:
        return None
    object_id = CommandedToken.objects.filter(pk=verdict.commanded_id).values_list("command__session_id", flat=True)
    rows = Session.objects.select_for_update(of=("self",)).filter(object_id__in=list(object_id))
    return rows.filter(status=SessionStatus.PENDING).first()


def expire_due() -> int:
    """Make Sessions INVALID for which no transaction came; return how many."""
    limit = clock.now() - timedelta(seconds=policy.pending_seconds())
    rows = Session.objects.filter(status=SessionStatus.PENDING, start_date_time__lte=limit)
    pks = list(rows.order_by("start_date_time").values_list("pk", flat=True)[:200])
    for pk in pks:
        with transaction.atomic():
            row = Session.objects.select_for_update(of=("self",)).get(pk=pk)
            if row.status == SessionStatus.PENDING:
                _expire(row, locations.moment_now())
    return len(pks)


def _expire(row: Session, now: datetime) -> None:
    row.status = session_states.next_status(row.status, "expire")
    row.last_updated = max(now, row.last_updated)
    changes = {"status": row.status, "last_updated": format_datetime(row.last_updated)}
    row.document = documents.set_members(row.document, changes)
    row.save(update_fields=["status", "last_updated", "document"])
    sessions.push(row, fields=tuple(changes))
