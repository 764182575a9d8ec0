"""Hypothesis strategies from the msgspec classes: any object that keeps every rule of its class, unknown members too.

    @given(objects(locations.Location))
    def test_…(location): …

Rules between fields are not in the types; the classes that have some are finished by a function of `_FINISHED`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Any

import msgspec
from hypothesis import strategies as st

from ocpi.v2_2_1 import shapes
from ocpi.v2_2_1.types import DateTime, Number

Json = Any
_END = r"(?![\s\S])"
_FORM = r"|#NA)" + _END
# What is inside an object is never newer than the object (LOC-09).
INNER_MOMENTS = ("2019-06-24T12:39:09Z", "2020-02-29T23:59:59.999Z", "2020-12-31T23:59:59")
OUTER_MOMENT = "2026-01-31T08:00:00.120Z"
_MOMENTS = st.sampled_from(
    ("2015-06-29T20:39:09Z", "2026-10-25T00:30:00.5Z", "2024-02-29T00:00:00", "2031-01-01T00:00:00Z")
)
_TEXT = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="<")
_ASCII = st.characters(min_codepoint=32, max_codepoint=126)
_NUMBERS = st.integers(-(10**8), 10**8) | st.integers(-(10**7), 10**7).map(lambda number: number / 10**4)
_UNKNOWN = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.text(_TEXT, max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("abc_", max_size=4), inner, max_size=2),
    max_leaves=4,
)
_NAMES = st.sampled_from(("x_extra", "vendor_info", "Äpfel", "x-y", "evse", "_"))


def objects(kind: type[msgspec.Struct], *, unknown: bool = True, **fixed: Json) -> st.SearchStrategy[dict[str, Json]]:
    """Return objects of a class; `fixed` members have these values."""
    found = _members(kind, unknown)
    return found.map(lambda members: _finished(kind.__name__, {**members, **fixed}))


@cache
def _members(kind: type[msgspec.Struct], unknown: bool) -> st.SearchStrategy[dict[str, Json]]:
    needed, optional = {}, {}
    for name, shape in shapes.shapes(kind).items():
        value = _value(kind, name, shape, unknown)
        if shape.required:
            needed[name] = value
        else:
            optional[name] = value | st.none()
    known: st.SearchStrategy[dict[str, Json]] = st.fixed_dictionaries(needed, optional=optional)
    if not unknown:
        return known
    extra = st.dictionaries(_NAMES, _UNKNOWN, max_size=1).map(
        lambda found: {name: value for name, value in found.items() if name not in shapes.shapes(kind)}
    )
    return st.builds(lambda members, more: members | more, known, extra)


def _value(kind: type[msgspec.Struct], name: str, shape: shapes.Shape, unknown: bool) -> st.SearchStrategy[Json]:
    one = _FIELDS.get((kind.__name__, name))
    if one is None:
        one = _one(shape, unknown, moments=name == "last_updated")
    return st.lists(one, min_size=shape.least, max_size=max(2, shape.least)) if shape.many else one


def _one(shape: shapes.Shape, unknown: bool, *, moments: bool) -> st.SearchStrategy[Json]:
    kind = shape.kind
    if kind is DateTime:
        return st.sampled_from(INNER_MOMENTS) if moments else _MOMENTS
    if kind is Number:
        return _NUMBERS
    if kind is bool:
        return st.booleans()
    if kind is int:
        meta = shape.meta
        least, most = (meta.ge, meta.le) if meta else (None, None)
        return st.integers(int(least if least is not None else -(2**31)), int(most if most is not None else 2**31 - 1))
    if issubclass(kind, Enum):
        return st.sampled_from([member.value for member in kind])
    if issubclass(kind, msgspec.Struct):
        return objects(kind, unknown=unknown)
    return _string(shape)


def _string(shape: shapes.Shape) -> st.SearchStrategy[str]:
    meta = shape.meta
    if meta is None or not meta.pattern:
        return st.text(_TEXT, max_size=20)
    extra = meta.extra or {}
    if meta.pattern.endswith(_FORM) and "control" not in meta.pattern and "x00" not in meta.pattern:
        form = meta.pattern.removeprefix("^(?:").removesuffix(_FORM)
        return st.from_regex(form, fullmatch=True) | st.just("#NA")
    alphabet = _ASCII if meta.pattern.startswith("^[ -~]") else _TEXT
    longest = int(extra.get("max", meta.max_length or 20))
    short = st.text(alphabet, min_size=meta.min_length or 0, max_size=min(longest, 6))
    return short | st.just("x" * longest)


# ---------------------------------------------------------------- rules between fields


def _finished(name: str, members: dict[str, Json]) -> dict[str, Json]:
    finish = _FINISHED.get(name)
    return finish(dict(members)) if finish else members


def _location(found: dict[str, Json]) -> dict[str, Json]:
    if found["publish"]:
        found.pop("publish_allowed_to", None)
    if found.get("evses"):
        found["evses"] = _unique(found["evses"], "uid")
    return found


def _evse(found: dict[str, Json]) -> dict[str, Json]:
    return {**found, "connectors": _unique(found["connectors"], "id")}


def _unique(parts: list[Json], key: str) -> list[Json]:
    return list({part[key].casefold(): part for part in parts}.values())


def _hours(found: dict[str, Json]) -> dict[str, Json]:
    return found if found.get("regular_hours") else {**found, "twentyfourseven": True}


def _publish_token(found: dict[str, Json]) -> dict[str, Json]:
    found = {name: value for name, value in found.items() if name not in ("uid", "visual_number") or value}
    if not (found.get("uid") or found.get("visual_number") or found.get("group_id")):
        found["group_id"] = "G"
    if found.get("uid") and not found.get("type"):
        found["type"] = "RFID"
    if found.get("visual_number") and not found.get("issuer"):
        found["issuer"] = "I"
    return found


def _tariff(found: dict[str, Json]) -> dict[str, Json]:
    if found.get("min_price") and found.get("max_price"):
        found["max_price"] = found["min_price"]
    return found


def _cdr(found: dict[str, Json]) -> dict[str, Json]:
    if not (found.get("credit") and found.get("credit_reference_id")):
        found["credit"] = False
        found["id"] = found["id"][:36]
    if found.get("tariffs"):
        tariff_id = found["tariffs"][0]["id"]
        found["charging_periods"] = [{**period, "tariff_id": tariff_id} for period in found["charging_periods"]]
    return found


def _start_session(found: dict[str, Json]) -> dict[str, Json]:
    if found.get("connector_id") and not found.get("evse_uid"):
        found.pop("connector_id")
    return found


def _profile(found: dict[str, Json]) -> dict[str, Json]:
    periods = found.get("charging_profile_period") or [{"limit": 1}]
    found["charging_profile_period"] = [{**period, "start_period": 60 * index} for index, period in enumerate(periods)]
    return found


def _credentials(found: dict[str, Json]) -> dict[str, Json]:
    return {**found, "roles": found["roles"][:1]}


_FINISHED: Mapping[str, Callable[[dict[str, Json]], dict[str, Json]]] = {
    "Location": _location,
    "EVSE": _evse,
    "Hours": _hours,
    "PublishTokenType": _publish_token,
    "Tariff": _tariff,
    "CDR": _cdr,
    "StartSession": _start_session,
    "ChargingProfile": _profile,
    "Credentials": _credentials,
}
_ONE_DECIMAL = st.integers(0, 10**6).map(lambda number: number / 10)
_DAYS = st.sampled_from(("2026-02-28", "2024-02-29", "2031-12-31", "#NA"))
_FIELDS: Mapping[tuple[str, str], st.SearchStrategy[Json]] = {
    ("Location", "time_zone"): st.sampled_from(("Europe/Amsterdam", "Asia/Kathmandu", "#NA")),
    ("RegularHours", "period_begin"): st.sampled_from(("00:00", "08:30")),
    ("RegularHours", "period_end"): st.sampled_from(("09:00", "23:59", "24:00", "00:00")),
    ("TariffRestrictions", "start_date"): _DAYS,
    ("TariffRestrictions", "end_date"): _DAYS,
    ("ChargingPreferences", "energy_need"): _ONE_DECIMAL,
    ("ChargingProfilePeriod", "limit"): _ONE_DECIMAL,
    ("ChargingProfile", "duration"): st.integers(1, 2**31 - 1),
    ("ChargingProfile", "min_charging_rate"): _ONE_DECIMAL,
}


# ---------------------------------------------------------------- one thing wrong


def fields(kind: type[msgspec.Struct], document: Json, path: str = "") -> Iterator[tuple[str, shapes.Shape, Json, str]]:
    """Give every known member of a document, at any depth: path, what it is, the object it is in, and its name."""
    for name, shape in shapes.shapes(kind).items():
        if document.get(name) is None:
            continue
        here = f"{path}.{name}".lstrip(".")
        yield here, shape, document, name
        if isinstance(shape.kind, type) and issubclass(shape.kind, msgspec.Struct):
            inside = document[name] if shape.many else [document[name]]
            for index, part in enumerate(inside):
                yield from fields(shape.kind, part, f"{here}[{index}]" if shape.many else here)


def faults(shape: shapes.Shape, name: str) -> Iterator[tuple[str, Json]]:
    """Give what a member may not be, beyond every leniency: a word for the fault, and the value."""
    scalar = not shape.many and not (isinstance(shape.kind, type) and issubclass(shape.kind, msgspec.Struct))
    yield "type", {"no": "scalar"} if scalar or shape.many else "no object"
    if shape.required:
        yield "missing", msgspec.UNSET
        if shape.least:
            yield "empty", []
    if not scalar or shape.kind in (DateTime, bool, Number):
        return
    if issubclass(shape.kind, Enum):
        if shape.required and name not in ("standard", "connector_standard"):  # a new standard loses no Location
            yield "enum", "NO_SUCH_VALUE"
    elif shape.kind is int:
        yield "bound", 2**31
    elif shape.meta is not None:
        if shape.meta.max_length:
            yield "length", "x" * (shape.meta.max_length + 1)
        yield "pattern", "\x07"
