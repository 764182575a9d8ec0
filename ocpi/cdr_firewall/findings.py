"""The kinds of findings: one table of code, how bad it is, and what it says to people."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any


class Severity(IntEnum):
    NOTE = 1  # cannot be checked, or is not yet known
    SUSPECT = 2  # somebody should look
    WRONG = 3  # the CDR contradicts itself or what is proven


class Verdict(StrEnum):
    GOOD = "good"
    NOTED = "noted"
    SUSPECT = "suspect"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of finding."""

    code: str
    severity: Severity
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is odd: the member of the CDR, what it claims, and what it is held against."""

    kind: Kind
    field: str
    claimed: str = ""
    expected: str = ""

    @property
    def code(self) -> str:
        return self.kind.code

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON's kinds, as it is stored."""
        return {
            "code": self.code,
            "severity": self.kind.severity.name,
            "text": self.kind.text,
            "field": self.field,
            "claimed": self.claimed,
            "expected": self.expected,
        }


_W, _S, _N = Severity.WRONG, Severity.SUSPECT, Severity.NOTE
KINDS: dict[str, Kind] = {
    code: Kind(code, severity, text)
    for code, severity, text in (
        # its own figures
        ("ends_before_start", _W, "ends before it starts"),
        ("in_the_future", _W, "ends after it arrived"),
        ("period_outside", _S, "a charging period begins outside of the session"),
        ("too_late", _S, "arrived later than agreed"),
        ("negative_amount", _W, "an amount has the wrong sign"),
        ("energy_differs_from_periods", _W, "total_energy is not the sum of the periods"),
        ("time_differs_from_periods", _W, "total_time is not the time of the session"),
        ("parking_differs_from_periods", _W, "total_parking_time is not the sum of the periods"),
        ("sub_totals_do_not_add_up", _W, "the sub-totals cannot make the total"),
        # its price
        ("price_differs", _W, "the Tariff gives another total"),
        ("sub_total_differs", _W, "the Tariff gives another sub-total"),
        ("tariff_differs", _S, "the Tariff inside is not the one that was published"),
        ("tariff_not_valid", _S, "the Tariff is not valid at the start of the session"),
        ("currency_differs", _W, "not the currency of the Tariff or of the agreement"),
        ("not_priceable", _N, "the price cannot be checked"),
        # what it refers to
        ("session_unknown", _S, "no such Session has come"),
        ("session_differs", _S, "the Session says otherwise"),
        ("token_unknown", _S, "no such Token"),
        ("token_not_valid", _S, "the Token was not valid"),
        ("contract_differs", _S, "the Token belongs to another contract"),
        ("authorization_unknown", _S, "the authorization is nobody's"),
        ("authorization_differs", _S, "the authorization was for another Token"),
        ("location_unknown", _S, "no such Location, EVSE or Connector"),
        ("location_differs", _S, "the Location says otherwise"),
        ("energy_above_connector", _W, "more energy than the Connector can give in that time"),
        ("outside_agreement", _S, "no agreement between the two parties at that time"),
        # its neighbours
        ("duplicate", _W, "another CDR bills the same session"),
        ("token_elsewhere", _S, "the Token charges elsewhere at the same time"),
        ("connector_busy", _S, "another CDR has the Connector at the same time"),
        ("same_id_other_content", _W, "another CDR has the same id"),
        # credits
        ("original_unknown", _S, "the CDR that it takes back is not known"),
        ("credited_before", _W, "the CDR has been taken back before"),
        ("credit_differs", _W, "not what the original takes back"),
        # signed meter data
        ("signature_wrong", _W, "the signature does not fit the meter data"),
        ("signed_energy_differs", _W, "the signed readings give another energy"),
        ("signed_time_differs", _S, "the signed readings are of another time"),
        ("signed_data_odd", _S, "the signed meter data is not in order"),
    )
}


def finding(code: str, field: str, claimed: object = "", expected: object = "") -> Finding:
    """Return a finding of a known kind."""
    return Finding(KINDS[code], field, _text(claimed), _text(expected))


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return "" if value is None else str(value)
