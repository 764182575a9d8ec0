"""What a charge point says it can do, and the capabilities its EVSEs get or lose by it (M-12).

It is read off every answer that tells it, whoever has asked: GetConfiguration of OCPP 1.6, GetVariables and reports of
2.0.1. What three refusals have taken away stays away until another firmware boots (`features`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction

from cpo.models import EVSE, ChargePoint, ChargePointAbilities, InboxMessage, MissingFeature, Operation
from cpo.modules import features
from cpo.modules import locations_operations as locations
from cpo.ocpp import calls, v201_write

STOPS_REFUSED = "StopTransactionOnInvalidId"
TELLING = ("GetConfiguration", "GetVariables", "UnlockConnector")  # actions
_UNLOCKED = frozenset({"Unlocked", "UnlockFailed", "OngoingAuthorizedTransaction"})
_OF_FEATURES = {"Reservation": ("RESERVABLE",), "SmartCharging": ("CHARGING_PROFILE_CAPABLE",)}
_OF_201 = ("REMOTE_START_STOP_CAPABLE", "TOKEN_GROUP_CAPABLE")  # no station of OCPP 2.0.1 is without
_OF_COMPONENTS = {"ConnectorPlugRetentionLock": "UNLOCK_CAPABLE", "TokenReader": "RFID_READER"}


def settle(operation_id: UUID) -> None:
    """Learn from an answer of a charge point; other operations say nothing of its abilities."""
    rows = Operation.objects.select_related("charge_point").filter(pk=operation_id, state="ANSWERED")
    operation = rows.filter(action__in=TELLING).first()
    if operation is None:
        return
    with transaction.atomic():
        learn(operation)


def learn(operation: Operation) -> None:
    """Learn from an answered operation, in the caller's transaction."""
    if operation.action == "UnlockConnector":
        if calls.ending(operation).status in _UNLOCKED:
            _give(operation.charge_point, {"UNLOCK_CAPABLE": True})
    elif operation.action == "GetVariables":
        _learn_201(operation.charge_point, v201_write.results(calls.raw_answer(operation)))
    else:
        _learn_16(operation.charge_point, calls.said(calls.answer(operation)))


def note_report(message: InboxMessage, payload: Mapping[str, Any]) -> None:
    """Learn from one part of a report, in the caller's transaction."""
    _learn_201(message.charge_point, v201_write.reported(payload))


def said(charge_point: ChargePoint, key: str) -> str:
    """Return what a charge point has last said of a setting, named as in OCPP 1.6; nothing if it never did."""
    row = ChargePointAbilities.objects.filter(charge_point=charge_point).first()
    return "" if row is None else str(row.said.get(key.lower(), ""))


def _learn_16(charge_point: ChargePoint, told: Mapping[str, str]) -> None:
    _keep(charge_point, told)
    words = {word.strip().lower() for word in told.get(v201_write.FEATURE_PROFILES.lower(), "").split(",")} - {""}
    if not words:
        return
    wanted = {name: feature.lower() in words for feature, names in _OF_FEATURES.items() for name in names}
    if words & {"core", "remotetrigger"}:
        wanted["REMOTE_START_STOP_CAPABLE"] = True
    _give(charge_point, wanted)


def _learn_201(charge_point: ChargePoint, values: Mapping[tuple[str, str], str]) -> None:
    if not values:
        return
    told = {each["key"].lower(): each["value"] for each in v201_write.configuration(values)}
    told.pop(v201_write.FEATURE_PROFILES.lower(), None)  # a part of a report knows only some
    _keep(charge_point, told)
    wanted = dict.fromkeys(_OF_201, True)
    for feature, component in v201_write.FEATURES.items():
        able = v201_write.is_able(component, values)
        wanted |= {name: able for name in _OF_FEATURES.get(feature, ()) if able is not None}
    for component, name in _OF_COMPONENTS.items():
        able = v201_write.is_able(component, values)
        wanted |= {name: able} if able is not None else {}
    _give(charge_point, wanted)


def _keep(charge_point: ChargePoint, told: Mapping[str, str]) -> None:
    kept = {key: told[key] for key in _KEPT if key in told}
    if not kept:
        return
    row, _ = ChargePointAbilities.objects.select_for_update(of=("self",)).get_or_create(charge_point=charge_point)
    row.said = {**row.said, **kept}
    row.save()


_KEPT = tuple(key.lower() for key in (*v201_write.VARIABLES, v201_write.FEATURE_PROFILES))


def _give(charge_point: ChargePoint, wanted: Mapping[str, bool]) -> None:
    """Give all EVSEs of a charge point capabilities or take them away."""
    gone = MissingFeature.objects.filter(charge_point=charge_point, count__gte=features.REFUSALS)
    refused = {features.CAPABILITIES[action] for action in gone.values_list("action", flat=True)}
    evses = EVSE.objects.filter(charge_point=charge_point).exclude(status="REMOVED")
    for evse in evses:
        have = locations.capabilities(evse)
        for name, present in wanted.items():
            if name not in refused and (name in have) != present:
                locations.set_capability(evse.pk, name, present=present)
