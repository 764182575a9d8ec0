"""The sender of a figure: a CPO that reports the state of its EVSEs to a hub and does not rest before it is told 1000.

Each change raises a number inside the EVSE, so that every receiver shows which state it has got. One thread for each
Location, the changes of a Location one after the other: the order is the sender's own business. With several web
servers it does what a load balancer does: who does not answer is passed over.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.load import objects, registry

_LOCATIONS = "/ocpi/hub/2.2.1/receiver/locations/{}/{}"
_HEADERS = registry.headers(registry.CPO_TOKEN, registry.CPO, registry.HUB) | {"Content-Type": "application/json"}
_ANSWER_SECONDS = 5.0
_PAUSE_SECONDS = 0.05  # after nobody answered
_STATUSES = ("AVAILABLE", "CHARGING", "BLOCKED", "OUTOFORDER")


@dataclass(frozen=True, slots=True)
class Sent:
    """One change that was answered with 1000: `at` when the request that was answered left, `answered` after that."""

    name: str  # of the object, e.g. "LOC3/LOC3-1"
    version: int
    at: float
    answered: float


class EvseSender:
    """Reports changes at an even pace: `per_second` over all Locations, `count` in all."""

    def __init__(
        self, ports: Sequence[int], *, locations: int, evses: int, per_second: float, versions: dict[str, int]
    ) -> None:
        self._ports = list(ports)
        self._locations, self._evses, self._per_second = locations, evses, per_second
        self._versions = versions  # the last number of each object, kept between runs
        self._guard = threading.Lock()
        self.sent: list[Sent] = []
        self.refused: list[str] = []  # answers that no repeat can mend
        self.repeats = 0  # attempts that nobody answered with 1000
        self._threads: list[threading.Thread] = []

    def start(self, count: int) -> None:
        """Begin."""
        shares = [count // self._locations + (number < count % self._locations) for number in range(self._locations)]
        self._threads = [
            threading.Thread(target=self._run, args=(number, share), daemon=True) for number, share in enumerate(shares)
        ]
        for thread in self._threads:
            thread.start()

    def join(self, seconds: float) -> bool:
        """Wait until all is answered; say whether it was in time."""
        limit = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, limit - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, number: int, count: int) -> None:
        pause = self._locations / self._per_second
        begin = time.monotonic() + pause * number / self._locations
        places = _Places(self._ports, number)
        for turn in range(count):
            time.sleep(max(0.0, begin + turn * pause - time.monotonic()))
            location = f"LOC{number + 1}"
            name = f"{location}/{objects.uid(number + 1, turn % self._evses)}"
            self._versions[name] = version = self._versions.get(name, 0) + 1
            self._report(places, name, version)
        places.close()

    def _report(self, places: _Places, name: str, version: int) -> None:
        body = json.dumps(
            {
                "status": _STATUSES[version % len(_STATUSES)],
                "physical_reference": f"v{version}",
                "last_updated": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            }
        ).encode()
        path = f"{_LOCATIONS.format(*registry.CPO)}/{name}"
        while True:
            at = time.monotonic()
            answer = places.request("PATCH", path, body)
            if answer is not None:
                if answer.get("status_code") == 1000:
                    with self._guard:
                        self.sent.append(Sent(name, version, at, time.monotonic()))
                    return
                if 2000 <= answer.get("status_code", 0) < 3000:
                    with self._guard:
                        self.refused.append(f"{name} {version}: {answer}"[:300])
                    return
            with self._guard:
                self.repeats += 1


class _Places:
    """Connections to the web servers; who does not answer is passed over."""

    def __init__(self, ports: Sequence[int], first: int) -> None:
        self._ports = list(ports)
        self._place = first % len(self._ports)
        self._connection: http.client.HTTPConnection | None = None
        self._failed = 0

    def request(self, method: str, path: str, body: bytes) -> dict[str, int] | None:
        """Return the envelope of an answer, or nothing if there was none."""
        if self._connection is None:
            port = self._ports[self._place]
            self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
        try:
            self._connection.request(method, path, body, _HEADERS)
            answer: dict[str, int] = json.loads(self._connection.getresponse().read())
            if answer.get("status_code", 0) < 3000:
                self._failed = 0
                return answer
        except (OSError, http.client.HTTPException, ValueError):
            pass
        self.close()
        self._place = (self._place + 1) % len(self._ports)
        self._failed += 1
        if self._failed >= len(self._ports):
            time.sleep(_PAUSE_SECONDS)
        return None

    def close(self) -> None:
        """Close the connection there is."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
