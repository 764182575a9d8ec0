"""What can be answered to charging preferences, and the limit that follows from them. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_UP, Decimal

from cpo.charging_schedules import Electrics, Schedule, W
from ocpi.v2_2_1.sessions import ChargingPreferencesResponse as Response
from ocpi.v2_2_1.sessions import ProfileType

# Whose energy is spread over the time there is; the others charge as fast as they can.
SPREAD = frozenset({ProfileType.CHEAP, ProfileType.GREEN})
# A limit is no promise: cars lose some of it, and take less towards the end.
_RESERVE = Decimal("1.1")
_TENTH = Decimal("0.1")
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Needs:
    """What the driver wants: energy in kWh, by when."""

    profile_type: ProfileType
    departure: datetime | None = None
    energy: Decimal | None = None


def decide(needs: Needs, supported: Collection[ProfileType], electrics: Electrics, at: datetime) -> Response:
    """Return the answer to preferences for a session that runs (SES-38, SES-39)."""
    if needs.profile_type not in supported:
        return Response.PROFILE_TYPE_NOT_SUPPORTED
    spread = needs.profile_type in SPREAD
    if needs.departure is None and spread:
        return Response.DEPARTURE_REQUIRED
    if needs.energy is None and spread:
        return Response.ENERGY_NEED_REQUIRED
    if needs.departure is not None and needs.departure <= at:
        return Response.NOT_POSSIBLE
    if needs.departure is not None and needs.energy is not None:
        most = electrics.maximum_w * Decimal((needs.departure - at).total_seconds()) / _HOUR
        if needs.energy * 1000 > most:
            return Response.NOT_POSSIBLE
    return Response.ACCEPTED


def limit(needs: Needs, electrics: Electrics, at: datetime) -> Schedule | None:
    """Return the upper limit until departure with which the energy needed just gets in; nothing if there is none.

    Not below what a car needs to charge at all: then it is full earlier.
    """
    if needs.profile_type not in SPREAD or needs.departure is None or needs.energy is None:
        return None
    seconds = int((needs.departure - at).total_seconds())
    even = needs.energy * 1000 * _HOUR / max(seconds, 1) * _RESERVE
    power = min(max(even, electrics.least_w), electrics.maximum_w).quantize(_TENTH, ROUND_UP)
    return Schedule(W, ((0, power),), start=at, duration=max(seconds, 1))
