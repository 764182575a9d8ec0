"""GET All: what the hub can answer for itself, from the objects it keeps (HUB-57…62)."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from hub import registry
from hub.routing import Asked, GetAll
from ocpi import lists, outbox_pulled, pagination, status
from ocpi.headers import Address

# Who may read whose objects: Tokens are for CPOs, Locations and Tariffs for those who sell charging.
_READERS = {
    "locations": ("EMSP", "NSP", "NAP", "OTHER"),
    "tariffs": ("EMSP", "NSP", "NAP", "OTHER"),
    "tokens": ("CPO", "OTHER"),
}
_SOURCE = "hub.SharedObject"
_TEXT = (
    "CASE WHEN o.module <> 'locations' THEN o.document ELSE COALESCE(left(o.document, -1) || ',\"evses\":[' || ("
    "SELECT string_agg(e.document, ',' ORDER BY e.id) FROM hub_sharedobject e WHERE e.container_id = o.id"
    ") || ']}', o.document) END"
)
_BROADCAST = (
    "o.module = %(module)s AND o.receiver = '' AND o.platform_id <> %(caller)s AND o.scope IS NOT NULL "
    "AND (NOT o.split OR (SELECT %(requester)s <> ALL(h.hidden_from) FROM hub_sharedobject h WHERE h.id = o.id))"
)
_OWN = "o.module = %(module)s AND o.receiver = %(requester)s AND o.scope IS NOT NULL"


def page(request: HttpRequest, asked: Asked, everything: GetAll) -> HttpResponse:
    """Return a page over the objects of all parties but the requester's own platform.

    :raises InvalidParameters: if the hub keeps no such objects, or the requester has no role to read them.
    """
    readers = _READERS.get(asked.module)
    if readers is None or asked.module not in registry.BROADCAST_MODULES:
        raise status.InvalidParameters("OCPI-to-party-id", f"{asked.module} are read from their owner: name the party")
    if not asked.caller.has_party(everything.requester, *readers):
        raise status.InvalidParameters("OCPI-from-party-id", f"{everything.requester} may not read {asked.module}")
    asked_page = pagination.read(request.GET)
    reader = outbox_pulled.Reader.of(asked.caller, everything.requester)
    all_of_them = listing(asked.module, asked.caller.id, everything.requester)
    found = lists.fetch(outbox_pulled.noted(all_of_them, reader, _SOURCE), asked_page)
    url = f"{settings.OCPI_BASE_URL}{request.path}"
    return outbox_pulled.answer(asked_page, found, url=url, reader=reader, source=_SOURCE)


def listing(module: str, caller_id: int, requester: Address) -> lists.Listing:
    """Return the objects of a module but those of one platform; what is deleted or a part of another has no scope.

    A version that the requester was sent alone stands in place of what was broadcast (PIT-84).
    """
    own = "*".join(requester.key)
    return lists.Listing(
        table="hub_sharedobject",
        text=_TEXT,
        where=(_BROADCAST, _OWN),
        parameters={"module": module, "caller": caller_id, "requester": own},
        # What the caller's platform broadcast and the requester has its own version of is taken off twice.
        scopes=(module, f"{module}>{own}", f"{module}<{own}/{caller_id}"),
        but=(f"{module}/{caller_id}", f"{module}<{own}"),
        grouped=True,
        moment="o.moment",  # the later of last_updated and the time it reached us (PIT-87)
    )
