"""Which tokens belong on each charge point's local list (OCPP-87): worked out for all at once, now and then.

A token belongs there if its eMSP says that it is valid and its whitelist is not NEVER; at a Location that is not
published, only if `publish_allowed_to` names it. Tags of the tenant's own come first of all (OCPP-122). Where not all
find room, those go first that charged here last; days count, and only days that are over, so that a list changes with
its tokens and not with each session.

Changes are gathered: the lists are worked out anew every minute if a token changed, and equal lists are stored once,
so the cost is that of reading the tokens, however many charge points there are.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q

from cpo import local_lists, recipients
from cpo.local_list_states import ListState
from cpo.local_lists import Entry
from cpo.models import IdTag, InboxMessage, LocalList, LocalListContents, Location, TokenUse
from cpo.modules import tokens
from ocpi import clock, documents, snapshot
from ocpi.headers import Address

SPREAD_SECONDS = (20, 60)  # from 20 to 80 after a boot its list is looked at: what it has to be told comes first
_TAGS = {"StartTransaction": ("idTag",), "TransactionEvent": ("idToken", "idToken")}
_LONGEST = {local_lists.V16: 20, local_lists.V201: 36}
_CLOSED_SECONDS = 600.0
_USES_KEPT = timedelta(days=400)
_gathered: str = ""  # of what this process has worked out lists last
_closed_known: tuple[float, dict[tuple[str, str, str], list[dict[str, Any]]]] | None = None
_guard = threading.Lock()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token that may be on lists; the likeliest ones first."""

    entry: Entry
    uid: str
    contract_id: str
    group: str = ""  # as its eMSP names it


@dataclass(frozen=True, slots=True)
class Scope:
    """Charge points whose lists are the same."""

    family: str
    capacity: int
    location: tuple[str, str, str] | None = None  # one that is open to some only
    tenant: tuple[str, str] | None = None  # one that has tags of its own


def note_use(message: InboxMessage, payload: Mapping[str, Any]) -> None:
    """Note the day on which a token was used to charge, in the transaction that settles the message."""
    found: Any = payload
    for name in _TAGS[message.action]:
        found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, str) and 0 < len(found) <= _LONGEST[local_lists.V201] and found.isprintable():
        with connection.cursor() as cursor:
            cursor.execute(_USED, [found.upper(), message.received_at.date()])


def note_boot(message: InboxMessage, payload: Mapping[str, Any]) -> None:
    """Look at a charge point's list anew after a boot, in the transaction that settles the message."""
    with connection.cursor() as cursor:
        cursor.execute(_BOOTED, [message.charge_point_id, *SPREAD_SECONDS])


def add_missing() -> int:
    """Give a list to charge points that were connected before we kept any; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(_MISSING)
        return int(cursor.rowcount)


def gather() -> int:
    """Work out all lists anew if anything changed that they depend on; return how many charge points want another."""
    global _gathered
    add_missing()
    with _guard:
        state = _state()
        rows = LocalList.objects.filter(wished=True).exclude(state=ListState.UNSUPPORTED)
        if state == _gathered and not rows.filter(state=ListState.READY, wanted=None).exists():
            return 0
        changed = _assign()
        _gathered = state
    _forget()
    return changed


def _state() -> str:
    """Return what tells whether the tokens, the day or the charge points' abilities have changed."""
    with connection.cursor() as cursor:
        cursor.execute(_STATE)
        return f"{clock.now().date()} {cursor.fetchone()} {_closed()} {_denying()}"


def _denying() -> list[str]:
    """Return the parties whose silence means no (QRK-10): who may charge unasked depends on it."""
    return sorted(
        str(party.address)
        for platform in snapshot.current().platforms.values()
        if platform.late_authorization == "deny"
        for party in platform.parties
    )


def _assign() -> int:
    changed = 0
    candidates: dict[str, list[Candidate]] = {}
    own = _own()
    for scope, ids in _scopes(own).items():
        if scope.family not in candidates:
            candidates[scope.family] = list(_candidates(scope.family, clock.now().date()))
        allowed = None if scope.location is None else _closed()[scope.location]
        first = own[scope.family].get(scope.tenant, []) if scope.tenant else []
        wanted = _contents(chosen(candidates[scope.family], scope.capacity, allowed, first=first))
        rows = LocalList.objects.filter(pk__in=ids).filter(Q(wanted=None) | ~Q(wanted=wanted))
        changed += rows.update(wanted=wanted, due_at=clock.now())
    return changed


def chosen(
    candidates: Iterable[Candidate],
    capacity: int,
    allowed: list[dict[str, Any]] | None,
    *,
    first: Iterable[Candidate] = (),
) -> dict[str, Entry]:
    """Return the entries of a list that holds so many; `allowed` are PublishTokenTypes, None: everybody."""
    fitting = (each for each in candidates if allowed is None or any(_is(each, one) for one in allowed))
    found: dict[str, Entry] = {}
    for each in chain(first, fitting):
        if len(found) >= capacity:
            break
        found.setdefault(each.entry.tag.upper(), each.entry)
    return found


def _is(token: Candidate, named: dict[str, Any]) -> bool:
    """Say whether a PublishTokenType means a token; each member that is given has to fit."""
    fits = [
        str(named[name]).casefold() == own.casefold()
        for name, own in (("uid", token.uid), ("type", token.entry.type), ("group_id", token.group))
        if named.get(name)
    ]
    by_name = bool(named.get("uid") or named.get("group_id"))
    return by_name and all(fits)


def _own() -> dict[str, dict[tuple[str, str], list[Candidate]]]:
    """Return by kind of list the tags that each tenant lets in by itself, the newest first."""
    rows = IdTag.objects.filter(status=IdTag.Status.VALID).exclude(expires_at__lte=clock.now()).order_by("-pk")
    found: dict[str, dict[tuple[str, str], list[Candidate]]] = {family: {} for family in _LONGEST}
    for row in rows:
        for family, longest in _LONGEST.items():
            if len(row.id_tag) <= longest and row.id_tag.isprintable():
                group = _group(family, Address(row.country_code, row.party_id), row.parent_id_tag)
                tenant = (row.country_code.upper(), row.party_id.upper())
                entry = Entry(row.id_tag, "RFID", group)
                found[family].setdefault(tenant, []).append(Candidate(entry, row.id_tag, "", group))
    return found


def _scopes(own: dict[str, dict[tuple[str, str], list[Candidate]]]) -> dict[Scope, list[int]]:
    """Return the charge points that have a list, by what their lists depend on."""
    closed = _closed()
    rows = LocalList.objects.filter(wished=True).exclude(state__in=(ListState.UNSUPPORTED, ListState.NEW))
    found: dict[Scope, list[int]] = {}
    columns = ("pk", "capacity", "charge_point__protocol", "charge_point__country_code", "charge_point__party_id",
               "charge_point__location_id")  # fmt: skip
    for pk, capacity, protocol, country_code, party_id, location_id in rows.values_list(*columns):
        family = local_lists.family(protocol)
        place = (country_code, party_id, location_id or "")
        capacity = local_lists.CAPACITY if capacity is None else capacity
        tenant = (country_code.upper(), party_id.upper())
        scope = Scope(family, capacity, place if place in closed else None, tenant if tenant in own[family] else None)
        found.setdefault(scope, []).append(pk)
    return found


def _closed() -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """Return the Locations that are not published, and whom they are for; read now and then, for there are many."""
    global _closed_known
    known = _closed_known
    if known is None or time.monotonic() - known[0] > _CLOSED_SECONDS:
        rows = Location.objects.filter(document__contains='"publish_allowed_to"')
        columns = ("country_code", "party_id", "object_id", "document")
        found = {
            (country_code, party_id, object_id): _named(document)
            for country_code, party_id, object_id, document in rows.values_list(*columns)
            if documents.get(document, "publish") is False
        }
        known = _closed_known = (time.monotonic(), found)
    return known[1]


def _named(document: str) -> list[dict[str, Any]]:
    return [each for each in documents.get(document, "publish_allowed_to") or [] if isinstance(each, dict)]


def _candidates(family: str, today: date) -> Iterator[Candidate]:
    """Return every token that may be on a list of this kind, who charged last first."""
    refused: dict[Address, bool] = {}
    tag = "id_tag" if family == local_lists.V16 else "uid"
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(_ELIGIBLE.format(tag=tag), [today, _LONGEST[family]])
        while rows := cursor.fetchmany(5000):
            for name, kind, group, uid, contract_id, whitelist, country_code, party_id in rows:
                owner = Address(country_code, party_id)
                if owner not in refused:
                    refused[owner] = _denies(owner)
                if whitelist == "ALLOWED_OFFLINE" and refused[owner]:
                    continue
                if name.isprintable():
                    told = _group(family, owner, group)
                    yield Candidate(Entry(name, kind, told), uid, contract_id, group)


def _group(family: str, owner: Address, group: str) -> str:
    """Return what a charge point of this kind calls a group; nothing if it could not be told (M-7)."""
    named = tokens.parent_id_tag(owner, group) if family == local_lists.V16 else group
    return named if named.isprintable() else ""


def _denies(owner: Address) -> bool:
    """Say whether an eMSP agreed that its silence means no (QRK-10): then nobody charges unasked."""
    platform = recipients.asked(owner, "tokens")
    return platform is not None and platform.late_authorization == "deny"


def _contents(entries: dict[str, Entry]) -> LocalListContents:
    packed = local_lists.pack(entries)
    digest = hashlib.sha256(packed).hexdigest()
    row, _ = LocalListContents.objects.get_or_create(digest=digest, defaults={"packed": packed, "count": len(entries)})
    return row


def _forget() -> None:
    """Remove contents that no charge point has or wants any more, and uses of long ago."""
    needed = LocalList.objects.filter(Q(held=OuterRef("pk")) | Q(wanted=OuterRef("pk")) | Q(sending=OuterRef("pk")))
    LocalListContents.objects.filter(~Exists(needed)).delete()
    TokenUse.objects.filter(day__lt=clock.now().date() - _USES_KEPT).delete()


_USED = """
INSERT INTO cpo_tokenuse AS u (id_tag, day) VALUES (%s, %s)
ON CONFLICT (id_tag) DO UPDATE SET day = EXCLUDED.day WHERE u.day < EXCLUDED.day
"""
_BOOTED = """
INSERT INTO cpo_locallist (charge_point_id, state, due_at)
VALUES (%s, 'NEW', statement_timestamp() + make_interval(secs => %s + random() * %s))
ON CONFLICT (charge_point_id) DO UPDATE SET state = 'NEW', due_at = EXCLUDED.due_at, operation_id = NULL,
    failures = 0, error = ''
"""
_MISSING = """
INSERT INTO cpo_locallist (charge_point_id)
SELECT p.id FROM cpo_chargepoint p WHERE p.online AND p.protocol <> ''
    AND NOT EXISTS (SELECT FROM cpo_locallist l WHERE l.charge_point_id = p.id)
ON CONFLICT DO NOTHING
"""
# Additions cancel out in no sum of hashes that anybody meets; what else a list depends on is in the second half.
_STATE = """
SELECT (SELECT (count(*), sum(hashtextextended(id_tag || uid || type || group_id || whitelist, 0)::numeric))::text
        FROM cpo_token WHERE valid AND whitelist <> 'NEVER'),
       (SELECT (count(*), sum(hashtextextended(concat(l.id, l.capacity, p.protocol, p.location_id), 0)::numeric))::text
        FROM cpo_locallist l JOIN cpo_chargepoint p ON p.id = l.charge_point_id
        WHERE l.wished AND l.state NOT IN ('NEW', 'UNSUPPORTED')),
       (SELECT (count(*),
                sum(hashtextextended(concat(id_tag, parent_id_tag, country_code, party_id), 0)::numeric))::text
        FROM cpo_idtag WHERE status = 'valid' AND (expires_at IS NULL OR expires_at > statement_timestamp()))
"""
# Of several tokens with one tag, the one that an authorization would take (`tokens.with_tag`) decides.
_ELIGIBLE = """
SELECT name, type, group_id, uid, contract_id, whitelist, country_code, party_id FROM (
    SELECT DISTINCT ON (upper(t.{tag})) t.{tag} AS name, t.*
    FROM cpo_token t WHERE t.{tag} <> ''
    ORDER BY upper(t.{tag}), length(t.uid) <= 20,
             array_position(ARRAY['RFID', 'APP_USER', 'AD_HOC_USER']::varchar[], t.type) NULLS LAST, t.valid DESC, t.id
) one LEFT JOIN cpo_tokenuse u ON u.id_tag = upper(name) AND u.day < %s
WHERE valid AND whitelist <> 'NEVER' AND length(name) <= %s
ORDER BY u.day DESC NULLS LAST, type = 'RFID' DESC, one.id DESC
"""
