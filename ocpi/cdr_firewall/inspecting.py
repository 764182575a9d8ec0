"""All rules over one CDR."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ocpi import tariff_pricing
from ocpi.cdr_firewall import neighbours, own_figures, price, references, signed
from ocpi.cdr_firewall.facts import Facts
from ocpi.cdr_firewall.findings import Finding, Severity, Verdict
from ocpi.tariff_pricing import Check

_VERDICTS = {Severity.NOTE: Verdict.NOTED, Severity.SUSPECT: Verdict.SUSPECT, Severity.WRONG: Verdict.WRONG}


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found about one CDR."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    check: Check

    @property
    def codes(self) -> list[str]:
        """Return the codes of what was found, each once, the worst first."""
        return list(dict.fromkeys(each.code for each in self.findings))


def inspect(cdr: dict[str, Any], facts: Facts) -> Inspection:
    """Return what is odd about a CDR, its numbers read as decimals (`tariff_pricing.loads`)."""
    check = tariff_pricing.check(cdr, facts.tariffs, timezone=facts.time_zone)
    found = sorted(_all(cdr, facts, check), key=lambda each: -each.kind.severity)
    verdict = _VERDICTS[found[0].kind.severity] if found else Verdict.GOOD
    return Inspection(verdict, tuple(found), check)


def _all(cdr: dict[str, Any], facts: Facts, check: Check) -> Iterator[Finding]:
    for rule in (
        own_figures.times,
        own_figures.signs,
        references.session,
        references.driver,
        references.place,
        references.agreement,
        neighbours.others,
        neighbours.credits,
        signed.proofs,
    ):
        yield from rule(cdr, facts)
    yield from price.prices(cdr, facts, check)
    yield from price.tariffs(cdr, facts, check)
