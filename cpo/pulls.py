"""What a CPO pulls: the Tokens of eMSPs, directly and through hubs (TOK-13)."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

from django.db import connection

from cpo.models import Token
from cpo.modules import tokens
from ocpi import documents, keeping, pull_seen, snapshot
from ocpi.enums import ModuleID
from ocpi.pull_table import IN_SCOPE, NOT_SEEN, OBJECT_KEY, Item, Pull, Scope, key_of, scope_parameters

log = logging.getLogger(__name__)


def _keep(item: Item, platform_id: int) -> bool:
    return tokens.keep(item.owner, item.object_id, item.body, asked_type=documents.get(item.body, "type"))


def _unchanged(items: Sequence[Item], platform_id: int) -> set[str]:
    """Return the keys of Tokens that are stored exactly so, and have not been made invalid here."""
    came = {item.key: item.body.decode() for item in items}
    wanted = [(item.owner, item.object_id) for item in items]
    found = set()
    for row in keeping.stored(Token, wanted, "type", "document", "valid"):
        key = key_of(None, row.country_code, row.party_id, row.object_id, row.type)
        if came.get(key) == row.document and documents.get(row.document, "valid") == row.valid:
            found.add(key)
    return found


def _invalidate(scope: Scope) -> int:
    """Make the Tokens invalid that an eMSP's whole list did not hold; return how many.

    They are never deleted (TOK-12), and their documents stay as their eMSP wrote them: only we stop accepting them
    unasked, until it lists or pushes them again. One that it pushed since the pull began stays valid, whatever its
    time stamp. A hub's list without any Token of an eMSP says nothing of those we have, as the hub may not have heard
    of them yet: they stay as they are.
    """
    platform = snapshot.current().platforms.get(scope.platform_id)
    if platform is not None and platform.is_hub:
        listed = {owner.key for owner in pull_seen.seen_owners(scope.cursor_id)}
        silent = [str(owner) for owner in scope.owners if owner.key not in listed]
        if silent:
            log.warning("hub %s lists no Token of %s: what is known of them stays", scope.platform_id, silent)
        scope = dataclasses.replace(scope, owners=tuple(owner for owner in scope.owners if owner.key in listed))
    with connection.cursor() as cursor:
        cursor.execute(_INVALIDATE, scope_parameters(scope))
        return int(cursor.rowcount)


_INVALIDATE = f"""
UPDATE cpo_token o SET valid = false, gone_at = statement_timestamp()
WHERE {IN_SCOPE} AND o.valid AND o.received_at < %(started_at)s
  AND {NOT_SEEN.format(key=OBJECT_KEY + " || '*' || o.type")}
"""  # noqa: S608 - constants only

PULLS = [
    Pull(ModuleID.tokens, "Token", ("EMSP",), _keep, _unchanged, _invalidate, ids=("uid", "type"), combined=True),
]
