"""Who drains which lane: session advisory locks on one dedicated connection per worker process (REL-10, REL-11).

A lock ends with its session, so a killed worker frees its lanes at once. A frozen one does not: every process renews a
heartbeat row each second, and another ends the session of a process silent for 10 s. A process that could not renew for
5 s sends nothing any more. Session locks are re-entrant, therefore what is held is also kept in memory.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg
from django.db import connection

from ocpi import db_care, tallies
from ocpi.outbox_wake import Lane

log = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
_RECONNECT_SECONDS = 0.25
_ANSWER_SECONDS = 1.0
_ERROR = b"E"  # how PostgreSQL begins to say that it ends a session
TRUST_SECONDS = 5.0
SILENT_SECONDS = 10.0
_APPLICATION = "ocpi lanes "
_FIRST_KEY = 0x4F43 << 40  # far from the keys of anybody else
_KEYS_PER_PLATFORM = 8


@dataclass(frozen=True, slots=True)
class Held:
    """A lane that we hold, and how its platform is doing."""

    lane: Lane
    healthy: bool  # known to answer, and quickly


class Locks(Protocol):
    """Where lanes are taken and given back."""

    def holds(self, lane: Lane) -> bool: ...

    def acquire(self, lanes: Collection[Lane], *, slow_ms: float) -> list[Held]: ...

    def release(self, lanes: Collection[Lane]) -> None: ...


class _Book:
    """The SQL of taking and giving lanes, and what is held."""

    def __init__(self) -> None:
        self.held: set[Lane] = set()

    def query(self, sql: str, parameters: dict[str, Any]) -> Sequence[tuple[Any, ...]]:
        raise AssertionError("a subclass says where to ask")

    def acquire(self, lanes: Collection[Lane], *, slow_ms: float) -> list[Held]:
        """Take those of these lanes that have something due, may be sent to, and are nobody's, in one query.

        Of a platform that is not known to be healthy only one lane is held at a time (REL-21).
        """
        wanted = sorted(set(lanes) - self.held)
        if not wanted:
            return []
        rows = self.query(
            _ACQUIRE,
            {
                "platform_ids": [platform_id for platform_id, _ in wanted],
                "slots": [slot for _, slot in wanted],
                "held": sorted({platform_id for platform_id, _ in self.held}),
                "slow_ms": slow_ms,
                "first_key": _FIRST_KEY,
                "keys": _KEYS_PER_PLATFORM,
            },
        )
        found = [Held((platform_id, slot), healthy) for platform_id, slot, healthy in rows]
        self.held.update(one.lane for one in found)
        return found

    def release(self, lanes: Collection[Lane]) -> None:
        """Give lanes back; those that were lost with their session are nobody's already."""
        ours = self.held.intersection(lanes)
        self.held.difference_update(ours)
        if ours:
            self.query(
                "SELECT count(pg_advisory_unlock(key)) FROM unnest(%(keys)s::bigint[]) key",
                {"keys": [_FIRST_KEY + platform * _KEYS_PER_PLATFORM + slot for platform, slot in ours]},
            )


class BorrowedLocks(_Book):
    """Lanes held on this thread's own Django connection, for a step in the foreground."""

    def holds(self, lane: Lane) -> bool:
        """Say whether the lane is ours: nothing takes it while this thread has its connection."""
        return lane in self.held

    def query(self, sql: str, parameters: dict[str, Any]) -> Sequence[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall())


class WorkerLocks(_Book):
    """Lanes held by this process, and the heartbeat that says it is alive."""

    def __init__(self) -> None:
        super().__init__()
        self.id = uuid.uuid4()
        self._guard = threading.RLock()
        self._session: psycopg.Connection[Any] | None = None
        self._socket: socket.socket | None = None  # of the session, to see its end at once
        self._renewed_at = -TRUST_SECONDS
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def trusted(self) -> bool:
        """Say whether the last renewal is young enough to send (REL-11)."""
        return time.monotonic() - self._renewed_at < TRUST_SECONDS

    def holds(self, lane: Lane) -> bool:
        """Say whether a lane may be sent to now: it was taken in the session there is, and that session lives.

        A lane of a session that was lost is somebody else's by now, also when there is a new session (REL-10, REL-15).
        """
        return self.trusted and lane in self.held and self._lives()

    def _lives(self) -> bool:
        """Say whether the server has not ended the session; costs one system call while it says nothing."""
        said = _peek(self._socket)
        if not said:
            return said is not None
        # An answer to another thread, which reads it in a moment; or a farewell.
        if not self._guard.acquire(timeout=_ANSWER_SECONDS):
            return False
        try:
            said = _peek(self._socket)
            return said is not None and said != _ERROR
        finally:
            self._guard.release()

    def start(self) -> None:
        """Renew from now on, each second."""
        self._beat()
        self._thread = threading.Thread(target=self._keep_beating, name="lane-heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Give everything back and close the session."""
        self._stopping.set()
        if self._thread:
            self._thread.join(2 * BEAT_SECONDS)
        with self._guard:
            try:
                if self._session:
                    self._session.execute("DELETE FROM ocpi_workerheartbeat WHERE id = %s", [self.id])
            except psycopg.Error as error:
                log.warning("the heartbeat row stays: %s", error)
            self._lose()

    def query(self, sql: str, parameters: dict[str, Any]) -> Sequence[tuple[Any, ...]]:
        with self._guard:
            if self._session is None:
                return []
            try:
                return self._session.execute(sql.encode(), parameters).fetchall()
            except psycopg.Error as error:
                log.warning("the session of the lane locks is lost: %s", error)
                self._lose()
                return []

    def _keep_beating(self) -> None:
        while not self._stopping.wait(BEAT_SECONDS if self._session else _RECONNECT_SECONDS):
            self._beat()

    def _beat(self) -> None:
        started = time.monotonic()
        try:
            with self._guard:
                if self._session is None:
                    self._session = self._connect()
                    self._socket = socket.socket(fileno=os.dup(self._session.fileno()))
                self._session.execute(
                    "INSERT INTO ocpi_workerheartbeat (id, backend_pid, host, beat_at) "
                    "VALUES (%s, pg_backend_pid(), %s, clock_timestamp()) "
                    "ON CONFLICT (id) DO UPDATE SET beat_at = clock_timestamp(), backend_pid = pg_backend_pid()",
                    [self.id, socket.gethostname()[:255]],
                )
                self._renewed_at = started
        except psycopg.Error as error:
            log.warning("no heartbeat: %s", error)
            with self._guard:
                self._lose()

    def _lose(self) -> None:
        # The session's end frees its locks, whether we see it or not.
        session, self._session = self._session, None
        self._renewed_at = -TRUST_SECONDS
        self.held.clear()
        end, self._socket = self._socket, None
        if end:
            end.close()
        if session:
            session.close()

    def _connect(self) -> psycopg.Connection[Any]:
        parameters = db_care.own_parameters(
            application_name=f"{_APPLICATION}{self.id}",
            # A vanished database or host is noticed on both ends within 25 s.
            keepalives_idle=5, keepalives_interval=5, keepalives_count=3,
            options="-c statement_timeout=5000 -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 "
            "-c tcp_keepalives_count=3",
        )  # fmt: skip
        return psycopg.connect(autocommit=True, **parameters)


def _peek(end: socket.socket | None) -> bytes | None:
    """Return the first octet of what there is to read, which stays; nothing at all if the other end has closed."""
    if end is None:
        return None
    try:
        return end.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) or None
    except BlockingIOError:
        return b""
    except OSError:
        return None


def end_silent() -> int:
    """End the sessions of processes that have been silent for 10 s; return how many were forgotten."""
    with connection.cursor() as cursor:
        cursor.execute(_END_SILENT, {"silent": SILENT_SECONDS, "application": _APPLICATION})
        ended = cursor.fetchall()
    for host, pid, was_alive in ended:
        log.warning("worker %s (backend %s) was silent, its lanes are free; its session %s", host, pid,
                    "was ended" if was_alive else "had ended")  # fmt: skip
    tallies.add(tallies.LANES_TAKEN_OVER, len(ended))
    return len(ended)


def holders() -> list[tuple[int, int, int]]:
    """Return which lanes are being drained right now, and by which database sessions: platform, slot, pid."""
    with connection.cursor() as cursor:
        cursor.execute(_HOLDERS, {"first_key": _FIRST_KEY, "keys": _KEYS_PER_PLATFORM})
        return [(platform_id, slot, pid) for platform_id, slot, pid in cursor.fetchall()]


# A bigint key is shown in two halves.
_HOLDERS = """
SELECT key / %(keys)s, key %% %(keys)s, pid FROM (
    SELECT ((classid::bigint << 32) | objid::bigint) - %(first_key)s AS key, pid FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
) lanes WHERE key >= 0 AND key < 1::bigint << 40 ORDER BY 1, 2
"""

# The fence (MATERIALIZED) keeps the lock function from being called for lanes that are filtered out later.
_ACQUIRE = """
WITH due AS MATERIALIZED (
    SELECT lane.platform_id, lane.slot, health.healthy,
           row_number() OVER (PARTITION BY lane.platform_id ORDER BY first.id) AS place
    FROM unnest(%(platform_ids)s::bigint[], %(slots)s::int[]) AS lane(platform_id, slot)
    JOIN ocpi_platform p ON p.id = lane.platform_id
    CROSS JOIN LATERAL (
        SELECT p.failures = 0 AND p.average_ms IS NOT NULL AND p.average_ms <= %(slow_ms)s AS healthy
    ) health
    CROSS JOIN LATERAL (
        SELECT d.id FROM ocpi_delivery d
        WHERE d.platform_id = lane.platform_id AND d.slot = lane.slot AND d.state = 'PENDING'
          AND d.due_at <= statement_timestamp()
        ORDER BY d.id LIMIT 1
    ) first
    WHERE p.state = 'REGISTERED' AND p.connection = 'CONNECTED' AND p.paused_reason = ''
      AND (p.backoff_until IS NULL OR p.backoff_until <= statement_timestamp())
), chosen AS MATERIALIZED (
    SELECT * FROM due WHERE healthy OR (place = 1 AND NOT platform_id = ANY(%(held)s::bigint[]))
)
SELECT platform_id, slot, healthy FROM chosen
WHERE pg_try_advisory_lock(%(first_key)s + platform_id * %(keys)s + slot)
"""

# A process id may belong to somebody else by now; the application name tells.
_END_SILENT = """
WITH gone AS (
    DELETE FROM ocpi_workerheartbeat
    WHERE beat_at < clock_timestamp() - make_interval(secs => %(silent)s) RETURNING id, host, backend_pid
)
SELECT gone.host, gone.backend_pid, coalesce(bool_or(pg_terminate_backend(activity.pid)), false)
FROM gone LEFT JOIN pg_stat_activity activity
  ON activity.pid = gone.backend_pid AND activity.application_name = %(application)s || gone.id::text
GROUP BY gone.host, gone.backend_pid
"""
