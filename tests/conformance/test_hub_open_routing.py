"""Open Routing: no To headers; the content, and what the hub has seen, say whom a request goes to (HUB-48…56)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from hub import known_objects
from hub.models import KnownObject, Permission, SharedObject
from ocpi import snapshot
from ocpi.models import Delivery, Platform
from tests.answers import OcpiAnswer
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

AT = "hub/2.2.1"
pytestmark = pytest.mark.usefixtures("hub_side", "db", "front_door")


class Streets:
    """Two CPOs and two eMSPs that all answer, and who of them got what."""

    def __init__(self, partner: Partner, listeners: list[Listener]) -> None:
        names = ("NL*TNM:CPO", "FR*CPX:CPO", "DE*EMS:EMSP", "BE*MSX:EMSP")
        self.listeners = dict(zip(("TNM", "CPX", "EMS", "MSX"), listeners, strict=True))
        self.tnm, self.cpx, self.ems, self.msx = (
            partner(name, listener=each) for name, each in zip(names, listeners, strict=True)
        )
        for each in listeners:
            each.reply("POST", "/", data={"result": "ACCEPTED", "timeout": 30})

    def forget(self) -> None:
        for each in self.listeners.values():
            each.forget()

    def ask(self, person: Person, method: str, path: str, body: Any = None) -> tuple[OcpiAnswer, list[str]]:
        """Ask without To headers; return the answer and who got the request."""
        self.forget()
        answer = person.request(method, f"{AT}/{path}", body, to=None, documented=False)
        return answer, [name for name, each in self.listeners.items() if each.received(method)]


@pytest.fixture
def streets(partner: Partner) -> Iterator[Streets]:
    listeners = [Listener() for _ in range(4)]
    for each in listeners:
        each.up()
    yield Streets(partner, listeners)
    for each in listeners:
        each.down()


@pytest.fixture(params=["remembered", "written"])
def later(request: pytest.FixtureRequest) -> Any:
    """Go on with what was learnt still in memory, or, as another process or after a restart, in the table alone."""

    def go_on() -> None:
        if request.param == "written":
            known_objects.flush()
            known_objects.forget()

    return go_on


def session(document: Document, of: str = "DE*EMS", **members: Any) -> dict[str, Any]:
    country_code, _, party_id = of.partition("*")
    found = dict(document("session", id="S1", **members))
    found["cdr_token"] = {**found["cdr_token"], "country_code": country_code, "party_id": party_id}
    return found


@pytest.mark.req("HUB-48", "HUB-49", "HUB-51", "HUB-52", "HUB-56")
@pytest.mark.parametrize(("holder", "expected"), [("DE*EMS", "EMS"), ("BE*MSX", "MSX"), ("be*msx", "MSX")])
def test_a_session_goes_to_the_party_of_its_token_and_not_to_the_owner_in_its_url(
    streets: Streets, document: Document, holder: str, expected: str
) -> None:
    answer, got = streets.ask(streets.tnm, "PUT", "receiver/sessions/NL/TNM/S1", session(document, holder))

    assert answer.codes == (200, 1000)
    assert got == [expected]
    assert (answer.headers["OCPI-to-party-id"], answer.headers["OCPI-from-party-id"]) == ("TNM", expected)
    (request,) = streets.listeners[expected].received("PUT")
    assert request.headers["ocpi-to-party-id"] == expected
    assert request.headers["ocpi-from-party-id"] == "TNM"
    assert request.path.endswith("/sessions/NL/TNM/S1")


@pytest.mark.req("HUB-51")
def test_a_cdr_goes_to_the_party_of_its_token(streets: Streets, document: Document) -> None:
    answer, got = streets.ask(streets.tnm, "POST", "receiver/cdrs", document("cdr"))

    assert answer.status_code == 1000
    assert got == ["EMS"]


@pytest.mark.req("HUB-51", "HUB-64")
@pytest.mark.parametrize("holder", ["ZZ*ZZZ", "NL*HUB"])
def test_a_token_of_nobody_here_goes_nowhere(streets: Streets, document: Document, holder: str) -> None:
    """Not even to the only other party there is: the body names another."""
    Platform.objects.filter(pk=streets.msx.id).update(connection="SUSPENDED")
    snapshot.changed()

    answer, got = streets.ask(streets.tnm, "PUT", "receiver/sessions/NL/TNM/S1", session(document, holder))

    assert answer.codes == (200, 4001)
    assert got == []


@pytest.mark.req("HUB-51", "HUB-66")
def test_the_party_of_a_token_that_is_not_connected_is_4003(streets: Streets, document: Document) -> None:
    Platform.objects.filter(pk=streets.ems.id).update(connection="OFFLINE")
    snapshot.changed()

    answer, got = streets.ask(streets.tnm, "PUT", "receiver/sessions/NL/TNM/S1", session(document))

    assert answer.codes == (200, 4003)
    assert got == []


@pytest.mark.req("HUB-51")
def test_a_later_part_of_a_session_follows_the_first(streets: Streets, document: Document, later: Any) -> None:
    streets.tnm.put(f"{AT}/receiver/sessions/NL/TNM/S1", session(document), to="DE*EMS")
    later()

    _, patched = streets.ask(streets.tnm, "PATCH", "receiver/sessions/NL/TNM/S1", {"kwh": 3})
    _, read = streets.ask(streets.tnm, "GET", "receiver/sessions/NL/TNM/s1")
    foreign, got = streets.ask(streets.cpx, "PATCH", "receiver/sessions/FR/CPX/S1", {"kwh": 3})

    assert patched == read == ["EMS"]
    assert (foreign.codes, got) == ((200, 4001), [])


@pytest.mark.req("HUB-51")
def test_whom_a_session_names_comes_before_whom_its_earlier_parts_went_to(streets: Streets, document: Document) -> None:
    streets.tnm.put(f"{AT}/receiver/sessions/NL/TNM/S1", session(document), to="DE*EMS")

    answer, got = streets.ask(streets.tnm, "PUT", "receiver/sessions/NL/TNM/S1", session(document, "BE*MSX"))

    assert (answer.codes, got) == ((200, 1000), ["MSX"])


@pytest.mark.req("HUB-50", "HUB-51")
@pytest.mark.parametrize("path", ["sender/locations/loc1", "sender/locations/LOC1/3256"])
def test_a_single_location_is_read_from_its_owner(streets: Streets, document: Document, path: str) -> None:
    streets.tnm.put(f"{AT}/receiver/locations/NL/TNM/LOC1", document("location", id="LOC1"), to="NL*HUB")

    answer, got = streets.ask(streets.ems, "GET", path)

    assert (answer.codes, got) == ((200, 1000), ["TNM"])


COMMANDS = {
    "START_SESSION": {"location_id": "loc1"},
    "RESERVE_NOW": {"location_id": "LOC1", "reservation_id": "R1"},
    "UNLOCK_CONNECTOR": {"location_id": "LOC1", "evse_uid": "1", "connector_id": "1"},
    "STOP_SESSION": {"session_id": "S1"},
    "CANCEL_RESERVATION": {"reservation_id": "R1"},
}


@pytest.mark.req("HUB-51", "HUB-50", "SEC-37")
@pytest.mark.parametrize("how", ["broadcast", "direct"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_goes_to_whom_it_is_about(
    streets: Streets, document: Document, later: Any, command: str, how: str
) -> None:
    location = document("location", id="LOC1")
    streets.tnm.put(f"{AT}/receiver/locations/NL/TNM/LOC1", location, to="NL*HUB" if how == "broadcast" else "DE*EMS")
    streets.tnm.put(f"{AT}/receiver/sessions/NL/TNM/S1", session(document), to="DE*EMS")
    reservation = document("reserve_now", reservation_id="R1", response_url="https://x.example/1")
    streets.ems.post(f"{AT}/receiver/commands/RESERVE_NOW", reservation, to="NL*TNM")
    later()
    body = {"response_url": "https://x.example/1", "token": {"country_code": "BE", "party_id": "MSX"}}

    answer, got = streets.ask(streets.ems, "POST", f"receiver/commands/{command}", {**body, **COMMANDS[command]})
    _, foreign = streets.ask(streets.msx, "POST", f"receiver/commands/{command}", {**body, **COMMANDS[command]})

    assert answer.codes == (200, 1000)
    assert got == ["TNM"]
    # A session or a reservation of another eMSP leads nowhere.
    assert foreign == ([] if command in ("STOP_SESSION", "CANCEL_RESERVATION") else ["TNM"])


@pytest.mark.req("HUB-51", "SEC-37")
def test_a_charging_profile_goes_to_the_owner_of_the_session_and_its_news_back(
    streets: Streets, document: Document, later: Any
) -> None:
    streets.tnm.put(f"{AT}/receiver/sessions/NL/TNM/S1", session(document), to="DE*EMS")
    later()
    body = document("charging_profile", response_url="https://x.example/1")

    answer, got = streets.ask(streets.ems, "PUT", "receiver/chargingprofiles/S1", body)
    later()
    told, back = streets.ask(streets.tnm, "PUT", "sender/chargingprofiles/S1", document("active_charging_profile"))
    _, foreign = streets.ask(streets.cpx, "PUT", "sender/chargingprofiles/S1", document("active_charging_profile"))
    _, preferences = streets.ask(
        streets.ems, "PUT", "sender/sessions/S1/charging_preferences", {"profile_type": "FAST"}
    )

    assert (answer.codes, got) == ((200, 1000), ["TNM"])
    assert (told.codes, back) == ((200, 1000), ["EMS"])
    assert foreign == []
    assert preferences == ["TNM"]


@pytest.mark.req("HUB-53")
def test_an_authorization_goes_to_the_one_owner_of_the_token(streets: Streets, document: Document, later: Any) -> None:
    for person, kind, uid in (
        (streets.ems, "RFID", "T1"),
        (streets.msx, "APP_USER", "T1"),
        (streets.msx, "RFID", "T2"),
    ):
        country_code, party_id = person.address.key
        token = document("token_rfid", uid=uid, type=kind, country_code=country_code, party_id=party_id)
        url = f"{AT}/receiver/tokens/{country_code}/{party_id}/{uid}?type={kind}"
        assert person.put(url, token).status_code == 1000
    later()

    asked = {
        path: streets.ask(streets.tnm, "POST", f"sender/tokens/{path}")
        for path in (
            "T1/authorize",
            "t1/authorize?type=RFID",
            "T1/authorize?type=APP_USER",
            "T2/authorize",
            "T3/authorize",
        )
    }

    assert {path: got for path, (_, got) in asked.items()} == {
        "T1/authorize": ["EMS"], "t1/authorize?type=RFID": ["EMS"], "T1/authorize?type=APP_USER": ["MSX"],
        "T2/authorize": ["MSX"], "T3/authorize": [],
    }  # fmt: skip
    assert asked["T3/authorize"][0].codes == (200, 4001)


@pytest.mark.req("HUB-53")
def test_an_unknown_token_is_asked_of_nobody_even_if_there_is_only_one(
    cpo: Person, partner: Partner, listener: Listener
) -> None:
    partner("DE*EMS:EMSP", listener=listener)

    assert cpo.post(f"{AT}/sender/tokens/T1/authorize", to=None).codes == (200, 4001)
    assert listener.received("POST") == []


@pytest.mark.req("HUB-51", "HUB-53")
def test_of_several_owners_none_is_chosen(streets: Streets, document: Document, later: Any) -> None:
    for person in (streets.tnm, streets.cpx):
        country_code, party_id = person.address.key
        location = document("location", id="LOC1", country_code=country_code, party_id=party_id)
        url = f"{AT}/receiver/locations/{country_code}/{party_id}/LOC1"
        assert person.put(url, location).status_code == 1000
    later()
    body = {"response_url": "https://x.example/1", "location_id": "LOC1"}

    answer, got = streets.ask(streets.ems, "POST", "receiver/commands/START_SESSION", body)
    Permission.objects.create(effect="DENY", from_country_code="DE", to_country_code="FR")
    snapshot.changed()
    _, allowed = streets.ask(streets.ems, "POST", "receiver/commands/START_SESSION", body)

    assert (answer.codes, got) == ((200, 4001), [])
    assert allowed == ["TNM"]


@pytest.mark.req("HUB-51")
def test_where_nothing_is_known_the_only_party_of_the_role_is_taken(
    emsp: Person, partner: Partner, listener: Listener
) -> None:
    partner("NL*TNM:CPO", listener=listener)
    body = {"response_url": "https://x.example/1", "location_id": "LOC1"}

    assert emsp.post(f"{AT}/receiver/commands/START_SESSION", body, to=None, documented=False).codes == (200, 1000)

    other = partner("FR*CPX:CPO", listener=listener)
    assert emsp.post(f"{AT}/receiver/commands/START_SESSION", body, to=None, documented=False).codes == (200, 4001)
    assert len(listener.received("POST")) == 1

    Platform.objects.filter(pk=other.id).update(connection="OFFLINE")  # one that is away is no candidate
    snapshot.changed()
    assert emsp.post(f"{AT}/receiver/commands/START_SESSION", body, to=None, documented=False).codes == (200, 1000)
    assert [got.headers["ocpi-to-party-id"] for got in listener.received("POST")] == ["TNM", "TNM"]


@pytest.mark.req("HUB-51", "HUB-35")
@pytest.mark.parametrize(("roles", "got"), [(("CPO",), 0), (("OTHER",), 1), (("NSP",), 0), (("CPO", "EMSP"), 1)])
def test_the_only_party_is_taken_by_those_to_whom_its_role_is_opposite(
    partner: Partner, listener: Listener, roles: tuple[str, ...], got: int
) -> None:
    partner("NL*TNM:CPO", listener=listener)
    asker = partner(*[f"FR*CPX:{role}" for role in roles])
    body = {"response_url": "https://x.example/1", "location_id": "LOC1"}

    answer = asker.post(f"{AT}/receiver/commands/START_SESSION", body, to=None, documented=False)

    assert answer.codes == (200, 1000 if got else 4001)
    assert len(listener.received("POST")) == got


@pytest.mark.req("HUB-51", "SEC-35")
def test_nobody_teaches_the_hub_what_is_anothers(streets: Streets, document: Document) -> None:
    foreign = document("location", id="LOC1")
    own = document("location", id="LOC2", country_code="DE", party_id="EMS")

    assert streets.cpx.put(f"{AT}/receiver/locations/NL/TNM/LOC1", foreign, to="DE*EMS").codes == (404, 2003)
    assert streets.ems.put(f"{AT}/receiver/locations/DE/EMS/LOC2", own, to="BE*MSX").codes == (404, 2003)
    known_objects.flush()

    assert list(KnownObject.objects.all()) == []


@pytest.mark.req("HUB-54")
def test_what_goes_to_nobody_in_particular_is_broadcast_only_if_that_is_switched_on(
    streets: Streets, document: Document, settings: Settings
) -> None:
    url, body = "receiver/locations/NL/TNM/LOC1", document("location", id="LOC1")

    answer, got = streets.ask(streets.tnm, "PUT", url, body)
    assert (answer.codes, got) == ((200, 4001), [])
    assert not SharedObject.objects.exists()

    settings.OCPI_HUB_BROADCASTS_UNDECIDED = True
    answer, _ = streets.ask(streets.tnm, "PUT", url, body)
    assert answer.codes == (201, 1000)
    assert sorted(row.to_party_id for row in Delivery.objects.all()) == ["EMS", "MSX"]
    command, got = streets.ask(streets.ems, "POST", "receiver/commands/STOP_SESSION", {"session_id": "S9"})
    assert (command.codes, got) == ((200, 4001), [])


@pytest.mark.req("HUB-51")
def test_what_was_learnt_is_written_once(streets: Streets, document: Document) -> None:
    url, body = f"{AT}/receiver/locations/NL/TNM/LOC1", document("location", id="LOC1")
    for minute in range(3):
        streets.tnm.put(url, {**body, "last_updated": f"2026-03-01T10:0{minute}:00Z"})

    assert known_objects.flush() == 1
    assert known_objects.flush() == 0
    assert str(KnownObject.objects.get()) == "location LOC1: NL*TNM"


@pytest.mark.req("HUB-51")
def test_sessions_are_forgotten_after_a_while_and_locations_are_not() -> None:
    for kind in ("session", "location"):
        KnownObject.objects.create(kind=kind, key="1", owner="NL*TNM", seen_at="2020-01-01T00:00:00Z")
    KnownObject.objects.create(kind="session", key="2", owner="NL*TNM")

    assert known_objects.forget_old() == 1
    assert sorted(KnownObject.objects.values_list("kind", "key")) == [("location", "1"), ("session", "2")]
