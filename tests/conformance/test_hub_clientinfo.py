"""HubClientInfo, Sender: who is told of whom, when, and what the list holds."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from pytest_django.fixtures import Settings

from hub import clientinfo
from hub.clientinfo_models import ClientInfo, ClientInfoChange, ToldClientInfo
from hub.permission_model import Permission
from ocpi import clock, health, outbox_care, platform_actions, snapshot
from ocpi.models import Delivery, Endpoint, Party, Platform
from ocpi.modules import claims, registration
from ocpi.outbox_engine import drain_now
from ocpi.v2_2_1.types import format_datetime
from tests.conformance.list_suite import ListSuite
from tests.fixtures import Document, Partner, add_party
from tests.outbox_support import later
from tests.people import Person
from tests.platforms import Listener

pytestmark = pytest.mark.usefixtures("hub_side")

URL = "hub/2.2.1/sender/hubclientinfo"
TAKES = [("hubclientinfo", "RECEIVER")]
PUSHED = "/ocpi/2.2.1/receiver/hubclientinfo"


@pytest.fixture(autouse=True)
def _at_once(settings: Settings, db: None) -> None:
    settings.OCPI_CLIENT_INFO_PAUSE = 0.0


def publish() -> int:
    """Publish as the task does each second."""
    snapshot.changed()
    return clientinfo.publish()


def seen(person: Person, **query: Any) -> dict[str, str]:
    """Return what somebody's list says, as {"NL*TNM:CPO": "CONNECTED"}."""
    snapshot.changed()
    answer = person.get(URL, query=query)
    assert answer.codes == (200, 1000)
    return {f"{each['country_code']}*{each['party_id']}:{each['role']}": each["status"] for each in answer.data}


def connection_is(person: Person, status: str) -> None:
    Platform.objects.filter(pk=person.id).update(connection=status)


def told(listener: Listener) -> list[tuple[str, str]]:
    """Publish, send the listener what is due, and return what came: ("NL/TNM", "CONNECTED")."""
    publish()
    for platform in Platform.objects.filter(versions_url=listener.versions_url):
        drain_now(platform.pk)
    return [
        (request.path.removeprefix(PUSHED + "/"), request.json["status"])
        for request in listener.received("PUT", PUSHED)
    ]


class TestClientInfoList(ListSuite):
    place = "hub_side"
    reader = "emsp"
    path = URL
    id_member = "party_id"
    queries = 8

    def make(self, index: int, moment: Any) -> str:
        from tests.fixtures import connect

        person = connect(f"NL*C{index:02}:CPO")
        publish()
        info = ClientInfo.objects.get(party_id=person.address.party_id)
        row = ToldClientInfo.objects.filter(info=info, platform__parties__party_id="EMS").get()
        row.last_updated = info.last_updated = moment
        row.document = clientinfo._document(info, row.status, moment)
        info.save()
        row.save()
        return person.address.party_id


@pytest.mark.req("HCI-01", "HCI-08", "HCI-10", "HUB-82", "HUB-83")
def test_the_list_names_all_others_with_their_status(cpo: Person, emsp: Person, partner: Partner) -> None:
    partner("FR*OFF:CPO", connection="OFFLINE")
    partner("FR*PLN:CPO", state="INVITED", connection="PLANNED", purpose="A")

    answer = emsp.get(URL)

    assert [set(each) for each in answer.data] == [{"country_code", "party_id", "role", "status", "last_updated"}] * 3
    assert seen(emsp) == {"NL*TNM:CPO": "CONNECTED", "FR*OFF:CPO": "OFFLINE", "FR*PLN:CPO": "PLANNED"}
    listed = [(each["identifier"], each["role"]) for each in emsp.get("2.2.1").data["endpoints"]]
    assert ("hubclientinfo", "SENDER") in listed


@pytest.mark.req("HCI-14")
def test_nobody_finds_himself(cpo: Person, emsp: Person, partner: Partner) -> None:
    both = partner("DE*TWO:EMSP", "DE*TWC:CPO")

    assert set(seen(both)) == {"NL*TNM:CPO", "DE*EMS:EMSP"}
    assert set(seen(cpo)) == {"DE*EMS:EMSP", "DE*TWO:EMSP", "DE*TWC:CPO"}


@pytest.mark.req("HCI-06")
def test_no_routing_headers_come_back_from_the_list(emsp: Person) -> None:
    answer = emsp.get(URL, to="NL*HUB", sender="DE*EMS")

    assert answer.codes == (200, 1000)
    assert not [name for name in answer.headers if name.lower().startswith("ocpi-")]


@pytest.mark.req("HCI-04")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_the_sender_is_only_read(emsp: Person, method: str) -> None:
    answer = emsp.request(method, URL, None if method == "DELETE" else {})

    assert answer.codes == (405, 2000)
    assert answer.headers["Allow"] == "GET"
    assert emsp.put(f"{URL}/NL/TNM", {}).codes == (404, 2000)  # that is the Receiver's


@pytest.mark.req("HCI-09")
def test_a_party_has_one_client_info_for_each_role(emsp: Person, partner: Partner) -> None:
    partner("NL*TNM:CPO", "NL*TNM:EMSP")

    assert set(seen(emsp)) == {"NL*TNM:CPO", "NL*TNM:EMSP"}


@pytest.mark.req("HCI-09")
def test_at_the_one_url_of_a_party_no_role_overtakes_another(partner: Partner, listener: Listener) -> None:
    partner("DE*EMS:EMSP", listener=listener, endpoints=TAKES)
    partner("NL*TNM:CPO", "NL*TNM:EMSP")

    publish()

    of_the_party = Delivery.objects.filter(path="NL/TNM")
    assert of_the_party.count() == 2
    assert of_the_party.values("order_key").distinct().count() == 1


@pytest.mark.req("HCI-09", "HCI-11", "HCI-15")
def test_each_new_client_is_pushed_once_to_each_platform(partner: Partner, listener: Listener) -> None:
    partner("DE*EMS:EMSP", "DE*EMT:EMSP", listener=listener, endpoints=TAKES)
    partner("NL*TNM:CPO", "NL*TNM:EMSP")

    assert sorted(told(listener)) == [("NL/TNM", "CONNECTED")] * 2
    assert {request.json["role"] for request in listener.requests} == {"CPO", "EMSP"}
    for request in listener.requests:
        assert not [name for name in request.headers if name.startswith("ocpi-")]
    listener.forget()
    assert told(listener) == []


@pytest.mark.req("HCI-11", "HCI-13", "HUB-71")
def test_each_change_is_pushed_with_its_own_time(partner: Partner, listener: Listener) -> None:
    partner("DE*EMS:EMSP", listener=listener, endpoints=TAKES)
    charge_points = partner("NL*TNM:CPO")
    told(listener)

    for status in ("OFFLINE", "CONNECTED"):
        time.sleep(0.02)
        before = format_datetime(clock.now())
        connection_is(charge_points, status)
        told(listener)
        # Not merely later than the one before: it is the time of this change.
        assert listener.received("PUT", PUSHED)[-1].json["last_updated"] >= before

    bodies = [request.json for request in listener.received("PUT", PUSHED)]
    assert [body["status"] for body in bodies] == ["CONNECTED", "OFFLINE", "CONNECTED"]
    assert bodies[0]["last_updated"] < bodies[1]["last_updated"] < bodies[2]["last_updated"]
    found = ClientInfoChange.objects.filter(info__party_id="TNM").order_by("id")
    assert list(found.values_list("status", flat=True)) == [
        "CONNECTED", "OFFLINE", "CONNECTED"
    ]  # fmt: skip


@pytest.mark.req("HCI-13")
def test_nothing_but_a_status_changes_last_updated(cpo: Person, emsp: Person) -> None:
    before = emsp.get(URL).data
    Party.objects.filter(platform_id=cpo.id).update(
        business_details={"name": "another"}, last_updated="2030-01-01T00:00Z"
    )
    Platform.objects.filter(pk=cpo.id).update(version="2.2.1", average_ms=7, base64_token=False)
    publish()

    assert emsp.get(URL).data == before


@pytest.mark.req("HCI-11", "HUB-71", "REL-38", "HCI-23")
def test_three_failures_are_told_to_the_others_and_one_success_is(
    cpo: Person, partner: Partner, listener: Listener
) -> None:
    partner("DE*EMS:EMSP", listener=listener, endpoints=TAKES)
    told(listener)
    listener.forget()

    for _ in range(2):
        health.failed(cpo.id, "no answer")
        later(3)
    assert told(listener) == []
    health.failed(cpo.id, "no answer")
    assert told(listener) == [("NL/TNM", "OFFLINE")]
    health.succeeded(cpo.id, 0.1, was_well=False)
    assert told(listener) == [("NL/TNM", "OFFLINE"), ("NL/TNM", "CONNECTED")]


@pytest.mark.req("HCI-10", "REL-25")
def test_a_paused_platform_is_offline_to_the_others(cpo: Person, emsp: Person) -> None:
    health.pause(cpo.id, "it refuses our token")

    assert seen(emsp) == {"NL*TNM:CPO": "OFFLINE"}


@pytest.mark.req("HCI-10")
def test_whom_an_operator_suspends_may_come_back_and_is_offline(cpo: Person, emsp: Person) -> None:
    platform_actions.suspend(cpo.id)
    assert seen(emsp) == {"NL*TNM:CPO": "OFFLINE"}

    platform_actions.resume(cpo.id)
    assert seen(emsp) == {"NL*TNM:CPO": "CONNECTED"}


@pytest.mark.req("HCI-12", "HCI-10")
def test_whoever_leaves_is_suspended_and_stays_in_the_list(cpo: Person, emsp: Person) -> None:
    publish()
    registration.unregister(platform_id=cpo.id)

    assert seen(emsp) == {"NL*TNM:CPO": "SUSPENDED"}
    assert ClientInfo.objects.filter(party_id="TNM").count() == 1
    # Invited once more, it is not a stranger that never was here.
    Platform.objects.filter(pk=cpo.id).update(state="INVITED")
    assert seen(emsp) == {"NL*TNM:CPO": "SUSPENDED"}
    Platform.objects.filter(pk=cpo.id).update(state="REGISTERED", connection="CONNECTED")
    assert seen(emsp) == {"NL*TNM:CPO": "CONNECTED"}


@pytest.mark.req("HCI-12", "HCI-14")
def test_a_role_that_is_dropped_or_not_approved_any_more_is_suspended(emsp: Person, partner: Partner) -> None:
    three = partner("NL*TNM:CPO", "NL*TNN:CPO", "NL*TNO:CPO")
    publish()
    Party.objects.filter(platform_id=three.id, party_id="TNM").update(claimed=False)
    platform_actions.withdraw([Party.objects.get(party_id="TNN").pk])

    assert seen(emsp) == {"NL*TNM:CPO": "SUSPENDED", "NL*TNN:CPO": "SUSPENDED", "NL*TNO:CPO": "CONNECTED"}
    assert seen(three) == {"DE*EMS:EMSP": "CONNECTED"}, "nothing of what was its own"


@pytest.mark.req("CRED-56")
def test_whom_nobody_approved_is_not_made_known(emsp: Person, partner: Partner) -> None:
    partner("NL*TNM:CPO", approved=False)

    assert seen(emsp) == {}


@pytest.mark.req("HCI-10", "HCI-18", "HCI-23")
def test_who_was_invited_is_planned_until_it_registers(emsp: Person, partner: Partner, settings: Settings) -> None:
    settings.OCPI_CLIENT_INFO_PAUSE = 60.0
    invited = partner("NL*TNM:CPO", state="INVITED", connection="PLANNED", purpose="A")
    Party.objects.filter(platform_id=invited.id).update(claimed=False)
    assert seen(emsp) == {"NL*TNM:CPO": "PLANNED"}

    Party.objects.filter(platform_id=invited.id).update(claimed=True)
    Platform.objects.filter(pk=invited.id).update(state="REGISTERED", connection="CONNECTED")

    assert seen(emsp) == {"NL*TNM:CPO": "CONNECTED"}  # the first connection waits for no minute


@pytest.mark.req("HCI-23", "REL-38")
def test_a_flapping_party_is_published_once_a_minute_and_its_last_state_in_the_end(
    partner: Partner, listener: Listener, settings: Settings
) -> None:
    partner("DE*EMS:EMSP", listener=listener, endpoints=TAKES)
    charge_points = partner("NL*TNM:CPO")
    told(listener)
    settings.OCPI_CLIENT_INFO_PAUSE = 60.0
    _pass_time(seconds=61)
    listener.forget()

    for status in ("OFFLINE", "CONNECTED", "OFFLINE", "CONNECTED"):
        connection_is(charge_points, status)
        told(listener)
    assert told(listener) == [("NL/TNM", "OFFLINE")]
    _pass_time(seconds=50)
    assert told(listener) == [("NL/TNM", "OFFLINE")]
    _pass_time(seconds=11)
    clientinfo.publish()  # the registry has not changed: it is the waiting one that is looked for

    assert ClientInfo.objects.get(party_id="TNM").status == "CONNECTED"
    assert told(listener) == [("NL/TNM", "OFFLINE"), ("NL/TNM", "CONNECTED")]


@pytest.mark.req("HCI-11", "REL-35")
def test_who_is_offline_gets_the_last_state_when_it_is_back(partner: Partner, listener: Listener) -> None:
    drivers = partner("DE*EMS:EMSP", listener=listener, endpoints=TAKES, catch_up="at_once")
    charge_points = partner("NL*TNM:CPO")
    told(listener)
    listener.forget()
    connection_is(drivers, "OFFLINE")

    for status in ("OFFLINE", "CONNECTED", "OFFLINE"):
        connection_is(charge_points, status)
        assert told(listener) == []
    assert list(Delivery.objects.filter(platform_id=drivers.id).values_list("state", flat=True)) == ["MARKED"]
    health.resume(drivers.id)
    outbox_care.sweep()

    assert told(listener) == [("NL/TNM", "OFFLINE")]


@pytest.mark.req("REL-36", "HCI-21")
def test_who_pulls_needs_no_push_of_what_it_has_seen(partner: Partner, listener: Listener) -> None:
    drivers = partner("DE*EMS:EMSP", listener=listener, endpoints=TAKES)
    connection_is(drivers, "OFFLINE")
    partner("NL*TNM:CPO")
    publish()
    assert Delivery.objects.get(platform_id=drivers.id).state == "MARKED"

    assert drivers.get(URL).codes == (200, 1000)

    assert not Delivery.objects.filter(platform_id=drivers.id).exists()


@pytest.mark.req("HCI-11", "HCI-21")
def test_a_newcomer_is_told_of_everybody_and_everybody_of_it(partner: Partner, listener: Listener) -> None:
    partner("NL*TNM:CPO")
    partner("FR*CPX:CPO", connection="OFFLINE")
    publish()
    newcomer = partner("DE*EMS:EMSP", listener=listener, endpoints=TAKES)

    assert seen(newcomer) == {"NL*TNM:CPO": "CONNECTED", "FR*CPX:CPO": "OFFLINE"}  # before anything was pushed
    assert sorted(told(listener)) == [("FR/CPX", "OFFLINE"), ("NL/TNM", "CONNECTED")]
    assert ToldClientInfo.objects.filter(info__party_id="EMS").count() == 2


@pytest.mark.req("HCI-11")
def test_who_registers_anew_is_told_anew(cpo: Person, partner: Partner, listener: Listener) -> None:
    drivers = partner("DE*EMS:EMSP", listener=listener, endpoints=TAKES)
    told(listener)
    listener.forget()

    claims.disconnect(Platform.objects.get(pk=drivers.id))
    Platform.objects.filter(pk=drivers.id).update(
        state="REGISTERED", connection="CONNECTED", token_out=Platform.objects.get(pk=cpo.id).token_out
    )
    Endpoint.objects.create(
        platform_id=drivers.id, identifier="hubclientinfo", role="RECEIVER", url=listener.endpoint(*TAKES[0])
    )
    publish()

    assert Delivery.objects.filter(platform_id=drivers.id, state="PENDING", path="NL/TNM").count() == 1


@pytest.mark.req("HCI-11")
def test_who_begins_to_take_pushes_is_told_then(cpo: Person, partner: Partner, listener: Listener) -> None:
    drivers = partner("DE*EMS:EMSP", listener=listener, endpoints=[])
    assert told(listener) == []

    Endpoint.objects.create(
        platform_id=drivers.id, identifier="hubclientinfo", role="RECEIVER", url=listener.endpoint(*TAKES[0])
    )

    assert told(listener) == [("NL/TNM", "CONNECTED")]


@pytest.mark.req("REL-01", "REL-02", "HCI-11")
def test_a_status_and_its_deliveries_are_one_transaction(
    cpo: Person, partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    partner("DE*EMS:EMSP", endpoints=TAKES)
    publish()
    connection_is(cpo, "OFFLINE")

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("the process is killed here")

    with monkeypatch.context() as broken:
        broken.setattr("ocpi.outbox.mark", fails)
        with pytest.raises(RuntimeError):
            publish()
    assert ClientInfo.objects.get(party_id="TNM").status == "CONNECTED"
    assert publish() == 1  # the next second finds it
    assert ClientInfo.objects.get(party_id="TNM").status == "OFFLINE"


@pytest.mark.req("REL-02")
def test_what_is_changed_by_hand_in_the_database_is_found_within_a_minute(
    cpo: Person, emsp: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish()
    with connection.cursor() as cursor:  # nobody says that the registry has changed
        cursor.execute("UPDATE ocpi_platform SET connection = 'OFFLINE' WHERE id = %s", [cpo.id])
    assert clientinfo.publish() == 0

    monkeypatch.setattr(clientinfo, "_LOOK_SECONDS", 0.0)

    assert clientinfo.publish() == 1
    assert ClientInfo.objects.get(party_id="TNM").status == "OFFLINE"


@pytest.mark.req("HCI-14")
def test_whom_the_permissions_hide_is_in_no_list_and_told_to_be_offline_once(
    partner: Partner, listener: Listener
) -> None:
    drivers = partner("DE*EMS:EMSP", listener=listener, endpoints=TAKES)
    charge_points = partner("NL*TNM:CPO")
    told(listener)
    listener.forget()
    denied = Permission.objects.create(
        effect="DENY", from_country_code="NL", from_party_id="TNM", to_country_code="DE", to_party_id="EMS", mutual=True
    )

    assert told(listener) == [("NL/TNM", "OFFLINE")]
    assert seen(drivers) == {}
    connection_is(charge_points, "OFFLINE")
    publish()
    connection_is(charge_points, "CONNECTED")
    assert told(listener) == [("NL/TNM", "OFFLINE")]  # nothing more of it
    denied.delete()

    assert told(listener) == [("NL/TNM", "OFFLINE"), ("NL/TNM", "CONNECTED")]
    first, second = [request.json["last_updated"] for request in listener.received("PUT", PUSHED)]
    assert first < second
    assert seen(drivers, date_from=first) == {"NL*TNM:CPO": "CONNECTED"}


@pytest.mark.req("HCI-11", "HCI-23")
def test_what_is_too_much_for_one_second_goes_on_in_the_next(
    partner: Partner, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clientinfo, "_AT_ONCE", 2)
    for number in range(4):
        partner(f"NL*C{number:02}:CPO", endpoints=[])
    snapshot.changed()

    amounts = [clientinfo.publish() for _ in range(6)]

    assert amounts == [3, 3, 3, 3, 0, 0]
    assert ToldClientInfo.objects.count() == 12


@pytest.mark.req("HUB-80")
def test_parties_behind_another_hub_are_offered_only_where_an_admin_allows_it(
    emsp: Person, hub: Person, partner: Partner
) -> None:
    third = partner("CH*HUC:HUB")
    add_party(hub.platform, "FR*FAR:CPO", through_hub=True)
    assert seen(emsp) == {}

    Platform.objects.filter(pk=hub.id).update(offers_clients=True)

    assert seen(emsp) == {"FR*FAR:CPO": "CONNECTED"}
    assert seen(hub) == {"DE*EMS:EMSP": "CONNECTED"}  # not its own
    assert seen(third) == {"DE*EMS:EMSP": "CONNECTED"}  # and nothing is passed from hub to hub
    connection_is(hub, "OFFLINE")
    assert seen(emsp) == {"FR*FAR:CPO": "OFFLINE"}
    Platform.objects.filter(pk=hub.id).update(offers_clients=False)
    assert seen(emsp) == {}


@pytest.mark.req("HUB-87")
def test_of_a_party_that_is_connected_directly_another_hub_says_nothing(cpo: Person, emsp: Person, hub: Person) -> None:
    Platform.objects.filter(pk=hub.id).update(offers_clients=True)
    add_party(hub.platform, "NL*TNM:CPO", through_hub=True, status="OFFLINE")

    assert seen(emsp) == {"NL*TNM:CPO": "CONNECTED"}
    assert ClientInfo.objects.get(party_id="TNM").platform_id == cpo.id


def test_the_history_of_last_years_changes_is_removed_but_no_client_info(cpo: Person, emsp: Person) -> None:
    publish()
    ClientInfoChange.objects.filter(info__party_id="TNM").update(at=F("at") - timedelta(days=91))

    assert clientinfo.forget_old() == 1
    assert ClientInfo.objects.count() == 2


def _pass_time(*, seconds: int) -> None:
    """Let time pass for what was published: the clock is the database's, so the times move instead."""
    ClientInfo.objects.update(last_updated=F("last_updated") - timedelta(seconds=seconds))


@pytest.mark.req("HUB-78", "HUB-77", "HCI-02", "HCI-16")
def test_a_party_behind_another_hub_is_reached_through_it(
    emsp: Person, partner: Partner, listener: Listener, document: Document
) -> None:
    other = partner("BE*HUB:HUB", listener=listener, speaks_for_all=False)
    url = "hub/2.2.1/sender/locations/LOC1"
    assert emsp.get(url, to="FR*FAR").codes == (200, 4001)

    info = document("client_info", country_code="FR", party_id="FAR")
    assert other.put("2.2.1/hubclientinfo/FR/FAR", info).codes == (201, 1000)

    assert emsp.get(url, to="FR*FAR").ok
    (passed,) = listener.received("GET", "/ocpi/2.2.1/sender/locations/LOC1")
    routing = {name: value for name, value in passed.headers.items() if name.startswith("ocpi-")}
    assert routing == {
        "ocpi-to-country-code": "FR", "ocpi-to-party-id": "FAR",
        "ocpi-from-country-code": "DE", "ocpi-from-party-id": "EMS",
    }  # fmt: skip


@pytest.mark.req("HUB-78", "HUB-66", "HCI-17", "HCI-18", "HCI-19")
@pytest.mark.parametrize("status", ["OFFLINE", "PLANNED", "SUSPENDED"])
def test_whom_another_hub_does_not_call_connected_is_not_reached(
    emsp: Person, partner: Partner, listener: Listener, document: Document, status: str
) -> None:
    other = partner("BE*HUB:HUB", listener=listener, speaks_for_all=False)
    info = document("client_info", country_code="FR", party_id="FAR", status=status)
    assert other.put("2.2.1/hubclientinfo/FR/FAR", info).ok

    assert emsp.get("hub/2.2.1/sender/locations/LOC1", to="FR*FAR").codes == (200, 4003)
    assert listener.requests == []


@pytest.mark.req("HUB-78", "HUB-71")
@pytest.mark.parametrize("to", ["FR*FAR", "BE*NEA"])
def test_after_three_failures_further_requests_fail_at_once(
    emsp: Person, partner: Partner, listener: Listener, to: str
) -> None:
    """Both of a party on the platform itself and of one behind it."""
    other = partner("BE*HUB:HUB", "BE*NEA:CPO", listener=listener)
    add_party(other.platform, "FR*FAR:CPO", through_hub=True)
    snapshot.changed()
    for _ in range(3):
        health.failed(other.id, "no connection")
        later(5)

    assert emsp.get("hub/2.2.1/sender/locations/LOC1", to=to).codes == (200, 4003)
    assert listener.requests == []
    publish()
    assert ClientInfo.objects.get(party_id=to[3:]).status == "OFFLINE"


@pytest.mark.req("HUB-78", "HUB-80")
def test_another_hub_is_told_of_our_own_clients(cpo: Person, partner: Partner, listener: Listener) -> None:
    partner("BE*HUB:HUB", listener=listener, endpoints=TAKES)

    assert told(listener) == [("NL/TNM", "CONNECTED")]


@pytest.mark.req("HCI-11", "REL-20")
def test_of_many_platforms_that_are_told_one_that_fails_keeps_nobody_waiting(
    partner: Partner, listener: Listener
) -> None:
    partner("FR*BAD:EMSP", endpoints=TAKES)  # nobody listens there
    partner("DE*EMS:EMSP", listener=listener, endpoints=TAKES)
    partner("NL*TNM:CPO", endpoints=[])
    publish()
    drain_now()

    assert "NL/TNM" in [path for path, _ in told(listener)]


@pytest.mark.req("HCI-14", "SEC-40")
def test_the_permission_table_decides_who_is_told(partner: Partner, listener: Listener, emsp: Person) -> None:
    partner("FR*EMT:EMSP", listener=listener, endpoints=TAKES)
    partner("NL*TNM:CPO")
    Permission.objects.create(
        effect="DENY", from_country_code="NL", from_party_id="TNM", to_country_code="FR", to_party_id="EMT", mutual=True
    )
    Permission.objects.create(effect="DENY", to_country_code="FR", to_party_id="EM1", mutual=True)
    two = partner("FR*EM1:EMSP", "FR*EM2:EMSP")

    assert "NL/TNM" not in [path for path, _ in told(listener)]
    assert "NL*TNM:CPO" in seen(emsp)
    assert "NL*TNM:CPO" in seen(two)  # one of its parties may deal with it

    Permission.objects.all().delete()

    assert ("NL/TNM", "CONNECTED") in told(listener)
