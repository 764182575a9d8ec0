"""Counts of traffic: how many exchanges, how they ended, how long they took; over minutes, hours and a day."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection
from pytest_django.fixtures import Settings

from ocpi import exchanges, tallies, traffic
from ocpi.models import TrafficCount
from tests.fixtures import Partner
from tests.statements import at_most


def _past(minutes: float, *, number: int = 1, outcome: str = traffic.GOOD, platform_id: int = 7) -> None:
    start = (datetime.now(UTC) - timedelta(minutes=minutes)).replace(second=0, microsecond=0)
    TrafficCount.objects.create(platform_id=platform_id, seconds=60, start=start, direction="OUT", outcome=outcome,
                                number=number, milliseconds=10.0 * number)  # fmt: skip


@pytest.mark.parametrize(
    ("http_status", "status_code", "error", "word"),
    [
        (200, 1000, "", "2xx"),
        (200, None, "", "2xx"),
        (200, 2001, "", "OCPI 2001"),
        (200, 2987, "", "OCPI 2xxx"),
        (200, 32000, "", "OCPI 9xxx"),
        (404, 2003, "", "4xx"),
        (503, None, "", "5xx"),
        (999, None, "", "odd"),
        (None, None, "NoAnswer: http://a.example/secret", "NoAnswer"),
        (None, None, "", "no answer"),
    ],
)
def test_there_are_few_kinds_of_ends(http_status: int | None, status_code: int | None, error: str, word: str) -> None:
    assert traffic.outcome(http_status, status_code, error) == word


@pytest.mark.req("REL-59")
def test_what_the_log_writes_is_counted_per_platform_and_minute(partner: Partner, settings: Settings) -> None:
    settings.OCPI_EXCHANGES = True
    pk = partner("DE*EMS:EMSP").id
    for status_code, elapsed in ((1000, 0.1), (1000, 0.3), (3000, 0.2)):
        body = b'{"status_code": %d}' % status_code
        exchanges.record(exchanges.Entry("OUT", time.time(), "PUT", "http://a/x", pk, http_status=200, elapsed=elapsed,
                                         response_body=body))  # fmt: skip
    exchanges.record(exchanges.Entry("IN", time.time(), "PUT", "/x", pk, http_status=200, elapsed=0.9))
    exchanges.record(exchanges.Entry("IN", time.time(), "PUT", "/x", None, http_status=401, elapsed=0.9))
    exchanges.flush()

    with at_most(1):
        traffic.flush()

    found = traffic.rates(300)
    assert (found[pk].number, found[pk].failed, found[pk].error_rate) == (4, 1, 0.25)
    assert found[pk].average_ms == pytest.approx(200.0)
    assert (found[0].number, found[0].failed) == (1, 1)
    assert traffic.rates(300, [pk + 1]) == {}


@pytest.mark.req("REL-59")
def test_counts_of_processes_add_up(db: None) -> None:
    for _process in range(2):
        traffic.note(7, "OUT", "2xx", time.time(), 5.0)
        traffic.flush()

    assert traffic.rates(300)[7].number == 2
    assert TrafficCount.objects.count() == 1


def test_rates_of_five_minutes_an_hour_and_a_day(db: None) -> None:
    _past(1)
    _past(20, outcome="5xx")
    _past(5 * 60, number=8)
    _past(30 * 60, number=100)
    traffic.compact()

    assert [traffic.rates(seconds)[7].number for seconds in (300, 3600, 86400)] == [1, 2, 10]
    assert traffic.rates(3600)[7].error_rate == 0.5


@pytest.mark.req("REL-59")
def test_totals_only_grow_while_old_counts_are_summed_up(db: None) -> None:
    for minutes in (1, 90, 91, 100, 30 * 60, 31 * 60):
        _past(minutes)
    before = traffic.totals()

    traffic.compact()
    traffic.compact()

    assert traffic.totals() == before == [(7, "OUT", "2xx", 6, 60.0)]
    assert TrafficCount.objects.filter(seconds=60).count() == 1
    assert TrafficCount.objects.filter(seconds=0).get().number == 2


def test_minutes_of_a_graph(db: None) -> None:
    _past(0, number=3)
    _past(2, number=4, outcome="5xx")

    found = traffic.per_minute(5)

    assert len(found) == 5
    assert sorted(found)[-2:] == [(3, 0), (4, 4)]


@pytest.mark.req("REL-55")
def test_counts_wait_while_the_database_is_away(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Away:
        def cursor(self) -> None:
            raise OperationalError("away")

        def close(self) -> None:
            pass

    traffic.note(7, "OUT", "2xx", time.time(), 5.0)
    monkeypatch.setattr(traffic, "connection", Away())
    assert not traffic._writer._write_some()
    monkeypatch.setattr(traffic, "connection", connection)
    traffic.note(7, "OUT", "2xx", time.time(), 5.0)
    traffic.flush()

    assert traffic.rates(300)[7].number == 2


@pytest.mark.req("REL-59")
def test_tallies_of_processes_add_up(db: None) -> None:
    tallies.add(tallies.DUPLICATES_AVOIDED, 2)
    tallies.flush()
    tallies.add(tallies.DUPLICATES_AVOIDED)
    unwritten = tallies.read()[tallies.DUPLICATES_AVOIDED]
    tallies.flush()

    assert unwritten == tallies.read()[tallies.DUPLICATES_AVOIDED] == 3
    assert tallies.read()[tallies.LANES_TAKEN_OVER] == 0
