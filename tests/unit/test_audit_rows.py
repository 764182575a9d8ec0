"""CDRs held against the audit trail, and the end of the trail noted outside the database."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django.fixtures import Settings

from emsp.models import CDR
from ocpi import audit, audit_witness
from ocpi.models import AuditEntry
from tests.fixtures import Document
from tests.people import Person

_ALLOW = "ALTER TABLE ocpi_auditentry DISABLE TRIGGER ocpi_audit_stays"
pytestmark = [pytest.mark.django_db, pytest.mark.req("SEC-56")]


@pytest.fixture(autouse=True)
def _witness(settings: Settings) -> Iterator[None]:
    url = settings.REDIS_URL
    audit_witness.forget()
    yield
    settings.REDIS_URL = url
    audit_witness.forget()


def write(*actions: str) -> tuple[int, str]:
    """Write entries and have them linked; return where the trail ends."""
    for action in actions:
        audit.record(action, actor="alice")
    as_owner()
    found = audit.verify()
    return found.last_number, found.last_hash


def as_owner(*statements: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def stored(emsp_side: None, cpo: Person, document: Document) -> CDR:
    cpo.post("emsp/2.2.1/cdrs", document("cdr"))
    as_owner("ALTER TABLE emsp_cdr DISABLE TRIGGER USER", "ALTER TABLE ocpi_auditentry DISABLE TRIGGER USER")
    return CDR.objects.get()


@pytest.mark.req("REL-46")
def test_a_cdr_is_compared_with_its_entry(stored: CDR) -> None:
    CDR.objects.update(verdict="match", check_result="a later judgement is no change")

    found = audit.verify()

    assert (found.broken, found.rows, found.unchecked) == (None, 1, 0)


@pytest.mark.req("REL-46")
@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE emsp_cdr SET document = replace(document, '\"id\"', '\"id\" ')", "is not what was written"),
        ("UPDATE emsp_cdr SET created_at = created_at + interval '1 microsecond'", "is not what was written"),
        ("DELETE FROM emsp_cdr", "is missing"),
    ],
)
def test_a_cdr_that_was_touched_is_named_with_its_entry(stored: CDR, statement: str, reason: str) -> None:
    entry = AuditEntry.objects.get(action="cdr.in")

    as_owner(statement)

    found = audit.verify()
    assert found.broken == entry.number
    assert found.reason == f"its emsp.CDR, {stored}, {reason}"


@pytest.mark.req("REL-46")
def test_a_cdr_that_nobody_sent_is_found(stored: CDR) -> None:
    CDR.objects.create(**{
        field.attname: getattr(stored, field.attname) for field in CDR._meta.concrete_fields
    } | {"id": stored.pk + 1, "object_id": "OTHER", "key": "another"})  # fmt: skip

    with pytest.raises(CommandError, match=f"row {stored.pk + 1} of emsp.CDR stands in no entry"):
        call_command("verify_audit", stdout=StringIO())


def test_an_entry_from_before_rows_were_digested_is_counted_and_not_compared(stored: CDR) -> None:
    entry = AuditEntry.objects.get(action="cdr.in")
    entry.details = json.dumps({"sha256": stored.digest})
    entry.hash = audit.hash_of(entry)
    entry.save()

    found = audit.verify()

    assert (found.broken, found.rows, found.unchecked) == (None, 0, 1)
    assert "1 CDRs are older" in found.message


def test_the_noted_end_moves_on_with_the_trail(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ocpi.audit_witness")
    for action in ("a.one", "a.two"):
        end = write(action)
        audit_witness.note()
        audit_witness.note()  # twice: nothing new, nothing said

        assert audit_witness.read() == end
    assert len(caplog.records) == 2


@pytest.mark.parametrize("again", [False, True])
def test_an_end_that_was_cut_off_is_seen_each_minute_and_stays_noted(
    again: bool, caplog: pytest.LogCaptureFixture
) -> None:
    end = write("a.one", "a.two", "a.three")
    audit_witness.note()

    as_owner(_ALLOW, "DELETE FROM ocpi_auditentry WHERE number > 1")
    if again:  # the trail grows past the place
        write("a.four", "a.five", "a.six")

    assert audit.verify().broken is None  # a chain alone does not tell
    with pytest.raises(CommandError, match=r"was noted, and is missing|not the one that was noted"):
        call_command("verify_audit", stdout=StringIO())
    audit_witness.note()
    assert audit_witness.read() == end
    assert "no longer holds entry 3" in caplog.text


def test_after_a_restore_the_trail_may_end_earlier(hub_side: None) -> None:
    write("a.one", "a.two")
    audit_witness.note()
    as_owner(_ALLOW, "DELETE FROM ocpi_auditentry WHERE number = 2")

    call_command("recover", since="2026-01-31T08:00:00Z", stdout=StringIO())

    as_owner()
    call_command("verify_audit", stdout=StringIO())


def test_without_redis_the_trail_is_checked_as_far_as_it_goes(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    write("a.one")
    said = StringIO()

    audit_witness.note()
    call_command("verify_audit", stdout=said)

    assert "Nothing was noted outside the database" in said.getvalue()
