"""Migrations keep nobody waiting and nothing unknown to the release that is still running (REL-57)."""

from __future__ import annotations

import sys
from typing import Any

import psycopg
import pytest
from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently
from django.core.management import call_command
from django.db import OperationalError, connection, migrations, models
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.migration import Migration
from django.db.migrations.state import ModelState, ProjectState
from django.db.models.functions import Now

from ocpi.transaction_limits import KNOWN_SINCE
from tests import migration_rules

# The last migration of each app from before there was a release: nothing was running that they could have disturbed.
BEFORE = {"ocpi": "0011", "hub": "0007", "cpo": "0006", "emsp": "0006"}
pytestmark = pytest.mark.req("REL-57")


@pytest.mark.django_db
def test_no_migration_breaks_a_rule() -> None:
    loader = MigrationLoader(connection)
    found: list[str] = []
    for key, migration in sorted(loader.disk_migrations.items()):
        app, name = key
        if app not in BEFORE or name[:4] <= BEFORE[app]:
            continue
        migration.docstring = sys.modules[type(migration).__module__].__doc__  # type: ignore[attr-defined]
        found += migration_rules.findings(migration, loader.project_state(key, at_end=False))

    assert found == []


def test_every_migration_of_ours_is_looked_at() -> None:
    assert {app for app, _ in MigrationLoader(None).disk_migrations} >= BEFORE.keys()


def _state() -> ProjectState:
    state = ProjectState()
    for app, name in (("ocpi", "Delivery"), ("ocpi", "Platform")):
        fields: list[Any] = [
            ("id", models.BigAutoField(primary_key=True)),
            ("word", models.CharField(max_length=10, null=True)),
            ("number", models.IntegerField(null=True)),
        ]
        state.add_model(ModelState(app, name, fields))
    return state


def _breaks(*operations: Any, docstring: str = "") -> list[str]:
    migration: Any = Migration("0099_test", "ocpi")
    migration.operations = list(operations)
    migration.docstring = docstring
    return migration_rules.findings(migration, _state())


_INDEX = models.Index(fields=["word"], name="an_index")
_CHECK = models.CheckConstraint(condition=models.Q(number__gt=0), name="a_check")
_SAFE: dict[str, Any] = {
    "an index made concurrently": AddIndexConcurrently("delivery", _INDEX),
    "an index of a small table": migrations.AddIndex("platform", _INDEX),
    "a column that may be empty": migrations.AddField("delivery", "more", models.IntegerField(null=True)),
    "a column with a default": migrations.AddField("delivery", "more", models.IntegerField(db_default=0, default=0)),
    "a check that is not validated yet": AddConstraintNotValid("delivery", _CHECK),
    "more room for a text": migrations.AlterField("delivery", "word", models.CharField(max_length=20, null=True)),
    "an index in SQL": migrations.RunSQL("CREATE INDEX CONCURRENTLY x ON ocpi_delivery (word)"),
    "a unique index in SQL": migrations.RunSQL("CREATE UNIQUE INDEX CONCURRENTLY x ON ocpi_delivery (word)"),
    "no index any more, in SQL": migrations.RunSQL("DROP INDEX CONCURRENTLY an_index"),
    "a check in SQL": migrations.RunSQL("ALTER TABLE ocpi_delivery ADD CONSTRAINT c CHECK (number > 0) NOT VALID"),
    "a key in SQL": migrations.RunSQL("ALTER TABLE ocpi_delivery ADD CONSTRAINT c UNIQUE USING INDEX x"),
    "an index of a partitioned table": migrations.RunSQL("CREATE INDEX x ON ONLY ocpi_exchange (word)"),
    "a function": migrations.RunSQL("CREATE FUNCTION f() RETURNS trigger AS $$ BEGIN DROP TABLE ocpi_delivery; END $$"),
    "anything with a small table": migrations.RunSQL("ALTER TABLE ocpi_platform ALTER COLUMN name TYPE text"),
}
_UNSAFE: dict[str, Any] = {
    "an index": migrations.AddIndex("delivery", _INDEX),
    "no index": migrations.RemoveIndex("delivery", "an_index"),
    "a unique constraint": migrations.AddConstraint("delivery", models.UniqueConstraint(fields=["word"], name="once")),
    "a check": migrations.AddConstraint("delivery", _CHECK),
    "a column without a default": migrations.AddField("delivery", "more", models.IntegerField(default=0)),
    "also in a small table": migrations.AddField("platform", "more", models.IntegerField(default=0)),
    "a default that is worked out": migrations.AddField("delivery", "at", models.DateTimeField(db_default=Now())),
    "an indexed column": migrations.AddField("delivery", "more", models.IntegerField(null=True, db_index=True)),
    "another type": migrations.AlterField("delivery", "number", models.BigIntegerField(null=True)),
    "less room for a text": migrations.AlterField("delivery", "word", models.CharField(max_length=5, null=True)),
    "a unique column": migrations.AddField("delivery", "more", models.IntegerField(null=True, unique=True)),
    "a foreign key": migrations.AddField(
        "delivery", "to", models.ForeignKey("ocpi.Platform", null=True, on_delete=models.CASCADE, db_index=False)
    ),
    "a column that becomes unique": migrations.AlterField(
        "delivery", "number", models.IntegerField(null=True, unique=True)
    ),
    "a column that gets an index": migrations.AlterField(
        "delivery", "number", models.IntegerField(null=True, db_index=True)
    ),
    "not null": migrations.AlterField("delivery", "number", models.IntegerField()),
    "a column that goes": migrations.RemoveField("delivery", "word"),
    "a table that goes": migrations.DeleteModel("Delivery"),
    "another name": migrations.RenameField("delivery", "word", "text"),
    "another name of a table": migrations.RenameModel("Delivery", "Parcel"),
    "another table": migrations.AlterModelTable("delivery", "ocpi_parcel"),
    "no index in SQL": migrations.RunSQL("DROP INDEX an_index"),
    "a column that goes in SQL": migrations.RunSQL("ALTER TABLE ocpi_delivery DROP COLUMN word"),
    "a table that goes in SQL": migrations.RunSQL("DROP TABLE ocpi_delivery"),
    "another name in SQL": migrations.RunSQL("ALTER TABLE ocpi_delivery RENAME COLUMN word TO text"),
    "a stored column in SQL": migrations.RunSQL(
        "ALTER TABLE ocpi_delivery ADD COLUMN twice int GENERATED ALWAYS AS (number * 2) STORED"
    ),
    "a lock": migrations.RunSQL("LOCK TABLE ocpi_delivery IN SHARE MODE"),
    "an index in SQL": migrations.RunSQL("CREATE UNIQUE INDEX x ON ocpi_delivery (word)"),
    "the second statement": migrations.RunSQL("SELECT 1; ALTER TABLE ocpi_delivery ALTER COLUMN word TYPE text"),
    "a list of statements": migrations.RunSQL(["ALTER TABLE ocpi_delivery ALTER word SET NOT NULL"]),
    "a constraint in SQL": migrations.RunSQL("ALTER TABLE ocpi_delivery ADD CONSTRAINT c CHECK (number > 0)"),
    "inside a separation": migrations.SeparateDatabaseAndState([migrations.AddIndex("delivery", _INDEX)]),
}


@pytest.mark.django_db
@pytest.mark.parametrize("operation", _SAFE.values(), ids=_SAFE)
def test_what_keeps_nobody_waiting_is_allowed(operation: Any) -> None:
    assert _breaks(operation) == []


@pytest.mark.django_db
@pytest.mark.parametrize("operation", _UNSAFE.values(), ids=_UNSAFE)
def test_what_locks_rewrites_or_takes_away_is_found(operation: Any) -> None:
    assert len(_breaks(operation)) == 1


@pytest.mark.django_db
def test_a_table_of_the_same_migration_and_a_declared_contraction_are_free() -> None:
    new = migrations.CreateModel("New", [("id", models.BigAutoField(primary_key=True)), ("word", models.TextField())])

    assert _breaks(new, migrations.AddIndex("new", _INDEX)) == []
    gone = migrations.RemoveField("delivery", "word")
    assert _breaks(gone, docstring="Contract: nothing uses it since 1.2") == []
    gone_in_sql = migrations.RunSQL("ALTER TABLE ocpi_delivery DROP COLUMN word")
    assert _breaks(gone_in_sql, docstring="Contract: nothing uses it since 1.2") == []
    assert len(_breaks(_UNSAFE["a lock"], docstring="Contract: nothing uses it since 1.2")) == 1


@pytest.mark.django_db(transaction=True)
def test_migrate_waits_two_seconds_for_a_lock_and_leaves_the_session_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ["lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"]
    with connection.cursor() as cursor:
        if cursor.connection.info.server_version >= KNOWN_SINCE:
            names.append("transaction_timeout")
    meanwhile: list[str] = []

    def limits() -> list[str]:
        with connection.cursor() as cursor:
            found = []
            for name in names:
                cursor.execute(f"SHOW {name}")
                found.append(cursor.fetchone()[0])
        return found

    def look(self: MigrationExecutor, *args: Any, **options: Any) -> Any:
        meanwhile.extend(limits())
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE ocpi_platform ADD COLUMN never_there integer")

    monkeypatch.setattr(MigrationExecutor, "migrate", look)
    with connection.cursor() as cursor:
        for name in names[2:]:
            cursor.execute(f"SET {name} = '25s'")
    before = limits()
    place = connection.get_connection_params()
    keep_only = {name: place[name] for name in ("dbname", "host", "port", "user", "password") if place.get(name)}
    with psycopg.connect(**keep_only) as busy:
        busy.execute("SELECT count(*) FROM ocpi_platform")  # and stays in its transaction

        with pytest.raises(OperationalError, match="lock timeout"):
            call_command("migrate", verbosity=0)

    assert meanwhile == ["2s", *["0"] * (len(names) - 1)]
    assert limits() == before == ["0", "30s", *["25s"] * (len(names) - 2)]
    connection.close()  # nobody else goes on with these limits
