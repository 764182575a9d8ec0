"""Do for many in one statement what each asks for alone: whoever comes while one is under way goes with the next.

So a single one waits for nobody, and ten thousand that connect at once share a few hundred commits.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST = 200


class Batch(Generic[T, R]):
    """One kind of work; `work` returns as many results as it was given items, in their order.

    Items with the same key never share a batch; their order stays.
    """

    def __init__(self, work: Callable[[list[T]], Awaitable[list[R]]], key: Callable[[T], Hashable]) -> None:
        self._work = work
        self._key = key
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def add(self, item: T) -> R:
        """Return the item's result; what fails for its batch is raised for each in it."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while self._waiting:
            group = self._next()
            try:
                results = await self._work([item for item, _ in group])
            except BaseException as error:
                for _, future in group:
                    if not future.done():
                        future.set_exception(error if isinstance(error, Exception) else asyncio.CancelledError())
                if not isinstance(error, Exception):
                    raise
                continue
            for (_, future), result in zip(group, results, strict=True):
                if not future.done():
                    future.set_result(result)

    def _next(self) -> list[tuple[T, "asyncio.Future[R]"]]:
        group: list[tuple[T, asyncio.Future[R]]] = []
        later: list[tuple[T, asyncio.Future[R]]] = []
        keys: set[Hashable] = set()
        while self._waiting and len(group) < MOST:
            item, future = self._waiting.popleft()
            if future.done():
                continue  # whoever asked has gone
            key = self._key(item)
            (later if key in keys else group).append((item, future))
            keys.add(key)
        self._waiting.extendleft(reversed(later))
        return group
