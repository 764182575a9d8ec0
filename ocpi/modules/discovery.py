"""Find out what a platform offers: its versions, then the endpoints of one (OCPI 2.2.1, Credentials, Registration)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from django.conf import settings

from ocpi import address_guard, client, defects, endpoints, exchanges, hosts, status, version_numbers
from ocpi.enums import CONFIGURATION_MODULES, InterfaceRole, ModuleID
from ocpi.headers import Ids, Routing, new_id

CALLBACK_SECONDS = 10.0
_LONGEST_URL = 255
_REFUSALS = (401, 403)


@dataclass(frozen=True, slots=True)
class Discovered:
    """One version of a platform's interface."""

    version: str
    endpoints: Mapping[tuple[str, str], str]  # (identifier, role) → URL; credentials under SENDER, whatever it said
    base64_token: bool = True  # the form of token that it took

    @property
    def credentials_url(self) -> str:
        return self.endpoints[(ModuleID.credentials, InterfaceRole.SENDER)]


def host_of(url: str, *, field: str = "url") -> str:
    """Return host:port of a URL we are asked to call.

    :raises InvalidParameters: if it is no absolute URL, or not https where that is required (TRN-002).
    """
    try:
        parts = address_guard.split(url)
    except address_guard.AddressDenied as error:
        raise status.InvalidParameters(field, f"is no URL that can be called ({error})") from error
    if parts.scheme != "https" and settings.OCPI_TLS_REQUIRED:
        raise status.InvalidParameters(field, "must be an https URL")
    return f"{parts.host}:{parts.port}"


def discover(
    target: client.Target, versions_url: str, *, version: str | None, correlation_id: str, detects_token: bool = False
) -> Discovered:
    """Fetch the versions and the details of one: the version named, or the latest that both speak.

    Where our token is refused, its other form is tried if `detects_token` (QRK-01), then no token at all (QRK-05).

    :raises ClientApiUnusable: if a URL does not answer as it should, or leads to a host that is not approved (3001).
    :raises UnsupportedVersion: if there is no common version (3002).
    :raises NoMatchingEndpoints: if credentials or any module of ours is missing (3003).
    """
    target, data = _get(target, versions_url, correlation_id, detects_token)
    offered = _versions(data, versions_url)
    number = version if version in offered else None
    if version is None:
        number = version_numbers.latest_mutual(settings.OCPI_VERSIONS, offered)
    if number is None:
        raise status.UnsupportedVersion(
            f"{versions_url} offers {', '.join(offered) or 'no version'}, needed is {version or settings.OCPI_VERSIONS}"
        )
    details_url = offered[number]
    target, data = _get(target, details_url, correlation_id, detects_token)
    found = Discovered(number, _endpoints(target, data, details_url), target.base64_token)
    _check_complete(found)
    return found


def _get(target: client.Target, url: str, correlation_id: str, detects_token: bool) -> tuple[client.Target, Any]:
    """Return the target in the form that was let in, and the data of its answer.

    :raises ClientApiUnusable: if there is none.
    """
    answer = _ask(target, url, correlation_id)
    for kind, other in _others(target, detects_token):
        if answer.http_status not in _REFUSALS:
            break
        again = _ask(other, url, correlation_id)
        if again.ok:
            defects.note(target.platform_id, kind, f"GET {url}")
            answer = again
            target = other if other.token else target  # what comes next may want the token again
    if not answer.ok:
        said = f"HTTP {answer.http_status}, status_code {answer.status_code}"
        raise status.ClientApiUnusable(f"GET {url} was answered with {said}")
    try:
        return target, answer.data()
    except client.Garbage as error:
        raise status.ClientApiUnusable(f"GET {url} was not answered in OCPI's format") from error


def _others(target: client.Target, detects_token: bool) -> list[tuple[str, client.Target]]:
    """Return how else a platform may let us in, and what is counted if it does."""
    form = "raw" if target.base64_token else "Base64"
    flipped = replace(target, base64_token=not target.base64_token)
    found = [(f"QRK-01 expects a {form} token", flipped)] if detects_token else []
    return [*found, ("QRK-05 versions only without a token", replace(target, token=""))]


def _ask(target: client.Target, url: str, correlation_id: str) -> client.Answer:
    """Return the answer to a GET, whatever it says.

    :raises ClientApiUnusable: if there is none.
    """
    ids = Ids(new_id(), correlation_id)
    result: client.Answer | client.ClientError
    try:
        result = client.send(target, "GET", url, headers=ids.as_headers(), timeout=CALLBACK_SECONDS)
    except client.ClientError as error:
        result = error
    exchanges.record_out(result, platform_id=target.platform_id, module="versions", routing=Routing())
    if isinstance(result, client.Garbage):
        raise status.ClientApiUnusable(f"GET {url} was not answered in OCPI's format") from result
    if isinstance(result, client.ClientError):
        raise status.ClientApiUnusable(f"GET {url} failed: {result}") from result
    return result


def _versions(data: Any, url: str) -> dict[str, str]:
    """Return the URL of each version; what we do not understand is left out (VER-17)."""
    if isinstance(data, dict) and "endpoints" in data:
        raise status.ClientApiUnusable(f"versions URL expected: {url} answers with version details")
    if not isinstance(data, list):
        raise status.ClientApiUnusable(f"GET {url}: data must be a list of versions")
    found: dict[str, str] = {}
    for entry in data:
        match entry:
            case {"version": str(number), "url": str(details_url)}:
                found.setdefault(number, details_url)
    return found


def _endpoints(target: client.Target, data: Any, url: str) -> dict[tuple[str, str], str]:
    if isinstance(data, list) and len(data) == 1:
        defects.note(target.platform_id, "PIT-11 version details as a list", f"GET {url}")
        data = data[0]
    listed = data.get("endpoints") if isinstance(data, dict) else None
    if not isinstance(listed, list):
        raise status.ClientApiUnusable(f"GET {url}: data must be an object with endpoints")
    found: dict[tuple[str, str], str] = {}
    for entry in listed:
        match entry:
            case {"identifier": str(identifier), "url": str(endpoint_url)}:
                role = entry.get("role")
                if isinstance(role, str) and role != role.upper():
                    defects.note(target.platform_id, "QRK-09 role in lower case", f"GET {url}")
                    role = role.upper()
                if identifier == ModuleID.credentials:
                    role = InterfaceRole.SENDER.value  # its role means nothing (VER-10, PIT-12)
                elif role is None:
                    defects.note(target.platform_id, "QRK-09 endpoint without a role", f"GET {url}")
                # A role that is no text is no role of ours either, and could not be looked up.
                known = identifier in set(ModuleID) and isinstance(role, str) and role in set(InterfaceRole)
                if known and (identifier, role) not in found:
                    found[(identifier, role)] = _checked(target, identifier, endpoint_url)
    return found


def _checked(target: client.Target, identifier: str, url: str) -> str:
    """Return the URL of an endpoint, if our token may go there (SEC-21)."""
    if len(url) > _LONGEST_URL:
        raise status.ClientApiUnusable(f"the URL of {identifier} is longer than {_LONGEST_URL} characters")
    try:
        host = host_of(url)
    except status.InvalidParameters as error:
        raise status.ClientApiUnusable(f"the URL of {identifier} {error.rule}") from error
    name = host.rpartition(":")[0]
    if host not in target.hosts and name not in target.hosts:
        hosts.note(target.platform_id, host, f"endpoint of {identifier}: {url}")
        raise status.ClientApiUnusable(f"the URL of {identifier} is at {host}, a host that is not approved")
    return url


def _check_complete(found: Discovered) -> None:
    if (ModuleID.credentials, InterfaceRole.SENDER) not in found.endpoints:
        raise status.NoMatchingEndpoints("The version details have no credentials endpoint")
    configuration = {module.value for module in CONFIGURATION_MODULES}
    theirs = {identifier for identifier, _ in found.endpoints} - configuration
    ours = {entry.module.value for entry in endpoints.served()} - configuration
    if not theirs & ours:
        raise status.NoMatchingEndpoints(f"No common module: expected any of {', '.join(sorted(ours))}")


def read_credentials(text: bytes | None) -> Any:
    """Return a Credentials object out of an answer.

    :raises InvalidParameters: if it is none.
    """
    schema = version_numbers.schema(endpoints.VERSION, ModuleID.credentials)
    body = text or b"null"
    if body[:1] == b"[":  # a list of one where an object is due
        elements = msgspec.json.decode(body, type=list[msgspec.Raw])
        if len(elements) == 1:
            defects.noted(["QRK-06 data in a list"])
            body = bytes(elements[0])
    return schema.check(defects.taken(schema.check_leniently(body, "Credentials")), "Credentials")
