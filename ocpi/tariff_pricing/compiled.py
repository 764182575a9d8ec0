"""A Tariff compiled for pricing: components in search order per dimension, VAT as a factor, kept in a small cache."""

import copy
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from threading import Lock
from typing import Any, Final, TypeAlias

from ocpi.tariff_pricing.decimals import CONTEXT, ONE, number, plain_text, whole
from ocpi.tariff_pricing.errors import invalid
from ocpi.tariff_pricing.instants import read_timestamp
from ocpi.tariff_pricing.restrictions import Amounts, Restrictions

DIMENSIONS: Final = ("FLAT", "ENERGY", "TIME", "PARKING_TIME")
Bound: TypeAlias = tuple[Decimal, Decimal | None]
_CACHED_TARIFFS: Final = 512
_HUNDRED: Final = Decimal(100)


class Component:
    """One PriceComponent, with where it stands and how it multiplies."""

    __slots__ = (
        "always",
        "element",
        "element_index",
        "factor",
        "index",
        "parking_only",
        "price",
        "price_text",
        "step",
        "tariff",
        "type",
        "vat",
        "vat_text",
    )

    def __init__(self, raw: Mapping[str, Any], place: tuple[int, int], field: str) -> None:
        if not isinstance(raw, Mapping):
            raise invalid(field, "must be a PriceComponent")
        self.element_index, self.index = place
        self.type = raw.get("type")
        if self.type not in DIMENSIONS:
            raise invalid(f"{field}.type", "is no TariffDimensionType")
        self.price = number(raw.get("price"), f"{field}.price")
        vat = raw.get("vat")
        # Absent VAT means that no VAT applies; the factor is the same as for 0 %, the line says which.
        self.vat = None if vat is None else number(vat, f"{field}.vat")
        self.factor = ONE if self.vat is None else CONTEXT.add(ONE, CONTEXT.divide(self.vat, _HUNDRED))
        step = raw.get("step_size")
        self.step = 0 if step is None else whole(step, f"{field}.step_size")
        # As lines show them.
        self.price_text = plain_text(self.price)
        self.vat_text = None if self.vat is None else plain_text(self.vat)
        self.always = False
        self.element: Restrictions
        self.tariff: Tariff
        # Whether its element prices PARKING_TIME, and neither ENERGY nor TIME.
        self.parking_only = False


Components: TypeAlias = tuple[Component, ...]


class Tariff:
    """One Tariff, compiled."""

    __slots__ = (
        "changes",
        "components",
        "currency",
        "end",
        "expired",
        "id",
        "limits",
        "local",
        "max_price",
        "min_price",
        "raw",
        "reserved",
        "restricts_current",
        "restricts_power",
        "session",
        "start",
    )

    def __init__(self, raw: Mapping[str, Any]) -> None:
        identity = raw.get("id")
        if not isinstance(identity, str):
            raise invalid("tariff.id", "is required")
        self.id = identity
        self.raw = raw
        currency = raw.get("currency")
        if not isinstance(currency, str):
            raise invalid("tariff.currency", "is required")
        self.currency = currency
        self.start = _instant(raw, "start_date_time")
        self.end = _instant(raw, "end_date_time")
        self.min_price = _bound(raw, "min_price")
        self.max_price = _bound(raw, "max_price")
        self.limits = self.min_price is not None or self.max_price is not None
        self.components = self._components(raw.get("elements"))
        restrictions = [component.element for component in self.components]
        self.local = any(each.local for each in restrictions)
        self.changes = any(each.local or each.energy or each.duration for each in restrictions)
        self.restricts_power = _thresholds(each.power for each in restrictions)
        self.restricts_current = _thresholds(each.current for each in restrictions)
        self.session = self._searched((None,), DIMENSIONS)
        self.reserved = self._searched(("RESERVATION",), ("FLAT", "TIME"))
        self.expired = self._searched(("RESERVATION_EXPIRES", "RESERVATION"), ("FLAT", "TIME"))

    def valid_at(self, micros: int) -> bool:
        """Return whether the tariff is valid then; the end is exclusive, so tariffs that meet never overlap."""
        return (self.start is None or self.start <= micros) and (self.end is None or micros < self.end)

    def _components(self, elements: object) -> Components:
        if not isinstance(elements, Sequence) or isinstance(elements, str) or not elements:
            raise invalid("tariff.elements", "must be a list with at least one TariffElement")
        return tuple(component for index, each in enumerate(elements) for component in self._element(each, index))

    def _element(self, raw: object, index: int) -> list[Component]:
        field = f"tariff.elements[{index}]"
        if not isinstance(raw, Mapping) or not isinstance(raw.get("price_components"), Sequence):
            raise invalid(f"{field}.price_components", "is required")
        own = raw.get("restrictions") or {}
        if not isinstance(own, Mapping):
            raise invalid(f"{field}.restrictions", "must be TariffRestrictions")
        restrictions = Restrictions(own, f"{field}.restrictions")
        parts = [
            Component(part, (index, place), f"{field}.price_components[{place}]")
            for place, part in enumerate(raw["price_components"])
        ]
        parking_only = {each.type for each in parts} & {"ENERGY", "TIME", "PARKING_TIME"} == {"PARKING_TIME"}
        for part in parts:
            part.element, part.always, part.tariff = restrictions, restrictions.always, self
            part.parking_only = parking_only
        return parts

    def _searched(self, reservations: Sequence[str | None], dimensions: Sequence[str]) -> dict[str, Components]:
        return {
            dimension: tuple(each for kind in reservations for each in self._of(kind, dimension))
            for dimension in dimensions
        }

    def _of(self, reservation: str | None, dimension: str) -> list[Component]:
        """Return the components in search order; of two in one element only the first counts."""
        found: dict[int, Component] = {}
        for each in self.components:
            if each.type == dimension and each.element.reservation == reservation:
                found.setdefault(each.element_index, each)
        return list(found.values())


class _Cache:
    """Compiled tariffs by what identifies them. The content is compared too: an owner may forget last_updated."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, ...], tuple[Any, Tariff]] = OrderedDict()
        self._lock = Lock()

    def get(self, raw: Mapping[str, Any]) -> Tariff:
        key = (str(raw.get("country_code")), str(raw.get("party_id")), str(raw.get("id")), str(raw.get("last_updated")))
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and kept[0] == raw:
                self._kept.move_to_end(key)
                return kept[1]
        own = copy.deepcopy(dict(raw))
        tariff = Tariff(own)
        with self._lock:
            self._kept[key] = (own, tariff)
            self._kept.move_to_end(key)
            while len(self._kept) > _CACHED_TARIFFS:
                self._kept.popitem(last=False)
        return tariff


_CACHE: Final = _Cache()


def compile_tariff(raw: object) -> Tariff:
    """Return the compiled tariff, from the cache if it was compiled before.

    :raises NotPriceable: if a member that pricing needs is missing or wrong.
    """
    if type(raw) is not dict and not isinstance(raw, Mapping):
        raise invalid("tariff", "must be a Tariff object")
    return _CACHE.get(raw)


def _thresholds(bounds: Iterable[Amounts | None]) -> tuple[Decimal, ...]:
    return tuple(sorted({bound for each in bounds for bound in each or () if bound is not None}))


def _instant(raw: Mapping[str, Any], name: str) -> int | None:
    value = raw.get(name)
    return None if value is None else read_timestamp(value, f"tariff.{name}")


def _bound(raw: Mapping[str, Any], name: str) -> Bound | None:
    price = raw.get(name)
    if price is None:
        return None
    if not isinstance(price, Mapping):
        raise invalid(f"tariff.{name}", "must be a Price")
    incl = price.get("incl_vat")
    excl = number(price.get("excl_vat"), f"tariff.{name}.excl_vat")
    return excl, None if incl is None else number(incl, f"tariff.{name}.incl_vat")
