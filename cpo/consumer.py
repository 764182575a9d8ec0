"""The threads of a worker that apply charge points' messages and carry commands through, woken by PostgreSQL.

One thread listens, one sweeps each second for what no note told of, a pool applies messages, another asks eMSPs: a slow
eMSP holds up its own driver and nobody else (OCPP-73). Several workers share the work; the locks are in the database.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
from django.db import DEFAULT_DB_ALIAS, close_old_connections, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from cpo.modules import (
    authorization,
    certificates,
    closings,
    data_transfer,
    device_files,
    device_jobs,
    gateway_nodes,
    late_answers,
    local_lists,
    local_lists_sending,
    passwords_rolling,
    provisioning,
    reports,
    retention,
    returning,
    rollouts,
    sessions_pending,
    settling,
    station_log,
    transactions,
    transactions_201,
    unauthorised,
    watching,
)
from cpo.modules import chargingprofiles_operations as chargingprofiles
from cpo.modules import commands_operations as commands
from cpo.modules import locations_operations as locations
from cpo.modules import reservations_operations as reservations
from cpo.modules import sessions_operations as sessions
from cpo.modules.authorization import Question, Verdict
from cpo.ocpp import inbox, inbox_batch
from cpo.ocpp.inbox import Asking, Step
from ocpi import database_trouble, db_care

log = logging.getLogger(__name__)

APPLYING, SETTLING, ASKING, FOLLOWING = 8, 4, 16, 4  # threads
_TAKING = 2  # of those that apply, threads that may do so for many charge points at once
_TOGETHER, _ANOTHER = 200, 50  # charge points at once; and so many that wait for the one thread that another one helps
# So long each that was taken has the next ones gathered, up to a limit: the more there is, the less each shall cost.
_GATHER_SECONDS, _GATHER_AT_MOST = 0.002, 0.04
_AT_ONCE = 50  # messages of one charge point before the others have their turn
_SWEEP_SECONDS = 1.0
_RECONNECT_SECONDS = 1.0
_ASK_KEYS = 0x4F4A << 40
_CHANNELS = ("ocpp_inbox", "ocpp_operation_done", commands.CHANNEL)
# What time alone brings about, and every how many sweeps.
_CARE: tuple[tuple[int, Callable[[], int]], ...] = (
    (1, commands.sweep),
    (1, chargingprofiles.sweep),
    (1, reservations.expire_due),
    (5, sessions_pending.expire_due),
    (1, sessions.push_due),
    (2, locations.refresh_due),
    (5, gateway_nodes.bury_silent),
    (10, transactions.close_superseded),
    (60, transactions.settle_due),
    (2, unauthorised.stop_due),
    (300, transactions.close_stale),
    (5, transactions_201.complete_due),
    (600, inbox.forget_old),
    (5, local_lists_sending.sweep),
    (60, local_lists.gather),
    (15, watching.look),
    (2, closings.begin_and_end_due),
    (5, returning.ask_states),
    (60, retention.close_lost),
    (60, retention.forget),
    (60, retention.thin),
    (5, provisioning.sweep),
    (30, passwords_rolling.sweep),
    (2, certificates.sign_due),
    (10, device_jobs.sweep),
    (3, rollouts.sweep),
    (600, device_files.forget_old),
    (600, data_transfer.forget_old),
    (600, station_log.forget_old),
    (5, reports.sweep),
    (600, reports.forget_old),
)


class Consumer:
    """The threads of one worker process."""

    def __init__(self) -> None:
        self._applying = ThreadPoolExecutor(APPLYING, "ocpp-inbox")
        # Of their own: operations end by the thousand when charge points are silent, and no message waits behind that.
        self._settling = ThreadPoolExecutor(SETTLING, "ocpp-settle")
        self._asking = ThreadPoolExecutor(ASKING, "ocpp-ask")
        self._followers = threading.Semaphore(FOLLOWING)
        self._guard = threading.Lock()
        self._busy: set[int] = set()
        self._again: set[int] = set()
        self._piled: deque[int] = deque()  # charge points that nobody has taken up yet
        self._taking = 0  # threads that do
        self._gather_until = 0.0
        self._verdicts: dict[int, Verdict] = {}
        self._connections: dict[int, BaseDatabaseWrapper] = {}  # of the pools' threads
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._listen_forever, name="ocpp-listener", daemon=True),
            threading.Thread(target=self._sweep_forever, name="ocpp-sweep", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish what is under way; the rest stays in the database for the next worker."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(5)
        self._applying.shutdown(cancel_futures=True)
        self._settling.shutdown(cancel_futures=True)
        self._asking.shutdown(cancel_futures=True)
        for database in self._connections.values():
            database.inc_thread_sharing()
            database.close()

    def wake(self, charge_point_id: int) -> None:
        """Have a charge point's messages applied soon."""
        with self._guard:
            if self._stopping.is_set():
                return
            if charge_point_id in self._busy:
                self._again.add(charge_point_id)
                return
            self._busy.add(charge_point_id)
            self._piled.append(charge_point_id)
            if self._taking < _TAKING and len(self._piled) > self._taking * _ANOTHER:
                self._taking += 1
                self._applying.submit(self._take)

    def _begin(self) -> None:
        """Make this thread's database connection fit for a piece of work."""
        close_old_connections()
        self._connections[threading.get_ident()] = connections[DEFAULT_DB_ALIAS]

    def _take(self) -> None:
        """Take up what has piled up, many charge points together, until nothing has."""
        while True:
            # The first after a pause goes at once; what follows many is gathered.
            time.sleep(max(0.0, self._gather_until - time.monotonic()))
            with self._guard:
                number = 0 if self._stopping.is_set() else min(len(self._piled), _TOGETHER)
                taken = [self._piled.popleft() for _ in range(number)]
                self._again.difference_update(taken)  # what was told of them is there, and read from now on
                if len(taken) < 2:
                    self._taking -= 1
                    break
            self._gather_until = time.monotonic() + min(len(taken) * _GATHER_SECONDS, _GATHER_AT_MOST)
            self._work_together(taken)
        for charge_point_id in taken:
            self._work(charge_point_id)

    def _work_together(self, charge_point_ids: list[int]) -> None:
        alone: set[int] = set()
        more: set[int] = set()
        try:
            self._begin()
            plain, alone = inbox_batch.kinds(charge_point_ids)
            self._each_alone(alone)  # some want an answer
            if plain:
                applied = inbox_batch.apply(plain)
                more = applied.more
                self._each_alone(applied.left)
                alone |= applied.left
        except Exception:  # an edge of a thread: the sweep tries again
            log.exception("applying messages of %d charge points failed", len(charge_point_ids))
        for charge_point_id in charge_point_ids:
            if charge_point_id not in alone:
                self._done(charge_point_id, more=charge_point_id in more)

    def _each_alone(self, charge_point_ids: Iterable[int]) -> None:
        for charge_point_id in charge_point_ids:
            try:
                self._applying.submit(self._work, charge_point_id)
            except RuntimeError:  # we stop
                return

    def _work(self, charge_point_id: int) -> None:
        asking: Asking | None = None
        more = False
        try:
            self._begin()
            for _ in range(_AT_ONCE):
                found = inbox.step(charge_point_id, self._verdicts)
                if isinstance(found, Asking):
                    asking = found
                    break
                if found not in (Step.APPLIED, Step.PARKED, Step.FAILED):  # one that failed lets others pass
                    break
            else:
                more = True
        except Exception:  # an edge of a thread: the sweep tries again
            log.exception("applying messages of charge point %s failed", charge_point_id)
        if asking is not None and not self._stopping.is_set():
            self._asking.submit(self._ask, charge_point_id, asking.message_id, asking.question)
            return
        self._done(charge_point_id, more=more)

    def _ask(self, charge_point_id: int, message_id: int, question: Question) -> None:
        asked = False
        try:
            self._begin()
            asked = self._ask_once(message_id, question)
        except Exception:  # an edge of a thread: the sweep tries again
            log.exception("asking for message %s failed", message_id)
        self._done(charge_point_id, more=asked)

    def _ask_once(self, message_id: int, question: Question) -> bool:
        """Ask, unless another worker does so already. The lock belongs to the session: no transaction is open."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [_ASK_KEYS + message_id])
            if not cursor.fetchone()[0]:
                return False
            try:
                verdict = authorization.ask(question)
            finally:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_ASK_KEYS + message_id])
        if len(self._verdicts) > 10_000:
            self._verdicts.clear()
        self._verdicts[message_id] = verdict
        if late_answers.is_due(question, verdict) and self._followers.acquire(blocking=False):
            threading.Thread(target=self._follow_up, args=(message_id, question), name="ocpp-late", daemon=True).start()
        return True

    def _follow_up(self, message_id: int, question: Question) -> None:
        """Ask an eMSP again that was too slow, in a thread nobody waits for."""
        try:
            late_answers.follow_up(message_id, question)
        except Exception:  # an edge of a thread: the next attempt asks anew
            log.exception("asking again for message %s failed", message_id)
        finally:
            connection.close()
            self._followers.release()

    def _done(self, charge_point_id: int, *, more: bool) -> None:
        with self._guard:
            self._busy.discard(charge_point_id)
            more = more or charge_point_id in self._again
            self._again.discard(charge_point_id)
        if more:
            self.wake(charge_point_id)

    # ---- woken, and waking by itself

    def _hear(self, channel: str, payload: str) -> None:
        if channel == "ocpp_inbox":
            self.wake(int(payload))
        elif channel == "ocpp_operation_done":
            self._settling.submit(self._guarded, self._settle, UUID(payload))
        else:
            self._applying.submit(self._guarded, commands.carry_out, int(payload))

    def _settle(self, operation_id: UUID) -> None:
        """Have everybody look who waits for an operation that has ended; a note may be lost, so each has a sweep."""
        for settle in settling.concerned(operation_id):
            self._guarded(settle, operation_id)

    def _guarded(self, work: Callable[[Any], None], subject: Any) -> None:
        try:
            self._begin()
            work(subject)
        except Exception:  # an edge of a thread: the sweep tries again
            log.exception("%s failed for %s", work.__name__, subject)

    def _listen_forever(self) -> None:
        while not self._stopping.is_set():
            try:
                with psycopg.connect(autocommit=True, **db_care.own_parameters()) as listening:
                    for channel in _CHANNELS:
                        listening.execute(f"LISTEN {channel}")
                    while not self._stopping.is_set():
                        for note in listening.notifies(timeout=_SWEEP_SECONDS):
                            self._hear(note.channel, note.payload)
            except (psycopg.Error, RuntimeError) as error:
                # RuntimeError: the pools are closed while we stop.
                if not self._stopping.is_set():
                    log.warning("the listener lost its connection, trying again: %s", error)
                    time.sleep(_RECONNECT_SECONDS)

    def _sweep_forever(self) -> None:
        number = 0
        while not self._stopping.wait(_SWEEP_SECONDS):
            number += 1
            self._begin()
            try:
                for charge_point_id in inbox.waiting():
                    self.wake(charge_point_id)
            except Exception as error:  # an edge of a thread: the next sweep tries again
                log.exception("the sweep of the inbox failed")
                if database_trouble.concerns_all(error):
                    continue  # and so would all the others
            for every, care in _CARE:
                if number % every == 0:
                    self._care(care)

    def _care(self, care: Callable[[], int]) -> None:
        try:
            care()
        except Exception:  # an edge of a thread: the next sweep tries again
            log.exception("%s failed", care.__name__)


_running: Consumer | None = None
_running_guard = threading.Lock()


def run_consumer() -> Consumer:
    """Start the threads of this process, once."""
    global _running
    with _running_guard:
        if _running is None:
            _running = Consumer()
            _running.start()
        return _running


def stop_consumer() -> None:
    """Stop the threads of this process, if they run."""
    global _running
    with _running_guard:
        running, _running = _running, None
    if running is not None:
        running.stop()
