"""Alarms: the condition of each, what it says, and that it comes from the rows it is about."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from ocpi import alarms, traffic
from ocpi.alarms import Facts
from ocpi.models import Delivery, FinishedDelivery, Platform
from tests.fixtures import Partner
from tests.statements import at_most

OPERATIONS = Path(__file__).parents[2] / "docs" / "OPERATIONS.md"

FIRES: list[tuple[str, Facts, Facts]] = [
    ("deliveries_too_old", Facts(oldest=60.1), Facts(oldest=60.0)),
    ("deliveries_too_many", Facts(pending=200_001), Facts(pending=200_000)),
    ("cdr_dead", Facts(dead_cdrs=1), Facts()),
    ("platform_paused", Facts(paused=(("Polder", "HTTP 401"),)), Facts()),
    ("platform_overfull", Facts(overfull=(("Polder", 10_001),)), Facts()),
    ("clock_off", Facts(clock=2.1), Facts(clock=2.0)),
    ("clock_off", Facts(clock=-2.1), Facts(clock=-2.0)),
    ("transaction_open", Facts(transaction=300.1), Facts(transaction=300.0)),
    ("dead_rows", Facts(dead_rows=(("ocpi_delivery", 30_000),)), Facts()),
    ("exchanges_lost", Facts(lost_exchanges=1), Facts()),
    ("disk_budget", Facts(dropped_bodies=1), Facts()),
]


def _names(facts: Facts) -> list[str]:
    return [alarm.name for alarm in alarms.alarms(facts)]


def _deliver(platform: Any, **columns: Any) -> None:
    Delivery.objects.create(platform=platform, kind="STATE", order_key="k", slot=0, module="locations", source="x",
                            source_id=Delivery.objects.count(), correlation_id="c", **columns)  # fmt: skip


@pytest.mark.req("REL-51", "REL-19", "REL-33", "REL-52")
@pytest.mark.parametrize(("name", "fires", "quiet"), FIRES)
def test_an_alarm_fires_beyond_its_limit_and_not_at_it(name: str, fires: Facts, quiet: Facts) -> None:
    assert _names(fires) == [name]
    assert _names(quiet) == []


@pytest.mark.parametrize(("name", "fires", "quiet"), FIRES)
def test_each_alarm_says_what_to_do_and_has_its_section(name: str, fires: Facts, quiet: Facts) -> None:
    [alarm] = alarms.alarms(fires)

    assert alarm.text.endswith(".")
    assert len(alarm.advice) > 30
    assert f"`{name}`" in OPERATIONS.read_text()


def test_every_alarm_is_known_to_the_metrics_and_named_in_the_documents() -> None:
    assert {name for name, _, _ in FIRES} == set(alarms.NAMES)
    assert set(re.findall(r"^\| `(\w+)` \|", OPERATIONS.read_text(), re.MULTILINE)) >= set(alarms.NAMES)


@pytest.mark.req("REL-51")
def test_what_keeps_us_from_our_work_comes_first() -> None:
    found = alarms.alarms(Facts(dead_cdrs=1, oldest=99, clock=9, pending=300_000))

    assert [alarm.degraded for alarm in found] == [True, True, False, False]


@pytest.mark.req("REL-51", "REL-33")
def test_the_facts_come_from_the_rows(partner: Partner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms, "MOST_PENDING_OF_ONE", 1)
    now = datetime.now(UTC)
    full = partner("DE*AAA:EMSP", name="Full").platform
    assert full
    paused = partner("DE*BBB:EMSP", name="Paused", paused_reason="it refuses our token").platform
    backing_off = partner("DE*CCC:EMSP", name="Away", backoff_until=now + timedelta(hours=1)).platform
    for _ in range(2):
        _deliver(full, due_at=now - timedelta(seconds=90))
    _deliver(full, state="MARKED")
    _deliver(paused, due_at=now - timedelta(hours=2))
    _deliver(backing_off, due_at=now - timedelta(hours=2))
    for kind, state in (("CDR", "DEAD"), ("CDR", "DEAD"), ("CDR", "DROPPED"), ("STATE", "DEAD")):
        FinishedDelivery.objects.create(platform=full, kind=kind, state=state, order_key="k", slot=0, module="cdrs",
                                        correlation_id="c")  # fmt: skip
    traffic.note_log("lost")
    traffic.flush()

    with at_most(2):
        facts = alarms.read()

    assert facts.pending == 4
    assert 90 <= facts.oldest < 600
    assert facts.overfull == (("Full", 2),)
    assert facts.paused == (("Paused", "it refuses our token"),)
    assert (facts.dead_cdrs, facts.lost_exchanges, facts.dropped_bodies) == (2, 1, 0)
    assert traffic.rates(300) == {}  # what happens to the log is no traffic


@pytest.mark.req("REL-52")
@pytest.mark.parametrize("off", [-5.0, 0.0, 5.0])
def test_a_wrong_clock_is_seen_in_both_directions(db: None, monkeypatch: pytest.MonkeyPatch, off: float) -> None:
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + off)

    facts = alarms.read()

    assert facts.clock == pytest.approx(off, abs=1.9)
    assert _names(facts) == (["clock_off"] if off else [])


@pytest.mark.req("REL-19")
@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_stays_open_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms, "LONGEST_TRANSACTION", 0.0)
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT 1")
            fired = _names(alarms.read())
            cursor.execute("ROLLBACK")
    finally:
        other.close()

    assert "transaction_open" in fired


@pytest.mark.req("REL-51", "SEC-57")
def test_readyz_names_alarms_and_nobody_and_stays_ready(client: Client, partner: Partner) -> None:
    partner("DE*BBB:EMSP", name="Polder Charging", paused_reason="HTTP 401 from a.example")

    answer = client.get("/readyz")

    assert (answer.status_code, answer.json()["status"], answer.json()["alarms"]) == (200, "ok", ["platform_paused"])
    assert b"Polder" not in answer.content
    assert b"example" not in answer.content


@pytest.mark.req("REL-51")
def test_more_platforms_cost_the_alarms_no_more_statements(partner: Partner) -> None:
    for number in range(5):
        partner(f"FR*P{number:02}:EMSP", paused_reason="x")

    with at_most(2):
        found = alarms.current()

    assert Platform.objects.count() == 5
    assert [alarm.name for alarm in found] == ["platform_paused"]
    assert found[0].text.count("FR*P") == 5
