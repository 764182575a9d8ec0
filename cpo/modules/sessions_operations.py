"""Our Sessions: begun, kept up to date from the meter, completed, pushed to the eMSP whose driver charges."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from cpo import metering, recipients, session_states
from cpo.models import MeterReading, Session, Transaction
from cpo.modules import locations_operations as locations
from cpo.modules import tariffs
from cpo.modules.authorization import Verdict
from cpo.modules.locations_operations import Place
from ocpi import documents, lists, outbox, tariff_pricing
from ocpi.headers import Address
from ocpi.pagination import Page
from ocpi.tariff_pricing import NotPriceable, Priced
from ocpi.v2_2_1.sessions import SessionStatus
from ocpi.v2_2_1.types import format_datetime, plain

_MODULE = "sessions"
_CDR_TOKEN = ("country_code", "party_id", "uid", "type", "contract_id")
_RUNNING = ("kwh", "total_cost", "last_updated")
_DEFAULT_CURRENCY = "EUR"
FREE_TARIFF = "FREE"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a CDR says of the start of its session (CDR-18, CDR-19)."""

    location: dict[str, Any]
    evse: dict[str, Any]
    connector: dict[str, Any]
    token: dict[str, Any]
    tariff: dict[str, Any]
    tariff_text: str
    time_zone: str
    auth_method: str
    authorization_reference: str

    @property
    def currency(self) -> str:
        return str(self.tariff["currency"])

    @property
    def owner(self) -> Address:
        return Address(self.location["country_code"], self.location["party_id"])

    @property
    def emsp(self) -> Address:
        return Address(self.token["country_code"], self.token["party_id"])

    @property
    def cdr_token(self) -> dict[str, Any]:
        return {name: self.token[name] for name in _CDR_TOKEN}

    @property
    def rated_power(self) -> Decimal | None:
        """Return the W the connector delivers at most."""
        power = self.connector.get("max_electric_power")
        if power:
            return Decimal(power)
        phases = 3 if self.connector.get("power_type") == "AC_3_PHASE" else 1
        watts = Decimal(self.connector.get("max_voltage", 0)) * Decimal(self.connector.get("max_amperage", 0)) * phases
        return watts or None


@dataclass(frozen=True, slots=True)
class Metered:
    """What a transaction comes to: its course, its ChargingPeriods and their price."""

    course: metering.Course
    periods: list[dict[str, Any]]
    priced: Priced | None


# ---------------------------------------------------------------- from start to end


def snapshot_text(place: Place, verdict: Verdict, at: datetime) -> tuple[str, list[str]]:
    """Return the snapshot of a session that starts now, and what is odd about it."""
    tariff_ids = [str(each) for each in place.connector.get("tariff_ids") or ()]
    chosen = tariffs.chosen(place.owner, tariff_ids, at=at) if tariff_ids else None
    flags = ["no_valid_tariff"] if tariff_ids and chosen is None else []
    tariff = chosen or _free_tariff(place.owner, at)
    connector = locations.connector_text(place.evse.document, str(place.connector["id"]))
    text = documents.text(
        {
            "location": documents.raw(place.location.document),
            "evse": documents.raw(documents.without(place.evse.document, "connectors")),
            "connector": documents.raw(connector or "{}"),
            "tariff": documents.raw(tariff_pricing.dumps(tariff)),
            "token": documents.raw(verdict.token),
            "time_zone": place.location.time_zone,
            "auth_method": verdict.auth_method,
            "authorization_reference": verdict.authorization_reference,
        }
    )
    return text, flags


def read_snapshot(text: str) -> Snapshot:
    """Return a stored snapshot."""
    found = tariff_pricing.loads(text)
    tariff_text = bytes(documents.members(text)["tariff"]).decode()
    return Snapshot(tariff_text=tariff_text, **found)


def begin(row: Transaction) -> Session:
    """Create the Session of an authorised transaction and send it to the eMSP (SES-09), in the caller's transaction."""
    seen = read_snapshot(row.snapshot)
    session = Session(
        country_code=seen.owner.country_code,
        party_id=seen.owner.party_id,
        object_id=str(uuid.uuid4()),  # random, never from a sequence (REL-09)
        token_uid=seen.token["uid"],
        start_date_time=row.started_at,
        status=SessionStatus.ACTIVE,
        emsp_country_code=seen.emsp.country_code,
        emsp_party_id=seen.emsp.party_id,
        location_id=seen.location["id"],
    )
    _write(session, seen, meter(row, seen), row)
    row.session = session
    row.save(update_fields=["session"])
    push(session)
    return session


def note_change(row: Transaction) -> None:
    """Have a running Session brought up to date and sent: at once if that is due, else when it is (OCPP-96)."""
    session = row.session
    if session is None or session.status != SessionStatus.ACTIVE:
        return
    pause = timedelta(seconds=push_seconds())
    now = timezone.now()
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
    seen = read_snapshot(row.snapshot)
    before = len(documents.get(session.document, "charging_periods") or ())
    metered = meter(row, seen)
    _write(session, seen, metered, row)
    # A PATCH adds charging_periods and never replaces one (SES-29, SES-30): with another period the whole is sent.
    push(session, fields=_RUNNING if len(metered.periods) == before and metered.priced else None)


def end(row: Transaction, event: str = "end") -> Metered:
    """Complete (or discard) the Session of a stopped transaction and send it, in the caller's transaction (SES-12)."""
    session = row.session
    if session is None:
        raise ValueError(f"{row} has no session")
    session.status = session_states.next_status(session.status, event)
    seen = read_snapshot(row.snapshot)
    metered = meter(row, seen)
    _write(session, seen, metered, row)
    push(session)
    return metered


def push(session: Session, fields: Sequence[str] | None = None) -> None:
    """Have a Session sent to the eMSP of its Token, and to nobody else (SES-10)."""
    owner = Address(session.country_code, session.party_id)
    now = timezone.now()
    Session.objects.filter(pk=session.pk).update(pushed_at=now, push_due_at=None)
    session.pushed_at, session.push_due_at = now, None
    outbox.mark(
        recipients.party(Address(session.emsp_country_code, session.emsp_party_id), _MODULE, owner),
        module=_MODULE,
        source="cpo.Session",
        source_id=session.pk,
        path=recipients.path(owner, session.object_id),
        order_key=recipients.order_key(owner, session.location_id),
        fields=fields,
    )


def push_due() -> int:
    """Send the running Sessions whose pause is over; return how many."""
    due = list(Session.objects.filter(push_due_at__lte=timezone.now()).order_by("push_due_at").values_list("pk")[:500])
    for (pk,) in due:
        with transaction.atomic():
            row = (
                Transaction.objects.select_for_update(of=("self",), skip_locked=True)
                .select_related("session")
                .filter(session_id=pk)
                .first()
            )
            if row is not None and row.session is not None:
                if row.session.status == SessionStatus.ACTIVE:
                    update(row)
                else:
                    Session.objects.filter(pk=pk).update(push_due_at=None)
    return len(due)


def push_seconds() -> float:
    """Return the least seconds between two pushes of a running Session."""
    return float(getattr(settings, "OCPI_SESSION_PUSH_SECONDS", 60))


# ---------------------------------------------------------------- what it comes to


def meter(row: Transaction, seen: Snapshot) -> Metered:
    """Return what a transaction comes to so far, or in all once it has stopped."""
    readings = [
        metering.Reading(at, register, power, current)
        for at, register, power, current in MeterReading.objects.filter(transaction=row, flag="")
        .order_by("at", "id")
        .values_list("at", "register_wh", "power_w", "current_a")
    ]
    course = metering.course(
        row.started_at,
        row.meter_start,
        readings,
        stop=row.stopped_at,
        meter_stop=row.meter_stop,
        rated_power=seen.rated_power,
    )
    phases = [(datetime.fromisoformat(at), phase) for at, phase in row.phases]
    try:
        periods = tariff_pricing.split(metering.segments(course, phases), [seen.tariff], timezone=seen.time_zone)
        priced = tariff_pricing.price(
            {
                "currency": seen.currency,
                "start_date_time": _text(row.started_at),
                "end_date_time": _text(course.end),
                "charging_periods": periods,
            },
            [seen.tariff],
            timezone=seen.time_zone,
        )
    except NotPriceable:
        return Metered(course, [], None)
    return Metered(course, list(periods), priced)


def _write(session: Session, seen: Snapshot, metered: Metered, row: Transaction) -> None:
    """Write document and columns of a Session."""
    session.last_updated = max(locations.moment_now(), session.last_updated or locations.moment_now())
    priced = metered.priced
    session.document = documents.text(
        plain(
            {
                "country_code": session.country_code,
                "party_id": session.party_id,
                "id": session.object_id,
                "start_date_time": _text(session.start_date_time),
                "end_date_time": _text(metered.course.end) if row.stopped_at else None,
                "kwh": metered.course.energy,
                "cdr_token": seen.cdr_token,
                "auth_method": seen.auth_method,
                "authorization_reference": seen.authorization_reference or None,
                "location_id": seen.location["id"],
                "evse_uid": seen.evse["uid"],
                "connector_id": seen.connector["id"],
                "currency": seen.currency,
                "charging_periods": metered.periods,
                "total_cost": tariff_pricing.totals(priced)["total_cost"] if priced else None,
                "status": session.status,
                "last_updated": session.last_updated,
            }
        )
    )
    session.save()


def _text(moment: datetime) -> str:
    return format_datetime(moment.replace(microsecond=0))


def _free_tariff(owner: Address, at: datetime) -> dict[str, Any]:
    """Return the Free of Charge tariff of a Connector without any (PRI-101)."""
    return {
        "country_code": owner.country_code,
        "party_id": owner.party_id,
        "id": FREE_TARIFF,
        "currency": _DEFAULT_CURRENCY,
        "elements": [{"price_components": [{"type": "FLAT", "price": Decimal("0.00"), "step_size": 0}]}],
        "last_updated": _text(at),
    }


# ---------------------------------------------------------------- listed


def fetch(owner: Address, emsps: Sequence[Address], page: Page) -> lists.Found:
    """Return a page of the Sessions of these eMSPs' drivers."""
    return lists.fetch(of_emsps("cpo_session", owner, emsps), page)


def of_emsps(table: str, owner: Address, emsps: Sequence[Address]) -> lists.Listing:
    """Return which rows of a table concern these eMSPs: only these may see them (CDR-15)."""
    either = " OR ".join(["(UPPER(o.emsp_country_code) = %s AND UPPER(o.emsp_party_id) = %s)"] * len(emsps)) or "FALSE"
    return lists.Listing(
        table=table,
        where=f"UPPER(o.country_code) = %s AND UPPER(o.party_id) = %s AND ({either})",
        parameters=(*owner.key, *(part for emsp in emsps for part in emsp.key)),
        count_scope=f"{'*'.join(owner.key)} {'*'.join(emsps[0].key)}" if len(emsps) == 1 else None,
    )
