"""The tariff vectors as tests use them: priced, split, checked or credited, and compared member by member."""

from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from ocpi import tariff_pricing
from ocpi.tariff_pricing import Segment

FOLDER = Path(__file__).parent.parent / "documents" / "tariff-vectors"
FILES = sorted(FOLDER.glob("*.json"))


@lru_cache
def vector(name: str) -> dict[str, Any]:
    """Return the vector whose id is this."""
    (file,) = FOLDER.glob(f"{name}-*.json")
    read: dict[str, Any] = tariff_pricing.loads(file.read_bytes())
    return read


def tariffs_of(case: dict[str, Any]) -> list[Any]:
    """Return the tariffs of a vector."""
    return list(case["tariffs"]) if "tariffs" in case else [case["tariff"]]


def assert_vector(name: str) -> None:
    """Fail unless the engine gives what the vector expects."""
    case = vector(name)
    _KINDS[case["kind"]](case)


def _assert_price(case: dict[str, Any]) -> None:
    document = case.get("cdr") or case["session"]
    running = case["kind"] == "session"
    priced = tariff_pricing.price(document, tariffs_of(case), timezone=case["timezone"], running=running)
    assert_members(priced.as_json(), case["expected"])


def _assert_error(case: dict[str, Any]) -> None:
    with pytest.raises(tariff_pricing.NotPriceable) as raised:
        tariff_pricing.price(case["cdr"], tariffs_of(case), timezone=case["timezone"])
    assert raised.value.code == case["expected"]["error"]


def segments_of(case: dict[str, Any]) -> list[Segment]:
    """Return the metered timeline of a vector."""
    return [
        Segment(
            datetime.fromisoformat(each["start"]),
            datetime.fromisoformat(each["end"]),
            each["state"],
            Decimal(each.get("energy_kwh", 0)),
            min_power=_amount(each.get("min_power")),
            max_power=_amount(each.get("max_power")),
            min_current=_amount(each.get("min_current")),
            max_current=_amount(each.get("max_current")),
            tariff_id=each.get("tariff_id"),
        )
        for each in case["segments"]
    ]


def _amount(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def document_of(case: dict[str, Any], periods: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the CDR that the periods of a metered timeline make."""
    return {
        "start_date_time": case["segments"][0]["start"],
        "end_date_time": case["segments"][-1]["end"],
        "currency": tariffs_of(case)[0]["currency"],
        "charging_periods": periods,
    }


def _assert_split(case: dict[str, Any]) -> None:
    periods = tariff_pricing.split(segments_of(case), tariffs_of(case), timezone=case["timezone"])
    assert [_comparable(each) for each in periods] == [
        _comparable(each) for each in case["expected"]["charging_periods"]
    ]
    priced = tariff_pricing.price(document_of(case, periods), tariffs_of(case), timezone=case["timezone"])
    expected = {name: value for name, value in case["expected"].items() if name != "charging_periods"}
    assert_members(priced.as_json(), expected)


def _comparable(period: dict[str, Any]) -> tuple[Any, ...]:
    volumes = {each["type"]: Decimal(each["volume"]) for each in period["dimensions"]}
    return period["start_date_time"], period["tariff_id"], volumes


def _assert_check(case: dict[str, Any]) -> None:
    shown = tariff_pricing.check(case["cdr"], tariffs_of(case), timezone=case["timezone"]).as_json()
    expected = case["expected"]
    assert shown["verdict"] == expected["verdict"]
    assert shown["fields"] == expected["fields"]
    assert set(expected["diagnosis"]) <= set(shown["diagnosis"])
    assert shown["reason"] == expected.get("reason")


def _assert_credit(case: dict[str, Any]) -> None:
    credited = tariff_pricing.credit(case["cdr"], last_updated="2025-03-04T00:00:00Z")
    assert credited.pop("last_updated") == "2025-03-04T00:00:00Z"
    assert credited == case["expected"]["credit_cdr"]


def assert_members(shown: dict[str, Any], expected: dict[str, Any]) -> None:
    """Fail unless every expected member is exactly there; more findings are allowed."""
    for name, value in expected.items():
        if name == "findings":
            assert set(value) <= set(shown[name])
        elif name == "lines":
            assert _lines(shown[name]) == _lines(value)
        else:
            assert shown[name] == value, name


_LINE = ("dimension", "tariff_id", "element", "billed", "price", "vat", "excl_vat", "incl_vat", "counts_as")


def _lines(lines: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    return sorted(tuple(str(line[name]) for name in ("period", *_LINE)) for line in lines)


_KINDS = {
    "price": _assert_price,
    "session": _assert_price,
    "error": _assert_error,
    "split": _assert_split,
    "validate": _assert_check,
    "credit": _assert_credit,
}
