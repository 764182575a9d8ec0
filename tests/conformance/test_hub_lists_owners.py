"""GET All shows each requester what concerns it: permissions by owner, Sessions and CDRs of its own drivers alone."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from hub import passing, tidying
from hub.models import Callback, Permission, SharedObject
from ocpi import counts, snapshot
from ocpi.models import Delivery
from ocpi.v2_2_1.types import format_datetime
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener
from tests.statements import at_most

SENDER = "hub/2.2.1/sender"
SINCE = {"date_from": "2001-01-01T00:00:00Z"}
OWNERS = ("NL*AAA", "NL*BBB", "FR*CCC", "FR*DDD")
pytestmark = pytest.mark.usefixtures("hub_side")


def rule(effect: str, **columns: Any) -> None:
    Permission.objects.create(effect=effect, **columns)
    snapshot.changed()


def shown(reader: Person, module: str, **query: Any) -> list[str]:
    """Return what a reader is shown, as "AAA/1": the same on one page, page by page, by offsets and since a moment."""
    url = f"{SENDER}/{module}"

    def page(path: str = url, **more: Any) -> Any:
        with at_most(5):
            return reader.get(path, query={**query, **more})

    def names(found: Any) -> list[str]:
        return [f"{each['party_id']}/{each.get('id', each.get('uid'))}" for each in found]

    reader.get(url, query=query)  # reads the registry
    whole = page()
    assert whole.codes == (200, 1000), whole.message
    expected = names(whole.data)
    assert whole.headers["X-Total-Count"] == str(len(expected))
    for since in ({}, SINCE):
        pages = [page(limit=1, **since)]
        while "Link" in pages[-1].headers:
            pages.append(reader.get(pages[-1].headers["Link"].partition(">")[0].lstrip("<")))
        assert [name for one in pages for name in names(one.data)] == expected
        found = [page(limit=1, offset=offset, **since) for offset in range(len(expected))]
        assert [name for one in found for name in names(one.data)] == expected
        assert {one.headers["X-Total-Count"] for one in pages + found} == {str(len(expected))}
    return expected


@pytest.fixture
def reader(partner: Partner, listener: Listener) -> Person:
    return partner("DE*EMS:EMSP", listener=listener)


@pytest.fixture
def owners(partner: Partner, document: Document, reader: Person) -> list[Person]:
    """Four CPOs with two Tariffs each for all, and one that was sent to DE*EMS alone in place of the second."""
    found = [partner(f"{name}:CPO") for name in OWNERS]
    for person in found:
        country_code, party_id = person.address.key
        owner = {"country_code": country_code, "party_id": party_id}
        for to, name, year in (
            ("NL*HUB", "1", 2025),
            ("NL*HUB", "2", 2025),
            ("DE*EMS", "2", 2026),
            ("DE*EMS", "3", 2026),
        ):
            body = document("tariff", id=name, last_updated=f"{year}-01-01T00:00:00Z", **owner)
            url = f"hub/2.2.1/receiver/tariffs/{country_code}/{party_id}/{name}"
            assert person.put(url, body, to=to).status_code == 1000
    return found


ALL = ("AAA", "BBB", "CCC", "DDD")


@pytest.mark.req("SEC-40", "HUB-60", "HUB-62", "TRN-068")
@pytest.mark.parametrize("summed_up", [False, True])
@pytest.mark.parametrize(("rules", "default", "left"), [
    ([], "allow", ALL),
    ([], "deny", ()),
    ([{"effect": "DENY", "to_country_code": "NL", "to_party_id": "AAA"}], "allow", ("BBB", "CCC", "DDD")),
    ([{"effect": "DENY", "to_country_code": "NL", "mutual": False}], "allow", ("CCC", "DDD")),
    ([{"effect": "DENY", "from_country_code": "NL", "mutual": False}], "allow", ALL),
    ([{"effect": "DENY", "from_country_code": "NL"}], "allow", ("CCC", "DDD")),
    ([{"effect": "DENY", "to_role": "CPO", "module": "tariffs", "direction": "PULL"}], "allow", ()),
    ([{"effect": "DENY", "to_role": "CPO", "module": "tariffs", "direction": "PUSH", "mutual": False}], "allow", ALL),
    ([{"effect": "ALLOW", "to_country_code": "FR", "to_party_id": "CCC"}], "deny", ("CCC",)),
    ([{"effect": "ALLOW"}, {"effect": "DENY", "to_country_code": "FR", "to_party_id": "CCC"}], "deny",
     ("AAA", "BBB", "DDD")),
    ([{"effect": "DENY", "to_country_code": "NL", "to_party_id": "AAA", "valid_until": "2026-01-01T00:00:00Z"}],
     "allow", ALL),
])  # fmt: skip
def test_owners_that_a_requester_may_not_pull_from_are_left_out_and_not_counted(
    owners: list[Person], reader: Person, settings: Settings, rules: list[dict[str, Any]], default: str,
    left: tuple[str, ...], summed_up: bool,
) -> None:  # fmt: skip
    settings.OCPI_HUB_DEFAULT_PERMISSION = default
    for columns in rules:
        rule(**columns)
    snapshot.changed()
    if summed_up:
        counts.compact()

    found = shown(reader, "tariffs")

    assert sorted(found) == [f"{name}/{number}" for name in left for number in (1, 2, 3)]


@pytest.mark.req("HUB-62")
def test_a_reader_that_owns_such_objects_is_not_shown_its_own(
    owners: list[Person], partner: Partner, document: Document
) -> None:
    both = partner("NL*AAB:CPO", "NL*AAE:EMSP")
    body = document("tariff", id="1", country_code="NL", party_id="AAB")
    assert both.put("hub/2.2.1/receiver/tariffs/NL/AAB/1", body).status_code == 1000
    as_emsp = Person(**{**{name: getattr(both, name) for name in Person.__slots__}, "parties": both.parties[1:]})

    assert {name.partition("/")[0] for name in shown(as_emsp, "tariffs")} == set(ALL)


# ---------------------------------------------------------------- Sessions and CDRs


class Drivers:
    """A CPO that pushes Sessions and CDRs to two eMSPs and an SCSP that all answer."""

    def __init__(self, partner: Partner, document: Document, listener: Listener) -> None:
        self.document = document
        self.cpo = partner("NL*TNM:CPO")
        self.ems, self.msx, self.scsp = (
            partner(name, listener=listener) for name in ("DE*EMS:EMSP", "BE*MSX:EMSP", "AT*SCS:SCSP")
        )

    def push(self, module: str, name: str, *, holder: str, to: str, **members: Any) -> Any:
        found = self._push(module, name, holder=holder, to=to, **members)
        passing.flush()
        return found

    def _push(self, module: str, name: str, *, holder: str, to: str, **members: Any) -> Any:
        country_code, _, party_id = holder.partition("*")
        body = {**self.document(module.removesuffix("s")), "id": name, **members}
        body["cdr_token"] = {**body["cdr_token"], "country_code": country_code, "party_id": party_id}
        if module == "cdrs":
            return self.cpo.post("hub/2.2.1/receiver/cdrs", body, to=to)
        return self.cpo.put(f"hub/2.2.1/receiver/sessions/NL/TNM/{name}", body, to=to)


@pytest.fixture
def drivers(partner: Partner, document: Document, listener: Listener) -> Drivers:
    return Drivers(partner, document, listener)


@pytest.mark.req("HUB-62", "SEC-42")
@pytest.mark.parametrize("module", ["sessions", "cdrs"])
def test_sessions_and_cdrs_are_shown_to_the_emsp_of_their_driver_alone(drivers: Drivers, module: str) -> None:
    drivers.push(module, "1", holder="DE*EMS", to="DE*EMS")
    drivers.push(module, "2", holder="BE*MSX", to="BE*MSX")
    drivers.push(module, "3", holder="BE*MSX", to="DE*EMS")  # goes where it is sent, and is shown to nobody

    assert shown(drivers.ems, module, **SINCE) == ["TNM/1"]
    assert shown(drivers.msx, module, **SINCE) == ["TNM/2"]
    assert drivers.scsp.get(f"{SENDER}/{module}", query=SINCE).data in ([], None)
    assert drivers.cpo.get(f"{SENDER}/{module}", query=SINCE).codes == (200, 2001)


@pytest.mark.req("SEC-40", "HUB-62")
def test_an_scsp_is_shown_the_sessions_it_was_sent_once_a_rule_names_them(drivers: Drivers) -> None:
    assert drivers.push("sessions", "1", holder="AT*SCS", to="AT*SCS").codes == (200, 1000)
    rule("ALLOW")  # everything between everybody names nothing
    assert drivers.scsp.get(f"{SENDER}/sessions", query=SINCE).data == []

    rule("ALLOW", from_country_code="AT", from_party_id="SCS", to_role="CPO", module="sessions")
    drivers.push("sessions", "2", holder="DE*EMS", to="AT*SCS")

    assert shown(drivers.scsp, "sessions", **SINCE) == ["TNM/2"]
    assert shown(drivers.ems, "sessions", **SINCE) == []


@pytest.mark.req("SEC-42", "HUB-40", "HUB-60")
def test_of_sessions_that_go_to_all_by_a_rule_nobody_else_learns_that_there_are_any(drivers: Drivers) -> None:
    rule("ALLOW", to_country_code="AT", to_party_id="SCS", module="sessions", broadcast=True)
    assert drivers.push("sessions", "1", holder="DE*EMS", to="NL*HUB").codes == (201, 1000)

    for reader in (drivers.ems, drivers.msx, drivers.scsp):
        answer = reader.get(f"{SENDER}/sessions", query=SINCE)
        assert (answer.data, answer.headers["X-Total-Count"]) == ([], "0")


def _period(minute: int, volume: float) -> dict[str, Any]:
    start = f"2026-03-01T10:{minute:02}:00Z"
    return {"start_date_time": start, "dimensions": [{"type": "ENERGY", "volume": volume}]}


@pytest.mark.req("SES-29", "SES-32", "HUB-61")
@pytest.mark.parametrize("to", ["DE*EMS", "NL*HUB"])
def test_charging_periods_in_a_patch_are_added_to_those_the_hub_keeps(drivers: Drivers, to: str) -> None:
    rule("ALLOW", to_country_code="AT", to_party_id="SCS", module="sessions", broadcast=True)
    first, second, third = _period(0, 1.5), _period(5, 2.5), _period(10, 3.5)
    stamp = "2026-03-01T10:00:00Z"
    drivers.push("sessions", "1", holder="DE*EMS", to=to, charging_periods=[first, second], last_updated=stamp)
    Delivery.objects.all().delete()
    url, again = "hub/2.2.1/receiver/sessions/NL/TNM/1", _period(5, 2.75)

    for periods in ([third, again], [], None):
        change = {"charging_periods": periods, "last_updated": stamp}
        assert drivers.cpo.patch(url, change, to=to).codes == (200, 1000)
        passing.flush()

    kept = json.loads(SharedObject.objects.get(module="sessions").document)
    assert kept["charging_periods"] == [first, again, third]
    # To who adds what a PATCH names, two of them would come once more: all of it goes there.
    assert list(Delivery.objects.values_list("fields", flat=True)) == ([None] if to == "NL*HUB" else [])


@pytest.mark.req("SES-02", "HUB-60")
def test_sessions_are_not_listed_without_a_date(drivers: Drivers) -> None:
    answer = drivers.ems.get(f"{SENDER}/sessions")

    assert answer.codes == (200, 2001)
    assert "date_from" in answer.message


@pytest.mark.req("HUB-20", "HUB-61")
def test_a_session_is_shown_as_it_is_now(drivers: Drivers) -> None:
    drivers.push("sessions", "1", holder="DE*EMS", to="DE*EMS", kwh=1, last_updated="2026-03-01T10:00:00Z")
    patch = {"kwh": 2.5, "last_updated": "2026-03-01T10:05:00Z"}
    url = "hub/2.2.1/receiver/sessions/NL/TNM/1"
    assert drivers.cpo.patch(url, patch, to="DE*EMS").codes == (200, 1000)
    assert drivers.cpo.patch(url, {**patch, "kwh": 9}, to="BE*MSX").codes == (200, 1000)  # of nothing it has
    passing.flush()

    (found,) = drivers.ems.get(f"{SENDER}/sessions", query=SINCE).data

    assert (found["kwh"], found["last_updated"]) == (2.5, "2026-03-01T10:05:00Z")
    assert shown(drivers.msx, "sessions", **SINCE) == []


@pytest.mark.req("HUB-62")
def test_changes_of_a_session_that_was_never_put_cost_one_look(drivers: Drivers) -> None:
    url, patch = "hub/2.2.1/receiver/sessions/NL/TNM/9", {"kwh": 2.5, "last_updated": "2026-03-01T10:05:00Z"}
    drivers.cpo.patch(url, patch, to="DE*EMS")
    with at_most(4):
        passing.flush()
    for _ in range(3):
        drivers.cpo.patch(url, patch, to="DE*EMS")
    with at_most(0):
        passing.flush()

    drivers.push("sessions", "9", holder="DE*EMS", to="DE*EMS", last_updated="2026-03-01T10:00:00Z")
    drivers.cpo.patch(url, patch, to="DE*EMS")
    passing.flush()

    assert [each["kwh"] for each in drivers.ems.get(f"{SENDER}/sessions", query=SINCE).data] == [2.5]


@pytest.mark.req("PIT-87")
def test_a_session_that_reached_the_hub_late_is_not_missed(drivers: Drivers) -> None:
    drivers.push("sessions", "1", holder="DE*EMS", to="DE*EMS", last_updated="2025-01-01T00:00:00Z")
    since = {"date_from": format_datetime(timezone.now() - timedelta(minutes=5))}

    assert shown(drivers.ems, "sessions", **since) == ["TNM/1"]


@pytest.mark.req("CDR-05")
def test_a_cdr_is_kept_as_it_came_first(drivers: Drivers) -> None:
    drivers.push("cdrs", "1", holder="DE*EMS", to="DE*EMS", remark="first", last_updated="2026-03-01T10:00:00Z")
    drivers.push("cdrs", "1", holder="DE*EMS", to="DE*EMS", remark="second", last_updated="2026-03-02T10:00:00Z")

    assert [each["remark"] for each in drivers.ems.get(f"{SENDER}/cdrs").data] == ["first"]


def test_what_the_receiver_refuses_is_not_kept(drivers: Drivers, listener: Listener) -> None:
    listener.reply("POST", "/", code=2001)
    drivers.push("cdrs", "1", holder="DE*EMS", to="DE*EMS")

    assert drivers.ems.get(f"{SENDER}/cdrs").data == []


def test_nobody_else_can_put_a_cdr_into_the_list(drivers: Drivers, partner: Partner, document: Document) -> None:
    stranger = partner("FR*CPX:CPO")

    assert stranger.post("hub/2.2.1/receiver/cdrs", document("cdr"), to="DE*EMS").codes == (200, 2001)

    assert drivers.ems.get(f"{SENDER}/cdrs").data == []


def test_keeping_them_can_be_switched_off(drivers: Drivers, settings: Settings) -> None:
    settings.OCPI_HUB_KEEPS_SESSIONS = False
    drivers.push("cdrs", "1", holder="DE*EMS", to="DE*EMS")

    assert not SharedObject.objects.exists()
    assert drivers.ems.get(f"{SENDER}/cdrs").codes == (200, 2001)


def test_they_are_removed_after_some_days(drivers: Drivers, document: Document, settings: Settings) -> None:
    drivers.push("cdrs", "old", holder="DE*EMS", to="DE*EMS")
    drivers.push("cdrs", "new", holder="DE*EMS", to="DE*EMS")
    assert drivers.cpo.put("hub/2.2.1/receiver/tariffs/NL/TNM/T1", document("tariff", id="T1")).status_code == 1000
    past = timezone.now() - timedelta(days=settings.OCPI_HUB_SESSION_DAYS, minutes=1)
    SharedObject.objects.exclude(path="new").update(received_at=past, last_updated=past)

    assert tidying.forget_sessions() == 1
    assert shown(drivers.ems, "cdrs") == ["TNM/new"]
    assert shown(drivers.ems, "tariffs") == ["TNM/T1"]


def test_urls_that_ended_are_removed(cpo: Person, emsp: Person) -> None:
    now = timezone.now()
    for key, end in (("old", now - timedelta(days=2)), ("new", now), ("lasting", None)):
        Callback.objects.create(
            key=key, kind="LINK", url="https://x.example", owner_id=cpo.id, caller_id=emsp.id, expires_at=end
        )

    assert tidying.forget_callbacks() == 1
    assert set(Callback.objects.values_list("key", flat=True)) == {"new", "lasting"}
