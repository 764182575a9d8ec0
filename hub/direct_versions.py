"""What one party was sent alone, apart from what was broadcast of it (PIT-84); Sessions and CDRs are only so.

A Direct push that its receiver took is kept as that receiver's version: a row like any other, with a `receiver`. The
row of the broadcast names in `hidden_from` who has a version of its own, so that a list can leave it out there, and
count what it leaves out. A later broadcast of the whole object that is newer takes the versions away again.

A Session or CDR is kept as the version of the eMSP in its `cdr_token`, if that is who it was sent to (HUB-62, SEC-37),
or of an SCSP that a permission names; whatever else passes is passed on and not kept.

Both ways to a pair (version, broadcast) meet in a lock: on the broadcast's row, or, while there is none, on its name.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.db import transaction

from hub import known_objects, permissions, registry, roles, shared_objects
from hub.routing import Asked, Direct
from hub.shared_objects import Push
from ocpi import audit, cdr_reviews, database_trouble, documents, prepared, snapshot, status
from ocpi.headers import Address

log = logging.getLogger(__name__)

# Only a Tariff may be deleted (TAR-05).
_METHODS = {
    "locations": ("PUT", "PATCH"),
    "tariffs": ("PUT", "DELETE"),
    "tokens": ("PUT", "PATCH"),
    "sessions": ("PUT", "PATCH"),
    "cdrs": ("POST",),
}
_PERSONAL = ("sessions", "cdrs")

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('hub_sharedobject'), hashtext(UPPER(%s)))"
_SAME = """module = %(module)s AND UPPER(country_code) = %(country_code)s AND UPPER(party_id) = %(party_id)s
    AND UPPER(path) = UPPER(%(path)s) AND kind = %(kind)s"""
_BROADCAST = f"SELECT id, deleted_at IS NULL FROM hub_sharedobject WHERE {_SAME} AND receiver = '' FOR UPDATE"  # noqa: S608 - constants only
_OWN = f"SELECT id FROM hub_sharedobject WHERE {_SAME} AND receiver = %(receiver)s FOR UPDATE"  # noqa: S608
_COPIED = "module, country_code, party_id, path, kind, last_updated, document"
_COPY = f"""
WITH whole AS (
    INSERT INTO hub_sharedobject (platform_id, receiver, {_COPIED})
    SELECT %(platform_id)s, %(receiver)s, {_COPIED} FROM hub_sharedobject WHERE id = %(broadcast)s
    RETURNING id
)
INSERT INTO hub_sharedobject (platform_id, receiver, container_id, {_COPIED})
SELECT %(platform_id)s, %(receiver)s, (SELECT id FROM whole), {_COPIED} FROM (
    SELECT * FROM hub_sharedobject WHERE container_id = %(broadcast)s ORDER BY id OFFSET 0  -- sorted, then numbered
) part
"""  # noqa: S608 - constants only
_HIDE = """
UPDATE hub_sharedobject SET hidden_from = hidden_from || %(receiver)s::text
WHERE id = %(broadcast)s AND %(receiver)s <> ALL(hidden_from)
"""
_RECEIVERS = f"SELECT receiver FROM hub_sharedobject WHERE {_SAME} AND receiver <> '' ORDER BY receiver"  # noqa: S608
# A time far ahead of our clock is an error of its owner and must not block what comes (REL-53).
_REPLACE = f"""
WITH broadcast AS (
    SELECT id, last_updated, deleted_at FROM hub_sharedobject WHERE {_SAME} AND receiver = ''
),
outdated AS (
    SELECT id, receiver FROM hub_sharedobject WHERE {_SAME} AND receiver <> '' AND EXISTS (
        SELECT FROM broadcast b WHERE b.deleted_at IS NOT NULL OR hub_sharedobject.last_updated < b.last_updated
            OR hub_sharedobject.last_updated > now() + interval '5 minutes')
),
gone AS (
    DELETE FROM hub_sharedobject
    WHERE id IN (SELECT id FROM outdated) OR container_id IN (SELECT id FROM outdated)
)
UPDATE hub_sharedobject SET hidden_from = ARRAY(
    SELECT receiver::text FROM hub_sharedobject WHERE {_SAME} AND receiver <> ''
    EXCEPT SELECT receiver::text FROM outdated ORDER BY 1
) WHERE id = (SELECT id FROM broadcast)
"""  # noqa: S608 - constants only


def concerned(asked: Asked) -> bool:
    """Say whether something of what its receiver takes may have to be kept before the caller sends the next."""
    return _is_cdr(asked) or (_is_kept(asked) and asked.module not in _PERSONAL)


def is_personal(asked: Asked) -> bool:
    """Say whether it is a Session or CDR that is kept: a Session a little later (hub/passing.py), a CDR at once."""
    return asked.module in _PERSONAL and _is_kept(asked) and bool(settings.OCPI_HUB_KEEPS_SESSIONS)


def _is_cdr(asked: Asked) -> bool:
    return (asked.module, asked.interface, asked.method) == ("cdrs", "RECEIVER", "POST")


def _is_kept(asked: Asked) -> bool:
    return asked.interface == "RECEIVER" and asked.method in _METHODS.get(asked.module, ())


def accepted(asked: Asked, route: Direct, *, query: str, body: bytes) -> bool:
    """Keep what a receiver just took, if it is of the objects the hub shows; whatever happens, the answer stands.

    Its sender has no answer yet, and sends it again if this process is killed now: so no CDR passes without a review.
    Returns whether it is done with; if not, the database was away and it is to be kept later (hub/passing.py).
    """
    if not concerned(asked):
        return False
    try:
        if _is_cdr(asked):
            _write_down(asked, route, body)
        if asked.module not in _PERSONAL or is_personal(asked):
            store(asked, route, query=query, body=body)
    except status.OcpiError as error:
        log.info("a direct push of %s/%s is not kept: %s", asked.module, "/".join(asked.tail), error)
    except Exception as error:
        log.exception("a direct push of %s/%s could not be kept", asked.module, "/".join(asked.tail))
        return not database_trouble.passes(error)
    return True


def _write_down(asked: Asked, route: Direct, body: bytes) -> None:
    """Note the digest of a CDR that went through: who passed what to whom stays provable (SEC-56)."""
    audit.record(
        "cdr.passed",
        actor=asked.caller.name,
        about=f"to {route.place.platform.name}",
        details={"sha256": hashlib.sha256(body).hexdigest(), "octets": len(body)},
    )


def store(asked: Asked, route: Direct, *, query: str, body: bytes) -> None:
    """Keep a push that its receiver took, if it is the caller's to push and the receiver would be shown it.

    :raises OcpiError: as `keep`.
    """
    push = _push(asked, route, query, body)
    if push is not None:
        keep(push)


def keep(push: Push) -> None:
    """Keep a push as the version of its receiver; a part of what nobody has is not kept.

    :raises OcpiError: as `shared_objects.check` and `shared_objects.apply`.
    """
    shared_objects.check(push)
    values = _values(push)
    with transaction.atomic():
        prepared.fetch_all(_LOCK, [_name(push)])
        broadcast, shown = next(iter(prepared.fetch_all(_BROADCAST, values)), (None, False))
        whole = push.method == "PUT" and len(push.path) == 1
        if shown and not whole and not prepared.fetch_all(_OWN, values):
            prepared.fetch_all(_COPY, {**values, "broadcast": broadcast})
        shared_objects.apply(push)
        if broadcast is not None:
            prepared.fetch_all(_HIDE, {**values, "broadcast": broadcast})
        if push.module == "cdrs":
            cdr_reviews.enter(push.body.decode())


def replaced(push: Push, *, added: bool) -> None:
    """Do to the versions what a broadcast does to them at their receivers, who get it too; in its transaction.

    A whole object takes the versions away that are older, and is hidden where one stays. A part of it (the status of an
    EVSE) changes each version in that part alone, unless it is newer there, or has no such part.
    """
    if push.method == "PATCH" or len(push.path) > 1:
        _apply_to_each(push)
        return
    if added:  # nobody could wait for its row
        prepared.fetch_all(_LOCK, [_name(push)])
    prepared.fetch_all(_REPLACE, _values(push))


def _apply_to_each(push: Push) -> None:
    for (receiver,) in prepared.fetch_all(_RECEIVERS, _values(push)):
        try:
            with transaction.atomic():
                shared_objects.apply(replace(push, receiver=receiver))
        except status.OcpiError as error:
            log.info("a broadcast of %s/%s leaves the version of %s: %s", push.module, push.path, receiver, error)


def _push(asked: Asked, route: Direct, query: str, body: bytes) -> Push | None:
    """Return the push, or None if it is not the caller's to push, or the receiver would not be shown it."""
    found = _addressed(asked, body)
    if found is None or route.place.platform.id == asked.caller.id:
        return None
    owner, path = found
    if not registry.may_broadcast(asked.caller, owner, asked.module):
        return None
    if asked.module in _PERSONAL and not _concerns(asked, route, owner, body):
        return None
    return Push(
        module=asked.module,
        method="PUT" if asked.method == "POST" else asked.method,
        owner=owner,
        path=path,
        kind=shared_objects.token_type(asked.method, known_objects.type_in(query), body)
        if asked.module == "tokens"
        else "",
        body=body,
        platform_id=asked.caller.id,
        receiver=known_objects.text_of(route.place.party.address),
    )


def _addressed(asked: Asked, body: bytes) -> tuple[Address, tuple[str, ...]] | None:
    """Return whose object it is, and its path: those of a CDR are in its body."""
    if asked.module != "cdrs":
        return (Address(*asked.tail[:2]), asked.tail[2:]) if len(asked.tail) >= 3 else None
    country_code, party_id, name = (documents.get(body, member) for member in ("country_code", "party_id", "id"))
    if asked.tail or not all(isinstance(text, str) and text for text in (country_code, party_id, name)):
        return None
    return Address(country_code, party_id), (name,)


def _concerns(asked: Asked, route: Direct, owner: Address, body: bytes) -> bool:
    """Say whether a receiver may be shown a Session or CDR in a list; a PATCH is judged by what it changes."""
    receiver = route.place.party.address
    if route.place.party.role in roles.READERS_BY_RULE.get(asked.module, ()):
        return permissions.explicit(snapshot.current(), receiver, owner, asked.module, permissions.PULL)
    if asked.method == "PATCH" and b"cdr_token" not in body:
        return True
    holder = documents.get(body, "cdr_token")
    if not isinstance(holder, dict):
        return False
    return (str(holder.get("country_code")).upper(), str(holder.get("party_id")).upper()) == receiver.key


def _values(push: Push) -> dict[str, Any]:
    country_code, party_id = push.owner.key
    return {
        "module": push.module,
        "country_code": country_code,
        "party_id": party_id,
        "path": push.path[0],
        "kind": push.kind,
        "receiver": push.receiver,
        "platform_id": push.platform_id,
    }


def _name(push: Push) -> str:
    return "/".join((push.module, *push.owner.key, push.path[0], push.kind))
