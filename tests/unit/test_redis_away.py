"""How long Redis is waited for, and how often it is looked for while it is away."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from celery import current_app
from celery.worker.consumer import Consumer
from kombu.utils.imports import symbol_by_name
from pytest_django.fixtures import Settings

from ocpi import outbox_wake, rate_limit
from tests.outbox_support import eventually


@pytest.mark.req("REL-04")
def test_redis_is_given_a_fifth_of_a_second() -> None:
    for client in (outbox_wake._client(), rate_limit._client()):
        limits = client.connection_pool.connection_kwargs
        assert 0 < limits["socket_timeout"] <= 0.2
        assert 0 < limits["socket_connect_timeout"] <= 0.2


@pytest.mark.req("REL-04")
def test_a_broker_that_is_away_is_left_alone_for_a_while(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OCPI_WAKE = True
    tried: list[Any] = []
    rests: list[float] = []
    over, away = threading.Event(), threading.Event()
    away.set()

    def publish(lanes: Any) -> None:
        tried.append(lanes)
        if away.is_set():
            raise redis.TimeoutError("it says nothing")

    def sleep(seconds: float) -> None:
        if seconds >= 1:
            rests.append(seconds)
            over.wait(30)

    monkeypatch.setattr(outbox_wake, "publish", publish)
    monkeypatch.setattr(outbox_wake, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))

    def woken(number: int) -> bool:
        outbox_wake.wake([(number, 0)])
        return True

    try:
        # The thread may still be resting from a test in which the broker was away.
        eventually(lambda: woken(1) and rests, seconds=10)
        assert all(woken(number) for number in range(2, 50))
        assert (tried, len(rests)) == ([[(1, 0)]], 1)
        away.clear()
    finally:
        over.set()
    eventually(lambda: woken(99) and tried[1:], seconds=10)  # by itself


@pytest.mark.req("REL-04")
def test_a_worker_looks_each_second_for_a_broker_that_went_away(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Any = symbol_by_name(current_app.conf.worker_consumer)
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(Consumer, "ensure_connected", lambda _self, connection: connection.ensure_connection(None, 7))

    found.ensure_connected(
        object.__new__(found), SimpleNamespace(ensure_connection=lambda *_all, **pauses: asked.append(pauses))
    )

    [pauses] = asked
    assert max(pauses.values()) <= 1
    assert {"interval_start", "interval_step", "interval_max"} <= pauses.keys()
