"""Whether the price is right: what the pricing check says, in findings (PRI-90 … PRI-97)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ocpi.cdr_firewall.facts import Facts
from ocpi.cdr_firewall.findings import Finding, finding
from ocpi.cdr_firewall.reading import moment, part, parts, same
from ocpi.tariff_pricing import Check

_OF_PERIODS = {
    "total_energy": "energy_differs_from_periods",
    "total_time": "time_differs_from_periods",
    "total_parking_time": "parking_differs_from_periods",
}


def prices(cdr: dict[str, Any], facts: Facts, check: Check) -> Iterator[Finding]:
    for name in check.fields:
        apart = check.differences[name].as_json()
        code = _OF_PERIODS.get(name) or ("price_differs" if name.startswith("total_cost.") else "sub_total_differs")
        if name == "credit":
            yield finding("credit_differs", "credit_reference_id", cdr.get("credit_reference_id"), "only of a credit")
        else:
            yield finding(code, name, apart["claimed"], apart["computed"])
    if "sub_totals_do_not_add_up" in check.findings:
        yield finding("sub_totals_do_not_add_up", "total_cost", part(cdr.get("total_cost"), "excl_vat"))
    if "tariff_differs_from_published" in check.findings:
        shown = check.as_json()
        yield finding(
            "tariff_differs",
            "tariffs",
            part(part(shown.get("computed"), "total_cost"), "excl_vat"),
            part(shown.get("total_cost_published"), "excl_vat"),
        )


def tariffs(cdr: dict[str, Any], facts: Facts, check: Check) -> Iterator[Finding]:
    """Yield what is wrong with the Tariffs that the CDR was made by."""
    used = parts(cdr.get("tariffs")) or list(facts.tariffs)
    currency, start = cdr.get("currency"), moment(cdr.get("start_date_time"))
    other = next((each.get("currency") for each in used if not same(each.get("currency"), currency)), None)
    agreed = facts.agreement.currency if facts.agreement is not None else ""
    if other is not None or (agreed and not same(agreed, currency)):
        yield finding("currency_differs", "currency", currency, other or agreed)
    elif check.verdict == "unverifiable":
        yield finding("not_priceable", "tariffs", check.reason)
    for index, each in enumerate(used):
        begins, ends = moment(each.get("start_date_time")), moment(each.get("end_date_time"))
        if start is not None and ((begins is not None and start < begins) or (ends is not None and start >= ends)):
            valid = f"{each.get('start_date_time') or '…'} to {each.get('end_date_time') or '…'}"
            yield finding("tariff_not_valid", f"tariffs[{index}]", cdr["start_date_time"], valid)
