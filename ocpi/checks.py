"""What `manage.py check` says about settings that cannot work together; `--deploy` adds what is unsafe in public."""

import base64
import ipaddress
from collections.abc import Sequence
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from ocpi import egress
from ocpi.enums import InterfaceRole, ModuleID

_SIDES = ("hub", "cpo", "emsp")
_NEEDS: dict[tuple[ModuleID, InterfaceRole], tuple[ModuleID, ...]] = {
    (ModuleID.commands, InterfaceRole.RECEIVER): (ModuleID.locations, ModuleID.sessions),
    (ModuleID.commands, InterfaceRole.SENDER): (ModuleID.locations, ModuleID.sessions),
    (ModuleID.chargingprofiles, InterfaceRole.RECEIVER): (ModuleID.sessions,),
    (ModuleID.chargingprofiles, InterfaceRole.SENDER): (ModuleID.sessions,),
    (ModuleID.locations, InterfaceRole.RECEIVER): (ModuleID.tariffs,),
}
_KEY_BYTES = 32
_SECRET_CHARACTERS = 50

Apps = Sequence[AppConfig] | None


@register("ocpi")
def sides(app_configs: Apps, **options: Any) -> list[CheckMessage]:
    """A hub claims every endpoint, so it shares its instance with no other side."""
    chosen = settings.OCPI_SIDES
    unknown = [side for side in chosen if side not in _SIDES]
    if unknown:
        return [Error(f"OCPI_SIDES: {', '.join(unknown)} is none of {', '.join(_SIDES)}", id="ocpi.E001")]
    if not chosen:
        return [Error("OCPI_SIDES: name at least one side", id="ocpi.E001")]
    if len(set(chosen)) != len(chosen):
        return [Error("OCPI_SIDES: names a side twice", id="ocpi.E001")]
    if "hub" in chosen and len(chosen) > 1:
        hint = "Run the hub as an instance of its own: both would serve the same endpoints."
        return [Error("OCPI_SIDES: a hub shares its instance with no other side", hint=hint, id="ocpi.E002")]
    return []


@register("ocpi")
def addresses(app_configs: Apps, **options: Any) -> list[CheckMessage]:
    """Partners build every other URL from ours."""
    found: list[CheckMessage] = []
    parts = urlsplit(settings.OCPI_BASE_URL)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        found.append(Error("OCPI_BASE_URL: must look like https://ocpi.example.com", id="ocpi.E003"))
    for network in settings.OCPI_ALLOWED_NETWORKS:
        try:
            is_everything = ipaddress.ip_network(network).prefixlen == 0
        except ValueError:
            found.append(Error(f"OCPI_ALLOWED_NETWORKS: {network} is no network like 10.0.0.0/8", id="ocpi.E004"))
        else:
            if is_everything:  # which would be a plain "off" (SEC-24)
                found.append(Error(f"OCPI_ALLOWED_NETWORKS: {network} is everything", id="ocpi.E016"))
    try:
        egress.proxy(settings.OCPI_EGRESS_PROXY)
    except ValueError as error:
        found.append(Error(f"OCPI_EGRESS_PROXY: {error}", id="ocpi.E015"))
    return found


@register("ocpi")
def durations(app_configs: Apps, **options: Any) -> list[CheckMessage]:
    """A push must live longer than one attempt, and a forward longer than its connection."""
    found: list[CheckMessage] = []
    if settings.OCPI_PUSH_TTL < settings.OCPI_REQUEST_TIMEOUT:
        found.append(Error("OCPI_PUSH_TTL: must not be below OCPI_REQUEST_TIMEOUT", id="ocpi.E005"))
    found += [
        Error(f"{name}: must not be below OCPI_CONNECT_TIMEOUT", id="ocpi.E006")
        for name in ("OCPI_REQUEST_TIMEOUT", "OCPI_FORWARD_TIMEOUT", "OCPI_AUTHORIZE_TIMEOUT")
        if getattr(settings, name) < settings.OCPI_CONNECT_TIMEOUT
    ]
    if not 300 <= settings.OCPI_ACTIVE_PROFILE_SECONDS <= 3600:  # CHP-23
        found.append(Error("OCPI_ACTIVE_PROFILE_SECONDS: must lie between 5 and 60 minutes", id="ocpi.E009"))
    return found


@register("ocpi")
def modules(app_configs: Apps, **options: Any) -> list[CheckMessage]:
    """A module without those it depends on is of no use to a partner (VER-13, VER-14)."""
    if not set(settings.OCPI_SIDES) <= set(_SIDES):
        return []  # E001 says so
    served = import_module("ocpi.endpoints").served()  # by name: it has models, which are not there yet
    advertised = {(entry.module, entry.role) for entry in served}
    names = {module for module, _ in advertised}
    return [
        Warning(f"{module} {role} is advertised without {needed}, on which it depends", id="ocpi.W001")
        for (module, role), needs in _NEEDS.items()
        for needed in needs
        if (module, role) in advertised and needed not in names
    ]


@register("ocpi")
def keys(app_configs: Apps, **options: Any) -> list[CheckMessage]:
    """Tokens can only be sealed with keys of the right length; the keys themselves are never shown."""
    found: list[CheckMessage] = []
    for number, text in enumerate(settings.FIELD_KEYS):
        try:
            size = len(base64.urlsafe_b64decode(text))
        except ValueError:
            size = 0
        if size != _KEY_BYTES:
            found.append(Error(f"FIELD_KEYS[{number}]: must be URL-safe Base64 of {_KEY_BYTES} bytes", id="ocpi.E007"))
    if not settings.FIELD_KEYS:
        found.append(Error("FIELD_KEYS: name at least one key", id="ocpi.E007"))
    return found


@register(Tags.security, deploy=True)
def deployment(app_configs: Apps, **options: Any) -> list[CheckMessage]:
    """What may be on a developer's machine and nowhere else."""
    found: list[CheckMessage] = []
    if not settings.OCPI_BASE_URL.startswith("https://"):
        found.append(Error("OCPI_BASE_URL: must begin with https://", id="ocpi.E010"))
    if len(settings.SECRET_KEY) < _SECRET_CHARACTERS or len(set(settings.SECRET_KEY)) < 10:
        found.append(Error(f"SECRET_KEY: needs {_SECRET_CHARACTERS} random characters", id="ocpi.E011"))
    if any(len(set(key.rstrip("="))) < 10 for key in settings.FIELD_KEYS):
        found.append(Error("FIELD_KEYS: a key is not random", id="ocpi.E012"))
    if settings.OCPI_ALLOWED_NETWORKS and not (settings.DEBUG or settings.OCPI_PRIVATE_NETWORKS_CONFIRMED):
        hint = "Set OCPI_PRIVATE_NETWORKS_CONFIRMED=true if partners really live in these networks."
        found.append(Error("OCPI_ALLOWED_NETWORKS: lets partner URLs into your own net", hint=hint, id="ocpi.E013"))
    return found
