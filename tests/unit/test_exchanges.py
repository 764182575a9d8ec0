"""What is kept of every request and answer, what is masked, and that keeping it never gets in the way."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import RequestFactory
from pytest_django.fixtures import Settings

from ocpi import (
    client,
    exchange_columns,
    exchange_partitions,
    exchange_text,
    exchange_waiting,
    exchanges,
    registry_sql,
    traffic,
)
from ocpi.answers import Answer, NoAnswer, Sent
from ocpi.exchange_columns import Entry
from ocpi.headers import Address, Ids, Routing
from ocpi.models import Exchange, Platform, TlsSettings

ROUTING = Routing(to=Address("DE", "EMS"), sender=Address("NL", "TNM"))
ENVELOPE = b'{"status_code":1000,"timestamp":"2026-01-01T00:00:00Z"}'


@pytest.fixture(autouse=True)
def _kept(settings: Settings) -> None:
    settings.OCPI_EXCHANGES = True
    exchanges._waiting.forget()


def entry(**columns: Any) -> Entry:
    return Entry(**{"direction": "OUT", "at": time.time(), "method": "PUT", "url": "https://a.example/x", **columns})


def keep(**columns: Any) -> Exchange:
    exchanges.record(entry(**columns))
    assert exchanges.flush() == 1
    return Exchange.objects.get()


@pytest.mark.django_db
def test_a_request_to_us_is_kept_with_its_answer() -> None:
    request = RequestFactory().put(
        "/ocpi/emsp/2.2.1/locations/NL/TNM/LOC1?x=1", b'{"id":"LOC1"}', content_type="application/json",
        headers={"Authorization": "Token c2VjcmV0LXNlY3JldC1zZWNyZXQ="},
    )  # fmt: skip
    assert request.body
    answer = HttpResponse(ENVELOPE, status=201, content_type="application/json")

    exchanges.record_in(
        request=request, answer=answer, ids=Ids("request", "correlation"), routing=ROUTING, platform_id=7,
        module="locations", elapsed=0.0125,
    )  # fmt: skip
    assert exchanges.flush() == 1

    kept = Exchange.objects.get()
    assert (kept.direction, kept.method, kept.platform_id, kept.module) == ("IN", "PUT", 7, "locations")
    assert (kept.url, kept.object_path) == ("/ocpi/emsp/2.2.1/locations/NL/TNM/LOC1?x=1", "NL/TNM/LOC1")
    assert (kept.request_id, kept.correlation_id) == ("request", "correlation")
    assert (kept.from_party, kept.to_party) == ("NL*TNM", "DE*EMS")
    assert (kept.http_status, kept.status_code, kept.milliseconds) == (201, 1000, 12.5)
    assert (kept.request_body, kept.response_body) == ('{"id":"LOC1"}', ENVELOPE.decode())


@pytest.mark.django_db
def test_a_request_of_ours_is_kept_with_what_came_of_it() -> None:
    sent = Sent("PATCH", "https://a.example/locations/NL/TNM/LOC1", {"X-Request-ID": "r"}, b"{}", time.time(), 0.5)
    exchanges.record_out(Answer(200, {}, ENVELOPE, 0.5, sent), platform_id=1, module="locations", routing=ROUTING)
    exchanges.record_out(NoAnswer("timed out", sent), platform_id=1, module="locations")
    exchanges.record_out(client.Garbage("no HTTP", sent, b"\0\xff"), platform_id=1, module="locations")
    assert exchanges.flush() == 3

    answered, silent, garbage = Exchange.objects.order_by("id")
    assert (answered.http_status, answered.status_code, answered.request_id) == (200, 1000, "r")
    assert (silent.http_status, silent.error) == (None, "NoAnswer: timed out")
    assert garbage.response_body == "��"


@pytest.mark.req("SEC-50")
@pytest.mark.django_db
@pytest.mark.parametrize("name", ["Authorization", "authorization", "Cookie"])
def test_of_a_token_in_a_header_only_the_last_four_characters_are_kept(name: str) -> None:
    kept = keep(request_headers={name: "Token c2VjcmV0LXNlY3JldC1zZWNyZXQ="})

    assert kept.request_headers == f"{name}: …ZXQ="


@pytest.mark.django_db
@pytest.mark.parametrize(
    "body",
    [
        b'{"token":"secret-secret-secret-9876","url":"https://a.example"}',
        b'{"status_code":1000,"data":{"token":"secret-secret-secret-9876","roles":[]}}',
        b'{"\\u0074oken":"secret-secret-secret-9876"}',
        b'[{"Token":"secret-secret-secret-9876"}]',
        b'{"token":"secret-secret-secret-9876"',
        b'{"token":["secret-secret-secret-9876"]}',
        b'{"x":"' + b"x" * 70_000 + b'","token":"secret-secret-secret-9876"}',
    ],
)
@pytest.mark.req("SEC-50")
@pytest.mark.parametrize("where", ["request_body", "response_body"])
def test_no_credentials_token_is_kept(body: bytes, where: str) -> None:
    kept = keep(module="credentials", **{where: body})

    assert "secret" not in getattr(kept, where)
    assert getattr(kept, where)


@pytest.mark.django_db
def test_a_long_body_is_cut() -> None:
    kept = keep(request_body=b"x" * 1_000_000)

    assert len(kept.request_body) == exchange_columns.BODY_LIMIT + len(" […]")


@pytest.mark.django_db
def test_what_postgresql_cannot_hold_is_replaced() -> None:
    kept = keep(
        url="https://a.example/\ud800\0", request_headers={"X": "a\0b"}, response_body=b"\xff\0", error="\0",
        request_id="r" * 300, method="PROPFIND",
    )  # fmt: skip

    assert (kept.request_headers, kept.response_body, kept.error) == ("X: a�b", "��", "�")
    assert len(kept.request_id) == 255


@pytest.mark.django_db
def test_when_too_much_waits_the_oldest_go_and_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_waiting, "MOST_WAITING", 3)
    before = exchanges.lost()

    for number in range(5):
        exchanges.record(entry(request_id=str(number)))
    exchanges.flush()

    assert exchanges.lost() - before == 2
    assert list(Exchange.objects.order_by("id").values_list("request_id", flat=True)) == ["2", "3", "4"]


@pytest.mark.django_db
def test_bodies_that_wait_have_a_limit_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_waiting, "MOST_BYTES", 100_000)

    for _ in range(5):
        exchanges.record(entry(request_body=b"x" * 40_000))

    assert exchanges.flush() == 2


@pytest.mark.django_db
def test_switched_off_nothing_is_kept(settings: Settings) -> None:
    settings.OCPI_EXCHANGES = False

    exchanges.record(entry())

    assert exchanges.flush() == 0


def test_keeping_costs_a_request_microseconds() -> None:
    started = time.perf_counter()
    for _ in range(2000):
        exchanges.record(entry(request_body=b"{}", response_body=ENVELOPE, routing=ROUTING))

    assert (time.perf_counter() - started) / 2000 < 100e-6
    exchanges._waiting.forget()


@pytest.mark.req("REL-55")
@pytest.mark.django_db
def test_each_day_has_its_partition_and_old_ones_are_dropped() -> None:
    today = datetime.now(UTC).date()
    exchanges.record(entry())
    exchanges.flush()  # into the default partition, from which it moves
    old = today - timedelta(days=31)
    with connection.cursor() as cursor:
        cursor.execute(registry_sql.create_partition_sql(old))
    exchanges.record(entry(at=time.time() - 31 * 86_400))
    exchanges.flush()

    exchange_partitions.care()
    exchange_partitions.care()

    assert Exchange.objects.count() == 1
    assert count_in(today) == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [registry_sql.partition_name(old)])
        assert cursor.fetchone() == (None,)


@pytest.mark.req("REL-55")
@pytest.mark.django_db
def test_bodies_of_tokens_and_cdrs_are_kept_for_a_week() -> None:
    week_ago = time.time() - 8 * 86_400
    for module in ("tokens", "cdrs", "locations"):
        exchanges.record(entry(at=week_ago, module=module, request_body=b"{}"))
    exchanges.record(entry(module="tokens", request_body=b"{}"))
    exchanges.flush()

    exchange_partitions.care()

    kept = Exchange.objects.exclude(request_body="").order_by("at").values_list("module", flat=True)
    assert list(kept) == ["locations", "tokens"]


def count_in(day: date) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {registry_sql.partition_name(day)}")  # noqa: S608
        return int(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_the_writer_thread_writes_by_itself_and_stops(settings: Settings) -> None:
    settings.OCPI_WAKE = True
    stop = time.monotonic() + 5

    exchanges.record(entry())
    while not Exchange.objects.exists():
        assert time.monotonic() < stop
        time.sleep(0.02)
    exchanges.record(entry())
    exchanges.stop()
    traffic._writer.stop()  # it was started to count them

    assert Exchange.objects.count() == 2
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE ocpi_exchange, ocpi_trafficcount")


@pytest.mark.req("SEC-07")
@pytest.mark.django_db(transaction=True)
def test_registry_changes_are_announced_and_health_is_not() -> None:
    place = connection.get_connection_params()
    keep_only = {name: place[name] for name in ("dbname", "host", "port", "user", "password") if place.get(name)}
    with psycopg.connect(autocommit=True, **keep_only) as listening:
        listening.execute(f"LISTEN {registry_sql.CHANNEL}")

        def announced() -> bool:
            return bool(list(listening.notifies(timeout=0.15, stop_after=1)))

        platform = Platform.objects.create(name="P")
        assert announced()
        Platform.objects.update(failures=3, last_error="x", average_ms=3.5, last_heard_at=datetime.now(UTC))
        assert not announced()
        Platform.objects.update(connection="OFFLINE")
        assert announced()
        Platform.objects.update(paused_reason="because")
        assert announced()
        token = platform.tokens.create(digest="d", purpose="CURRENT", last_four="abcd")
        assert announced()
        token.delete()
        assert announced()
        tls = TlsSettings.objects.create(platform=platform, certificate="ours.pem")
        assert announced()
        tls.delete()
        assert announced()
        Platform.objects.update(hosts=["a.example:443"])
        assert announced()


def test_json_of_masked_credentials_is_still_json() -> None:
    masked = exchange_text.body_text(b'{"token":"secret-secret-secret-9876","url":"https://a"}', secret=True)

    assert json.loads(masked) == {"token": "…9876", "url": "https://a"}
