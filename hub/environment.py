"""Read one setting from the environment, typed, or fail with the variable's name."""

import base64
import ipaddress
import os
import secrets
from collections.abc import Iterable
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


def text(name: str, default: str | None = None) -> str:
    """Return a variable as it is; without a default it must be set.

    :raises ImproperlyConfigured: if it is missing.
    """
    value = os.environ.get(name, "").strip() or default
    if value is None:
        raise ImproperlyConfigured(f"{name} is not set: put it into the environment")
    return value


def flag(name: str, *, default: bool = False) -> bool:
    """Return a yes or a no.

    :raises ImproperlyConfigured: if it is neither.
    """
    value = os.environ.get(name)
    if value is None:
        return default
    if value.strip().lower() in _TRUE:
        return True
    if value.strip().lower() in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name} must be true or false")


def integer(name: str, default: int, *, at_least: int = 0) -> int:
    """Return a whole number.

    :raises ImproperlyConfigured: if it is none, or too small.
    """
    value = os.environ.get(name, "").strip() or str(default)
    if not (value.isascii() and value.isdigit()):
        raise ImproperlyConfigured(f"{name} must be a whole number, got {value[:20]!r}")
    if int(value) < at_least:
        raise ImproperlyConfigured(f"{name} must be at least {at_least}")
    return int(value)


def seconds(name: str, default: float) -> float:
    """Return a duration in seconds, above zero.

    :raises ImproperlyConfigured: if it is none.
    """
    value = os.environ.get(name, "").strip() or str(default)
    try:
        duration = float(value)
    except ValueError:
        duration = 0.0
    if not 0 < duration < 10_000_000:
        raise ImproperlyConfigured(f"{name} must be a number of seconds above 0, got {value[:20]!r}")
    return duration


def rate(name: str, default: int, *, burst: str) -> tuple[int, int]:
    """Return requests per second and how many at once (four seconds' worth unless said); "off" or empty is 0 and 0.

    :raises ImproperlyConfigured: if either is no whole number.
    """
    value = os.environ.get(name)
    if value is not None and value.strip().lower() in ("", "off", "0"):
        return 0, 0
    per_second, _, at_once = (value or str(default)).partition("/")
    found = []
    for one in (per_second, at_once or os.environ.get(burst, "") or "0"):
        if not (one.strip().isascii() and one.strip().isdigit()):
            raise ImproperlyConfigured(f"{name} must be requests per second such as 50 or 50/200, got {one[:20]!r}")
        found.append(int(one))
    return found[0], found[1] or 4 * found[0]


def names(name: str, default: Iterable[str] = ()) -> list[str]:
    """Return a list separated by commas; set but empty means an empty list."""
    value = os.environ.get(name)
    return list(default) if value is None else members(value)


def networks(name: str) -> list[str]:
    """Return a list of addresses and networks.

    :raises ImproperlyConfigured: if one of them is neither.
    """
    found = names(name)
    for network in found:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            raise ImproperlyConfigured(f"{name} must hold addresses and networks, got {network[:40]!r}") from None
    return found


def members(value: str) -> list[str]:
    """Return what stands between the commas."""
    return [member.strip() for member in value.split(",") if member.strip()]


def choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    """Return one of the allowed words.

    :raises ImproperlyConfigured: if it is another.
    """
    value = text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}")
    return value


def database(name: str, default: str) -> dict[str, object]:
    """Return Django's connection entries for a postgresql:// address.

    :raises ImproperlyConfigured: if it is no such address. The address itself is not shown: it holds a password.
    """
    wrong = ImproperlyConfigured(f"{name} must look like postgresql://user:password@host:5432/name")
    try:
        parts = urlsplit(text(name, default))
        hosts, ports = _places(parts.netloc.rpartition("@")[2])
    except ValueError:  # which shows what it could not read
        raise wrong from None
    if parts.scheme not in {"postgresql", "postgres"} or not parts.path.strip("/"):
        raise wrong
    return {
        "ENGINE": "ocpi.postgresql",
        "NAME": unquote(parts.path.strip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": hosts,
        "PORT": ports,
        "OPTIONS": dict(parse_qsl(parts.query)),
    }


def _places(places: str) -> tuple[str, str]:
    """Return the hosts and the ports of an address as libpq takes them, those of several with commas in between.

    :raises ValueError: if one has no proper port.
    """
    found = [urlsplit(f"//{place}") for place in places.split(",")]
    ports = [str(place.port or "") for place in found]
    return ",".join(unquote(place.hostname or "") for place in found), ",".join(ports) if any(ports) else ""


def redis(name: str, default: str) -> str:
    """Return the address of a Redis or Valkey server as it is.

    :raises ImproperlyConfigured: if it is none. The address itself is not shown: it may hold a password.
    """
    value = text(name, default)
    try:
        parts = urlsplit(value)
        is_one = parts.scheme in {"redis", "rediss", "unix"} and parts.port != 0
    except ValueError:  # which shows what it could not read
        is_one = False
    if not is_one:
        raise ImproperlyConfigured(f"{name} must look like redis://:password@host:6379/0")
    return value


def new_secrets() -> dict[str, str]:
    """Return a fresh SECRET_KEY and FIELD_KEYS."""
    return {
        "SECRET_KEY": secrets.token_urlsafe(64),
        "FIELD_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }
