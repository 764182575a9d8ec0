"""Who may come in: the one place before every OCPI view (SEC-32). Who it is, how often it asks, for whom it speaks."""

from __future__ import annotations

from collections.abc import Collection

from ocpi import authentication, client_certificate, rate_limit, status
from ocpi.enums import Role
from ocpi.headers import Address, Getter
from ocpi.snapshot import Snapshot


def recognize(
    get: Getter, registry: Snapshot, *, peer: str, purposes: frozenset[str] = authentication.CURRENT
) -> authentication.Caller:
    """Return who is calling; `peer` is the address at the other end of the connection.

    A valid token is let in from wherever it comes: behind one proxy, a partner that fails must not lock the others out.

    :raises AuthenticationFailed: for anything but a token that is valid for this purpose, with the certificate that
        its platform has to show, if it has to.
    :raises TooManyRequests: in its place, once this address has failed too often (REL-50).
    """
    try:
        caller = authentication.authenticate(get, registry, purposes=purposes)
        client_certificate.check(caller.platform, get, peer=peer)
        return caller
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


def check_asker(caller: authentication.Caller, sender: Address | None, roles: Collection[Role]) -> None:
    """Refuse a From that is not a party of the caller, or is in none of these roles, if there are any (SEC-34).

    Without From the caller must have a party in one of them, or be a hub.

    :raises InvalidParameters: naming the header.
    """
    authentication.check_sender(caller, sender)
    if not roles:
        return
    wanted = " or ".join(roles)
    if sender is not None:
        if not authentication.acts_for(caller.platform, sender, *roles):
            raise status.InvalidParameters("OCPI-from-party-id", f"{sender} is no {wanted}")
    elif not caller.platform.is_hub and not any(p.active and p.role in roles for p in caller.platform.parties):
        raise status.InvalidParameters("OCPI-from-party-id", f"no party of the calling platform is {wanted}")


def _too_many(wait: float) -> status.TooManyRequests:
    return status.TooManyRequests(headers=rate_limit.retry_after(wait))
