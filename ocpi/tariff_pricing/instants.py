"""Timestamps as whole microseconds, and the time zone of a document."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from ocpi.tariff_pricing.country_zones import ONLY_ZONE
from ocpi.tariff_pricing.errors import invalid

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SECOND: Final = 1_000_000
HOUR: Final = 3600 * SECOND
# Local time of an instant at the very end of the calendar would not exist.
_FIRST_YEAR, _LAST_YEAR = 1971, 9990


def microseconds(instant: datetime) -> int:
    """Return the microseconds since 1970 as an int; a float would lose the last ones."""
    passed = instant - EPOCH
    return (passed.days * 86400 + passed.seconds) * SECOND + passed.microseconds


def at(micros: int) -> datetime:
    """Return the instant of a number of microseconds."""
    return EPOCH + timedelta(microseconds=micros)


def timestamp(micros: int) -> str:
    """Return the instant as OCPI writes it."""
    text = at(micros).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = micros % SECOND
    return f"{text}.{fraction:06d}".rstrip("0") + "Z" if fraction else text + "Z"


def read_timestamp(text: object, field: str) -> int:
    """Return an OCPI DateTime as microseconds; without an offset it is UTC.

    :raises NotPriceable: if it is none.
    """
    if type(text) is not str:
        raise invalid(field, "is required and must be a timestamp")
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid(field, "is no timestamp") from error
    if not _FIRST_YEAR <= instant.year <= _LAST_YEAR:
        raise invalid(field, "is out of range")
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    passed = instant - EPOCH
    return (passed.days * 86400 + passed.seconds) * SECOND + passed.microseconds


def is_written(text: str) -> bool:
    """Return whether a text that `read_timestamp` accepted is just what `timestamp` would write."""
    return (
        len(text) == 20
        and text[19] == "Z"
        and text[10] == "T"
        and text[4] == text[7] == "-"
        and text[13] == text[16] == ":"
        and text[5] != "W"
    )


def read_date(text: object, field: str) -> int:
    """Return the ordinal of a local date.

    :raises NotPriceable: if it is none.
    """
    if type(text) is not str:
        raise invalid(field, "is no date")
    try:
        return date.fromisoformat(text).toordinal()
    except ValueError as error:
        raise invalid(field, "is no date") from error


def read_minute(text: object, field: str) -> int:
    """Return the minute of the day of a wall-clock time.

    :raises NotPriceable: if it is none.
    """
    if type(text) is str and len(text) == 5 and text[2] == ":" and (text[:2] + text[3:]).isascii():
        hours, minutes = text[:2], text[3:]
        if hours.isdigit() and minutes.isdigit() and int(hours) < 24 and int(minutes) < 60:
            return int(hours) * 60 + int(minutes)
    raise invalid(field, "is no time of day (HH:MM)")


@lru_cache(maxsize=256)
def zone(name: str) -> tzinfo | None:
    """Return the time zone of an IANA name, None if there is none."""
    try:
        return ZoneInfo(name)
    # A key that is no zone may be a folder, an illegal path or simply absent.
    except (KeyError, ValueError, OSError):
        return None


def zone_of(document: Mapping[str, Any], timezone: str | None) -> tuple[str | None, bool]:
    """Return the name of the zone the document is read in, and whether it is only assumed from the country."""
    if timezone is not None:
        return timezone, False
    place = document.get("cdr_location")
    if type(place) is not dict and not isinstance(place, Mapping):
        return None, False
    own = place.get("time_zone")
    if isinstance(own, str) and zone(own) is not None:
        return own, False
    country = place.get("country")
    name = ONLY_ZONE.get(country.upper()) if isinstance(country, str) else None
    return name, name is not None
