"""Read a handshake: identity, subprotocol, credentials; count what goes wrong. No I/O."""

import base64
import binascii
import re
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from cpo.gateway.actions import SUBPROTOCOLS

_IDENTITY = re.compile(r"[A-Za-z0-9*\-_=:+|@.]{1,48}")


class Refused(Exception):
    """A handshake that ends in an HTTP error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Credentials:
    user: str
    password: bytes


def identity(path: str) -> str:
    """Return the identity in the last path segment (OCPP-01).

    :raises Refused: if it is none.
    """
    segment = path.partition("?")[0].rpartition("/")[2]
    try:
        name = unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        name = ""
    if not _IDENTITY.fullmatch(name):
        raise Refused(
            400, "the last path segment must be an identity of 1 to 48 characters: letters, digits, *-_=:+|@."
        )
    return name


def offered(headers: Iterable[str]) -> list[str]:
    """Return the subprotocols of all Sec-WebSocket-Protocol headers, in the charge point's order."""
    return [name.strip() for header in headers for name in header.split(",") if name.strip()]


def subprotocol(names: list[str], allowed: list[str], *, none_is_16: bool) -> str | None:
    """Return the first one in the charge point's order that both sides allow; None for 1.6 without a name (OCPP-02).

    :raises Refused: if there is none.
    """
    for name in names:
        if name in SUBPROTOCOLS and name in allowed:
            return name
    if not names and none_is_16 and "ocpp1.6" in allowed:
        return None
    raise Refused(400, f"no common WebSocket subprotocol; supported: {', '.join(SUBPROTOCOLS)}")


def credentials(header: str | None) -> Credentials | None:
    """Return what an Authorization header shows; the password stays bytes (OCPP-05)."""
    scheme, _, value = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(value.strip(), validate=True).partition(b":")
        return Credentials(user.decode(), password) if colon else None
    except (binascii.Error, UnicodeDecodeError):
        return None


def profile(*, authenticated: bool, secure: bool, certified: bool = False) -> int:
    """Return the security profile a connection has reached (OCPP-04); a good certificate needs no password."""
    if certified and secure:
        return 3
    if not authenticated:
        return 0
    return 2 if secure else 1


def admits(reached: int, required: int, *, secure: bool, refuses_tls: bool) -> bool:
    """Say whether a connection that has reached a profile may come in (OCPP-04): below is refused, above is not."""
    if required == 1 and secure and refuses_tls:
        return False
    return reached >= required


class Failures:
    """How often something happened per key within a window: failed passwords, takeovers (OCPP-08, SEC-61)."""

    def __init__(self, limit: int, seconds: float, keys: int = 10_000) -> None:
        self._limit = limit
        self._seconds = seconds
        self._keys = keys
        self._times: OrderedDict[object, deque[float]] = OrderedDict()
        self._blocked: OrderedDict[object, float] = OrderedDict()

    def blocked(self, key: object, now: float) -> bool:
        return self._blocked.get(key, 0) > now

    def add(self, key: object, now: float) -> bool:
        """Count one; return whether this was the one too many."""
        times = self._times.setdefault(key, deque())
        self._times.move_to_end(key)
        times.append(now)
        while times[0] < now - self._seconds:
            times.popleft()
        if len(self._times) > self._keys:
            self._times.popitem(last=False)
        if len(times) < self._limit:
            return False
        times.clear()
        self._blocked[key] = now + self._seconds
        if len(self._blocked) > self._keys:
            self._blocked.popitem(last=False)
        return True


class Pace:
    """How fast something may happen per key: a bucket of `burst` that fills by `per_second` (SEC-64)."""

    def __init__(self, per_second: float, burst: float, keys: int = 10_000) -> None:
        self._per_second = per_second
        self._burst = burst
        self._keys = keys
        self._buckets: OrderedDict[object, tuple[float, float]] = OrderedDict()

    def allows(self, key: object, now: float) -> bool:
        """Count one, unless it is too much."""
        left, since = self._buckets.pop(key, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._per_second)
        allowed = left >= 1
        self._buckets[key] = (left - 1 if allowed else left, now)
        if len(self._buckets) > self._keys:
            self._buckets.popitem(last=False)
        return allowed
