"""The threads beside an event loop: for the database, and for everything that Django answers.

A hub's threads live as long as its process, so each keeps one connection to the database. The few of the fast lane are
its own: pages for people and broadcasts must not keep Direct requests waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from ocpi.db_care import care_for_connection, leave_connection

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Threads:
    """Some threads, used from one event loop."""

    def __init__(self, number: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(number, thread_name_prefix=name)

    async def run(self, work: Callable[Given, Result], *args: Given.args, **named: Given.kwargs) -> Result:
        """Run something that cares for its connection itself on one of the threads, and return what it gives."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, partial(work, *args, **named))

    async def run_with_care(self, work: Callable[Given, Result], *args: Given.args, **named: Given.kwargs) -> Result:
        """Do the same, and what Django's request signals do for the database connection of a thread."""
        return await self.run(_with_care, partial(work, *args, **named))

    def close(self) -> None:
        """Let what has begun come to its end, and take no more."""
        self._executor.shutdown(wait=True, cancel_futures=True)


def _with_care(work: Callable[[], Result]) -> Result:
    care_for_connection()
    try:
        return work()
    finally:
        leave_connection()
