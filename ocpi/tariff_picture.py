"""What a Tariff costs when: a week as a picture, and a charge to try. Pure; the figures are the pricing engine's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from ocpi import cdr_picture, tariff_pricing
from ocpi.tariff_pricing import NotPriceable, Priced, Segment

_SLOT = 15  # minutes
_SLOTS = 24 * 60 // _SLOT
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LEFT, _CELL, _ROW, _TOP = 40, 8, 22, 8  # px
_SHADES = 6
LONGEST = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge as somebody imagines it."""

    start: datetime
    minutes: int  # from plugging in to leaving
    power: Decimal  # kW while it charges
    energy: Decimal | None = None  # kWh after which the car is full; None: it charges all the time

    def segments(self) -> list[Segment]:
        """Return its course: charging at full power until the car is full, then parking."""
        end = self.start + timedelta(minutes=self.minutes)
        whole = self.power * self.minutes / 60
        if self.energy is None or self.energy >= whole or self.power <= 0:
            return [Segment(self.start, end, "CHARGING", round(whole, 4))]
        full = self.start + timedelta(seconds=int(self.energy / self.power * 3600))
        charging = Segment(self.start, full, "CHARGING", round(self.energy, 4))
        return [charging, Segment(full, end, "PARKING", Decimal(0))]


@dataclass(frozen=True, slots=True)
class Tried:
    """What an imagined charge costs."""

    priced: Priced
    chart: SafeString
    lines: SafeString


def try_charge(tariff: Mapping[str, Any], charge: Charge, zone: str) -> Tried:
    """Return what a charge costs under a Tariff, with picture and lines.

    :raises NotPriceable: if the rules give no price.
    """
    document, priced = _priced(tariff, charge, zone)
    lines = [line.as_json() for line in priced.lines]
    limits = [limit.as_json() for limit in priced.limits]
    return Tried(priced, cdr_picture.chart(document, lines), cdr_picture.lines_table(lines, limits))


def _priced(tariff: Mapping[str, Any], charge: Charge, zone: str) -> tuple[dict[str, Any], Priced]:
    segments = charge.segments()
    document = {
        "currency": tariff.get("currency"),
        "start_date_time": _text(segments[0].start),
        "end_date_time": _text(segments[-1].end),
        "charging_periods": tariff_pricing.split(segments, [tariff], timezone=zone),
    }
    return document, tariff_pricing.price(document, [tariff], timezone=zone)


def week(tariff: Mapping[str, Any], power: Decimal, zone: str, monday: date) -> SafeString:
    """Return a week as a picture: what a kWh costs in the first quarter of an hour of a charge that begins then.

    Flat fees and limits of the whole session are left out of it, as they would hide when it is cheap.
    """
    plain = {name: value for name, value in tariff.items() if name not in ("min_price", "max_price")}
    try:
        prices = [[_per_kwh(plain, power, zone, monday + timedelta(days=day), slot) for slot in range(_SLOTS)]
                  for day in range(7)]  # fmt: skip
    except NotPriceable as error:
        return format_html('<span class="o-muted">cannot be priced: {}</span>', error.code)
    known = [price for row in prices for price in row if price is not None]
    if not known:
        return mark_safe('<span class="o-muted">nothing is charged for energy or time</span>')
    return _draw(prices, min(known), max(known), power, str(tariff.get("currency") or ""), zone)


def _per_kwh(tariff: Mapping[str, Any], power: Decimal, zone: str, day: date, slot: int) -> Decimal | None:
    local = datetime.combine(day, time(slot * _SLOT // 60, slot * _SLOT % 60), ZoneInfo(zone))
    start = local.astimezone(UTC)
    minutes = _SLOT
    charge = Charge(start, minutes, power)
    _, priced = _priced(tariff, charge, zone)
    energy = power * minutes / 60
    cost = sum((line.excl for line in priced.lines if line.dimension in ("ENERGY", "TIME")), Decimal(0))
    return cost / energy if energy else None


def _draw(
    prices: list[list[Decimal | None]], low: Decimal, high: Decimal, power: Decimal, currency: str, zone: str
) -> SafeString:
    cells = format_html_join(
        "",
        '<rect class="o-shade{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
        (
            (_shade(price, low, high), _LEFT + first * _CELL, _TOP + day * _ROW, (last - first) * _CELL - 0.5, _ROW - 2,
             f"{_DAYS[day]} {_clock(first)}–{_clock(last)}: {price:.4f} {currency}/kWh")
            for day, row in enumerate(prices)
            for first, last, price in _runs(row)
        ),
    )  # fmt: skip
    days = format_html_join(
        "", '<text x="4" y="{}" class="o-tick">{}</text>',
        ((_TOP + day * _ROW + 14, name) for day, name in enumerate(_DAYS)),
    )  # fmt: skip
    hours = format_html_join(
        "", '<text x="{}" y="{}" class="o-tick o-middle">{}</text>',
        ((_LEFT + hour * 60 // _SLOT * _CELL, _TOP + 7 * _ROW + 14, f"{hour:02d}:00") for hour in range(0, 25, 3)),
    )  # fmt: skip
    width, height = _LEFT + _SLOTS * _CELL + 24, _TOP + 7 * _ROW + 24
    said = f"{low:.4f}" if low == high else f"{low:.4f} to {high:.4f}"
    return format_html(
        '<div class="o-legs"><svg class="o-chart" viewBox="0 0 {} {}" width="{}" height="{}" role="img" '
        'aria-label="price per kWh over a week">{}{}{}</svg>'
        '<p class="o-muted">{} {} per kWh, energy and time together, excl. VAT, at {} kW; times of {}.</p></div>',
        width, height, width, height, cells, days, hours, said, currency, f"{power:f}", zone,
    )  # fmt: skip


def _runs(row: list[Decimal | None]) -> list[tuple[int, int, Decimal]]:
    """Return stretches of one price."""
    runs: list[tuple[int, int, Decimal]] = []
    for slot, price in enumerate(row):
        if price is None:
            continue
        if runs and runs[-1][1] == slot and runs[-1][2] == price:
            runs[-1] = (runs[-1][0], slot + 1, price)
        else:
            runs.append((slot, slot + 1, price))
    return runs


def _shade(price: Decimal, low: Decimal, high: Decimal) -> int:
    return 0 if high == low else int((price - low) / (high - low) * (_SHADES - 1))


def _clock(slot: int) -> str:
    return f"{slot * _SLOT // 60:02d}:{slot * _SLOT % 60:02d}"


def _text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
