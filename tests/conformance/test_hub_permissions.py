"""Permissions at the hub's doors: table rows in, answers and deliveries out (SEC-40)."""

from __future__ import annotations

import getpass
import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from hub import known_objects
from hub.models import KnownObject, Permission
from ocpi import audit, exchange_message, exchanges, snapshot
from ocpi.models import AuditEntry, Delivery
from tests.admin_world import operator_fixture as operator_fixture
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

COMMAND = "hub/2.2.1/receiver/commands/START_SESSION"
pytestmark = pytest.mark.usefixtures("hub_side", "front_door")


def rule(effect: str, first: str = "", second: str = "", **columns: Any) -> Permission:
    sides: dict[str, str] = {}
    for name, text in (("from", first), ("to", second)):
        country_code, _, party_id = text.partition("*")
        sides |= {f"{name}_country_code": country_code, f"{name}_party_id": party_id}
    row = Permission.objects.create(effect=effect, **{**sides, **columns})
    snapshot.changed()
    return row


@pytest.fixture
def far_cpo(partner: Partner, listener: Listener) -> Person:
    listener.reply("POST", "/", data={"result": "ACCEPTED", "timeout": 30})
    return partner("NL*TNM:CPO", listener=listener)


@pytest.fixture
def command(document: Document) -> dict[str, object]:
    return dict(document("start_session", response_url="https://emsp.example/results/1"))


@pytest.mark.req("SEC-40", "SEC-39", "HUB-64")
def test_no_agreement_is_answered_as_an_unknown_party_is(
    far_cpo: Person, emsp: Person, partner: Partner, listener: Listener, command: dict[str, object]
) -> None:
    rule("DENY", "DE*EMS", "NL*TNM")
    unknown = emsp.post(COMMAND, command, to="ZZ*ZZZ")

    denied = emsp.post(COMMAND, command, to="NL*TNM")

    assert denied.codes == unknown.codes == (200, 4001)
    assert denied.message == unknown.message.replace("ZZ*ZZZ", "NL*TNM")
    assert set(denied.headers) == set(unknown.headers)
    assert denied.headers["OCPI-from-party-id"] == "HUB"
    assert listener.received("POST") == []


@pytest.mark.req("SEC-40")
def test_the_default_is_a_setting(
    far_cpo: Person, emsp: Person, command: dict[str, object], settings: Settings
) -> None:
    settings.OCPI_HUB_DEFAULT_PERMISSION = "deny"
    snapshot.changed()
    assert emsp.post(COMMAND, command, to="NL*TNM").codes == (200, 4001)

    rule("ALLOW", "NL*TNM", "DE*EMS")

    assert emsp.post(COMMAND, command, to="NL*TNM").codes == (200, 1000)


@pytest.mark.req("SEC-40")
def test_an_agreement_ends_without_anybody_being_told(
    far_cpo: Person, emsp: Person, command: dict[str, object], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OCPI_HUB_DEFAULT_PERMISSION = "deny"
    end = timezone.now() + timedelta(hours=1)
    rule("ALLOW", "NL*TNM", "DE*EMS", valid_until=end)
    before = snapshot.current()
    assert emsp.post(COMMAND, command, to="NL*TNM").codes == (200, 1000)

    monkeypatch.setattr("hub.permissions.time.time", lambda: end.timestamp())

    assert emsp.post(COMMAND, command, to="NL*TNM").codes == (200, 4001)
    assert snapshot.current() is before


@pytest.mark.req("SEC-40", "HUB-37")
def test_a_broadcast_leaves_out_whom_its_sender_may_not_reach(
    cpo: Person, emsp: Person, second_emsp: Person, document: Document
) -> None:
    rule("DENY", "NL*TNM", "DE*EMS", module="locations", direction="PUSH")

    answer = cpo.put("hub/2.2.1/receiver/locations/NL/TNM/LOC1", document("location", id="LOC1"))

    assert answer.codes == (201, 1000)
    assert [row.to_party_id for row in Delivery.objects.all()] == ["MSX"]


@pytest.mark.req("SEC-40")
def test_the_result_of_what_was_accepted_still_comes_back(
    far_cpo: Person, partner: Partner, listener: Listener, command: dict[str, object]
) -> None:
    with Listener() as emsp_listener:
        emsp = partner("DE*EMS:EMSP", listener=emsp_listener)
        command["response_url"] = f"{emsp_listener.url}/results/1"
        emsp.post(COMMAND, command, to="NL*TNM")
        url = listener.received("POST")[0].json["response_url"]
        rule("DENY", "DE*EMS", "NL*TNM")

        assert far_cpo.post(url, {"result": "ACCEPTED"}, to="DE*EMS").codes == (200, 1000)
        assert len(emsp_listener.received("POST", "/results/1")) == 1


@pytest.mark.req("SEC-40", "HUB-75")
@pytest.mark.parametrize("headers", ["with", "without"])
def test_further_pages_of_a_list_end_with_the_agreement(
    far_cpo: Person, emsp: Person, listener: Listener, headers: str
) -> None:
    link = f'<{listener.url}/ocpi/2.2.1/sender/locations?offset=1>; rel="next"'
    listener.reply("GET", "/", data=[{"id": "LOC1"}], headers={"Link": link})
    to = "NL*TNM"
    page = emsp.get("hub/2.2.1/sender/locations", to=to)
    url = page.headers["Link"].partition("<")[2].partition(">")[0]
    options: dict[str, Any] = {"to": to} if headers == "with" else {"to": None, "sender": None}
    assert emsp.get(url, **options).codes == (200, 1000)

    rule("DENY", "DE*EMS", "NL*TNM", module="locations", direction="PULL")

    assert emsp.get(url, **options).codes == (404, 2000)


@pytest.mark.req("SEC-40")
def test_an_operator_writes_a_rule_and_the_page_says_who_did(operator: Client) -> None:
    form = {
        "effect": "DENY", "from_country_code": "nl", "from_party_id": "tnm", "to_role": "EMSP", "mutual": "on",
        "module": "tokens", "direction": "PULL", "note": "contract 7",
    }  # fmt: skip

    added = operator.post(reverse("admin:hub_permission_add"), form)

    assert added.status_code == 302, added.content.decode()[:2000]
    row = Permission.objects.get()
    assert str(row) == "deny NL*TNM ↔ EMSP: tokens, pull"
    changed = operator.post(
        reverse("admin:hub_permission_change", args=[row.pk]), {**form, "direction": "BOTH", "mutual": ""}
    )
    assert changed.status_code == 302
    page = operator.get(reverse("admin:hub_permission_change", args=[row.pk])).content.decode()
    who = User.objects.get(pk=operator.session["_auth_user_id"]).get_username()
    assert "direction PULL → BOTH" in page
    assert who in page
    entries = LogEntry.objects.get_for_object(row)
    assert [(entry.get_action_display(), str(entry.actor)) for entry in entries.order_by("timestamp")] == [
        ("create", who), ("update", who),
    ]  # fmt: skip


@pytest.mark.parametrize(("wrong", "field"), [
    ({"from_party_id": "TNM"}, "from_country_code"), ({"from_country_code": "N"}, "from_country_code"),
    ({"valid_from_0": "2026-01-02", "valid_from_1": "00:00", "valid_until_0": "2026-01-01", "valid_until_1": "00:00"},
     "valid_until"),
    ({"broadcast": "on"}, "broadcast"),
])  # fmt: skip
def test_a_rule_that_means_nothing_is_refused(operator: Client, wrong: dict[str, str], field: str) -> None:
    answer = operator.post(reverse("admin:hub_permission_add"), {"effect": "ALLOW", "direction": "BOTH", **wrong})

    assert answer.status_code == 200
    assert field in answer.context["adminform"].form.errors
    assert not Permission.objects.exists()


def run(*arguments: str) -> Any:
    out = StringIO()
    call_command("permission", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


@pytest.mark.req("SEC-40")
def test_the_command_line_writes_and_explains_rules(cpo: Person, emsp: Person) -> None:
    until = "2099-12-31T00:00:00Z"
    added = run("deny", "--from", "NL*TNM", "--to", ":EMSP", "--module", "tokens", "--valid-until", until)

    assert (added["from"], added["to"], added["valid_until"]) == ("NL*TNM", "EMSP", until)
    assert run("list") == [added]
    checked = run("check", "--from", "DE*EMS", "--to", "NL*TNM", "--module", "tokens")
    assert [(each["direction"], each["allowed"], each["rules"]) for each in checked] == [
        ("PUSH", False, [added["rule"]]), ("PULL", False, [added["rule"]]),
    ]  # fmt: skip
    assert run("remove", str(added["rule"])) == added
    assert all(each["allowed"] for each in run("check", "--from", "DE*EMS", "--to", "NL*TNM"))
    assert {entry.additional_data["by"].partition(" ")[2] for entry in LogEntry.objects.all()} == {
        "on the command line"
    }
    for wrong in (("deny", "--from", "NLTNM"), ("remove", "77"), ("check", "--from", "NL", "--to", "DE*EMS")):
        with pytest.raises(CommandError):
            run(*wrong)


@pytest.mark.req("SEC-40", "HUB-35")
def test_who_gets_a_broadcast_is_asked_once_for_each_state_of_the_registry(
    partner: Partner, document: Document
) -> None:
    cpo = partner("NL*TNM:CPO")
    emsp = partner("DE*EMS:EMSP")

    def marked() -> int:
        Delivery.objects.all().delete()
        cpo.put("hub/2.2.1/receiver/locations/NL/TNM/LOC1", document("location", id="LOC1"), to="NL*HUB")
        return Delivery.objects.filter(platform_id=emsp.id).count()

    assert (marked(), marked()) == (1, 1)
    denied = rule("DENY", "NL*TNM")
    assert marked() == 0
    # A rule that ends is asked every time: it may end between two broadcasts.
    Permission.objects.filter(pk=denied.pk).update(valid_until=timezone.now() + timedelta(hours=1))
    snapshot.changed()
    assert marked() == 0
    with time_machine.travel(timezone.now() + timedelta(hours=2), tick=True):
        assert marked() == 1


@pytest.mark.req("SEC-40", "SEC-39")
def test_the_operator_is_told_which_rule_refused_and_the_partner_is_not(
    far_cpo: Person, emsp: Person, command: dict[str, object], settings: Settings
) -> None:
    settings.OCPI_EXCHANGES = True
    denying = rule("DENY", "DE*EMS", "NL*TNM", module="commands")
    rule("ALLOW", "DE*EMS", "NL*TNM")

    answer = emsp.post(COMMAND, command, to="NL*TNM", headers={"X-Correlation-ID": "who-said-no"})

    assert answer.codes == (200, 4001)
    assert "rule" not in answer.text
    exchanges.flush()
    found = exchange_message.read("who-said-no")
    (row,) = found.rows
    why = f"DE*EMS may not push commands to NL*TNM: rule {denying.pk} denies DE*EMS ↔ NL*TNM, commands, both"
    assert row.error == f"permission: {why}"
    assert found.reasons[row.pk] == why  # what the picture of the message's way says below the answer


@pytest.mark.req("SEC-40", "HUB-51")
def test_the_operator_is_told_why_open_routing_found_nobody(
    far_cpo: Person, emsp: Person, command: dict[str, object], settings: Settings
) -> None:
    settings.OCPI_EXCHANGES = True
    location = str(command["location_id"]).upper()
    KnownObject.objects.create(kind=known_objects.LOCATION, key=location, owner="NL*TNM")
    settings.OCPI_HUB_DEFAULT_PERMISSION = "deny"
    snapshot.changed()

    answer = emsp.post(COMMAND, command, to=None, headers={"X-Correlation-ID": "who-said-no"})

    assert answer.codes == (200, 4001)
    exchanges.flush()
    (row,) = exchange_message.read("who-said-no").rows
    assert row.error == (
        "permission: DE*EMS may not push commands to NL*TNM: no rule allows it, and by default nothing is allowed"
    )


@pytest.mark.req("SEC-56")
def test_every_change_of_a_permission_is_in_the_audit_trail_whoever_makes_it(
    operator: Client,
) -> None:
    before = AuditEntry.objects.count()

    row = rule("DENY", "DE*EMS")  # by code
    Permission.objects.filter(pk=row.pk).update(note="by hand", effect="ALLOW")
    call_command("permission", "remove", str(row.pk), stdout=StringIO())
    added = operator.post(
        reverse("admin:hub_permission_add"),
        {"effect": "DENY", "from_country_code": "NL", "direction": "BOTH", "mutual": "on"},
    )
    assert added.status_code == 302, added.content
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM hub_permission")  # and even past the program
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    written = list(AuditEntry.objects.order_by("id")[before:])
    found = [(each.action, each.actor) for each in written if each.action.startswith("permission.")]
    assert found == [
        ("permission.added", "the system"), ("permission.changed", "the system"),
        ("permission.removed", f"{getpass.getuser()} on the command line"), ("permission.added", "operator"),
        ("permission.removed", "the system"),
    ]  # fmt: skip
    changed = next(each for each in written if each.action == "permission.changed")
    assert json.loads(changed.details) == {"effect": ["DENY", "ALLOW"], "note": ["", "by hand"]}
    assert audit.verify().broken is None
