"""What passing a request on needs of the world: on a thread nothing of it waits, in an event loop everything may.

Here is the one of a thread; that of the event loop is `hub/fast_doors.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

from ocpi import client, health
from ocpi.snapshot import KnownPlatform

_PAGE_OCTETS = client.PAGE_BYTES  # of an answer that may be a page of a list
_MOST_OCTETS = 1 << 20  # of any other

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Doors(Protocol):
    """What passing on needs."""

    async def send(
        self, platform: KnownPlatform, method: str, url: str, *, body: bytes | None, headers: dict[str, str],
        timeout: float,
    ) -> client.Answer:  # fmt: skip
        """Send one request; raises ClientError, or ReceiverUnreachable if too many wait for this platform."""

    async def run(self, work: Callable[Given, Result], *args: Given.args, **named: Given.kwargs) -> Result:
        """Do what needs the database."""

    async def failed(self, platform_id: int, error: str, *, retry_after: float | None = None) -> None:
        """Note a call that failed, before the next one; `retry_after`: the seconds that it wants to be left alone."""

    async def rests(self, platform_id: int, seconds: float) -> None:
        """Note that a platform wants to be left alone for a while."""

    async def refused(self, platform_id: int, reason: str) -> None:
        """Send nothing more to a platform that refuses our token, before the next call (REL-25)."""

    def succeeded(self, platform_id: int, elapsed: float) -> None:
        """Note a call that was answered properly."""


class ThisThread:
    """Everything at once, on the thread that asks."""

    async def send(
        self, platform: KnownPlatform, method: str, url: str, *, body: bytes | None, headers: dict[str, str],
        timeout: float,
    ) -> client.Answer:  # fmt: skip
        return client.send(
            platform.target(), method, url, body=body, headers=headers, timeout=timeout, max_body=most_octets(method)
        )

    async def run(self, work: Callable[Given, Result], *args: Given.args, **named: Given.kwargs) -> Result:
        return work(*args, **named)

    async def failed(self, platform_id: int, error: str, *, retry_after: float | None = None) -> None:
        health.failed(platform_id, error, retry_after=retry_after)

    async def rests(self, platform_id: int, seconds: float) -> None:
        health.rest(platform_id, seconds)

    async def refused(self, platform_id: int, reason: str) -> None:
        health.pause(platform_id, reason)

    def succeeded(self, platform_id: int, elapsed: float) -> None:
        health.succeeded(platform_id, elapsed)


def most_octets(method: str) -> int:
    """Return how long the answer to a request may be (SEC-29)."""
    return _PAGE_OCTETS if method == "GET" else _MOST_OCTETS
