"""Charging preferences of a running session: answered at once, then priced and limited accordingly (SES-35 … SES-42).

What is accepted acts: the Tariff of the ProfileType applies from then on, and the charge point gets the limit that
follows, one stack level below a profile that a partner sets itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from cpo import charging_preferences, policy
from cpo.active_profiles import TX
from cpo.charging_preferences import Needs
from cpo.charging_schedules import NotPossible, Schedule
from cpo.chargingprofile_states import ASKED, INSTALLED
from cpo.models import EVSE, ChargePointProfile, ChargingPreferences, Session, Transaction
from cpo.modules import chargingprofiles_active as active
from cpo.modules import chargingprofiles_installed as installed
from cpo.modules import locations_operations as locations
from cpo.modules import sessions_operations as sessions
from cpo.modules import snapshots, tariffs
from cpo.modules.chargingprofiles_installed import Origin, Wanted
from cpo.modules.snapshots import Snapshot
from cpo.ocpp import calls
from ocpi import documents, keeping, status, tariff_pricing
from ocpi.headers import Address
from ocpi.v2_2_1 import sessions as schema
from ocpi.v2_2_1.sessions import ChargingPreferencesResponse as Response
from ocpi.v2_2_1.sessions import ProfileType, SessionStatus

_RUNNING = frozenset({SessionStatus.ACTIVE, SessionStatus.PENDING, SessionStatus.RESERVATION})
_MOST_ENERGY = 1_000_000  # kWh
# A charge point whose transactions begin that far from when we hear of them has a clock of its own.
_OTHER_CLOCK = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Asked:
    """Preferences as they arrived."""

    session_id: str
    sender: Address  # the eMSP
    receiver: Address  # which of our parties
    wanted: schema.ChargingPreferences
    body: bytes


class _NotPossible(Exception):
    """The charge point cannot be told now."""


def accept(asked: Asked) -> Response:
    """Answer preferences; those that are ACCEPTED hold from now on and replace earlier ones (SES-41).

    :raises UnknownObject: if the session is not known, or is another eMSP's (SES-37).
    :raises NotCapable: if its EVSE knows no preferences (SES-36, PIT-30).
    :raises InvalidParameters: if no battery could need so much.
    """
    session = keeping.find(Session, owner=asked.receiver, object_id=asked.session_id)
    if session is None or Address(session.emsp_country_code, session.emsp_party_id).key != asked.sender.key:
        raise status.UnknownObject
    if not _capable(session):
        raise status.NotCapable("The EVSE of this session does not take charging preferences")
    if asked.wanted.energy_need is not None and asked.wanted.energy_need > _MOST_ENERGY:
        raise status.InvalidParameters("energy_need", f"must be at most {_MOST_ENERGY} kWh")
    try:
        with transaction.atomic():
            return _decide(asked, session)
    except _NotPossible:
        return Response.NOT_POSSIBLE


def note_default(row: Transaction) -> None:
    """Note that a session has begun with the ProfileType of its Token, if it has (TOK-41)."""
    seen = snapshots.read(row.snapshot)
    wanted = seen.token.get("default_profile_type")
    if row.session is not None and wanted and seen.tariff.get("type") == f"PROFILE_{wanted}":
        ChargingPreferences.objects.create(session=row.session, profile_type=wanted)


# ---------------------------------------------------------------- the steps


def _capable(session: Session) -> bool:
    rows = EVSE.objects.filter(
        location__object_id__iexact=session.location_id,
        location__country_code__iexact=session.country_code,
        location__party_id__iexact=session.party_id,
        uid__iexact=str(documents.get(session.document, "evse_uid")),
    )
    evse = rows.first()
    return evse is not None and snapshots.PREFERENCES_CAPABLE in locations.capabilities(evse)


def _decide(asked: Asked, session: Session) -> Response:
    row = (
        Transaction.objects.select_for_update(of=("self",))
        .select_related("charge_point", "session")
        .filter(session=session, stopped_at=None)
        .first()
    )
    if row is None or row.session is None or row.session.status not in _RUNNING:
        return Response.NOT_POSSIBLE
    now = timezone.now().replace(microsecond=0)
    seen = snapshots.read(row.snapshot)
    needs = Needs(asked.wanted.profile_type, asked.wanted.departure_time, asked.wanted.energy_need)
    from_when = _from_when(row, now)
    offered = _offered(seen, from_when)
    electrics = active.electrics_at(row.charge_point, row.connector_id, row)
    answer = charging_preferences.decide(needs, offered.keys(), electrics, now)
    if answer is Response.ACCEPTED:
        _limit(row, charging_preferences.limit(needs, electrics, now), by=str(asked.sender))
        _keep(row.session, asked)
        _switch(row, seen, offered[needs.profile_type], from_when)
        sessions.update(row)
    return answer


def _offered(seen: Snapshot, at: datetime) -> dict[ProfileType, str]:
    """Return the ProfileTypes at the Connector with the text of their Tariffs: each has one of its own (SES-39)."""
    ids = [str(each) for each in seen.connector.get("tariff_ids") or ()]
    preferred = str(seen.tariff.get("type") or "").startswith("PROFILE_")
    found = {} if preferred else {ProfileType.REGULAR: seen.tariff_text}
    for kind in ProfileType:
        tariff = tariffs.chosen(seen.owner, ids, at=at, preference=kind.value) if ids else None
        typed = "REGULAR" if kind is ProfileType.REGULAR else f"PROFILE_{kind}"
        if tariff is not None and (tariff.get("type") or "REGULAR", tariff["currency"]) == (typed, seen.currency):
            found[kind] = tariff_pricing.dumps(tariff)
    return found


def _switch(row: Transaction, seen: Snapshot, text: str, at: datetime) -> None:
    """Have another Tariff apply from now on, if it is another one (SES-42, TAR-39)."""
    known = snapshots.tariffs_of(seen, row.tariff_changes)
    tariff_id = str(tariff_pricing.loads(text)["id"])
    if tariff_id.upper() == known.current.upper():
        return
    # One that applied before comes back as it was then: `tariffs_of` keeps one document of each id.
    row.tariff_changes = [*row.tariff_changes, [at.isoformat(), text]]
    row.save(update_fields=["tariff_changes"])


def _from_when(row: Transaction, now: datetime) -> datetime:
    """Return now, as the charge point's clock has it; not before what has been decided already."""
    own = row.last_at or row.started_at
    other = abs(row.created_at - row.started_at) > _OTHER_CLOCK < abs(now - own)
    earlier = [datetime.fromisoformat(at) for at, _ in row.tariff_changes]
    return max([own if other else now, row.started_at, *earlier]).replace(microsecond=0)


def _keep(session: Session, asked: Asked) -> None:
    ChargingPreferences.objects.update_or_create(
        session=session,
        defaults={
            "profile_type": asked.wanted.profile_type.value,
            "departure_time": asked.wanted.departure_time,
            "energy_need": asked.wanted.energy_need,
            "discharge_allowed": bool(asked.wanted.discharge_allowed),  # SES-40
            "document": asked.body.decode(),
            "accepted_at": timezone.now(),
        },
    )


def _limit(row: Transaction, schedule: Schedule | None, *, by: str) -> None:
    """Give the charge point the new limit, or take the old one away.

    :raises _NotPossible: if it cannot be asked.
    """
    own = ChargePointProfile.objects.select_for_update(of=("self",)).select_related("charge_point")
    older = list(own.filter(transaction=row, origin=Origin.PREFERENCES, state__in=(ASKED, INSTALLED)).order_by("pk"))
    if schedule is None and not older:
        return
    if not row.charge_point.online:
        raise _NotPossible
    level = max(policy.profile_stack_level() - 1, 0)
    asked_by = f"charging preferences of {by}"
    try:
        if schedule is None:
            for profile in older:
                _take_away(profile, asked_by)
        elif not _partner_holds(row, level):
            installed.put(Wanted(row.charge_point, row.connector_id, TX, Origin.PREFERENCES, level, schedule,
                                 asked_by, row))  # fmt: skip
    except (NotPossible, calls.NotAsked) as error:
        raise _NotPossible from error


def _take_away(profile: ChargePointProfile, asked_by: str) -> None:
    if profile.state == INSTALLED:
        installed.clear(profile, asked_by=asked_by)
    else:
        installed.give_up(profile)


def _partner_holds(row: Transaction, level: int) -> bool:
    """Say whether a partner's own profile is all that the charge point can hold: it comes first (CHP-27)."""
    partner = installed.of_partner(row)
    return partner is not None and partner.stack_level <= level
