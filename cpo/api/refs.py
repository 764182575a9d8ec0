"""Our records by the names we give them to callers, and the wire ids that they stand for in a payload (OCPP-115)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cpo.api import base
from cpo.api.errors import Invalid, UnknownRef
from cpo.gateway import operations, outgoing
from cpo.models import ChargePoint, ChargingProfileTemplate, Reservation, Transaction
from cpo.modules import charging_profile_templates as templates
from cpo.modules import reservations_local

TRANSACTION, RESERVATION, TEMPLATE, REPORT, TAG = "tx", "res", "tpl", "rep", "tag"
_PROFILE_FIELDS = {
    "SetChargingProfile": {"1.6": "csChargingProfiles"},
    "RemoteStartTransaction": {"1.6": "chargingProfile"},
    "RequestStartTransaction": {},
}
_NO_CONNECTOR = 2**31  # a number from here on is none that could be stored
Payload = dict[str, Any]


def write(kind: str, pk: int) -> str:
    return f"{kind}-{pk}"


def read(kind: str, text: str) -> int:
    """Return the key of a record; 0, which none has, if it is no such name."""
    given, _, number = text.partition("-")
    good = given == kind and number.isascii() and number.isdigit() and len(number) < 19
    return int(number) if good else 0


def fill(charge_point: ChargePoint, version: str, action: str, given: Payload, refs: Mapping[str, str]) -> Payload:
    """Return a payload with the wire ids of what the caller named, and with new ids where it left them out.

    :raises UnknownRef: if a ref names no record of this charge point.
    :raises Invalid: if the action has no place for it.
    """
    payload = dict(given)
    transaction = _transaction(charge_point, refs["transaction"]) if "transaction" in refs else None
    if "charging_profile" in refs:
        _put_profile(charge_point, version, action, payload, refs["charging_profile"], transaction)
    if transaction is not None:
        _put_transaction(version, action, payload, transaction)
    if "reservation" in refs:
        _put_reservation(charge_point, action, payload, refs["reservation"])
    field = outgoing.request_id_field(version, action)
    if field is not None and field not in payload:
        payload[field] = operations.next_request_id()
    return payload


def reserve(charge_point: ChargePoint, version: str, payload: Payload) -> Reservation:
    """Enter the reservation of a ReserveNow that names none, and put its number in; the payload is checked later.

    :raises Invalid: if there is nothing to enter.
    """
    at, tag = ("expiryDate", payload.get("idTag")) if version == "1.6" else ("expiryDateTime", payload.get("idToken"))
    text = tag.get("idToken") if isinstance(tag, dict) else tag
    until = payload.get(at)
    if not isinstance(text, str) or not 0 < len(text) <= 36 or "\x00" in text:
        name = "payload.idTag" if version == "1.6" else "payload.idToken"
        raise Invalid(f"{name}: must be there, with 1 to 36 characters", field=name, rule="required")
    if not isinstance(until, str):
        raise Invalid(f"payload.{at}: must be there", field=f"payload.{at}", rule="required")
    expires_at: datetime = base.moment(until, f"payload.{at}")
    connector = payload.get("connectorId" if version == "1.6" else "evseId", 0)
    row = reservations_local.make(
        charge_point,
        connector=connector if isinstance(connector, int) and 0 <= connector < _NO_CONNECTOR else 0,
        id_tag=text,
        expires_at=expires_at,
    )
    payload["reservationId" if version == "1.6" else "id"] = row.number
    return row


def _transaction(charge_point: ChargePoint, text: str) -> Transaction:
    row = Transaction.objects.filter(pk=read(TRANSACTION, text), charge_point=charge_point).first()
    if row is None:
        raise UnknownRef(f"there is no transaction {text} at this charge point", field="refs.transaction")
    return row


def wire_id(row: Transaction) -> int | str:
    """Return what the charge point calls a transaction: a number of ours in 1.6, a text of its own in 2.0.1."""
    return row.ocpp_id or row.transaction_id


def _put_transaction(version: str, action: str, payload: Payload, row: Transaction) -> None:
    number = wire_id(row)
    profile = payload.get(_profile_field(version, action) or "")
    if action in ("SetChargingProfile", "RemoteStartTransaction", "RequestStartTransaction"):
        if not isinstance(profile, dict):
            raise Invalid("refs.transaction: there is no charging profile", field="refs.transaction", rule="place")
        profile.setdefault("transactionId", number)
    elif action == "SetDisplayMessage" and isinstance(payload.get("message"), dict):
        payload["message"] = {**payload["message"], "transactionId": number}
    elif action in ("RemoteStopTransaction", "RequestStopTransaction", "GetTransactionStatus", "CostUpdated"):
        payload["transactionId"] = number
    else:
        raise Invalid(f"refs.transaction: {action} names no transaction", field="refs.transaction", rule="place")


def _put_reservation(charge_point: ChargePoint, action: str, payload: Payload, text: str) -> None:
    row = Reservation.objects.filter(pk=read(RESERVATION, text), charge_point=charge_point).first()
    if row is None:
        raise UnknownRef(f"there is no reservation {text} at this charge point", field="refs.reservation")
    if action == "CancelReservation":
        payload["reservationId"] = row.number
    elif action == "ReserveNow":
        payload["reservationId" if "idTag" in payload else "id"] = row.number
    else:
        raise Invalid(f"refs.reservation: {action} names no reservation", field="refs.reservation", rule="place")


def _profile_field(version: str, action: str) -> str | None:
    fields = _PROFILE_FIELDS.get(action)
    return None if fields is None else fields.get(version, "chargingProfile")


def _put_profile(
    charge_point: ChargePoint, version: str, action: str, payload: Payload, text: str, transaction: Transaction | None
) -> None:
    row = ChargingProfileTemplate.objects.filter(
        pk=read(TEMPLATE, text),
        country_code__iexact=charge_point.country_code,
        party_id__iexact=charge_point.party_id,
    ).first()
    if row is None:
        raise UnknownRef(f"there is no charging profile template {text}", field="refs.charging_profile")
    if action == "ClearChargingProfile":
        number = templates.last_id(charge_point.pk, text)
        if number is None:
            raise UnknownRef(f"{text} was never sent to this charge point", field="refs.charging_profile")
        payload["id" if version == "1.6" else "chargingProfileId"] = number
        return
    field = _profile_field(version, action)
    if field is None:
        raise Invalid(f"refs.charging_profile: {action} has none", field="refs.charging_profile", rule="place")
    written = templates.profile(row, version, transaction_id=None if transaction is None else wire_id(transaction))
    own = payload.get(field)
    payload[field] = {**written, **own} if isinstance(own, dict) else written
