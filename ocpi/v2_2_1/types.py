"""Base types of OCPI 2.2.1, chapter Types: strings with limits, DateTime, Number, DisplayText, Price."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta

# `$` would match before a line feed at the end, too.
_END = r"(?![\s\S])"
_NOT_AVAILABLE = "#NA"
_NO_CONTROLS = "must not contain control characters"


class Object(msgspec.Struct, omit_defaults=True):
    """An OCPI object. Unknown members are ignored here and kept in the text."""


def _meta(base: str, maximum: int, pattern: str, rule: str, *, accept: int | None = None, least: int = 0) -> Meta:
    """A string type; `accept` is a longer length that we take from others. `#NA` always passes."""
    longest = max(accept or maximum, len(_NOT_AVAILABLE))
    extra = {"base": base, "max": maximum, "rule": rule}
    return Meta(max_length=longest, min_length=least or None, pattern=pattern, extra=extra)


def string(maximum: int, *, accept: int | None = None, least: int = 0) -> Meta:
    if maximum < len(_NOT_AVAILABLE):
        return formatted(maximum, rf"[^\x00-\x1f\x7f-\x9f]{{0,{maximum}}}", f"a string of at most {maximum} characters")
    return _meta("string", maximum, rf"^[^\x00-\x1f\x7f-\x9f]*{_END}", _NO_CONTROLS,
                 accept=accept, least=least)  # fmt: skip


def ci_string(maximum: int, *, least: int = 0) -> Meta:
    return _meta("CiString", maximum, rf"^[ -~]*{_END}", "must contain printable ASCII characters only", least=least)


def formatted(maximum: int, pattern: str, rule: str, *, base: str = "string", accept: int | None = None) -> Meta:
    """A string of a certain form; `#NA` is accepted where a format would otherwise be checked."""
    return _meta(base, maximum, rf"^(?:{pattern}|{_NOT_AVAILABLE}){_END}", f"must be {rule}", accept=accept)


String64 = Annotated[str, string(64)]
String255 = Annotated[str, string(255)]
CiString36 = Annotated[str, ci_string(36)]
CiString39 = Annotated[str, ci_string(39)]
CiString48 = Annotated[str, ci_string(48)]
# An id that stands in URLs and keys: an empty one could be found by nobody.
ID36 = Annotated[str, ci_string(36, least=1)]
URL = Annotated[str, Meta(max_length=255, min_length=1, pattern=rf"^[^\x00-\x1f\x7f-\x9f]*{_END}",
                          extra={"base": "URL", "rule": _NO_CONTROLS})]  # fmt: skip
CountryCode = Annotated[str, formatted(2, "[A-Za-z]{2}", "an ISO 3166-1 alpha-2 country code", base="CiString")]
PartyID = Annotated[str, ci_string(3, least=1)]
Country = Annotated[str, formatted(3, "[A-Z]{3}", "an ISO 3166-1 alpha-3 country code in upper case")]
Currency = Annotated[str, formatted(3, "[A-Z]{3}", "an ISO 4217 currency code in upper case")]
Language = Annotated[str, formatted(2, "[A-Za-z]{2}", "an ISO 639-1 language code")]
Int = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
NotNegative = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Number(Decimal):
    """A JSON number, exact."""


class DateTime(datetime):
    """A moment in UTC."""

    @classmethod
    @lru_cache(maxsize=8192)
    def read(cls, text: str) -> Self:
        """Read what OCPI 2.2.1 allows.

        :raises ValueError: if it is written otherwise.
        """
        if not _DATE_TIME.fullmatch(text):
            raise ValueError(_DATE_TIME_RULE)
        try:
            moment = cls.fromisoformat(text if text.endswith("Z") else text + "Z")
        except ValueError:
            raise ValueError(_DATE_TIME_RULE) from None
        return moment


_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,4}Z|\.[0-9]{1,5}|Z)?", re.ASCII
)
_DATE_TIME_RULE = "must be a DateTime in UTC like 2026-01-31T08:00:00Z"
_LENIENT = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)


# The parts of one object, and the objects of one moment, have the same time stamp many times.
@lru_cache(maxsize=4096)
def parse_datetime(text: str) -> datetime:
    """Read a DateTime as we accept it: with or without `Z`, with an offset, with up to nine decimals.

    :raises ValueError: if it is no such DateTime.
    """
    match = _LENIENT.fullmatch(text)
    if match is None:
        raise ValueError(_DATE_TIME_RULE)
    year, month, day, time, fraction, zone = match.groups()
    if len(month) != len(day) or (len(month) == 1 and (year, month, day) != ("1970", "1", "1")):
        raise ValueError(_DATE_TIME_RULE)
    offset = "+00:00" if zone is None or zone in "Zz" else zone
    try:
        moment = datetime.fromisoformat(f"{year}-{month:0>2}-{day:0>2}T{time}{(fraction or '')[:7]}{offset}")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(_DATE_TIME_RULE) from None


def format_datetime(moment: datetime) -> str:
    """Write a moment with `Z`, in seconds or with exactly three decimals.

    :raises ValueError: if the moment has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone cannot be written as UTC")
    timespec = "milliseconds" if moment.microsecond >= 1000 else "seconds"
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def format_number(value: Decimal) -> str:
    """Write a number without an exponent, with at most four decimals, rounded half up."""
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError("a number must be finite")
    if exponent < -4:
        value = value.quantize(Decimal("0.0001"), ROUND_HALF_UP)
    if value.is_zero():
        value = abs(value)
    return format(value, "f")


def plain(value: Any) -> Any:
    """A value of ours as OCPI writes it: for `documents.text`. Members without a value and empty lists are left out."""
    match value:
        case datetime():
            return format_datetime(value)
        case Decimal():
            return msgspec.Raw(format_number(value).encode())
        case Mapping():
            members = {name: plain(member) for name, member in value.items()}
            return {name: member for name, member in members.items() if member is not None and member != []}
        case list() | tuple():
            return [plain(element) for element in value]
        case msgspec.Struct():
            return plain(msgspec.structs.asdict(value))
        case _:
            return value


def dec_hook(kind: type, value: Any) -> Any:
    """Read the two types that msgspec does not know."""
    if kind is DateTime:
        if isinstance(value, str):
            return DateTime.read(value)
        raise ValueError(_DATE_TIME_RULE if value is not None else "is required")
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return Number(value)
    if value is None:
        raise ValueError("is required")
    raise ValueError("must be a number, not a string" if isinstance(value, str) else "must be a number")


def schema_hook(kind: type) -> dict[str, Any]:
    """The JSON Schema of the two types that msgspec does not know."""
    return _SCHEMAS[kind]


_SCHEMAS: dict[type, dict[str, Any]] = {
    DateTime: {"type": "string", "format": "date-time"},
    Number: {"type": "number"},
}


def one_decimal(value: Decimal) -> bool:
    """Whether a number has at most one decimal."""
    try:
        return value == value.quantize(Decimal("0.1"))
    except InvalidOperation:
        return False


def broken(field: str, rule: str) -> ValueError:
    """What an object raises when fields do not go together; `checking` adds the path in front of the field."""
    return ValueError(f"`{field}` {rule}")


class TokenType(StrEnum):
    """Of chapter Tokens; here because Locations, Tokens and CDRs use it."""

    AD_HOC_USER = "AD_HOC_USER"
    APP_USER = "APP_USER"
    OTHER = "OTHER"
    RFID = "RFID"


class ProfileType(StrEnum):
    """Of chapter Sessions; here because Tokens use it, too."""

    CHEAP = "CHEAP"
    FAST = "FAST"
    GREEN = "GREEN"
    REGULAR = "REGULAR"


_MARKUP = re.compile(r"<[A-Za-z/!][^>]*>")


class DisplayText(Object, kw_only=True):
    language: Language
    text: Annotated[str, string(512)]

    def __post_init__(self) -> None:
        if "<" in self.text and _MARKUP.search(self.text):
            raise broken("text", "must not contain markup")


def without_markup(text: str) -> str:
    return _MARKUP.sub("", text)


class Price(Object, kw_only=True):
    excl_vat: Number
    incl_vat: Number | None = None


class Envelope(Object, kw_only=True):
    """What every response body is (OCPI 2.2.1, Transport and format, Response format)."""

    data: Any = None
    status_code: Int
    status_message: str | None = None
    timestamp: DateTime
