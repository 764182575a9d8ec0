"""Which 40 hexadecimal digits are the password of a charge point, for whoever masks texts (SEC-50, OCPP-05).

Only passwords that we made are known so: a keyed digest of each is in the database. Of the digests eight octets are
kept, sorted, a megabyte for 100,000 charge points, and nothing before the first text with such digits in it comes. The
database announces every change of a password.
"""

from __future__ import annotations

import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

from cpo.gateway import passwords
from cpo.models import ChargePoint
from ocpi import snapshot

CHANNEL = "ocpp_password"
_PREFIX = "hmac$"
_UNHEARD_SECONDS = 1.0  # so long it is trusted where no change is announced to us


@dataclass(frozen=True, slots=True)
class _Kept:
    numbers: Sequence[int]
    read_at: float  # on time.monotonic


_kept: _Kept | None = None
_generation = 0
_reading = threading.Lock()


def needed() -> bool:
    """Say whether this instance has charge points."""
    return "cpo" in settings.OCPI_SIDES


def is_live(digits: str, may_read: bool) -> bool:
    """Say whether these digits are such a password; without reading, as far as is in memory."""
    kept = _current() if may_read else _kept
    if kept is None:
        return False
    number = _number(passwords.digest(digits, str(settings.SECRET_KEY)))
    place = bisect_left(kept.numbers, number)
    return place < len(kept.numbers) and kept.numbers[place] == number


def heard(_: str) -> None:
    """Forget what was read: a password changed, or that may have been missed."""
    global _kept, _generation
    _generation += 1
    _kept = None


def _current() -> _Kept:
    global _kept
    with _reading:
        kept = _kept
        if kept is not None and (snapshot.hears() or time.monotonic() < kept.read_at + _UNHEARD_SECONDS):
            return kept
        generation, read_at = _generation, time.monotonic()
        found = _Kept(array("Q", sorted(_numbers())), read_at)
        if generation == _generation:
            _kept = found
        return found


def _numbers() -> set[int]:
    columns = ChargePoint.objects.values_list("password_digest", "next_password_digest")
    return {_number(stored) for row in columns.iterator(10_000) for stored in row if stored.startswith(_PREFIX)}


def _number(stored: str) -> int:
    return int(stored[len(_PREFIX) : len(_PREFIX) + 16], 16)
