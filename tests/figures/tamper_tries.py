"""The cases of FIG-15, each in a transaction that is taken back: `python -m tests.figures.tamper_tries` reads one JSON
line and prints one.
"""
# ruff: noqa: S608 - statements name our own tables and columns

from __future__ import annotations

import json
import os
import random
import string
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import django

AUDIT, CDR_OUT, CDR_IN = "ocpi_auditentry", "cpo_cdr", "emsp_cdr"
_COLUMNS = """
SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = %s
"""
LEFT_OUT: dict[str, set[str]] = {
    AUDIT: {"id"},
    CDR_OUT: set(),
    CDR_IN: {"verdict", "computed_cost", "check_result", "checked_at"},
}


@dataclass(slots=True)
class Found:
    """What came of all cases."""

    kinds: dict[str, int] = field(default_factory=dict)
    columns: int = 0
    rows: int = 0
    missed: list[str] = field(default_factory=list)
    false_alarms: int = 0
    anew: int = 0
    anew_missed: int = 0
    anew_unseen: int = 0


class NothingDone(Exception):
    """The database refused, or nothing changed: no case."""


def tries(seed: int, *, entries: int, cdrs: int, cases: int, anew: int) -> Found:
    """Write a trail and CDRs, then tamper with them; nothing of it stays, if the caller takes its transaction back."""
    from django.db import connection, transaction

    from ocpi import audit_witness

    with transaction.atomic(), connection.cursor() as cursor:
        _write(entries, cdrs)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # entries are linked now, not at the commit
        for table in (AUDIT, CDR_OUT, CDR_IN):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        audit_witness.forget()
        audit_witness.note()
        owner = Owner(cursor, random.Random(seed))
        try:
            return _all(owner, cases, anew)
        finally:
            audit_witness.forget()
            transaction.set_rollback(True)


def _all(owner: Owner, cases: int, anew: int) -> Found:
    from ocpi import audit_witness

    found, kinds, columns = Found(rows=owner.rows()), Counter[str](), set[str]()
    found.false_alarms += not whole()
    while sum(kinds.values()) < cases:
        kind, done = owner.kind(), ""
        with taken_back():
            try:
                done = owner.do(kind)
            except NothingDone:
                continue
            kinds[kind] += 1
            if whole():
                found.missed.append(f"{kind}: {done}")
        columns |= {done} if kind.startswith("edits") else set()
    for _ in range(anew):
        with taken_back():
            try:
                owner.do(owner.choose.choice(Owner.WITH_ENTRY))
            except NothingDone:
                continue
            owner.chain_anew()
            found.anew += 1
            found.anew_missed += whole()
            noted = audit_witness.read()
            audit_witness.forget()
            found.anew_unseen += whole()
            audit_witness._client().set(audit_witness._key(), "{}:{}".format(*(noted or (0, ""))))
    found.false_alarms += not whole()
    found.kinds, found.columns = dict(kinds), len(columns)
    return found


def whole() -> bool:
    """Say what `manage.py verify_audit` says."""
    from django.core.management import CommandError, call_command

    try:
        call_command("verify_audit", stdout=StringIO())
    except CommandError:
        return False
    return True


class taken_back:
    """A part of the transaction that is taken back whatever happens."""

    def __enter__(self) -> None:
        from django.db import transaction

        self._atomic = transaction.atomic()
        self._atomic.__enter__()

    def __exit__(self, *exception: Any) -> None:
        from django.db import transaction

        transaction.set_rollback(True)
        self._atomic.__exit__(*exception)


class Owner:
    """Who owns the tables, and chooses at random."""

    WITH_ENTRY = ("edits of an entry", "deletions of an entry", "deletions of the end of the trail",
                  "deletions of a CDR with its entry")  # fmt: skip
    KINDS = (*WITH_ENTRY, "edits of a CDR", "edits of a CDR", "deletions of a CDR", "deletions of several entries",
             "edits of an entry")  # fmt: skip

    def __init__(self, cursor: Any, choose: random.Random) -> None:
        self.choose = choose
        self._cursor = cursor
        self._columns = {table: self._read_columns(table) for table in LEFT_OUT}
        self._ids = {table: [row[0] for row in self._all(f"SELECT id FROM {table} ORDER BY id")] for table in LEFT_OUT}
        self._platforms = [row[0] for row in self._all("SELECT id FROM ocpi_platform")]

    def rows(self) -> int:
        return sum(map(len, self._ids.values()))

    def kind(self) -> str:
        return self.choose.choice(self.KINDS)

    def do(self, kind: str) -> str:
        """Do one thing of a kind; return what it was done to.

        :raises NothingDone: if the database refused.
        """
        from django.db import DatabaseError, transaction

        try:
            with transaction.atomic():
                return self._do(kind)
        except DatabaseError as error:  # two rows may not be alike, and some columns must fit together
            raise NothingDone from error

    def _do(self, kind: str) -> str:
        table = self.choose.choice((CDR_OUT, CDR_IN)) if "CDR" in kind else AUDIT
        row = self.choose.choice(self._ids[table])
        if kind.startswith("edits"):
            return self._edit(table, row)
        if kind == "deletions of the end of the trail":
            return self._delete(table, self._ids[table][-self.choose.randint(1, 30) :])
        if kind == "deletions of several entries":
            return self._delete(table, self.choose.sample(self._ids[table], self.choose.randint(2, 20)))
        if kind == "deletions of a CDR with its entry":
            action = "cdr.out" if table == CDR_OUT else "cdr.in"
            self._cursor.execute(
                f"DELETE FROM {AUDIT} WHERE action = %s AND (details::jsonb ->> 'id')::bigint = %s", [action, row]
            )
        return self._delete(table, [row])

    def _delete(self, table: str, ids: list[int]) -> str:
        self._cursor.execute(f"DELETE FROM {table} WHERE id = ANY(%s)", [ids])
        if self._cursor.rowcount != len(ids):
            raise NothingDone
        return f"{table} {ids}"

    def _edit(self, table: str, row: int) -> str:
        column = self.choose.choice(self._columns[table])
        (before,), *_ = self._all(f"SELECT {column} FROM {table} WHERE id = %s", [row])
        after = self._other(table, column, before)
        if after == before:
            raise NothingDone
        self._cursor.execute(f"UPDATE {table} SET {column} = %s WHERE id = %s", [after, row])
        self._cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        return f"{table}.{column}"

    def _other(self, table: str, column: str, before: Any) -> Any:
        if column in ("platform_id", "original_id", "replaces_id"):
            return self.choose.choice(self._platforms if column == "platform_id" else self._ids[table])
        if isinstance(before, bool):
            return not before
        if isinstance(before, int):
            return before + self.choose.choice((-1, 1, 7, 100_000))
        if isinstance(before, datetime):
            return before + self.choose.choice((-1, 1)) * timedelta(microseconds=10 ** self.choose.randint(0, 10))
        text, letter = str(before or ""), self.choose.choice(string.ascii_letters + string.digits)
        if not text:
            return letter
        place = self.choose.randrange(len(text))
        left, right = text[:place], text[place + 1 :]
        return self.choose.choice((left + letter + right, left + right, letter + text))

    def chain_anew(self) -> None:
        """Number and hash every entry again, as the program would have."""
        from ocpi import audit
        from ocpi.models import AuditEntry

        self._cursor.execute(f"UPDATE {AUDIT} SET number = NULL")
        previous, entries = "", list(AuditEntry.objects.order_by("id"))
        for number, entry in enumerate(entries, 1):
            entry.number, entry.previous = number, previous
            previous = entry.hash = audit.hash_of(entry)
        AuditEntry.objects.bulk_update(entries, ["number", "previous", "hash"])

    def _read_columns(self, table: str) -> list[str]:
        return sorted(name for (name,) in self._all(_COLUMNS, [table]) if name not in LEFT_OUT[table])

    def _all(self, statement: str, values: Any = None) -> list[Any]:
        self._cursor.execute(statement, values)
        return list(self._cursor.fetchall())


def _write(entries: int, cdrs: int) -> None:
    """Have CDRs come in and be issued, in the ways of the program, between what people do."""
    from cpo import models as cpo_models
    from cpo.modules import cdrs_operations
    from emsp.modules import cdrs as emsp_cdrs
    from ocpi import audit, snapshot
    from tests.fixtures import DOCUMENTS, connect

    connect("DE*EMS:EMSP")
    partner, example = connect("NL*TNM:CPO"), json.loads((DOCUMENTS / "cdr.json").read_text())
    snapshot.changed()
    platform = snapshot.current().platforms[partner.id]
    for number in range(cdrs):
        each = max(1, (entries - 2 * cdrs) // cdrs)
        for turn in range(each):
            audit.record("platform.suspend", actor="alice", about=f"Drivers {number}", details={"turn": turn})
        body = {**example, "id": f"IN-{number}", "session_id": f"S-{number}"}
        emsp_cdrs.post(json.dumps(body).encode(), platform=platform)
        body = {**body, "id": f"OUT-{number}"}
        cdrs_operations.issue(
            cpo_models.CDR(
                country_code="NL", party_id="TNM", object_id=body["id"], session_id=body["session_id"],
                last_updated=datetime.fromisoformat(body["last_updated"]), document=json.dumps(body), token_uid="1",
                start_date_time=datetime.fromisoformat(body["start_date_time"]), emsp_country_code="DE",
                emsp_party_id="EMS",
            )
        )  # fmt: skip


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    django.setup()
    given = json.loads(sys.stdin.readline())
    print(json.dumps(asdict(tries(given.pop("seed"), **given))), flush=True)
