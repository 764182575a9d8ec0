"""All roles at the hub, another hub as a connected platform, and what a message may never do there."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from hub import loops, registry, roles
from hub.models import Permission
from hub.routing import Asked
from ocpi import exchanges, snapshot, status
from ocpi.headers import Address, Ids, Routing
from ocpi.models import Delivery, Exchange, FinishedDelivery
from ocpi.outbox_engine import drain_now
from tests.fixtures import Document, Partner, add_party
from tests.people import Person
from tests.platforms import Listener, Reply

AT = "hub/2.2.1"
ROLES = ("CPO", "EMSP", "NAP", "NSP", "OTHER", "SCSP")
BOTH_ENDS = tuple((module, role) for module in ("locations", "tariffs", "tokens", "sessions", "cdrs", "commands")
                  for role in ("SENDER", "RECEIVER"))  # fmt: skip
pytestmark = pytest.mark.usefixtures("hub_side")


@pytest.fixture
def everybody(partner: Partner) -> dict[str, Person]:
    """One party of each role, each of which would take everything."""
    return {role: partner(f"NL*{role[:3]}:{role}", endpoints=BOTH_ENDS) for role in ROLES}


def push(person: Person, document: Document, module: str, *, to: str = "NL*HUB", name: str = "1") -> Any:
    country_code, party_id = person.address.key
    example = {"locations": "location", "tariffs": "tariff", "tokens": "token_rfid", "sessions": "session"}[module]
    own = {"uid" if module == "tokens" else "id": name}
    body = document(example, country_code=country_code, party_id=party_id, **own)
    return person.put(f"{AT}/receiver/{module}/{country_code}/{party_id}/{name}", body, to=to)


def left_for() -> list[str]:
    return sorted(Delivery.objects.values_list("to_party_id", flat=True))


WHO_GETS = {
    ("CPO", "locations"): ["EMS", "NAP", "NSP", "OTH"],
    ("CPO", "tariffs"): ["EMS", "NAP", "NSP", "OTH"],
    ("NAP", "locations"): ["EMS", "NSP", "OTH"],
    ("NAP", "tariffs"): ["EMS", "NSP", "OTH"],
    ("EMSP", "tokens"): ["CPO"],
    ("OTHER", "locations"): ["CPO"],
    ("OTHER", "tariffs"): ["CPO"],
    ("OTHER", "tokens"): ["CPO"],
}


@pytest.mark.req("HUB-35", "HUB-36", "HUB-39", "HUB-40", "SEC-42")
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("module", ["locations", "tariffs", "tokens", "sessions"])
def test_who_gets_what_is_broadcast(everybody: dict[str, Person], document: Document, role: str, module: str) -> None:
    answer = push(everybody[role], document, module)

    expected = WHO_GETS.get((role, module))
    assert answer.codes == ((201, 1000) if expected else (200, 2001)), answer.message
    assert left_for() == (expected or [])


@pytest.mark.req("HUB-36")
def test_a_rule_takes_a_role_out_and_another_lets_one_in(everybody: dict[str, Person], document: Document) -> None:
    Permission.objects.create(effect="DENY", from_role="CPO", to_role="NAP", module="locations")
    Permission.objects.create(effect="ALLOW", from_role="CPO", to_role="SCSP", module="locations", broadcast=True)
    snapshot.changed()

    push(everybody["CPO"], document, "locations")

    assert left_for() == ["EMS", "NSP", "OTH", "SCS"]


@pytest.mark.req("HUB-40", "HUB-62", "SEC-42")
def test_sessions_are_broadcast_where_an_operator_allows_it_and_shown_to_nobody_else(
    everybody: dict[str, Person], document: Document
) -> None:
    Permission.objects.create(effect="ALLOW", from_country_code="NL", from_party_id="CPO", to_role="SCSP",
                              module="sessions", broadcast=True)  # fmt: skip
    snapshot.changed()

    assert push(everybody["CPO"], document, "sessions").codes == (201, 1000)

    assert left_for() == ["SCS"]
    since = {"date_from": "2001-01-01T00:00:00Z"}
    assert everybody["EMSP"].get(f"{AT}/sender/sessions", query=since).data == []
    assert push(everybody["OTHER"], document, "sessions").codes == (200, 2001)


@pytest.mark.req("SEC-42", "HUB-35")
@pytest.mark.parametrize(
    ("role", "module", "others"), [("EMSP", "tokens", ["CPO"]), ("CPO", "locations", ["EMS", "NAP", "NSP", "OTH"])]
)
def test_nobody_gets_what_another_of_its_kind_sends_to_all(
    everybody: dict[str, Person], partner: Partner, document: Document, role: str, module: str, others: list[str]
) -> None:
    another = partner(f"BE*TWO:{role}", endpoints=BOTH_ENDS)
    assert push(another, document, module).codes == (201, 1000)
    assert left_for() == sorted({*others, "CPO" if role == "EMSP" else "EMS"}), "and none for NL*EMS or NL*CPO"


@pytest.mark.req("SEC-42", "HUB-40")
def test_no_rule_lets_cdrs_go_to_all(everybody: dict[str, Person], document: Document) -> None:
    Permission.objects.create(from_role="CPO", to_role="SCSP", module="cdrs", broadcast=True)
    snapshot.changed()
    told = document("cdr", country_code="NL", party_id="CPO")
    answer = everybody["CPO"].post(f"{AT}/receiver/cdrs", told, to="NL*HUB")
    assert answer.codes == (200, 2001)
    assert answer.message.startswith("OCPI-to-party-id: cdrs are not broadcast")
    assert left_for() == []


# Who may read what of whom through the hub; what an SCSP may, a rule says.
READS = {
    "tokens": ("EMSP", {"CPO", "OTHER"}),
    "sessions": ("CPO", {"EMSP", "OTHER"}),
    "cdrs": ("CPO", {"EMSP", "OTHER"}),
    "locations": ("CPO", set(ROLES)),
}


@pytest.mark.req("SEC-42", "HUB-62")
@pytest.mark.parametrize("module", READS)
def test_who_may_read_what_is_personal_of_one_party(
    partner: Partner, front_door: str, listener: Listener, module: str
) -> None:
    owner, readers = READS[module]
    partner(f"DE*OWN:{owner}", listener=listener)
    everybody = {role: partner(f"NL*{role[:3]}:{role}", endpoints=BOTH_ENDS) for role in ROLES}
    path = f"{AT}/sender/{module}"
    query = {"date_from": "2020-01-01T00:00:00Z"}
    for role, person in everybody.items():
        answer = person.get(path, to="DE*OWN", query=query)
        assert answer.codes == ((200, 1000) if role in readers else (200, 2001)), role
        if role not in readers:
            assert answer.message == f"OCPI-from-party-id: {person.address} may not read {module}"
        if module == "tokens":
            asked = person.post(f"{path}/T1/authorize", to="DE*OWN")
            assert asked.codes == ((200, 1000) if role in readers else (200, 2001)), role
    assert len(listener.received("GET")) == len(readers)
    Permission.objects.create(from_role="SCSP", module="sessions")
    snapshot.changed()
    allowed = everybody["SCSP"].get(path, to="DE*OWN", query=query)
    assert allowed.codes == ((200, 1000) if module in ("sessions", "locations") else (200, 2001))


@pytest.mark.req("HUB-62", "SEC-42")
@pytest.mark.parametrize("role", ROLES)
def test_who_may_read_the_lists_of_all(everybody: dict[str, Person], role: str) -> None:
    query = {"date_from": "2001-01-01T00:00:00Z"}
    answers = {
        module: everybody[role].get(f"{AT}/sender/{module}", query=query).status_code for module in roles.READERS
    }

    locations = role in ("EMSP", "NSP", "NAP", "OTHER")
    assert answers == {
        "locations": 1000 if locations else 2001,
        "tariffs": 1000 if locations else 2001,
        "tokens": 1000 if role == "CPO" else 2001,
        "sessions": 1000 if role in ("EMSP", "OTHER", "SCSP") else 2001,
        "cdrs": 1000 if role in ("EMSP", "OTHER") else 2001,
    }


@pytest.mark.req("HUB-38", "HUB-37")
def test_each_party_of_a_platform_gets_its_own_and_the_senders_platform_none(
    partner: Partner, document: Document
) -> None:
    owner = partner("NL*TNM:CPO", "NL*OWN:EMSP", endpoints=BOTH_ENDS)
    partner("DE*ONE:EMSP", "DE*TWO:EMSP", "DE*TRE:EMSP")

    push(owner, document, "tariffs")

    assert left_for() == ["ONE", "TRE", "TWO"]


@pytest.mark.req("HUB-27")
def test_a_request_between_two_parties_of_one_platform_goes_back_to_it(partner: Partner, listener: Listener) -> None:
    both = partner("DE*EMS:EMSP", "DE*OWN:CPO", listener=listener)

    answer = both.post(f"{AT}/receiver/commands/STOP_SESSION", {"session_id": "1"}, to="DE*OWN", documented=False)

    assert answer.codes == (200, 1000)
    (request,) = listener.received("POST")
    assert (request.headers["ocpi-from-party-id"], request.headers["ocpi-to-party-id"]) == ("EMS", "OWN")


@pytest.mark.req("HUB-11", "CRED-56")
def test_a_party_without_approval_neither_sends_nor_is_reached(
    partner: Partner, emsp: Person, listener: Listener, document: Document
) -> None:
    claimed = partner("NL*TNM:CPO", listener=listener, approved=False)

    assert push(claimed, document, "locations").codes == (200, 2001)
    assert emsp.get(f"{AT}/sender/locations", to="NL*TNM").codes == (200, 4001)
    assert listener.received("GET") == []


@pytest.mark.req("HUB-25", "HUB-16")
@pytest.mark.usefixtures("front_door")
def test_only_what_belongs_to_the_message_is_passed_on(partner: Partner, emsp: Person, listener: Listener) -> None:
    target = partner("NL*TNM:CPO", listener=listener)
    listener.reply("GET", "/", data=[], headers={"Set-Cookie": "a=b", "Server": "theirs", "X-Total-Count": "0",
                                                 "Keep-Alive": "timeout=5"})  # fmt: skip
    sent: dict[str, str | None] = {
        "Cookie": "session=1", "Keep-Alive": "timeout=9", "TE": "trailers", "Upgrade": "h2c", "Accept": "text/html",
        "X-Forwarded-For": "6.6.6.6", "Proxy-Authorization": "Basic x", "Host": "evil.example",
    }  # fmt: skip

    answer = emsp.get(f"{AT}/sender/locations", to="NL*TNM", headers=sent)

    (request,) = listener.received("GET")
    assert request.token == target.token_out
    assert request.headers["host"] == listener.host
    gone = {"cookie", "keep-alive", "te", "upgrade", "x-forwarded-for", "proxy-authorization", "content-length"}
    assert not gone & set(request.headers)
    assert not {"set-cookie", "keep-alive"} & {name.lower() for name in answer.headers}
    assert answer.headers["X-Total-Count"] == "0"


@pytest.mark.req("HUB-76")
def test_configuration_modules_are_the_hubs_own_and_are_not_routed(
    partner: Partner, emsp: Person, listener: Listener
) -> None:
    partner("NL*TNM:CPO", listener=listener)

    for path in ("/ocpi/versions", "/ocpi/2.2.1", "/ocpi/2.2.1/credentials"):
        answer = emsp.get(path, to="NL*TNM", sender="DE*EMS")
        assert answer.codes == (200, 1000), path
        assert "OCPI-from-party-id" not in answer.headers
    assert listener.received() == []


@pytest.mark.req("HUB-63", "HUB-83")
def test_the_sender_interfaces_it_lists_are_those_it_answers(emsp: Person, cpo: Person) -> None:
    details = emsp.get("/ocpi/2.2.1").data["endpoints"]
    listed = {(each["identifier"], each["role"]) for each in details}

    assert {(module, end) for module in roles.READERS for end in ("SENDER", "RECEIVER")} <= listed
    query = {"date_from": "2001-01-01T00:00:00Z"}
    for module, readers in roles.READERS.items():
        reader = emsp if "EMSP" in readers else cpo
        assert isinstance(reader.get(f"{AT}/sender/{module}", query=query).data, list), module


@pytest.mark.req("HUB-63")
def test_lists_it_does_not_keep_are_not_listed(emsp: Person, settings: Settings) -> None:
    settings.OCPI_HUB_KEEPS_SESSIONS = False

    details = emsp.get("/ocpi/2.2.1").data["endpoints"]

    senders = {each["identifier"] for each in details if each["role"] == "SENDER"}
    assert {"locations", "tariffs", "tokens"} <= senders
    assert not {"sessions", "cdrs"} & senders


@pytest.mark.req("HUB-41", "HUB-42", "HUB-43")
def test_what_receivers_say_to_a_broadcast_is_noted_for_each_and_told_to_nobody(
    partner: Partner, cpo: Person, document: Document
) -> None:
    says: dict[str, dict[str, Any]] = {
        "REF": {"code": 2001, "message": "no such thing"},
        "TOK": {"status": 401, "code": 2000},
        "FIN": {},
    }
    listeners = {name: Listener([f"DE*{name}:EMSP"]) for name in says}
    for name, listener in listeners.items():
        listener.up()
        partner(f"DE*{name}:EMSP", listener=listener)
        listener.reply("PUT", "/", **says[name])

    answer = push(cpo, document, "tariffs")
    drain_now()
    for listener in listeners.values():
        listener.down()

    assert (answer.codes, answer.data) == ((201, 1000), None)
    assert {name: len(each.received("PUT")) for name, each in listeners.items()} == {"REF": 1, "TOK": 1, "FIN": 1}
    got = [each.received("PUT")[0].headers for each in listeners.values()]
    assert {each["x-correlation-id"] for each in got} == {answer.headers["X-Correlation-ID"]}
    assert len({answer.headers["X-Request-ID"], *[each["x-request-id"] for each in got]}) == 4
    done = {row.to_party_id: (row.state, row.status_code) for row in FinishedDelivery.objects.all()}
    # It takes our token for GET versions, so it is this object that it refuses (REL-25).
    assert done == {"REF": ("REFUSED", 2001), "TOK": ("REFUSED", 2000), "FIN": ("DELIVERED", 1000)}
    assert "no such thing" in FinishedDelivery.objects.get(to_party_id="REF").error
    assert FinishedDelivery.objects.get(to_party_id="TOK").http_status == 401
    assert not Delivery.objects.exists()


# ---------------------------------------------------------------- another hub


@pytest.fixture
def far_hub(partner: Partner, listener: Listener) -> Person:
    """Another hub, with a CPO and an eMSP behind it."""
    found = partner("BE*HUB:HUB", listener=listener)
    add_party(found.platform, "BE*FAR:CPO", through_hub=True)
    add_party(found.platform, "BE*MSP:EMSP", through_hub=True)
    add_party(found.platform, "BE*OFF:CPO", through_hub=True, status="OFFLINE")
    return found


@pytest.mark.req("HUB-77", "HUB-78", "HUB-13", "HUB-64")
@pytest.mark.usefixtures("front_door")
def test_a_party_behind_another_hub_is_reached_through_it_under_its_own_address(
    far_hub: Person, emsp: Person, listener: Listener
) -> None:
    back = {"OCPI-to-country-code": "DE", "OCPI-to-party-id": "EMS", "OCPI-from-country-code": "BE",
            "OCPI-from-party-id": "FAR"}  # fmt: skip
    listener.reply("GET", "/", data=[], headers=back)

    answer = emsp.get(f"{AT}/sender/tariffs", to="BE*FAR")

    assert answer.codes == (200, 1000)
    assert (answer.headers["OCPI-to-party-id"], answer.headers["OCPI-from-party-id"]) == ("EMS", "FAR")
    (request,) = listener.received("GET")
    assert (request.headers["ocpi-to-party-id"], request.headers["ocpi-from-party-id"]) == ("FAR", "EMS")
    assert request.token == far_hub.token_out
    assert emsp.get(f"{AT}/sender/tariffs", to="BE*OFF").codes == (200, 4003)
    assert emsp.get(f"{AT}/sender/tariffs", to="BE*HUB").codes == (200, 4001), "a hub is nobody's receiver"


@pytest.mark.req("HUB-77", "HUB-10")
@pytest.mark.usefixtures("front_door")
def test_a_party_behind_another_hub_reaches_ours(far_hub: Person, partner: Partner, document: Document) -> None:
    with Listener() as here:
        partner("NL*TNM:CPO", listener=here)
        body = {"session_id": "1", "response_url": f"{far_hub.url}/results/1"}

        answer = far_hub.post(f"{AT}/receiver/commands/STOP_SESSION", body, to="NL*TNM", sender="BE*MSP",
                              documented=False)  # fmt: skip
        foreign = far_hub.post(f"{AT}/receiver/commands/STOP_SESSION", body, to="NL*TNM", sender="DE*EMS",
                               documented=False)  # fmt: skip

        assert answer.codes == (200, 1000)
        (request,) = here.received("POST")
        assert (request.headers["ocpi-from-party-id"], request.headers["ocpi-to-party-id"]) == ("MSP", "TNM")
        assert foreign.codes == (200, 2001)


@pytest.mark.req("HUB-38", "HUB-77", "HUB-87")
def test_a_broadcast_reaches_each_connected_party_behind_another_hub_once(
    far_hub: Person, partner: Partner, cpo: Person, document: Document
) -> None:
    direct = partner("DE*EMS:EMSP")
    add_party(far_hub.platform, "DE*EMS:EMSP", through_hub=True)  # on both ways: the direct one counts
    add_party(far_hub.platform, "BE*GON:EMSP", through_hub=True, status="OFFLINE")

    push(cpo, document, "tariffs")

    assert sorted(Delivery.objects.values_list("to_party_id", "platform_id")) == [
        ("EMS", direct.id), ("MSP", far_hub.id),
    ]  # fmt: skip


@pytest.mark.req("HUB-37", "HUB-78")
def test_a_broadcast_goes_to_those_behind_another_hub_that_are_connected_there(
    far_hub: Person, emsp: Person, document: Document
) -> None:
    assert push(emsp, document, "tokens").codes == (201, 1000)

    assert left_for() == ["FAR"]


@pytest.mark.req("HUB-47")
def test_what_another_hub_broadcasts_is_of_the_owner_in_its_url_and_goes_to_no_third_hub(
    far_hub: Person, partner: Partner, emsp: Person, document: Document
) -> None:
    third = partner("FR*HUB:HUB")
    add_party(third.platform, "FR*MSP:EMSP", through_hub=True)
    body = document("tariff", id="T1", country_code="BE", party_id="FAR")

    answer = far_hub.put(f"{AT}/receiver/tariffs/BE/FAR/T1", body, sender="BE*HUB")

    assert answer.codes == (201, 1000)
    assert left_for() == ["EMS"]
    assert [each["party_id"] for each in emsp.get(f"{AT}/sender/tariffs").data] == ["FAR"]


@pytest.mark.req("HUB-47", "SEC-35", "TRN-046")
@pytest.mark.parametrize("owner", ["BE*NEW", "NL*TNM"])
def test_another_hub_broadcasts_for_nobody_who_is_not_behind_it_and_our_operator_is_told(
    far_hub: Person, cpo: Person, document: Document, owner: str, settings: Settings
) -> None:
    settings.OCPI_EXCHANGES = True
    country_code, party_id = owner.split("*")
    body = document("tariff", id="T1", country_code=country_code, party_id=party_id)

    answer = far_hub.put(f"{AT}/receiver/tariffs/{country_code}/{party_id}/T1", body, sender="BE*HUB")

    assert answer.codes == (404, 2000)
    assert owner not in str(answer.message)
    assert left_for() == []
    exchanges.flush()
    assert f"{owner} in the URL" in Exchange.objects.latest("at").error


@pytest.mark.req("HUB-86", "HUB-87")
def test_of_two_ways_to_a_party_the_direct_one_is_taken(far_hub: Person, partner: Partner) -> None:
    direct = partner("BE*FAR:CPO")

    place = registry.find(snapshot.current(), Address("BE", "FAR"), module="tariffs", interface="SENDER")

    assert place.platform.id == direct.id


# ---------------------------------------------------------------- loops


@pytest.mark.req("HUB-79")
@pytest.mark.usefixtures("front_door")
def test_a_request_that_comes_by_again_is_4000(far_hub: Person, emsp: Person, listener: Listener) -> None:
    """The other hub sends it back to us, as if the party were here."""
    add_party(far_hub.platform, "DE*EMS:EMSP", through_hub=True)
    caught: list[Exception | None] = []

    def send_back(request: Any) -> Any:
        asked = Asked("tariffs", "SENDER", "GET", (), Routing(), snapshot.Snapshot().platforms.get(0))  # type: ignore[arg-type]
        ids = Ids(request.headers["x-request-id"], request.headers["x-correlation-id"])
        routing = Routing(to=Address("BE", "FAR"), sender=Address("DE", "EMS"))
        try:
            with loops.guard(asked, routing, ids):
                caught.append(None)
        except status.HubError as error:
            caught.append(error)
        return Reply(data=[])

    listener.reply("GET", "/", using=send_back)

    assert emsp.get(f"{AT}/sender/tariffs", to="BE*FAR").codes == (200, 1000)
    assert emsp.get(f"{AT}/sender/tariffs", to="BE*FAR").codes == (200, 1000)

    assert [type(error) for error in caught] == [status.HubError, status.HubError]


@pytest.mark.req("HUB-79")
@pytest.mark.parametrize(("change", "goes_round"), [
    ({}, True), ({"method": "PUT"}, False), ({"tail": ("2",)}, False), ({"to": "FR*CPX"}, False),
    ({"sender": "BE*MSX"}, False), ({"correlation": "other"}, False), ({"to": "nl*tnm"}, True),
    ({"request": "r1"}, False),
])  # fmt: skip
def test_what_makes_it_the_same_request(change: dict[str, Any], goes_round: bool) -> None:
    """Sent twice by its sender (one X-Request-ID) is no loop: a hub gives what it passes on a new one."""

    def guard(request: str, **parts: Any) -> Any:
        found = {"method": "PATCH", "tail": ("1",), "to": "NL*TNM", "sender": "DE*EMS", "correlation": "c", **parts}
        to, sender = (Address(*found[name].split("*")) for name in ("to", "sender"))
        asked = Asked("locations", "RECEIVER", found["method"], found["tail"], Routing(to, sender), None)  # type: ignore[arg-type]
        return loops.guard(asked, Routing(to, sender), Ids(request, found["correlation"]))

    with guard("r1"):
        if goes_round:
            with pytest.raises(status.HubError), guard("r2", **change):
                pass
        else:
            with guard(change.pop("request", "r2"), **change):
                pass
    with guard("r3"):
        pass
    assert loops._passing == {}
