"""The sending engine of a worker process: one thread that reads and settles, a few threads that wait for platforms.

The thread takes lanes, reads what is due in all of them with one query, the documents with one per model, and settles
what came of it in groups: 100 receivers of one change cost a handful of queries. HTTP runs beside it, lanes in
parallel, the rows of one lane one after the other, and never with a transaction open (REL-13).

A call that has been waiting for a moment stops counting against the threads of the others: waiting costs nothing, and
platforms that fall silent together would hold all threads until they are known to be slow. One that has been waiting
for a second counts as slow, and no further slow or failing platform gets a thread while a quarter is taken by such
(REL-22).
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import partial

from django.db import Error

from ocpi import introductions, outbox_outcomes, outbox_request, outbox_rows, snapshot, stored
from ocpi.lanes import Locks
from ocpi.outbox import SLOTS
from ocpi.outbox_policy import RESULT
from ocpi.outbox_request import Receiver
from ocpi.outbox_rows import Ended, Outcome, Row
from ocpi.outbox_wake import Lane
from ocpi.stored import Stored

log = logging.getLogger(__name__)

SLOT_SECONDS = 2.0  # after which a lane is given back (REL-23)
SLOW_SECONDS = 1.0  # an answer that takes longer is a slow one (REL-22)
_WAITING_SECONDS = 0.15
_ROWS_PER_LANE = 20
_GATHER_SECONDS = 0.002  # outcomes that arrive together are settled together
_RESTLESS_SECONDS, _LOOK_SECONDS = 3.0, 0.1  # after a failure its platform is looked at so long, so often
THREADS_PER_QUOTA = 4


@dataclass(slots=True, eq=False)
class Job:
    """The rows of one lane on their way, in one thread."""

    lane: Lane
    rows: list[Row]
    documents: dict[tuple[str, int], Stored]
    receiver: Receiver
    healthy: bool
    until: float = 0.0
    started: float = 0.0  # the call that is running, monotonic
    unsettled: int = 0
    done: bool = False


@dataclass(slots=True)
class Counts:
    """What this process has done since it started, for metrics."""

    tries: int = 0
    delivered: int = 0
    by_end: dict[str, int] = field(default_factory=lambda: defaultdict(int))


class Sender:
    """Drains lanes; all methods but `wake`, `stop` and the jobs run in one thread."""

    def __init__(self, locks: Locks, submit: Callable[[Callable[[], None]], object], *, threads: int) -> None:
        self._locks = locks
        self._submit = submit
        self._threads = threads
        # An outcome of a job, a job that is through, or nothing but a reason to look.
        self._events: queue.SimpleQueue[tuple[Job, Outcome | None] | None] = queue.SimpleQueue()
        self._wanted: set[Lane] = set()
        self._wanted_guard = threading.Lock()
        self._deferred: dict[int, set[Lane]] = defaultdict(set)
        self._ready: deque[Job] = deque()
        self._running: dict[Lane, Job] = {}
        self._unsettled: list[tuple[Job, Outcome]] = []
        self._restless: dict[int, float] = {}  # platforms whose short pauses are waited for here, and until when
        self._looked_at = 0.0
        self._stopping = False
        self.counts = Counts()

    # ------------------------------------------------ from any thread

    def wake(self, lanes: Iterable[Lane]) -> None:
        """Have lanes drained."""
        with self._wanted_guard:
            self._wanted.update(lanes)
        self._events.put(None)

    def stop(self) -> None:
        """Begin nothing new; calls in flight finish."""
        self._stopping = True
        self._events.put(None)

    # ------------------------------------------------ the engine's thread

    @property
    def busy(self) -> bool:
        return bool(self._running or self._ready or self._unsettled)

    def step(self, wait: float) -> None:
        """Wait for something to happen, then settle what came back and start what may start."""
        self._gather(min(wait, _LOOK_SECONDS) if self._restless or self._ready else wait)
        if self._unsettled:
            # A commit takes a while: other lanes need not wait for it, unless a platform may have failed.
            if not self._stopping and all(outcome.ended is Ended.DELIVERED for _, outcome in self._unsettled):
                self._take()
                self._start_jobs()
            self._settle()
        if self._restless:
            self._look_again()
        if not self._stopping:
            self._take()
        self._start_jobs()

    def _gather(self, wait: float) -> None:
        try:
            events = [self._events.get(timeout=wait)] if wait else []
        except queue.Empty:
            return
        if self._running and wait:
            time.sleep(_GATHER_SECONDS)
        while True:
            try:
                events.append(self._events.get_nowait())
            except queue.Empty:
                break
        through = []
        for job, outcome in filter(None, events):
            if outcome is not None:
                job.unsettled += 1
                self._unsettled.append((job, outcome))
            else:
                job.done = True
                through.append(job)
        self._end([job for job in through if not job.unsettled])

    def _settle(self) -> None:
        pending, self._unsettled = self._unsettled, []
        try:
            locked = outbox_outcomes.write([outcome for _, outcome in pending])
        except Error:
            self._unsettled = pending
            raise
        settled = [(job, outcome) for job, outcome in pending if id(outcome) not in locked]
        self._unsettled = [(job, outcome) for job, outcome in pending if id(outcome) in locked]
        if self._unsettled:
            time.sleep(_GATHER_SECONDS)  # their object is being changed; nobody waits for longer than that change
        for job, outcome in settled:
            job.unsettled -= 1
            self.counts.tries += 1
            self.counts.by_end[outcome.ended.value] += 1
            if outcome.ended in (Ended.FAILED, Ended.LATER):
                self._restless[job.lane[0]] = time.monotonic() + _RESTLESS_SECONDS
        unwell = {job.lane[0] for job, _ in settled if not job.healthy}
        try:
            outbox_outcomes.report_health([outcome for _, outcome in settled], unwell=unwell)
        finally:  # also without the database: a lane that nobody gives back is never drained again (REL-05)
            self._end(list({id(job): job for job, _ in settled if job.done and not job.unsettled}.values()))

    def _look_again(self) -> None:
        """Try what failed as soon as its pause is over; the sweep alone would be up to a second late."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        self._restless = {platform_id: until for platform_id, until in self._restless.items() if until > now}
        with self._wanted_guard:
            self._wanted.update((platform_id, slot) for platform_id in self._restless for slot in range(SLOTS))

    def _end(self, jobs: list[Job]) -> None:
        """Give lanes back and look once more for what came in between (REL-12)."""
        if not jobs:
            return
        ended = [job.lane for job in jobs]
        for lane in ended:
            self._running.pop(lane, None)
        self._locks.release(ended)
        again = set(ended)
        for platform_id in {platform_id for platform_id, _ in ended}:
            again |= self._deferred.pop(platform_id, set())
        with self._wanted_guard:
            self._wanted |= again

    def _take(self) -> None:
        with self._wanted_guard:
            wanted, self._wanted = self._wanted, set()
        wanted = {lane for lane in wanted if lane not in self._running}
        if not wanted:
            return
        try:
            found = self._locks.acquire(wanted, slow_ms=SLOW_SECONDS * 1000)
            taken = {one.lane: one.healthy for one in found}
            running = {platform_id for platform_id, _ in self._running} | {platform_id for platform_id, _ in taken}
            for lane in wanted - taken.keys():
                if lane[0] in running:
                    self._deferred[lane[0]].add(lane)
            self._read(taken)
        except Error:
            with self._wanted_guard:
                self._wanted |= wanted
            raise

    def _read(self, taken: dict[Lane, bool]) -> None:
        try:
            rows = outbox_rows.due(list(taken), limit=_ROWS_PER_LANE)
            documents = _documents(row for found in rows.values() for row in found)
            receivers = _receivers({platform_id for platform_id, _ in rows})
        except BaseException:
            self._locks.release(list(taken))
            raise
        idle = []
        for lane, healthy in taken.items():
            found, receiver = rows.get(lane, []), receivers.get(lane[0])
            if not found or receiver is None:
                idle.append(lane)
                continue
            job = Job(lane, found, documents, receiver, healthy)
            self._running[lane] = job
            self._ready.append(job)
        if idle:
            self._locks.release(idle)

    def _start_jobs(self) -> None:
        """Start lanes while there are threads; a slow or failing platform only while its like hold under a quarter."""
        if not self._ready:
            return
        now = time.monotonic()
        busy = [job for job in self._running.values() if job.started and not job.done]
        waits = sum(now - job.started > _WAITING_SECONDS for job in busy)
        slow = sum(not job.healthy or now - job.started > SLOW_SECONDS for job in busy)
        free = min(self._threads - (len(busy) - waits), self._threads * THREADS_PER_QUOTA - len(busy))
        slow_free = max(1, self._threads // 4) - slow
        waiting: deque[Job] = deque()
        while self._ready and free > 0:
            job = self._ready.popleft()
            if not job.healthy and slow_free <= 0:
                waiting.append(job)
                continue
            slow_free -= not job.healthy
            free -= 1
            job.started = now
            job.until = now + SLOT_SECONDS
            self._submit(lambda job=job: self._run(job))  # type: ignore[misc]
        self._ready.extendleft(reversed(waiting))

    # ------------------------------------------------ a sending thread

    def _run(self, job: Job) -> None:
        held_back: set[str] = set()
        try:
            for row in job.rows:
                now = time.monotonic()
                if now > job.until or self._stopping or not self._locks.holds(job.lane):
                    break
                if row.order_key in held_back:
                    continue
                job.started = now
                outcome = _deliver(row, job)
                self._events.put((job, outcome))
                if outcome.ended in (Ended.FAILED, Ended.PAUSED):
                    break
                if outcome.ended in (Ended.LATER, Ended.AWAY):
                    held_back.add(row.order_key)
        finally:
            self._events.put((job, None))


def _deliver(row: Row, job: Job) -> Outcome:
    document = job.documents.get((row.source, row.source_id or 0))
    try:
        return outbox_request.deliver(row, document, job.receiver)
    except Exception as error:
        # Ours, not the platform's: this row waits, visible, and the lane goes on.
        log.exception("delivery %s to platform %s could not be sent", row.id, row.platform_id)
        return Outcome(row, Ended.LATER, error=f"our own error: {type(error).__name__}: {error}", ambiguous=True)


def _documents(rows: Iterable[Row]) -> dict[tuple[str, int], Stored]:
    """Return the current documents of rows, read after their change numbers: one query per model."""
    ids: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        if row.kind != RESULT and not row.deleted and row.source_id is not None:
            ids[row.source].add(row.source_id)
    return {(label, pk): found for label, pks in ids.items() for pk, found in stored.whole(label, pks).items()}


def _receivers(platform_ids: Collection[int]) -> dict[int, Receiver]:
    platforms = snapshot.current().platforms
    return {
        found.id: Receiver(
            found.target(), found.endpoints, found.longest_address, found.away, partial(introductions.is_new, found.id)
        )
        for found in (platforms.get(platform_id) for platform_id in platform_ids)
        if found is not None
    }
