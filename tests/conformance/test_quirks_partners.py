"""What real partners do wrong over time: registration habits, late authorizations, Tokens changed on their way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cpo.models import Session, Transaction
from cpo.models import Token as PushedToken
from ocpi import snapshot
from ocpi.models import CredentialsToken, Endpoint, Party, Platform
from ocpi.modules import discovery, initiation
from ocpi.modules.initiation import HandshakeFailed, unregister_at
from tests.conformance.handshakes import CREDENTIALS, LOCATIONS, registered, used_token
from tests.cpo_support import Point, add_location, add_point, add_tariff, tariff, with_tariff
from tests.deviations import counted
from tests.fixtures import Document, Partner
from tests.people import Person, at
from tests.platforms import Listener

TAG = "04C7A1E2B95D80"

# ---------------------------------------------------------------- QRK-34: credentials


@pytest.mark.req("QRK-34")
def test_a_second_post_is_refused_counted_and_changes_nothing(
    hub_side: None, invited: Person, listener: Listener
) -> None:
    member = registered(invited, listener)

    answer = member.post(CREDENTIALS, listener.credentials("another-token-of-theirs-0123456789"))

    assert answer.codes[0] == 405
    assert answer.headers["Allow"] == "GET, PUT, DELETE"
    assert used_token(member) == listener.token_for_us
    assert member.get(LOCATIONS).codes == (200, 1000)
    assert counted(member) == {"QRK-34 POST although registered": 1}


@pytest.mark.req("QRK-34")
def test_a_partner_whose_token_is_lost_is_invited_again_and_keeps_what_it_is(
    hub_side: None, invited: Person, listener: Listener
) -> None:
    member = registered(invited, listener)
    CredentialsToken.objects.filter(platform_id=member.id).delete()

    lost = member.put(CREDENTIALS, listener.credentials())
    unregister_at(member.id)
    invitation = initiation.invite(name=str(member.platform), any_role=True)
    again = registered(Person(token=invitation.token_a, parties=(at("DE*EMS"),), platform=member.platform), listener)

    assert lost.codes == (401, 2000)
    assert (again.id, Platform.objects.get().state) == (member.id, "REGISTERED")
    assert again.get(LOCATIONS).codes == (200, 1000)
    assert [str(party) for party in Party.objects.filter(claimed=True)] == ["DE*EMS:EMSP"]


@pytest.mark.req("QRK-34")
def test_a_partner_too_busy_to_answer_during_its_own_post_may_try_again(
    hub_side: None, invited: Person, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A single thread that waits for our answer cannot serve our callback."""
    monkeypatch.setattr(discovery, "CALLBACK_SECONDS", 0.2)
    listener.reply("GET", "/ocpi/versions", delay=0.6, times=1)

    first = invited.post(CREDENTIALS, listener.credentials())
    second = invited.post(CREDENTIALS, listener.credentials())

    assert (first.codes, second.codes) == ((200, 3001), (200, 1000))
    assert "/ocpi/versions" in first.message


# The roles of a PUT → the active parties, what is counted.
ROLES: list[tuple[list[str], list[str], dict[str, int]]] = [
    (["DE*EMS:EMSP"], ["DE*EMS:EMSP"], {}),
    (["DE*EMS:EMSP", "DE*SEC:EMSP"], ["DE*EMS:EMSP", "DE*SEC:EMSP"], {"QRK-34 role added": 1}),
    (["DE*SEC:EMSP"], ["DE*SEC:EMSP"], {"QRK-34 role added": 1, "QRK-34 role dropped": 1}),
]


@pytest.mark.req("QRK-34")
@pytest.mark.parametrize(("roles", "active", "kinds"), ROLES, ids=range(len(ROLES)))
def test_roles_that_come_and_go_are_counted(
    hub_side: None, invited: Person, listener: Listener, roles: list[str], active: list[str], kinds: dict[str, int]
) -> None:
    member = registered(invited, listener)

    answer = member.put(CREDENTIALS, listener.credentials(roles=roles))

    assert answer.codes == (200, 1000)
    assert sorted(str(party) for party in Party.objects.filter(approved=True, claimed=True)) == active
    assert counted(member) == kinds


@pytest.mark.req("QRK-34")
@pytest.mark.parametrize(("reply", "kinds"), [
    ({"status": 404, "raw": b"Not Found"}, 1), ({"status": 501, "raw": b""}, 1), ({"status": 405, "code": 2000}, 0),
])  # fmt: skip
def test_a_partner_without_a_delete_is_left_all_the_same(
    hub_side: None, partner: Partner, listener: Listener, reply: dict[str, Any], kinds: int
) -> None:
    member = partner("DE*EMS:EMSP", listener=listener)
    listener.reply("DELETE", "/ocpi/2.2.1/credentials", **reply)

    unregister_at(member.id)

    assert Platform.objects.get(pk=member.id).state == "UNREGISTERED"
    assert counted(member).get("QRK-34 no DELETE of credentials", 0) == kinds


@pytest.mark.req("QRK-34")
def test_a_partner_that_fails_at_its_delete_stays(hub_side: None, partner: Partner, listener: Listener) -> None:
    member = partner("DE*EMS:EMSP", listener=listener)
    listener.reply("DELETE", "/ocpi/2.2.1/credentials", status=503, code=3000)

    with pytest.raises(HandshakeFailed):
        unregister_at(member.id)

    assert Platform.objects.get(pk=member.id).state == "REGISTERED"


@pytest.mark.req("PIT-83")
def test_the_hub_calls_each_platform_where_its_version_details_say(
    hub_side: None, invited: Person, emsp: Person, listener: Listener
) -> None:
    """Nothing is guessed from a path: this CPO has its modules wherever it likes."""
    listener.roles = ["NL*TNM:CPO"]
    odd = f"{listener.url}/some/where/else?tenant=7"
    listed = [{"identifier": "credentials", "role": "SENDER", "url": listener.endpoint("credentials", "SENDER")},
              {"identifier": "locations", "role": "SENDER", "url": odd}]  # fmt: skip
    listener.reply("GET", "/ocpi/2.2.1", data={"version": "2.2.1", "endpoints": listed})
    listener.reply("GET", "/some/where/else", data={"id": "LOC1"})
    registered(invited, listener)

    answer = emsp.get("hub/2.2.1/sender/locations/LOC1", to="NL*TNM")

    assert answer.data == {"id": "LOC1"}
    (asked,) = listener.received("GET", "/some/where/else")
    assert (asked.path, asked.query) == ("/some/where/else/LOC1", "tenant=7")
    assert Endpoint.objects.filter(platform=invited.platform, identifier="locations").count() == 1


# ---------------------------------------------------------------- PIT-50: hubclientinfo

INFO = {"party_id": "ALL", "country_code": "NL", "role": "CPO", "status": "CONNECTED",
        "last_updated": "2025-09-12T07:00:00Z"}  # fmt: skip


@pytest.mark.req("PIT-50")
def test_the_published_example_of_a_client_info_is_refused_for_what_it_is(emsp_side: None, hub: Person) -> None:
    url = "2.2.1/hubclientinfo/NL/ALL"
    trailing = json.dumps(INFO).encode().replace(b"}", b",}")
    undated = {name: value for name, value in INFO.items() if name != "last_updated"}

    assert hub.put(url, trailing).codes == (400, 2000)
    assert hub.put(url, undated).codes == (200, 2001)
    assert not Party.objects.filter(through_hub=True).exists()


@pytest.mark.req("PIT-50")
def test_all_is_a_party_like_any_other(emsp_side: None, hub: Person, document: Document) -> None:
    hub.put("2.2.1/hubclientinfo/NL/ALL", INFO)
    url = "emsp/2.2.1/locations/NL/{}/LOC-UTR-0042"

    taken = hub.put(url.format("ALL"), document("location", party_id="ALL"), sender="BE*HUB")
    refused = hub.put(url.format("TNM"), document("location"), sender="BE*HUB")

    assert hub.get("2.2.1/hubclientinfo/NL/ALL").data == INFO
    assert (taken.codes, refused.codes) == ((201, 1000), (404, 2003))


# ---------------------------------------------------------------- QRK-10, QRK-33: Tokens at a charge point of ours


@pytest.fixture
def point(cpo_side: None, db: None, document: Document) -> Point:
    add_tariff(tariff())
    return add_point(add_location(with_tariff(document("location"))))


def push(emsp: Person, body: dict[str, Any]) -> None:
    url = f"cpo/2.2.1/tokens/{body['country_code']}/{body['party_id']}/{body['uid']}"
    assert emsp.put(url, body, query={"type": body["type"]}).ok


def authorize(point: Point, tag: str = TAG) -> str:
    found: str = point.says("Authorize", {"idTag": tag})["idTagInfo"]["status"]
    return found


# The agreement with a platform, the Token, → may it charge when the answer does not come in time?
LATE: list[tuple[str, str, bool, bool]] = [
    ("whitelist", "NEVER", True, False),
    ("whitelist", "ALLOWED_OFFLINE", True, True),
    ("whitelist", "ALLOWED_OFFLINE", False, False),
    ("deny", "NEVER", True, False),
    ("deny", "ALLOWED_OFFLINE", True, False),
    ("allow", "NEVER", True, True),
    ("allow", "ALLOWED_OFFLINE", True, True),
    ("allow", "NEVER", False, False),
]


@pytest.mark.req("QRK-10")
@pytest.mark.parametrize(("agreed", "whitelist", "valid", "accepted"), LATE)
@pytest.mark.parametrize("late", [{"delay": 2.0}, {"close": True}], ids=["late", "no answer"])
def test_a_late_authorization_is_what_was_agreed(
    point: Point, partner: Partner, listener: Listener, document: Document,
    agreed: str, whitelist: str, valid: bool, accepted: bool, late: dict[str, Any],
) -> None:  # fmt: skip
    emsp = partner("DE*EMS:EMSP", listener=listener, late_authorization=agreed, authorize_seconds=1)
    token = document("token_rfid", whitelist=whitelist, valid=valid)
    push(emsp, token)
    listener.reply("POST", "/ocpi/2.2.1/sender/tokens", data={"allowed": "ALLOWED", "token": token}, **late)

    status = authorize(point)

    assert (status == "Accepted") is accepted
    assert counted(emsp) == {"QRK-10 no authorization in time": 1}


@pytest.mark.req("QRK-10")
def test_the_time_of_a_platform_is_its_own(
    point: Point, partner: Partner, listener: Listener, document: Document
) -> None:
    emsp = partner("DE*EMS:EMSP", listener=listener, late_authorization="deny", authorize_seconds=1)
    token = document("token_rfid", whitelist="NEVER")
    push(emsp, token)
    info = {"allowed": "ALLOWED", "token": token}
    listener.reply("POST", "/ocpi/2.2.1/sender/tokens", delay=1.5, data=info)
    late = authorize(point)
    Platform.objects.filter(pk=emsp.id).update(authorize_seconds=None)
    snapshot.changed()

    in_time = authorize(point)

    assert (late, in_time) == ("Invalid", "Accepted")


@pytest.mark.req("QRK-10")
@pytest.mark.parametrize("agreed", ["whitelist", "deny", "allow"])
def test_an_answer_in_time_counts_whatever_was_agreed(
    point: Point, partner: Partner, listener: Listener, document: Document, agreed: str
) -> None:
    emsp = partner("DE*EMS:EMSP", listener=listener, late_authorization=agreed)
    token = document("token_rfid", whitelist="NEVER")
    push(emsp, token)
    listener.reply("POST", "/ocpi/2.2.1/sender/tokens", data={"allowed": "BLOCKED", "token": token}, times=1)
    blocked = authorize(point)
    listener.reply("POST", "/ocpi/2.2.1/sender/tokens", data={"allowed": "ALLOWED", "token": token})

    assert (blocked, authorize(point)) == ("Blocked", "Accepted")
    assert counted(emsp) == {}


@pytest.mark.req("QRK-33")
def test_a_whitelist_rewritten_on_its_way_is_obeyed_as_it_arrives(
    point: Point, partner: Partner, listener: Listener, document: Document
) -> None:
    """Somebody in the middle turned ALWAYS into ALLOWED_OFFLINE; what the eMSP answers changes nothing stored."""
    emsp = partner("DE*EMS:EMSP", listener=listener)
    arrived = document("token_rfid", whitelist="ALLOWED_OFFLINE")
    push(emsp, arrived)
    meant = {**arrived, "whitelist": "ALWAYS"}
    listener.reply("POST", "/ocpi/2.2.1/sender/tokens", data={"allowed": "ALLOWED", "token": meant})

    assert authorize(point) == "Accepted"

    assert len(listener.received("POST", "/ocpi/2.2.1/sender/tokens")) == 1
    assert emsp.get(f"cpo/2.2.1/tokens/DE/EMS/{TAG}").data == arrived


@pytest.mark.req("QRK-33", "TOK-14", "QRK-22")
def test_a_uid_of_two_emsps_is_two_tokens_and_the_valid_one_charges(
    point: Point, emsp: Person, second_emsp: Person, document: Document
) -> None:
    push(emsp, document("token_rfid", whitelist="ALWAYS", valid=False))
    push(second_emsp, document("token_rfid", country_code="BE", party_id="MSX", whitelist="ALWAYS"))

    point.charge(TAG)

    assert PushedToken.objects.count() == 2
    assert (Session.objects.get().emsp_country_code, Session.objects.get().emsp_party_id) == ("BE", "MSX")


@pytest.mark.req("QRK-33", "TOK-10")
@pytest.mark.parametrize(("shown", "accepted"), [
    (TAG, True), (TAG.lower(), True), ("805DB9E2A1C704", True), ("805db9e2a1c704", True), ("805DB9E2A1C705", False),
])  # fmt: skip
def test_a_card_is_known_from_either_end_of_its_uid(
    point: Point, emsp: Person, document: Document, shown: str, accepted: bool
) -> None:
    push(emsp, document("token_rfid", whitelist="ALWAYS"))

    status = authorize(point, shown)

    assert (status == "Accepted") is accepted


@pytest.mark.req("QRK-33")
def test_an_app_has_no_other_end(point: Point, emsp: Person, document: Document) -> None:
    push(emsp, document("token_app_user", uid="A1B2C3D4", whitelist="ALWAYS"))

    assert authorize(point, "A1B2C3D4") == "Accepted"
    assert authorize(point, "D4C3B2A1") == "Invalid"
    assert not Transaction.objects.exists()
