"""Raw frames of a charge point: what was kept, and what comes while somebody watches (OCPP-124)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request

from cpo.api import base, lists, records
from cpo.api.errors import TooManyWaiting
from cpo.models import ChargePoint, FrameLog
from ocpi import clock

LONGEST_STREAM = 300.0  # seconds; a browser comes back by itself and goes on where it was
_USUAL_STREAM = 60.0
_LOOKED_EVERY = 0.5
_BREATH = 15.0  # seconds between two signs of life, which notice that nobody is there any more
_AT_ONCE = 200
# A viewer holds a thread of the web server: a quarter of them at most.
_viewers = threading.BoundedSemaphore(max(1, settings.WEB_THREADS // 4))


class Frames(base.View):
    """`/charge-points/{cp}/frames`; as `text/event-stream` or with `/stream` behind it, live."""

    live = False

    def get(self, request: Request, cp: str) -> HttpResponseBase:
        point = self.charge_point(cp)
        if self.live or "text/event-stream" in request.headers.get("Accept", ""):
            return self._stream(request, point)
        asked = self.query("since", "until", "direction", "action", "message_id", *lists.PAGE)
        rows = _filtered(FrameLog.objects.filter(charge_point=point), asked)
        if "since" in asked:
            rows = rows.filter(at__gte=base.moment(asked["since"], "since"))
        if "until" in asked:
            rows = rows.filter(at__lt=base.moment(asked["until"], "until"))
        return lists.page(rows, asked, orders=("-at",), record=records.frame)

    def _stream(self, request: Request, point: ChargePoint) -> HttpResponseBase:
        asked = self.query("direction", "action", "message_id", "timeout", "after")
        timeout = lists.seconds(asked.get("timeout", str(_USUAL_STREAM)), most=LONGEST_STREAM)
        rows = _filtered(FrameLog.objects.filter(charge_point=point), asked)
        given = request.headers.get("Last-Event-ID") or asked.get("after")
        after = base.whole(given, "after", most=2**63 - 1) if given else _newest(point)
        if not _viewers.acquire(blocking=False):
            raise TooManyWaiting("too many live streams are open already; try again soon")
        answer = StreamingHttpResponse(_Events(rows, after, timeout), content_type="text/event-stream")
        answer.headers["X-Accel-Buffering"] = "no"  # a proxy passes events on as they come
        return answer


def _filtered(rows: QuerySet[FrameLog], asked: dict[str, str]) -> QuerySet[FrameLog]:
    if "direction" in asked:
        rows = rows.filter(outgoing=base.chosen(asked["direction"], "direction", ("in", "out")) == "out")
    if "action" in asked:
        rows = rows.filter(action=asked["action"])
    if "message_id" in asked:
        rows = rows.filter(message_id=asked["message_id"])
    return rows


def _newest(point: ChargePoint) -> int:
    """Return the number of the newest frame there is; the index is by time."""
    recent = FrameLog.objects.filter(charge_point=point, at__gte=clock.now() - timedelta(days=1))
    found = recent.order_by("-id").values_list("id", flat=True).first()
    return found or 0


class _Events:
    """The frames that come, as server-sent events; the place of a viewer is given back however it ends."""

    def __init__(self, rows: QuerySet[FrameLog], after: int, timeout: float) -> None:
        self._rows = rows
        self._after = after
        self._timeout = timeout
        self._held = True

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield b"retry: 1000\n\n"
            deadline = time.monotonic() + self._timeout
            breath_at = time.monotonic() + _BREATH
            while True:
                found = list(self._rows.filter(id__gt=self._after).order_by("id")[:_AT_ONCE])
                for row in found:
                    self._after = row.pk
                    yield event(row.pk, records.frame(row))
                now = time.monotonic()
                if now >= deadline:
                    return
                if not found and now >= breath_at:
                    breath_at = now + _BREATH
                    yield b": still here\n\n"
                if len(found) < _AT_ONCE:
                    time.sleep(min(_LOOKED_EVERY, deadline - now))
        finally:
            self.close()

    def close(self) -> None:
        if self._held:
            self._held = False
            _viewers.release()


def event(number: int, data: dict[str, Any]) -> bytes:
    """Write one server-sent event."""
    return b"id: %d\nevent: frame\ndata: %s\n\n" % (number, msgspec.json.encode(base.plain(data)))
