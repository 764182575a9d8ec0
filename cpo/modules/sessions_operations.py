"""Our Sessions: begun, kept up to date from the meter, completed, pushed to the eMSP whose driver charges."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from cpo import metering, policy, recipients, session_dimensions, session_periods, session_states
from cpo.models import Session, Transaction
from cpo.modules import chargingprofiles_installed as chargingprofiles
from cpo.modules import locations_operations as locations
from cpo.modules import readings, snapshots
from cpo.modules.snapshots import Snapshot
from ocpi import clock, documents, lists, outbox, outbox_pulled, tariff_pricing
from ocpi.headers import Address
from ocpi.outbox_pulled import Reader
from ocpi.pagination import Page
from ocpi.tariff_pricing import NotPriceable, Priced, Segment
from ocpi.v2_2_1.sessions import SessionStatus
from ocpi.v2_2_1.types import format_datetime, plain

_MODULE = "sessions"
SOURCE = "cpo.Session"
_RUNNING = ("kwh", "total_cost", "last_updated")


@dataclass(frozen=True, slots=True)
class Metered:
    """What a transaction comes to: its course, its ChargingPeriods and their price."""

    course: metering.Course
    periods: list[dict[str, Any]]
    priced: Priced | None
    shown: list[dict[str, Any]] | None = None  # the ChargingPeriods as the Session shows them


# ---------------------------------------------------------------- from start to end


def begin(row: Transaction, earlier: Session | None = None) -> Session:
    """Create the Session of an authorised transaction and send it to the eMSP (SES-09), in the caller's transaction.

    The one of its reservation, or the PENDING one, becomes ACTIVE instead, from this moment on (SES-17, SES-19).
    """
    seen = snapshots.read(row.snapshot)
    if earlier is None:
        session = new(seen, SessionStatus.ACTIVE, row.started_at)
    else:
        session = earlier
        session.status = session_states.next_status(session.status, "begin")
        session.start_date_time = row.started_at
    write(session, seen, meter(row, seen), ended=False)
    row.session = session
    row.save(update_fields=["session"])
    push(session)
    return session


def new(seen: Snapshot, status: SessionStatus, at: datetime) -> Session:
    """Return a Session that is not stored yet."""
    return Session(
        country_code=seen.owner.country_code,
        party_id=seen.owner.party_id,
        object_id=str(uuid.uuid4()),  # random, never from a sequence (REL-09)
        token_uid=seen.token["uid"],
        start_date_time=at,
        status=status,
        emsp_country_code=seen.emsp.country_code,
        emsp_party_id=seen.emsp.party_id,
        location_id=seen.location["id"],
    )


def note_change(row: Transaction) -> None:
    """Have a running Session brought up to date and sent: at once if that is due, else when it is (OCPP-96)."""
    session = row.session
    if session is None or session.status != SessionStatus.ACTIVE:
        return
    pause = timedelta(seconds=policy.push_seconds())
    now = clock.now()
    if session.pushed_at is None or now - session.pushed_at >= pause:
        update(row)
    elif session.push_due_at is None:
        session.push_due_at = session.pushed_at + pause
        session.save(update_fields=["push_due_at"])


def update(row: Transaction) -> None:
    """Bring a running Session up to date from the meter and send what changed, in the caller's transaction."""
    session = row.session
    if session is None or session.status != SessionStatus.ACTIVE:
        return
    seen = snapshots.read(row.snapshot)
    before = len(documents.get(session.document, "charging_periods") or ())
    metered = meter(row, seen)
    write(session, seen, metered, ended=row.stopped_at is not None)
    # A PATCH adds charging_periods and never replaces one (SES-29, SES-30): with another period the whole is sent.
    push(session, fields=_RUNNING if len(metered.shown or metered.periods) == before and metered.priced else None)


def end(row: Transaction, event: str = "end") -> Metered:
    """Complete (or discard) the Session of a stopped transaction and send it, in the caller's transaction (SES-12)."""
    session = row.session
    if session is None:
        raise ValueError(f"{row} has no session")
    session.status = session_states.next_status(session.status, event)
    seen = snapshots.read(row.snapshot)
    metered = meter(row, seen)
    write(session, seen, metered, ended=row.stopped_at is not None)
    push(session)
    return metered


def push(session: Session, fields: Sequence[str] | None = None) -> None:
    """Have a Session sent to the eMSP of its Token, and to nobody else (SES-10)."""
    owner = Address(session.country_code, session.party_id)
    now = clock.now()
    Session.objects.filter(pk=session.pk).update(pushed_at=now, push_due_at=None)
    session.pushed_at, session.push_due_at = now, None
    outbox.mark(
        recipients.party(Address(session.emsp_country_code, session.emsp_party_id), _MODULE, owner),
        module=_MODULE,
        source=SOURCE,
        source_id=session.pk,
        path=recipients.path(owner, session.object_id),
        order_key=recipients.order_key(owner, session.location_id),
        fields=fields,
    )


def push_due() -> int:
    """Send the running Sessions whose pause is over; return how many."""
    due = list(Session.objects.filter(push_due_at__lte=clock.now()).order_by("push_due_at").values_list("pk")[:500])
    for (pk,) in due:
        with transaction.atomic():
            row = (
                Transaction.objects.select_for_update(of=("self",), skip_locked=True)
                .select_related("session")
                .filter(session_id=pk)
                .first()
            )
            if row is None:
                continue
            # Asked of the locked row: the Session beside it may be from before a stop that has just been committed.
            if row.stopped_at is None:
                update(row)
            else:
                Session.objects.filter(pk=pk).update(push_due_at=None)
    return len(due)


# ---------------------------------------------------------------- what it comes to


def meter(row: Transaction, seen: Snapshot) -> Metered:
    """Return what a transaction comes to so far, or in all once it has stopped."""
    read = readings.of(row)
    course = metering.course(
        row.started_at,
        row.meter_start,
        read,
        stop=row.stopped_at,
        meter_stop=row.meter_stop,
        rated_power=seen.rated_power,
    )
    tariffs = snapshots.tariffs_of(seen, row.tariff_changes)
    phases = [(datetime.fromisoformat(at), phase) for at, phase in row.phases]
    if seen.parks_by_power and all(phase != metering.PARKING for _, phase in phases):
        phases = metering.parking_by_power(read, course.end)
    segments = [
        *metering.reserved(row.reserved_from, row.started_at),
        *metering.segments(course, phases, tariffs.changes),
    ]
    metered = priced(seen, course, segments, expired=False, tariffs=tariffs.documents)
    longest = timedelta(seconds=policy.period_seconds())
    changes = chargingprofiles.changes_of(row, course.end)
    shown = session_periods.cut(metered.periods, metering.registers(course), course.end, longest, changes)
    return replace(metered, shown=session_dimensions.add(shown, read, course.end))


def priced(
    seen: Snapshot,
    course: metering.Course,
    segments: list[Segment],
    *,
    expired: bool,
    tariffs: Sequence[dict[str, Any]] = (),
) -> Metered:
    """Return what metered segments come to; `expired`: a reservation and no session.

    `tariffs` are those that the segments name, that of the start first; without any it is the only one.
    """
    tariffs = tariffs or [seen.tariff]
    start = segments[0].start if segments else course.start
    try:
        periods = tariff_pricing.split(segments, tariffs, timezone=seen.time_zone, expired=expired)
        price = tariff_pricing.price(
            {
                "currency": seen.currency,
                "start_date_time": _text(start),
                "end_date_time": _text(course.end),
                "charging_periods": periods,
            },
            tariffs,
            timezone=seen.time_zone,
            expired=expired,
        )
    except NotPriceable:
        return Metered(course, [], None)
    return Metered(course, list(periods), price)


def write(session: Session, seen: Snapshot, metered: Metered, *, ended: bool) -> None:
    """Write document and columns of a Session, in the caller's transaction."""
    session.last_updated = max(locations.moment_now(), session.last_updated or locations.moment_now())
    price = metered.priced
    session.document = documents.text(
        plain(
            {
                "country_code": session.country_code,
                "party_id": session.party_id,
                "id": session.object_id,
                "start_date_time": _text(session.start_date_time),
                "end_date_time": _text(metered.course.end) if ended else None,
                "kwh": metered.course.energy,
                "cdr_token": seen.cdr_token,
                "auth_method": seen.auth_method,
                "authorization_reference": seen.authorization_reference or None,
                "location_id": seen.location["id"],
                "evse_uid": seen.evse_uid,
                "connector_id": seen.connector_id,
                "currency": seen.currency,
                "charging_periods": metered.periods if metered.shown is None else metered.shown,
                "total_cost": tariff_pricing.totals(price)["total_cost"] if price else None,
                "status": session.status,
                "last_updated": session.last_updated,
            }
        )
    )
    session.save()


def _text(moment: datetime) -> str:
    return format_datetime(moment.replace(microsecond=0))


# ---------------------------------------------------------------- listed


def fetch(owner: Address, emsps: Sequence[Address], page: Page, reader: Reader) -> lists.Found:
    """Return a page of the Sessions of these eMSPs' drivers."""
    return lists.fetch(outbox_pulled.noted(of_emsps("cpo_session", owner, emsps), reader, SOURCE), page)


def of_emsps(table: str, owner: Address, emsps: Sequence[Address]) -> lists.Listing:
    """Return which rows of a table concern these eMSPs: only these may see them (CDR-15)."""
    return lists.Listing(table, scopes=tuple(f"{'*'.join(owner.key)} {'*'.join(emsp.key)}" for emsp in emsps))
