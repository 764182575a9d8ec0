"""Who may deal with whom: rules and a moment in, a verdict out. No database."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from hub import open_routing, permissions, registry
from hub.permissions import Rule, Rules, Who
from hub.routing import Broadcast, Direct, NeedsLookup, decide
from ocpi import status
from ocpi.headers import Address
from ocpi.snapshot import Snapshot
from tests.unit.test_routing import (
    CPO_PLATFORM,
    CPX,
    EMS,
    EMSP_PLATFORM,
    HUB,
    MSX,
    OFFLINE_CPO,
    SECOND_EMSP,
    TNM,
    WORLD,
    ask,
    platform,
    world,
)

ANY = Who()
_numbers = itertools.count(1)


def rule(effect: str, first: str, second: str, module: str = "", direction: str = "BOTH", **changes: object) -> Rule:
    values = {"mutual": False, "module": module, "direction": direction, "allow": effect == "allow", **changes}
    return Rule(next(_numbers), Who.parse(first), Who.parse(second), **values)  # type: ignore[arg-type]


def under(*rules: Rule, default: bool = True, of: Snapshot = WORLD) -> Snapshot:
    return replace(of, extras={permissions.NAME: Rules(rules, default)})


@pytest.mark.req("SEC-40")
@pytest.mark.parametrize(("rules", "default", "expected"), [
    ([], True, True),
    ([], False, False),
    ([rule("allow", "NL*TNM", "DE*EMS")], False, True),
    ([rule("allow", "DE*EMS", "NL*TNM")], False, False),
    ([rule("allow", "DE*EMS", "NL*TNM", mutual=True)], False, True),
    ([rule("deny", "NL*TNM", "DE*EMS")], True, False),
    ([rule("deny", "DE*EMS", "NL*TNM")], True, True),
    ([rule("deny", "DE*EMS", "NL*TNM", mutual=True)], True, False),
    ([rule("allow", "NL*TNM", "DE*EMS", "tokens", "PUSH"), rule("deny", "any", "any")], True, False),
    ([rule("deny", "NL*TNM", "any"), rule("allow", "NL*TNM", "DE*EMS")], True, False),
    ([rule("allow", "any", "any", "locations"), rule("deny", ":CPO", ":EMSP", "tariffs")], False, True),
    ([rule("deny", ":CPO", ":EMSP")], True, False),
    ([rule("deny", ":EMSP", ":CPO")], True, True),
    ([rule("deny", ":CPO", ":NAP")], True, True),
    ([rule("deny", "NL", "DE")], True, False),
    ([rule("deny", "NL", "BE")], True, True),
    ([rule("deny", "NL:CPO", "any")], True, False),
    ([rule("deny", "NL:EMSP", "any")], True, True),
    ([rule("deny", "any", "any", "sessions")], True, True),
    ([rule("deny", "any", "any", "locations", "PULL")], True, True),
    ([rule("deny", "any", "any", "locations", "PUSH")], True, False),
    ([rule("deny", "FR*CPX", "DE*EMS")], True, True),
    ([rule("deny", "NL*TNM", "BE*MSX")], True, True),
])  # fmt: skip
def test_deny_wins_and_where_nothing_is_said_the_default_does(rules: list[Rule], default: bool, expected: bool) -> None:
    snapshot = under(*rules, default=default)

    for _ in range(2):  # worked out, and remembered
        assert permissions.allowed(snapshot, TNM, EMS, "locations", "PUSH") is expected


@pytest.mark.req("SEC-40")
@pytest.mark.parametrize("denying", [[], [rule("deny", "any", "DE*EMS")], [rule("deny", "NL*TNM", "any", "sessions")]])
def test_deny_wins_over_what_only_a_rule_gives_too(denying: list[Rule]) -> None:
    giving = rule("allow", "NL*TNM", "DE*EMS", "sessions", broadcast=True)
    for rules in ([giving, *denying], [*denying, giving]):
        snapshot = under(*rules)
        assert permissions.explicit(snapshot, TNM, EMS, "sessions", "PUSH") is (not denying)
        assert permissions.may_broadcast(snapshot, TNM, EMS, "sessions") is (not denying)


@pytest.mark.req("SEC-40", "SEC-34")
@pytest.mark.parametrize("change", [{"approved": False}, {"claimed": False}], ids=str)
def test_a_rule_for_a_role_is_not_for_who_may_not_act_in_it(change: dict[str, Any]) -> None:
    both = platform(2, (EMS, "EMSP"), (EMS, "NAP"))
    pending = replace(both, parties=(both.parties[0], replace(both.parties[1], **change)))
    rules = rule("allow", "NL*TNM", ":NAP")

    found = [
        permissions.allowed(
            under(rules, default=False, of=world(CPO_PLATFORM, each)), TNM, EMS, "locations", permissions.PUSH
        )
        for each in (both, pending)
    ]

    assert found == [True, False]


@pytest.mark.req("SEC-40")
def test_a_rule_begins_and_ends_by_the_clock_alone() -> None:
    snapshot = under(rule("allow", "NL*TNM", "DE*EMS", since=100.0, until=200.0), default=False)

    verdicts = {
        now: permissions.allowed(snapshot, TNM, EMS, "locations", "PUSH", now)
        for now in (99.9, 100.0, 199.9, 200.0, 99.0, 150.0)
    }

    assert verdicts == {99.9: False, 100.0: True, 199.9: True, 200.0: False, 99.0: False, 150.0: True}


def test_addresses_are_compared_without_regard_to_case() -> None:
    snapshot = under(rule("deny", "nl*tnm", "de*ems"))

    assert not permissions.allowed(snapshot, Address("nl", "Tnm"), Address("De", "ems"), "locations", "PUSH")


@pytest.mark.req("SEC-40", "SEC-39", "HUB-64")
@pytest.mark.parametrize("to", [TNM, OFFLINE_CPO.parties[0].address, Address("ZZ", "ZZZ")], ids=str)
def test_who_may_not_be_reached_is_unknown(to: Address) -> None:
    """Connected, offline or nowhere: the answer is the same."""
    asked = ask("commands", "RECEIVER", "POST", "START_SESSION", to=to, sender=EMS, caller=EMSP_PLATFORM)

    with pytest.raises(status.UnknownReceiver) as refused:
        decide(asked, under(rule("deny", "DE*EMS", "any")), HUB)

    assert refused.value.message == f"Nobody is known at {to}"


@pytest.mark.req("SEC-40")
def test_a_denied_push_leaves_pulls_alone() -> None:
    snapshot = under(rule("deny", "NL*TNM", "DE*EMS", "locations", "PUSH", mutual=True))
    pull = ask("locations", "SENDER", "GET", "LOC1", to=TNM, sender=EMS, caller=EMSP_PLATFORM)
    push = ask("locations", "RECEIVER", "PUT", "NL", "TNM", "LOC1", to=EMS, sender=TNM, caller=CPO_PLATFORM)

    assert isinstance(decide(pull, snapshot, HUB), Direct)
    with pytest.raises(status.UnknownReceiver):
        decide(push, snapshot, HUB)


@pytest.mark.req("SEC-40", "HUB-37")
def test_a_broadcast_goes_to_those_its_sender_may_reach() -> None:
    snapshot = under(rule("deny", "NL*TNM", "DE*EMS", "locations"))
    asked = ask("locations", "RECEIVER", "PUT", "NL", "TNM", "LOC1", to=HUB, sender=TNM, caller=CPO_PLATFORM)

    assert isinstance(decide(asked, snapshot, HUB), Broadcast)
    assert [p.party.address for p in registry.receivers(snapshot, CPO_PLATFORM, TNM, "locations")] == [MSX]
    assert len(registry.receivers(snapshot, CPO_PLATFORM, TNM, "tariffs")) == 2


@pytest.mark.req("SEC-40", "HUB-51")
def test_open_routing_chooses_among_those_it_may_reach() -> None:
    small = world(CPO_PLATFORM, EMSP_PLATFORM, SECOND_EMSP)
    asked = ask("cdrs", "RECEIVER", "POST", to=None, sender=TNM, caller=CPO_PLATFORM)

    snapshot = under(rule("deny", "NL*TNM", "BE*MSX"), of=small)
    lookup = decide(asked, snapshot, HUB)
    assert isinstance(lookup, NeedsLookup)

    route = open_routing.resolve(asked, lookup, snapshot, query="", body=b"{}")

    assert isinstance(route, Direct)
    assert route.place.party.address == EMS


@pytest.mark.req("SEC-40", "SEC-34", "HUB-51")
def test_open_routing_chooses_nobody_whom_the_owner_of_the_object_may_not_reach() -> None:
    owner = Address("NL", "TN2")
    cpo = platform(1, (TNM, "CPO"), (owner, "CPO"))
    snapshot = under(rule("deny", "NL*TN2", "BE*MSX"), of=world(cpo, EMSP_PLATFORM, SECOND_EMSP))
    asked = ask("tariffs", "RECEIVER", "PUT", "NL", "TN2", "T1", to=None, sender=TNM, caller=cpo)
    lookup = decide(asked, snapshot, HUB)
    assert isinstance(lookup, NeedsLookup)

    route = open_routing.resolve(asked, lookup, snapshot, query="", body=b"{}")

    assert isinstance(route, Direct)
    assert route.place.party.address == EMS


@pytest.mark.req("SEC-40")
def test_a_party_is_visible_while_there_is_anything_between_the_two() -> None:
    assert permissions.visible(WORLD, EMS, TNM)
    assert not permissions.visible(under(rule("deny", "DE*EMS", "NL*TNM", mutual=True)), EMS, TNM)
    assert permissions.visible(under(rule("deny", "DE*EMS", "NL*TNM")), EMS, TNM)
    assert permissions.visible(under(rule("allow", "NL*TNM", "DE*EMS", "cdrs", "PUSH"), default=False), EMS, TNM)
    assert not permissions.visible(under(rule("allow", "FR*CPX", "DE*EMS"), default=False), EMS, TNM)


@pytest.mark.req("SEC-40", "HUB-36", "HUB-40")
def test_what_a_default_or_a_wildcard_gives_is_not_explicit() -> None:
    scsp = platform(9, (Address("AT", "SCS"), "SCSP"), endpoints={("sessions", "RECEIVER"): "https://9.example/s"})
    everybody = world(CPO_PLATFORM, EMSP_PLATFORM, scsp)
    named = under(rule("allow", "NL*TNM", ":SCSP", "sessions", broadcast=True), of=everybody)

    def explicit(snapshot: Snapshot) -> bool:
        return permissions.explicit(snapshot, Address("AT", "SCS"), TNM, "sessions", "PULL")

    assert not explicit(everybody)
    assert not explicit(under(rule("allow", "any", "any", mutual=True), of=everybody))
    assert explicit(under(rule("allow", ":SCSP", "NL*TNM", "sessions"), of=everybody))
    assert [p.party.role for p in registry.receivers(named, CPO_PLATFORM, TNM, "sessions")] == ["SCSP"]
    assert list(registry.receivers(everybody, CPO_PLATFORM, TNM, "sessions")) == []


@pytest.mark.parametrize("text", ["", "N", "NLTNM", "NL*", "*TNM", "NL*TN", "NL*TNMX:CPO"])
def test_a_text_that_names_nobody_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is none of"):
        Who.parse(text)


def test_ten_thousand_agreements_cost_no_request_anything() -> None:
    """Rules that name others are not even looked at."""
    others = [
        rule("allow", f"N{number // 1000}*{number % 1000:03d}", f"D{number // 1000}*{number % 1000:03d}", mutual=True)
        for number in range(10_000)
    ]
    snapshot = under(*others, rule("allow", "NL*TNM", "DE*EMS"), default=False)

    looked_at = list(permissions.rules_of(snapshot).about(TNM.key, EMS.key))

    assert len(looked_at) == 1
    assert permissions.allowed(snapshot, TNM, EMS, "locations", "PUSH")
    assert not permissions.allowed(snapshot, CPX, EMS, "locations", "PUSH")
