"""Charging profiles we send to CPOs: set one, ask which is active, clear it; for ourselves or for an SCSP."""

from __future__ import annotations

from dataclasses import dataclass

from emsp.models import ChargingProfileRequest, Session
from emsp.modules import asking
from emsp.modules import chargingprofiles_control as control
from emsp.modules import chargingprofiles_sending as sending
from emsp.modules.chargingprofiles_sending import Kind, Order, Scsp
from ocpi import documents, response_urls, status
from ocpi.headers import Address
from ocpi.snapshot import KnownPlatform
from ocpi.v2_2_1.chargingprofiles import ChargingProfileResponseType as Response

CAPABLE = "CHARGING_PROFILE_CAPABLE"
ONGOING = ("ACTIVE", "PENDING", "RESERVATION")


@dataclass(frozen=True, slots=True)
class Asked:
    """What an SCSP asks of us."""

    kind: ChargingProfileRequest.Kind
    session_id: str
    response_url: str
    platform: KnownPlatform
    sender: Address
    receiver: Address
    correlation_id: str
    profile: str = ""
    duration: int | None = None


def set_profile(*, session: Session, profile: str, asked_by: str = "") -> ChargingProfileRequest:
    """Ask the CPO of a Session to charge by a ChargingProfile (CHP-02): an upper limit, not a target.

    :raises InvalidParameters: if the Session is over, its EVSE is not CHARGING_PROFILE_CAPABLE, the profile breaks its
        table, or somebody else controls the Session (CHP-27).
    :raises ReceiverUnreachable: if no connected platform leads to the CPO.
    """
    _refuse_incapable(session)
    return sending.send(Order(Kind.SET, session, profile=profile, asked_by=asked_by))


def get_active_profile(*, session: Session, duration: int, asked_by: str = "") -> ChargingProfileRequest:
    """Ask the CPO of a Session which profile is active for the next seconds (CHP-01).

    :raises InvalidParameters: if the Session is over, its EVSE is not CHARGING_PROFILE_CAPABLE, or for no duration.
    :raises ReceiverUnreachable: if no connected platform leads to the CPO.
    """
    if duration <= 0:
        raise status.InvalidParameters("duration", "must be a number of seconds above 0")
    _refuse_incapable(session)
    return sending.send(Order(Kind.GET, session, duration=duration, asked_by=asked_by))


def clear_profile(*, session: Session, asked_by: str = "") -> ChargingProfileRequest:
    """Ask the CPO of a Session to forget the profile that was set (CHP-03).

    :raises InvalidParameters: if the Session is over, its EVSE is not CHARGING_PROFILE_CAPABLE, or somebody else
        controls the Session (CHP-27).
    :raises ReceiverUnreachable: if no connected platform leads to the CPO.
    """
    _refuse_incapable(session)
    return sending.send(Order(Kind.CLEAR, session, asked_by=asked_by))


def relay(asked: Asked) -> str:
    """Ask the CPO what an SCSP asks of us, and return the ChargingProfileResponse for the SCSP (CHP-26).

    REJECTED: it has no agreement with us (CHP-13), another controls the Session (CHP-27), or the CPO cannot be reached.

    :raises InvalidParameters: if the response_url cannot be used, or the profile breaks its table.
    """
    response_urls.check(asked.response_url, asked.platform)
    if not control.agreed(asked.platform, asked.sender):
        return _response(Response.REJECTED)
    session = _session(asked)
    if session is None:
        return _response(Response.UNKNOWN_SESSION)
    scsp = Scsp(asked.platform.id, asked.sender, asked.session_id, asked.response_url)
    order = Order(
        asked.kind, session, profile=asked.profile, duration=asked.duration, scsp=scsp,
        correlation_id=asked.correlation_id,
    )  # fmt: skip
    try:
        row = sending.send(order)
    except (control.Controlled, status.ReceiverUnreachable):
        return _response(Response.REJECTED)
    said = row.response if row.response in set(Response) else Response.REJECTED
    return _response(said, row.timeout)


def _session(asked: Asked) -> Session | None:
    """Return the ongoing Session of a driver of ours that an SCSP means: the id is the CPO's (CHP-07).

    Two CPOs may use one id at a time; then it means none of them.
    """
    rows = Session.objects.filter(object_id__iexact=asked.session_id, status__in=ONGOING)
    found = [session for session in rows[:10] if asking.driver_party(session).key == asked.receiver.key]
    return found[0] if len(found) == 1 else None


def _refuse_incapable(session: Session) -> None:
    if session.status not in ONGOING:
        raise status.InvalidParameters("session_id", f"{session.object_id} is {session.status}")
    cpo = Address(session.country_code, session.party_id)
    location_id, evse_uid = (str(documents.get(session.document, name)) for name in ("location_id", "evse_uid"))
    asking.refuse_incapable(cpo, location_id, evse_uid, CAPABLE)


def _response(result: str, timeout: int = 0) -> str:
    return documents.text({"result": str(result), "timeout": timeout})
