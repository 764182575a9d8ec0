"""Open Routing in an event loop: from memory; what is not there is read on a thread, for all who wait at once."""

from __future__ import annotations

import asyncio

from hub import known_objects, open_routing
from hub.fast_doors import EventLoopDoors
from hub.known_memory import Found, Question
from hub.known_objects import NotAtHand
from hub.routing import Asked, Broadcast, Direct, NeedsLookup
from ocpi.snapshot import Snapshot

MOST_AT_ONCE = 500  # ids that are read with one query


class Lookups:
    """What is not in memory, for one event loop."""

    def __init__(self, doors: EventLoopDoors) -> None:
        self._doors = doors
        self._asked: dict[Question, asyncio.Future[Found]] = {}
        self._reads = False

    async def resolve(
        self, asked: Asked, lookup: NeedsLookup, registry: Snapshot, *, query: str, body: bytes
    ) -> Direct | Broadcast:
        """Return where a request without To headers goes.

        :raises OcpiError: as `open_routing.resolve`.
        """
        answers: dict[Question, Found] = {}

        def find(kind: str, key: str) -> Found:
            found = answers.get((kind, key.upper()))
            return known_objects.at_hand(kind, key) if found is None else found

        while True:
            try:
                return open_routing.resolve(asked, lookup, registry, query=query, body=body, find=find)
            except NotAtHand as missing:
                answers[missing.question] = await self._read(missing.question)

    async def _read(self, question: Question) -> Found:
        """Read of one id together with all that are asked for until the table is free."""
        answer = self._asked.get(question)
        if answer is None:
            answer = self._asked[question] = asyncio.get_running_loop().create_future()
        if not self._reads:
            self._reads = True
            self._doors.behind(self._read_all())
        # Others may wait for the same; who asked first may leave.
        return await asyncio.shield(answer)

    async def _read_all(self) -> None:
        try:
            while self._asked:
                batch = {question: self._asked.pop(question) for question in list(self._asked)[:MOST_AT_ONCE]}
                try:
                    found = await self._doors.run(known_objects.find_all, list(batch))
                except Exception as error:  # whoever asked gives the answer
                    for answer in batch.values():
                        answer.set_exception(error)
                        answer.exception()  # all of them may have left
                    continue
                for question, answer in batch.items():
                    answer.set_result(found[question])
        finally:
            self._reads = False
