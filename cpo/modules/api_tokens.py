"""Tokens of the operation API: made and shown once, recognised by their digest, revoked."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from cpo.models import ApiToken
from ocpi import audit, clock, secrets
from ocpi.headers import Address

SCOPES = ("read", "operate", "manage")
_PREFIX = "ocpp_"
_NOTED_EVERY = timedelta(minutes=1)


class NotMade(ValueError):
    """A token that cannot be made as asked."""


def make(
    name: str, *, tenant: Address | None, scopes: Collection[str], by: str, expires_at: datetime | None = None
) -> tuple[ApiToken, str]:
    """Return a new token and its text, which is nowhere afterwards. Without a tenant it is for all of them.

    :raises NotMade: if a scope is unknown or there is none.
    """
    wanted = [scope for scope in SCOPES if scope in scopes]
    if not wanted or set(scopes) - set(SCOPES):
        raise NotMade(f"scopes: one or more of {', '.join(SCOPES)}")
    text = _PREFIX + secrets.new_token()
    row = ApiToken.objects.create(
        name=name,
        digest=secrets.digest(text),
        ending=text[-4:],
        country_code=tenant.country_code if tenant else "",
        party_id=tenant.party_id if tenant else "",
        scopes=wanted,
        created_by=by[:150],
        expires_at=expires_at,
    )
    whose = str(tenant) if tenant else "every tenant"
    audit.record("api_token.make", actor=by, about=name, details={"scopes": wanted, "tenant": whose})
    return row, text


def find(text: str) -> ApiToken | None:
    """Return the token that was shown, if it is still good; its use is noted once a minute."""
    now = clock.now()
    row = ApiToken.objects.filter(digest=secrets.digest(text), revoked_at=None).first()
    if row is None or (row.expires_at is not None and row.expires_at <= now):
        return None
    unnoted = ApiToken.objects.filter(pk=row.pk).filter(Q(last_used_at=None) | Q(last_used_at__lt=now - _NOTED_EVERY))
    if row.last_used_at is None or row.last_used_at < now - _NOTED_EVERY:
        unnoted.update(last_used_at=now)
    return row


def live() -> Iterable[tuple[str, str]]:
    """Return digest and ending of every token that was not revoked; only an owner's instance has any."""
    if "cpo" not in settings.OCPI_SIDES:  # the table is there on every side; a hub need not read it
        return ()
    return ApiToken.objects.filter(revoked_at=None).values_list("digest", "ending")


def revoke(pk: int, *, by: str) -> bool:
    """End a token at once; say whether it was still good."""
    row = ApiToken.objects.filter(pk=pk, revoked_at=None).first()
    if row is None or not ApiToken.objects.filter(pk=pk, revoked_at=None).update(revoked_at=clock.now()):
        return False
    audit.record("api_token.revoke", actor=by, about=row.name)
    return True
