"""Read a record of the Open Charge Metering Format: `OCMF|<payload>|<signature>`, both sections JSON.

What was signed is the text of the payload section as it stands, so it is kept bit for bit beside what it says.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

LONGEST = 64 * 1024  # characters of a record
MOST_READINGS = 1000
_HEADER = "OCMF|"
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,](\d{1,6}))?\s*(Z|[+-]\d\d:?\d\d)\s*([A-Z]?)")
# Members that a reading takes over from the one before it if it leaves them out.
_INHERITED = ("TM", "TX", "RI", "RU", "RT", "EF", "ST")
_IN_KWH = {"kWh": Decimal(1), "Wh": Decimal("0.001"), "MWh": Decimal(1000)}


class NotOcmf(ValueError):
    """The text is no record of this format; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of the meter."""

    at: datetime | None  # with its offset
    clock: str  # "S" synchronised, "I" informative, "R" relative, "U" unknown
    reason: str  # TX: "B" begin, "C" charging, "E" and "L", "R", "A", "P" end, "T" tariff change …
    value: Decimal | None  # in `unit`
    unit: str
    identification: str  # OBIS code
    status: str  # "G": the meter works correctly
    errors: str  # "E" the energy, "t" the time is not to be used

    @property
    def kwh(self) -> Decimal | None:
        """The reading in kWh; None if it is no energy, or not fit for billing."""
        factor = _IN_KWH.get(self.unit)
        if self.value is None or factor is None or "E" in self.errors or self.status not in ("", "G"):
            return None
        return self.value * factor

    @property
    def begins(self) -> bool:
        return self.reason == "B"

    @property
    def ends(self) -> bool:
        return self.reason in ("E", "L", "R", "A", "P")


@dataclass(frozen=True, slots=True)
class Record:
    """What one signature covers."""

    signed_text: str  # the payload section, exactly as it was signed
    payload: dict[str, Any]
    readings: tuple[Reading, ...]
    algorithm: str  # SA; "" if it was left out
    encoding: str  # SE: "hex" or "base64"
    signature: str  # SD

    @property
    def meter_serial(self) -> str:
        return str(self.payload.get("MS") or "")

    @property
    def gateway_serial(self) -> str:
        return str(self.payload.get("GS") or "")

    @property
    def user(self) -> str:
        """Whom the readings are assigned to: the id of a card, a contract …; empty if nobody."""
        return str(self.payload.get("ID") or "")

    @property
    def page(self) -> tuple[str, int] | None:
        """The pagination: its context and its number."""
        found = re.fullmatch(r"([A-Z])(\d{1,18})", str(self.payload.get("PG") or ""))
        return (found[1], int(found[2])) if found else None


def parse(text: str) -> Record:
    """Return the record that a text holds, in plain or as hexadecimal.

    :raises NotOcmf: if it is none.
    """
    text = _plain(text.strip())
    sections = text.split("|")
    if len(sections) != 3 or sections[0] != "OCMF":
        raise NotOcmf("a record has the sections OCMF|payload|signature")
    payload, signature = (_object(section, name) for section, name in zip(sections[1:], _SECTIONS, strict=True))
    readings = payload.get("RD")
    if not isinstance(readings, list) or not readings:
        raise NotOcmf("RD: at least one reading is required")
    if len(readings) > MOST_READINGS:
        raise NotOcmf(f"RD: more than {MOST_READINGS} readings")
    data = signature.get("SD")
    if not isinstance(data, str) or not data:
        raise NotOcmf("SD: the signature is missing")
    return Record(
        signed_text=sections[1],
        payload=payload,
        readings=tuple(_readings(readings)),
        algorithm=str(signature.get("SA") or ""),
        encoding=str(signature.get("SE") or "hex").lower(),
        signature=data,
    )


_SECTIONS = ("payload", "signature")


def _plain(text: str) -> str:
    if len(text) > 2 * LONGEST:
        raise NotOcmf("the record is too long")
    if not text.startswith(_HEADER) and _HEX.fullmatch(text):
        try:
            text = bytes.fromhex(text).decode()
        except UnicodeDecodeError as error:
            raise NotOcmf("not a text") from error
    if len(text) > LONGEST:
        raise NotOcmf("the record is too long")
    return text


def _object(section: str, name: str) -> dict[str, Any]:
    try:
        # Numbers keep the digits they are written with: the digits are part of what is measured.
        found = json.loads(section, parse_float=Decimal, parse_int=Decimal)
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise NotOcmf(f"the {name} section is no JSON") from error
    if not isinstance(found, dict):
        raise NotOcmf(f"the {name} section is no object")
    return found


def _readings(raw: list[Any]) -> list[Reading]:
    before: dict[str, Any] = {}
    found = []
    for each in raw:
        if not isinstance(each, dict):
            raise NotOcmf("RD: a reading is an object")
        whole = {**{name: before[name] for name in _INHERITED if name in before}, **each}
        found.append(_reading(whole))
        before = whole
    return found


def _reading(members: dict[str, Any]) -> Reading:
    at, clock = _moment(str(members.get("TM") or ""))
    return Reading(
        at=at,
        clock=clock,
        reason=str(members.get("TX") or ""),
        value=_number(members.get("RV")),
        unit=str(members.get("RU") or ""),
        identification=str(members.get("RI") or ""),
        status=str(members.get("ST") or ""),
        errors=str(members.get("EF") or ""),
    )


def _number(value: object) -> Decimal | None:
    # Some write the value as a text.
    if isinstance(value, bool) or not isinstance(value, str | Decimal):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) < Decimal(10) ** 15 else None


def _moment(text: str) -> tuple[datetime | None, str]:
    found = _TIME.fullmatch(text.strip())
    if found is None:
        return None, ""
    day, fraction, offset, clock = found.groups()
    try:
        return datetime.fromisoformat(f"{day}.{(fraction or '0').ljust(6, '0')}{offset}"), clock
    except ValueError:
        return None, clock
