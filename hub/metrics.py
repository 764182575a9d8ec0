"""The numbers behind /metrics, read with a few queries when somebody asks; nothing is counted per request (REL-59).

Labels are platform names, states and kinds of failure: never a token, a UID or a URL. What several processes count is
added up in the database, so every process answers the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.utils import timezone
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis import RedisError

from ocpi import alarms, backlog, breaker, kept, lane_rows, rate_limit, tallies, traffic
from ocpi.models import ConnectionStatus, Platform

_COLUMNS = ("id", "name", "state", "connection", "paused_reason", "failures", "average_ms", "backoff_until")


class Numbers(Collector):
    """All metrics of this instance, at this moment."""

    def collect(self) -> Iterator[Metric]:
        rows = list(Platform.objects.order_by("id").values(*_COLUMNS))
        names = {row["id"]: row["name"] for row in rows}
        yield from _platforms(rows)
        yield from _backlog(names)
        yield from _lanes(names)
        yield from _traffic(names)
        yield from _limits(names)
        yield from _pulls()
        yield from _database()
        yield from _alarms()
        for side in settings.OCPI_SIDES:
            if side in ("cpo", "emsp"):
                yield from _sessions(side)
        if "cpo" in settings.OCPI_SIDES:
            yield from _charge_points()


def forget() -> None:
    """Have the next scrape count everything anew."""
    kept.forget()


def _platforms(rows: list[dict[str, Any]]) -> Iterator[Metric]:
    state = _gauge("ocpi_platform_connection", "1 for the state of the connection", "platform", "state")
    cut = _gauge("ocpi_platform_breaker", "1 for the state of the breaker", "platform", "state")
    paused = _gauge("ocpi_platform_paused", "1 if nothing is sent because our token is refused", "platform")
    failures = _gauge("ocpi_platform_failures", "consecutive failed calls", "platform")
    answer = _gauge("ocpi_platform_answer_seconds", "moving average of its answer time", "platform")
    now = timezone.now()
    for row in rows:
        name, average = row.pop("name"), row.pop("average_ms")
        row.pop("id")
        for status in ConnectionStatus.values:
            state.add_metric([name, status], float(status == row["connection"]))
        found = breaker.of(**row, now=now).state
        for one in breaker.STATES:
            cut.add_metric([name, one], float(one == found))
        paused.add_metric([name], float(bool(row["paused_reason"])))
        failures.add_metric([name], row["failures"])
        if average is not None:
            answer.add_metric([name], average / 1000)
    yield from (state, cut, paused, failures, answer)


def _backlog(names: dict[int, str]) -> Iterator[Metric]:
    found = backlog.by_platform()
    pending = _gauge("ocpi_deliveries_pending", "deliveries that wait", "platform")
    marks = _gauge("ocpi_deliveries_marked", "objects it has to get once it is back", "platform")
    oldest = _gauge("ocpi_deliveries_oldest_seconds", "since the oldest pending delivery is due", "platform")
    lost = _gauge("ocpi_deliveries_dead", "deliveries that were given up", "platform")
    refused = _gauge(
        "ocpi_deliveries_refused", "deliveries that the platform has refused, in the last days", "platform"
    )
    for platform_id, name in names.items():
        one = found.get(platform_id, backlog.Backlog())
        pending.add_metric([name], one.pending)
        marks.add_metric([name], one.marks)
        oldest.add_metric([name], one.oldest)
        lost.add_metric([name], one.dead)
        refused.add_metric([name], one.refused)
    yield from (pending, marks, oldest, lost, refused)


def _lanes(names: dict[int, str]) -> Iterator[Metric]:
    """Lanes that somebody drains right now: advisory locks, see `ocpi.lanes`. Each has one call in flight."""
    busy = _gauge("ocpi_deliveries_in_flight", "lanes that are being drained, one call each", "platform")
    found = lane_rows.in_flight()
    for platform_id, name in names.items():
        busy.add_metric([name], found.get(platform_id, 0))
    yield busy


def _traffic(names: dict[int, str]) -> Iterator[Metric]:
    """How requests ended, since ever: what Prometheus takes rates of."""
    ended = CounterMetricFamily(
        "ocpi_exchanges", "requests by how they ended", labels=("platform", "direction", "outcome")
    )
    took = CounterMetricFamily("ocpi_answer_seconds", "time of answers", labels=("platform", "direction"))
    lost = CounterMetricFamily("ocpi_exchanges_lost", "exchanges that could not be kept in the log")
    seconds: dict[tuple[str, str], float] = {}
    number_lost = 0
    for platform_id, direction, outcome, number, milliseconds in kept.read("totals", traffic.totals):
        if direction == traffic.LOG:
            number_lost += number if outcome == "lost" else 0
        elif platform_id in names or not platform_id:
            name = names.get(platform_id, "")
            ended.add_metric([name, direction, outcome], number)
            seconds[name, direction] = seconds.get((name, direction), 0.0) + milliseconds / 1000
    for (name, direction), total in seconds.items():
        took.add_metric([name, direction], total)
    lost.add_metric([], number_lost)
    yield from (ended, took, lost)


def _alarms() -> Iterator[Metric]:
    facts = alarms.read()
    fired = {alarm.name for alarm in [*alarms.alarms(facts), *alarms.of_sides()]}
    alarm = _gauge("ocpi_alarm", "1 if an operator has to look at it (docs/OPERATIONS.md)", "name")
    for name in alarms.names():
        alarm.add_metric([name], float(name in fired))
    oldest = _gauge("ocpi_oldest_transaction_seconds", "the longest open transaction of the database")
    oldest.add_metric([], facts.transaction)
    clock = _gauge("ocpi_clock_ahead_seconds", "this host's clock before the database's")
    clock.add_metric([], facts.clock)
    yield from (alarm, oldest, clock)


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
    workers = _gauge("ocpi_workers", "processes that send")
    dead = _gauge("ocpi_dead_rows", "removed rows that wait for a vacuum", "table")
    for table, number in _rows(_DEAD_ROWS, [list(_HOT_TABLES)]):
        if table == "":
            workers.add_metric([], number)
        else:
            dead.add_metric([table], number)
    counted = tallies.read()
    taken = CounterMetricFamily("ocpi_lanes_taken_over", "lanes taken over from workers that fell silent")
    taken.add_metric([], counted[tallies.LANES_TAKEN_OVER])
    twice = CounterMetricFamily("ocpi_duplicates_avoided", "messages that had arrived before and changed nothing")
    twice.add_metric([], counted[tallies.DUPLICATES_AVOIDED])
    yield from (workers, dead, taken, twice)


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
    known_points = _gauge("ocpp_charge_points", "charge points there are, connected or not", "tenant")
    for tenant, number in _rows(_TENANTS):
        known_points.add_metric([tenant], number)
    [(seconds, reconnects, asked)] = _rows(_GATEWAY)
    age = _gauge("ocpp_inbox_oldest_seconds", "since the oldest message that is not applied came")
    age.add_metric([], float(seconds or 0))
    came_back = _gauge("ocpp_reconnects_last_hour", "connections of charge points that had been connected before")
    came_back.add_metric([], reconnects)
    queued = _gauge("ocpp_operations_open", "CALLs of ours that wait or are under way")
    queued.add_metric([], asked)
    yield from (known_points, age, came_back, queued)
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


_TENANTS = "SELECT country_code || '*' || party_id, count(*) FROM cpo_chargepoint GROUP BY 1 ORDER BY 1"
_GATEWAY = """
SELECT (SELECT extract(epoch FROM now() - min(received_at)) FROM cpo_inboxmessage WHERE state = 'NEW'),
       (SELECT count(*) FROM cpo_chargepointconnection WHERE since > now() - interval '1 hour' AND epoch > 1),
       (SELECT count(*) FROM cpo_operation WHERE state IN ('QUEUED', 'SENT'))
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
_HOT_TABLES = ("ocpi_delivery", "ocpi_finisheddelivery", "ocpi_platform", "ocpi_party", "ocpi_trafficcount",
               "hub_sharedobject", "cpo_evse", "cpo_inboxmessage", "emsp_evse", "emsp_session")  # fmt: skip
_DEAD_ROWS = """
SELECT '', count(*) FROM ocpi_workerheartbeat WHERE beat_at > statement_timestamp() - interval '10 s'
UNION ALL
SELECT relname, n_dead_tup FROM pg_stat_user_tables WHERE schemaname = current_schema() AND relname = ANY(%s)
"""
