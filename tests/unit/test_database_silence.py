"""A database that takes everything in and answers nothing: whoever waits is told, nobody else begins to wait."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.pq import TransactionStatus

from ocpi import db_care
from ocpi.postgresql import base, silence
from tests.platforms import eventually

_LONG = 1000.0  # seconds, far longer than anything that is waited for


@pytest.fixture
def speechless() -> Iterator[silence.Server]:
    """A server that says nothing for as long as the test lasts: its thread would ask for ever behind all later ones."""
    over = threading.Event()

    def says_nothing() -> None:
        if not over.wait(0.05):
            raise psycopg.errors.ConnectionTimeout

    found = silence.Server(says_nothing)
    yield found
    over.set()
    found.look(_LONG)
    assert not found.is_silent


def is_full() -> None:
    raise psycopg.OperationalError("FATAL: sorry, too many clients already")


@contextlib.contextmanager
def a_long_query() -> Iterator[tuple[psycopg.Connection[Any], Future[Any], psycopg.Connection[Any]]]:
    """Run a query that takes until its lock is given back; the block has its connection, its answer, the holder."""
    parameters = db_care.own_parameters()
    with (
        psycopg.connect(autocommit=True, **parameters) as holder,
        contextlib.closing(psycopg.connect(autocommit=True, **parameters)) as waiting,
        ThreadPoolExecutor(1) as thread,
    ):
        holder.execute("SELECT pg_advisory_lock(471100)")
        try:
            answer = thread.submit(
                lambda: waiting.execute("SELECT 1 FROM (SELECT pg_advisory_lock(471100)) l").fetchone()
            )
            eventually(lambda: waiting.pgconn.transaction_status == TransactionStatus.ACTIVE)
            yield waiting, answer, holder
        finally:
            holder.execute("SELECT pg_advisory_unlock(471100)")


@pytest.mark.req("REL-05")
@pytest.mark.django_db
def test_who_waits_for_a_server_that_says_nothing_is_told_so(speechless: silence.Server) -> None:
    server = speechless
    with a_long_query() as (connection, answer, _):
        server.watch(connection)
        with contextlib.closing(psycopg.connect(**db_care.own_parameters())) as idle:
            server.watch(idle)
            server.look(0.0)
            server.look(_LONG)

            with pytest.raises(psycopg.OperationalError):
                answer.result(timeout=20)
            with pytest.raises(psycopg.OperationalError):  # nobody begins to wait on it, either
                idle.execute("SELECT 1")
    assert server.is_silent


@pytest.mark.parametrize("ask", [lambda: None, is_full])
@pytest.mark.django_db
def test_a_long_query_of_a_server_that_lives_is_left_alone(ask: Any) -> None:
    server = silence.Server(ask)
    with a_long_query() as (connection, answer, _):
        server.watch(connection)
        server.look(0.0)
        server.look(_LONG)
        assert not server.is_silent
        assert not answer.done()
    assert answer.result() == (1,)


@pytest.mark.django_db
def test_a_server_that_answers_others_while_it_gives_no_connection_is_busy_and_not_silent() -> None:
    with a_long_query() as (connection, answer, holder):

        def no_connection_but_an_answer() -> None:
            holder.execute("SELECT pg_advisory_unlock(471100)")
            answer.result()
            raise psycopg.errors.ConnectionTimeout

        server = silence.Server(no_connection_but_an_answer)
        server.watch(connection)
        server.look(0.0)
        server.look(_LONG)

        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not server.is_silent


@pytest.mark.django_db
def test_a_server_is_not_asked_while_nobody_waits_long() -> None:
    asked: list[None] = []
    server = silence.Server(lambda: asked.append(None))
    with contextlib.closing(psycopg.connect(autocommit=True, **db_care.own_parameters())) as connection:
        server.watch(connection)
        for number in range(3):
            server.look(number * _LONG)
    assert asked == []


class Frozen:
    """A server that takes connections and says nothing, until it hangs up on everybody."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.taken: list[socket.socket] = []
        self.hangs_up = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                self.taken.append(self.listener.accept()[0])
            except OSError:
                return
            if self.hangs_up.is_set():
                self.taken[-1].close()

    def hang_up(self) -> None:
        """Say something to everybody: that is an answer, too."""
        self.hangs_up.set()
        for each in list(self.taken):
            each.close()

    def close(self) -> None:
        self.hang_up()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._thread.join(5)


@pytest.fixture
def frozen() -> Iterator[Frozen]:
    found = Frozen()
    yield found
    found.close()


def connection_to(server: Frozen) -> BaseDatabaseWrapper:
    found = connections["default"].copy("elsewhere")
    options = found.settings_dict["OPTIONS"] | {"connect_timeout": 2}
    found.settings_dict = found.settings_dict | {"HOST": "127.0.0.1", "PORT": str(server.port), "OPTIONS": options}
    return found


def refused(server: Frozen) -> str:
    with pytest.raises(OperationalError) as caught:
        connection_to(server).ensure_connection()
    return str(caught.value)


def silent_server(frozen: Frozen) -> silence.Server:
    """Ask for a connection, in vain, until the server is known to say nothing."""
    refused(frozen)
    found = base._reached["127.0.0.1", str(frozen.port), connections["default"].settings_dict["NAME"]].silence
    eventually(lambda: found.is_silent)
    return found


@pytest.mark.req("REL-05")
@pytest.mark.django_db
def test_once_a_server_said_nothing_nobody_waits_for_a_connection(frozen: Frozen) -> None:
    silent_server(frozen)
    with ThreadPoolExecutor(8) as threads:
        words = set(threads.map(refused, [frozen] * 40))

    assert words == {base._SILENT}
    assert len(frozen.taken) <= 4  # the one that was suspicious, and the thread that goes on to ask


@pytest.mark.django_db
def test_a_server_that_answers_again_is_asked_by_everybody(frozen: Frozen) -> None:
    known = silent_server(frozen)

    frozen.hang_up()

    eventually(lambda: not known.is_silent)
    assert refused(frozen) != base._SILENT


@pytest.mark.django_db
def test_what_the_parent_has_is_not_ended_by_a_forked_child(speechless: silence.Server) -> None:
    server = speechless
    with contextlib.closing(psycopg.connect(autocommit=True, **db_care.own_parameters())) as connection:
        server.watch(connection)
        silence._forget_all()  # as in a child
        server._end_all()

        assert connection.execute("SELECT 1").fetchone() == (1,)
