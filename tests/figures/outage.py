"""FIG-03: two receivers are away for a day while everything changes; one pulls when it is back, the other does not.

A CPO with 10,000 EVSEs. While both are away there are 100,000 changes and 2,000 CDRs. The day is passed in: the times
of all rows are moved back, nobody waits for it. At the end both receivers have what the source has, each CDR was posted
once, and there were never more marks than objects. Receivers are recorders; their stores are built from what arrived.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import psycopg

from tests.figures.faults import Hub
from tests.figures.figure import Options, Report, say
from tests.figures.place import Place, place
from tests.figures.receivers import Arrival, Receivers
from tests.figures.world import party_of, platforms, token_of
from tests.load import objects, registry

_PULLS, _WAITS = 0, 1
_DAY = 24 * 3600.0
_RATE = 200  # marks that become pushes in a second, in place of 20: 10,000 take 50 s and not 500


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    locations: int  # of ten EVSEs each
    changes: int
    cdrs: int
    grace: int  # seconds to pull, in place of ten minutes

    @property
    def evses(self) -> int:
        return self.locations * objects.EVSES


FULL = Size(1000, 100_000, 2_000, 15)
SHORT = Size(8, 300, 20, 3)


@dataclass(slots=True)
class Store:
    """What a receiver has, built from what it was sent and what it pulled."""

    evses: dict[str, dict[str, Any]]
    cdrs: dict[str, Any] = field(default_factory=dict)
    posted: Counter[str] = field(default_factory=Counter)

    def take(self, arrival: Arrival) -> None:
        """Apply one request."""
        module, *segments = arrival.path.split("/")
        if module == "cdrs":
            self.posted[arrival.body["id"]] += 1
            self.cdrs[arrival.body["id"]] = arrival.body
        elif module == "locations" and len(segments) == 4:
            name = "/".join(segments[2:])
            kept = self.evses.get(name, {}) if arrival.method == "PATCH" else {}
            self.evses[name] = {**kept, **arrival.body}
        elif module == "locations" and len(segments) == 3:
            self.take_location(arrival.body)

    def take_location(self, location: dict[str, Any]) -> None:
        for evse in location.get("evses", []):
            self.evses[f"{location['id']}/{evse['uid']}"] = evse

    def differences(self, source: dict[str, dict[str, Any]]) -> int:
        return sum(self.evses.get(name) != evse for name, evse in source.items())


def run(options: Options) -> Report:
    """Run the figure."""
    report = Report("FIG-03 outage", options)
    with place(short=options.short) as found:
        _Outage(found, SHORT if options.short else FULL, options, report).run()
    return report


class _Outage:
    """The course of the figure."""

    def __init__(self, found: Place, size: Size, options: Options, report: Report) -> None:
        self.place, self.size, self.options, self.report = found, size, options, report
        self.receivers = Receivers(found, 2, seed=options.seed)
        self.database = found.database("outage")
        self.ids = found.seed(self.database, platforms(self.receivers))
        objects.load_cpo(self.database, size.locations)
        self.env = {
            "OCPI_SIDES": "cpo", "OCPI_PARTIES": "*".join(registry.CPO) + ":CPO", "OCPI_PULL_GRACE": str(size.grace),
            "OCPI_CATCH_UP_PER_SECOND": str(_RATE), "OCPI_PULLS": "false", "DATABASE_URL": self.database,
        }  # fmt: skip
        self.source = _Source(found, self.env)  # it loads while the CPO does
        self.cpo = Hub(found, self.database, [["web", "worker", "beat"]], env=self.env)
        known = self.source.dump()["evses"]
        self.stores = [Store(dict(known)) for _ in range(2)]
        self.most_marks = 0

    def run(self) -> None:
        self.go_away()
        changed = self.source.ask(do="change", count=self.size.changes, seed=self.options.seed)
        say(f"{changed['changed']} changes in {changed['seconds']:.0f} s")
        self.source.ask(do="cdrs", count=self.size.cdrs, parties=[party_of(_PULLS), party_of(_WAITS)])
        marks = self.marks()
        arrived_away = len(self.receivers.arrivals())
        self.pass_time(_DAY)
        say("a day passes")
        back = time.monotonic()
        for receiver in (_PULLS, _WAITS):
            self.receivers.up(receiver)
        pulled = self.pull(self.cpo.ports[0])
        pulled_at = time.monotonic()
        self.pass_probe()
        source = self.source.dump()
        equal = self.wait_until_equal(source, pulled, pulled_at)
        self.cpo.stop()
        self.source.close()
        self.lines(changed["changed"], marks, arrived_away, source, equal, pulled_at, back)

    def go_away(self) -> None:
        """Have both receivers down, and the CPO find out."""
        for receiver in (_PULLS, _WAITS):
            self.receivers.down(receiver)
        limit, number = time.monotonic() + 90, 0
        while self.query("SELECT count(*) FROM ocpi_platform WHERE connection = 'OFFLINE'")[0][0] < 2:
            if time.monotonic() > limit:
                raise RuntimeError("the receivers are not known to be OFFLINE")
            self.source.ask(do="change", count=2, seed=number)
            number += 1
            time.sleep(0.1)

    def pull(self, port: int) -> list[dict[str, Any]]:
        """Do what a platform does that comes back: read the Locations that changed since it went, less five minutes."""
        since = (datetime.now(UTC) - timedelta(seconds=_DAY + 300)).strftime("%Y-%m-%dT%H:%M:%SZ")
        url = f"/ocpi/cpo/2.2.1/locations?date_from={since}&limit=100"
        found: list[dict[str, Any]] = []
        headers = registry.headers(token_of(_PULLS), party_of(_PULLS), registry.CPO)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while url:
            connection.request("GET", url, headers=headers)
            answer = connection.getresponse()
            body = json.loads(answer.read())
            if body.get("status_code") != 1000:
                raise RuntimeError(f"the pull failed: {body}")
            found += body["data"]
            link = answer.headers.get("Link", "")
            parts = urlsplit(link.partition("<")[2].partition(">")[0])
            url = f"{parts.path}?{parts.query}" if link else ""
        connection.close()
        say(f"{len(found)} Locations were pulled")
        return found

    def wait_until_equal(
        self, source: dict[str, Any], pulled: list[dict[str, Any]], pulled_at: float
    ) -> dict[int, float]:
        """Wait until each receiver has what the source has; return the moments."""
        equal: dict[int, float] = {}
        limit = time.monotonic() + self.size.evses / _RATE * 2 + 60
        while len(equal) < 2 and time.monotonic() < limit:
            time.sleep(0.2)
            arrivals = self.receivers.arrivals()
            self.marks()
            for receiver in (_PULLS, _WAITS):
                store = self.store_of(receiver, arrivals, pulled, pulled_at)
                missing = set(self.cdrs_of(receiver, source)) - store.cdrs.keys()
                if receiver not in equal and not store.differences(source["evses"]) and not missing:
                    equal[receiver] = time.monotonic()
        time.sleep(1.0 if self.options.short else 2.0)  # what comes twice comes now
        self.stores = [self.store_of(r, self.receivers.arrivals(), pulled, pulled_at) for r in (_PULLS, _WAITS)]
        return equal

    def store_of(
        self, receiver: int, arrivals: Iterable[Arrival], pulled: list[dict[str, Any]], pulled_at: float
    ) -> Store:
        store = Store(dict(self.stores[receiver].evses))
        mine = [arrival for arrival in arrivals if arrival.receiver == receiver]
        before = [arrival for arrival in mine if arrival.at < pulled_at]
        for arrival in before:
            store.take(arrival)
        for location in pulled if receiver == _PULLS else []:
            store.take_location(location)
        for arrival in mine[len(before) :]:
            store.take(arrival)
        return store

    def cdrs_of(self, receiver: int, source: dict[str, Any]) -> dict[str, Any]:
        return {name: cdr for name, (party, cdr) in source["cdrs"].items() if party == party_of(receiver)[1]}

    def marks(self) -> int:
        found = self.query("SELECT count(*) FROM ocpi_delivery WHERE kind = 'STATE' GROUP BY platform_id")
        self.most_marks = max(self.most_marks, *(count for (count,) in found), 0)
        return sum(count for (count,) in found)

    def pass_time(self, seconds: float) -> None:
        """Move everything that has a time into the past."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute(
                "UPDATE ocpi_delivery SET due_at = due_at - p, created_at = created_at - p, "
                "changed_at = changed_at - p FROM make_interval(secs => %s) p",
                [seconds],
            )
            connection.execute(
                "UPDATE ocpi_platform SET backoff_until = backoff_until - p, failing_since = failing_since - p, "
                "offline_since = offline_since - p, last_heard_at = last_heard_at - p FROM make_interval(secs => %s) p",
                [seconds],
            )

    def pass_probe(self) -> None:
        """Have the next probe of who does not show up due now."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute("UPDATE ocpi_platform SET backoff_until = NULL WHERE connection = 'OFFLINE'")

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database, autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()

    def lines(
        self, changed: int, marks: int, arrived_away: int, source: dict[str, Any], equal: dict[int, float],
        pulled_at: float, back: float,
    ) -> None:  # fmt: skip
        add, size = self.report.add, self.size
        add("changes while they were away", changed, least=size.changes)
        add("EVSEs", len(source["evses"]), least=size.evses)
        add("CDRs", len(source["cdrs"]), least=size.cdrs)
        add("requests that reached them while they were away", arrived_away, most=0)
        add("marks of both when they came back", marks, least=1)
        add("most marks of one receiver", self.most_marks, "objects", most=size.evses)
        names = {_PULLS: "who pulls", _WAITS: "who does not pull"}
        arrivals = self.receivers.arrivals()
        for receiver, name in names.items():
            store, cdrs = self.stores[receiver], self.cdrs_of(receiver, source)
            add(f"{name}: EVSEs that differ from the source", store.differences(source["evses"]), most=0)
            add(f"{name}: CDRs missing or changed", sum(store.cdrs.get(k) != v for k, v in cdrs.items()), most=0)
            add(f"{name}: CDRs posted more than once", sum(n > 1 for n in store.posted.values()), most=0)
            add(f"{name}: CDRs of somebody else", len(store.cdrs.keys() - cdrs.keys()), most=0)
            add(f"{name}: equal again after", round(equal.get(receiver, float("inf")) - back, 1), "s", most=480.0)
        pushed = [arrival for arrival in arrivals if arrival.path.startswith("locations")]
        late = sum(arrival.receiver == _PULLS and arrival.at > pulled_at for arrival in pushed)
        add("who pulls: pushes of what it had already pulled", late, most=0)
        at = sorted(arrival.at for arrival in pushed if arrival.receiver == _WAITS)
        if len(at) > _RATE * 2:
            add("who does not pull: pushes a second", round((len(at) - 1) / (at[-1] - at[0]), 1), most=_RATE * 1.05)
        say(f"the day was passed in; time to pull {size.grace} s in place of 600, rate {_RATE}/s in place of 20")


class _Source:
    """The CPO's process, as the figure uses it."""

    def __init__(self, found: Place, env: dict[str, str]) -> None:
        self._place = found
        command = [sys.executable, "-m", "tests.figures.outage_source"]
        self._process = found.start("source", command, env, given=subprocess.PIPE)
        self._read = 0

    def ask(self, **command: Any) -> dict[str, Any]:
        """Give one command and return its answer."""
        assert self._process.popen.stdin is not None
        self._process.popen.stdin.write(json.dumps(command) + "\n")
        self._process.popen.stdin.flush()
        limit = time.monotonic() + 400
        while time.monotonic() < limit and self._process.popen.poll() is None:
            lines = [line for line in self._process.log.read_text().split("\n")[:-1] if line.startswith("{")]
            if len(lines) > self._read:
                self._read += 1
                found: dict[str, Any] = json.loads(lines[self._read - 1])
                return found
            time.sleep(0.01)
        raise RuntimeError(f"the source does not answer:\n{self._process.log.read_text()[-3000:]}")

    def dump(self) -> dict[str, Any]:
        """Return the documents of the source by their names."""
        file = self._place.folder / "source.json"
        self.ask(do="dump", file=str(file))
        found = json.loads(file.read_text())
        return {
            "evses": {name: json.loads(text) for name, text in found["evses"].items()},
            "cdrs": {name: (party, json.loads(text)) for name, (party, text) in found["cdrs"].items()},
        }

    def close(self) -> None:
        """End the process."""
        if self._process.popen.stdin is not None:
            self._process.popen.stdin.close()
        self._place.stop(self._process)
