"""Exact numbers: the working precision, reading, rounding and writing of amounts and volumes."""

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, DivisionByZero, InvalidOperation
from decimal import Overflow as DecimalOverflow
from functools import lru_cache
from typing import Any, Final

import msgspec

from ocpi.tariff_pricing.errors import invalid

# Wide enough that no product of accepted numbers is cut before the last step.
CONTEXT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[DivisionByZero, InvalidOperation, DecimalOverflow])
ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
FOUR_PLACES: Final = Decimal("0.0001")
# A number with an exponent like 1E999999 is legal JSON and would take gigabytes to print.
LARGEST_EXPONENT: Final = 12
_ROUNDED: Final = {
    name: Context(prec=60, rounding=rounding, traps=[DivisionByZero, InvalidOperation, DecimalOverflow]).quantize
    for name, rounding in (("half_up", ROUND_HALF_UP), ("half_even", ROUND_HALF_EVEN), ("down", ROUND_DOWN))
}
_half_up: Final = _ROUNDED["half_up"]

# ISO 4217; every currency that is not listed has two.
_NO_MINOR_UNITS: Final = frozenset(
    (
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    )
)
_THREE_MINOR_UNITS: Final = frozenset(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"))

_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def loads(text: str | bytes) -> Any:
    """Return parsed JSON whose numbers are Decimal (or int), never float."""
    return _DECODER.decode(text)


def dumps(value: Any) -> str:
    """Return JSON text in which a Decimal is a plain number."""
    return _ENCODER.encode(value).decode()


def number(value: object, field: str) -> Decimal:
    """Return an accepted number as Decimal.

    :raises NotPriceable: if it is no JSON number, a float, or absurdly large.
    """
    if type(value) is int:
        value = Decimal(value)
    if type(value) is not Decimal:
        raise invalid(field, f"must be a number read as Decimal, not {type(value).__name__}")
    if not value.is_finite() or value.adjusted() > LARGEST_EXPONENT:
        raise invalid(field, "is out of range")
    return value


def whole(value: object, field: str) -> int:
    """Return a whole number that is not negative.

    :raises NotPriceable: if it is none.
    """
    amount = number(value, field)
    if amount < 0 or amount != amount.to_integral_value(context=CONTEXT):
        raise invalid(field, "must be a whole number, zero or more")
    return int(amount)


def round4(value: Decimal) -> Decimal:
    """Return the value as it is published: half up to four decimals."""
    return _half_up(value, FOUR_PLACES)


def round_to(value: Decimal, places: int, rounding: str = "half_up") -> Decimal:
    """Return the value with that many decimals, by a named rounding."""
    return _ROUNDED[rounding](value, unit(places))


@lru_cache(maxsize=32)
def unit(places: int) -> Decimal:
    """Return the smallest amount with that many decimals."""
    return ONE.scaleb(-places, CONTEXT)


def minor_units(currency: str) -> int:
    """Return how many decimals an invoice in this currency has."""
    code = currency.upper()
    if code in _NO_MINOR_UNITS:
        return 0
    return 3 if code in _THREE_MINOR_UNITS else 2


def plain(value: Decimal) -> Decimal:
    """Return the number with at most four decimals, no exponent and no trailing zeros, ready for a document."""
    return Decimal(plain_text(round4(value)))


def plain_text(value: Decimal) -> str:
    """Return the shortest text of a number without an exponent."""
    text = str(value)
    if "E" in text:
        text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def fixed_text(value: Decimal | None) -> str | None:
    """Return the text with exactly four decimals, as results are shown."""
    return None if value is None else amount_text(value)


def amount_text(value: Decimal) -> str:
    """Return the text of an amount with exactly four decimals; what rounds to zero has no sign."""
    text = str(_half_up(value, FOUR_PLACES))
    return "0.0000" if text == "-0.0000" else text
