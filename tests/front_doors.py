"""The two doors of a hub: the Django view, and the fast lane in front of it. Rules hold at both.

The fixture `front_door` runs a test twice: once through Django's test client, once through the ASGI callable, whose
threads are the test's own, so that both see the test's transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, ParamSpec, TypeVar

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from hub import asgi, wsgi
from tests import people

Given = ParamSpec("Given")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class LaneAnswer:
    """What came out of the ASGI callable; named as Django's test client names it."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


class _Named(dict[str, str]):
    """Headers by name, whatever its case."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).lower())

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


class _CallersThread:
    """In place of threads: whoever drives the event loop does the work."""

    async def run(self, work: Callable[Given, Result], *args: Given.args, **named: Given.kwargs) -> Result:
        return await sync_to_async(work, thread_sensitive=True)(*args, **named)

    run_with_care = run

    def close(self) -> None:
        """Nothing to end."""


class LaneClient:
    """Sends requests to `hub.asgi:application`, as far as `Person` needs Django's test client."""

    def generic(
        self,
        method: str,
        path: str,
        data: bytes = b"",
        content_type: str = "application/json",
        *,
        headers: Mapping[str, str] | None = None,
        **_environ: Any,
    ) -> LaneAnswer:
        lines = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
        if data:
            lines.append((b"content-length", b"%d" % len(data)))
            if content_type:
                lines.append((b"content-type", content_type.encode()))
        return async_to_sync(ask)(method, path, lines, [data])


async def ask(
    method: str,
    path: str,
    lines: list[tuple[bytes, bytes]],
    body: Iterable[bytes],
    *,
    application: asgi.Application | None = None,
    whole: bool = True,
    send: Callable[[Any], Awaitable[None]] | None = None,
) -> LaneAnswer:
    """Send one request, its body in these pieces, and return the answer.

    Without an application it gets one of its own. With `whole` off the client leaves before the body's end; `send`
    takes what is answered in the place of a client.
    """
    raw, _, query = path.partition("?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": raw,
        "raw_path": raw.encode(),
        "query_string": query.encode(),
        "headers": lines,
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
    }
    pieces = iter(body)
    ahead = [next(pieces, b"")]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if not ahead:
            return {"type": "http.disconnect"}
        ahead.extend(islice(pieces, 1))
        return {"type": "http.request", "body": ahead.pop(0), "more_body": bool(ahead) or not whole}

    async def keep(message: Any) -> None:
        sent.append(message)

    own = application or asgi.Application()
    try:
        await own(scope, receive, send or keep)
    finally:
        if application is None:
            await own.close()
    if not sent:
        return LaneAnswer(0, {}, b"")
    start, *rest = sent
    headers = _Named({name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]})
    return LaneAnswer(start["status"], headers, b"".join(message["body"] for message in rest))


@pytest.fixture(params=["django", "lane"])
def front_door(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let people come in through one door, then through the other; the name of the door."""
    if request.param == "lane":
        use_lane(monkeypatch)
    return str(request.param)


@pytest.fixture
def in_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let people come in through the fast lane."""
    use_lane(monkeypatch)


def use_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let people come in through the fast lane."""
    monkeypatch.setattr(asgi, "Threads", lambda *_: _CallersThread())
    # It would close the connection that the test's transaction is in.
    monkeypatch.setattr(wsgi, "care_for_connection", lambda: None)
    monkeypatch.setattr(wsgi, "leave_connection", lambda: None)
    monkeypatch.setattr(people, "door", lambda _client: LaneClient())
