"""Who may deal with whom: pure, over the rules in the registry snapshot (SEC-40, docs/adr/0013).

Deny wins over allow; where no rule says anything, OCPI_HUB_DEFAULT_PERMISSION does. A rule about a role fits an address
at which one of the active parties has it. Validity is looked at when a question is asked: no process has to be told
that a rule has begun or ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, cast

from django.conf import settings

from hub.permission_model import Permission
from ocpi.enums import FUNCTIONAL_MODULES
from ocpi.headers import Address
from ocpi.snapshot import KnownPlatform, Snapshot

NAME: Final = "permissions"
PUSH, PULL = "PUSH", "PULL"
_REMEMBERED = 100_000  # answers kept of one snapshot
_ALWAYS = float("inf")
_MOST_NAMED = 3  # rules that a refusal names

Key = tuple[str, str]
Wanted = Literal["allowed", "explicit", "broadcast"]


@dataclass(frozen=True, slots=True)
class Who:
    """Whom a rule is about; an empty member says nothing."""

    country_code: str = ""
    party_id: str = ""
    role: str = ""

    def __str__(self) -> str:
        address = f"{self.country_code}*{self.party_id}" if self.party_id else self.country_code
        return ":".join(part for part in (address, self.role) if part) or "everybody"

    def fits(self, key: Key, roles: frozenset[str]) -> bool:
        return (
            (not self.country_code or self.country_code == key[0])
            and (not self.party_id or self.party_id == key[1])
            and (not self.role or self.role in roles)
        )

    @property
    def named(self) -> Key | None:
        return (self.country_code, self.party_id) if self.party_id else None

    @classmethod
    def parse(cls, text: str) -> Who:
        """Return whom a text means: "any", "NL", "NL*TNM", ":CPO", "NL:CPO", "NL*TNM:CPO".

        :raises ValueError: if it means nobody.
        """
        address, _, role = text.strip().upper().partition(":")
        country_code, star, party_id = ("", "", "") if address == "ANY" else address.partition("*")
        lengths = (len(country_code), len(party_id))
        if lengths not in ((0, 0), (2, 0), (2, 3)) or (star and not party_id) or not text.strip():
            raise ValueError(f"{text} is none of: any, NL, NL*TNM, :CPO, NL:CPO, NL*TNM:CPO")
        return cls(country_code, party_id, role)


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table; times in seconds since the epoch."""

    id: int
    first: Who
    second: Who
    mutual: bool
    module: str
    direction: str
    allow: bool
    broadcast: bool = False
    since: float | None = None
    until: float | None = None

    def __str__(self) -> str:
        way, effect = "↔" if self.mutual else "→", "allows" if self.allow else "denies"
        module = self.module or "every module"
        return f"rule {self.id} {effect} {self.first} {way} {self.second}, {module}, {self.direction.lower()}"

    def valid(self, now: float) -> bool:
        return (self.since is None or self.since <= now) and (self.until is None or now < self.until)


@dataclass(slots=True)
class Rules:
    """All rules at one moment, and the answers they gave, each with the time it holds for."""

    rules: tuple[Rule, ...] = ()
    default: bool = True
    dated: bool = False  # some hold for a time only
    _answers: dict[tuple[Key, Key, str, str], tuple[dict[Wanted, bool], float, float]] = field(default_factory=dict)
    # By the parties they name (None = no party by name), each way that they are about: a rule is soon found.
    _ways: dict[tuple[Key | None, Key | None], list[tuple[Who, Who, Rule]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dated = any(rule.since is not None or rule.until is not None for rule in self.rules)
        for rule in self.rules:
            for one, two in ((rule.first, rule.second), (rule.second, rule.first))[: 2 if rule.mutual else 1]:
                self._ways.setdefault((one.named, two.named), []).append((one, two, rule))

    @property
    def trivial(self) -> bool:
        """Say whether everything is allowed."""
        return self.default and all(rule.allow for rule in self.rules)

    def about(self, one: Key, two: Key) -> Iterator[tuple[Who, Who, Rule]]:
        """Return the rules that may be about requests from one to two."""
        for named in ((one, two), (one, None), (None, two), (None, None)):
            yield from self._ways.get(named, ())


_NONE = Rules()


def load() -> Rules:
    """Read the rules; one query, and none where this instance is no hub."""
    if "hub" not in settings.OCPI_SIDES:
        return _NONE
    return Rules(
        rules=tuple(
            Rule(
                id=row.pk,
                first=Who(row.from_country_code.upper(), row.from_party_id.upper(), row.from_role),
                second=Who(row.to_country_code.upper(), row.to_party_id.upper(), row.to_role),
                mutual=row.mutual,
                module=row.module,
                direction=row.direction,
                allow=row.effect == Permission.Effect.ALLOW,
                broadcast=row.broadcast,
                since=row.valid_from.timestamp() if row.valid_from else None,
                until=row.valid_until.timestamp() if row.valid_until else None,
            )
            for row in Permission.objects.order_by("id")
        ),
        default=settings.OCPI_HUB_DEFAULT_PERMISSION == "allow",
    )


def rules_of(snapshot: Snapshot) -> Rules:
    """Return the rules a snapshot was read with."""
    return cast(Rules, snapshot.extras.get(NAME, _NONE))


def allowed(
    snapshot: Snapshot, sender: Address, receiver: Address, module: str, direction: str, now: float | None = None
) -> bool:
    """Say whether `sender` may send `receiver` such requests: direction "PUSH" for writes, "PULL" for GET."""
    return _ask(snapshot, sender, receiver, module, direction, now)["allowed"]


def explicit(
    snapshot: Snapshot, sender: Address, receiver: Address, module: str, direction: str, now: float | None = None
) -> bool:
    """Say whether a rule that names this module allows it, and none denies it: what a default does not give."""
    return _ask(snapshot, sender, receiver, module, direction, now)["explicit"]


def may_broadcast(
    snapshot: Snapshot, sender: Address, receiver: Address, module: str, now: float | None = None
) -> bool:
    """Say whether a rule lets a receiver have broadcasts that its role does not get (HUB-36, HUB-40)."""
    return _ask(snapshot, sender, receiver, module, PUSH, now)["broadcast"]


def visible(snapshot: Snapshot, viewer: Address, other: Address, now: float | None = None) -> bool:
    """Say whether a party may know of another: there is anything that one of them may ask the other."""
    return any(
        allowed(snapshot, one, two, module, direction, now)
        for one, two in ((viewer, other), (other, viewer))
        for module in FUNCTIONAL_MODULES
        for direction in (PUSH, PULL)
    )


def between(snapshot: Snapshot, caller: KnownPlatform, owner: KnownPlatform, module: str, direction: str) -> bool:
    """Say whether any party of a platform may send requests to any of another."""
    return any(
        allowed(snapshot, one.address, two.address, module, direction)
        for one in caller.parties
        for two in owner.parties
        if one.active and two.active
    )


def direction_of(method: str) -> str:
    """Return the direction of a request: GET is a pull, everything else is a push."""
    return PULL if method == "GET" else PUSH


def deciding(
    snapshot: Snapshot, sender: Address, receiver: Address, module: str, direction: str, now: float | None = None
) -> list[Rule]:
    """Return the rules that are valid and fit, those that deny first: for whoever asks why."""
    moment = time.time() if now is None else now
    found = [rule for rule in _fitting(snapshot, sender, receiver, module, direction) if rule.valid(moment)]
    return sorted(found, key=lambda rule: (rule.allow, rule.id))


def why_not(snapshot: Snapshot, sender: Address, receiver: Address, module: str, direction: str) -> str:
    """Return for our operator which rule keeps a party from another; no partner is told (SEC-39)."""
    denying = [rule for rule in deciding(snapshot, sender, receiver, module, direction) if not rule.allow]
    what = f"{sender} may not {direction.lower()} {module} {'to' if direction == PUSH else 'from'} {receiver}"
    why = " and ".join(map(str, denying[:_MOST_NAMED])) or "no rule allows it, and by default nothing is allowed"
    return f"permission: {what}: {why}"


def _ask(
    snapshot: Snapshot, sender: Address, receiver: Address, module: str, direction: str, now: float | None
) -> dict[Wanted, bool]:
    rules = rules_of(snapshot)
    moment = time.time() if now is None else now
    question = (sender.key, receiver.key, str(module), direction)
    known = rules._answers.get(question)
    if known is not None and known[1] <= moment < known[2]:
        return known[0]
    fitting = _fitting(snapshot, sender, receiver, module, direction)
    answer = _answer([rule for rule in fitting if rule.valid(moment)], rules.default)
    start, end = _holds(fitting, moment)
    if len(rules._answers) >= _REMEMBERED:
        rules._answers.clear()
    rules._answers[question] = (answer, start, end)
    return answer


def _answer(valid: list[Rule], default: bool) -> dict[Wanted, bool]:
    denied = any(not rule.allow for rule in valid)
    return {
        "allowed": not denied and (default or bool(valid)),
        "explicit": not denied and any(rule.module for rule in valid),
        "broadcast": not denied and any(rule.broadcast for rule in valid),
    }


def _holds(fitting: Iterable[Rule], moment: float) -> tuple[float, float]:
    """Return from when until when the same rules are valid as at a moment."""
    edges = [edge for rule in fitting for edge in (rule.since, rule.until) if edge is not None]
    return (
        max((edge for edge in edges if edge <= moment), default=-_ALWAYS),
        min((edge for edge in edges if edge > moment), default=_ALWAYS),
    )


def _fitting(snapshot: Snapshot, sender: Address, receiver: Address, module: str, direction: str) -> list[Rule]:
    rules, one, two = rules_of(snapshot), sender.key, receiver.key
    if not rules.rules:
        return []
    of_one, of_two = _roles(snapshot, one), _roles(snapshot, two)
    found = {
        rule.id: rule
        for first, second, rule in rules.about(one, two)
        if rule.module in ("", module)
        and rule.direction in ("BOTH", direction)
        and first.fits(one, of_one)
        and second.fits(two, of_two)
    }
    return list(found.values())


def _roles(snapshot: Snapshot, key: Key) -> frozenset[str]:
    return frozenset(party.role for party in snapshot.parties.get(key, ()) if party.active)
