"""Frames as a live stream: what comes is sent, nobody holds a thread for ever, and only some may watch at once."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from cpo.api import frame_views, lists
from cpo.models import ChargePoint, FrameLog, Transaction
from tests.operation_api import PREFIX, Caller, add_charge_point
from tests.operation_api import api_fixture as api_fixture


def add_frame(point: ChargePoint, text: str = "[2]", **columns: Any) -> FrameLog:
    values = {"at": datetime.now(UTC), "node": "n", "epoch": 1, "outgoing": False, "action": "Heartbeat",
              "message_id": "m"}  # fmt: skip
    return FrameLog.objects.create(charge_point=point, text=text, **{**values, **columns})


def watch(api: Caller, query: str, **headers: str) -> list[dict[str, Any]]:
    """Return the events of a stream until it ends."""
    answer = Client().get(f"{PREFIX}/charge-points/CP-1/frames{query}", headers={**api.headers, **headers})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/event-stream"
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


@pytest.mark.req("OCPP-124")
def test_a_viewer_sees_what_comes_after_the_last_frame_it_has_seen(api: Caller) -> None:
    point = add_charge_point()
    first = add_frame(point)
    second = add_frame(point, text='[2,"m","ClearCache",{}]', outgoing=True, action="ClearCache")
    add_frame(add_charge_point("CP-2"))

    assert watch(api, "/stream?timeout=0") == []  # only what is new
    assert [each["id"] for each in watch(api, f"/stream?timeout=0&after={first.pk - 1}")] == [first.pk, second.pk]
    resumed = watch(api, "?timeout=0", **{"Accept": "text/event-stream", "Last-Event-ID": str(first.pk)})
    assert [(each["id"], each["direction"], each["text"]) for each in resumed] == [
        (second.pk, "out", '[2,"m","ClearCache",{}]')
    ]
    assert watch(api, f"/stream?timeout=0&after={first.pk - 1}&direction=in&action=Heartbeat")[0]["id"] == first.pk


@pytest.mark.req("OCPP-124")
def test_only_some_may_watch_at_once_and_places_come_back(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    add_charge_point()
    monkeypatch.setattr(frame_views, "_viewers", threading.BoundedSemaphore(1))
    assert frame_views._viewers.acquire(blocking=False)
    held = frame_views._Events(FrameLog.objects.none(), 0, 0)

    refused = api.get("charge-points/CP-1/frames/stream")
    held.close()  # it went away without reading anything
    held.close()
    again = watch(api, "/stream?timeout=0")

    assert refused.code == (429, "TOO_MANY_WAITING")
    assert again == []
    assert watch(api, "/stream?timeout=0") == []  # one that was read to its end gives its place back once


@pytest.mark.req("OCPP-124")
@pytest.mark.parametrize("query", ["timeout=301", "timeout=-1", "timeout=long", "after=last", "direction=up"])
def test_a_stream_has_limits(api: Caller, query: str) -> None:
    add_charge_point()

    assert api.get(f"charge-points/CP-1/frames/stream?{query}").code == (422, "INVALID")


@pytest.mark.req("OCPP-124")
def test_frames_are_listed_by_time_direction_and_action(api: Caller) -> None:
    point = add_charge_point()
    now = datetime.now(UTC)
    for minutes in (3, 2, 1):
        add_frame(point, at=now - timedelta(minutes=minutes), outgoing=minutes == 2, message_id=f"m{minutes}")

    def ids(query: str) -> list[str]:
        return [each["message_id"] for each in api.get(f"charge-points/CP-1/frames?{query}").json]

    since = (now - timedelta(minutes=2, seconds=30)).isoformat()
    assert ids("") == ["m1", "m2", "m3"]
    assert ids(f"since={since}&order=at") == ["m2", "m1"]
    assert ids("direction=out") == ["m2"]
    assert ids("action=Authorize") == []
    assert ids("message_id=m3") == ["m3"]


@pytest.mark.req("OCPP-118")
def test_only_some_may_wait_at_once(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    add_charge_point()
    monkeypatch.setattr(lists, "_places", threading.BoundedSemaphore(1))

    with lists.place():
        refused = api.get("charge-points/CP-1/transactions?wait_for=open&timeout=5")
    free = api.get("charge-points/CP-1/transactions?wait_for=open&timeout=0")

    assert refused.code == (429, "TOO_MANY_WAITING")
    assert (free.status, free.json) == (200, [])


@pytest.mark.req("OCPP-118")
def test_waiting_ends_as_soon_as_there_is_one(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    point = add_charge_point()

    def meanwhile(seconds: float) -> None:
        Transaction.objects.create(
            charge_point=point, connector_id=1, transaction_id=5, id_tag="T", authorised=True, meter_start=0,
            started_at=datetime.now(UTC),
        )  # fmt: skip

    monkeypatch.setattr("cpo.api.lists.time", SimpleNamespace(sleep=meanwhile, monotonic=time.monotonic))

    assert len(api.get("charge-points/CP-1/transactions?wait_for=open&timeout=60&id_tag=t").json) == 1
