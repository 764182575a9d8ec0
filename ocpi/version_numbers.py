"""From a VersionNumber to the package that knows it, and which version two platforms speak."""

from collections.abc import Iterable
from types import ModuleType

from ocpi import status
from ocpi.enums import VersionNumber
from ocpi.v2_2_1 import (
    cdrs,
    chargingprofiles,
    commands,
    credentials,
    hubclientinfo,
    locations,
    sessions,
    tariffs,
    tokens,
    versions,
)

_MODULES_2_2_1 = (
    cdrs,
    chargingprofiles,
    commands,
    credentials,
    hubclientinfo,
    locations,
    sessions,
    tariffs,
    tokens,
    versions,
)
_FILES: dict[str, dict[str, ModuleType]] = {
    VersionNumber.V2_2_1: {file.__name__.rpartition(".")[2]: file for file in _MODULES_2_2_1},
}
SUPPORTED: tuple[str, ...] = tuple(_FILES)
# OCPI 2.2.1, Version information endpoint: replaced by 2.1.1 and 2.2.1.
DEPRECATED = frozenset({VersionNumber.V2_1, VersionNumber.V2_2})


def schema(version: str, module: str) -> ModuleType:
    """Return the file with the objects of a module in a version.

    :raises UnsupportedVersion: if we do not speak that version.
    :raises UnknownObject: if the version has no such module.
    """
    files = _FILES.get(version)
    if files is None:
        raise status.UnsupportedVersion(f"Unsupported version {version}")
    file = files.get(module)
    if file is None:
        raise status.UnknownObject(f"Unknown module {module}")
    return file


def latest_mutual(ours: Iterable[str], theirs: Iterable[str]) -> str | None:
    """Return the latest version that both speak, a deprecated one only if there is no other."""
    mutual = {version for version in set(ours) & set(theirs) if _is_number(version)}
    return max(mutual, key=lambda version: (version not in DEPRECATED, _parts(version)), default=None)


def _is_number(version: str) -> bool:
    return version.isascii() and all(part.isdigit() for part in version.split("."))


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
