"""What a gateway node counts, how far clocks are off, and who may read it (OCPP-106)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.datastructures import Headers

from cpo.gateway import numbers
from cpo.gateway.clocks import WINDOW_SECONDS, Clocks
from cpo.gateway.frames import Call, Fault, FrameError, call_error, call_result
from cpo.gateway.watch import Watch

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def read(watch: Watch, *held: Any, queued: int = 0) -> str:
    found = numbers.text(watch, held, queued=queued, dropped_frames=0, draining=False)
    return found.decode()


def held(identity: str, row_id: int, *, version: str = "1.6", profile: int = 1, tenant: str = "NL*TNM") -> Any:
    record = SimpleNamespace(id=row_id, identity=identity, tenant=tenant, security_profile=profile)
    return SimpleNamespace(record=record, version=version)


@pytest.mark.req("OCPP-106")
def test_calls_are_counted_by_direction_action_and_result() -> None:
    watch = Watch()
    boot = Call('a"b', "BootNotification", {}, "{}")
    watch.answered("1.6", boot, call_result(boot.message_id, {}), 0.02)
    watch.answered("1.6", boot, call_error(boot.message_id, "InternalError"), 0.2)
    watch.answered("1.6", Call("1", "MadeUp\n", {}, "{}"), call_error("1", "NotImplemented"), 0.001)
    watch.answered("1.6", FrameError(Fault.TYPE, "no"), call_error("-1", "FormationViolation"), 0.001)
    watch.ended("Reset", "TIMEOUT", 30.0)

    text = read(watch)

    for line in (
        'ocpp_frames_total{action="BootNotification",direction="in",result="ok"} 1.0',
        'ocpp_frames_total{action="BootNotification",direction="in",result="InternalError"} 1.0',
        'ocpp_frames_total{action="other",direction="in",result="NotImplemented"} 1.0',
        'ocpp_frames_total{action="",direction="in",result="FormationViolation"} 1.0',
        'ocpp_frames_total{action="Reset",direction="out",result="TIMEOUT"} 1.0',
        'ocpp_answer_seconds_bucket{action="BootNotification",le="0.025"} 1.0',
        'ocpp_answer_seconds_bucket{action="BootNotification",le="+Inf"} 2.0',
        'ocpp_answer_seconds_sum{action="BootNotification"} 0.22',
        'ocpp_operation_seconds_bucket{action="Reset",le="30.0"} 1.0',
        'ocpp_operation_seconds_bucket{action="Reset",le="10.0"} 0.0',
    ):
        assert line in text.splitlines()


@pytest.mark.req("OCPP-106")
def test_connections_are_counted_by_protocol_tenant_and_profile() -> None:
    watch = Watch()
    watch.connected(1, takes_over=False)
    watch.connected(7, takes_over=False)
    watch.connected(8, takes_over=True)

    text = read(watch, held("A", 1), held("B", 2), held("C", 3, version="2.0.1", profile=2, tenant="DE*ABC"), queued=4)

    for line in (
        'ocpp_connections{profile="1",protocol="1.6",tenant="NL*TNM"} 2.0',
        'ocpp_connections{profile="2",protocol="2.0.1",tenant="DE*ABC"} 1.0',
        'ocpp_connects_total{kind="first"} 1.0',
        'ocpp_connects_total{kind="reconnect"} 1.0',
        'ocpp_connects_total{kind="takeover"} 1.0',
        "ocpp_inbox_queue 4.0",
    ):
        assert line in text.splitlines()


@pytest.mark.req("OCPP-106")
def test_deviations_and_duplicates_are_counted_by_action() -> None:
    watch = Watch()
    watch.deviations["StatusNotification"] += 2
    watch.duplicates["StopTransaction"] += 1

    text = read(watch)

    assert 'ocpp_deviations_total{action="StatusNotification"} 2.0' in text
    assert 'ocpp_duplicates_suppressed_total{action="StopTransaction"} 1.0' in text


@pytest.mark.req("OCPP-106")
def test_clocks_are_named_the_worst_first_and_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "MOST_CLOCKS", 2)
    watch = Watch()
    for row_id, seconds in ((1, 0), (2, -90), (3, 70)):
        watch.clocks.note(row_id, {"timestamp": (NOW + timedelta(seconds=seconds)).isoformat()}, NOW)

    text = read(watch, held("A", 1), held("B", 2), held("C", 3), held("silent", 4))

    assert 'ocpp_clock_offset_seconds{charge_point="B"} -90.0' in text
    assert 'ocpp_clock_offset_seconds{charge_point="C"} 70.0' in text
    assert '"A"' not in text
    assert "silent" not in text


@pytest.mark.req("OCPP-106", "OCPP-108")
def test_messages_that_waited_say_nothing_of_the_clock() -> None:
    clocks = Clocks()

    for minutes in (50, 49, 0, 48):
        clocks.note(1, {"timestamp": (NOW - timedelta(minutes=minutes, seconds=2)).isoformat()}, NOW)
    clocks.note(1, {"timestamp": (NOW + timedelta(hours=9)).isoformat(), "offline": True}, NOW)
    clocks.note(1, {"timestamp": "not a moment"}, NOW)
    clocks.note(1, {"connectorId": 1}, NOW)

    assert clocks.ahead(1) == pytest.approx(-2)
    assert clocks.changed() == {1: pytest.approx(-2)}
    assert clocks.changed() == {}


@pytest.mark.req("OCPP-106", "OCPP-108")
def test_a_transaction_kept_through_a_long_outage_says_nothing_of_the_clock() -> None:
    clocks = Clocks()

    clocks.note(1, {"transactionId": 7, "timestamp": (NOW - timedelta(hours=23)).isoformat()}, NOW)
    clocks.note(2, {"transactionId": 7, "timestamp": "1970-01-01T00:00:00Z"}, NOW)
    clocks.note(3, {"status": "Available", "timestamp": (NOW - timedelta(hours=6)).isoformat()}, NOW)

    assert clocks.ahead(1) is None
    assert (clocks.ahead(2) or 0) < -3e8
    assert clocks.ahead(3) == pytest.approx(-6 * 3600)


@pytest.mark.req("OCPP-106")
def test_a_clock_that_was_set_right_is_right_after_a_while() -> None:
    clocks = Clocks()
    later = NOW + timedelta(seconds=WINDOW_SECONDS + 1)
    clocks.note(1, {"meterValue": [{"timestamp": (NOW + timedelta(minutes=10)).isoformat()}]}, NOW)
    assert clocks.ahead(1) == pytest.approx(600)

    for now in (later, later + timedelta(seconds=WINDOW_SECONDS + 1)):
        clocks.note(1, {"timestamp": now.isoformat()}, now)

    assert clocks.ahead(1) == pytest.approx(0)


def test_a_clock_of_1970_or_of_no_zone_breaks_nothing() -> None:
    clocks = Clocks()

    clocks.note(1, {"timestamp": "1970-01-01T00:00:00Z"}, NOW)
    clocks.note(2, {"timestamp": "2026-03-02T09:00:30"}, NOW)

    assert (clocks.ahead(1) or 0) < -3e8
    assert clocks.ahead(2) == pytest.approx(30)


@pytest.mark.req("SEC-57")
@pytest.mark.parametrize(
    ("token", "headers", "peer", "may"),
    [
        ("", {}, "127.0.0.1", True),
        ("", {}, "10.1.2.3", True),
        ("", {}, "8.8.8.8", False),
        ("", {}, "odd", False),
        ("", {"X-Forwarded-For": "8.8.8.8"}, "127.0.0.1", False),
        ("s3", {}, "127.0.0.1", False),
        ("s3", {"Authorization": "Bearer s3"}, "8.8.8.8", True),
        ("s3", {"Authorization": "Bearer s4"}, "127.0.0.1", False),
    ],
)
def test_strangers_learn_nothing(token: str, headers: dict[str, str], peer: str, may: bool) -> None:
    assert numbers.may_read(Headers(headers), peer, token) is may
