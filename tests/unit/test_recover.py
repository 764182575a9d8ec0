"""After a restore: what changed is marked, what may be missing is pulled, doubtful tokens are named (REL-58)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
import redis
from django.core.management import CommandError, call_command

from cpo import models as cpo_models
from emsp import models as emsp_models
from hub.models import SharedObject
from ocpi import audit_witness, outbox, pull_plan, pull_rows, recovery, snapshot
from ocpi.models import AuditEntry, CredentialsToken, Delivery, Platform, PullCursor
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

BACKUP = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=20)
CHANGED, LONG_AGO = BACKUP - timedelta(minutes=30), BACKUP - timedelta(minutes=90)
pytestmark = [pytest.mark.django_db, pytest.mark.req("REL-58")]


def owned(object_id: str, moment: datetime, document: Any = None, **columns: Any) -> dict[str, Any]:
    return {
        "country_code": "NL", "party_id": "TNM", "object_id": object_id, "last_updated": moment,
        "document": json.dumps(document or {}), **columns,
    }  # fmt: skip


def marked() -> set[tuple[str, str, str]]:
    return set(Delivery.objects.values_list("module", "path", "state"))


def shared(person: Person, path: str, moment: datetime, **columns: Any) -> SharedObject:
    row = SharedObject.objects.create(
        platform_id=person.id, module="locations", country_code="NL", party_id="TNM", path=path, last_updated=moment,
        document="{}", **columns,
    )  # fmt: skip
    SharedObject.objects.filter(pk=row.pk).update(received_at=moment)
    return row


def test_a_hub_marks_what_reached_it_for_whoever_is_told_of_changes(
    hub_side: None, cpo: Person, emsp: Person, second_emsp: Person
) -> None:
    shared(cpo, "OLD", LONG_AGO)
    shared(cpo, "NEW", CHANGED)
    shared(cpo, "NEW", CHANGED, receiver="DE*EMS")
    shared(cpo, "GONE", LONG_AGO, deleted_at=CHANGED)

    report = recovery.recover(BACKUP)

    assert report.marked == {"locations": 3}
    rows = Delivery.objects.values_list("path", "to_party_id", "state", "deleted", "from_party_id")
    assert sorted(rows) == [
        ("NL/TNM/GONE", "EMS", "MARKED", True, "HUB"),
        ("NL/TNM/GONE", "MSX", "MARKED", True, "HUB"),
        ("NL/TNM/NEW", "EMS", "MARKED", False, "HUB"),  # its own version, and not the broadcast one over it
        ("NL/TNM/NEW", "MSX", "MARKED", False, "HUB"),
    ]
    assert {row.source_id for row in Delivery.objects.filter(path="NL/TNM/NEW", to_party_id="EMS")} == {
        SharedObject.objects.get(receiver="DE*EMS").pk
    }


def test_a_cpo_marks_what_changed_and_every_running_session(cpo_side: None, emsp: Person, document: Document) -> None:
    for number, moment in enumerate((LONG_AGO, CHANGED)):
        cpo_models.Tariff.objects.create(**owned(f"T{number}", moment))
        cpo_models.Location.objects.create(**owned(f"L{number}", moment), time_zone="Europe/Amsterdam")
        cpo_models.Session.objects.create(
            **owned(f"S{number}", moment), status="COMPLETED", token_uid="1", start_date_time=moment, location_id="L1",
            emsp_country_code="DE", emsp_party_id="EMS",
        )  # fmt: skip
        cpo_models.CDR.objects.create(
            **owned(f"C{number}", moment, document("cdr")), token_uid="1", start_date_time=moment,
            emsp_country_code="DE", emsp_party_id="EMS",
        )  # fmt: skip
    cpo_models.Session.objects.create(
        **owned("RUNS", LONG_AGO), status="ACTIVE", token_uid="1", start_date_time=LONG_AGO, location_id="L1",
        emsp_country_code="DE", emsp_party_id="EMS",
    )  # fmt: skip
    cpo_models.Location.objects.create(**owned("PRIVATE", CHANGED), time_zone="Europe/Amsterdam", private=True)
    cpo_models.Location.objects.create(**owned("HIDDEN", CHANGED), time_zone="Europe/Amsterdam", hidden=True)
    cpo_models.Tariff.objects.create(**owned("GONE", LONG_AGO), deleted_at=CHANGED)

    report = recovery.recover(BACKUP)

    assert (
        Delivery.objects.get(kind="CDR").order_key == "location NL*TNM LOC-UTR-0042"
    )  # as at its first way out (REL-14)
    assert report.marked == {"tariffs": 2, "locations": 1, "sessions": 2, "cdrs": 1}
    assert [row.path for row in Delivery.objects.filter(deleted=True)] == ["NL/TNM/GONE"]
    assert marked() == {
        ("tariffs", "NL/TNM/T1", "MARKED"),
        ("tariffs", "NL/TNM/GONE", "MARKED"),
        ("locations", "NL/TNM/L1", "MARKED"),
        ("sessions", "NL/TNM/S1", "MARKED"),
        ("sessions", "NL/TNM/RUNS", "MARKED"),
        ("cdrs", "", "PENDING"),  # until it is confirmed
    }


def test_an_emsp_marks_its_tokens_and_pulls_from_an_hour_before_the_backup(emsp_side: None, cpo: Person) -> None:
    for number, moment in enumerate((LONG_AGO, CHANGED)):
        emsp_models.Token.objects.create(
            country_code="DE", party_id="EMS", object_id=f"U{number}", last_updated=moment, document="{}",
            uid=f"U{number}", type="APP_USER", valid=True,
        )  # fmt: skip
    lists = pull_rows.of(pull_plan.lists(platform_id=cpo.id))
    PullCursor.objects.update(date_from=LONG_AGO)  # one that has never been read is read whole anyway

    report = recovery.recover(BACKUP)

    assert report.marked == {"tokens": 1}
    assert marked() == {("tokens", "DE/EMS/U1", "MARKED")}
    assert Delivery.objects.get().query == "type=APP_USER"
    assert report.pulls == {cpo.platform.name: len(lists)}  # type: ignore[union-attr]
    since = BACKUP - timedelta(hours=1) - pull_rows.OVERLAP
    assert set(PullCursor.objects.values_list("recover_from", flat=True)) == {since}


def test_a_hub_marks_a_token_with_its_type_and_the_version_that_is_the_receivers_own(
    hub_side: None, cpo: Person, emsp: Person
) -> None:
    for receiver in ("NL*TNM", ""):
        SharedObject.objects.create(
            platform_id=emsp.id, module="tokens", country_code="DE", party_id="EMS", path="T1", last_updated=CHANGED,
            document="{}", kind="APP_USER", receiver=receiver,
        )  # fmt: skip

    recovery.recover(BACKUP)

    row = Delivery.objects.get()
    assert (row.path, row.query) == ("DE/EMS/T1", "type=APP_USER")
    assert row.source_id == SharedObject.objects.get(receiver="NL*TNM").pk


def test_many_objects_are_marked_some_at_a_time(emsp_side: None, cpo: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "_AT_ONCE", 2)
    for number in range(5):
        emsp_models.Token.objects.create(
            country_code="DE", party_id="EMS", object_id=f"U{number}", last_updated=CHANGED, document="{}",
            uid=f"U{number}", type="RFID", valid=True,
        )  # fmt: skip

    assert recovery.recover(BACKUP).marked == {"tokens": 5}

    assert marked() == {("tokens", f"DE/EMS/U{number}", "MARKED") for number in range(5)}


def test_each_side_of_an_instance_marks_what_is_its_own(both_sides: None, cpo: Person, emsp: Person) -> None:
    cpo_models.Tariff.objects.create(**owned("T1", CHANGED))
    emsp_models.Token.objects.create(
        country_code="DE", party_id="EMS", object_id="U1", last_updated=CHANGED, document="{}", uid="U1", type="RFID",
        valid=True,
    )  # fmt: skip

    found = recovery.recover(BACKUP).marked

    assert (found["tariffs"], found["tokens"]) == (1, 1)


def test_what_is_pending_already_stays_so(hub_side: None, cpo: Person, emsp: Person) -> None:
    row = shared(cpo, "OTHER", LONG_AGO)
    outbox.mark(
        [outbox.Recipient(emsp.id, emsp.address)], module="locations", source="hub.SharedObject", source_id=row.pk,
        path="NL/TNM/OTHER", order_key="x",
    )  # fmt: skip
    Delivery.objects.update(changed_at=LONG_AGO)
    shared(cpo, "NEW", CHANGED)

    recovery.recover(BACKUP)

    assert marked() == {("locations", "NL/TNM/OTHER", "PENDING"), ("locations", "NL/TNM/NEW", "MARKED")}


def test_nothing_is_marked_nor_pulled_while_it_only_looks(emsp_side: None, cpo: Person) -> None:
    emsp_models.Token.objects.create(
        country_code="DE", party_id="EMS", object_id="U1", last_updated=CHANGED, document="{}", uid="U1", type="RFID",
        valid=True,
    )  # fmt: skip
    pull_rows.of(pull_plan.lists(platform_id=cpo.id))

    report = recovery.recover(BACKUP, dry_run=True)

    assert (report.marked, report.pulls) == ({}, {})
    assert not Delivery.objects.exists()
    assert not PullCursor.objects.exclude(recover_from=None).exists()


def test_only_who_is_registered_is_pulled_from(emsp_side: None, cpo: Person, partner: Partner) -> None:
    left = partner("FR*CPX:CPO", name="Left")
    Platform.objects.filter(pk=left.id).update(state="UNREGISTERED")

    assert set(recovery.recover(BACKUP).pulls) == {cpo.platform.name}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("age", "state", "purpose", "why"),
    [
        (timedelta(days=3), "REGISTERED", "CURRENT", ""),
        (timedelta(minutes=50), "REGISTERED", "CURRENT", "around the time of the backup"),
        (timedelta(days=31), "REGISTERED", "CURRENT", "due to be renewed"),
        (timedelta(days=3), "REGISTERED", "PENDING", "under way"),
        (timedelta(days=3), "REGISTERED", "OLD", "no token in force"),
        (timedelta(days=3), "INVITED", "CURRENT", "invite it again"),
        (timedelta(days=3), "REGISTERED", "A", "invite it again"),
        (timedelta(days=3), "UNREGISTERED", "TOMBSTONE", ""),
    ],
)
def test_platforms_whose_tokens_may_be_outdated_are_named(
    hub_side: None, partner: Partner, age: timedelta, state: str, purpose: str, why: str
) -> None:
    person = partner("NL*TNM:CPO", name="Polder")
    Platform.objects.filter(pk=person.id).update(state=state)
    CredentialsToken.objects.filter(platform_id=person.id).update(purpose=purpose, created_at=datetime.now(UTC) - age)
    snapshot.changed()

    found = recovery.recover(BACKUP, dry_run=True).tokens

    assert (why in found["Polder"]) if why else found == {}


@pytest.mark.parametrize("http_status", [401, 403])
def test_a_platform_that_no_longer_knows_our_token_is_found_by_asking(
    hub_side: None, partner: Partner, listener: Listener, capsys: pytest.CaptureFixture[str], http_status: int
) -> None:
    person = partner("NL*TNM:CPO", name="Polder", listener=listener)
    Platform.objects.filter(pk=person.id).update(versions_url=listener.versions_url)
    CredentialsToken.objects.filter(platform_id=person.id).update(created_at=datetime.now(UTC) - timedelta(days=3))
    snapshot.changed()
    assert recovery.recover(BACKUP, check=True, dry_run=True).tokens == {}

    listener.reply("GET", "/ocpi/versions", status=http_status)

    assert recovery.recover(BACKUP, dry_run=True).tokens == {}
    assert f"HTTP {http_status}" in recovery.recover(BACKUP, check=True, dry_run=True).tokens["Polder"]
    call_command("recover", "--since", f"{BACKUP:%Y-%m-%dT%H:%M:%SZ}", "--check", "--dry-run", "--json")
    assert f"HTTP {http_status}" in json.loads(capsys.readouterr().out)["tokens"]["Polder"]


def test_the_command_reports_and_is_audited(
    hub_side: None, cpo: Person, emsp: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    shared(cpo, "NEW", CHANGED)
    call_command("recover", "--since", f"{BACKUP:%Y-%m-%dT%H:%M:%SZ}", "--dry-run", stdout=StringIO())
    assert not Delivery.objects.exists()

    call_command("recover", "--since", f"{BACKUP:%Y-%m-%dT%H:%M:%SZ}", "--json")

    found = json.loads(capsys.readouterr().out)
    assert found["marked"] == {"locations": 1}
    assert found["since"].startswith(f"{BACKUP - timedelta(hours=1):%Y-%m-%dT%H:%M:%S}")
    assert AuditEntry.objects.filter(action="instance.recover").count() == 1
    call_command("recover", "--since", f"{BACKUP:%Y-%m-%dT%H:%M:%SZ}", "--dry-run")
    assert AuditEntry.objects.filter(action="instance.recover").count() == 1
    with pytest.raises(CommandError, match="--since"):
        call_command("recover", "--since", "yesterday")


def test_the_command_says_what_is_left_to_do_also_without_redis(
    hub_side: None, cpo: Person, emsp: Person, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise redis.ConnectionError("nobody there")

    shared(cpo, "NEW", CHANGED)
    CredentialsToken.objects.filter(platform_id=cpo.id).update(purpose="PENDING")
    monkeypatch.setattr(audit_witness, "forget", away)

    call_command("recover", "--since", f"{BACKUP:%Y-%m-%dT%H:%M:%SZ}")

    said = capsys.readouterr().out
    assert "1 locations are marked" in said
    assert f"0 lists of {cpo.platform.name} are being pulled" in said  # type: ignore[union-attr]
    assert f"{cpo.platform.name}: a registration was under way" in said  # type: ignore[union-attr]


def test_the_audit_trail_may_end_where_the_backup_did(hub_side: None) -> None:
    """What was noted of its end lies behind the backup: it would be taken for a trail that somebody cut off."""
    audit_witness._client().set(audit_witness._key(), "999999:of a later moment")
    since = f"{BACKUP:%Y-%m-%dT%H:%M:%SZ}"

    call_command("recover", "--since", since, "--dry-run", stdout=StringIO())
    assert audit_witness.read() is not None

    call_command("recover", "--since", since, stdout=StringIO())
    assert audit_witness.read() is None
