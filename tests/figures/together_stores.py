"""What the five have stored, made comparable."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from cpo.simulator.energy import Metered
from tests.figures.together_world import PARTIES, SIDES, World

Objects = dict[str, Any]
_CPOS = ("cpo1", "cpo2")
_PENDING = "SELECT count(*) FROM ocpi_delivery WHERE state <> 'DEAD'"
_DEAD = """SELECT state, kind, module, source, source_id, http_status, status_code, attempts, error
    FROM ocpi_finisheddelivery WHERE state IN ('DEAD', 'REFUSED') ORDER BY id"""


class Stores:
    """Reads everybody's database."""

    def __init__(self, world: World) -> None:
        self._world = world

    def pending(self) -> int:
        """Return how many deliveries and marks there are at all instances."""
        return sum(int(self._rows(name, _PENDING)[0][0]) for name in SIDES)

    def dead(self) -> list[str]:
        """Return what was given up or refused, at which instance, and why."""
        return [f"{name}: {row}" for name in SIDES for row in self._rows(name, _DEAD)]

    def compared(self) -> dict[str, int]:
        """Return what is compared, and how many objects the owners have of it."""
        return {
            "Locations": len(self._locations_of_owners()),
            "Tariffs": len(self._documents_of_owners("tariff")),
            "Sessions": len(self._sessions_of_owners()),
        }

    def differences(self) -> list[str]:
        """Return every object that somebody has otherwise than its owner."""
        locations, tariffs = self._locations_of_owners(), self._documents_of_owners("tariff")
        found = _differ("Locations at the hub", locations, self._locations_of_hub())
        found += _differ("Locations at the eMSP", locations, self._locations_of("emsp", "emsp"))
        found += _differ("Locations at the script", locations, _parted(self._script("locations")))
        found += _differ("Tariffs at the hub", tariffs, self._tariffs_of_hub())
        found += _differ("Tariffs at the eMSP", tariffs, self._documents("emsp", "emsp_tariff"))
        found += _differ("Tariffs at the script", tariffs, self._script("tariffs"))
        sessions = self._sessions_of_owners()
        theirs = {"emsp": self._documents("emsp", "emsp_session"), "script": self._script("sessions")}
        for name, stored in theirs.items():
            own = {key: each for key, each in sessions.items() if _party(each["cdr_token"]) == PARTIES[name]}
            found += _differ(f"Sessions at the {name}", own, stored)
        return found

    def uncharged(self, ended: list[tuple[str, Metered]]) -> int:
        """Return how many ended transactions, each with its charge point, do not have exactly one CDR at their CPO."""
        statement = (
            "SELECT t.transaction_id, count(c.id) FROM cpo_transaction t LEFT JOIN cpo_session s "
            "ON s.id = t.session_id LEFT JOIN cpo_cdr c ON c.session_id = s.object_id GROUP BY 1"
        )
        counts = {(name, int(row[0])): int(row[1]) for name in _CPOS for row in self._rows(name, statement)}
        wrong = 0
        for identity, metered in ended:
            place = identity.partition("-")[0].lower()
            wrong += metered.energy_wh > 0 and counts.get((place, int(metered.transaction_id))) != 1
        return wrong

    def cdrs_sent(self) -> int:
        return len(self._documents_of_owners("cdr"))

    def wrong_cdrs(self) -> list[str]:
        """Return every CDR that its eMSP has not, has otherwise, or has without the CPO."""
        sent = self._documents_of_owners("cdr")
        found = []
        stored = {"emsp": self._documents("emsp", "emsp_cdr"), "script": self._script("cdrs")}
        for name, theirs in stored.items():
            own = {key: each for key, each in sent.items() if _party(each["cdr_token"]) == PARTIES[name]}
            found += _differ(f"CDRs at the {name}", own, theirs)
        return found

    # ------------------------------------------------------------ reading

    def _rows(self, name: str, statement: str) -> list[tuple[Any, ...]]:
        return self._world.members[name].query(statement)

    def _documents(self, name: str, table: str, where: str = "") -> Objects:
        rows = self._rows(name, f"SELECT country_code, party_id, object_id, document::jsonb FROM {table} {where}")  # noqa: S608
        return {f"{country}/{party}/{pk}": document for country, party, pk, document in rows}

    def _documents_of_owners(self, model: str) -> Objects:
        found: Objects = {}
        for name in _CPOS:
            found |= self._documents(name, f"cpo_{model}")
        return found

    def _sessions_of_owners(self) -> Objects:
        return self._documents_of_owners("session")

    def _locations_of_owners(self) -> Objects:
        return self._locations_of("cpo1", "cpo") | self._locations_of("cpo2", "cpo")

    def _locations_of(self, name: str, side: str) -> Objects:
        rows = self._rows(
            name,
            "SELECT l.country_code, l.party_id, l.object_id, l.document::jsonb, "  # noqa: S608
            f"(SELECT jsonb_agg(e.document::jsonb) FROM {side}_evse e WHERE e.location_id = l.id) "
            f"FROM {side}_location l",
        )
        return {f"{country}/{party}/{pk}": _whole(document, evses) for country, party, pk, document, evses in rows}

    def _locations_of_hub(self) -> Objects:
        rows = self._rows(
            "hub",
            "SELECT o.country_code, o.party_id, o.path, o.document::jsonb, (SELECT jsonb_agg(e.document::jsonb) "
            "FROM hub_sharedobject e WHERE e.container_id = o.id AND e.deleted_at IS NULL) FROM hub_sharedobject o "
            "WHERE o.module = 'locations' AND o.container_id IS NULL AND o.receiver = '' AND o.deleted_at IS NULL",
        )
        return {f"{country}/{party}/{pk}": _whole(document, evses) for country, party, pk, document, evses in rows}

    def _tariffs_of_hub(self) -> Objects:
        rows = self._rows(
            "hub",
            "SELECT country_code, party_id, path, document::jsonb FROM hub_sharedobject "
            "WHERE module = 'tariffs' AND receiver = '' AND deleted_at IS NULL",
        )
        return {f"{country}/{party}/{pk}": document for country, party, pk, document in rows}

    def _script(self, module: str) -> Objects:
        with sqlite3.connect(self._world.folder / "script.sqlite", timeout=10) as db:
            rows = db.execute("SELECT path, document FROM object WHERE module = ?", (module,)).fetchall()
        return {path: json.loads(document) for path, document in rows}


def _whole(document: Any, evses: list[Any] | None) -> Any:
    parts = {each["uid"]: each for each in [*(document.get("evses") or []), *(evses or [])]}
    return {**{name: value for name, value in document.items() if name != "evses"}, "evses": parts}


def _parted(found: Objects) -> Objects:
    return {key: _whole(document, None) for key, document in found.items()}


def _party(described: Any) -> str:
    return f"{described['country_code']}*{described['party_id']}"


def _differ(what: str, owned: Objects, stored: Objects) -> list[str]:
    found = [f"{what}: {key} is missing" for key in owned.keys() - stored.keys()]
    found += [f"{what}: {key} is not its owner's" for key in stored.keys() - owned.keys()]
    for key in owned.keys() & stored.keys():
        if owned[key] != stored[key]:
            names = sorted(n for n in {*owned[key], *stored[key]} if owned[key].get(n) != stored[key].get(n))
            found.append(f"{what}: {key} differs in {', '.join(names)}")
    return found
