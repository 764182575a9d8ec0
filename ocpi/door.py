"""Who may come in: the one place before every OCPI view (SEC-32). First who it is, then whether it asks too often."""

from __future__ import annotations

from ocpi import authentication, rate_limit, status
from ocpi.headers import Getter
from ocpi.snapshot import Snapshot


def recognize(
    get: Getter, registry: Snapshot, *, peer: str, purposes: frozenset[str] = authentication.CURRENT
) -> authentication.Caller:
    """Return who is calling; `peer` is the address at the other end of the connection.

    A valid token is let in from wherever it comes: behind one proxy, a partner that fails must not lock the others out.

    :raises AuthenticationFailed: for anything but a token that is valid for this purpose.
    :raises TooManyRequests: in its place, once this address has failed too often (REL-50).
    """
    try:
        return authentication.authenticate(get, registry, purposes=purposes)
    except status.AuthenticationFailed:
        address = rate_limit.caller_address(peer, get("X-Forwarded-For"))
        wait = rate_limit.admit_stranger(address)
        if wait is not None:
            raise _too_many(wait) from None
        rate_limit.refused_stranger(address)
        raise


def limit(caller: authentication.Caller) -> None:
    """Count this request of a platform.

    :raises TooManyRequests: if it has made too many (REL-50).
    """
    wait = rate_limit.admit(caller.platform.id)
    if wait is not None:
        raise _too_many(wait)


def _too_many(wait: float) -> status.TooManyRequests:
    return status.TooManyRequests(headers=rate_limit.retry_after(wait))
