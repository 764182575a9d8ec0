"""Timestamps as charge points send them: read with care, never trusted blindly (OCPP-18). Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EARLIEST = datetime(2015, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(minutes=5)
_FRACTION = re.compile(r"\.(\d+)")


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment at a charge point; with a suspect clock it is the time of receipt."""

    at: datetime
    original: str
    suspect: bool = False
    no_zone: bool = False

    @property
    def is_ahead(self) -> bool:
        """Whether it was said to be in the future, further than clocks differ."""
        said = parse(self.original) if self.suspect else None
        return said is not None and said > self.at + _AHEAD


def read(text: object, received_at: datetime) -> Moment:
    """Return the moment a timestamp names, or the time of receipt if the clock cannot be right."""
    original = text if isinstance(text, str) else ""
    parsed = _parsed(original)
    if parsed is None:
        return Moment(received_at, original, suspect=True)
    no_zone = parsed.tzinfo is None
    try:
        at = parsed.replace(tzinfo=UTC) if no_zone else parsed.astimezone(UTC)
    except OverflowError:
        return Moment(received_at, original, suspect=True, no_zone=no_zone)
    if at < _EARLIEST or at > received_at + _AHEAD:
        return Moment(received_at, original, suspect=True, no_zone=no_zone)
    return Moment(at, original, no_zone=no_zone)


def parse(text: str) -> datetime | None:
    """Return the moment a text names, in whatever zone, without a zone in UTC; None if it names none."""
    try:
        parsed: datetime | None = datetime.fromisoformat(text)  # nearly all of them, in a fraction of the time
    except ValueError:
        parsed = _parsed(text)
    try:
        return parsed and (parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC))
    except OverflowError:
        return None


def _parsed(text: str) -> datetime | None:
    # Python reads at most six decimals of a second; charge points send up to nine.
    text = _FRACTION.sub(lambda found: "." + found[1][:6].ljust(6, "0"), text.strip(), count=1)
    if len(text) < len("2024-01-01T00:00"):
        return None
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        return None


def write(at: datetime) -> str:
    """Write a moment in UTC with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
