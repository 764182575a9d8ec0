"""What a party was sent alone, apart from what was broadcast: GET All shows each its own (PIT-84)."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from hub import direct_versions
from hub.models import SharedObject
from ocpi import counts, snapshot
from ocpi.v2_2_1.types import format_datetime
from tests.answers import OcpiAnswer
from tests.fixtures import Document, Partner, add_party
from tests.people import Person
from tests.platforms import Listener
from tests.statements import at_most

EVSE, OTHER_EVSE = "TNM-UTR-0042-1", "TNM-UTR-0042-2"
BASE = datetime(2026, 1, 1, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("hub_side")


def at(minute: int) -> str:
    return format_datetime(BASE + timedelta(minutes=minute))


class World:
    """A CPO, two eMSPs that really answer, and what each is shown."""

    def __init__(self, partner: Partner, document: Document, listener: Listener) -> None:
        self.document, self.listener = document, listener
        self.cpo = partner("NL*TNM:CPO")
        self.ems = partner("DE*EMS:EMSP", listener=listener)
        self.msx = partner("BE*MSX:EMSP", listener=listener)

    def push(self, to: str, method: str, path: str, minute: int, /, *, owner: str = "NL/TNM", **members: Any) -> Any:
        """Push a Location ("LOC1"), a part of it ("LOC1/3256"), or a Tariff ("tariffs/T1"), to one or all."""
        module, _, path = path.rpartition("tariffs/") if path.startswith("tariffs/") else ("", "", path)
        module = "tariffs" if _ else "locations"
        body: Any = {**members, "last_updated": at(minute)}
        parts = path.split("/")
        if method == "PUT" and len(parts) == 1:
            country_code, _, party_id = owner.partition("/")
            name = {"tariffs": "tariff", "locations": "location"}[module]
            body = self.document(name, id=path, country_code=country_code, party_id=party_id, **body)
        elif method == "PUT":
            (whole,) = [each for each in self.document("location")["evses"] if each["uid"] == EVSE]
            whole = whole if len(parts) == 2 else whole["connectors"][0]
            body = {**whole, "uid" if len(parts) == 2 else "id": parts[-1], **body}
        url = f"hub/2.2.1/receiver/{module}/{owner}/{path}"
        party = "NL*HUB" if to == "all" else {"EMS": "DE*EMS", "MSX": "BE*MSX"}[to]
        return self.cpo.request(method, url, None if method == "DELETE" else body, to=party)

    def pushed(self, *steps: tuple[Any, ...]) -> None:
        for to, method, path, minute, *members in steps:
            answer = self.push(to, method, path, minute, **(members[0] if members else {}))
            assert answer.status_code == 1000, (to, method, path, minute, answer.message)

    def shown(self, reader: Person, module: str = "locations") -> list[dict[str, Any]]:
        """Return what a reader is shown: the same on one page, page by page, by offsets and since a moment."""

        def page(path: str = f"hub/2.2.1/sender/{module}", **query: Any) -> OcpiAnswer:
            with at_most(4):
                return reader.get(path, query=query)

        whole = page()
        ways = [whole.data]
        for since in ({}, {"date_from": "2001-01-01T00:00:00Z"}):
            pages = [page(limit=1, **since)]
            while "Link" in pages[-1].headers:
                pages.append(page(pages[-1].headers["Link"].partition(">")[0].lstrip("<")))
            ways.append([each for one in pages for each in one.data])
            found = [page(limit=1, offset=offset, **since) for offset in range(len(whole.data))]
            ways.append([each for one in found for each in one.data])
            assert {one.headers["X-Total-Count"] for one in pages + found} == {str(len(whole.data))}
        assert whole.headers["X-Total-Count"] == str(len(whole.data))
        assert all(way == whole.data for way in ways)
        return list(whole.data)

    def names(self, reader: Person) -> dict[str, str]:
        return {each["id"]: each["name"] for each in self.shown(reader)}


@pytest.fixture
def world(partner: Partner, document: Document, listener: Listener) -> World:
    return World(partner, document, listener)


def connector(location: Any) -> dict[str, Any]:
    return dict(location["evses"][0]["connectors"][0])


NONE: dict[str, str] = {}
ALL, OWN = {"name": "for all"}, {"name": "for EMS"}


@pytest.mark.req("PIT-84", "HUB-57", "HUB-60", "HUB-62")
@pytest.mark.parametrize("summed_up", [False, True])
@pytest.mark.parametrize(("steps", "ems", "msx"), [
    pytest.param([("all", "PUT", "LOC1", 1, ALL)], {"LOC1": "for all"}, {"LOC1": "for all"}, id="broadcast"),
    pytest.param([("EMS", "PUT", "LOC1", 1, OWN)], {"LOC1": "for EMS"}, NONE, id="only direct"),
    pytest.param([("all", "PUT", "LOC1", 1, ALL), ("EMS", "PUT", "LOC1", 2, OWN)],
                 {"LOC1": "for EMS"}, {"LOC1": "for all"}, id="direct after broadcast"),
    pytest.param([("EMS", "PUT", "LOC1", 2, OWN), ("all", "PUT", "LOC1", 1, ALL)],
                 {"LOC1": "for EMS"}, {"LOC1": "for all"}, id="an older broadcast replaces nothing"),
    pytest.param([("EMS", "PUT", "LOC1", 2, OWN), ("all", "PUT", "LOC1", 2, ALL)],
                 {"LOC1": "for EMS"}, {"LOC1": "for all"}, id="nor does one of the same time"),
    pytest.param([("EMS", "PUT", "LOC1", 1, OWN), ("all", "PUT", "LOC1", 2, ALL)],
                 {"LOC1": "for all"}, {"LOC1": "for all"}, id="a newer first broadcast does"),
    pytest.param([("all", "PUT", "LOC1", 1, ALL), ("EMS", "PUT", "LOC1", 2, OWN), ("all", "PUT", "LOC1", 3, ALL)],
                 {"LOC1": "for all"}, {"LOC1": "for all"}, id="a newer second broadcast does"),
    pytest.param([("all", "PUT", "LOC1", 0, ALL), ("EMS", "PUT", "LOC1", 2, OWN),
                  ("MSX", "PUT", "LOC1", 4, {"name": "for MSX"}), ("all", "PUT", "LOC1", 3, ALL)],
                 {"LOC1": "for all"}, {"LOC1": "for MSX"}, id="each version for itself"),
    pytest.param([("all", "PUT", "LOC1", 1, ALL), ("EMS", "PUT", "LOC1", 3, OWN),
                  ("all", "PATCH", f"LOC1/{EVSE}", 4, {"status": "BLOCKED"})],
                 {"LOC1": "for EMS"}, {"LOC1": "for all"}, id="a newer part changes that part alone"),
    pytest.param([("all", "PUT", "LOC1", 1, ALL), ("EMS", "PUT", "LOC1", 3, OWN),
                  ("all", "PUT", f"LOC1/{EVSE}", 4), ],
                 {"LOC1": "for EMS"}, {"LOC1": "for all"}, id="also one that is put"),
    pytest.param([("all", "PUT", "LOC1", 1, ALL), ("EMS", "PUT", "LOC1", 3, OWN),
                  ("all", "PATCH", f"LOC1/{EVSE}/1", 4, {"max_voltage": 231})],
                 {"LOC1": "for EMS"}, {"LOC1": "for all"}, id="also a Connector"),
    pytest.param([("all", "PUT", "LOC1", 1, ALL), ("EMS", "PUT", "LOC1", 3, OWN),
                  ("all", "PATCH", "LOC1", 4, {"name": "patched"})],
                 {"LOC1": "patched"}, {"LOC1": "patched"}, id="also a PATCH of the whole"),
    pytest.param([("all", "PUT", "LOC1", 1, ALL), ("EMS", "PUT", "LOC1", 3, OWN),
                  ("all", "PATCH", "LOC1", 2, {"name": "patched"})],
                 {"LOC1": "for EMS"}, {"LOC1": "patched"}, id="an older PATCH is none"),
    pytest.param([("EMS", "PUT", "LOC1", 2, OWN), ("EMS", "PUT", "LOC1", 1, {"name": "late"})],
                 {"LOC1": "for EMS"}, NONE, id="an older direct push replaces nothing"),
    pytest.param([("EMS", "PUT", "loc1", 1, OWN), ("all", "PUT", "LOC1", 0, ALL)],
                 {"loc1": "for EMS"}, {"LOC1": "for all"}, id="in another case"),
    pytest.param([("all", "PUT", "LOC1", 1, ALL), ("all", "PUT", "LOC2", 1, ALL), ("EMS", "PUT", "LOC1", 2, OWN),
                  ("EMS", "PUT", "LOC3", 2, OWN)],
                 {"LOC2": "for all", "LOC1": "for EMS", "LOC3": "for EMS"}, {"LOC1": "for all", "LOC2": "for all"},
                 id="others stay"),
    pytest.param([("EMS", "PATCH", "LOC1", 2, OWN)], NONE, NONE, id="a part of nothing"),
    pytest.param([("MSX", "PUT", "LOC1", 1, ALL), ("EMS", "PATCH", "LOC1", 2, OWN)],
                 NONE, {"LOC1": "for all"}, id="a part of what only another has"),
    pytest.param([("all", "PUT", "LOC1", 1, ALL), ("EMS", "PATCH", "LOC1", 2, OWN)],
                 {"LOC1": "for EMS"}, {"LOC1": "for all"}, id="a part of what is broadcast"),
    pytest.param([("all", "PUT", "LOC1", 2, ALL), ("EMS", "PATCH", "LOC1", 1, OWN)],
                 {"LOC1": "for all"}, {"LOC1": "for all"}, id="an older part of what is broadcast"),
])  # fmt: skip
def test_each_is_shown_its_own_version(
    world: World, steps: list[Any], ems: dict[str, str], msx: dict[str, str], summed_up: bool
) -> None:
    for step in steps:
        world.pushed(step)
        if summed_up:
            counts.compact()

    assert world.names(world.ems) == ems
    assert world.names(world.msx) == msx


@pytest.mark.req("PIT-84")
@pytest.mark.parametrize("broadcast", [False, True])
@pytest.mark.parametrize(("method", "path", "members", "changed"), [
    ("PATCH", f"LOC1/{EVSE}", {"status": "BLOCKED"}, lambda found: found["evses"][0]["status"] == "BLOCKED"),
    ("PATCH", f"LOC1/{EVSE}/1", {"max_voltage": 111}, lambda found: connector(found)["max_voltage"] == 111),
    ("PUT", f"LOC1/{EVSE}", {"status": "BLOCKED"}, lambda found: found["evses"][0]["status"] == "BLOCKED"),
    ("PUT", "LOC1/NEW", {}, lambda found: [each["uid"] for each in found["evses"]] == [EVSE, OTHER_EVSE, "NEW"]),
    ("PUT", f"LOC1/{EVSE}/1", {"max_voltage": 111}, lambda found: connector(found)["max_voltage"] == 111),
    ("PATCH", "LOC1", {"evses": [{"uid": EVSE, "status": "BLOCKED", "last_updated": at(5)}]},
     lambda found: found["evses"][0]["status"] == "BLOCKED"),
])  # fmt: skip
def test_a_part_changes_the_receivers_version_alone(
    world: World, method: str, path: str, members: dict[str, Any], changed: Callable[[Any], bool], broadcast: bool
) -> None:
    """Of the receiver's own version, or of a copy of what was broadcast."""
    world.pushed(("all", "PUT", "LOC1", 1, ALL))
    if not broadcast:
        world.pushed(("EMS", "PUT", "LOC1", 2, OWN))
    (before,) = world.shown(world.ems)
    (others,) = world.shown(world.msx)

    world.pushed(("EMS", method, path, 5, members))

    (found,) = world.shown(world.ems)
    assert changed(found)
    assert not changed(before)
    assert found["name"] == before["name"]
    assert found["last_updated"] == at(5)
    assert found["evses"][1] == before["evses"][1]
    assert world.shown(world.msx) == [others]


@pytest.mark.req("PIT-84")
@pytest.mark.parametrize("summed_up", [False, True])
@pytest.mark.parametrize(("steps", "ems", "msx"), [
    ([("all", "PUT", "T1", 1), ("EMS", "DELETE", "T1", 2)], [], ["T1"]),
    ([("all", "PUT", "T1", 1), ("EMS", "PUT", "T1", 2), ("EMS", "DELETE", "T1", 3)], [], ["T1"]),
    ([("EMS", "PUT", "T1", 1), ("EMS", "DELETE", "T1", 2)], [], []),
    ([("EMS", "PUT", "T1", 1), ("MSX", "PUT", "T1", 1), ("EMS", "DELETE", "T1", 2)], [], ["T1"]),
    ([("EMS", "DELETE", "T1", 1)], [], []),
    ([("all", "PUT", "T1", 1), ("EMS", "DELETE", "T1", 2), ("all", "PUT", "T1", 1)], [], ["T1"]),
    ([("all", "PUT", "T1", 1), ("EMS", "DELETE", "T1", 2), ("all", "PUT", "T1", 3)], ["T1"], ["T1"]),
    ([("all", "PUT", "T1", 1), ("EMS", "DELETE", "T1", 2), ("EMS", "PUT", "T1", 3)], ["T1"], ["T1"]),
    ([("all", "PUT", "T1", 1), ("EMS", "PUT", "T1", 9), ("all", "DELETE", "T1", 3)], [], []),
    ([("all", "PUT", "T1", 1), ("all", "DELETE", "T1", 3), ("EMS", "PUT", "T1", 4)], ["T1"], []),
    ([("all", "PUT", "T1", 1), ("all", "DELETE", "T1", 3), ("EMS", "PUT", "T1", 9), ("all", "PUT", "T1", 8)],
     ["T1"], ["T1"]),
])  # fmt: skip
def test_a_tariff_is_taken_away_from_whom_it_is_deleted_at(
    world: World, steps: list[Any], ems: list[str], msx: list[str], summed_up: bool
) -> None:
    for to, method, path, minute in steps:
        world.pushed((to, method, f"tariffs/{path}", minute))
        if summed_up:
            counts.compact()

    assert [each["id"] for each in world.shown(world.ems, "tariffs")] == ems
    assert [each["id"] for each in world.shown(world.msx, "tariffs")] == msx


@pytest.mark.req("PIT-84", "HUB-60")
@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_pushed_in_whatever_order_the_lists_and_their_totals_are_right(world: World, seed: int) -> None:
    """Against the rules written down as plainly as can be."""
    chance = random.Random(seed)
    broadcast: dict[str, tuple[int, str]] = {}
    own: dict[str, dict[str, tuple[int, str | None]]] = {"EMS": {}, "MSX": {}}
    for number in range(25):
        to, name, minute = chance.choice(["all", "EMS", "MSX"]), chance.choice(["T1", "T2", "T3"]), chance.randrange(30)
        method, text = chance.choice(["PUT", "PUT", "DELETE"]), f"https://tnm.example/{number}"
        world.push(to, method, f"tariffs/{name}", minute, tariff_alt_url=text)
        if to != "all":
            stored = own[to].get(name)
            if method == "PUT" and (stored is None or stored[1] is None or stored[0] <= minute):
                own[to][name] = minute, text
            elif method == "DELETE" and (known := stored or broadcast.get(name)):
                own[to][name] = known[0], None
        elif method == "DELETE" and name in broadcast:
            del broadcast[name]
            for versions in own.values():
                versions.pop(name, None)
        elif method == "PUT" and (name not in broadcast or broadcast[name][0] <= minute):
            broadcast[name] = minute, text
            for versions in own.values():
                if name in versions and versions[name][0] < minute:
                    del versions[name]
        if number % 5 == 0:
            counts.compact()

    for reader, versions in ((world.ems, own["EMS"]), (world.msx, own["MSX"])):
        expected = {name: text for name, (_, text) in {**broadcast, **versions}.items() if text}
        assert {each["id"]: each["tariff_alt_url"] for each in world.shown(reader, "tariffs")} == expected


@pytest.mark.req("PIT-84", "HUB-62")
def test_tokens_too_and_for_each_type(partner: Partner, document: Document, listener: Listener, world: World) -> None:
    far, near = partner("FR*CPX:CPO", listener=listener), world.cpo
    url = "hub/2.2.1/receiver/tokens/DE/EMS/T1"

    def push(to: str, kind: str, issuer: str, minute: int) -> None:
        body = document(f"token_{kind.lower()}", uid="T1", issuer=issuer, last_updated=at(minute))
        assert world.ems.put(url, body, to=to, query={"type": kind}).status_code == 1000

    push("NL*HUB", "RFID", "for all", 1)
    push("NL*HUB", "APP_USER", "for all", 1)
    push("FR*CPX", "RFID", "for CPX", 2)
    assert world.ems.patch(url, {"valid": False, "last_updated": at(3)}, to="FR*CPX").status_code == 1000

    def shown(reader: Person) -> dict[str, Any]:
        return {each["type"]: (each["issuer"], each["valid"]) for each in world.shown(reader, "tokens")}

    assert shown(far) == {"RFID": ("for CPX", False), "APP_USER": ("for all", True)}
    assert shown(near) == {"RFID": ("for all", True), "APP_USER": ("for all", True)}


@pytest.mark.req("PIT-84")
@pytest.mark.parametrize("reply", [
    {"code": 2001}, {"code": 3000}, {"status": 404, "code": 2003}, {"status": 401},
    {"raw": b"<html>busy</html>"},
])  # fmt: skip
def test_what_the_receiver_did_not_take_is_not_kept(world: World, reply: dict[str, Any]) -> None:
    world.pushed(("all", "PUT", "LOC1", 1, ALL))
    world.listener.reply("PUT", "/", **reply)

    world.push("EMS", "PUT", "LOC1", 2, **OWN)

    snapshot.current()  # a 401 pauses the platform
    assert world.names(world.ems) == {"LOC1": "for all"}


@pytest.mark.req("PIT-84", "HUB-21", "HUB-22")
def test_the_body_passes_byte_for_byte_and_is_shown_as_it_came(world: World, document: Document) -> None:
    """Also with what no table has, and numbers as they were written."""
    body = json.dumps(document("tariff", id="T1", vendor={"kept": "X"}), indent=1).replace('"X"', "1.50").encode()

    answer = world.cpo.put("hub/2.2.1/receiver/tariffs/NL/TNM/T1", body, to="DE*EMS")

    assert answer.codes == (200, 1000)
    assert world.listener.received("PUT")[-1].body == body
    assert '"kept": 1.50' in SharedObject.objects.get().document
    assert [each["vendor"] for each in world.shown(world.ems, "tariffs")] == [{"kept": 1.50}]


@pytest.mark.req("PIT-84")
@pytest.mark.parametrize("body", [b'{"id": "T1"}', b"[]", b'{"id":', b"\xff"])
def test_what_breaks_its_table_is_passed_on_and_not_kept(world: World, body: bytes) -> None:
    answer = world.cpo.put("hub/2.2.1/receiver/tariffs/NL/TNM/T1", body, to="DE*EMS")

    assert answer.codes in ((200, 1000), (400, 2000))
    assert not SharedObject.objects.exists()


@pytest.mark.req("PIT-84")
def test_a_failure_to_keep_it_does_not_change_the_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(direct_versions, "keep", fail)

    assert world.push("EMS", "PUT", "LOC1", 2, **OWN).codes == (200, 1000)


@pytest.mark.req("PIT-84", "HUB-62")
def test_nobody_changes_what_a_receiver_is_shown_of_another(world: World, partner: Partner) -> None:
    stranger = partner("FR*CPX:CPO")
    world.pushed(("all", "PUT", "LOC1", 1, ALL))
    body = world.document("location", id="LOC1", name="forged", last_updated=at(2))

    assert stranger.put("hub/2.2.1/receiver/locations/NL/TNM/LOC1", body, to="DE*EMS").codes == (404, 2003)
    assert world.ems.put("hub/2.2.1/receiver/locations/DE/EMS/LOC1", body, to="BE*MSX").codes == (404, 2003)

    assert world.names(world.ems) == {"LOC1": "for all"}
    assert world.names(world.msx) == {"LOC1": "for all"}


@pytest.mark.req("PIT-84", "HUB-59")
def test_owners_of_one_id_do_not_meet(world: World, partner: Partner) -> None:
    other = partner("FR*CPX:CPO")
    body = world.document("location", id="LOC1", country_code="FR", party_id="CPX", last_updated=at(1), name="of CPX")
    assert other.put("hub/2.2.1/receiver/locations/FR/CPX/LOC1", body).status_code == 1000
    world.pushed(("EMS", "PUT", "LOC1", 2, OWN))

    found = world.shown(world.ems)

    assert [(each["party_id"], each["name"]) for each in found] == [("CPX", "of CPX"), ("TNM", "for EMS")]
    assert [each["party_id"] for each in world.shown(world.msx)] == ["CPX"]


@pytest.mark.req("PIT-84", "PIT-87")
def test_a_direct_version_is_new_to_its_receiver_and_so_is_the_broadcast_that_replaces_it(world: World) -> None:
    now, url = timezone.now(), "hub/2.2.1/sender/locations"
    world.pushed(("all", "PUT", "LOC1", 1, ALL))
    SharedObject.objects.update(received_at=now - timedelta(hours=1))
    since = {"date_from": format_datetime(now - timedelta(minutes=1))}
    before = {"date_to": format_datetime(now - timedelta(minutes=1))}

    world.pushed(("EMS", "PUT", "LOC1", 2, OWN))

    found = [(person.get(url, query=query)) for person in (world.ems, world.msx) for query in (since, before)]
    assert [[each["name"] for each in page.data] for page in found] == [["for EMS"], [], [], ["for all"]]
    assert [page.headers["X-Total-Count"] for page in found] == ["1", "0", "0", "1"]
    world.pushed(("all", "PUT", "LOC1", 3, ALL))
    assert [each["name"] for each in world.ems.get(url, query=since).data] == ["for all"]


@pytest.mark.req("PIT-84")
def test_a_time_in_the_far_future_blocks_no_broadcast(world: World) -> None:
    world.pushed(("EMS", "PUT", "LOC1", 60 * 24 * 3650, OWN), ("all", "PUT", "LOC1", 1, ALL))

    assert world.names(world.ems) == {"LOC1": "for all"}


@pytest.mark.req("PIT-84")
@pytest.mark.parametrize(("method", "path"), [
    ("GET", "receiver/locations/NL/TNM/LOC1"), ("GET", "sender/locations"),
    ("POST", "receiver/commands/UNLOCK_CONNECTOR"), ("PUT", "receiver/sessions/NL/TNM/S1"),
    ("PUT", "sender/sessions/S1/x"),
])  # fmt: skip
def test_what_is_not_kept_costs_nothing(world: World, partner: Partner, method: str, path: str) -> None:
    world.cpo.get("hub/2.2.1/sender/locations", to="DE*EMS")  # reads the registry

    with at_most(0):
        world.cpo.request(method, f"hub/2.2.1/{path}", None if method == "GET" else {"id": "1"}, to="DE*EMS",
                          documented=False)  # fmt: skip


@pytest.mark.req("PIT-84")
@pytest.mark.parametrize("minute", [1, 3])
def test_a_broadcast_status_reaches_the_version_of_a_receiver_unless_it_is_older(world: World, minute: int) -> None:
    """As it reaches the receiver itself."""
    world.pushed(("all", "PUT", "LOC1", 0, ALL), ("EMS", "PUT", "LOC1", 1, OWN))
    world.pushed(("EMS", "PATCH", f"LOC1/{EVSE}", 2, {"status": "RESERVED"}))

    world.pushed(("all", "PATCH", f"LOC1/{EVSE}", minute, {"status": "CHARGING"}))

    (own,), (others,) = world.shown(world.ems), world.shown(world.msx)
    assert own["name"] == "for EMS"
    assert own["evses"][0]["status"] == ("CHARGING" if minute == 3 else "RESERVED")
    assert own["last_updated"] == at(max(minute, 2))
    assert others["evses"][0]["status"] == "CHARGING"


@pytest.mark.req("PIT-84")
def test_without_versions_of_ones_own_a_broadcast_costs_what_it_did(world: World) -> None:
    world.pushed(("all", "PUT", "LOC1", 1, ALL))

    with at_most(3):
        world.pushed(("all", "PATCH", f"LOC1/{EVSE}", 2, {"status": "BLOCKED"}))


@pytest.mark.req("PIT-84", "HUB-62")
def test_the_callers_own_platform_is_left_out_once(partner: Partner, document: Document, listener: Listener) -> None:
    """A broadcast of a platform on which the reader sits too, and of which the reader has another's version."""
    both = partner("NL*TNM:CPO", "DE*EMS:EMSP", listener=listener)
    reader = Person(**{**{name: getattr(both, name) for name in Person.__slots__}, "parties": both.parties[1:]})
    other = partner("FR*CPX:CPO")
    for person, party in ((both, ("NL", "TNM")), (other, ("FR", "CPX"))):
        body = document("tariff", id="T1", country_code=party[0], party_id=party[1])
        assert person.put(f"hub/2.2.1/receiver/tariffs/{'/'.join(party)}/T1", body).status_code == 1000
        assert person.put(f"hub/2.2.1/receiver/tariffs/{'/'.join(party)}/T1", body, to="DE*EMS").status_code == 1000
    add_party(both.platform, "FR*CPX:CPO", approved=False)

    page = reader.get("hub/2.2.1/sender/tariffs")

    assert (page.data, page.headers["X-Total-Count"]) == ([], "0")


@pytest.mark.req("PIT-84")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("first", ["EMS", "all"])
def test_a_broadcast_and_a_direct_push_at_the_same_moment_find_each_other(
    world: World, first: str, known: bool
) -> None:
    """Whoever comes second waits for the other, also while there is no row that either could wait for."""
    if known:
        world.pushed(("all", "PUT", "tariffs/T1", 0))
    pushes = {"EMS": ("EMS", "PUT", "tariffs/T1", 2), "all": ("all", "PUT", "tariffs/T1", 1)}

    def push_second() -> None:
        world.pushed(pushes["all" if first == "EMS" else "EMS"])
        connection.close()

    second = threading.Thread(target=push_second)
    with transaction.atomic():
        world.pushed(pushes[first])
        second.start()
        second.join(0.5)
        assert second.is_alive()
    second.join(10)

    assert [each["last_updated"] for each in world.shown(world.ems, "tariffs")] == [at(2)]
    assert [each["last_updated"] for each in world.shown(world.msx, "tariffs")] == [at(1)]


@pytest.mark.req("PIT-84", "REL-53")
def test_a_version_far_ahead_of_our_clock_gives_way_to_the_next_for_all(world: World) -> None:
    far = 10**6  # minutes
    world.pushed(
        ("all", "PUT", "LOC1", 0), ("EMS", "PUT", "LOC1", far, {"name": "ahead"}), ("all", "PUT", "LOC1", 1)
    )  # fmt: skip

    assert at(far) > format_datetime(datetime.now(UTC) + timedelta(minutes=5))
    assert [each["last_updated"] for each in world.shown(world.ems)] == [at(1)]
