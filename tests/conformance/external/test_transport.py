"""Transport and format: what holds at every endpoint, whatever its module (OCPI 2.2.1, Transport and format)."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.conformance.external.cases import OURS, Case, Step, row
from tests.conformance.external.conftest import Judge
from tests.conformance.external.target import IDS, ROUTING, Interface, Target, join

CONFIGURATION: list[Any] = ["versions", "details", "credentials"]
# Where a GET means something, or at least a 405: every interface a platform may advertise.
INTERFACES: list[Interface] = [
    (module, role)
    for module in ("locations", "sessions", "cdrs", "tariffs", "tokens", "commands", "chargingprofiles")
    for role in ("SENDER", "RECEIVER")
]
LISTS: list[Interface] = [(module, "SENDER") for module in ("locations", "sessions", "cdrs", "tariffs", "tokens")]
BELOW = {"RECEIVER": "ZZ/ZZZ/NOT-THERE", "SENDER": ""}
SINCE = {"date_from": "2020-01-01T00:00:00Z"}
WRONG = [
    ("an unknown token", "Token bm8tc3VjaC10b2tlbg=="),
    ("another scheme", "Bearer bm8tc3VjaC10b2tlbg=="),
    ("no Base64", "Token %%%"),
    ("an empty token", "Token "),
]


def urls_of(target: Target, place: Any) -> str:
    """Return the URL of a configuration endpoint, or of an interface."""
    if place == "versions":
        return target.versions_url
    if place == "details":
        return target.details_url
    if place == "credentials":
        return target.credentials_url
    if place not in target.endpoints:
        pytest.skip(f"{place[0]} {place[1]} is not advertised")
    url = target.endpoints[place]
    return join(url, BELOW[place[1]] if place[0] not in ("cdrs", "commands", "chargingprofiles") else "")


def named(place: Any) -> str:
    return place if isinstance(place, str) else " ".join(place)


every_place = pytest.mark.parametrize("place", [*CONFIGURATION, *INTERFACES], ids=named)


@pytest.mark.req("TRN-003", "TRN-008", "PIT-04", "VER-05")
@every_place
def test_without_authorization_nobody_gets_in(target: Target, place: Any) -> None:
    answer = target.get(urls_of(target, place), headers={"Authorization": None})

    assert answer.http == 401, answer.shown


@pytest.mark.level(OURS)
@pytest.mark.req("TRN-012")
@every_place
def test_a_401_is_an_envelope_without_data(target: Target, place: Any) -> None:
    answer = target.get(urls_of(target, place), headers={"Authorization": None})

    assert isinstance(answer.code, int), answer.shown
    assert 2000 <= answer.code <= 2999, answer.shown
    assert answer.data is None, answer.shown


@pytest.mark.req("TRN-008", "TRN-009")
@pytest.mark.parametrize(("what", "header"), WRONG, ids=[what for what, _ in WRONG])
@pytest.mark.parametrize("place", ["versions", "details", *LISTS[:1], ("tokens", "SENDER")], ids=named)
def test_who_shows_something_else_gets_401(target: Target, place: Any, what: str, header: str) -> None:
    answer = target.get(urls_of(target, place), headers={"Authorization": header})

    assert answer.http == 401, f"{what}: {answer.shown}"


@pytest.mark.level(OURS)
@pytest.mark.req("TRN-011")
@pytest.mark.parametrize("place", ["versions", *LISTS], ids=named)
def test_the_scheme_and_the_names_of_headers_may_have_any_case(target: Target, place: Any) -> None:
    shown = target.authorization.replace("Token", "tOKEN", 1)
    headers = {"Authorization": None, "aUTHORIZATION": shown}

    answer = target.get(urls_of(target, place), headers=headers, query=SINCE)

    assert answer.http == 200, answer.shown


@pytest.mark.req("TRN-056", "TRN-057", "TRN-058", "PIT-22")
@pytest.mark.parametrize("asked", ["as it should be", "without a token", "with PUT", "with bytes"])
@every_place
def test_both_ids_are_on_every_answer(target: Target, place: Any, asked: str) -> None:
    url = urls_of(target, place)
    if asked == "with bytes":
        answer = target.request("PUT", url, b"{", interface=place if isinstance(place, tuple) else None)
    elif asked == "with PUT":
        answer = target.request("PUT", url + "-not-there", {})
    else:
        headers = {"Authorization": None} if asked == "without a token" else {}
        answer = target.get(url, headers=headers)

    assert not {"TRN-056", "TRN-057"} & set(answer.odd), answer.odd


@pytest.mark.level(OURS)
@pytest.mark.req("TRN-060")
@pytest.mark.parametrize("value", ["not-a-uuid", "x" * 255, "Ab.1/2:3"])
def test_ids_are_opaque(target: Target, value: str) -> None:
    answer = target.get(target.versions_url, headers=dict.fromkeys(IDS, value))

    assert [answer.headers.get(name) for name in IDS] == [value, value]


@pytest.mark.level(OURS)
@pytest.mark.req("TRN-061")
@pytest.mark.parametrize("missing", IDS)
def test_a_request_without_an_id_is_served_and_gets_one(target: Target, missing: str) -> None:
    answer = target.get(target.versions_url, headers={missing: None})

    assert answer.http == 200, answer.shown
    assert answer.headers.get(missing)


@pytest.mark.req("HUB-01", "HUB-02", "VER-24", "CRED-59")
@pytest.mark.parametrize("place", CONFIGURATION, ids=named)
def test_configuration_modules_have_no_routing_headers(target: Target, place: Any) -> None:
    sent = dict.fromkeys(ROUTING[::2], "NL") | dict.fromkeys(ROUTING[1::2], "TST")

    plain, with_routing = target.get(urls_of(target, place)), target.get(urls_of(target, place), headers=sent)

    assert (plain.http, with_routing.http) == (200, 200), with_routing.shown
    for answer in (plain, with_routing):
        assert not [name for name in ROUTING if answer.headers.get(name)]


@pytest.mark.req("HUB-03", "HUB-08")
@pytest.mark.parametrize("place", LISTS, ids=named)
def test_an_answer_swaps_the_routing_headers(target: Target, place: Interface) -> None:
    url = urls_of(target, place)
    sent = target.routing(place)
    if len(sent) < len(ROUTING):
        pytest.skip("needs --ocpi-party and --ocpi-to")

    answer = target.get(url, interface=place, query=SINCE)

    assert answer.http == 200, answer.shown
    for name in ("country-code", "party-id"):
        assert answer.headers.get(f"OCPI-to-{name}", "").upper() == str(sent[f"OCPI-from-{name}"]).upper()
        assert answer.headers.get(f"OCPI-from-{name}", "").upper() == str(sent[f"OCPI-to-{name}"]).upper()


@pytest.mark.level(OURS)
@pytest.mark.req("HUB-09")
@pytest.mark.parametrize("place", LISTS, ids=named)
def test_error_answers_have_routing_headers_too(target: Target, place: Interface) -> None:
    url = urls_of(target, place)

    answer = target.get(url, interface=place, query={"limit": "-1"})

    assert answer.code != 1000, answer.shown
    assert "HUB-08" not in answer.odd, answer.odd


@pytest.mark.level(OURS)
@pytest.mark.req("HUB-05")
@pytest.mark.parametrize("place", LISTS, ids=named)
def test_half_an_address_is_refused(target: Target, place: Interface) -> None:
    url = urls_of(target, place)

    answer = target.get(url, interface=place, query=SINCE, headers={"OCPI-to-party-id": None})

    assert (answer.http, answer.code) == (200, 2001), answer.shown


@pytest.mark.level(OURS)
@pytest.mark.req("HUB-10")
@pytest.mark.parametrize("place", LISTS, ids=named)
def test_nobody_speaks_for_a_party_that_is_not_its_own(target: Target, place: Interface) -> None:
    url = urls_of(target, place)
    stranger = {"OCPI-from-country-code": "ZZ", "OCPI-from-party-id": "ZZZ"}

    answer = target.get(url, interface=place, query=SINCE, headers=stranger)

    assert (answer.http, answer.code) == (200, 2001), answer.shown


@pytest.mark.level(OURS)
@pytest.mark.req("TRN-022", "TRN-124")
@pytest.mark.parametrize("place", ["versions", "details", "credentials", *LISTS], ids=named)
def test_one_slash_more_at_the_end_makes_no_difference(target: Target, place: Any) -> None:
    url = urls_of(target, place)
    other = url.rstrip("/") if url.endswith("/") else url + "/"

    answers = [target.get(each, interface=place if isinstance(place, tuple) else None, query=SINCE)
               for each in (url, other)]  # fmt: skip

    assert [answer.http for answer in answers] == [200, 200], answers[1].shown
    assert answers[0].data == answers[1].data


LOCATIONS, SESSIONS, CDRS = pytest.mark.req("LOC-06"), pytest.mark.req("SES-07"), pytest.mark.req("CDR-05")
TARIFFS, TOKENS = pytest.mark.req("TAR-05"), pytest.mark.req("TOK-06")
COMMANDS, PROFILES = pytest.mark.req("CMD-03"), pytest.mark.req("CHP-06")
_METHODS = [
    row(
        mark,
        OURS,
        f"{method} {path}",
        Step(method, path, (lambda run: {}) if method not in ("GET", "DELETE") else None, http=(405,), code=(2000,)),
        interface=interface,
    )
    for mark, interface, path, methods in [
        (LOCATIONS, ("locations", "SENDER"), "", ("POST", "PUT", "PATCH", "DELETE")),
        (LOCATIONS, ("locations", "SENDER"), "{id}", ("POST", "PUT", "PATCH", "DELETE")),
        (LOCATIONS, ("locations", "RECEIVER"), "{owner}/{id}", ("POST", "DELETE")),
        (SESSIONS, ("sessions", "SENDER"), "", ("POST", "PUT", "PATCH", "DELETE")),
        (SESSIONS, ("sessions", "RECEIVER"), "{owner}/{id}", ("POST", "DELETE")),
        (CDRS, ("cdrs", "SENDER"), "", ("POST", "PUT", "PATCH", "DELETE")),
        (CDRS, ("cdrs", "RECEIVER"), "", ("GET", "PUT", "PATCH", "DELETE")),
        (TARIFFS, ("tariffs", "SENDER"), "", ("POST", "PUT", "PATCH", "DELETE")),
        (TARIFFS, ("tariffs", "RECEIVER"), "{owner}/{id}", ("POST", "PATCH")),
        (TOKENS, ("tokens", "SENDER"), "", ("POST", "PUT", "PATCH", "DELETE")),
        (TOKENS, ("tokens", "SENDER"), "{id}/authorize", ("GET", "PUT", "PATCH", "DELETE")),
        (TOKENS, ("tokens", "RECEIVER"), "{owner}/{id}", ("POST", "DELETE")),
        (COMMANDS, ("commands", "RECEIVER"), "START_SESSION", ("GET", "PUT", "PATCH", "DELETE")),
        (COMMANDS, ("commands", "RECEIVER"), "STOP_SESSION", ("GET", "PUT", "PATCH", "DELETE")),
        (PROFILES, ("chargingprofiles", "RECEIVER"), "{id}", ("POST", "PATCH")),
        (PROFILES, ("chargingprofiles", "SENDER"), "{id}", ("GET", "PATCH", "DELETE")),
    ]
    for method in methods
]


@pytest.mark.req("TRN-015", "TRN-021")
@pytest.mark.parametrize("case", _METHODS)
def test_methods_that_a_module_does_not_have(judge: Judge, case: Case) -> None:
    judge(case)


@pytest.mark.req("TRN-021", "CRED-05")
@pytest.mark.parametrize(
    ("place", "methods"),
    [("versions", ("POST", "PUT", "PATCH", "DELETE")), ("details", ("POST", "PUT", "PATCH", "DELETE")),
     ("credentials", ("PATCH",))],
)  # fmt: skip
def test_methods_that_configuration_modules_do_not_have(target: Target, place: str, methods: tuple[str, ...]) -> None:
    for method in methods:
        answer = target.request(method, urls_of(target, place), {})
        assert answer.http == 405, f"{method}: {answer.shown}"
        assert answer.headers.get("Allow"), f"{method}: no Allow header"


@pytest.mark.level(OURS)
@pytest.mark.req("TRN-035", "TRN-040")
@pytest.mark.parametrize("place", ["versions", *LISTS], ids=named)
def test_what_does_not_exist_is_a_404_with_an_envelope(target: Target, place: Any) -> None:
    url = join(urls_of(target, place), f"not-there-{uuid.uuid4()}/at/all/of/it")

    answer = target.get(url, interface=place if isinstance(place, tuple) else None)

    assert answer.http == 404, answer.shown
    assert isinstance(answer.code, int), answer.shown
    assert answer.code >= 2000, answer.shown


@pytest.mark.req("TRN-025", "TRN-026", "TRN-027")
@pytest.mark.parametrize("place", ["versions", "details", "credentials", *LISTS], ids=named)
def test_an_answer_is_an_envelope_of_now(target: Target, place: Any) -> None:
    answer = target.get(urls_of(target, place), interface=place if isinstance(place, tuple) else None, query=SINCE)

    assert not {"TRN-025", "TRN-026", "TRN-027"} & set(answer.odd), answer.odd
    assert (answer.http, answer.code) == (200, 1000), answer.shown
