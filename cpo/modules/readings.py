"""Meter values as readings: one per moment, in Wh, W and A, what is not usable named (OCPP-65, OCPP-67, OCPP-70)."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from cpo import metering
from cpo.models import MeterReading, Transaction
from cpo.ocpp.events import MeterSample

_OCMF = "OCMF|"
_REGISTER = "Energy.Active.Import.Register"
_LONGEST_SIGNED_VALUE = 5000
_NATURE = {"Transaction.Begin": "Start", "Transaction.End": "End"}
_LONGEST_SIGNED = 3700  # characters: as Base64 still below the 5000 of a SignedValue


def signed_data(row: Transaction) -> dict[str, Any] | None:
    """Return what the meter signed, for the CDR; nothing if it signed nothing in a form we know (CDR-51, CDR-53)."""
    rows = list(row.readings.order_by("at", "id").values_list("context", "signed", "signatures"))
    values = [
        {
            "nature": _NATURE.get(context, "Intermediate"),
            "plain_data": text,
            "signed_data": base64.b64encode(text.encode()).decode(),
        }
        for context, texts, _ in rows
        for text in texts.split("\n")
        if text.startswith(_OCMF) and len(text.encode()) <= _LONGEST_SIGNED
    ]
    if values:
        return {"encoding_method": "OCMF", "signed_values": values}
    return _signatures([(context, each) for context, _, signatures in rows for each in signatures])


def _signatures(found: list[tuple[str, dict[str, Any]]]) -> dict[str, Any] | None:
    """Return the signedMeterValues of OCPP 2.0.1, which are Base64 already; of one encoding, that of the first."""
    texts = [(context, each, str(each.get("signedMeterData") or "")) for context, each in found]
    texts = [(context, each, text) for context, each, text in texts if 0 < len(text) <= _LONGEST_SIGNED_VALUE]
    encoding = next((str(each.get("encodingMethod") or "")[:36] for _, each, _ in texts), "")
    if not encoding:
        return None
    key = next((str(each["publicKey"]) for _, each, _ in texts if each.get("publicKey")), None)
    values = [
        {"nature": _NATURE.get(context, "Intermediate"), "plain_data": _plain(text), "signed_data": text}
        for context, each, text in texts
        if str(each.get("encodingMethod") or "")[:36] == encoding
    ]
    return {"encoding_method": encoding, "public_key": key, "signed_values": values}


def _plain(text: str) -> str:
    """Return what was signed, if it is text; else as it came, which is the data."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return text


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


def keep(row: Transaction, samples: Iterable[MeterSample]) -> datetime | None:
    """Keep samples as one reading per moment; return the newest moment."""
    by_moment: dict[tuple[datetime, str], list[MeterSample]] = {}
    for sample in samples:
        by_moment.setdefault((sample.moment.at, sample.context), []).append(sample)
    readings = [_reading(row, at, context, group) for (at, context), group in by_moment.items()]
    MeterReading.objects.bulk_create(readings)
    return max((at for at, _ in by_moment), default=None)


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
        signed="\n".join(each.raw for each in samples if each.signed),
        signatures=[dict(each.signature) for each in samples if each.signature],
        flag=", ".join(flags)[:60] if register is None else "",
    )


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
