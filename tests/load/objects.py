"""The objects of the benchmarks: Locations with 10 EVSEs and 20 Connectors, about 11 kB each."""

from __future__ import annotations

import json
from typing import Any

import psycopg
from psycopg import sql

from ocpi.sample_data.cdrs import cdrs
from ocpi.sample_data.locations import locations

EVSES = 10
LAST_UPDATED = "2026-01-01T00:00:00Z"
FIRST_CHANGE = "2024-01-01T00:00:00Z"  # of Locations and CDRs in a CPO's tables
_BATCH = 20_000


def location(number: int, *, stamp: str = LAST_UPDATED) -> dict[str, Any]:
    """Return a Location that has the given time stamp on every level."""
    found: dict[str, Any] = next(iter(locations(1, evses=EVSES, connectors=2, start=number % 50)))
    found["id"] = f"LOC{number}"
    for index, evse in enumerate(found["evses"]):
        evse["uid"] = uid(number, index)
        for connector in evse["connectors"]:
            connector["last_updated"] = stamp
        _set_last(evse, stamp)
    _set_last(found, stamp)
    return found


def uid(number: int, index: int) -> str:
    """Return the uid of an EVSE."""
    return f"LOC{number}-{index}"


def _set_last(found: dict[str, Any], stamp: str) -> None:
    found.pop("last_updated", None)
    found["last_updated"] = stamp


def text(document: dict[str, Any]) -> str:
    """Return a document as it is sent."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, default=float)


def load_shared(database_url: str, platform_id: int, count: int) -> None:
    """Put Locations with their EVSEs into a hub's store, as many as wanted: the database makes them from one."""
    whole = location(0)
    evses = whole.pop("evses")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute(
            "INSERT INTO hub_sharedobject "
            "(id, platform_id, module, country_code, party_id, path, kind, last_updated, document) "
            "SELECT n, %s, 'locations', 'NL', 'TNM', 'LOC' || n, '', %s, replace(%s, 'LOC0', 'LOC' || n) "
            "FROM generate_series(1, %s) n",
            [platform_id, LAST_UPDATED, text(whole), count],
        )
        for index, evse in enumerate(evses):
            connection.execute(
                "INSERT INTO hub_sharedobject (id, platform_id, module, country_code, party_id, path, kind, "
                "container_id, last_updated, document) SELECT %s::bigint * %s + n, %s, 'locations', 'NL', 'TNM', "
                "'LOC' || n || '/LOC' || n || '-' || %s, '', n, %s, replace(%s, 'LOC0', 'LOC' || n) "
                "FROM generate_series(1, %s) n",
                [index + 1, count, platform_id, str(index), LAST_UPDATED, text(evse), count],
            )
        _finish(connection, "hub_sharedobject")


def load_cpo(database_url: str, count: int) -> None:
    """Put the same Locations into a CPO's tables."""
    whole = location(0)
    evses = whole.pop("evses")
    # Changed at any time in two years, whatever their ids: 7,919 has no divisor in common with the minutes of these.
    moment = f"timestamptz '{FIRST_CHANGE}' + (n::bigint * 7919 %% 1051200) * interval '1 minute'"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        ids = {"id": "n", "object_id": "'LOC' || n", "last_updated": moment, "document": _stamped(whole, moment)}
        _generate(connection, "cpo_location", whole | {"hidden": False, "private": False}, ids, count)
        for index, evse in enumerate(evses):
            ids = {"id": f"{index}::bigint * {count} + n", "location_id": "n"}
            _generate(connection, "cpo_evse", evse | {"document": text(evse)}, ids, count)
        for table in ("cpo_location", "cpo_evse"):
            _finish(connection, table)


def load_cdrs(database_url: str, count: int, emsp: tuple[str, str]) -> None:
    """Put CDRs for one eMSP into a CPO's table."""
    found: dict[str, Any] = next(iter(cdrs(1)))
    found["id"] = "CDR0"
    values = found | {
        "token_uid": found["cdr_token"]["uid"],
        "emsp_country_code": emsp[0],
        "emsp_party_id": emsp[1],
        "credit": False,
    }
    # One a minute, as they were made.
    moment = f"timestamptz '{FIRST_CHANGE}' + n * interval '1 minute'"
    whole = found | {"id": "LOC0", "last_updated": LAST_UPDATED}
    ids = {"id": "n", "object_id": "'LOC' || n", "session_id": "'SESSION' || n", "last_updated": moment,
           "document": _stamped(whole, moment)}  # fmt: skip
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        _generate(connection, "cpo_cdr", values, ids, count)
        _finish(connection, "cpo_cdr")


def load_three(database_url: str, count: int) -> None:
    """Put the same Locations into the three tables of the baseline."""
    whole = location(0)
    evses = whole.pop("evses")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        _generate(connection, "tables_location", whole | {"location_id": "LOC0"}, {"id": "n"}, count)
        number = 0
        for index, evse in enumerate(evses):
            connectors = evse.pop("connectors")
            ids = {"id": f"{index}::bigint * {count} + n", "location_id": "n"}
            _generate(connection, "tables_evse", evse, ids, count)
            for connector in connectors:
                values = connector | {"connector_id": connector["id"]}
                ids = {"id": f"{number}::bigint * {count} + n", "evse_id": f"{index}::bigint * {count} + n"}
                _generate(connection, "tables_connector", values, ids, count)
                number += 1
        for table in ("tables_location", "tables_evse", "tables_connector"):
            _finish(connection, table)


def load_plain(database_url: str, count: int) -> None:
    """Put the same EVSEs into the two tables of the one-statement baseline."""
    evses = location(0)["evses"]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO tables_plainlocation (id, location_id, last_updated) "
            "SELECT n, 'LOC' || n, %s FROM generate_series(1, %s) n",
            [LAST_UPDATED, count],
        )
        for index, evse in enumerate(evses):
            connection.execute(
                "INSERT INTO tables_plainevse (id, location_id, uid, document, last_updated) "
                "SELECT %s::bigint * %s + n, n, 'LOC' || n || '-' || %s, replace(%s, 'LOC0', 'LOC' || n)::jsonb, %s "
                "FROM generate_series(1, %s) n",
                [index, count, str(index), text(evse), LAST_UPDATED, count],
            )
        _finish(connection, "tables_plainevse")


def vacuum(database_url: str) -> None:
    """Let the database know what it holds, as it does by itself before long."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _stamped(document: dict[str, Any], moment: str) -> str:
    """Return the SQL of a document with the number and the time stamp of its row."""
    literal = text(document).replace("'", "''").replace("%", "%%")
    stamp = f"""to_char(({moment}) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"""
    return f"replace(replace('{literal}', 'LOC0', 'LOC' || n), '{LAST_UPDATED}', {stamp})"


def _generate(
    connection: psycopg.Connection[Any], table: str, values: dict[str, Any], ids: dict[str, str], count: int
) -> None:
    """Insert rows that differ in their numbers; a table's columns take the members of the same name."""
    rows = connection.execute(
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns "
        "WHERE table_name = %s AND is_generated = 'NEVER'",
        [table],
    ).fetchall()
    names, expressions, given = [], [], []
    for name, kind, nullable in rows:
        names.append(sql.Identifier(name))
        if name in ids:
            expressions.append(sql.SQL(ids[name]))
            continue
        if name == "created_at":
            names.pop()
            continue
        value = values.get(name)
        if kind == "jsonb":
            value = None if value is None and nullable == "YES" else text(value if value is not None else [])
        elif value is None and nullable == "NO":
            value = False if kind == "boolean" else ""
        if isinstance(value, str) and "LOC0" in value:
            expressions.append(sql.SQL("replace(%s, 'LOC0', 'LOC' || n)" + ("::jsonb" if kind == "jsonb" else "")))
        else:
            expressions.append(sql.SQL("%s::" + kind))
        given.append(value)
    statement = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM generate_series(%s::int, %s::int) n").format(
        sql.Identifier(table), sql.SQL(",").join(names), sql.SQL(",").join(expressions)
    )
    for first in range(1, count + 1, _BATCH):
        connection.execute(statement, [*given, first, min(first + _BATCH - 1, count)])


def _finish(connection: psycopg.Connection[Any], table: str) -> None:
    connection.execute(
        sql.SQL("SELECT setval(pg_get_serial_sequence({}, 'id'), (SELECT max(id) FROM {}))").format(
            sql.Literal(table), sql.Identifier(table)
        )
    )
    connection.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(table)))
