"""Checking a partner's CDR: what its tariffs say against what it says; the verdict never blocks storing it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Any, Final, NamedTuple

from ocpi.tariff_pricing.compiled import Tariff, compile_tariff
from ocpi.tariff_pricing.consistency import inconsistencies
from ocpi.tariff_pricing.decimals import CONTEXT, ZERO, fixed_text, minor_units, number, unit
from ocpi.tariff_pricing.diagnosing import diagnose
from ocpi.tariff_pricing.engine import price, price_read
from ocpi.tariff_pricing.errors import NotPriceable
from ocpi.tariff_pricing.instants import read_timestamp
from ocpi.tariff_pricing.policy import DEFAULT, Policy
from ocpi.tariff_pricing.reading import Document
from ocpi.tariff_pricing.result import COSTS, Line, Price, Priced

_HALF: Final = Decimal("0.5")
_ATTRIBUTED: Final = ("total_fixed_cost", "total_parking_cost", "total_reservation_cost")
_PRICING: Final = ("currency", "elements", "min_price", "max_price")


class Difference(NamedTuple):
    """One member in which the claim is not what was computed."""

    claimed: Decimal
    computed: Decimal

    def as_json(self) -> dict[str, str | None]:
        """Return the difference as text."""
        apart = CONTEXT.subtract(self.claimed, self.computed)
        return {
            "claimed": fixed_text(self.claimed),
            "computed": fixed_text(self.computed),
            "difference": fixed_text(apart),
        }


@dataclass(slots=True)
class Check:
    """The result of checking a CDR: `match`, `mismatch` or `unverifiable`."""

    verdict: str
    differences: dict[str, Difference]
    diagnosis: list[str]
    findings: list[str]
    lines: list[Line]
    reason: str | None = None
    computed: Priced | None = None
    published: Price | None = None
    policy: Policy = field(default=DEFAULT)

    @property
    def fields(self) -> list[str]:
        """Return the names of the members that differ."""
        return sorted(self.differences)

    def as_json(self) -> dict[str, Any]:
        """Return the result as `check_cdr` prints it."""
        shown: dict[str, Any] = {
            "verdict": self.verdict,
            "fields": self.fields,
            "diagnosis": self.diagnosis,
            "findings": self.findings,
            "differences": {name: self.differences[name].as_json() for name in self.fields},
            "reason": self.reason,
            "computed": None if self.computed is None else self.computed.as_json(),
            "policy": self.policy.as_json(),
        }
        if self.published is not None:
            excl, incl = self.published
            shown["total_cost_published"] = {"excl_vat": fixed_text(excl), "incl_vat": fixed_text(incl)}
        return shown


def check(
    document: Mapping[str, Any],
    tariffs: Sequence[Mapping[str, Any]],
    *,
    timezone: str | None,
    policy: Policy = DEFAULT,
) -> Check:
    """Compare what a CDR claims with what its own tariffs (else the given ones) make of it."""
    own = document.get("tariffs")
    inside = own if isinstance(own, Sequence) and not isinstance(own, str) and own else None
    used = tariffs if inside is None else inside
    consistency: dict[str, Difference] = {}
    notes: set[str] = set()
    try:
        with localcontext(CONTEXT):
            read = Document(document, running=False)
            found, notes = inconsistencies(read)
            consistency = {name: Difference(*pair) for name, pair in found.items()}
            claims = _claims(document)
        priced = price_read(read, used, timezone=timezone, policy=policy)
    except NotPriceable as error:
        findings = sorted(notes)
        return Check("unverifiable", consistency, [], findings, [], reason=error.code, policy=policy)
    with localcontext(CONTEXT):
        differences = consistency | _compare(claims, priced, policy, notes)
        published = None if inside is None else _published(document, inside, tariffs, timezone, notes)
    total_differs = any(name.startswith("total_cost.") for name in differences)
    named = diagnose(document, used, claims["total_cost"], timezone) if total_differs and "total_cost" in claims else []
    return Check(
        "mismatch" if differences else "match",
        differences,
        named,
        sorted(notes | set(priced.findings)),
        priced.lines,
        computed=priced,
        published=published,
        policy=policy,
    )


def _claims(document: Mapping[str, Any]) -> dict[str, dict[str, Decimal]]:
    """Return the amounts the CDR states, a Credit CDR's total with its sign turned."""
    claims: dict[str, dict[str, Decimal]] = {}
    for name in ("total_cost", *COSTS):
        stated = document.get(name)
        if stated is None or (type(stated) is not dict and not isinstance(stated, Mapping)):
            continue
        turned = name == "total_cost" and bool(document.get("credit"))
        claims[name] = amounts = {}
        for part in ("excl_vat", "incl_vat"):
            if stated.get(part) is not None:
                value = number(stated[part], f"{name}.{part}")
                amounts[part] = value.copy_negate() if turned else value
    return claims


def _compare(
    claims: dict[str, dict[str, Decimal]], priced: Priced, policy: Policy, notes: set[str]
) -> dict[str, Difference]:
    differences: dict[str, Difference] = {}
    for name, claimed in claims.items():
        lines = len(priced.lines if name == "total_cost" else [each for each in priced.lines if each.counts_as == name])
        allowed = _tolerance(priced, lines, policy)
        for part, value in claimed.items():
            computed = _computed(priced, name, part)
            if abs(value - computed) > allowed:
                differences[f"{name}.{part}"] = Difference(value, computed)
    if _only_attribution_differs(claims, priced, differences, policy):
        notes.add("flat_attribution_differs")
        return {name: each for name, each in differences.items() if name.split(".")[0] not in _ATTRIBUTED}
    return differences


def _computed(priced: Priced, name: str, part: str) -> Decimal:
    amount: Price | None = getattr(priced, name)
    value = None if amount is None else getattr(amount, part)
    return ZERO if value is None else value


def _tolerance(priced: Priced, lines: int, policy: Policy) -> Decimal:
    """Return how far an amount may be off: one minor unit, or half of one per line."""
    if policy.tolerance is not None:
        return policy.tolerance
    minor = unit(minor_units(priced.currency))
    return max(minor, minor * _HALF * lines)


def _only_attribution_differs(
    claims: dict[str, dict[str, Decimal]], priced: Priced, differences: dict[str, Difference], policy: Policy
) -> bool:
    """Return whether a FLAT was only booked under another sub-total than we do."""
    if not any(name.split(".")[0] in _ATTRIBUTED for name in differences):
        return False
    flats = [line for line in priced.lines if line.dimension == "FLAT"]
    lines = [line for line in priced.lines if line.counts_as in _ATTRIBUTED]
    allowed = _tolerance(priced, len(lines), policy)
    for part in ("excl_vat", "incl_vat"):
        stated = [claims[name][part] for name in _ATTRIBUTED if part in claims.get(name, {})]
        computed = sum((_computed(priced, name, part) for name in _ATTRIBUTED), ZERO)
        if stated and abs(sum(stated, ZERO) - computed) > allowed:
            return False
    return bool(flats)


def _published(
    document: Mapping[str, Any],
    own: Sequence[Mapping[str, Any]],
    held: Sequence[Mapping[str, Any]],
    timezone: str | None,
    notes: set[str],
) -> Price | None:
    """Return the total under the tariffs we hold, if one of them prices differently from the CDR's own."""
    start = read_timestamp(document.get("start_date_time"), "start_date_time")
    try:
        replaced = [_held_version(each, held, start) for each in own]
        pairs = zip(replaced, own, strict=True)
        if all(ours is theirs or _same_price(compile_tariff(ours), compile_tariff(theirs)) for ours, theirs in pairs):
            return None
        notes.add("tariff_differs_from_published")
        return price(document, replaced, timezone=timezone).total_cost
    except NotPriceable:
        # What we hold cannot be compared; the CDR is judged by its own tariffs all the same.
        return None


def _held_version(theirs: Mapping[str, Any], held: Sequence[Mapping[str, Any]], start: int) -> Mapping[str, Any]:
    wanted = compile_tariff(theirs).id.lower()
    named = [each for each in held if compile_tariff(each).id.lower() == wanted]
    valid = [each for each in named if compile_tariff(each).valid_at(start)]
    return (valid or named or [theirs])[0]


def _same_price(ours: Tariff, theirs: Tariff) -> bool:
    return all(_without_texts(ours.raw.get(name)) == _without_texts(theirs.raw.get(name)) for name in _PRICING)


def _without_texts(value: object) -> object:
    """Return the value without members that are null or empty: they mean the same as absent ones."""
    if isinstance(value, Mapping):
        kept = {name: _without_texts(each) for name, each in value.items()}
        return {name: each for name, each in kept.items() if each is not None and each != [] and each != {}}
    if isinstance(value, list | tuple):
        return [_without_texts(each) for each in value]
    return value
