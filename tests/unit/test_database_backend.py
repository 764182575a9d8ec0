"""Connections to a database that takes none: an attempt now and then, not one for each who wants one."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

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
    base.forget()


def connection_to(server: Refusing) -> BaseDatabaseWrapper:
    found = connections["default"].copy("elsewhere")
    found.settings_dict = found.settings_dict | {"HOST": "127.0.0.1", "PORT": str(server.port)}
    return found


def refused(server: Refusing) -> str:
    with pytest.raises(OperationalError) as caught:
        connection_to(server).ensure_connection()
    return str(caught.value)


@pytest.mark.django_db
def test_after_an_attempt_that_failed_others_are_told_the_same_without_one(
    server: Refusing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "SECONDS", 600.0)

    words = {refused(server) for _ in range(5)}

    assert len(words) == 1
    assert "connection" in words.pop()
    assert server.attempts == 1


@pytest.mark.django_db
def test_the_next_attempt_is_made_a_moment_later(server: Refusing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "SECONDS", 0.0)

    for _ in range(3):
        refused(server)

    assert server.attempts == 3


@pytest.mark.django_db
def test_a_database_that_takes_connections_is_not_kept_from_anybody_by_another_that_does_not(
    server: Refusing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "SECONDS", 600.0)
    refused(server)

    another = connections["default"].copy("same")
    with contextlib.closing(another), another.cursor() as cursor:  # that one is not concerned
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
