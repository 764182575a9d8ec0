"""Charging profiles kept under a description, to be sent to any charge point of any version (OCPP-121).

A template's numbers are sent unchanged: `16.0` stays `16.0`, and what a schema refuses is refused, not rounded.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from django.db import connection

from cpo.models import ChargingProfileTemplate, Operation

_numbers = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")
_MAX_OF_16, _MAX_OF_201 = "ChargePointMaxProfile", "ChargingStationMaxProfile"


def read(row: ChargingProfileTemplate) -> dict[str, Any]:
    """Return what a template says, its decimals as they were written."""
    found: dict[str, Any] = _numbers.decode(row.document)
    return found


def text_of(members: dict[str, Any]) -> str:
    return _encoder.encode(members).decode()


def next_profile_id() -> int:
    """Return an id that no charging profile of ours has at any charge point (OCPP-89)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('cpo_chargepointprofile', 'id'))")
        return int(cursor.fetchone()[0])


def last_id(charge_point_id: int, handle: str) -> int | None:
    """Return the id under which a template was sent to a charge point last; nothing if it never was."""
    sent = Operation.objects.filter(charge_point_id=charge_point_id, refs__charging_profile=handle)
    for payload in sent.order_by("-created_at").values_list("payload", flat=True)[:50]:
        found = msgspec.json.decode(payload)
        profile = found.get("csChargingProfiles") or found.get("chargingProfile") or {}
        number = profile.get("chargingProfileId", profile.get("id"))
        if isinstance(number, int):
            return number
    return None


def profile(row: ChargingProfileTemplate, version: str, *, transaction_id: int | str | None) -> dict[str, Any]:
    """Return the charging profile as the version writes it, under a new id."""
    said = read(row)
    number = next_profile_id()
    schedule = _present(
        duration=said.get("duration"),
        startSchedule=said.get("start_schedule"),
        chargingRateUnit=said["unit"],
        minChargingRate=said.get("min_charging_rate"),
        chargingSchedulePeriod=[
            _present(
                startPeriod=period["start_period"], limit=period["limit"], numberPhases=period.get("number_phases")
            )
            for period in said["periods"]
        ],
    )
    of_16 = version == "1.6"
    purpose = said["purpose"]
    if purpose in (_MAX_OF_16, _MAX_OF_201):
        purpose = _MAX_OF_16 if of_16 else _MAX_OF_201
    return _present(
        **{"chargingProfileId" if of_16 else "id": number},
        transactionId=transaction_id if purpose == "TxProfile" else None,
        stackLevel=said["stack_level"],
        chargingProfilePurpose=purpose,
        chargingProfileKind=said["kind"],
        recurrencyKind=said.get("recurrency_kind"),
        validFrom=said.get("valid_from"),
        validTo=said.get("valid_to"),
        chargingSchedule=schedule if of_16 else [{"id": number, **schedule}],
    )


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
