"""What becomes of a request for a charging profile: the answer at once, by table M-9, and what there is to ask."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from django.db.models import Q

from cpo import chargingprofile_states as states
from cpo import policy
from cpo.models import ChargingProfileRequest, Session, SmartCharging, Transaction
from cpo.modules import locations_operations as locations
from ocpi import clock, documents, status
from ocpi.headers import Address
from ocpi.snapshot import KnownPlatform
from ocpi.v2_2_1.chargingprofiles import ChargingProfile
from ocpi.v2_2_1.chargingprofiles import ChargingProfileResponseType as Response
from ocpi.v2_2_1.sessions import SessionStatus

CAPABILITY = "CHARGING_PROFILE_CAPABLE"
_RUNNING = frozenset({SessionStatus.ACTIVE, SessionStatus.PENDING, SessionStatus.RESERVATION})
_LONGEST = 2**31 - 1
_MOST_DIGITS = 12


class Method(StrEnum):
    PUT = "PUT"
    GET = "GET"
    DELETE = "DELETE"


CHANGES = (Method.PUT, Method.DELETE)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it arrived, checked."""

    method: Method
    session_id: str
    response_url: str
    platform: KnownPlatform
    sender: Address
    receiver: Address  # which of our parties
    correlation_id: str
    body: bytes = b""
    profile: ChargingProfile | None = None  # of a PUT
    duration: int = 0  # of a GET, seconds


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of a request."""

    response: Response
    transaction: Transaction | None = None


def decide(asked: Asked, session: Session | None) -> Plan:
    """Return the answer at once: whether the request can go to the charge point, not what comes of it (CHP-11)."""
    if session is None or session.status not in _RUNNING:
        return Plan(Response.UNKNOWN_SESSION)  # CHP-14
    if Address(session.emsp_country_code, session.emsp_party_id).key != asked.sender.key:
        return Plan(Response.REJECTED)  # CHP-13, OCPP-93
    row = Transaction.objects.select_related("charge_point").filter(session=session, stopped_at=None).first()
    if row is None:
        # Stopped and held, or not begun: there is nothing that a TxProfile could be for.
        active = session.status == SessionStatus.ACTIVE
        return Plan(Response.UNKNOWN_SESSION if active else Response.REJECTED)
    if not _capable(row):
        return Plan(Response.NOT_SUPPORTED)  # CHP-15
    if not row.charge_point.online or row.charge_point.boot_status != "Accepted":
        return Plan(Response.REJECTED)
    if asked.method in CHANGES and _too_soon(session):
        return Plan(Response.TOO_OFTEN)  # CHP-12
    return Plan(Response.ACCEPTED, row)


def seconds(text: str | None) -> int:
    """Return the duration of a GET.

    :raises InvalidParameters: if it is missing or no number of seconds (CHP-09).
    """
    if not text:
        raise status.InvalidParameters("duration", "is required")
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS) or not 0 < int(text) <= _LONGEST:
        raise status.InvalidParameters("duration", "must be a whole number of seconds, at least 1")
    return int(text)


def response_text(response: Response, timeout: int) -> str:
    """Return a ChargingProfileResponse (CHP-10)."""
    return documents.text({"result": response.value, "timeout": timeout})


def _capable(row: Transaction) -> bool:
    place = locations.place_of(row.charge_point_id, row.connector_id)
    if place is None or CAPABILITY not in locations.capabilities(place.evse):
        return False
    return not SmartCharging.objects.filter(charge_point_id=row.charge_point_id, supported=False).exists()


def _too_soon(session: Session) -> bool:
    since = clock.now() - timedelta(seconds=policy.profile_change_seconds())
    changes = ChargingProfileRequest.objects.filter(session=session, method__in=CHANGES).exclude(state=states.REFUSED)
    return changes.filter(Q(created_at__gt=since) | Q(state=states.IN_PROGRESS)).exists()
