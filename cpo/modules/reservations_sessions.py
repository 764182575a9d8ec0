"""The Session of a reservation until charging begins, and the CDR of one that was never used (SES-16…18, CDR-46)."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal

from cpo import metering, session_states
from cpo.models import CDR, Reservation, Session
from cpo.modules import cdrs_operations as cdrs
from cpo.modules import locations_operations as locations
from cpo.modules import sessions_operations as sessions
from cpo.modules import snapshots
from cpo.modules.sessions_operations import Metered
from cpo.modules.snapshots import Snapshot
from ocpi import documents, tariff_pricing
from ocpi.v2_2_1.sessions import SessionStatus
from ocpi.v2_2_1.types import format_datetime, plain

_ZERO = Decimal(0)


def begin(snapshot: str, at: datetime) -> Session:
    """Create the Session of a reservation that is now in force and send it to the eMSP (SES-16)."""
    seen = snapshots.read(snapshot)
    session = sessions.new(seen, SessionStatus.RESERVATION, at)
    _write(session, seen)
    return session


def replace(session: Session, snapshot: str) -> None:
    """Say in its Session that a reservation is for another Token or EVSE, and send it."""
    seen = snapshots.read(snapshot)
    session.token_uid = seen.token["uid"]
    _write(session, seen)


def complete(row: Reservation, at: datetime, *, billed: bool) -> CDR | None:
    """End the Session of a reservation that was not used with 0 kWh (SES-18), and make its CDR if that costs (CMD-41).

    A CDR with reserved time alone is priced as of an expired reservation, however it ended: a receiver sees no
    difference and has to come to the same total (PRI-47, PRI-56).
    """
    if row.session is None or row.started_at is None:
        return None
    seen = snapshots.read(row.snapshot)
    end = max(at, row.started_at)
    course = metering.Course(row.started_at, _ZERO, end, _ZERO, (), ())
    metered = sessions.priced(seen, course, metering.reserved(row.started_at, end), expired=True)
    if not billed or not metered.periods:
        metered = Metered(course, metered.periods, None)
    session = row.session
    session.status = session_states.next_status(session.status, "end")
    sessions.write(session, seen, metered, ended=True)
    sessions.push(session)
    return _bill(session, seen, metered)


def _write(session: Session, seen: Snapshot) -> None:
    # What it will cost is not known before it ends; an absent total_cost does not mean free (SES-26).
    course = metering.Course(session.start_date_time, _ZERO, session.start_date_time, _ZERO, (), ())
    sessions.write(session, seen, Metered(course, [], None), ended=False)
    sessions.push(session)


def _bill(session: Session, seen: Snapshot, metered: Metered) -> CDR | None:
    """Make the CDR, once: without a session_id, for there was no session (CDR-28, PRI-108)."""
    if metered.priced is None or metered.priced.total_cost.excl_vat <= 0:
        return None
    now = locations.moment_now()
    cdr = CDR(
        country_code=session.country_code,
        party_id=session.party_id,
        object_id=str(uuid.uuid4()),  # random, never from a sequence (REL-09)
        last_updated=now,
        session_id=session.object_id,  # the column keeps it the only one of its reservation
        token_uid=session.token_uid,
        start_date_time=metered.course.start,
        emsp_country_code=session.emsp_country_code,
        emsp_party_id=session.emsp_party_id,
    )
    cdr.document = documents.text(
        plain(
            {
                "country_code": cdr.country_code,
                "party_id": cdr.party_id,
                "id": cdr.object_id,
                "start_date_time": format_datetime(metered.course.start.replace(microsecond=0)),
                "end_date_time": format_datetime(metered.course.end.replace(microsecond=0)),
                "cdr_token": seen.cdr_token,
                "auth_method": seen.auth_method,
                "authorization_reference": seen.authorization_reference or None,
                "cdr_location": cdrs.location_of(seen),
                "currency": seen.currency,
                "tariffs": [documents.raw(seen.tariff_text)],
                "charging_periods": metered.periods,
                **tariff_pricing.totals(metered.priced),
                "remark": "Reservation without a session",
                "last_updated": now,
            }
        )
    )
    cdr.save(force_insert=True)
    cdrs.push(cdr, seen.location["id"])
    return cdr
