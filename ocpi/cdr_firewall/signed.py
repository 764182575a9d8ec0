"""Whether the signed meter data proves what the CDR bills (CDR-51 … CDR-54)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from ocpi.cdr_firewall.facts import Facts
from ocpi.cdr_firewall.findings import Finding, finding
from ocpi.cdr_firewall.reading import moment, number
from ocpi.signed_meter import SignatureVerdict
from ocpi.signed_meter import Verdict as Proof

# What is odd though every signature is right; what only says that nothing can be said is none.
_ODD = frozenset(
    {
        "curve_differs",
        "key_not_registered",
        "meter_fault",
        "no_begin",
        "no_end",
        "not_for_billing",
        "pages_missing",
        "plain_data_differs",
        "several_meters",
    }
)


def proofs(cdr: dict[str, Any], facts: Facts) -> Iterator[Finding]:
    report = facts.signed
    if report is None:
        return
    if report.verdict is Proof.INVALID:
        wrong = next(at for at, each in enumerate(report.signatures) if each.verdict is SignatureVerdict.WRONG)
        reason = report.signatures[wrong].reason
        yield finding("signature_wrong", f"signed_data.signed_values[{wrong}]", report.signatures[wrong].nature, reason)
    for code in report.findings:
        if code in _ODD:
            yield finding("signed_data_odd", "signed_data", code)
    if cdr.get("credit"):
        return
    energy = number(cdr.get("total_energy"))
    if energy is not None and report.kwh is not None and abs(energy - report.kwh) > facts.limits.energy_kwh:
        yield finding("signed_energy_differs", "total_energy", energy, report.kwh)
    allowed = timedelta(seconds=facts.limits.signed_seconds)
    for name, reading in (("start_date_time", report.begin), ("end_date_time", report.end)):
        at = moment(cdr.get(name))
        # A clock that nobody has set proves no time.
        if reading is None or reading.at is None or at is None or reading.clock not in ("S", "I"):
            continue
        if abs(reading.at - at) > allowed and not (name == "end_date_time" and reading.at < at):
            # A car may stand there long after the last reading.
            yield finding("signed_time_differs", name, cdr[name], reading.at.isoformat())
