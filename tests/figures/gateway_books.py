"""The books of the CPO held against those of the charge points: every session, Wh and message (OCPP-98, OCPP-126)."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import psycopg

from tests.figures.gateway_points import Answered, Books, Metered

# Boots are always taken afresh; the others are found by their message id (OCPP-26).
_FRESH = frozenset({"BootNotification", "Heartbeat"})


@dataclass(slots=True)
class Difference:
    """What is not as the charge points say."""

    transactions: list[str] = field(default_factory=list)
    energy: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    cdrs: list[str] = field(default_factory=list)
    readings: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    parked: int = 0
    unmatched: int = 0
    kwh: Decimal = Decimal(0)

    def all(self) -> list[str]:
        return [*self.transactions, *self.energy, *self.sessions, *self.cdrs, *self.readings, *self.lost, *self.doubled]


class Audit:
    """Reads the CPO's database."""

    def __init__(self, database: str) -> None:
        self._database = database

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._database, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def waiting(self) -> int:
        """Return how many messages and CDRs are still to come."""
        return int(
            self._rows(
                "SELECT (SELECT count(*) FROM cpo_inboxmessage WHERE state = 'NEW') + (SELECT count(*) FROM "
                "cpo_transaction WHERE session_id IS NOT NULL AND NOT EXISTS (SELECT FROM cpo_cdr c JOIN cpo_session s "
                "ON s.object_id = c.session_id WHERE s.id = cpo_transaction.session_id))"
            )[0][0]
        )

    def differences(self, books: Books) -> Difference:
        """Compare everything; equality is exact."""
        found = Difference()
        rows = self._rows(
            "SELECT p.identity, t.started_at, t.transaction_id, t.ocpp_id, t.meter_start, t.meter_stop, "
            "s.object_id, s.document, t.flags FROM cpo_transaction t "
            "JOIN cpo_chargepoint p ON p.id = t.charge_point_id LEFT JOIN cpo_session s ON s.id = t.session_id"
        )
        cdrs: dict[str, list[Any]] = defaultdict(list)
        for session_id, document in self._rows("SELECT session_id, document FROM cpo_cdr"):
            cdrs[session_id].append(_read(document))
        by_start: dict[tuple[str, Any], list[tuple[Any, ...]]] = defaultdict(list)
        for row in rows:
            by_start[row[0], row[1]].append(row)
        for metered in books.metered:
            self._session(metered, by_start.pop((metered.identity, metered.started_at), []), cdrs, found)
        found.transactions += [f"nobody started {key}" for key in by_start]
        self._readings(books, found)
        self.messages(books.answered, found)
        found.parked = self._rows("SELECT count(*) FROM cpo_inboxmessage WHERE state = 'FAILED'")[0][0]
        found.unmatched = self._rows("SELECT count(*) FROM cpo_unmatchedstop")[0][0]
        return found

    def _session(
        self, metered: Metered, rows: list[tuple[Any, ...]], cdrs: dict[str, list[Any]], found: Difference
    ) -> None:
        name = f"{metered.identity} {metered.started_at:%H:%M} {metered.transaction}"
        if len(rows) != 1:
            found.transactions.append(f"{name}: {len(rows)} transactions")
            return
        [(_, _, number, ocpp_id, meter_start, meter_stop, session_id, document, flags)] = rows
        if metered.transaction not in (str(number), ocpp_id):
            found.transactions.append(f"{name}: is {number} {ocpp_id}")
        if meter_start != metered.meter_start or meter_stop != metered.meter_stop:
            found.energy.append(f"{name}: {meter_start} to {meter_stop}, metered {metered.meter_start} to "
                                f"{metered.meter_stop} {flags}")  # fmt: skip
        kwh = Decimal(metered.energy_wh) / 1000
        found.kwh += kwh
        session = _read(document) if document else {}
        if session.get("status") != "COMPLETED" or session.get("kwh") != kwh:
            found.sessions.append(f"{name}: {session.get('status')} {session.get('kwh')}, metered {kwh} {flags}")
        energies = [each["total_energy"] for each in cdrs.get(session_id, [])]
        if energies != [kwh]:
            found.cdrs.append(f"{name}: CDRs {energies}, metered {kwh}")

    def _readings(self, books: Books, found: Difference) -> None:
        told: Counter[tuple[str, Any]] = Counter()
        rows = self._rows(
            "SELECT p.identity, t.started_at, count(DISTINCT r.at), count(*) FROM cpo_meterreading r "
            "JOIN cpo_transaction t ON t.id = r.transaction_id JOIN cpo_chargepoint p ON p.id = t.charge_point_id "
            "WHERE r.context IN ('', 'Sample.Periodic') GROUP BY 1, 2"
        )
        for identity, started_at, moments, readings in rows:
            told[identity, started_at] = moments
            if moments != readings:
                found.doubled.append(f"{identity} {started_at:%H:%M}: {readings} readings of {moments} moments")
        for metered in books.metered:
            if told[metered.identity, metered.started_at] != metered.samples:
                found.readings.append(f"{metered.identity} {metered.started_at:%H:%M}: "
                                      f"{told[metered.identity, metered.started_at]} of {metered.samples}")  # fmt: skip

    def messages(self, answered: list[Answered], found: Difference) -> None:
        """Hold the inbox against what was answered."""
        kept: Counter[tuple[str, str, str]] = Counter()
        ids: Counter[tuple[str, str, str]] = Counter()
        for identity, action, message_id, payload in self._rows(
            "SELECT p.identity, m.action, m.message_id, m.payload FROM cpo_inboxmessage m "
            "JOIN cpo_chargepoint p ON p.id = m.charge_point_id"
        ):
            kept[identity, action, json.dumps(json.loads(payload), sort_keys=True)] += 1
            ids[identity, action, message_id] += 1
        wanted = Counter((each.identity, each.action, each.payload) for each in answered if each.action not in _FRESH)
        found.lost += [f"lost: {key} {kept[key]} of {number}" for key, number in wanted.items() if kept[key] < number]
        found.doubled += [
            f"doubled: {key} {number}" for key, number in ids.items() if number > 1 and key[1] not in _FRESH
        ]


def _read(document: str) -> Any:
    return json.loads(document, parse_float=Decimal, parse_int=Decimal)
