"""The audit trail: what is done is written down, in one chain, and no entry changes without its being seen."""

from __future__ import annotations

import hashlib
import json
import threading
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse

from cpo import models as cpo_models
from cpo.modules import cdrs_operations
from emsp.models import CDR
from hub import passing
from ocpi import audit, audit_sql, platform_actions, tallies
from ocpi.models import AuditEntry, CredentialsToken, Party, Platform
from tests import waiting
from tests.admin_world import operator_fixture as operator_fixture
from tests.fixtures import Document, Partner
from tests.outbox_support import eventually
from tests.people import Person
from tests.platforms import Listener

committed = pytest.mark.django_db(transaction=True)


def _said(number: int, hash_of: str) -> str:
    return f"{number}:{hash_of}"


def _write(*actions: str) -> list[AuditEntry]:
    for action in actions:
        with transaction.atomic():
            audit.record(action, actor="alice", about="Drivers", details={"reason": "ünder test"})
    return list(AuditEntry.objects.order_by("number"))


def _tamper(sql: str) -> None:
    """Do what somebody with all rights in the database can do."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ocpi_auditentry DISABLE TRIGGER USER")
        cursor.execute(sql)
        cursor.execute("ALTER TABLE ocpi_auditentry ENABLE TRIGGER USER")


@pytest.mark.req("SEC-56")
@committed
def test_each_entry_carries_the_hash_of_the_one_before() -> None:
    first, second, third = _write("a.one", "a.two", "a.three")

    assert [entry.number for entry in (first, second, third)] == [1, 2, 3]
    assert (first.previous, second.previous, third.previous) == ("", first.hash, second.hash)
    assert all(entry.hash == audit.hash_of(entry) for entry in (first, second, third))
    assert json.loads(first.details) == {"reason": "ünder test"}
    assert audit.verify() == audit.Verdict(3, 3, third.hash)


@pytest.mark.req("SEC-56")
@committed
@pytest.mark.parametrize("sql", ["UPDATE ocpi_auditentry SET actor = 'bob'", "DELETE FROM ocpi_auditentry"])
def test_an_entry_can_be_neither_changed_nor_deleted(sql: str) -> None:
    _write("a.one")

    with pytest.raises(DatabaseError, match="never changed or deleted"), connection.cursor() as cursor:
        cursor.execute(sql)

    assert audit.verify().broken is None


@pytest.mark.req("SEC-56")
@committed
def test_the_trail_cannot_be_emptied() -> None:
    _write("a.one")

    def empty() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(audit_sql.STAYS_WHOLE)  # tests go without it
            cursor.execute("TRUNCATE ocpi_auditentry")

    with pytest.raises(DatabaseError, match="never changed"):
        empty()

    assert AuditEntry.objects.count() == 1


@pytest.mark.req("SEC-56")
@committed
@pytest.mark.parametrize(
    ("sql", "broken"),
    [
        ("UPDATE ocpi_auditentry SET actor = 'bob' WHERE number = 2", 2),
        ("UPDATE ocpi_auditentry SET at = at + interval '1 second' WHERE number = 2", 2),
        ("UPDATE ocpi_auditentry SET action = 'a.tw', actor = 'oalice' WHERE number = 2", 2),
        ("DELETE FROM ocpi_auditentry WHERE number = 2", 3),
        ("DELETE FROM ocpi_auditentry WHERE number = 1", 2),
        ("UPDATE ocpi_auditentry SET hash = repeat('0', 64) WHERE number = 3", 3),
    ],
)
def test_the_first_broken_entry_is_named(sql: str, broken: int) -> None:
    _write("a.one", "a.two", "a.three")

    _tamper(sql)

    assert audit.verify().broken == broken
    with pytest.raises(CommandError, match=f"Entry {broken} is the first"):
        call_command("verify_audit", stdout=StringIO())


@pytest.mark.req("SEC-56")
@committed
def test_what_is_cut_off_at_the_end_is_seen_with_what_was_noted_before() -> None:
    entries = _write("a.one", "a.two", "a.three")
    noted = _said(3, entries[2].hash)
    call_command("verify_audit", expect=noted, stdout=StringIO())

    _tamper("DELETE FROM ocpi_auditentry WHERE number = 3")

    assert audit.verify().broken is None
    with pytest.raises(CommandError, match=r"Entry 3 .* is missing"):
        call_command("verify_audit", expect=noted, stdout=StringIO())


@pytest.mark.req("SEC-56")
@committed
def test_an_entry_that_is_rolled_back_leaves_no_gap() -> None:
    _write("a.one")
    with transaction.atomic():
        audit.record("a.undone", actor="alice")
        transaction.set_rollback(True)
    entries = _write("a.two")

    assert [entry.number for entry in entries] == [1, 2]
    assert audit.verify().broken is None


@pytest.mark.req("SEC-56")
@committed
def test_many_at_once_make_one_chain() -> None:
    """Each holds a row that others want before and after it records: the order of locks must not matter."""
    Platform.objects.create(name="one")
    together = threading.Barrier(6)

    def work(number: int) -> None:
        try:
            together.wait(10)
            for turn in range(10):
                with transaction.atomic():
                    if (number + turn) % 2:
                        Platform.objects.filter(name="one").update(failures=turn)
                    audit.record("a.thing", actor=f"worker {number}")
                    if not (number + turn) % 2:
                        Platform.objects.filter(name="one").update(failures=turn)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = audit.verify()
    assert found.broken is None
    assert AuditEntry.objects.filter(action="a.thing").count() == 60
    assert found.entries == found.last_number == 61


@pytest.mark.req("SEC-56")
@committed
def test_who_commits_meanwhile_waits_for_the_entry_before() -> None:
    failures: list[Exception] = []

    def work() -> None:
        try:
            with transaction.atomic():
                audit.record("a.second", actor="bob")
        except DatabaseError as error:
            failures.append(error)
        finally:
            connection.close()

    def waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(waiting.HOW_MANY)
            return bool(cursor.fetchone()[0])

    second = threading.Thread(target=work)
    with transaction.atomic(), connection.cursor() as cursor:
        audit.record("a.first", actor="alice")
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # it has its place, and is not committed
        second.start()
        eventually(waits, seconds=30)
    second.join(30)

    assert failures == []
    found = list(AuditEntry.objects.order_by("number").values_list("number", "action"))
    assert found == [(1, "a.first"), (2, "a.second")]
    assert audit.verify().broken is None


@pytest.mark.req("SEC-56", "SEC-50")
def test_registrations_tokens_roles_and_hosts_are_written_down_however_they_change(partner: Partner) -> None:
    person = partner("DE*EMS:EMSP", name="Drivers")
    before = AuditEntry.objects.count()

    Platform.objects.filter(pk=person.id).update(hosts=["b.example:443"], token_out="sealed-secret")
    Platform.objects.filter(pk=person.id).update(failures=3, last_error="away", average_ms=4.0)
    CredentialsToken.objects.filter(platform_id=person.id).update(purpose="OLD")
    Party.objects.filter(platform_id=person.id).update(approved=False)
    Platform.objects.filter(pk=person.id).update(state="UNREGISTERED")

    entries = list(AuditEntry.objects.order_by("id")[before:])
    assert [(entry.action, entry.about) for entry in entries] == [
        ("platform.changed", "Drivers"),
        ("token.changed", "Drivers"),
        ("role.changed", "DE*EMS:EMSP on Drivers"),
        ("platform.changed", "Drivers"),
    ]
    assert json.loads(entries[0].details) == {"hosts": [["127.0.0.1:1"], ["b.example:443"]], "token_out": "changed"}
    assert json.loads(entries[2].details) == {"approved": [True, False]}
    everything = "".join(AuditEntry.objects.values_list("details", flat=True))
    assert not any(secret in everything for secret in ("sealed-secret", person.token, person.token_out))


@pytest.mark.req("SEC-56")
def test_what_the_database_writes_down_carries_the_name_of_who_acts(partner: Partner) -> None:
    person = partner("DE*EMS:EMSP", approved=False)
    party = Party.objects.get(platform_id=person.id)

    with audit.acting("alice"):
        platform_actions.approve([party.pk])
    Party.objects.filter(pk=party.pk).update(approved=False)

    found = AuditEntry.objects.filter(action="role.changed").order_by("id").values_list("actor", flat=True)
    assert list(found) == ["alice", "the system"]


def test_keys_of_urls_stay_out_of_the_trail(db: None) -> None:
    key = "command-key-that-nobody-sees-tail"

    audit.record("a.thing", actor="alice", about=f"http://a/commands/STOP_SESSION/{key}", details={"a": f"cdrs/{key}"})

    entry = AuditEntry.objects.get()
    assert key not in entry.about + entry.details


@pytest.mark.req("SEC-56")
def test_logins_and_failed_ones_are_written_down(client: Client, db: None) -> None:
    User.objects.create_superuser("operator", password="a long password of an operator")
    before = AuditEntry.objects.count()

    client.post("/admin/login/", {"username": "operator", "password": "wrong"})
    client.post("/admin/login/", {"username": "operator", "password": "a long password of an operator"})

    found = [(row.action, row.actor, row.about) for row in AuditEntry.objects.order_by("id")[before:]]
    assert found == [("login.failed", "a stranger", "operator"), ("login", "operator", "")]
    assert not AuditEntry.objects.filter(details__contains="password of").exists()


@pytest.mark.req("SEC-56")
def test_new_accounts_and_rights_are_written_down(db: None) -> None:
    user = User.objects.create_user("viewer", password="a long password of a viewer", is_staff=True)
    group = Group.objects.create(name="operators")
    user.groups.add(group)
    group.permissions.add(Permission.objects.get(codename="view_platform"))

    found = dict(AuditEntry.objects.values_list("action", "about"))
    assert found["account.added"] == found["account.add"] == "viewer"
    assert found["group.added"] == found["group.add"] == "operators"
    assert "Can view platform" in AuditEntry.objects.get(action="group.add").details


@pytest.mark.req("SEC-56", "REL-40")
def test_what_an_operator_does_in_the_admin_is_written_down_once_it_is_done(operator: Client, partner: Partner) -> None:
    pk = partner("DE*EMS:EMSP", name="Drivers").id
    url = reverse("admin:ocpi_platform_suspend", args=[pk])

    operator.post(url)
    asked = AuditEntry.objects.filter(action="platform.suspend").count()
    operator.post(url, {"confirmed": "yes"})

    entry = AuditEntry.objects.get(action="platform.suspend")
    assert (asked, entry.actor, entry.about) == (0, "operator", "Drivers")
    assert json.loads(entry.details)["came"] == "It is suspended: nothing is sent to it."


def test_the_admin_checks_the_chain(operator: Client, partner: Partner) -> None:
    answer = operator.get(reverse("admin:ocpi_auditentry_check_chain"), follow=True)

    assert "entry was never linked" in answer.content.decode()  # this test's transaction is still open


@pytest.mark.req("SEC-56")
def test_a_cdr_that_comes_in_leaves_its_digest_once(emsp_side: None, cpo: Person, document: Document) -> None:
    body = document("cdr")

    first, second = cpo.post("emsp/2.2.1/cdrs", body), cpo.post("emsp/2.2.1/cdrs", body)

    assert (first.codes, second.codes) == ((201, 1000), (200, 1000))
    entry = AuditEntry.objects.get(action="cdr.in")
    assert json.loads(entry.details)["sha256"] == CDR.objects.get().digest
    assert tallies.read()[tallies.DUPLICATES_AVOIDED] == 1


@pytest.mark.req("SEC-56")
@pytest.mark.parametrize(("answer", "entries"), [({"status": 201}, 1), ({"code": 2001}, 0)])
def test_a_cdr_that_goes_through_the_hub_leaves_its_digest_if_it_was_taken(
    hub_side: None, cpo: Person, partner: Partner, listener: Listener, document: Document, answer: Any, entries: int
) -> None:
    partner("DE*EMS:EMSP", name="Drivers", listener=listener)
    listener.reply("POST", "/", **answer)
    body = json.dumps(document("cdr")).encode()

    cpo.post("hub/2.2.1/receiver/cdrs", body, to="DE*EMS")
    passing.flush()

    found = [(row.actor, row.about, json.loads(row.details)["sha256"])
             for row in AuditEntry.objects.filter(action="cdr.passed")]  # fmt: skip
    assert found == [("NL*TNM:CPO", "to Drivers", hashlib.sha256(body).hexdigest())] * entries


@pytest.mark.req("SEC-56")
def test_a_cdr_that_is_issued_leaves_its_digest(db: None, cpo_side: None, document: Document) -> None:
    text = json.dumps(document("cdr"))
    cdr = cpo_models.CDR(
        country_code="NL", party_id="TNM", object_id="C1", last_updated=datetime.now(UTC), document=text,
        token_uid="1", start_date_time=datetime.now(UTC), emsp_country_code="DE", emsp_party_id="EMS",
    )  # fmt: skip

    with transaction.atomic():
        cdrs_operations.issue(cdr)

    entry = AuditEntry.objects.get(action="cdr.out")
    told = json.loads(entry.details)
    assert (entry.about, told["id"], told["sha256"]) == (
        "NL*TNM C1", cdr.pk, hashlib.sha256(text.encode()).hexdigest(),
    )  # fmt: skip
