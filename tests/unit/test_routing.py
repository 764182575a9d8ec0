"""Which way a message goes: headers and a registry in, a decision or a status code out. No database."""

from __future__ import annotations

from typing import Any

import pytest

from hub import registry, roles
from hub.routing import Asked, Broadcast, Direct, GetAll, NeedsLookup, decide
from ocpi import status
from ocpi.headers import Address, Routing
from ocpi.snapshot import KnownParty, KnownPlatform, Snapshot

HUB = Address("NL", "HUB")
TNM, CPX, EMS, MSX = Address("NL", "TNM"), Address("FR", "CPX"), Address("DE", "EMS"), Address("BE", "MSX")
CPO_SERVES = (
    ("locations", "SENDER"), ("tariffs", "SENDER"), ("sessions", "SENDER"), ("cdrs", "SENDER"),
    ("tokens", "RECEIVER"), ("commands", "RECEIVER"),
)  # fmt: skip
EMSP_SERVES = tuple((module, "RECEIVER" if role == "SENDER" else "SENDER") for module, role in CPO_SERVES)


def platform(number: int, *parties: tuple[Address, str], **changes: object) -> KnownPlatform:
    serves = CPO_SERVES if parties[0][1] == "CPO" else EMSP_SERVES
    values: dict[str, object] = {
        "id": number,
        "name": f"platform {number}",
        "state": "REGISTERED",
        "connection": "CONNECTED",
        "version": "2.2.1",
        "base64_token": True,
        "sealed_token": "",
        "hosts": frozenset(),
        "paused": False,
        "catch_up": "after_grace",
        "parties": tuple(
            KnownParty(address, role, number, True, True, False, "CONNECTED", {}) for address, role in parties
        ),
        "endpoints": {key: f"https://{number}.example/{key[0]}" for key in serves},
    }
    return KnownPlatform(**{**values, **changes})  # type: ignore[arg-type]


def world(*platforms: KnownPlatform) -> Snapshot:
    parties: dict[tuple[str, str], tuple[KnownParty, ...]] = {}
    for each in platforms:
        for party in each.parties:
            parties[party.address.key] = (*parties.get(party.address.key, ()), party)
    return Snapshot(platforms={each.id: each for each in platforms}, parties=parties)


CPO_PLATFORM = platform(1, (TNM, "CPO"))
EMSP_PLATFORM = platform(2, (EMS, "EMSP"))
SECOND_EMSP = platform(3, (MSX, "EMSP"))
SECOND_CPO = platform(4, (CPX, "CPO"))
OFFLINE_CPO = platform(5, (Address("XX", "OFF"), "CPO"), connection="OFFLINE")
WITHOUT_COMMANDS = platform(
    6, (Address("XX", "NOC"), "CPO"), endpoints={("tokens", "RECEIVER"): "https://6.example/tokens"}
)
WORLD = world(CPO_PLATFORM, EMSP_PLATFORM, SECOND_EMSP, SECOND_CPO, OFFLINE_CPO, WITHOUT_COMMANDS)


def ask(
    module: str,
    interface: str,
    method: str,
    *tail: str,
    to: Address | None,
    sender: Address | None,
    caller: KnownPlatform,
) -> Asked:
    return Asked(module, interface, method, tail, Routing(to, sender), caller)


@pytest.mark.req("HUB-12", "HUB-14")
def test_a_request_to_another_party_goes_to_its_platform_with_its_addresses_unchanged() -> None:
    asked = ask("commands", "RECEIVER", "POST", "START_SESSION", to=TNM, sender=EMS, caller=EMSP_PLATFORM)

    route = decide(asked, WORLD, HUB)

    assert isinstance(route, Direct)
    assert route.place.platform is CPO_PLATFORM
    assert route.routing == Routing(to=TNM, sender=EMS)


@pytest.mark.req("HUB-04")
def test_addresses_are_compared_without_regard_to_case() -> None:
    asked = ask(
        "locations", "SENDER", "GET", "LOC1", to=Address("nl", "tnm"), sender=Address("de", "ems"), caller=EMSP_PLATFORM
    )

    assert isinstance(decide(asked, WORLD, HUB), Direct)


@pytest.mark.parametrize(
    ("method", "module", "sender", "caller"),
    [
        ("PUT", "locations", TNM, CPO_PLATFORM),
        ("PATCH", "locations", TNM, CPO_PLATFORM),
        ("PUT", "tariffs", TNM, CPO_PLATFORM),
        ("PUT", "tokens", EMS, EMSP_PLATFORM),
        ("PATCH", "tokens", EMS, EMSP_PLATFORM),
    ],
)
@pytest.mark.req("HUB-28", "HUB-39")
def test_a_push_to_the_hub_is_a_broadcast(method: str, module: str, sender: Address, caller: KnownPlatform) -> None:
    asked = ask(module, "RECEIVER", method, "X", "YYY", "1", to=HUB, sender=sender, caller=caller)

    assert decide(asked, WORLD, HUB) == Broadcast(sender)


@pytest.mark.req("HUB-57", "PIT-79")
def test_a_get_of_a_list_to_the_hub_is_get_all() -> None:
    asked = ask("locations", "SENDER", "GET", to=HUB, sender=EMS, caller=EMSP_PLATFORM)

    assert decide(asked, WORLD, HUB) == GetAll(EMS)


@pytest.mark.req("HUB-51", "HUB-35")
@pytest.mark.parametrize(
    ("role", "module", "interface", "expected"),
    [
        ("EMSP", "commands", "RECEIVER", "CPO OTHER"),
        ("CPO", "commands", "RECEIVER", ""),
        ("CPO", "commands", "SENDER", "EMSP OTHER"),
        ("SCSP", "chargingprofiles", "RECEIVER", "CPO OTHER"),
        ("EMSP", "chargingprofiles", "SENDER", "OTHER SCSP"),
        ("CPO", "locations", "SENDER", ""),
        ("EMSP", "locations", "SENDER", "CPO NAP OTHER"),
        ("NAP", "locations", "SENDER", "CPO OTHER"),
        ("EMSP", "locations", "RECEIVER", ""),
        ("CPO", "tokens", "SENDER", "EMSP OTHER"),
        ("EMSP", "tokens", "SENDER", ""),
        ("EMSP", "sessions", "RECEIVER", ""),
        ("OTHER", "commands", "RECEIVER", "CPO"),
        ("OTHER", "tokens", "SENDER", ""),
        ("OTHER", "cdrs", "RECEIVER", ""),
        ("HUB", "commands", "RECEIVER", ""),
    ],
)
def test_somebody_is_led_to_the_roles_that_are_opposite_to_his(
    role: str, module: str, interface: str, expected: str
) -> None:
    assert roles.opposite([role], module, interface) == set(expected.split())


@pytest.mark.req("HUB-51")
def test_who_asks_and_who_answers_is_said_of_each_interface() -> None:
    assert roles.ASKING.keys() == roles.SERVING.keys() == roles.METHODS.keys()


@pytest.mark.req("HUB-30")
def test_a_tariff_may_be_deleted_everywhere() -> None:
    asked = ask("tariffs", "RECEIVER", "DELETE", "NL", "TNM", "T1", to=HUB, sender=TNM, caller=CPO_PLATFORM)

    assert isinstance(decide(asked, WORLD, HUB), Broadcast)


@pytest.mark.req("HUB-30")
def test_a_hub_may_do_without_deletions_for_all(settings: Any) -> None:
    settings.OCPI_HUB_BROADCASTS_DELETE = False
    asked = ask("tariffs", "RECEIVER", "DELETE", "NL", "TNM", "T1", to=HUB, sender=TNM, caller=CPO_PLATFORM)

    with pytest.raises(status.MethodNotAllowed) as refused:
        decide(asked, WORLD, HUB)

    assert refused.value.headers == {"Allow": "PUT"}


REFUSED = {
    "nobody at the address": (
        "commands", "RECEIVER", "POST", Address("ZZ", "ZZZ"), EMS, EMSP_PLATFORM, status.UnknownReceiver,
    ),
    "party offline": (
        "commands", "RECEIVER", "POST", Address("XX", "OFF"), EMS, EMSP_PLATFORM, status.ReceiverUnreachable,
    ),
    "module not offered": (
        "commands", "RECEIVER", "POST", Address("XX", "NOC"), EMS, EMSP_PLATFORM, status.HubError,
    ),
    "no From": ("commands", "RECEIVER", "POST", TNM, None, EMSP_PLATFORM, status.InvalidParameters),
    "a foreign From": ("commands", "RECEIVER", "POST", TNM, MSX, EMSP_PLATFORM, status.InvalidParameters),
    "GET on a Receiver interface of the hub": (
        "locations", "RECEIVER", "GET", HUB, TNM, CPO_PLATFORM, status.InvalidParameters,
    ),
    "a command to the hub": ("commands", "RECEIVER", "POST", HUB, EMS, EMSP_PLATFORM, status.UnknownReceiver),
    "authorize at the hub": ("tokens", "SENDER", "POST", HUB, TNM, CPO_PLATFORM, status.UnknownReceiver),
    "CDRs for all": ("cdrs", "RECEIVER", "POST", HUB, TNM, CPO_PLATFORM, status.InvalidParameters),
    "Sessions for all": ("sessions", "RECEIVER", "PUT", HUB, TNM, CPO_PLATFORM, status.InvalidParameters),
    "an eMSP pushing Locations": ("locations", "RECEIVER", "PUT", HUB, EMS, EMSP_PLATFORM, status.InvalidParameters),
    "a list without To": ("locations", "SENDER", "GET", None, EMS, EMSP_PLATFORM, status.InvalidParameters),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=str)
@pytest.mark.req("HUB-10", "HUB-26", "HUB-29", "HUB-40", "HUB-55", "HUB-64", "HUB-66", "HUB-67")
def test_what_goes_nowhere_has_its_own_status_code(case: str) -> None:
    module, interface, method, to, sender, caller, expected = REFUSED[case]
    asked = ask(module, interface, method, to=to, sender=sender, caller=caller)

    with pytest.raises(expected):
        decide(asked, WORLD, HUB)


@pytest.mark.req("HUB-48", "HUB-50")
@pytest.mark.parametrize(("module", "interface", "method", "tail", "for_all"), [
    ("cdrs", "RECEIVER", "POST", (), False), ("locations", "SENDER", "GET", ("LOC1",), False),
    ("locations", "RECEIVER", "PUT", ("NL", "TNM", "LOC1"), True),
    ("sessions", "RECEIVER", "PATCH", ("NL", "TNM", "S1"), False),
    ("tariffs", "RECEIVER", "DELETE", ("NL", "TNM", "T1"), True),
])  # fmt: skip
def test_without_to_headers_content_and_traffic_decide(
    module: str, interface: str, method: str, tail: tuple[str, ...], for_all: bool
) -> None:
    asked = ask(module, interface, method, *tail, to=None, sender=TNM, caller=CPO_PLATFORM)

    assert decide(asked, WORLD, HUB) == NeedsLookup(TNM, may_broadcast=for_all)


@pytest.mark.req("HUB-35", "HUB-37", "HUB-38")
def test_a_broadcast_reaches_each_party_of_the_opposite_role_once() -> None:
    two_emsps = platform(7, (Address("DE", "ONE"), "EMSP"), (Address("DE", "TWO"), "EMSP"))
    own_emsp = platform(1, (TNM, "CPO"), (Address("NL", "OWN"), "EMSP"))
    no_receiver = platform(8, (Address("DE", "NOR"), "EMSP"), endpoints={})
    everybody = world(own_emsp, EMSP_PLATFORM, SECOND_EMSP, SECOND_CPO, two_emsps, no_receiver)

    places = registry.receivers(everybody, own_emsp, TNM, "locations")

    assert sorted(str(place.party.address) for place in places) == ["BE*MSX", "DE*EMS", "DE*ONE", "DE*TWO"]


@pytest.mark.req("HUB-35")
def test_what_an_other_party_pushes_goes_to_cpos_only() -> None:
    other = platform(9, (Address("AT", "OTH"), "OTHER"))
    everybody = world(other, EMSP_PLATFORM, CPO_PLATFORM)

    places = registry.receivers(everybody, other, Address("AT", "OTH"), "tokens")

    assert [str(place.party.address) for place in places] == ["NL*TNM"]


@pytest.mark.req("PIT-85", "HUB-14")
def test_of_two_roles_at_one_address_the_interface_decides() -> None:
    as_cpo, as_emsp = platform(1, (TNM, "CPO")), platform(2, (TNM, "EMSP"))
    everybody = world(as_cpo, as_emsp, SECOND_EMSP)

    place = registry.find(everybody, TNM, module="commands", interface="RECEIVER")

    assert place.platform is as_cpo
    assert registry.find(everybody, TNM, module="locations", interface="RECEIVER").platform is as_emsp


@pytest.mark.req("HUB-66")
def test_of_two_roles_at_one_address_it_counts_whether_the_one_that_is_meant_is_connected() -> None:
    everybody = world(platform(1, (TNM, "CPO"), connection="OFFLINE"), platform(2, (TNM, "EMSP")))

    with pytest.raises(status.ReceiverUnreachable):
        registry.find(everybody, TNM, module="commands", interface="RECEIVER")


@pytest.mark.req("TAR-05")
def test_a_tariff_has_no_patch() -> None:
    asked = ask("tariffs", "RECEIVER", "PATCH", "NL", "TNM", "T1", to=HUB, sender=TNM, caller=CPO_PLATFORM)

    with pytest.raises(status.MethodNotAllowed) as refused:
        decide(asked, WORLD, HUB)

    assert refused.value.headers == {"Allow": "PUT, DELETE"}
