"""Open Routing: a request that names no receiver goes to whom its content concerns (HUB-48…56).

In this order: the party named inside the body; the owner of an id that the hub knows from what passed earlier; the only
connected party that answers at such an interface. A party that the sender may not reach is none (SEC-40).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec
from django.conf import settings

from hub import known_objects, permissions, registry
from hub.known_memory import Found, Known
from hub.routing import Asked, Broadcast, Direct, NeedsLookup, speakers
from ocpi import status
from ocpi.headers import Address, Routing
from ocpi.snapshot import Snapshot


class _Holder(msgspec.Struct):
    """Who a CdrToken is of; what else a body holds is the receiver's to judge."""

    country_code: str | None = None
    party_id: str | None = None
    uid: str | None = None
    type: str | None = None


class _Body(msgspec.Struct):
    cdr_token: _Holder | None = None
    location_id: str | None = None
    session_id: str | None = None
    reservation_id: str | None = None


_reader = msgspec.json.Decoder(_Body)

Find = Callable[[str, str], Found]


class Choice(NamedTuple):
    """Whom the content of a request concerns; several or none if that is not certain."""

    addresses: tuple[Address, ...]
    is_named: bool  # by the body itself, whether the hub knows him or not
    is_authorize: bool


def resolve(
    asked: Asked, lookup: NeedsLookup, snapshot: Snapshot, *, query: str, body: bytes, find: Find = known_objects.find
) -> Direct | Broadcast:
    """Return where a request without To headers goes; `find` gives what is known of an id.

    :raises OcpiError: as `place`.
    """
    return place(asked, lookup, snapshot, choose(asked, query=query, body=body, find=find))


def choose(asked: Asked, *, query: str, body: bytes, find: Find) -> Choice:
    """Return whom a request concerns: rules 1 and 2. Looks at no registry."""
    content = _read(body)
    named = _named(asked, content)
    addresses = (named,) if named else tuple(_owners(asked, content, query, find))
    return Choice(addresses, named is not None, _is_authorize(asked))


def place(asked: Asked, lookup: NeedsLookup, snapshot: Snapshot, choice: Choice) -> Direct | Broadcast:
    """Return where a request goes that concerns somebody: rule 3, and what is in his way.

    :raises UnknownReceiver: if there are several candidates or none (4001).
    :raises ReceiverUnreachable: if the one there is, is not connected (4003).
    :raises HubError: if its platform does not offer the module and interface (4000).
    """
    reached = [address for address in choice.addresses if _may(asked, lookup.sender, snapshot, address)]
    if len(reached) == 1:
        found = registry.find(snapshot, reached[0], module=asked.module, interface=asked.interface)
        return Direct(found, Routing(to=found.party.address, sender=lookup.sender))
    if not reached and not choice.is_named and not choice.is_authorize:
        places = registry.opposite(
            snapshot, asked.caller, lookup.sender, module=asked.module, interface=asked.interface,
            direction=permissions.direction_of(asked.method),
        )  # fmt: skip
        places = [each for each in places if _may(asked, lookup.sender, snapshot, each.party.address)]
        if len(places) == 1:
            return Direct(places[0], Routing(to=places[0].party.address, sender=lookup.sender))
        if settings.OCPI_HUB_BROADCASTS_UNDECIDED and lookup.may_broadcast:
            return Broadcast(lookup.sender)
    direction = permissions.direction_of(asked.method)
    why = "; ".join(
        permissions.why_not(snapshot, party, address, asked.module, direction)
        for address in choice.addresses
        if _is_known(snapshot, address) and address not in reached
        for party in speakers(asked, lookup.sender)
        if not permissions.allowed(snapshot, party, address, asked.module, direction)
    )
    raise status.UnknownReceiver("The receiver cannot be determined without To headers", for_operator=why)


def _is_known(snapshot: Snapshot, address: Address) -> bool:
    return any(party.role != "HUB" for party in snapshot.at(address))


def _may(asked: Asked, sender: Address, snapshot: Snapshot, address: Address) -> bool:
    direction = permissions.direction_of(asked.method)
    return _is_known(snapshot, address) and all(
        permissions.allowed(snapshot, party, address, asked.module, direction) for party in speakers(asked, sender)
    )


def _named(asked: Asked, content: _Body) -> Address | None:
    """Return the party that the body of a Session or CDR names (rule 1); the owner in the URL is the sender's side."""
    holder = content.cdr_token
    if (asked.module, asked.interface) not in (("sessions", "RECEIVER"), ("cdrs", "RECEIVER")) or holder is None:
        return None
    return Address(holder.country_code, holder.party_id) if holder.country_code and holder.party_id else None


def _owners(asked: Asked, content: _Body, query: str, find: Find) -> list[Address]:
    """Return the parties whose an id in path or body is, as far as it is known (rule 2)."""
    tail, sender = asked.tail, known_objects.text_of(asked.routing.sender) if asked.routing.sender else ""
    match asked.module, asked.interface:
        case "commands", "RECEIVER":
            if content.reservation_id and tail == ("CANCEL_RESERVATION",):
                return _of(_between(find, known_objects.RESERVATION, content.reservation_id, sender))
            if content.session_id and tail == ("STOP_SESSION",):
                return _of(_between(find, known_objects.SESSION, content.session_id, sender))
            return _of(find(known_objects.LOCATION, content.location_id)) if content.location_id else []
        case ("chargingprofiles", "RECEIVER") | ("sessions", "SENDER") if tail:
            return _of(_between(find, known_objects.SESSION, tail[0], sender))
        case "chargingprofiles", "SENDER" if tail:
            return _of(_between(find, known_objects.PROFILE, tail[0], sender))
        case "sessions", "RECEIVER" if len(tail) == 3:
            of_owner = known_objects.text_of(Address(tail[0], tail[1]))
            found = find(known_objects.SESSION, tail[2])
            of_session = [known_objects.address_of(each.counterpart) for each in found if each.owner == of_owner]
            return of_session or _of_holder(content, find)
        case "cdrs", "RECEIVER":
            return _of_holder(content, find)
        case "tokens", "SENDER" if _is_authorize(asked):
            key = known_objects.token_key(tail[0], known_objects.type_in(query))
            return _of(find(known_objects.TOKEN, key))
        case "locations", "SENDER" if tail:
            return _of(find(known_objects.LOCATION, tail[0]))
    return []


def _of_holder(content: _Body, find: Find) -> list[Address]:
    holder = content.cdr_token
    if holder is None or not holder.uid:
        return []
    return _of(find(known_objects.TOKEN, known_objects.token_key(holder.uid, holder.type)))


def _between(find: Find, kind: str, key: str, sender: str) -> list[Known]:
    """Return what is known of an id that is also the sender's: nobody reaches a party by another's session (SEC-37)."""
    return [known for known in find(kind, key) if known.counterpart == sender]


def _of(found: Iterable[Known]) -> list[Address]:
    return [known_objects.address_of(owner) for owner in sorted({known.owner for known in found})]


def _is_authorize(asked: Asked) -> bool:
    """Say whether this is a real-time authorization: only the one owner of its token may be asked (HUB-53)."""
    return (asked.module, asked.interface) == ("tokens", "SENDER") and len(asked.tail) == 2


def _read(body: bytes) -> _Body:
    try:
        return _reader.decode(body) if body else _Body()
    except msgspec.DecodeError:
        return _Body()
