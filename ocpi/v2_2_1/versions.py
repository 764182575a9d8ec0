"""OCPI 2.2.1, chapter Versions: what a platform offers, and where."""

from typing import Annotated

from msgspec import Meta, Raw

from ocpi import documents
from ocpi.enums import InterfaceRole, ModuleID, VersionNumber
from ocpi.v2_2_1.checking import Checker, load
from ocpi.v2_2_1.types import URL, Object


class Version(Object, kw_only=True):
    version: VersionNumber
    url: URL


class Endpoint(Object, kw_only=True):
    identifier: ModuleID
    role: InterfaceRole
    url: URL


class VersionDetails(Object, kw_only=True):
    version: VersionNumber
    endpoints: Annotated[list[Endpoint], Meta(min_length=1)]


_VERSIONS: frozenset[str] = frozenset(VersionNumber)
_MODULES: frozenset[str] = frozenset(ModuleID)
PARTS: tuple[tuple[str, str], ...] = ()

_checker = Checker(Version, VersionDetails)
check = _checker.check
check_leniently = _checker.check_leniently
read = _checker.read
write = _checker.write


def known_versions(body: bytes) -> list[Version]:
    """Read the list of a partner, leaving out the versions that 2.2.1 does not know.

    :raises InvalidParameters: if it is no list of Versions.
    """
    return [load(Version, bytes(entry)) for entry in documents.elements(body) if _names(entry, "version", _VERSIONS)]


def _names(entry: Raw, member: str, known: frozenset[str]) -> bool:
    value = documents.get(bytes(entry), member)
    return isinstance(value, str) and value in known


def known_details(body: bytes) -> VersionDetails:
    """Read the endpoints of a partner, leaving out the modules that 2.2.1 does not know.

    A list of one element is taken for the element; roles are read in any case.

    :raises InvalidParameters: if it is no VersionDetails.
    """
    if body.lstrip()[:1] == b"[" and len(entries := documents.elements(body)) == 1:
        body = bytes(entries[0])
    details = documents.members(body)
    endpoints = []
    for endpoint in documents.elements(details.get("endpoints", documents.raw("[]")), "endpoints"):
        if not _names(endpoint, "identifier", _MODULES):
            continue
        kept = bytes(endpoint)
        if isinstance(role := documents.get(kept, "role"), str):
            kept = documents.set_member(kept, "role", role.upper()).encode()
        endpoints.append(documents.raw(kept))
    return load(VersionDetails, documents.text({**details, "endpoints": endpoints}))
