"""The hub's own URL in a partner's place: response_url, a CDR's Location, a page's Link (HUB-72…75).

The CPO has no token for the eMSP and must not send the hub's token to it, so it gets a URL of the hub that nobody can
guess, that only the CPO's platform may use, and that ends by itself.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

import msgspec
from django.conf import settings

from hub.models import Callback
from ocpi import clock, documents, response_urls, status
from ocpi.headers import Address
from ocpi.snapshot import KnownPlatform
from ocpi.v2_2_1.types import parse_datetime

PATH = "hub/2.2.1/callbacks"
MODULES = ("commands", "chargingprofiles")  # whose requests have a response_url; elsewhere it is any member (HUB-21)
_LIFE = timedelta(hours=1)  # beyond the announced timeout or the reservation's end
_DEFAULT_TIMEOUT = timedelta(seconds=120)
_LONGEST = timedelta(days=30)
_MEMBER = b'"response_url"'


@dataclass(frozen=True, slots=True)
class Ends:
    """Whose URL it is, who may use the hub's in its place, and their parties that the request is between."""

    owner_id: int
    caller_id: int
    owner_party: Address | None
    caller_party: Address | None


@dataclass(frozen=True, slots=True)
class Replaced:
    """A message with the hub's URL in the partner's place."""

    body: bytes
    query: str
    callback: Callback | None


def may_have_response_url(body: bytes, query: str) -> bool:
    """Say whether a message has to be looked at for a response_url."""
    # The name may also be spelled with escapes, which no honest partner does (HUB-72).
    return _MEMBER in body or b"\\u" in body or (query != "" and response_urls.is_in(query))


def replace_response_url(
    body: bytes, query: str, *, module: str, asker: KnownPlatform, ends: Ends, correlation_id: str
) -> Replaced:
    """Keep the response_url of a command or profile and put the hub's own in its place, the rest untouched.

    One at a host that is not approved for who asks is kept, too: an admin, who sees it at once, may approve it before
    the result comes, and the driver charges in any case (SEC-21).

    :raises InvalidParameters: if the response_url is none that could be called when the result comes (TRN-002, SEC-25).
    """

    def keep(original: object, expires_at: datetime) -> Callback:
        if not isinstance(original, str):
            raise status.InvalidParameters("response_url", "must be an absolute URL")
        response_urls.is_approved(original, asker)
        return _keep(
            Callback.Kind.RESPONSE_URL, original, expires_at, module=module, ends=ends, correlation_id=correlation_id
        )

    if _MEMBER in body or b"\\u" in body:
        members = documents.members(body)
        if "response_url" in members:
            original = msgspec.json.decode(members["response_url"])
            callback = keep(original, _expiry(members))
            members["response_url"] = msgspec.Raw(msgspec.json.encode(url_of(callback)))
            return Replaced(msgspec.json.encode(members), query, callback)
    if response_urls.is_in(query):
        others, original = response_urls.from_query(query)
        callback = keep(original, _expiry({}))
        pairs = {**others, "response_url": url_of(callback)}
        return Replaced(body, urlencode(pairs, quote_via=quote), callback)
    return Replaced(body, query, None)


def extend(callback: Callback, timeout_seconds: int) -> None:
    """Keep a callback alive for the timeout the receiver announced."""
    wanted = clock.now() + timedelta(seconds=min(max(timeout_seconds, 0), 86_400)) + _LIFE
    if callback.expires_at and wanted > callback.expires_at:
        Callback.objects.filter(pk=callback.pk).update(expires_at=wanted)


def drop(callback: Callback) -> None:
    """Forget a callback whose request was not accepted."""
    Callback.objects.filter(pk=callback.pk, used_at=None).delete()


def replace_url(kind: Callback.Kind, url: str, *, module: str, ends: Ends, correlation_id: str) -> str:
    """Return the hub's URL in place of a Location or Link URL of an answer."""
    expires_at = None if kind == Callback.Kind.LOCATION else clock.now() + timedelta(hours=24)
    callback = _keep(kind, url, expires_at, module=module, ends=ends, correlation_id=correlation_id)
    return url_of(callback)


def find(key: str, *, caller_id: int) -> Callback:
    """Return a live callback, if this platform may use it.

    :raises UnknownObject: for an unknown, expired or foreign one, all alike (SEC-39, SEC-41).
    """
    callback = Callback.objects.filter(key=key, caller_id=caller_id).first()
    if callback is None or (callback.expires_at and callback.expires_at < clock.now()):
        raise status.UnknownObject("There is nothing at this URL")
    return callback


def url_of(callback: Callback) -> str:
    return f"{settings.OCPI_BASE_URL}/ocpi/{PATH}/{callback.key}"


def _keep(
    kind: Callback.Kind,
    url: object,
    expires_at: datetime | None,
    *,
    module: str,
    ends: Ends,
    correlation_id: str,
) -> Callback:
    if not isinstance(url, str) or not url.lower().startswith(("https://", "http://")) or len(url) > 2048:
        raise status.InvalidParameters("response_url", "must be an absolute URL")
    return Callback.objects.create(
        key=secrets.token_urlsafe(32),
        kind=kind,
        url=url,
        owner_id=ends.owner_id,
        caller_id=ends.caller_id,
        owner_party=str(ends.owner_party or ""),
        caller_party=str(ends.caller_party or ""),
        module=module,
        correlation_id=correlation_id,
        expires_at=expires_at,
    )


def _expiry(members: Mapping[str, msgspec.Raw]) -> datetime:
    """Return when a callback ends if nothing else is announced; a reservation's outlives its expiry_date (CMD-20)."""
    now = clock.now()
    end = now + _DEFAULT_TIMEOUT
    if "expiry_date" in members:
        text = msgspec.json.decode(members["expiry_date"])
        with contextlib.suppress(ValueError):  # the receiver judges the date, the hub only needs an end
            end = max(end, min(parse_datetime(str(text)), now + _LONGEST))
    return end + _LIFE
