"""Ending what may not want to end: every step of a stop has its own limit, and none keeps the next from its turn."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Any

logger = logging.getLogger(__name__)

_AGAIN_SECONDS = 0.2


async def cancel(tasks: Iterable["asyncio.Task[Any]"], seconds: float) -> None:
    """Cancel until all have ended.

    Once is not enough: a cancellation that comes in the very moment a wait is over can be lost, in `asyncio.wait_for`
    of Python 3.11 and in the pool, and a loop that lost its only one would run for ever.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    left = {task for task in tasks if not task.done()}
    while left and (remaining := deadline - loop.time()) > 0:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=min(_AGAIN_SECONDS, remaining))
    if left:
        logger.warning("ocpp stop: %s tasks do not end, such as %r", len(left), next(iter(left)))


async def settle(tasks: Iterable["asyncio.Task[Any]"], seconds: float) -> None:
    """Let tasks end by themselves; cancel those that don't in time."""
    left = {task for task in tasks if not task.done()}
    if left:
        _, left = await asyncio.wait(left, timeout=seconds)
    await cancel(left, 0.5)


async def within(seconds: float, what: str, work: Coroutine[Any, Any, None]) -> None:
    """Do one step; give it up when its time is over, and go on whatever becomes of it."""
    # Not asyncio.timeout: it only cancels, and waits for ever if the cancellation is lost.
    task = asyncio.create_task(work)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        logger.warning("ocpp stop: gave up after %g s: %s", seconds, what)
        await cancel([task], 0.5)
    elif not task.cancelled() and (error := task.exception()) is not None:
        logger.warning("ocpp stop: %s failed", what, exc_info=error)
