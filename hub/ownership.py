"""Whose objects a request is about: a platform speaks only of what its own parties own, in the right role (SEC-35).

The receiver cannot tell: to it every party behind the hub comes with the hub's token. A path names the owner, and a
body may name no other; a CDR's owner is in its body alone.
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
_BELOW_OWNER = 3  # segments of the path of an object that has an owner in it


class _Owned(msgspec.Struct):
    country_code: Any = None
    party_id: Any = None


_reader = msgspec.json.Decoder(_Owned)

_UNKNOWN: Mapping[str, type[status.UnknownObject]] = {
    "locations": status.UnknownLocationObject,
    "tokens": status.UnknownTokenObject,
}


def refuse_foreign(caller: KnownPlatform, module: str, interface: str, tail: tuple[str, ...]) -> None:
    """Refuse a path below a Receiver interface whose {country_code}/{party_id} is not the caller's, or that has none.

    "NL%2FTNM%2FS1" is one segment to us, and to a receiver that decodes before it splits the object of another; a list
    of all is nothing that OCPI has there (SEC-33, SEC-42). A CDR has its owner in its body.

    :raises UnknownObject: as for an object that is not there (SEC-39).
    """
    owners = roles.OWNERS.get(module)
    if interface != "RECEIVER" or not owners:
        return
    if len(tail) < _BELOW_OWNER:
        if module != "cdrs":
            raise unknown(module)
    elif not caller.has_party(Address(*tail[:2]), *owners):
        raise unknown(module)


def owner_in(caller: KnownPlatform, module: str, interface: str, tail: tuple[str, ...], body: bytes) -> Address | None:
    """Return whose object a body says it is, if that has to be known besides the path: the owner of a CDR.

    What a body does not say, or not as text, its receiver judges.

    :raises InvalidParameters: if it names another owner than the path, or of a CDR one that is not the caller's.
    """
    owners = roles.OWNERS.get(module)
    if interface != "RECEIVER" or not owners or not may_name_owner(body):
        return None
    try:
        named = _reader.decode(body)
    except msgspec.DecodeError:
        return None
    if module != "cdrs":
        if is_another({name: getattr(named, name) for name in _NAMES}, tail):
            raise status.InvalidParameters("party_id", "the owner in the body is not the one in the URL")
        return None
    if not (isinstance(named.country_code, str) and isinstance(named.party_id, str)):
        return None
    owner = Address(named.country_code, named.party_id)
    if not caller.has_party(owner, *owners):
        raise status.InvalidParameters("party_id", f"{owner} is not a party of the calling platform that owns {module}")
    return owner


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


def unknown(module: str) -> status.UnknownObject:
    """Return what is answered for an object of a module that is not there, or not the caller's (TRN-041)."""
    return _UNKNOWN.get(module, status.UnknownObject)()
