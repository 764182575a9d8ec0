"""Send a request about a charging profile: keep it, ask the CPO while we wait, keep its answer; give up in time."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction

from emsp import chargingprofile_states
from emsp.models import ChargingProfileRequest, Session
from emsp.modules import asking
from emsp.modules import chargingprofiles_control as control
from emsp.modules import chargingprofiles_passing as passing
from ocpi import client, clock, documents
from ocpi.headers import Address, Routing, new_id
from ocpi.snapshot import KnownPlatform
from ocpi.v2_2_1 import chargingprofiles as schema

MODULE = "chargingprofiles"
PATH = "emsp/2.2.1/chargingprofiles"
Kind = ChargingProfileRequest.Kind
# Results have no type member: the response_url says which one is due (PIT-70).
RESULTS = {Kind.SET: "ChargingProfileResult", Kind.GET: "ActiveChargingProfileResult", Kind.CLEAR: "ClearProfileResult"}
_METHODS = {Kind.SET: "PUT", Kind.GET: "GET", Kind.CLEAR: "DELETE"}
_POLL_SECONDS = 0.05
_NO_ANSWER = "REJECTED"  # results know no TIMEOUT (CHP-20)


@dataclass(frozen=True, slots=True)
class Scsp:
    """An SCSP that asks, how it spells the Session's id, and where it wants the result."""

    platform_id: int
    party: Address
    session_id: str
    response_url: str


@dataclass(frozen=True, slots=True)
class Order:
    """A request to be sent about the charging profile of a Session."""

    kind: ChargingProfileRequest.Kind
    session: Session
    profile: str = ""  # a ChargingProfile, to be set
    duration: int | None = None  # seconds, to be asked about
    asked_by: str = ""
    scsp: Scsp | None = None
    correlation_id: str = ""


def send(order: Order) -> ChargingProfileRequest:
    """Send a request and return it with its ChargingProfileResponse.

    :raises InvalidParameters: if the profile breaks its table.
    :raises Controlled: if somebody else controls the charging of this Session.
    :raises ReceiverUnreachable: if no connected platform leads to the CPO.
    """
    cpo = Address(order.session.country_code, order.session.party_id)
    platform = asking.platform_to(cpo, MODULE, "RECEIVER")
    key = secrets.token_urlsafe(24)
    response_url = f"{settings.OCPI_BASE_URL}/ocpi/{PATH}/results/{RESULTS[order.kind]}/{key}"
    body, query = None, {"response_url": response_url}
    if order.kind == Kind.SET:
        members = {"charging_profile": documents.raw(order.profile), "response_url": response_url}
        body, query = documents.text(members).encode(), {}
        schema.check(body, "SetChargingProfile")
    elif order.kind == Kind.GET:
        query = {"duration": str(order.duration), **query}
    row = _keep(order, key, platform)
    question = asking.Question(
        platform,
        MODULE,
        _METHODS[order.kind],
        client.join(platform.endpoints[MODULE, "RECEIVER"], order.session.object_id, query=query),
        Routing(to=cpo, sender=asking.driver_party(order.session)),
        row.correlation_id,
        body,
    )
    return _settle(row.pk, asking.ask(question))


def wait(row: ChargingProfileRequest) -> ChargingProfileRequest:
    """Wait until a request has its result or its time is over."""
    limit = row.deadline_at or clock.now()
    while row.state == "ACCEPTED" and clock.now() < limit:
        time.sleep(_POLL_SECONDS)
        row.refresh_from_db()
    if row.state == "ACCEPTED":
        expire(clock.now())
        row.refresh_from_db()
    return row


def expire(now: datetime) -> int:
    """Give up on requests whose time is over, and tell the SCSPs that asked (CHP-20); say how many."""
    lost = ChargingProfileRequest.objects.filter(state="SENT", created_at__lt=now - asking.LOST)
    count = lost.update(
        state=chargingprofile_states.next_state("SENT", "failed"), message=asking.NEVER_READ, answered_at=now
    )
    late = ChargingProfileRequest.objects.filter(state="ACCEPTED", deadline_at__lte=now)
    for pk in list(late.values_list("pk", flat=True)[:500]):
        with transaction.atomic():
            row = locked(pk=pk)
            if row is not None and chargingprofile_states.takes(row.state, "expired"):
                move(row, "expired", result=_NO_ANSWER if row.scsp_platform_id else "")
                passing.result(row)
                count += 1
    return count


def locked(**where: object) -> ChargingProfileRequest | None:
    """Return a request, locked."""
    rows = ChargingProfileRequest.objects.select_for_update(of=("self",)).select_related("session")
    return rows.filter(**where).first()


def move(row: ChargingProfileRequest, event: str, **values: object) -> None:
    """Move a locked request to its next state."""
    row.state = chargingprofile_states.next_state(row.state, event)
    for name, value in values.items():
        setattr(row, name, value)
    row.save(update_fields=["state", *values])


def _keep(order: Order, key: str, platform: KnownPlatform) -> ChargingProfileRequest:
    """Store a request; of two that want to control one Session, one comes first (CHP-27)."""
    scsp = order.scsp
    with transaction.atomic():
        session = Session.objects.select_for_update().get(pk=order.session.pk)
        if order.kind != Kind.GET:
            control.claim(session, scsp.party if scsp else None)
        return ChargingProfileRequest.objects.create(
            key=key,
            kind=order.kind,
            state="SENT",
            session=session,
            platform_id=platform.id,
            profile=order.profile,
            duration=order.duration,
            asked_by=order.asked_by,
            correlation_id=order.correlation_id or new_id(),
            scsp_platform_id=scsp.platform_id if scsp else None,
            scsp_country_code=scsp.party.country_code if scsp else "",
            scsp_party_id=scsp.party.party_id if scsp else "",
            scsp_session_id=scsp.session_id if scsp else "",
            scsp_response_url=scsp.response_url if scsp else "",
        )


def _settle(pk: int, heard: asking.Heard) -> ChargingProfileRequest:
    """Store the answer to a request; its result may have come before, and is passed on only now (CHP-16)."""
    values: dict[str, object] = {"answered_at": clock.now(), "response": heard.response, "timeout": heard.timeout}
    if heard.deadline_at:
        values["deadline_at"] = heard.deadline_at
    with transaction.atomic():
        row = ChargingProfileRequest.objects.select_for_update(of=("self",)).select_related("session").get(pk=pk)
        move(row, heard.event, message=row.message or heard.message, **values)
        if row.state == "DONE":
            passing.result(row)
    return row
