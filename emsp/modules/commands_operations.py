"""Commands we send to CPOs: start and stop a Session, reserve, cancel a reservation, unlock a Connector."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.utils import timezone

from emsp import recipients
from emsp.models import Command, Session, Token
from emsp.modules import asking, commands_sending, reservations, tokens_operations
from emsp.modules.commands_sending import Order
from ocpi import documents, keeping, status
from ocpi.headers import Address
from ocpi.v2_2_1.types import format_datetime

_CONNECTOR_REQUIRED = "START_SESSION_CONNECTOR_REQUIRED"


def start_session(
    *, to: Address, token: Token, location_id: str, evse_uid: str = "", connector_id: str = ""
) -> Command:
    """Ask a CPO to start charging for one of our drivers.

    :raises InvalidParameters: if the Token may not charge (CMD-24: it is authorized before the command), if the
        command would break its table, or if the EVSE needs a Connector to be named (CMD-33).
    :raises ReceiverUnreachable: if no connected platform leads to that CPO.
    """
    owner = _authorized(token)
    evse = asking.evse_at(to, location_id, evse_uid) if evse_uid and not connector_id else None
    if evse is not None and asking.capable(evse, _CONNECTOR_REQUIRED):
        raise status.InvalidParameters("connector_id", f"is required at EVSE {evse.uid}")
    reference = str(uuid.uuid4())
    body = {
        "token": documents.raw(token.document),
        "location_id": location_id,
        "evse_uid": evse_uid,
        "connector_id": connector_id,
        "authorization_reference": reference,
    }
    return commands_sending.send(
        Order("START_SESSION", body, to, owner, token=token, authorization_reference=reference)
    )


def stop_session(*, to: Address, session_id: str) -> Command:
    """Ask a CPO to end a Session of one of our drivers.

    :raises ReceiverUnreachable: if no connected platform leads to that CPO.
    """
    session = keeping.find(Session, owner=to, object_id=session_id)
    sender = asking.driver_party(session) if session is not None else recipients.our_party()
    order = Order("STOP_SESSION", {"session_id": session_id}, to, sender, session_id=session_id)
    return commands_sending.send(order)


def reserve_now(
    *, to: Address, token: Token, location_id: str, expiry_date: datetime, evse_uid: str = "", reservation_id: str = ""
) -> Command:
    """Ask a CPO to hold a place for one of our drivers until a moment; a known `reservation_id` replaces that one.

    :raises InvalidParameters: if the Token may not charge (CMD-24), the moment is past (CMD-40), the EVSE is not
        RESERVABLE, or the command would break its table.
    :raises ReceiverUnreachable: if no connected platform leads to that CPO.
    """
    owner = _authorized(token)
    if expiry_date <= timezone.now():
        raise status.InvalidParameters("expiry_date", "must be in the future")
    asking.refuse_incapable(to, location_id, evse_uid, "RESERVABLE")
    reservation_id, reference = reservation_id or str(uuid.uuid4()), str(uuid.uuid4())
    body = {
        "token": documents.raw(token.document),
        "expiry_date": format_datetime(expiry_date),
        "reservation_id": reservation_id,
        "location_id": location_id,
        "evse_uid": evse_uid,
        "authorization_reference": reference,
    }
    # Whatever could be refused here is, before anything is kept.
    asking.platform_to(to, "commands", "RECEIVER")
    commands_sending.check(Order(reservations.RESERVE_NOW, body, to, owner))
    reservation = reservations.request(
        cpo=to, sender=owner, token=token, reservation_id=reservation_id, location_id=location_id, evse_uid=evse_uid,
        expiry_date=expiry_date,
    )  # fmt: skip
    order = Order(
        reservations.RESERVE_NOW, body, to, owner, token=token, reservation=reservation,
        authorization_reference=reference,
    )  # fmt: skip
    return commands_sending.send(order)


def cancel_reservation(*, to: Address, reservation_id: str) -> Command:
    """Ask a CPO to give a reservation up, as the party that had asked for it.

    :raises UnknownObject: if we have no such reservation: nobody cancels another's (CMD-39).
    :raises ReceiverUnreachable: if no connected platform leads to that CPO.
    """
    row = reservations.find(cpo=to, reservation_id=reservation_id)
    sender = Address(row.emsp_country_code, row.emsp_party_id)
    body = {"reservation_id": row.reservation_id}
    return commands_sending.send(Order(reservations.CANCEL_RESERVATION, body, to, sender, reservation=row))


def unlock_connector(*, to: Address, location_id: str, evse_uid: str, connector_id: str, asked_by: str) -> Command:
    """Ask a CPO to unlock a Connector. Only an operator does that, never a driver (CMD-42): `asked_by` says who.

    :raises InvalidParameters: if nobody is named, the EVSE is not UNLOCK_CAPABLE, or the command would break its table.
    :raises ReceiverUnreachable: if no connected platform leads to that CPO.
    """
    if not asked_by:
        raise status.InvalidParameters("asked_by", "an operator has to ask for it")
    asking.refuse_incapable(to, location_id, evse_uid, "UNLOCK_CAPABLE")
    body = {"location_id": location_id, "evse_uid": evse_uid, "connector_id": connector_id}
    order = Order("UNLOCK_CONNECTOR", body, to, recipients.our_party(), asked_by=asked_by)
    return commands_sending.send(order)


def _authorized(token: Token) -> Address:
    """Return the party of a Token that may charge.

    :raises InvalidParameters: if it may not, or is not ours (CMD-24, LOC-40).
    """
    owner = Address(token.country_code, token.party_id)
    if not tokens_operations.is_ours(owner):
        raise status.InvalidParameters("token", f"{token.uid} is not of one of our parties")
    if not token.valid:
        raise status.InvalidParameters("token", f"{token.uid} is blocked")
    return owner
