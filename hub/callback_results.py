"""One result for each response_url: the second is refused, the same once more is answered as before (HUB-72, REL-47).

A reservation has two: what became of the command, and later that it was canceled (CMD-20). A result that did not get
through, or was not taken, may come again. While one is on its way to the requester, another waits its turn: it is
refused for the moment.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta

import msgspec
from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now

from hub.models import Callback
from ocpi import status

_CANCELED = "CANCELED_RESERVATION"
_BEYOND = timedelta(seconds=5)  # the answer of a requester that just made it in time is written down
_LONGEST = 64 * 1024  # octets of an answer that are kept


class Passed(msgspec.Struct, array_like=True):
    """A result that was passed on, and what the requester answered."""

    digest: str
    is_cancellation: bool
    http_status: int
    body: str


@dataclass(frozen=True, slots=True)
class Given:
    """A result that is to be passed on."""

    digest: str
    is_cancellation: bool


_results = msgspec.json.Decoder(list[Passed])


def begin(callback: Callback, body: bytes) -> Passed | None:
    """Take a result to be passed on; return what was answered if this one has been.

    :raises InvalidParameters: if another was passed on, and this is not the cancellation of a reservation.
    :raises HubError: if one is on its way just now.
    """
    given = _given(callback, body)
    callback.refresh_from_db(fields=["results"])
    earlier = _results.decode(callback.results)
    for each in earlier:
        if each.digest == given.digest:
            return each
    if any(each.is_cancellation == given.is_cancellation for each in earlier):
        raise status.InvalidParameters("result", "was given already: there is one for each request")
    until = Now() + timedelta(seconds=settings.OCPI_FORWARD_TIMEOUT) + _BEYOND
    # Whoever has read the same results and was faster has them changed, or is on the way.
    free = Q(passing_until=None) | Q(passing_until__lt=Now())
    if not Callback.objects.filter(free, pk=callback.pk, results=callback.results).update(passing_until=until):
        raise status.HubError("A result for this request is being passed on: send it again later")
    return None


def end(callback: Callback, body: bytes, answered: tuple[int, bytes] | None) -> None:
    """Note what became of a result; `answered` is the HTTP status and body if the requester took it."""
    rows = Callback.objects.filter(pk=callback.pk)
    if answered is None:
        rows.update(passing_until=None)
        return
    http_status, octets = answered
    given = _given(callback, body)
    kept = octets.decode("utf-8", "replace") if len(octets) <= _LONGEST else ""
    passed = Passed(given.digest, given.is_cancellation, http_status, kept.replace("\0", ""))
    results = msgspec.json.encode([*_results.decode(callback.results), passed]).decode()
    rows.update(passing_until=None, results=results, used_at=Coalesce(F("used_at"), Now()))


def _given(callback: Callback, body: bytes) -> Given:
    """Return what a result is known by: its content, however it is written."""
    found = msgspec.json.decode(body)
    canonical = msgspec.json.encode(found, order="sorted")
    is_cancellation = callback.module == "commands" and isinstance(found, dict) and found.get("result") == _CANCELED
    return Given(hashlib.sha256(canonical).hexdigest(), is_cancellation)
