"""Whose objects a request is about: a platform speaks only of what its own parties own, in the right role (SEC-35).

The receiver cannot tell: to it every party behind the hub comes with the hub's token. A path names the owner, and a
body may name no other; a CDR's owner is in its body alone. A Session or CDR also says of whose driver it tells: what
has been told to another party is not taken back by its refusal (SEC-37, SEC-42).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hub import roles
from ocpi import status
from ocpi.headers import Address
from ocpi.snapshot import KnownPlatform

_NAMES = ("country_code", "party_id")
_QUOTED = tuple(f'"{name}"'.encode() for name in _NAMES)
OF_DRIVERS = ("sessions", "cdrs")
_BELOW_OWNER = 3  # segments of the path of an object that has an owner in it


class Named(msgspec.Struct):
    """Whom a body names: its owner, and of a Session or CDR who its driver's Token is of."""

    country_code: Any = None
    party_id: Any = None


class _OfDriver(Named):
    cdr_token: Any = None


_readers = dict.fromkeys(OF_DRIVERS, msgspec.json.Decoder(_OfDriver))
_reader = msgspec.json.Decoder(Named)

_UNKNOWN: Mapping[str, type[status.UnknownObject]] = {
    "locations": status.UnknownLocationObject,
    "tokens": status.UnknownTokenObject,
}


def refuse_foreign(caller: KnownPlatform, module: str, interface: str, method: str, tail: tuple[str, ...]) -> None:
    """Refuse a path below a Receiver interface whose {country_code}/{party_id} is not the caller's, or that has none.

    "NL%2FTNM%2FS1" is one segment to us, and to a receiver that decodes before it splits the object of another; a list
    of all is nothing that OCPI has there (SEC-33, SEC-42). A CDR has its owner in its body, and is read at the hub's
    own URL that the answer to its POST named: below the endpoint, where CDRs of all are, nobody's path says whose it is
    (CDR-04, CDR-08, HUB-74).

    :raises UnknownObject: as for an object that is not there (SEC-39).
    """
    owners = roles.OWNERS.get(module)
    if interface != "RECEIVER" or not owners:
        return
    if module == "cdrs":
        if tail or method == "GET":
            raise status.UnknownObject("A CDR is read at the URL that the answer to its POST named")
    elif len(tail) < _BELOW_OWNER:
        raise unknown(module)
    elif not caller.has_party(owner := Address(*tail[:2]), *owners):
        raise unknown(module, foreign(owner, module))


def read(module: str, interface: str, body: bytes) -> Named | None:
    """Return whom the body of a push names, if anybody; what is no JSON its receiver judges."""
    if interface != "RECEIVER" or module not in roles.OWNERS or not may_name_owner(body):
        return None
    try:
        return _readers.get(module, _reader).decode(body)
    except msgspec.DecodeError:
        return None


def owner_in(caller: KnownPlatform, module: str, tail: tuple[str, ...], named: Named) -> Address | None:
    """Return whose object a body says it is, if that has to be known besides the path: the owner of a CDR.

    What a body does not say, or not as text, its receiver judges.

    :raises InvalidParameters: if it names another owner than the path, or of a CDR one that is not the caller's.
    """
    if module != "cdrs":
        if is_another({name: getattr(named, name) for name in _NAMES}, tail):
            raise status.InvalidParameters("party_id", "the owner in the body is not the one in the URL")
        return None
    if not (isinstance(named.country_code, str) and isinstance(named.party_id, str)):
        return None
    owner = Address(named.country_code, named.party_id)
    if not caller.has_party(owner, *roles.OWNERS[module]):
        raise status.InvalidParameters("party_id", f"{owner} is not a party of the calling platform that owns {module}")
    return owner


def holder_in(named: Named | Mapping[str, Any]) -> Address | None:
    """Return whose driver a Session or CDR tells of; None if it does not say so, as an update need not."""
    token = named.get("cdr_token") if isinstance(named, Mapping) else getattr(named, "cdr_token", None)
    if not isinstance(token, dict):
        return None
    country_code, party_id = (token.get(name) for name in _NAMES)
    return Address(country_code, party_id) if isinstance(country_code, str) and isinstance(party_id, str) else None


def may_name_owner(body: bytes) -> bool:
    """Say whether a body has to be looked at for an owner; a name may also be spelled with escapes."""
    return any(name in body for name in _QUOTED) or b"\\u" in body


def is_another(tree: Mapping[str, Any], tail: tuple[str, ...]) -> bool:
    """Say whether an object names another owner than its path."""
    if len(tail) != _BELOW_OWNER:
        return False
    return any(_differs(tree.get(name), part) for name, part in zip(_NAMES, tail, strict=False))


def _differs(value: Any, part: str) -> bool:
    return isinstance(value, str) and value.upper() != part.upper()


def unknown(module: str, for_operator: str = "") -> status.UnknownObject:
    """Return what is answered for an object of a module that is not there, or not the caller's (TRN-041)."""
    return _UNKNOWN.get(module, status.UnknownObject)(for_operator=for_operator)


def foreign(owner: Address, module: str) -> str:
    """Return why an owner in a URL is not the caller's: for the operator, as a partner is told of nothing (SEC-39)."""
    return f"{owner} in the URL is no party of this platform, or behind it, that owns {module}"
