"""Connections to a database that takes none: an attempt now and then, not one for each who wants one."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from cpo.gateway import config
from ocpi import db_care
from ocpi.postgresql import base


class Refusing:
    """A server that hangs up on everybody, and counts them."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.attempts = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.attempts += 1
            connection.close()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._thread.join(5)


@pytest.fixture
def server() -> Iterator[Refusing]:
    found = Refusing()
    yield found
    found.close()


def connection_to(server: Refusing) -> BaseDatabaseWrapper:
    found = connections["default"].copy("elsewhere")
    found.settings_dict = found.settings_dict | {"HOST": "127.0.0.1", "PORT": str(server.port)}
    return found


def refused(server: Refusing) -> str:
    with pytest.raises(OperationalError) as caught:
        connection_to(server).ensure_connection()
    return str(caught.value)


@pytest.mark.django_db
def test_who_asks_after_an_attempt_that_failed_waits_for_the_next_one_and_shares_it(
    server: Refusing, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(server)
    monkeypatch.setattr(base, "SECONDS", 2.0)

    with ThreadPoolExecutor(8) as threads:
        words = set(threads.map(refused, [server] * 8))

    assert len(words) == 1
    assert "connection" in words.pop()
    assert server.attempts == 2


@pytest.mark.django_db
def test_who_asks_later_makes_an_attempt_of_his_own(server: Refusing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "SECONDS", 0.0)

    for _ in range(3):
        refused(server)

    assert server.attempts == 3


@pytest.mark.django_db
def test_a_server_that_takes_connections_again_gives_one_to_everybody_who_waits(
    server: Refusing, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(server)
    monkeypatch.setattr(base, "SECONDS", 0.2)
    real = connections["default"].settings_dict
    where = ("127.0.0.1", str(server.port), real["NAME"])
    base._reached[real["HOST"], real["PORT"], real["NAME"]] = base._reached.pop(where)

    def found() -> Any:
        another = connections["default"].copy("same")
        with contextlib.closing(another), another.cursor() as cursor:
            cursor.execute("SELECT 1")
            return cursor.fetchone()

    with ThreadPoolExecutor(4) as threads:
        assert [each.result() for each in [threads.submit(found) for _ in range(4)]] == [(1,)] * 4


@pytest.mark.django_db
@pytest.mark.req("REL-05")
def test_of_several_hosts_the_first_that_takes_connections_is_used_by_all(
    server: Refusing, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = connections["default"].settings_dict
    there = int(real["PORT"])
    several = {
        "HOST": f"127.0.0.1,{real['HOST']}", "PORT": f"{server.port},{real['PORT']}",
        "OPTIONS": {**real["OPTIONS"], "target_session_attrs": "read-write"},
    }  # fmt: skip
    another = connections["default"].copy("several")
    another.settings_dict = {**real, **several}
    with contextlib.closing(another), another.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert another.connection.info.port == there
    for name, value in several.items():
        monkeypatch.setitem(real, name, value)
    monkeypatch.setitem(
        settings.DATABASES, "default", {**settings.DATABASES["default"], **several, "NAME": real["NAME"]}
    )

    for conninfo, parameters in (("", db_care.own_parameters()), (config.read().conninfo, {})):
        with contextlib.closing(psycopg.connect(conninfo, **parameters)) as beside:
            assert beside.info.port == there
            assert beside.info.get_parameters()["target_session_attrs"] == "read-write"
    assert server.attempts >= 3  # each has asked it first
