"""Whose objects a path names: a platform speaks only of what its own parties own, in the role that owns it (SEC-35).

The receiver cannot tell: to it every party behind the hub comes with the hub's token.
"""

from __future__ import annotations

from collections.abc import Mapping

from hub import roles
from ocpi import status
from ocpi.headers import Address
from ocpi.snapshot import KnownPlatform

_UNKNOWN: Mapping[str, type[status.UnknownObject]] = {
    "locations": status.UnknownLocationObject,
    "tokens": status.UnknownTokenObject,
}


def refuse_foreign(caller: KnownPlatform, module: str, interface: str, tail: tuple[str, ...]) -> None:
    """Refuse a path below a Receiver interface whose {country_code}/{party_id} is not the caller's.

    :raises UnknownObject: as for an object that is not there (SEC-39).
    """
    owners = roles.OWNERS.get(module)
    if interface == "RECEIVER" and owners and len(tail) > 2 and not caller.has_party(Address(*tail[:2]), *owners):
        raise unknown(module)


def unknown(module: str) -> status.UnknownObject:
    """Return what is answered for an object of a module that is not there, or not the caller's (TRN-041)."""
    return _UNKNOWN.get(module, status.UnknownObject)()
