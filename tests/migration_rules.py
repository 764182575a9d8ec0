"""What a migration must not do to a table that is in use, read from the migration itself (REL-57).

Expand first: the release that is still running must go on with the new schema. Contract in a later release, in a
migration whose docstring begins with "Contract:" and says since when nothing uses it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import connection, migrations, models
from django.db.migrations.migration import Migration
from django.db.migrations.state import ProjectState
from django.db.models.expressions import Value

# Tables that stay small enough for anything: configuration, and one row per platform, process or account.
SMALL = frozenset(
    ("ocpi.platform", "ocpi.party", "ocpi.endpoint", "ocpi.credentialstoken", "ocpi.deviation", "ocpi.workerheartbeat",
     "ocpi.pullcursor", "ocpi.requestedhost", "ocpi.tlssettings", "hub.permission", "hub.agreement", "hub.clientinfo",
     "cpo.gatewaynode", "cpo.missingfeature")
)  # fmt: skip
_SQL_RULES = (
    (r"\bCREATE\s+(UNIQUE\s+)?INDEX\s+(?!CONCURRENTLY)(?!.*\bON\s+ONLY\b)", "an index is made CONCURRENTLY"),
    (r"\bDROP\s+INDEX\s+(?!CONCURRENTLY)", "an index is dropped CONCURRENTLY"),
    (r"\bADD\s+CONSTRAINT\b(?!.*\b(NOT\s+VALID|USING\s+INDEX)\b)", "a constraint is added NOT VALID, or USING INDEX"),
    (r"\bALTER\s+COLUMN\s+\S+\s+(SET\s+DATA\s+)?TYPE\b", "another type rewrites the table"),
    (r"\bSET\s+NOT\s+NULL\b", "NOT NULL reads the whole table: add a check NOT VALID first"),
    (r"\bDROP\s+(TABLE|COLUMN)\b", "what goes is contracted in a later release"),
    (r"\bRENAME\b", "what is renamed is missing to the release that runs"),
    (r"\bGENERATED\s+ALWAYS\s+AS\b.*\bSTORED\b", "a stored column rewrites the table"),
    (r"\bLOCK\s+TABLE\b", "no table is locked"),
)
_TABLE = re.compile(r"\b(?:ON\s+ONLY|ON|TABLE|UPDATE)\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?\"?([a-z]+_[a-z]+)\b", re.I)
_CONTRACTS = (
    migrations.RemoveField, migrations.DeleteModel, migrations.RenameField, migrations.RenameModel,
    migrations.AlterModelTable,
)  # fmt: skip


def findings(migration: Migration, before: ProjectState) -> list[str]:
    """Return which rules a migration breaks; `before` is the state of all models before it."""
    made = {
        f"{migration.app_label}.{operation.name_lower}"
        for operation in _flat(migration.operations)
        if isinstance(operation, migrations.CreateModel)
    }
    contracts = (getattr(migration, "docstring", "") or "").startswith("Contract:")
    state, found = before.clone(), []
    for operation in migration.operations:
        for inner in _flat([operation]):
            found += [
                f"{migration.app_label} {migration.name}: {inner.describe()}: {why}"
                for why in _broken(inner, migration.app_label, made, state, contracts)
            ]
        operation.state_forwards(migration.app_label, state)
    return found


def _flat(operations: Any) -> Iterator[Any]:
    for operation in operations:
        if isinstance(operation, migrations.SeparateDatabaseAndState):
            yield from _flat(operation.database_operations)
        else:
            yield operation


def _broken(operation: Any, app: str, made: set[str], state: ProjectState, contracts: bool) -> Iterator[str]:
    if isinstance(operation, migrations.RunSQL):
        yield from _broken_sql(operation.sql, made, contracts)
        return
    if isinstance(operation, _CONTRACTS) and not contracts:
        yield "what goes is contracted in a later release"
    label = f"{app}.{getattr(operation, 'model_name', '')}".lower()
    if label in made or not getattr(operation, "model_name", ""):
        return
    if isinstance(operation, migrations.AddField):
        yield from _broken_field(operation.field, label)
    if label in SMALL:
        return
    match operation:
        case AddIndexConcurrently() | RemoveIndexConcurrently():
            pass
        case migrations.AddIndex() | migrations.RemoveIndex():
            yield "an index of a large table is made and dropped concurrently"
        case migrations.AddConstraint(constraint=models.UniqueConstraint()):
            yield "a unique index of a large table is made concurrently"
        case migrations.AddConstraint() if "NotValid" not in type(operation).__name__:
            yield "a check of a large table is added NOT VALID and validated later"
        case migrations.AlterField():
            yield from _altered(operation, app, state)


def _broken_field(field: Any, label: str) -> Iterator[str]:
    if field.many_to_many:
        return
    has_default = getattr(field, "db_default", models.NOT_PROVIDED) is not models.NOT_PROVIDED
    if not field.null and not has_default:
        yield "a column that must have a value needs a db_default: the release that runs does not know it"
    if label in SMALL:
        return
    if has_default and not isinstance(field.db_default, (Value, str, int, float, bool, bytes)):
        yield "a default that is worked out rewrites the table"
    if field.unique or field.db_index or (field.remote_field and getattr(field, "db_constraint", False)):
        yield "the index or foreign key of a new column is made apart, concurrently and NOT VALID"


def _altered(operation: migrations.AlterField, app: str, state: ProjectState) -> Iterator[str]:
    old: Any = state.models[app, operation.model_name_lower].fields[operation.name]
    new: Any = operation.field
    old_type, new_type = (_db_type(field) for field in (old, new))
    if old_type != new_type and not _is_longer(old_type, new_type):
        yield f"{old_type} to {new_type} rewrites the table"
    if old.null and not new.null:
        yield "NOT NULL reads the whole table: add a check NOT VALID first"
    if (new.unique and not old.unique) or (new.db_index and not old.db_index):
        yield "an index of a large table is made concurrently"


def _db_type(field: Any) -> str:
    return "" if field.is_relation else str(field.db_type(connection))


def _is_longer(old: str, new: str) -> bool:
    """Say whether a text only got more room, which PostgreSQL writes down and no more."""
    lengths = [re.fullmatch(r"varchar\((\d+)\)", text) for text in (old, new)]
    if lengths[0] and new == "text":
        return True
    return bool(lengths[0] and lengths[1] and int(lengths[0][1]) <= int(lengths[1][1]))


def _broken_sql(sql: Any, made: set[str], contracts: bool) -> Iterator[str]:
    texts = [sql] if isinstance(sql, str) else [part if isinstance(part, str) else part[0] for part in sql or ()]
    for text in texts:
        for statement in re.sub(r"\$\$.*?\$\$", "", text, flags=re.S).split(";"):
            tables = {name.lower().replace("_", ".", 1) for name in _TABLE.findall(statement)}
            if tables and tables <= made | SMALL:
                continue
            for pattern, why in _SQL_RULES:
                if re.search(pattern, statement, re.I | re.S) and not (contracts and "later release" in why):
                    yield f"{why}: {' '.join(statement.split())[:100]}"
