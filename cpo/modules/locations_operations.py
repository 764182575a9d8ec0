"""Our Locations and EVSEs: found, listed, given a status, pushed. `locations_loading` writes them whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from cpo import evse_states, recipients
from cpo.models import EVSE, Location
from ocpi import documents, keeping, lists, outbox, outbox_pulled, prepared, status
from ocpi.headers import Address
from ocpi.outbox_pulled import Reader
from ocpi.pagination import Page
from ocpi.v2_2_1.types import format_datetime

MODULE = "locations"
LOCATION, CHILD = "cpo.Location", "cpo.EVSE"

# A whole Location without parsing: its document, the EVSEs' documents put in before the closing brace.
WHOLE = (
    "COALESCE((SELECT left(o.document, -1) || ',\"evses\":[' || string_agg(e.document, ',' ORDER BY e.id) || ']}' "
    "FROM cpo_evse e WHERE e.location_id = o.id), o.document)"
)
_PUBLISHED = "UPPER(o.country_code) = %s AND UPPER(o.party_id) = %s AND NOT o.private"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one charges: a Connector of an EVSE of a Location."""

    location: Location
    evse: EVSE
    connector: dict[str, Any]

    @property
    def owner(self) -> Address:
        return Address(self.location.country_code, self.location.party_id)


# ---------------------------------------------------------------- found and listed


def fetch(owner: Address, page: Page, reader: Reader) -> lists.Found:
    """Return a page of whole Locations; an unfiltered one leaves out those without a valid EVSE (LOC-14, LOC-15)."""
    shown = "*".join(owner.key)
    scopes = (shown, f"-{shown}") if page.date_from or page.date_to else (shown,)
    listing = lists.Listing("cpo_location", text=WHOLE, scopes=scopes)
    return lists.fetch(outbox_pulled.noted(listing, reader, LOCATION), page)


def read(owner: Address, location_id: str, evse_uid: str = "", connector_id: str = "") -> str:
    """Return the text of a Location, an EVSE or a Connector (LOC-02); a private one is as good as none (LOC-42).

    :raises UnknownLocationObject: if there is none.
    """
    with connection.cursor() as cursor:
        if not evse_uid:
            sql = f"SELECT {WHOLE} FROM cpo_location o WHERE {_PUBLISHED} AND UPPER(o.object_id) = UPPER(%s)"  # noqa: S608 - constants only
            cursor.execute(sql, [*owner.key, location_id])
        else:
            sql = (
                "SELECT e.document FROM cpo_evse e JOIN cpo_location o ON o.id = e.location_id "  # noqa: S608
                f"WHERE {_PUBLISHED} AND UPPER(o.object_id) = UPPER(%s) AND UPPER(e.uid) = UPPER(%s)"
            )
            cursor.execute(sql, [*owner.key, location_id, evse_uid])
        found = cursor.fetchone()
    if found is None:
        raise status.UnknownLocationObject
    if not connector_id:
        return str(found[0])
    connector = connector_text(found[0], connector_id)
    if connector is None:
        raise status.UnknownLocationObject(f"EVSE {evse_uid} has no Connector {connector_id}")
    return connector


def connector_text(evse: str, connector_id: str) -> str | None:
    """Return the text of a Connector of an EVSE's document, or nothing."""
    _, connectors = documents.take_parts(evse, "connectors")
    return next((text for text in connectors if documents.identity(text, "id") == connector_id.casefold()), None)


def find(owner: Address, location_id: str) -> Location | None:
    return keeping.find(Location, owner=owner, object_id=location_id)


def place_of(charge_point_id: int, connector_id: int, plug: int = 0) -> Place | None:
    """Return what a connector of a charge point is to the world; nothing if it is not published.

    `plug` says which of the EVSE's Connectors it is, in their order, where a charge point tells (OCPP 2.0.1).
    """
    rows = EVSE.objects.select_related("location")
    evse = rows.filter(charge_point_id=charge_point_id, connector_id=connector_id).first()
    if evse is None:
        return None
    known = documents.get(evse.document, "connectors") or []
    connector = known[plug - 1] if 0 < plug <= len(known) else first_connector(evse)
    return Place(evse.location, evse, connector)


def first_connector(evse: EVSE, connector_id: str = "") -> dict[str, Any]:
    """Return a Connector of an EVSE: the named one, else the first."""
    connectors: list[dict[str, Any]] = documents.get(evse.document, "connectors") or []
    named = [each for each in connectors if str(each.get("id", "")).casefold() == connector_id.casefold()]
    return (named or connectors)[0]


# ---------------------------------------------------------------- status


def refresh(charge_point_id: int, connector_id: int | None = None, *, correlation_id: str | None = None) -> int:
    """Give the EVSEs of a charge point the Status that follows from all we know of them; return how many changed.

    Connector 0, or none, is the charge point as a whole.

    :raises TransactionManagementError: outside of a transaction: a change and its push are one.
    """
    now = timezone.now()
    known = prepared.fetch_all(_KNOWN, {"charge_point": charge_point_id, "connector": connector_id or None})
    changed = 0
    for evse_id, current, version, own, since, plugs, whole, running, ended_at, online, last_seen_at, *more in known:
        sibling, closed = more
        if version.startswith("2."):
            at_work = _plugs(json.loads(plugs or "{}"), json.loads(running or "null"), ended_at, now)
            said = evse_states.status_of_evse(at_work, charge_point_status=whole or "")
        else:
            said = evse_states.status_of_connector(
                own or "",
                open_transaction=running is not None,
                since_preparing=now - since if since and own == "Preparing" else None,
                charge_point_status=whole or "",
            )
        found = evse_states.precedence(
            said,
            open_transaction=running is not None,
            blocked=closed,
            offline_for=None if online or last_seen_at is None else now - last_seen_at,
            sibling_in_use=sibling and running is None,
        )
        if found != current:
            changed += set_status(evse_id, found.value, correlation_id=correlation_id)
    return changed


def _plugs(
    kept: dict[str, list[str]], running: list[Any] | None, ended_at: datetime | None, now: datetime
) -> list[evse_states.Plug]:
    """Return what the connectors of an EVSE of OCPP 2.0.1 do; `running` is charging state, authorised, connector."""
    found = []
    for plug, (said, _, since_text) in kept.items():
        since = datetime.fromisoformat(since_text)
        state, authorised, used = running or ("", False, 0)
        is_open = running is not None and (len(kept) == 1 or used in (0, int(plug)))
        found.append(
            evse_states.Plug(
                said,
                charging_state=state if is_open else "",
                open_transaction=is_open,
                token_accepted=is_open and authorised,
                ended_since_occupied=ended_at is not None and ended_at >= since,
                since_occupied=now - since,
            )
        )
    return found


def set_status(evse_id: int, wanted: str, *, correlation_id: str | None = None) -> int:
    """Give an EVSE a Status, stamp its Location (LOC-09) and tell everybody (LOC-32); return 1 if that is a change."""
    with transaction.atomic(savepoint=False):
        row = _locked(evse_id)
        if row is None or row[3] == wanted:
            return 0
        _rewrite(evse_id, row, {"status": wanted}, correlation_id)
        if wanted == "REMOVED":
            hide_or_show([row[0]])
    return 1


def set_capability(evse_id: int, capability: str, *, present: bool) -> bool:
    """Give an EVSE a capability or take it away, and tell everybody; say whether that is a change."""
    with transaction.atomic(savepoint=False):
        row = _locked(evse_id)
        kept = list(documents.get(row[2], "capabilities") or ()) if row is not None else []
        if row is None or (capability in kept) == present:
            return False
        wanted = [*kept, capability] if present else [each for each in kept if each != capability]
        _rewrite(evse_id, row, {"capabilities": wanted}, None)
    return True


def set_schedule(evse_id: int, schedule: list[dict[str, str]]) -> bool:
    """Give an EVSE its status_schedule, and tell everybody; say whether that is a change."""
    with transaction.atomic(savepoint=False):
        row = _locked(evse_id)
        if row is None or (documents.get(row[2], "status_schedule") or []) == schedule:
            return False
        _rewrite(evse_id, row, {"status_schedule": schedule}, None)
    return True


def _locked(evse_id: int) -> tuple[Any, ...] | None:
    return next(iter(prepared.fetch_all(_LOCK, [evse_id])), None)


def _rewrite(evse_id: int, row: tuple[Any, ...], changes: dict[str, Any], correlation_id: str | None) -> None:
    """Write members of a locked EVSE and have them sent."""
    _, uid, document, kept_status, stored, country_code, party_id, object_id, private = row
    updated = max(moment_now(), stored)
    text = format_datetime(updated)
    prepared.fetch_all(
        _WRITE,
        {
            "id": evse_id,
            "status": changes.get("status", kept_status),
            "updated": updated,
            "text": text,
            "document": documents.set_members(document, {**changes, "last_updated": text}),
        },
    )
    owner = Address(country_code, party_id)
    outbox.mark(
        [] if private else recipients.broadcast(MODULE, owner),
        module=MODULE,
        source=CHILD,
        source_id=evse_id,
        path=recipients.path(owner, object_id, uid),
        order_key=recipients.order_key(owner, object_id),
        fields=(*changes, "last_updated"),
        correlation_id=correlation_id,
    )


def hide_or_show(location_ids: Sequence[int]) -> None:
    """Note for each Location whether it has a valid EVSE (LOC-15)."""
    with connection.cursor() as cursor:
        cursor.execute(_HIDE, [list(location_ids)])


def refresh_due() -> int:
    """Give a new Status to EVSEs for which time alone has made one: silence, a return, a car that does not charge."""
    with connection.cursor() as cursor:
        policy = evse_states.DEFAULT
        cursor.execute(_DUE, [policy.preparing_for.total_seconds(), policy.offline_grace.total_seconds()])
        due = [charge_point_id for (charge_point_id,) in cursor.fetchall()]
    for charge_point_id in due:
        with transaction.atomic():
            refresh(charge_point_id)
    return len(due)


def moment_now() -> datetime:
    """Return the time as a document can say it: in whole milliseconds."""
    now = timezone.now().astimezone(UTC)
    return now - timedelta(microseconds=now.microsecond % 1000)


# ---------------------------------------------------------------- pushed whole


def push(rows: Sequence[tuple[int, Address, str]], *, platform_id: int | None = None) -> int:
    """Have whole Locations sent to everybody, or to one platform; rows are id, owner, object id."""
    sent = 0
    for row_id, owner, object_id in rows:
        found = recipients.broadcast(MODULE, owner, platform_id=platform_id)
        sent += len(found)
        outbox.mark(
            found,
            module=MODULE,
            source=LOCATION,
            source_id=row_id,
            path=recipients.path(owner, object_id),
            order_key=recipients.order_key(owner, object_id),
        )
    return sent


def push_all(platform_id: int | None = None) -> int:
    """Have every Location that is shown sent to everybody, or to one platform; return how many are on their way."""
    rows = Location.objects.filter(hidden=False, private=False).order_by("id")
    count, last = 0, 0
    while batch := list(rows.filter(id__gt=last)[:500]):
        with transaction.atomic():
            push([(row.id, Address(row.country_code, row.party_id), row.object_id) for row in batch],
                 platform_id=platform_id)  # fmt: skip
        count, last = count + len(batch), batch[-1].id
    return count


def publish(location_id: int) -> bool:
    """Make a private Location known to everybody; say whether it was private. There is no way back (LOC-26)."""
    with transaction.atomic():
        if not Location.objects.filter(pk=location_id, private=True).update(private=False):
            return False
        row = Location.objects.get(pk=location_id)
        push([(row.id, Address(row.country_code, row.party_id), row.object_id)])
    return True


def connector_ids(evse: str) -> list[str]:
    """Return the ids of the Connectors in an EVSE's document."""
    return [str(each.get("id")) for each in documents.get(evse, "connectors") or []]


def capabilities(evse: EVSE) -> frozenset[str]:
    return frozenset(documents.get(evse.document, "capabilities") or ())


_KNOWN = """
SELECT e.id, e.status, p.protocol, c.status, c.status_at, c.plugs, whole.status,
       (SELECT jsonb_build_array(t.charging_state, t.authorised, t.plug) FROM cpo_transaction t
        WHERE t.charge_point_id = e.charge_point_id AND t.connector_id = e.connector_id AND t.stopped_at IS NULL
        ORDER BY t.id DESC LIMIT 1),
       CASE WHEN p.protocol LIKE '2.%%' THEN
           (SELECT t.stopped_at FROM cpo_transaction t WHERE t.charge_point_id = e.charge_point_id
            AND t.connector_id = e.connector_id ORDER BY t.id DESC LIMIT 1) END,
       p.online, p.last_seen_at,
       EXISTS (SELECT FROM cpo_evse s LEFT JOIN cpo_chargepointconnector sc
                   ON sc.charge_point_id = s.charge_point_id AND sc.connector_id = s.connector_id
               WHERE s.charge_point_id = e.charge_point_id AND s.hardware = e.hardware AND s.id <> e.id
               AND (sc.status IN ('Charging', 'SuspendedEV', 'SuspendedEVSE', 'Finishing', 'Reserved', 'Occupied')
                    OR EXISTS (SELECT FROM cpo_transaction t WHERE t.charge_point_id = s.charge_point_id
                               AND t.connector_id = s.connector_id AND t.stopped_at IS NULL))),
       EXISTS (SELECT FROM cpo_closing g WHERE g.evse_id = e.id AND g.state = 'IN_FORCE')
FROM cpo_evse e JOIN cpo_chargepoint p ON p.id = e.charge_point_id
LEFT JOIN cpo_chargepointconnector c ON c.charge_point_id = p.id AND c.connector_id = e.connector_id
LEFT JOIN cpo_chargepointconnector whole ON whole.charge_point_id = p.id AND whole.connector_id = 0
WHERE e.charge_point_id = %(charge_point)s AND e.status NOT IN ('REMOVED', 'PLANNED')
  AND (p.boot_status = 'Accepted' OR NOT p.online)  -- nothing is published before (OCPP-32)
  AND (%(connector)s::int IS NULL OR e.connector_id = %(connector)s
       OR e.hardware = (SELECT h.hardware FROM cpo_evse h
                        WHERE h.charge_point_id = e.charge_point_id AND h.connector_id = %(connector)s))
ORDER BY e.id
"""
_LOCK = """
SELECT l.id, e.uid, e.document, e.status, e.last_updated, l.country_code, l.party_id, l.object_id, l.private
FROM cpo_evse e JOIN cpo_location l ON l.id = e.location_id WHERE e.id = %s FOR NO KEY UPDATE OF e
"""
# `last_updated` is always the last member of a Location's document, so it is replaced without parsing.
_WRITE = r"""
WITH evse AS (
    UPDATE cpo_evse SET document = %(document)s, status = %(status)s, last_updated = %(updated)s WHERE id = %(id)s
    RETURNING location_id
)
UPDATE cpo_location SET last_updated = %(updated)s,
    document = regexp_replace(document, '"last_updated":"[^"]*"\}$', '"last_updated":"' || %(text)s || '"}')
FROM evse WHERE cpo_location.id = evse.location_id AND cpo_location.last_updated < %(updated)s
"""
_HIDE = """
UPDATE cpo_location l SET hidden = NOT l.hidden WHERE l.id = ANY(%s)
AND l.hidden = EXISTS (SELECT FROM cpo_evse e WHERE e.location_id = l.id AND e.status <> 'REMOVED')
"""
_DUE = """
SELECT DISTINCT e.charge_point_id
FROM cpo_evse e JOIN cpo_chargepoint p ON p.id = e.charge_point_id
LEFT JOIN cpo_chargepointconnector c ON c.charge_point_id = p.id AND c.connector_id = e.connector_id
WHERE e.status NOT IN ('REMOVED', 'PLANNED') AND (
    (e.status = 'AVAILABLE' AND c.status IN ('Preparing', 'Occupied') AND p.online
     AND c.status_at < statement_timestamp() - make_interval(secs => %s))
    OR (e.status <> 'UNKNOWN' AND NOT p.online AND p.last_seen_at < statement_timestamp() - make_interval(secs => %s))
    OR (e.status = 'UNKNOWN' AND p.online AND p.boot_status = 'Accepted' AND c.status <> ''))
  AND NOT EXISTS (SELECT FROM cpo_closing g WHERE g.evse_id = e.id AND g.state = 'IN_FORCE')
LIMIT 500
"""
