"""The periods of a CDR or Session as a chart, and the lines of its price as a table. Pure.

Time goes to the right. Each period is a bar as high as its average power; parking and reservation are stripes at the
bottom. The line is what it costs so far, as the pricing engine makes it from the same periods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from ocpi.cdr_firewall.reading import moment, number, part, parts

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 860, 250, 48, 56, 16, 34  # px
_STRIPE = 7  # px
_MOST_PERIODS = 2000
_KINDS = {
    "total_fixed_cost": "fixed",
    "total_energy_cost": "energy",
    "total_time_cost": "time",
    "total_parking_cost": "parking",
    "total_reservation_cost": "reservation",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One period."""

    start: datetime
    end: datetime
    energy: Decimal  # kWh
    state: str  # "charging", "parking", "reserved"
    cost: Decimal  # excl. VAT, of the lines of this period

    @property
    def power(self) -> Decimal:
        seconds = Decimal((self.end - self.start).total_seconds())
        return self.energy * 3600 / seconds if seconds > 0 else Decimal(0)


def bars(document: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> list[Bar]:
    """Return the periods of a document with what each costs; none if its times cannot be read."""
    periods = parts(document.get("charging_periods"))[:_MOST_PERIODS]
    starts = [moment(each.get("start_date_time")) for each in periods]
    end = moment(document.get("end_date_time")) or moment(document.get("last_updated"))
    if not periods or end is None or any(each is None for each in starts):
        return []
    costs: dict[int, Decimal] = {}
    for line in lines:
        if isinstance(line.get("period"), int):
            costs[line["period"]] = costs.get(line["period"], Decimal(0)) + (number(line.get("excl_vat")) or 0)
    edges = [*(each for each in starts if each is not None), end]
    return [
        _bar(period, begin, until, costs.get(index, Decimal(0)))
        for index, (period, (begin, until)) in enumerate(zip(periods, pairwise(edges), strict=True))
    ]


def _bar(period: Mapping[str, Any], start: datetime, end: datetime, cost: Decimal) -> Bar:
    volumes = {each.get("type"): number(each.get("volume")) or Decimal(0) for each in parts(period.get("dimensions"))}
    state = "reserved" if "RESERVATION_TIME" in volumes else "parking" if "PARKING_TIME" in volumes else "charging"
    return Bar(start, max(end, start), volumes.get("ENERGY", Decimal(0)), state, cost)


def chart(document: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> SafeString:
    """Return the picture of a document as SVG; a word if there is nothing to draw."""
    found = bars(document, lines)
    if not found or found[-1].end <= found[0].start:
        return mark_safe('<span class="o-muted">no periods to draw</span>')
    return _Chart(found, str(document.get("currency") or "")).draw()


class _Chart:
    """The scales of one picture."""

    def __init__(self, found: list[Bar], currency: str) -> None:
        self._bars, self._currency = found, currency
        self._start, self._end = found[0].start, found[-1].end
        self._seconds = (self._end - self._start).total_seconds()
        self._most_power = max((each.power for each in found), default=Decimal(0)) or Decimal(1)
        self._cost = sum((each.cost for each in found), Decimal(0))

    def _x(self, at: datetime) -> float:
        share = (at - self._start).total_seconds() / self._seconds
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def _y(self, share: Decimal) -> float:
        return round(_HEIGHT - _BOTTOM - float(share) * (_HEIGHT - _TOP - _BOTTOM), 1)

    def draw(self) -> SafeString:
        return format_html(
            '<div class="o-legs"><svg class="o-chart" viewBox="0 0 {} {}" width="{}" height="{}" role="img" '
            'aria-label="charging periods: power and cost over time">{}{}{}{}</svg></div>',
            _WIDTH, _HEIGHT, _WIDTH, _HEIGHT, self._axes(), self._periods(), self._costs(), self._times(),
        )  # fmt: skip

    def _axes(self) -> SafeString:
        rows = [
            (self._y(Decimal(step) / 4), f"{self._most_power * step / 4:.1f}", f"{self._cost * step / 4:.2f}")
            for step in range(5)
        ]
        marks = format_html_join(
            "",
            '<line class="o-grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text x="{}" y="{}" class="o-tick o-end">{}</text>'
            '<text x="{}" y="{}" class="o-tick">{}</text>',
            (
                (_LEFT, _WIDTH - _RIGHT, y, y, _LEFT - 6, y + 4, power, _WIDTH - _RIGHT + 6, y + 4, cost)
                for y, power, cost in rows
            ),
        )
        return format_html(
            '{}<text x="4" y="11" class="o-tick">kW</text><text x="{}" y="11" class="o-tick o-end">{}</text>'
            '<text x="4" y="{}" class="o-tick">UTC</text>',
            marks, _WIDTH - 4, self._currency, _HEIGHT - 12,
        )  # fmt: skip

    def _periods(self) -> SafeString:
        return format_html_join(
            "",
            '<rect class="o-period o-{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
            (self._rect(each) for each in self._bars),
        )

    def _rect(self, bar: Bar) -> tuple[Any, ...]:
        left, right = self._x(bar.start), self._x(bar.end)
        low = self._y(Decimal(0))
        top = self._y(bar.power / self._most_power) if bar.state == "charging" else low - _STRIPE
        said = f"{bar.start:%H:%M:%S}–{bar.end:%H:%M:%S} {bar.state}: {bar.energy:f} kWh, {bar.power:.1f} kW, "
        said += f"{bar.cost:.4f} {self._currency}"
        return bar.state, left, top, max(round(right - left - 0.5, 1), 0.5), max(round(low - top, 1), 0.5), said

    def _costs(self) -> SafeString:
        total, points = Decimal(0), [(self._x(self._start), self._y(Decimal(0)))]
        for each in self._bars:
            total += each.cost
            points.append((self._x(each.end), self._y(total / self._cost if self._cost else Decimal(0))))
        return format_html(
            '<polyline class="o-cost" points="{}"/>', " ".join(f"{x},{y}" for x, y in points)
        )  # fmt: skip

    def _times(self) -> SafeString:
        several_days = self._start.date() != self._end.date()
        moments = [self._start + (self._end - self._start) * step / 4 for step in range(5)]
        anchors = ("", "o-middle", "o-middle", "o-middle", "o-end")
        return format_html_join(
            "",
            '<text x="{}" y="{}" class="o-tick {}">{}</text>',
            (
                (self._x(at), _HEIGHT - 12, anchor, f"{at:%d %b %H:%M}" if several_days else f"{at:%H:%M}")
                for at, anchor in zip(moments, anchors, strict=True)
            ),
        )


def lines_table(lines: Sequence[Mapping[str, Any]], limits: Sequence[Mapping[str, Any]] = ()) -> SafeString:
    """Return the lines of a price as a table: what was billed, by which element of which Tariff, and why."""
    if not lines:
        return mark_safe('<span class="o-muted">nothing is billed</span>')
    rows = format_html_join(
        "",
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        (_cells(line) for line in lines),
    )
    ends = format_html_join(
        "",
        '<tr><td></td><td colspan="5">{} of {}</td><td>{}</td><td>{}</td></tr>',
        ((each.get("limit"), each.get("tariff_id"), each.get("excl_vat"), each.get("incl_vat")) for each in limits),
    )
    return format_html(
        '<div class="o-scroll"><table class="o-table"><thead><tr><th>period</th><th>what</th><th>measured</th>'
        "<th>billed</th><th>price</th><th>Tariff, element</th><th>excl. VAT</th><th>incl. VAT</th></tr></thead>"
        "<tbody>{}{}</tbody></table></div>",
        rows,
        ends,
    )


def _cells(line: Mapping[str, Any]) -> tuple[object, ...]:
    restrictions = part(line.get("why"), "restrictions") or {}
    said = ", ".join(f"{name} {value}" for name, value in restrictions.items())
    element = f"{line.get('tariff_id')} [{line.get('element')}]" + (f": {said}" if said else "")
    vat = f" + {line['vat']} %" if line.get("vat") is not None else ""
    kind = _KINDS.get(str(line.get("counts_as")), str(line.get("dimension")))
    return (
        line.get("period"), kind, line.get("measured"), line.get("billed"), f"{line.get('price')}{vat}", element,
        line.get("excl_vat"), line.get("incl_vat") or "–",
    )  # fmt: skip
