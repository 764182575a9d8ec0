"""Whose an id is: what is remembered ends when a change is announced, and what was just learnt is never missed."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import connection

from hub import known_memory, known_objects
from hub.known_objects import NotAtHand
from hub.models import KnownObject
from hub.routing import Asked
from ocpi import clock, prepared, snapshot
from ocpi.headers import Address, Routing
from tests.fixtures import Partner

KEY = "RFID/T1"
QUESTION = (known_objects.TOKEN, KEY)


@pytest.fixture
def hears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "hears", lambda: True)


def owners() -> list[str] | None:
    """Return whose the Token is, from memory; nothing if it would have to be read."""
    try:
        return [known.owner for known in known_objects.at_hand(*QUESTION)]
    except NotAtHand:
        return None


def read() -> list[str]:
    return [known.owner for known in known_objects.find(*QUESTION)]


@pytest.fixture
def push(hub_side: None, partner: Partner) -> Callable[[], None]:
    """Return what pushes the Token."""
    person = partner("DE*EMS:EMSP")
    caller = snapshot.load().platforms[person.id]
    asked = Asked("tokens", "RECEIVER", "PUT", ("DE", "EMS", "T1"), Routing(sender=Address("DE", "EMS")), caller)
    return lambda: known_objects.learn(asked, to=None, query="", body=b'{"type":"RFID"}')


@pytest.mark.req("HUB-53", "REL-05")
def test_while_nothing_can_be_written_so_much_is_learnt_and_the_rest_from_its_next_push(
    hub_side: None, partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = partner("DE*EMS:EMSP")
    caller = snapshot.load().platforms[person.id]
    sender = Routing(sender=Address("DE", "EMS"))
    monkeypatch.setattr(known_objects, "MOST_WAITING", 2)

    def push_all() -> None:
        for uid in ("T1", "T2", "T3"):
            asked = Asked("tokens", "RECEIVER", "PUT", ("DE", "EMS", uid), sender, caller)
            known_objects.learn(asked, to=None, query="", body=b'{"type":"RFID"}')

    push_all()
    kept = known_objects.flush()
    push_all()

    assert (kept, known_objects.flush()) == (2, 1)


@pytest.mark.req("HUB-53")
@pytest.mark.django_db
def test_what_was_read_is_remembered(hears: None) -> None:
    KnownObject.objects.create(kind="token", key=KEY, owner="DE*EMS")
    assert owners() is None

    assert read() == owners() == ["DE*EMS"]
    assert known_objects.at_hand("token", KEY.lower()) == known_objects.at_hand("token", KEY)


@pytest.mark.req("HUB-53")
@pytest.mark.parametrize("stage", ["waiting", "being written", "written"])
@pytest.mark.django_db
def test_a_token_just_pushed_is_found_at_once_though_it_was_unknown_a_moment_ago(
    hears: None, push: Callable[[], None], monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    assert read() == owners() == []

    push()

    if stage == "being written":
        seen: list[list[str] | None] = []
        write = known_objects._writer.write

        def watched(batch: dict[known_memory.Known, float]) -> None:
            seen.extend((owners(), read()))
            write(batch)

        monkeypatch.setattr(known_objects._writer, "write", watched)
        known_objects.flush()
        assert seen == [["DE*EMS"], ["DE*EMS"]]
    elif stage == "written":
        known_objects.flush()
        assert owners() is None  # what was remembered of it is gone
    else:
        assert owners() == ["DE*EMS"]
    assert read() == owners() == ["DE*EMS"]


@pytest.mark.req("HUB-53")
@pytest.mark.django_db
def test_that_an_id_is_nobodys_is_believed_for_a_second(hears: None, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert read() == []

    now += 0.9
    assert owners() == []
    now += 0.2
    assert owners() is None


@pytest.mark.req("HUB-53")
@pytest.mark.django_db
def test_what_is_read_while_it_changes_is_not_remembered(hears: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The read may be from before the change, and the announcement of it was there first."""
    KnownObject.objects.create(kind="token", key=KEY, owner="DE*EMS")
    fetch = prepared.fetch_all

    def slow(*args: Any) -> Any:
        found = fetch(*args)
        known_objects.heard('-[["token","RFID/T1","DE*EMS",""]]')
        return found

    monkeypatch.setattr(prepared, "fetch_all", slow)

    assert read() == ["DE*EMS"]
    assert owners() is None


@pytest.mark.req("HUB-53")
@pytest.mark.django_db
def test_while_nothing_can_be_heard_nothing_is_remembered(hears: None, monkeypatch: pytest.MonkeyPatch) -> None:
    KnownObject.objects.create(kind="token", key=KEY, owner="DE*EMS")
    assert read() == owners()

    monkeypatch.setattr(snapshot, "hears", lambda: False)

    assert owners() is None
    known_objects.heard("")  # it has a connection again
    assert read() == ["DE*EMS"]
    monkeypatch.setattr(snapshot, "hears", lambda: True)
    assert owners() is None


@pytest.mark.req("HUB-53")
@pytest.mark.parametrize("told", ["", '+[["token"', "what is this", "-[[1,2]]", '+{"a":1}'])
@pytest.mark.django_db
def test_what_cannot_be_read_of_an_announcement_may_mean_anything(hears: None, told: str) -> None:
    KnownObject.objects.create(kind="token", key=KEY, owner="DE*EMS")
    assert read() == owners()

    known_objects.heard(told)

    assert owners() is None


@pytest.mark.req("HUB-53")
@pytest.mark.django_db
def test_a_token_that_was_removed_is_learnt_again_from_its_next_push(hears: None, push: Callable[[], None]) -> None:
    push()
    known_objects.flush()
    KnownObject.objects.all().delete()
    push()
    assert known_objects.flush() == 0  # this process thinks that it is there

    known_objects.heard('-[["token","RFID/T1","DE*EMS",""]]')
    assert read() == []
    push()

    assert owners() == ["DE*EMS"]
    assert known_objects.flush() == 1


@pytest.mark.req("SEC-46")
@pytest.mark.parametrize("key", ["T\0", "T\ud800", "T" * 61])
@pytest.mark.django_db
def test_an_id_that_cannot_be_kept_spoils_no_others(key: str) -> None:
    KnownObject.objects.create(kind="token", key=KEY, owner="DE*EMS")

    found = known_objects.find_all([("token", key), QUESTION])

    assert [known.owner for known in found[QUESTION]] == ["DE*EMS"]
    assert found["token", key] == ()


def test_it_remembers_so_many(hears: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_memory, "MOST", 3)

    for number in range(5):
        known_memory.keep(known_memory.begin(), {("token", str(number)): ()})

    assert [known_memory.get(("token", str(number))) for number in range(5)] == [None, None, (), (), ()]


@pytest.mark.req("HUB-51", "HUB-53")
@pytest.mark.django_db(transaction=True)
def test_every_change_of_the_table_is_announced(hears: None) -> None:
    """Whoever makes it, in whatever way; an id at its longest, too."""
    longest = "\x01" * 60
    place = connection.get_connection_params()
    names = ("dbname", "host", "port", "user", "password")
    with psycopg.connect(autocommit=True, **{name: place[name] for name in names if place.get(name)}) as listening:
        listening.execute(f"LISTEN {known_objects.CHANNEL}")

        def hear() -> int:
            with connection.cursor() as cursor:  # notifications come in the order of commits
                cursor.execute("SELECT pg_notify(%s, 'the end')", [known_objects.CHANNEL])
            told: list[str] = []
            for notice in listening.notifies(timeout=20):
                if notice.payload == "the end":
                    break
                told.append(notice.payload)
            for each in told:
                known_objects.heard(each)
            return len(told)

        KnownObject.objects.create(kind="token", key=KEY, owner="DE*EMS")
        assert hear() == 1
        assert read() == owners() == ["DE*EMS"]
        assert hear() == 0

        KnownObject.objects.update(seen_at="2026-01-01T00:00:00Z")
        assert hear() == 0
        KnownObject.objects.update(owner="BE*MSX")
        assert hear() == 2
        assert owners() is None
        assert read() == owners() == ["BE*MSX"]

        KnownObject.objects.bulk_create(
            KnownObject(kind="token", key=longest[: 60 - len(str(number))] + str(number), owner="DE*EMS")
            for number in range(100)
        )
        assert hear() == 7
        assert owners() == ["BE*MSX"]

        KnownObject.objects.filter(key=KEY).delete()
        hear()
        assert owners() is None
        assert read() == owners() == []

        KnownObject.objects.create(kind="token", key=KEY, owner="DE*EMS")
        hear()
        assert read() == owners() == ["DE*EMS"]
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE hub_knownobject")
        hear()
        assert owners() is None


@pytest.mark.req("HUB-53", "SEC-07")
@pytest.mark.django_db(transaction=True)
def test_what_is_announced_reaches_a_process_that_listens_and_so_does_a_silence(
    hub_side: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: queue.Queue[str] = queue.Queue()

    def heard(text: str) -> None:
        told.put(text)
        if text == "the end":
            raise SystemExit

    monkeypatch.setattr(snapshot, "_others", {known_objects.CHANNEL: heard})
    monkeypatch.setattr(snapshot, "_deaf_since", 1.0)
    monkeypatch.setattr(snapshot, "_RECONNECT_SECONDS", 0.01)

    def listen() -> None:
        with contextlib.suppress(SystemExit):
            snapshot._listen_forever()

    listening = threading.Thread(target=listen, daemon=True)
    listening.start()
    try:
        assert told.get(timeout=20) == ""  # what happened before
        KnownObject.objects.create(kind="token", key=KEY, owner="DE*EMS")
        assert told.get(timeout=20) == '+[["token", "RFID/T1", "DE*EMS", ""]]'
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND query LIKE '%%clock_timestamp()%%'"
            )
        assert told.get(timeout=20) == told.get(timeout=20) == ""  # it was lost, it is there again
        KnownObject.objects.all().delete()
        assert told.get(timeout=20) == '-[["token", "RFID/T1", "DE*EMS", ""]]'
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, 'the end')", [known_objects.CHANNEL])
        listening.join(20)
        clock.forget()
