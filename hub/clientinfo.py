"""ClientInfo as it is published: what is true is held against what was said, and the difference goes out (HCI-11).

There is no event to be lost on the way: `publish` compares all of the registry with the rows, whatever changed it and
whoever did (REL-01, REL-02). It runs each second, does nothing while the registry is the one it saw last, and looks at
everything once a minute all the same. Rows and deliveries are written in one transaction, under one lock.

A status is published at most once a minute and party (HCI-23): what happens meanwhile waits in `ClientInfo.waiting`,
and the last of it is published when the minute is over. The first step out of PLANNED waits for nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from hub import clientinfo_states
from hub.clientinfo_models import ClientInfo, ClientInfoChange, ToldClientInfo
from hub.clientinfo_states import CONNECTED, OFFLINE, PLANNED, SUSPENDED, Client
from ocpi import documents, outbox, snapshot
from ocpi.headers import Address
from ocpi.snapshot import Snapshot
from ocpi.v2_2_1.types import format_datetime

log = logging.getLogger(__name__)

SOURCE = "hub.ToldClientInfo"
MODULE = "hubclientinfo"
HISTORY_DAYS = 90
_LOOK_SECONDS = 60.0  # validities of permissions begin and end without a change of the registry
_STEP = timedelta(milliseconds=1)  # what a document can say of a moment
_BATCH = 1000
_AT_ONCE = 5000  # rows of one run: a hub that tells everybody of everybody does it in several


@dataclass(slots=True)
class _Seen:
    """What this process published last, and which platforms it told all of that by itself."""

    registry: Snapshot | None = None
    at: float = 0.0
    waiting: bool = False
    told: dict[int, Snapshot] = field(default_factory=dict)


_seen = _Seen()


def publish() -> int:
    """Bring what is published in line with the registry; return how many rows of what is told changed."""
    registry = snapshot.current()
    same = registry is _seen.registry and time.monotonic() - _seen.at < _LOOK_SECONDS
    if same and not _seen.waiting:
        return 0
    started = time.monotonic()
    with transaction.atomic():
        if not _lock(wait=False):
            return 0
        now = _now()
        fresh = snapshot.load()
        infos, waiting = _update(fresh, now)
        told = _tell(fresh, infos, now)
    done = told < _AT_ONCE  # otherwise the next second goes on
    _seen.registry, _seen.at, _seen.waiting, _seen.told = registry if done else None, started, waiting, {}
    return told


def publish_to(platform_id: int) -> None:
    """Bring what one platform is told in line, for it to read that now: it may have registered a moment ago."""
    registry = snapshot.current()
    if registry is _seen.registry or registry is _seen.told.get(platform_id):
        return
    with transaction.atomic():
        _lock(wait=True)
        now = _now()
        fresh = snapshot.load()
        infos, _ = _update(fresh, now)
        _tell(fresh, infos, now, only=platform_id)
    _seen.told[platform_id] = registry


def forget_old() -> int:
    """Remove changes that are months old; return how many. What is published stays for good (HCI-12)."""
    return ClientInfoChange.objects.filter(at__lt=_now() - timedelta(days=HISTORY_DAYS)).delete()[0]


# ---------------------------------------------------------------- what is published


def _update(registry: Snapshot, now: datetime) -> tuple[list[ClientInfo], bool]:
    """Bring the rows up to date; return all of them, and whether a change of one waits for its minute."""
    present = clientinfo_states.clients(registry)
    known = {
        clientinfo_states.key_of(Address(row.country_code, row.party_id), row.role): row
        for row in ClientInfo.objects.order_by("id")
    }
    changes: list[ClientInfoChange] = []
    for key, client in present.items():
        if key not in known and client.status != SUSPENDED:
            known[key] = row = _new(client, now)
            changes.append(ClientInfoChange(info=row, status=row.status, reason=client.reason[:200]))
    for key, row in known.items():
        change = _step(row, present.get(key), now)
        if change is not None:
            changes.append(change)
    ClientInfoChange.objects.bulk_create(changes)
    for change in changes:
        log.warning("client %s is %s: %s", change.info, change.status, change.reason)
    return list(known.values()), any(row.waiting for row in known.values())


def _new(client: Client, now: datetime) -> ClientInfo:
    return ClientInfo.objects.create(
        country_code=client.address.country_code,
        party_id=client.address.party_id,
        role=client.role,
        status=client.status,
        last_updated=now,
        platform_id=client.platform_id,
        through_hub=client.through_hub,
        was_connected=client.status != PLANNED,
    )


def _step(row: ClientInfo, client: Client | None, now: datetime) -> ClientInfoChange | None:
    """Write what changed of one party; return the change of its status, if that is published now."""
    before = (row.status, row.platform_id, row.through_hub, row.waiting)
    status, reason = wanted_status(row, client)
    if client is not None:
        row.platform_id, row.through_hub = client.platform_id, client.through_hub
    change = None
    row.waiting = ""
    if status != row.status and _must_wait(row, now):
        row.waiting = status
    elif status != row.status:
        row.status, row.last_updated = status, max(now, row.last_updated + _STEP)
        row.was_connected = row.was_connected or status != PLANNED
        change = ClientInfoChange(info=row, status=status, at=row.last_updated, reason=reason[:200])
    if before != (row.status, row.platform_id, row.through_hub, row.waiting):
        row.save()
    return change


def wanted_status(row: ClientInfo, client: Client | None) -> tuple[str, str]:
    """Return what is to be published of a known party, and why: whoever has left is SUSPENDED (HCI-12)."""
    if client is None:
        return SUSPENDED, "it has left"
    if client.status == PLANNED and row.was_connected:
        return SUSPENDED, f"{client.reason}, after it was connected"
    return client.status, client.reason


def _must_wait(row: ClientInfo, now: datetime) -> bool:
    """Say whether the minute of its last change is not over yet (HCI-23)."""
    return row.status != PLANNED and now < row.last_updated + timedelta(seconds=settings.OCPI_CLIENT_INFO_PAUSE)


# ---------------------------------------------------------------- who is told


@dataclass(frozen=True, slots=True)
class _Told:
    """Rows of one platform that are alike: by the id of the party's row their own id."""

    hidden: bool
    status: str
    pushed: bool
    ids: dict[int, int]


def _tell(registry: Snapshot, infos: list[ClientInfo], now: datetime, *, only: int | None = None) -> int:
    """Write what each platform is told, and a delivery for those that take pushes; return how many rows that was."""
    by_id = {info.pk: info for info in infos}
    audience = clientinfo_states.Audience(registry, {info.pk: _as_client(info) for info in infos})
    known = _known(only)
    takers: set[int] = set()
    new: list[ToldClientInfo] = []
    again: dict[int, bool] = {}  # the ids of rows to look at, and whether their platform sees the party
    for viewer in clientinfo_states.viewers(registry):
        platform_id = viewer.platform.id
        if only not in (None, platform_id) or (only is None and len(new) + len(again) >= _AT_ONCE):
            continue
        takes_pushes = (MODULE, "RECEIVER") in viewer.platform.endpoints
        takers |= {platform_id} if takes_pushes else set()
        missing = audience.seen_by(viewer)
        seen = frozenset(missing)
        for told in known.get(platform_id, ()):
            missing -= told.ids.keys()
            for info_id, pk in told.ids.items():
                shown = info_id in seen
                other = shown == told.hidden or (shown and told.status != by_id[info_id].status)
                if other or (takes_pushes and not told.pushed):
                    again[pk] = shown
        new += [_first(platform_id, by_id[info_id]) for info_id in sorted(missing)]
    rows = ToldClientInfo.objects.in_bulk(list(again))
    for pk, row in rows.items():
        _retell(row, by_id[row.info_id], again[pk], now)
    push = [row for row in (*new, *rows.values()) if row.platform_id in takers and not row.pushed]
    for row in push:
        row.pushed = True
    ToldClientInfo.objects.bulk_create(new, batch_size=_BATCH)
    fields = ("hidden", "status", "last_updated", "document", "pushed")
    ToldClientInfo.objects.bulk_update(rows.values(), fields, batch_size=_BATCH)
    _push((row, by_id[row.info_id]) for row in push)
    return len(new) + len(rows)


def _known(only: int | None) -> dict[int, list[_Told]]:
    """Return what every platform was told, in few rows however many there are."""
    found: dict[int, list[_Told]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT platform_id, hidden, status, pushed, array_agg(info_id), array_agg(id) FROM hub_toldclientinfo "
            "WHERE %(only)s::bigint IS NULL OR platform_id = %(only)s GROUP BY 1, 2, 3, 4",
            {"only": only},
        )
        for platform_id, hidden, status, pushed, info_ids, ids in cursor.fetchall():
            told = _Told(hidden, status, pushed, dict(zip(info_ids, ids, strict=True)))
            found.setdefault(platform_id, []).append(told)
    return found


def _first(platform_id: int, info: ClientInfo) -> ToldClientInfo:
    return ToldClientInfo(
        platform_id=platform_id,
        info=info,
        status=info.status,
        last_updated=info.last_updated,
        document=_document(info, info.status, info.last_updated),
    )


def _retell(row: ToldClientInfo, info: ClientInfo, shown: bool, now: datetime) -> None:
    """Bring what a platform was told in line.

    Of whom it may not talk to any more it is told that nothing can be sent there now: OFFLINE, once. That can be taken
    back, unlike SUSPENDED, upon which partners drop what is unfinished (docs/adr/0015).
    """
    status = info.status if shown else OFFLINE if row.status == CONNECTED else row.status
    row.hidden = not shown
    if status != row.status:
        # Never older than what it was told before, or it would not take it.
        row.last_updated = max(info.last_updated if shown else now, row.last_updated + _STEP)
        row.status, row.pushed = status, False
    row.document = _document(info, row.status, row.last_updated)


def _push(told: Iterable[tuple[ToldClientInfo, ClientInfo]]) -> None:
    """Leave one delivery per platform and ClientInfo (HCI-15); of one that waits only the last state is sent."""
    for row, info in told:
        outbox.mark(
            [outbox.Recipient(row.platform_id)],
            module=MODULE,
            source=SOURCE,
            source_id=row.pk,
            path=outbox.path_of(info.country_code, info.party_id),
            # A URL is one party's, whatever its role (HCI-09): nothing overtakes there.
            order_key=f"client {info.country_code}*{info.party_id}",
        )


def _as_client(info: ClientInfo) -> Client:
    address = Address(info.country_code, info.party_id)
    return Client(address, info.role, info.platform_id or 0, info.through_hub, info.status, "")


def _document(info: ClientInfo, status: str, last_updated: datetime) -> str:
    members: Mapping[str, str] = {
        "party_id": info.party_id,
        "country_code": info.country_code,
        "role": info.role,
        "status": status,
        "last_updated": format_datetime(last_updated),
    }
    return documents.text(members)


def _lock(*, wait: bool) -> bool:
    """Let one process at a time publish; what it reads after that is not older than what another one wrote."""
    with connection.cursor() as cursor:
        if wait:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('hub_clientinfo'))")
            return True
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('hub_clientinfo'))")
        return bool(cursor.fetchone()[0])


def _now() -> datetime:
    """Return the database's time (REL-52), as exact as a document says it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT date_trunc('milliseconds', statement_timestamp())")
        found: datetime = cursor.fetchone()[0]
    return found
