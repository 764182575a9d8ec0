"""What machines and watchers ask: alive, ready, numbers, and the live page."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from cpo import models as cpo_models
from emsp import models as emsp_models
from hub import health, live_state, metrics
from ocpi import alarms, breaker, exchanges, lanes, tallies, traffic
from ocpi.models import Delivery, FinishedDelivery
from tests.fixtures import Document, Partner


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    live_state.forget()
    metrics.forget()


def _delivery(platform: Any, **columns: Any) -> Delivery:
    number = Delivery.objects.count()
    return Delivery.objects.create(
        platform=platform, kind="STATE", order_key="k", slot=0, module="locations", source="x", source_id=number,
        correlation_id="c", **{"state": "PENDING", **columns},
    )  # fmt: skip


def _ready(client: Client) -> tuple[int, dict[str, Any]]:
    answer = client.get("/readyz")
    return answer.status_code, json.loads(answer.content)


@pytest.mark.req("SEC-57")
def test_livez_answers_without_touching_anything(client: Client) -> None:
    # No fixture of this test allows the database.
    answer = client.get("/livez")

    assert (answer.status_code, json.loads(answer.content)) == (200, {"status": "ok"})


def test_readyz_is_ok_when_database_redis_and_backlog_are(client: Client, db: None) -> None:
    assert _ready(client) == (
        200, {"status": "ok", "checks": {"database": "ok", "redis": "ok", "backlog": "ok"}},
    )  # fmt: skip


def test_readyz_is_degraded_without_redis_and_names_no_address(client: Client, db: None, settings: Settings) -> None:
    settings.REDIS_URL = "redis://:very-secret@127.0.0.1:1/0"

    status, found = _ready(client)

    assert (status, found["checks"]["redis"]) == (503, "away")
    assert "secret" not in json.dumps(found)


def test_readyz_is_degraded_without_a_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    class Away:
        def cursor(self) -> Any:
            raise OperationalError("connection to db.example as somebody failed")

    monkeypatch.setattr(health, "connection", Away())

    status, found = _ready(client)

    assert (status, found["checks"]["database"], found["checks"]["backlog"]) == (503, "away", "unknown")
    assert "somebody" not in json.dumps(found)


@pytest.mark.req("REL-51")
@pytest.mark.parametrize(("age", "status"), [(30, 200), (90, 503)])
def test_readyz_is_degraded_when_nobody_sends_what_is_due(
    client: Client, partner: Partner, age: int, status: int
) -> None:
    _delivery(partner("DE*EMS:EMSP").platform, due_at=datetime.now(UTC) - timedelta(seconds=age))

    assert (_ready(client)[0], _ready(client)[1]["status"]) == (status, "ok" if status == 200 else "degraded")


@pytest.mark.req("REL-51")
def test_what_waits_for_a_platform_that_is_away_degrades_nothing(client: Client, partner: Partner) -> None:
    _delivery(partner("DE*EMS:EMSP", connection="OFFLINE").platform, due_at=datetime.now(UTC) - timedelta(hours=1))

    assert _ready(client)[0] == 200


@pytest.mark.req("REL-51")
def test_readyz_is_degraded_when_too_much_is_pending(
    client: Client, partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarms, "MOST_PENDING", 2)
    platform = partner("DE*EMS:EMSP").platform
    for _ in range(2):
        _delivery(platform)
    enough = _ready(client)[0]
    _delivery(platform)

    assert (enough, _ready(client)[0]) == (200, 503)


@pytest.mark.req("REL-59", "SEC-57")
def test_metrics_count_per_platform_and_show_nothing_secret(
    client: Client, partner: Partner, both_sides: None, settings: Settings
) -> None:
    settings.OCPI_EXCHANGES = True
    drivers = partner("DE*EMS:EMSP", name="Drivers")
    assert drivers.platform
    _delivery(drivers.platform)
    _delivery(drivers.platform, state="MARKED")
    FinishedDelivery.objects.create(
        platform=drivers.platform, kind="CDR", state="DEAD", order_key="k", slot=0, module="cdrs", correlation_id="c"
    )
    exchanges.record(
        exchanges.Entry("OUT", time.time(), "PUT", "http://a.example/secret-path?token=secret-query", drivers.id,
                        error="Unreachable: http://a.example/secret-path")
    )  # fmt: skip
    exchanges.record(
        exchanges.Entry("OUT", time.time(), "PUT", "http://a.example/secret-path", drivers.id, http_status=200,
                        elapsed=0.25, response_body=b'{"status_code": 2001}')
    )  # fmt: skip
    exchanges.flush()
    traffic.flush()
    tallies.add(tallies.LANES_TAKEN_OVER, 2)

    text = client.get("/metrics").content.decode()

    for line in (
        'ocpi_deliveries_pending{platform="Drivers"} 1.0',
        'ocpi_deliveries_marked{platform="Drivers"} 1.0',
        'ocpi_deliveries_dead{platform="Drivers"} 1.0',
        'ocpi_platform_connection{platform="Drivers",state="CONNECTED"} 1.0',
        'ocpi_platform_connection{platform="Drivers",state="OFFLINE"} 0.0',
        'ocpi_platform_breaker{platform="Drivers",state="closed"} 1.0',
        'ocpi_deliveries_in_flight{platform="Drivers"} 0.0',
        'ocpi_deliveries_oldest_seconds{platform="Drivers"} ',
        'ocpi_exchanges_total{direction="OUT",outcome="Unreachable",platform="Drivers"} 1.0',
        'ocpi_exchanges_total{direction="OUT",outcome="OCPI 2001",platform="Drivers"} 1.0',
        'ocpi_answer_seconds_total{direction="OUT",platform="Drivers"} 0.25',
        "ocpi_lanes_taken_over_total 2.0",
        "ocpi_duplicates_avoided_total 0.0",
        "ocpi_oldest_transaction_seconds ",
        'ocpi_dead_rows{table="ocpi_delivery"} ',
        'ocpi_alarm{name="cdr_dead"} 1.0',
        'ocpi_alarm{name="platform_paused"} 0.0',
        "ocpi_emsp_sessions_active 0.0",
        "ocpp_charge_points_online 0.0",
    ):
        assert line in text
    assert not any(secret in text for secret in (drivers.token, drivers.token_out, "secret-path", "secret-query"))


@pytest.mark.req("REL-59")
def test_each_number_of_a_platform_is_its_own(client: Client, partner: Partner) -> None:
    now = datetime.now(UTC)
    away = partner("FR*AWY:EMSP", name="Away", connection="OFFLINE", failures=4,
                   backoff_until=now + timedelta(hours=1)).platform  # fmt: skip
    busy = partner("DE*EMS:EMSP", name="Busy", average_ms=5.0).platform
    assert away
    assert busy
    _delivery(busy, due_at=now - timedelta(seconds=500))
    for _ in range(3):
        _delivery(busy, state="MARKED")
    _delivery(away, state="MARKED")
    locks = lanes.BorrowedLocks()
    held = locks.acquire([(busy.pk, slot) for slot in range(4)], slow_ms=1000)
    metrics.forget()
    try:
        text = client.get("/metrics").content.decode()
    finally:
        locks.release([one.lane for one in held])

    found = dict(re.findall(r"^(ocpi_\S+) (\S+)$", text, re.MULTILINE))
    for name, of_busy, of_away in (("pending", 1, 0), ("marked", 3, 1), ("in_flight", 1, 0)):
        assert float(found[f'ocpi_deliveries_{name}{{platform="Busy"}}']) == of_busy
        assert float(found[f'ocpi_deliveries_{name}{{platform="Away"}}']) == of_away
    assert 500 <= float(found['ocpi_deliveries_oldest_seconds{platform="Busy"}']) < 800
    assert float(found['ocpi_platform_answer_seconds{platform="Busy"}']) == 0.005
    assert 'ocpi_platform_answer_seconds{platform="Away"}' not in found  # it has never answered
    assert [float(found[f'ocpi_platform_failures{{platform="{name}"}}']) for name in ("Busy", "Away")] == [0, 4]
    assert float(found["ocpi_oldest_transaction_seconds"]) >= 0
    assert float(found['ocpi_deliveries_oldest_seconds{platform="Away"}']) == 0
    breakers = {
        (name, state) for name in ("Busy", "Away") for state in breaker.STATES
        if float(found[f'ocpi_platform_breaker{{platform="{name}",state="{state}"}}'])
    }  # fmt: skip
    assert breakers == {("Busy", breaker.CLOSED), ("Away", breaker.OPEN)}


def test_a_scrape_costs_the_same_however_many_platforms(client: Client, partner: Partner) -> None:
    partner("DE*EMS:EMSP")
    client.get("/metrics")
    with CaptureQueriesContext(connection) as few:
        client.get("/metrics")
    for number in range(5):
        partner(f"FR*P{number:02}:EMSP")

    with CaptureQueriesContext(connection) as many:
        client.get("/metrics")

    assert len(many) == len(few) <= 12


@pytest.mark.req("SEC-57")
@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("10.1.2.3", {}, 200),
        ("198.51.100.7", {}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "198.51.100.7"}, 403),
    ],
)
def test_strangers_get_no_metrics(client: Client, db: None, address: str, headers: dict[str, str], status: int) -> None:
    # 198.51.100.0/24 is for documentation, and counts as private for Python: a public address stands in.
    address = "8.8.8.8" if address.startswith("198") else address

    assert client.get("/metrics", headers=headers, REMOTE_ADDR=address).status_code == status


@pytest.mark.req("SEC-57")
def test_with_a_token_set_only_its_owner_gets_metrics(client: Client, db: None, settings: Settings) -> None:
    settings.METRICS_TOKEN = "a-token-of-a-prometheus-server"

    without = client.get("/metrics")
    wrong = client.get("/metrics", headers={"Authorization": "Bearer other"})
    right = client.get("/metrics", headers={"Authorization": f"Bearer {settings.METRICS_TOKEN}"}, REMOTE_ADDR="8.8.8.8")

    assert [answer.status_code for answer in (without, wrong, right)] == [403, 403, 200]


@pytest.mark.req("SEC-57")
def test_the_live_page_is_for_staff(client: Client, db: None) -> None:
    User.objects.create_user("driver", password="a long password of a driver")

    page, state = client.get("/live/"), client.get("/live/state.json")
    client.force_login(User.objects.get(), backend="django.contrib.auth.backends.ModelBackend")
    of_driver = client.get("/live/state.json")
    User.objects.update(is_staff=True)

    assert (page.status_code, page.headers["Location"]) == (302, "/admin/login/?next=/live/")
    assert (state.status_code, of_driver.status_code) == (403, 403)
    assert client.get("/live/").status_code == 200
    assert client.get("/live/state.json").status_code == 200


def test_the_live_page_of_a_demo_is_for_everybody(client: Client, db: None, settings: Settings) -> None:
    settings.LIVE_PUBLIC = True

    assert client.get("/live/").status_code == 200
    assert json.loads(client.get("/live/state.json").content)["sides"] == settings.OCPI_SIDES


@pytest.mark.req("SEC-54", "SEC-55")
def test_the_live_page_has_no_script_or_style_of_its_own(client: Client, db: None, settings: Settings) -> None:
    settings.LIVE_PUBLIC = True

    answer = client.get("/live/")

    text = answer.content.decode()
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert "<style" not in text
    assert "style=" not in text
    assert text.count("<script") == text.count("<script src=") == 1
    for path in ("/static/hub/live.js", "/static/hub/live.css", "/static/hub/icon.svg"):
        static = client.get(path)
        assert static.status_code == 200
        static.close()


def test_the_live_state_shows_what_happens(
    client: Client, partner: Partner, both_sides: None, settings: Settings, document: Document
) -> None:
    settings.LIVE_PUBLIC = True
    owner = partner("FR*CPX:CPO", name="Owner")
    assert owner.platform
    now = datetime.now(UTC)
    common = {"country_code": "NL", "party_id": "TNM", "last_updated": now}
    location = cpo_models.Location.objects.create(**common, object_id="LOC1", document="{}", time_zone="UTC")
    cpo_models.EVSE.objects.create(location=location, uid="E1", status="CHARGING", last_updated=now, document="{}")
    emsp_models.Session.objects.create(
        **common, object_id="S1", platform=owner.platform, status="ACTIVE", token_uid="04E5D6C7B8A980",
        start_date_time=now,
        document='{"kwh":1.250,"currency":"EUR","evse_uid":"E1","total_cost":{"excl_vat":0.40}}',
    )  # fmt: skip
    emsp_models.CDR.objects.create(
        **common, object_id="C1", platform=owner.platform, key="k" * 32, digest="d", token_uid="1", start_date_time=now,
        verdict="mismatch", document=json.dumps(document("cdr")),
    )  # fmt: skip

    text = client.get("/live/state.json").content.decode()

    found = json.loads(text)
    cpo, emsp = found["charging"]
    assert found["platforms"][0]["name"] == "Owner"
    assert cpo["statuses"] == [{"status": "CHARGING", "number": 1}]
    assert cpo["evses"][0]["uid"] == "E1"
    session = emsp["sessions"][0]
    assert (session["kwh"], session["cost"], session["currency"]) == ("1.250", "0.40", "EUR")
    assert emsp["cdrs"][0]["verdict"] == "mismatch"
    assert "04E5D6C7B8A980" not in text
    assert not any(secret in text for secret in (owner.token, owner.token_out, "k" * 32))


def test_many_watchers_cost_as_much_as_one(client: Client, db: None, settings: Settings) -> None:
    settings.LIVE_PUBLIC = True
    live_state.current()

    with CaptureQueriesContext(connection) as queries:
        live_state.current()

    assert len(queries) == 0
