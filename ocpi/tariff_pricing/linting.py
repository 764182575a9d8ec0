"""What looks wrong in a Tariff; it never blocks anything."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from ocpi.tariff_pricing.compiled import DIMENSIONS, Component, Tariff, compile_tariff

_TARIFF: Final = frozenset(
    (
        "country_code",
        "party_id",
        "id",
        "currency",
        "type",
        "tariff_alt_text",
        "tariff_alt_url",
        "min_price",
        "max_price",
        "elements",
        "start_date_time",
        "end_date_time",
        "energy_mix",
        "last_updated",
    )
)
_ELEMENT: Final = frozenset(("price_components", "restrictions"))
_COMPONENT: Final = frozenset(("type", "price", "vat", "step_size"))
_RESTRICTIONS: Final = frozenset(
    (
        "start_time",
        "end_time",
        "start_date",
        "end_date",
        "min_kwh",
        "max_kwh",
        "min_current",
        "max_current",
        "min_power",
        "max_power",
        "min_duration",
        "max_duration",
        "day_of_week",
        "reservation",
    )
)
_QUANTITIES: Final = ("energy", "power", "current", "duration", "days")
_MONEY: Final = "€|\\$|£|euro|cents?|ct"


def lint(raw: Mapping[str, Any]) -> list[str]:
    """Return what looks wrong as `code: where`, sorted.

    :raises NotPriceable: if the tariff cannot be used at all.
    """
    tariff = compile_tariff(raw)
    found = {
        *_order(tariff),
        *_bounds(tariff),
        *_steps(tariff),
        *_reservations(tariff),
        *_vat(tariff),
        *_limits(tariff),
        *_free(tariff),
        *_texts(raw, tariff.currency),
        *_unknown(raw),
    }
    return sorted(found)


def _where(component: Component) -> str:
    return f"elements[{component.element_index}].price_components[{component.index}]"


def _order(tariff: Tariff) -> Iterator[str]:
    for dimension in DIMENSIONS:
        searched = tariff.session[dimension]
        for position, component in enumerate(searched):
            if any(earlier.always for earlier in searched[:position]):
                yield f"unreachable_component: {_where(component)}"
        if searched and not any(component.always for component in searched):
            yield f"no_fallback: {dimension}"
    seen: set[tuple[int, object]] = set()
    for component in tariff.components:
        key = (component.element_index, component.type)
        if key in seen:
            yield f"duplicate_component: {_where(component)}"
        seen.add(key)


def _bounds(tariff: Tariff) -> Iterator[str]:
    for component in tariff.components:
        restrictions, place = component.element, f"elements[{component.element_index}].restrictions"
        for quantity in _QUANTITIES:
            low, high = getattr(restrictions, quantity) or (None, None)
            if low is not None and high is not None and low >= high:
                yield f"impossible_restriction: {place} ({quantity})"
        start = restrictions.shown.get("start_time")
        if start is not None and start == restrictions.shown.get("end_time"):
            yield f"start_time_equals_end_time: {place}"


def _steps(tariff: Tariff) -> Iterator[str]:
    parking = bool(tariff.session["PARKING_TIME"])
    for component in tariff.components:
        if component.type == "FLAT":
            if component.step > 1:
                yield f"step_size_on_flat: {_where(component)}"
        elif component.step == 0:
            yield f"step_size_zero: {_where(component)}"
        elif component.step > 1:
            yield f"step_size_not_one: {_where(component)}"
        if component.type == "TIME" and component.step > 1 and parking and component.element.reservation is None:
            yield f"time_step_overridden_by_parking: {_where(component)}"


def _reservations(tariff: Tariff) -> Iterator[str]:
    for component in tariff.components:
        if component.element.reservation is not None and component.type in ("ENERGY", "PARKING_TIME"):
            yield f"dead_in_reservation: {_where(component)}"
    kinds = {each.element.reservation for each in tariff.components if each.type == "TIME"}
    if "RESERVATION_EXPIRES" in kinds and "RESERVATION" not in kinds:
        yield "expiry_time_without_reservation_time: elements"


def _vat(tariff: Tariff) -> Iterator[str]:
    rates = [component.vat for component in tariff.components]
    for component in tariff.components:
        if component.vat is not None and not 0 <= component.vat <= 100:
            yield f"vat_out_of_range: {_where(component)}"
    if None in rates and any(rate is not None for rate in rates):
        yield "vat_mixed_absent_and_present: elements"


def _limits(tariff: Tariff) -> Iterator[str]:
    low, high = tariff.min_price, tariff.max_price
    if low is not None and high is not None:
        crossed = low[1] is not None and high[1] is not None and low[1] > high[1]
        if low[0] > high[0] or crossed:
            yield "min_price_above_max_price: min_price"
    for name, bound in (("min_price", low), ("max_price", high)):
        if bound is not None and bound[1] is None:
            yield f"limit_without_incl_vat: {name}"
    if tariff.start is not None and tariff.end is not None and tariff.end <= tariff.start:
        yield "over_before_it_starts: end_date_time"


def _free(tariff: Tariff) -> Iterator[str]:
    """Free of charge has one form: one FLAT of 0.00 in one element without restrictions (TAR-14)."""
    if tariff.min_price is not None or any(component.price for component in tariff.components):
        return
    (first, *others) = tariff.components
    if others or first.type != "FLAT" or not first.always or first.element.reservation:
        yield "free_of_charge_form: elements"


def _texts(raw: Mapping[str, Any], currency: str) -> Iterator[str]:
    """Beside elements the text only adds to them; an amount in it is a price (TAR-43)."""
    money = f"(?:{_MONEY}|{re.escape(currency)})"
    amount = re.compile(rf"{money}\s?\d|\d\s?{money}(?!\w)", re.IGNORECASE)
    for index, text in enumerate(raw.get("tariff_alt_text") or ()):
        if amount.search(str(text.get("text"))):
            yield f"price_in_alt_text: tariff_alt_text[{index}]"


def _unknown(raw: Mapping[str, Any]) -> Iterator[str]:
    yield from _names(raw, _TARIFF, "")
    for index, element in enumerate(raw["elements"]):
        place = f"elements[{index}]"
        yield from _names(element, _ELEMENT, f"{place}.")
        for position, component in enumerate(element["price_components"]):
            yield from _names(component, _COMPONENT, f"{place}.price_components[{position}].")
        yield from _names(element.get("restrictions") or {}, _RESTRICTIONS, f"{place}.restrictions.")


def _names(given: Mapping[str, Any], known: frozenset[str], place: str) -> Iterator[str]:
    for name in given:
        if name not in known:
            nearest = get_close_matches(name.lower(), sorted(known), n=1)
            yield f"unknown_member: {place}{name}" + (f" (did you mean {nearest[0]}?)" if nearest else "")
