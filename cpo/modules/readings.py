"""Meter values as readings: one per moment, in Wh, W and A, what is not usable named (OCPP-65, OCPP-67, OCPP-70)."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from cpo.models import MeterReading, Transaction
from cpo.ocpp.events import MeterSample

_OCMF = "OCMF|"
_NATURE = {"Transaction.Begin": "Start", "Transaction.End": "End"}
_LONGEST_SIGNED = 3700  # characters: as Base64 still below the 5000 of a SignedValue


def signed_data(row: Transaction) -> dict[str, Any] | None:
    """Return what the meter signed, for the CDR; nothing if it signed nothing in a form we know (CDR-51, CDR-53)."""
    rows = row.readings.exclude(signed="").order_by("at", "id").values_list("context", "signed")
    values = [
        {
            "nature": _NATURE.get(context, "Intermediate"),
            "plain_data": text,
            "signed_data": base64.b64encode(text.encode()).decode(),
        }
        for context, texts in rows
        for text in texts.split("\n")
        if text.startswith(_OCMF) and len(text.encode()) <= _LONGEST_SIGNED
    ]
    return {"encoding_method": "OCMF", "signed_values": values} if values else None


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
    register = _total(samples, "Energy.Active.Import.Register")
    return MeterReading(
        transaction=row,
        at=at,
        context=context[:30],
        register_wh=register,
        power_w=_total(samples, "Power.Active.Import"),
        current_a=max(currents) if currents else None,
        state_of_charge=next((each.value for each in samples if each.measurand == "SoC"), None),
        signed="\n".join(each.raw for each in samples if each.signed),
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
