"""The numbers behind /metrics, read with a few queries when somebody asks; nothing is counted per request (REL-59).

Labels are platform names, states and kinds of failure: never a token, a UID or a URL.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis import RedisError

from ocpi import backlog, exchanges, rate_limit
from ocpi.models import ConnectionStatus, Platform

_LASTING = 30.0  # seconds that the number of dead deliveries, a longer count, is kept
_dead: tuple[float, dict[int, int]] = (-1e9, {})
_lock = threading.Lock()


class Numbers(Collector):
    """All metrics of this instance, at this moment."""

    def collect(self) -> Iterator[Metric]:
        names = dict(Platform.objects.order_by().values_list("id", "name"))
        yield from _platforms()
        yield from _backlog(names)
        yield from _lanes(names)
        yield from _exchanges(names)
        yield from _limits(names)
        yield from _pulls()
        yield from _database()
        for side in settings.OCPI_SIDES:
            if side in ("cpo", "emsp"):
                yield from _sessions(side)
        if "cpo" in settings.OCPI_SIDES:
            yield from _charge_points()


def forget() -> None:
    """Have the next scrape count everything anew."""
    global _dead
    _dead = (-1e9, {})


def _platforms() -> Iterator[Metric]:
    state = _gauge("ocpi_platform_connection", "1 for the state of the connection", "platform", "state")
    paused = _gauge("ocpi_platform_paused", "1 if nothing is sent because our token is refused", "platform")
    failures = _gauge("ocpi_platform_failures", "consecutive failed calls", "platform")
    answer = _gauge("ocpi_platform_answer_seconds", "moving average of its answer time", "platform")
    columns = ("name", "connection", "paused_reason", "failures", "average_ms")
    for name, connected, reason, failed, average in Platform.objects.order_by("id").values_list(*columns):
        for status in ConnectionStatus.values:
            state.add_metric([name, status], float(status == connected))
        paused.add_metric([name], float(bool(reason)))
        failures.add_metric([name], failed)
        if average is not None:
            answer.add_metric([name], average / 1000)
    yield from (state, paused, failures, answer)


def _backlog(names: dict[int, str]) -> Iterator[Metric]:
    found = backlog.by_platform(dead=False)
    dead = _dead_deliveries()
    pending = _gauge("ocpi_deliveries_pending", "deliveries that wait", "platform")
    marks = _gauge("ocpi_deliveries_marked", "objects it has to get once it is back", "platform")
    oldest = _gauge("ocpi_deliveries_oldest_seconds", "since the oldest pending delivery is due", "platform")
    lost = _gauge("ocpi_deliveries_dead", "deliveries that were given up", "platform")
    for platform_id, name in names.items():
        one = found.get(platform_id, backlog.Backlog())
        pending.add_metric([name], one.pending)
        marks.add_metric([name], one.marks)
        oldest.add_metric([name], one.oldest)
        lost.add_metric([name], dead.get(platform_id, 0))
    yield from (pending, marks, oldest, lost)


def _dead_deliveries() -> dict[int, int]:
    global _dead
    with _lock:
        if time.monotonic() - _dead[0] > _LASTING:
            rows = _rows("SELECT platform_id, count(*) FROM ocpi_finisheddelivery WHERE state = 'DEAD' GROUP BY 1")
            _dead = (time.monotonic(), dict(rows))
        return _dead[1]


def _lanes(names: dict[int, str]) -> Iterator[Metric]:
    """Lanes that somebody drains right now: advisory locks, see `ocpi.lanes`."""
    busy = _gauge("ocpi_lanes_busy", "lanes that are being drained", "platform")
    found = dict(_rows(_LANES))
    for platform_id, name in names.items():
        busy.add_metric([name], found.get(platform_id, 0))
    workers = _gauge("ocpi_workers", "processes that send")
    workers.add_metric(
        [], _rows("SELECT count(*) FROM ocpi_workerheartbeat WHERE beat_at > now() - interval '10 s'")[0][0]
    )
    yield from (busy, workers)


def _exchanges(names: dict[int, str]) -> Iterator[Metric]:
    last = _gauge("ocpi_exchanges_last_minute", "requests by how they ended", "platform", "direction", "outcome")
    since = int((time.time() - 60) * 1000) << 22  # ids begin with the time
    for platform_id, direction, outcome, number in _rows(_EXCHANGES, [since]):
        last.add_metric([names.get(platform_id, ""), direction, outcome], number)
    lost = _gauge("ocpi_exchanges_lost", "exchanges this process could not keep")
    lost.add_metric([], exchanges.lost())
    yield from (last, lost)


def _limits(names: dict[int, str]) -> Iterator[Metric]:
    """Requests answered 429, by all processes since Redis was last empty; strangers have no name (REL-50)."""
    refused = CounterMetricFamily("ocpi_requests_refused", "requests answered HTTP 429", labels=["platform"])
    try:
        found = rate_limit.refused()
    except RedisError:  # /readyz says so; a scrape without these is better than none
        return
    for key, number in found.items():
        refused.add_metric([names.get(int(key), "") if key else ""], number)
    yield refused


def _pulls() -> Iterator[Metric]:
    age = _gauge("ocpi_pull_success_age_seconds", "since every page of a list came", "platform", "module")
    failures = _gauge("ocpi_pull_failures", "in a row", "platform", "module")
    refused = _gauge("ocpi_pull_invalid", "objects of lists that could not be kept", "platform", "module")
    differences = _gauge("ocpi_pull_differences", "repaired by the last pull", "platform", "module")
    for name, module, seconds, failed, repaired in _rows(_PULLS):
        if seconds is not None:
            age.add_metric([name, module], float(seconds))
        failures.add_metric([name, module], failed)
        differences.add_metric([name, module], repaired)
    for name, module, number in _rows(_PULLED_INVALID):
        refused.add_metric([name, module], number)
    yield from (age, failures, refused, differences)


def _database() -> Iterator[Metric]:
    oldest = _gauge("ocpi_oldest_transaction_seconds", "the longest open transaction of the database")
    oldest.add_metric([], float(_rows(_OLDEST_TRANSACTION)[0][0] or 0))
    yield oldest


def _sessions(side: str) -> Iterator[Metric]:
    model: Any = apps.get_model(side, "Session")
    active = _gauge(f"ocpi_{side}_sessions_active", "charging sessions under way")
    active.add_metric([], model.objects.filter(status="ACTIVE").count())
    yield active


def _charge_points() -> Iterator[Metric]:
    points: Any = apps.get_model("cpo", "ChargePoint")
    parked: Any = apps.get_model("cpo", "InboxMessage")
    online = _gauge("ocpp_charge_points_online", "charge points that are connected")
    online.add_metric([], points.objects.filter(online=True).count())
    failed = _gauge("ocpp_inbox_failed", "messages of charge points that are parked for an operator")
    failed.add_metric([], parked.objects.filter(state="FAILED").count())
    waiting = _gauge("ocpp_inbox_waiting", "messages of charge points not applied yet")
    waiting.add_metric([], parked.objects.filter(state="NEW").count())
    yield from (online, failed, waiting)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=labels)


def _rows(sql: str, parameters: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, list(parameters))
        return list(cursor.fetchall())


# The bigint key of a lane is (0x4F43 << 40) + platform * 8 + slot; pg_locks shows it in two halves.
_LANES = """
SELECT ((((classid::bigint << 32) | objid::bigint) - (x'4F43'::bigint << 40)) / 8)::bigint, count(*)
FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid::bigint >> 8 = x'4F43'::bigint
GROUP BY 1
"""
_EXCHANGES = """
SELECT platform_id, direction,
       CASE WHEN http_status IS NULL THEN coalesce(nullif(split_part(error, ':', 1), ''), 'no answer')
            WHEN status_code >= 2000 THEN 'OCPI ' || status_code
            ELSE (http_status / 100) || 'xx' END AS outcome, count(*)
FROM ocpi_exchange WHERE id >= %s AND at > now() - interval '65 s' GROUP BY 1, 2, 3
"""
# A module read party by party is as old as its oldest list.
_PULLS = """
SELECT p.name, c.module, extract(epoch FROM now() - min(c.succeeded_at)), max(c.failures), sum(c.differences)
FROM ocpi_pullcursor c JOIN ocpi_platform p ON p.id = c.platform_id GROUP BY p.id, c.module ORDER BY p.id, c.module
"""
_PULLED_INVALID = """
SELECT p.name, i.module, count(*) FROM ocpi_pulledinvalid i JOIN ocpi_platform p ON p.id = i.platform_id
GROUP BY p.id, i.module ORDER BY p.id, i.module
"""
_OLDEST_TRANSACTION = """
SELECT extract(epoch FROM max(now() - xact_start))::float8 FROM pg_stat_activity
WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()
"""
