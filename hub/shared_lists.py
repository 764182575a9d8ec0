"""GET All: what the hub can answer for itself, from the objects it keeps (HUB-57…62)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from hub import permissions, roles
from hub.routing import Asked, GetAll
from ocpi import lists, outbox_pulled, pagination, status
from ocpi.headers import Address
from ocpi.snapshot import KnownPlatform, Snapshot

_SOURCE = "hub.SharedObject"
_TEXT = (
    "CASE WHEN o.module <> 'locations' THEN o.document ELSE COALESCE(left(o.document, -1) || ',\"evses\":[' || ("
    "SELECT string_agg(e.document, ',' ORDER BY e.id) FROM hub_sharedobject e WHERE e.container_id = o.id"
    ") || ']}', o.document) END"
)
_HIDDEN = "(NOT o.split OR (SELECT %(requester)s <> ALL(h.hidden_from) FROM hub_sharedobject h WHERE h.id = o.id))"
_BROADCAST = f"o.module = %(module)s AND o.receiver = '' AND o.scope IS NOT NULL AND {{owners}} AND {_HIDDEN}"
_OWN = "o.module = %(module)s AND o.receiver = %(requester)s AND o.scope IS NOT NULL AND {owners}"
_DATED = frozenset({"sessions"})  # no list of them without date_from (SES-05)


def page(request: HttpRequest, asked: Asked, everything: GetAll, registry: Snapshot) -> HttpResponse:
    """Return a page over the objects of all parties that the requester may pull from, its own platform's apart.

    :raises InvalidParameters: if the hub keeps no such objects, or the requester has no role to read them.
    """
    module, requester = asked.module, everything.requester
    if module not in roles.READERS or (module not in roles.BROADCAST and not settings.OCPI_HUB_KEEPS_SESSIONS):
        raise status.InvalidParameters("OCPI-to-party-id", f"{module} are read from their owner: name the party")
    by_rule = roles.READERS_BY_RULE.get(module, frozenset())
    by_role = asked.caller.has_party(requester, *roles.READERS[module])
    if not by_role and not (by_rule and asked.caller.has_party(requester, *by_rule)):
        raise status.InvalidParameters("OCPI-from-party-id", f"{requester} may not read {module}")
    asked_page = pagination.read(request.GET, date_from_required=module in _DATED)
    reader = outbox_pulled.Reader.of(asked.caller, requester)
    owners = Owners.of(registry, asked.caller, requester, module, by_rule=not by_role)
    found = lists.fetch(outbox_pulled.noted(listing(module, requester, owners), reader, _SOURCE), asked_page)
    url = f"{settings.OCPI_BASE_URL}{request.path}"
    return outbox_pulled.answer(asked_page, found, url=url, reader=reader, source=_SOURCE)


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose objects a requester is shown: those of some, or those of all but some; as "NL*TNM"."""

    named: tuple[str, ...] = ()
    only: bool = False

    @classmethod
    def of(
        cls, registry: Snapshot, caller: KnownPlatform, requester: Address, module: str, *, by_rule: bool = False
    ) -> Owners:
        """Return whom a requester may pull from, its own platform's parties apart; whichever way names fewer.

        With `by_rule` those only whom a rule names together with this module.
        """
        may = permissions.explicit if by_rule else permissions.allowed
        own = {party.address.key for party in caller.parties if party.role in roles.OWNERS[module]}
        if permissions.rules_of(registry).trivial and not by_rule:
            return cls(_texts(own))
        shown: set[tuple[str, str]] = set()
        hidden = set(own)
        for key, parties in registry.parties.items():
            if key in own or not any(party.role in roles.OWNERS[module] for party in parties):
                continue
            allowed = may(registry, requester, Address(*key), module, permissions.PULL)
            (shown if allowed else hidden).add(key)
        return cls(_texts(shown), only=True) if len(shown) < len(hidden) or by_rule else cls(_texts(hidden))


def _texts(keys: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(sorted("*".join(key) for key in keys))


def listing(module: str, requester: Address, owners: Owners) -> lists.Listing:
    """Return the objects of a module of these owners; what is deleted or a part of another has no scope.

    A version that the requester was sent alone stands in place of what was broadcast (PIT-84). The scopes that are
    counted: "locations/NL*TNM" of what was broadcast, "locations>DE*EMS/NL*TNM" of the versions of one receiver,
    "locations<DE*EMS/NL*TNM" of the broadcasts that these hide.
    """
    own = "*".join(requester.key)
    broadcast, versions, hiding = module, f"{module}>{own}", f"{module}<{own}"
    shared = module in roles.BROADCAST
    groups = (broadcast, versions) if shared else (versions,)
    each = {group: [f"{group}/{owner}" for owner in owners.named] for group in (broadcast, versions, hiding)}
    named = [scope for group in groups for scope in each[group]]
    condition = f"o.scope {'= ANY' if owners.only else '<> ALL'}(%(named)s)"
    if owners.only:
        scopes, but = tuple(named), tuple(each[hiding] if shared else ())
    else:
        # What is hidden of an owner who is left out has been taken off with him.
        scopes, but = (*groups, *(each[hiding] if shared else ())), (*([hiding] if shared else ()), *named)
    return lists.Listing(
        table="hub_sharedobject",
        text=_TEXT,
        where=tuple(way.format(owners=condition) for way in ((_BROADCAST, _OWN) if shared else (_OWN,))),
        parameters={"module": module, "requester": own, "named": named},
        scopes=scopes,
        but=but,
        grouped=not owners.only,
        moment="o.moment",  # the later of last_updated and the time it reached us (PIT-87)
    )
