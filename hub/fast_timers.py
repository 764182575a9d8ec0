"""How long a connection may take: for headers and bodies that do not come, and between two requests (SEC-45)."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Timed(HttpToolsProtocol):
    """A connection with one timer for what it waits for, and one for all its quiet times."""

    _timer: asyncio.TimerHandle | None = None
    _quiet_since: float | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_timer()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Go on with what the client sent ahead, or wait for its next request; one timer for all of these waits."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._quiet_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._wait_for_next(self.timeout_keep_alive)

    def _unset_keepalive_if_required(self) -> None:
        self._quiet_since = None

    def _wait_for_next(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self._look_whether_quiet)

    def _look_whether_quiet(self) -> None:
        self.timeout_keep_alive_task = None
        if self._quiet_since is None:  # the end of the request sets the next timer
            return
        left = self._quiet_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._wait_for_next(left)
        else:
            self.transport.close()

    def _expect(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self.transport.close)

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
