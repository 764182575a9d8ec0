"""Ids that are not known here: a slip of the caller, unless it insists to see what the charge point says (OCPP-82)."""

from __future__ import annotations

from typing import Any

import msgspec

from cpo.api.errors import UnknownPlace
from cpo.gateway import frames
from cpo.models import EVSE, ChargePoint, ChargePointConnector, ChargePointProfile, Operation, Reservation

_SENT_PROFILES = ("SetChargingProfile", "RemoteStartTransaction", "RequestStartTransaction")
_LOOKED_AT = 500
_INSIST = 'send it with "force": true to see what the charge point says'


def check(charge_point: ChargePoint, version: str, action: str, payload: dict[str, Any]) -> None:
    """Go on if everything that a payload names is known.

    :raises UnknownPlace: naming the field.
    """
    if version == "1.6":
        _check_connector(charge_point, payload.get("connectorId"))
    else:
        evse = payload.get("evse")
        _check_evse(charge_point, "evseId", payload.get("evseId"))
        _check_evse(charge_point, "evse.id", evse.get("id") if isinstance(evse, dict) else None)
    if action == "CancelReservation":
        _check_reservation(charge_point, payload.get("reservationId"))
    if action == "ClearChargingProfile":
        _check_profile(charge_point, "id" if version == "1.6" else "chargingProfileId", payload)


def _check_connector(charge_point: ChargePoint, number: object) -> None:
    if not isinstance(number, int) or number <= 0:
        return  # 0 is the whole charge point; what is no number is the schema's business
    here = EVSE.objects.filter(charge_point=charge_point, connector_id__isnull=False)
    told = ChargePointConnector.objects.filter(charge_point=charge_point, connector_id__gt=0)
    found = {*here.values_list("connector_id", flat=True), *told.values_list("connector_id", flat=True)}
    if found and number not in found:
        raise UnknownPlace(f"there is no connector {number} here; {_INSIST}", field="payload.connectorId")


def _check_evse(charge_point: ChargePoint, field: str, number: object) -> None:
    if not isinstance(number, int) or number <= 0:
        return
    numbers = EVSE.objects.filter(charge_point=charge_point).values_list("connector_id", "hardware")
    told = ChargePointConnector.objects.filter(charge_point=charge_point, connector_id__gt=0)
    found = {each for pair in numbers for each in pair if each} | set(told.values_list("connector_id", flat=True))
    if found and number not in found:
        raise UnknownPlace(f"there is no EVSE {number} here; {_INSIST}", field=f"payload.{field}")


def _check_reservation(charge_point: ChargePoint, number: object) -> None:
    if not isinstance(number, int):
        return
    if not Reservation.objects.filter(charge_point=charge_point, number=number).exists():
        raise UnknownPlace(f"there is no reservation {number} here; {_INSIST}", field="payload.reservationId")


def _check_profile(charge_point: ChargePoint, field: str, payload: dict[str, Any]) -> None:
    number = payload.get(field)
    if not isinstance(number, int):
        return
    if ChargePointProfile.objects.filter(pk=number, charge_point=charge_point).exists():
        return
    sent = Operation.objects.filter(charge_point=charge_point, action__in=_SENT_PROFILES).order_by("-created_at")
    for text in sent.values_list("payload", flat=True)[:_LOOKED_AT]:
        found = _profile_of(text)
        if number in (found.get("chargingProfileId"), found.get("id")):
            return
    raise UnknownPlace(f"there is no charging profile {number} here; {_INSIST}", field=f"payload.{field}")


def _profile_of(text: str) -> dict[str, Any]:
    try:
        found = frames.read_payload(text)
    except msgspec.DecodeError:
        return {}
    profile = found.get("csChargingProfiles") or found.get("chargingProfile") or {}
    return profile if isinstance(profile, dict) else {}
