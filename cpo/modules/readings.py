"""Meter values as readings: one per moment, in Wh, W and A, what is not usable named (OCPP-65, OCPP-67, OCPP-70)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from cpo import metering, signed_values
from cpo.models import ChargePoint, MeterReading, Transaction
from cpo.ocpp.events import MeterSample
from cpo.signed_values import Signed

_TURNED = re.compile(r"(?<=\.)(Import|Export)\b")
_REGISTER = "Energy.Active.Import.Register"
_VALUE = "value"  # of a signed sample of OCPP 1.6
_NUMBERS = ("register_wh", "power_w", "current_a", "state_of_charge", "export_wh", "interval_wh")
_STORED = Decimal("0.001")  # the places of their columns


def signed_data(row: Transaction) -> dict[str, Any] | None:
    """Return what the meter signed, for the CDR (CDR-51, CDR-53)."""
    rows = row.readings.order_by("at", "id").values_list("context", "signed", "signatures")
    found: list[tuple[str, Signed]] = []
    for context, texts, signatures in rows:
        found += [(context, signed_values.of_text(each)) for each in texts.split("\n") if each]
        for each in signatures:
            signed = signed_values.of_text(each[_VALUE]) if _VALUE in each else signed_values.of_members(each)
            if signed is not None:
                found.append((context, signed))
    return signed_values.for_cdr(found)


def of(row: Transaction) -> list[metering.Reading]:
    """Return the readings of a transaction that count, by time, those of OCPP 2.0.1 with registers in any case."""
    found = [
        metering.Reading(*values)
        for values in MeterReading.objects.filter(transaction=row, flag="")
        .order_by("at", "id")
        .values_list("at", "register_wh", "power_w", "current_a", "interval_wh", "export_wh", "state_of_charge")
    ]
    return metering.with_registers(found) if row.ocpp_id else found


def has_registers(row: Transaction) -> bool:
    """Say whether the meter of a transaction gives registers."""
    return row.readings.filter(flag="", register_wh__isnull=False).exists()


def is_register(sample: MeterSample) -> bool:
    """Say whether a sample is what is billed: the whole connection's register of what was delivered."""
    return sample.measurand == _REGISTER and not sample.phase and bool(_used([sample], _REGISTER))


def turned(charge_point: ChargePoint, samples: Iterable[MeterSample]) -> list[MeterSample]:
    """Return samples as if the meter were wired the usual way round: what a car takes is import (OCPP-67)."""
    if charge_point.register_direction != "export":
        return list(samples)
    return [replace(each, measurand=_TURNED.sub(_other_way, each.measurand)) for each in samples]


def _other_way(found: re.Match[str]) -> str:
    return "Export" if found[0] == "Import" else "Import"


def keep(row: Transaction, samples: Iterable[MeterSample]) -> datetime | None:
    """Keep samples as one reading per moment; return the newest moment.

    A charge point that has lost our answer says the same once more, under another message id. What is known already of
    a moment is not kept twice: an interval would be counted twice. Only a moment that is ours, because the charge
    point's clock cannot be right, tells nothing of repeats.
    """
    by_moment: dict[tuple[datetime, str], list[MeterSample]] = {}
    for sample in turned(row.charge_point, samples):
        by_moment.setdefault((sample.moment.at, sample.context), []).append(sample)
    found = [_reading(row, at, context, group) for (at, context), group in by_moment.items()]
    moments = {at for at, _ in by_moment}
    if moments and not _is_ahead(row, min(moments)):
        known = {_content(each) for each in row.readings.filter(at__in=moments)}
        found = [each for each in found if _content(each) not in known]
    MeterReading.objects.bulk_create(found)
    return max(moments, default=None)


def _is_ahead(row: Transaction, at: datetime) -> bool:
    """Say whether a moment is after all readings of a transaction, as it mostly is: then nothing can be a repeat."""
    return not row.ocpp_id and row.stopped_at is None and (row.last_at is None or at > row.last_at)


def _content(reading: MeterReading) -> tuple[object, ...]:
    """Return what a reading says, as it is once stored."""
    numbers = (getattr(reading, name) for name in _NUMBERS)
    rounded = (None if number is None else number.quantize(_STORED) for number in numbers)
    signatures = msgspec.json.encode(reading.signatures, order="sorted")
    return (reading.at, reading.context, *rounded, signatures, reading.flag)


def _reading(row: Transaction, at: datetime, context: str, samples: list[MeterSample]) -> MeterReading:
    currents = [each.value for each in _used(samples, "Current.Import") if each.value is not None]
    flags = dict.fromkeys(each.flag for each in samples if each.flag)
    register = _total(samples, _REGISTER)
    return MeterReading(
        transaction=row,
        at=at,
        context=context[:30],
        register_wh=register,
        power_w=_total(samples, "Power.Active.Import"),
        current_a=max(currents) if currents else None,
        state_of_charge=next((each.value for each in samples if each.measurand == "SoC"), None),
        export_wh=_total(samples, "Energy.Active.Export.Register"),
        interval_wh=_total(samples, "Energy.Active.Import.Interval"),
        signatures=[each for sample in samples for each in _signatures(sample)],
        flag=", ".join(flags)[:60] if register is None else "",
    )


def _signatures(sample: MeterSample) -> list[dict[str, Any]]:
    """Return what is signed of a sample, as it came; what holds a NUL cannot be stored, nor be any known form."""
    signed = {_VALUE: sample.raw} if sample.signed else dict(sample.signature or {})
    return [signed] if signed and b"\\u0000" not in msgspec.json.encode(signed) else []


def _used(samples: list[MeterSample], measurand: str) -> list[MeterSample]:
    return [
        each
        for each in samples
        if each.measurand == measurand and each.value is not None and each.location in ("Outlet", "")
    ]


def _total(samples: list[MeterSample], measurand: str) -> Decimal | None:
    """Return the value of the whole connection; the sum of its phases if there is none (OCPP-67)."""
    found = _used(samples, measurand)
    whole = [each.value for each in found if not each.phase and each.value is not None]
    if whole:
        return whole[0]
    phases = [each.value for each in found if each.phase in ("L1", "L2", "L3", "L1-N", "L2-N", "L3-N")]
    return sum((value for value in phases if value is not None), Decimal(0)) if phases else None
