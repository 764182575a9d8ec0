"""Who may do what at our doors, for every route of the endpoint tables."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver

import hub.settings
import hub.urls
from cpo.models import CDR, Session, Token
from emsp import models as emsp_models
from emsp.models import EVSE, Location
from hub import forwarding
from hub.models import SharedObject
from hub.views import RouteView
from ocpi import defects, endpoints, snapshot, status
from ocpi.enums import InterfaceRole, ModuleID, Role
from ocpi.models import CredentialsToken, Party, Platform
from ocpi.views import METHODS, OcpiView, UnknownPath
from tests import front_doors
from tests.fixtures import Document, Partner, Side
from tests.people import Person
from tests.platforms import Listener

SIDES = pytest.mark.parametrize(
    ("sides", "parties"),
    [
        (["hub"], ["NL*HUB:HUB"]),
        (["cpo"], ["NL*TNM:CPO"]),
        (["emsp"], ["DE*EMS:EMSP"]),
        (["cpo", "emsp"], ["NL*TNM:CPO", "DE*EMS:EMSP"]),
    ],
    ids=lambda value: "+".join(value),
)
# What else may be asked for, by the beginning of its path, and who is let in there.
PAGES = {
    "livez": "anybody", "readyz": "anybody", "metrics": "local", "docs/": "anybody", "openapi.json": "anybody",
    "admin/": "staff", "live/": "staff", "api/ocpp/v1/": "token", "^api/ocpp/v1/": "token",
    "ocpp/files/": "a key for one file", "favicon.ico": "anybody",
}  # fmt: skip


# What is there for those who are not registered yet.
CONFIGURATION = {"/ocpi/versions", "/ocpi/2.2.1", "/ocpi/2.2.1/credentials"}


def routes(tree: dict[str, Any], path: str = "") -> Iterator[tuple[str, type[OcpiView], dict[str, str]]]:
    """Give every URL below /ocpi/ with its view, something in the place of each parameter."""
    if "view" in tree:
        yield f"/ocpi{path}", tree["view"].cls, {}
    for part, node in tree["below"].items():
        yield from routes(node, f"{path}/{'NL' if part == endpoints._PARAMETER else part}")


def patterns(found: list[Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in found:
        path = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from patterns(pattern.url_patterns, path)
        else:
            assert isinstance(pattern, URLPattern)
            yield path, pattern.callback


def urls() -> list[tuple[str, Any]]:
    """Return all URL patterns of an instance with the sides that are set now."""
    spec = importlib.util.spec_from_file_location("urls_of_this_test", hub.urls.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(patterns(module.urlpatterns))


@pytest.mark.req("SEC-32")
@SIDES
def test_there_is_no_way_in_beside_the_doors(side: Side, sides: list[str], parties: list[str]) -> None:
    side(*sides, parties=parties)
    found = urls()
    ocpi = [callback for path, callback in found if path.startswith("^ocpi")]
    assert ocpi == [endpoints.entrance], "everything below /ocpi/ arrives at one function"
    others = [path for path, _ in found if not path.startswith("^ocpi")]
    assert [path for path in others if path and not path.startswith(tuple(PAGES))] == []  # "" leads to the admin
    for path, view, _ in routes(endpoints._tree(tuple(sides))):
        assert issubclass(view, OcpiView), path
        assert view.dispatch in (OcpiView.dispatch, RouteView.dispatch), f"{path} has an entrance of its own"
        assert view._handle in (OcpiView._handle, UnknownPath._handle), path
        assert view._answer is OcpiView._answer, path


@pytest.mark.req("SEC-32", "SEC-51", "SEC-05")
@SIDES
def test_nothing_of_a_view_runs_without_a_valid_token(
    side: Side, sides: list[str], parties: list[str], monkeypatch: pytest.MonkeyPatch, emsp: Person, invited: Person
) -> None:
    """Strangers, revoked tokens, a token of a partner that is for our calls, a token A: 401 before any handler."""
    side(*sides, parties=parties)
    CredentialsToken.objects.filter(platform=emsp.platform).update(expires_at="2020-01-01T00:00Z")
    snapshot.changed()
    shown = [None, "Token bm9ib2R5", emsp.authorization, Person(emsp.token_out).authorization]
    client = Client()
    views = {path: view for path, view, _ in routes(endpoints._tree(tuple(sides)))}
    views["/ocpi/2.2.1/nothing"] = UnknownPath
    for path, view in views.items():
        for method in METHODS:
            if hasattr(view, method):
                monkeypatch.setattr(view, method, _must_not_run)
        monkeypatch.setattr(RouteView, "_route", _must_not_run)
        purposes = view.purposes if view.dispatch is OcpiView.dispatch else frozenset({"CURRENT"})
        assert ("A" in purposes) is (path in CONFIGURATION), path
        for token in shown if "A" in purposes else [*shown, invited.authorization]:
            for method in (*METHODS, "options", "head"):
                headers = {"Authorization": token} if token else {}
                answer = client.generic(method.upper(), path, b"{", "application/json", headers=headers, RAW_URI=path)
                assert answer.status_code == 401, f"{method} {path} {token}"


@pytest.mark.req("SEC-32", "SEC-05")
def test_the_fast_lane_passes_nothing_on_for_strangers(
    hub_side: None, monkeypatch: pytest.MonkeyPatch, emsp: Person, cpo: Person, invited: Person
) -> None:
    front_doors.use_lane(monkeypatch)
    monkeypatch.setattr(forwarding, "pass_on", _must_not_run)
    CredentialsToken.objects.filter(platform=emsp.platform).update(expires_at="2020-01-01T00:00Z")
    snapshot.changed()
    shown = [None, "Token bm9ib2R5", emsp.authorization, Person(emsp.token_out).authorization, invited.authorization]
    routing = {"OCPI-from-country-code": "DE", "OCPI-from-party-id": "EMS"}
    routing |= {"OCPI-to-country-code": "NL", "OCPI-to-party-id": "TNM"}
    for path, view, _ in routes(endpoints._tree(("hub",))):
        if not issubclass(view, RouteView):
            continue
        for number, method in enumerate(METHODS):
            token = shown[number % len(shown)]
            headers = routing | ({"Authorization": token} if token else {})
            answer = front_doors.LaneClient().generic(method.upper(), path, b"{}", headers=headers)
            assert answer.status_code == 401, f"{method} {path} {token}"


def _must_not_run(*_: object, **__: object) -> Any:
    raise AssertionError("a stranger came in")


@pytest.mark.req("SEC-32", "SEC-35")
@SIDES
def test_every_view_says_who_may(side: Side, sides: list[str], parties: list[str]) -> None:
    side(*sides, parties=parties)
    for path, view, _ in routes(endpoints._tree(tuple(sides))):
        if view.functional and not view.passes_on:
            assert view.owners or view.askers is not None, path
    named = [
        view
        for entry in endpoints._served(tuple(sides))
        for tail, view in entry.views.items()
        if "{country_code}" in tail and not view.passes_on
    ]
    assert all(view.owners or "may_own" in vars(view) for view in named)


@pytest.mark.req("SEC-32")
def test_a_view_that_does_not_say_who_may_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    class Open(OcpiView):
        module = ModuleID.tariffs
        interface = InterfaceRole.SENDER

    entry = endpoints.Serve(ModuleID.tariffs, InterfaceRole.SENDER, "cpo/2.2.1/open", {"": Open})
    monkeypatch.setattr("cpo.endpoints.ENDPOINTS", [entry])
    endpoints._served.cache_clear()
    endpoints._tree.cache_clear()
    try:
        with pytest.raises(TypeError, match="Open does not say who may do this"):
            endpoints._tree(("cpo",))
    finally:
        endpoints._served.cache_clear()
        endpoints._tree.cache_clear()


@pytest.mark.req("SEC-51")
def test_no_setting_opens_the_doors(emsp: Person, cpo_side: None, stranger: Person, settings: Any) -> None:
    """Each yes-or-no setting, and DEBUG, the other way round: strangers stay outside."""
    names = [name for name in vars(hub.settings) if name.isupper() and isinstance(getattr(settings, name), bool)]
    assert "DEBUG" in names
    for name in names:
        if name == "OCPI_EXCHANGES":  # it would write behind the test's back
            continue
        before = getattr(settings, name)
        setattr(settings, name, not before)
        assert stranger.get("cpo/2.2.1/locations").http_status == 401, name
        setattr(settings, name, before)
    for limit in ("OCPI_RATE_PER_PLATFORM", "OCPI_RATE_STRANGERS"):
        setattr(settings, limit, 0)
    assert stranger.get("cpo/2.2.1/locations").http_status == 401
    assert emsp.get("cpo/2.2.1/locations").http_status == 200


# ---- one address in two roles, on two platforms: a role of one gives no rights of the other


@pytest.mark.req("SEC-35", "SEC-34")
def test_a_cpo_does_not_read_the_sessions_of_the_emsp_at_its_address(
    cpo_side: None, emsp: Person, partner: Partner, document: Document
) -> None:
    for model, name in ((Session, "session"), (CDR, "cdr")):
        told = document(name)
        columns: dict[str, Any] = {} if name == "cdr" else {"status": "ACTIVE"}
        model.objects.create(
            country_code="NL", party_id="TNM", object_id=told["id"], document=json.dumps(told),
            last_updated=told["last_updated"], start_date_time=told["start_date_time"], token_uid="1",
            emsp_country_code="DE", emsp_party_id="EMS", **columns,
        )  # fmt: skip
    namesake = partner("DE*EMS:CPO", url="http://127.0.0.1:2222")
    query = {"date_from": "2020-01-01T00:00:00Z"}
    for module in ("sessions", "cdrs"):
        assert len(emsp.get(f"cpo/2.2.1/{module}", query=query).data) == 1
        assert namesake.get(f"cpo/2.2.1/{module}", query=query).data == []
        assert namesake.get(f"cpo/2.2.1/{module}", query=query, sender=None).data == []


@pytest.mark.req("SEC-42", "SEC-37")
def test_of_two_emsps_on_one_platform_each_reads_its_own(cpo_side: None, partner: Partner, document: Document) -> None:
    both = partner("DE*EMS:EMSP", "DE*TWO:EMSP", url="http://127.0.0.1:2222")
    told = document("session")
    Session.objects.create(
        country_code="NL", party_id="TNM", object_id=told["id"], document=json.dumps(told), status="ACTIVE",
        last_updated=told["last_updated"], start_date_time=told["start_date_time"], token_uid="1",
        emsp_country_code="DE", emsp_party_id="EMS",
    )  # fmt: skip
    found = [
        len(both.get("cpo/2.2.1/sessions", query={"date_from": "2020-01-01T00:00:00Z"}, sender=sender).data)
        for sender in ("DE*EMS", "DE*TWO", None)
    ]
    assert found == [1, 0, 1]


@pytest.mark.req("SEC-32", "SEC-34", "SEC-35")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "cpo/2.2.1/sessions/1/charging_preferences", {"profile_type": "GREEN"}),
        ("POST", "cpo/2.2.1/commands/STOP_SESSION", {"session_id": "1", "response_url": "http://127.0.0.1:2222/x"}),
        ("DELETE", "cpo/2.2.1/chargingprofiles/1?response_url=http%3A%2F%2F127.0.0.1%3A2222%2Fx", None),
    ],
)
def test_what_only_an_emsp_may_ask_a_cpo(
    cpo_side: None, emsp: Person, partner: Partner, method: str, path: str, body: Any
) -> None:
    namesake = partner("DE*EMS:CPO", url="http://127.0.0.1:2222")
    for sender in ("DE*EMS", None):
        refused = namesake.request(method, path, body, sender=sender)
        assert refused.codes == (200, 2001)
        assert "OCPI-from-party-id" in refused.message


@pytest.mark.req("SEC-42", "SEC-34")
def test_tokens_are_listed_for_cpos_and_hubs_alone(
    emsp_side: None, cpo: Person, hub: Person, second_emsp: Person, partner: Partner
) -> None:
    path = "emsp/2.2.1/tokens"
    assert cpo.get(path).codes == (200, 1000)
    assert cpo.get(path, sender=None).codes == (200, 1000)
    assert hub.get(path).codes == (200, 1000)
    assert hub.get(path, sender=None).codes == (200, 1000)
    for role in (Role.NSP, Role.SCSP, Role.NAP, Role.OTHER):
        assert partner(f"FR*{role[:3]}:{role}", url="http://127.0.0.1:2").get(path).codes == (200, 2001)
    for sender in ("BE*MSX", None):
        refused = second_emsp.get(path, sender=sender)
        assert refused.codes == (200, 2001)
        assert not refused.has_data
    assert second_emsp.post(f"{path}/1/authorize").codes == (200, 2001), "nor is one asked about"


@pytest.mark.req("SEC-34", "CRED-56")
def test_a_role_that_nobody_approved_gives_nothing(emsp_side: None, partner: Partner, document: Document) -> None:
    claimed = partner("NL*TNM:CPO", approved=False, url="http://127.0.0.1:2")
    assert claimed.get("emsp/2.2.1/tokens", sender=None).codes == (200, 2001)
    assert claimed.put("emsp/2.2.1/locations/NL/TNM/LOC1", document("location"), sender=None).http_status == 404
    Party.objects.update(approved=True)
    snapshot.changed()
    assert claimed.get("emsp/2.2.1/tokens", sender=None).codes == (200, 1000)


@pytest.mark.req("SEC-37")
@pytest.mark.parametrize("module", ["sessions", "cdrs"])
def test_a_driver_of_another_party_of_ours_than_the_addressed(
    side: Side, cpo: Person, document: Document, module: str
) -> None:
    side("emsp", parties=["DE*EMS:EMSP", "DE*TWO:EMSP"])
    told = document(module[:-1])
    where = f"emsp/2.2.1/{module}" + (f"/NL/TNM/{told['id']}" if module == "sessions" else "")
    send = cpo.put if module == "sessions" else cpo.post
    refused = send(where, told, to="DE*TWO")
    assert refused.codes == (200, 2001)
    assert "cdr_token" in refused.message
    assert send(where, told, to="DE*EMS").codes == (201, 1000)


@pytest.mark.req("SEC-37", "CDR-08", "SEC-39")
def test_behind_a_hub_nobody_reads_the_cdr_of_another(emsp_side: None, hub: Person, document: Document) -> None:
    url = hub.post("emsp/2.2.1/cdrs", document("cdr"), sender="NL*TNM").headers["Location"]
    assert hub.get(url, sender="NL*TNM").codes == (200, 1000)
    assert hub.get(url, sender="nl*tnm").codes == (200, 1000)
    assert hub.get(url, sender="BE*HUB").codes == (200, 1000)
    foreign, missing = hub.get(url, sender="FR*CPX"), hub.get(url[:-1], sender="FR*CPX")
    assert foreign.codes == missing.codes == (404, 2000)
    assert foreign.message == missing.message


@pytest.mark.req("SEC-35", "HUB-47")
def test_behind_a_hub_each_speaks_of_its_own(emsp_side: None, hub: Person, document: Document) -> None:
    where = "emsp/2.2.1/locations/NL/TNM/LOC-UTR-0042"
    assert hub.put(where, document("location"), sender="NL*TNM").codes == (201, 1000)
    assert hub.put(where, document("location"), sender="BE*HUB").codes == (200, 1000), "a broadcast of the hub's"
    assert hub.put(where, document("location", name="mine"), sender="FR*CPX").codes == (404, 2003)
    assert hub.get(where, sender="FR*CPX").codes == (404, 2003)
    assert hub.post("emsp/2.2.1/cdrs", document("cdr"), sender="FR*CPX").codes == (200, 2001)
    assert hub.get(where, sender="NL*TNM").data == document("location")


@pytest.mark.req("SEC-35", "CRED-53")
def test_a_hub_that_names_a_party_does_not_become_it(
    emsp_side: None, hub: Person, cpo: Person, document: Document
) -> None:
    """Whoever is connected itself speaks for itself, whatever a hub says of who is behind it."""
    where = "emsp/2.2.1/locations/NL/TNM/LOC-UTR-0042"
    cpo.put(where, document("location"))
    named = document("client_info", country_code="NL", party_id="TNM", role="CPO")
    assert hub.put("2.2.1/hubclientinfo/NL/TNM", named).codes == (201, 1000)
    for sender in ("BE*HUB", None):
        assert hub.get(where, sender=sender).codes == (404, 2003)
        assert hub.put(where, document("location", name="mine"), sender=sender).codes == (404, 2003)
    assert hub.get(where, sender="NL*TNM").codes == (200, 2001)
    assert cpo.get(where).data == document("location")
    Party.objects.filter(platform=cpo.platform).update(claimed=False)
    snapshot.changed()
    assert hub.get(where, sender="NL*TNM").codes == (200, 1000), "it is behind the hub alone now"
    Party.objects.filter(platform=cpo.platform).update(claimed=True)
    Platform.objects.filter(pk=cpo.id).update(state="UNREGISTERED")
    snapshot.changed()
    assert hub.get(where, sender="NL*TNM").codes == (200, 1000), "who has left speaks for nobody"


@pytest.mark.req("SEC-35", "SEC-39")
@pytest.mark.parametrize("to", ["DE*EMS", None, "XX*XXX"])
def test_a_hub_passes_nothing_on_in_anothers_name(
    hub_side: None, partner: Partner, cpo: Person, second_cpo: Person, document: Document, listener: Listener, to: Any
) -> None:
    partner("DE*EMS:EMSP", listener=listener)
    namesake = partner("NL*TNM:EMSP", url="http://127.0.0.1:2")  # at the address of the owner, but no CPO
    where = "hub/2.2.1/receiver/locations/NL/TNM/LOC-UTR-0042"
    for other in (second_cpo, namesake):
        assert other.put(where, document("location"), to=to).codes == (404, 2003)
        assert other.patch(where, {"last_updated": "2030-01-01T00:00:00Z"}, to=to).codes == (404, 2003)
        assert other.get(where, to=to).codes == (404, 2003)
    assert listener.received("PUT") == []
    if to == "DE*EMS":
        assert cpo.put(where, document("location"), to=to).codes == (200, 1000)
        assert len(listener.received("PUT")) == 1


# ---- what is foreign and what is not there look the same


@pytest.mark.req("SEC-39", "SEC-35")
def test_what_is_foreign_or_not_there_looks_the_same_in_a_broadcast(
    hub_side: None, cpo: Person, second_cpo: Person, document: Document, front_door: str
) -> None:
    base = "hub/2.2.1/receiver/locations"
    cpo.put(f"{base}/NL/TNM/LOC-UTR-0042", document("location"))
    change = {"last_updated": "2030-01-01T00:00:00Z"}
    foreign = second_cpo.patch(f"{base}/NL/TNM/LOC-UTR-0042", change)
    for missing in (
        second_cpo.patch(f"{base}/NL/TNM/NONE", change),
        second_cpo.patch(f"{base}/FR/CPX/LOC-UTR-0042", change),
        second_cpo.put(f"{base}/NL/TNM/LOC-UTR-0042", document("location")),
    ):
        assert missing.codes == foreign.codes == (404, 2003)
        assert missing.message == foreign.message
        assert set(missing.headers) == set(foreign.headers)


@pytest.mark.req("SEC-39", "TRN-046")
@pytest.mark.parametrize(
    ("place", "module", "name", "id_name", "code", "methods"),
    [
        ("emsp_side", "locations", "location", "id", 2003, ("GET", "PATCH")),
        ("emsp_side", "sessions", "session", "id", 2000, ("GET", "PATCH")),
        ("emsp_side", "tariffs", "tariff", "id", 2000, ("GET", "DELETE")),
        ("cpo_side", "tokens", "token_rfid", "uid", 2004, ("GET", "PATCH")),
    ],
)
def test_foreign_and_missing_objects_get_the_same_answer(
    request: pytest.FixtureRequest, document: Document, partner: Partner,
    place: str, module: str, name: str, id_name: str, code: int, methods: tuple[str, ...],
) -> None:  # fmt: skip
    request.getfixturevalue(place)
    told = document(name)
    role = "CPO" if place == "emsp_side" else "EMSP"
    owner = partner(f"{told['country_code']}*{told['party_id']}:{role}", url="http://127.0.0.1:2")
    other = partner(f"FR*OTH:{role}", url="http://127.0.0.1:3")
    base, key = f"{place.removesuffix('_side')}/2.2.1/{module}", told[id_name]
    there = f"{base}/{told['country_code']}/{told['party_id']}/{key}"
    assert owner.put(there, told).codes == (201, 1000)
    change = {"last_updated": "2030-01-01T00:00:00Z", "x_note": "mine"}
    for method in methods:
        body = change if method == "PATCH" else None
        foreign = other.request(method, there, body)
        answers = [
            foreign,
            other.request(method, there.replace(key, "N" + key), body),  # foreign, and not there
            other.request(method, f"{base}/FR/OTH/{key}", body),  # its own, and not there
            owner.request(method, there.replace(key, "N" + key), body),  # the owner's own, and not there
        ]
        assert [answer.codes for answer in answers] == [(404, code)] * 4
        assert len({answer.message for answer in answers}) == 1
        assert len({frozenset(answer.headers) for answer in answers}) == 1
        assert not any(answer.has_data for answer in answers)
    assert other.put(there, told).codes == (404, code)
    assert owner.get(there).data == told, "and nothing changed"


OTHERS = {"country_code": "FR", "party_id": "CPX", "id": "OTHER", "uid": "OTHER", "type": "APP_USER"}


@pytest.mark.req("SEC-36", "TRN-090")
@pytest.mark.parametrize(
    ("place", "who", "path", "name", "below", "members"),
    [
        ("emsp_side", "cpo", "emsp/2.2.1/locations/NL/TNM", "location", "", ("country_code", "party_id", "id")),
        ("emsp_side", "cpo", "emsp/2.2.1/locations/NL/TNM", "location", "/TNM-UTR-0042-1", ("uid",)),
        ("emsp_side", "cpo", "emsp/2.2.1/locations/NL/TNM", "location", "/TNM-UTR-0042-1/1", ("id",)),
        ("emsp_side", "cpo", "emsp/2.2.1/sessions/NL/TNM", "session", "", ("country_code", "party_id", "id")),
        ("cpo_side", "emsp", "cpo/2.2.1/tokens/DE/EMS", "token_rfid", "", ("country_code", "party_id", "uid", "type")),
        ("hub_side", "cpo", "hub/2.2.1/receiver/locations/NL/TNM", "location", "", ("country_code", "party_id", "id")),
        ("hub_side", "cpo", "hub/2.2.1/receiver/locations/NL/TNM", "location", "/TNM-UTR-0042-1", ("uid",)),
        ("hub_side", "cpo", "hub/2.2.1/receiver/locations/NL/TNM", "location", "/TNM-UTR-0042-1/1", ("id",)),
    ],
)
def test_a_patch_never_changes_whose_it_is(
    request: pytest.FixtureRequest, document: Document, front_door: str,
    place: str, who: str, path: str, name: str, below: str, members: tuple[str, ...],
) -> None:  # fmt: skip
    request.getfixturevalue(place)
    owner: Person = request.getfixturevalue(who)
    told = document(name)
    where = f"{path}/{told.get('id') or told['uid']}"
    assert owner.put(where, told).codes == (201, 1000)
    before = kept(place)
    for member in members:
        refused = owner.patch(where + below, {member: OTHERS[member], "last_updated": "2030-01-01T00:00:00Z"})
        assert refused.codes == (200, 2001), member
        assert refused.message.startswith(f"{member}:")
    assert kept(place) == before


def kept(place: str) -> list[str]:
    """Return what an instance keeps of others, in one order."""
    models = {"emsp_side": (Location, EVSE, emsp_models.Session), "cpo_side": (Token,), "hub_side": (SharedObject,)}
    return [row.document for model in models[place] for row in model.objects.order_by("id")]


@pytest.mark.req("SEC-36", "TOK-07")
@pytest.mark.parametrize("query", ["", "?type=RFID"])
def test_a_patch_makes_no_token_another_at_a_hub(hub_side: None, emsp: Person, document: Document, query: str) -> None:
    told = document("token_rfid")
    where = f"hub/2.2.1/receiver/tokens/DE/EMS/{told['uid']}{query}"
    assert emsp.put(where, told).codes == (201, 1000)
    for member, value in (("type", "OTHER"), ("uid", "2"), ("country_code", "NL"), ("party_id", "TNM")):
        refused = emsp.patch(where, {member: value, "last_updated": "2030-01-01T00:00:00Z"})
        assert refused.codes == (200, 2001)
        assert refused.message.startswith(f"{member}:")
    assert [json.loads(row.document) for row in SharedObject.objects.all()] == [told]
    assert emsp.patch(where, {"type": "RFID", "last_updated": "2030-01-01T00:00:00Z"}).codes == (200, 1000)


@pytest.mark.req("SEC-33")
def test_decisions_use_the_decoded_segments(
    emsp_side: None, cpo: Person, second_cpo: Person, document: Document
) -> None:
    cpo.put("emsp/2.2.1/locations/NL/TNM/LOC-UTR-0042", document("location"))
    for path in (
        "emsp/2.2.1/locations/%4EL/T%4EM/LOC-UTR-0042",
        "emsp/2.2.1/locations/FR/CPX/..%2F..%2FNL%2FTNM%2FLOC-UTR-0042",
        "emsp/2.2.1/locations/FR/CPX/../../NL/TNM/LOC-UTR-0042",
        "emsp/2.2.1/locations/FR/CPX/LOC-UTR-0042?country_code=NL&party_id=TNM",
        "emsp/2.2.1/locations/NL%2FTNM/LOC-UTR-0042",
    ):
        assert second_cpo.get(path, documented=False).http_status == 404, path
    assert cpo.get("emsp/2.2.1/locations/%4EL/T%4EM/LOC-UTR-0042").codes == (200, 1000)
    for path in ("NL%2FTNM/LOC-UTR-0042", "NL%2FTNM%2FLOC-UTR-0042", "NL/TNM%2FLOC-UTR-0042"):
        assert cpo.get(f"emsp/2.2.1/locations/{path}", documented=False).http_status == 404, path


@pytest.mark.req("SEC-38")
def test_what_comes_in_an_answer_is_kept_only_if_it_is_the_answerers(
    emsp_side: None, partner: Partner, document: Document, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a party of nobody, of one of the platform in a role that owns no Locations, and of its own."""
    with Listener(["NL*TNM:CPO"]) as listener:
        answering = partner("NL*TNM:CPO", "NL*TNE:EMSP", name="answering", listener=listener)
        listed = [document("location", party_id="XXX", id="FOREIGN"), document("location", party_id="TNE", id="NO-CPO")]
        listed.append(document("location"))
        listener.reply("GET", "/ocpi/2.2.1/sender/locations", data=listed, headers={"X-Total-Count": "3"})
        call_command("pull", "--platform", "answering", "--module", "locations", "--json")
    assert [row.object_id for row in Location.objects.all()] == [document("location")["id"]]
    [counted] = [each["locations"] for each in json.loads(capsys.readouterr().out).values()]
    assert (counted["created"], counted["ignored"]) == (1, 2)
    assert defects.count(answering.id, "TRN-100 foreign owner") == 1, "once for each page"


@pytest.mark.req("SEC-37", "SEC-38")
@pytest.mark.parametrize(("module", "name"), [("sessions", "session"), ("cdrs", "cdr")])
def test_what_comes_in_an_answer_is_kept_only_if_its_driver_is_ours(
    emsp_side: None, partner: Partner, document: Document, capsys: pytest.CaptureFixture[str], module: str, name: str
) -> None:
    """A CPO that lists everybody's: what is of the driver of another eMSP is none of our business."""
    own = document(name)
    with Listener(["NL*TNM:CPO"]) as listener:
        partner("NL*TNM:CPO", name="answering", listener=listener)
        listed = [{**own, "id": "FOREIGN", "cdr_token": {**own["cdr_token"], "party_id": "XXX"}}, own]
        listener.reply("GET", f"/ocpi/2.2.1/sender/{module}", data=listed, headers={"X-Total-Count": "2"})
        call_command("pull", "--platform", "answering", "--module", module, "--json")

    kept = emsp_models.Session if module == "sessions" else emsp_models.CDR
    assert [row.object_id for row in kept.objects.all()] == [own["id"]]
    [counted] = [each[module] for each in json.loads(capsys.readouterr().out).values()]
    assert (counted["created"], counted["refused"]) == (1, 1)


def test_the_status_of_what_is_not_there_is_one_sentence() -> None:
    kinds = (status.UnknownObject, status.UnknownLocationObject, status.UnknownTokenObject)
    assert {kind().message for kind in kinds} == {"There is nothing at this URL"}
