"""What a simulated charge point keeps free for whom; reservations end by the real time, whatever its own clock says."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cpo.simulator.behavior import Connector
from cpo.simulator.link import Payload

_FREE = frozenset({"Available", "Reserved"})
_BROKEN = frozenset({"Faulted", "Unavailable"})


@dataclass(slots=True)
class Reserved:
    """One reservation; connector 0 is whichever is free."""

    number: int
    connector: int
    id_tag: str
    parent: str
    ending: asyncio.TimerHandle

    def is_for(self, id_tag: str, parent: str = "") -> bool:
        return id_tag.upper() == self.id_tag.upper() or (bool(parent) and parent.upper() == self.parent.upper())


class Reservations:
    """The reservations of one charge point.

    `show` is told which status a connector has now, `ended` which reservation is over by itself: Expired or Removed.
    """

    def __init__(
        self,
        connectors: Mapping[int, Connector],
        *,
        any_of: bool,
        show: Callable[[int, str], None],
        ended: Callable[[int, str], None],
    ) -> None:
        self._connectors = connectors
        self._any_of = any_of
        self._show = show
        self._ended = ended
        self._known: dict[int, Reserved] = {}

    def reserve(self, payload: Payload) -> str:
        """Answer a ReserveNow; one with a known number replaces that reservation."""
        number, connector = payload["reservationId"], payload["connectorId"]
        refused = self._refusal(number, connector)
        if refused:
            return refused
        self.end(number, shown=self._known[number].connector != connector if number in self._known else True)
        left = (datetime.fromisoformat(payload["expiryDate"]) - datetime.now(UTC)).total_seconds()
        ending = asyncio.get_running_loop().call_later(max(left, 0), self._expire, number)
        self._known[number] = Reserved(number, connector, payload["idTag"], payload.get("parentIdTag", ""), ending)
        if connector:
            self._show(connector, "Reserved")
        return "Accepted"

    def end(self, number: int, *, shown: bool = True) -> bool:
        """Forget a reservation; say whether there was one."""
        known = self._known.pop(number, None)
        if known is None:
            return False
        known.ending.cancel()
        if shown and known.connector and self._connectors[known.connector].status == "Reserved":
            self._show(known.connector, "Available")
        return True

    def _expire(self, number: int) -> None:
        if self.end(number):
            self._ended(number, "Expired")

    def interrupt(self, connector: int) -> None:
        """End the reservation of a connector that is out of order."""
        for number in [each.number for each in self._known.values() if each.connector == connector]:
            self.end(number, shown=False)
            self._ended(number, "Removed")

    def is_open_to(self, connector: int, id_tag: str, parent: str = "") -> bool:
        """Say whether a tag may charge at a connector, for all that is reserved."""
        others = [each for each in self._known.values() if not each.is_for(id_tag, parent)]
        if any(each.connector == connector for each in others):
            return False
        kept = [each for each in others if each.connector == 0]
        reserved = {each.connector for each in self._known.values()}
        free = [each for each in self._connectors.values() if each.status in _FREE and each.number not in reserved]
        return not kept or connector in reserved or len(free) > len(kept)

    def take(self, connector: int, id_tag: str, parent: str = "") -> int | None:
        """End the reservation that a tag uses at a connector and return its number."""
        mine = [each for each in self._known.values() if each.is_for(id_tag, parent)]
        for found in sorted(mine, key=lambda each: each.connector == 0):
            if found.connector in (0, connector):
                self.end(found.number, shown=False)
                return found.number
        return None

    def close(self) -> None:
        """Stop all timers."""
        for known in self._known.values():
            known.ending.cancel()

    def _refusal(self, number: int, connector: int) -> str:
        if connector == 0:
            free = [each for each in self._connectors.values() if each.status == "Available"]
            return "" if self._any_of and free else "Rejected" if not self._any_of else "Occupied"
        chosen = self._connectors.get(connector)
        if chosen is None:
            return "Rejected"
        if chosen.status in _BROKEN:
            return chosen.status
        mine = number in self._known and self._known[number].connector == connector
        return "" if chosen.status == "Available" or (mine and chosen.status == "Reserved") else "Occupied"
