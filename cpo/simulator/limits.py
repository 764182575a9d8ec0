"""The charging profiles a simulated charge point holds, and the power they leave to a connector. Pure.

Written from OCPP 1.6, chapter Smart Charging, without a look at the central system's own idea of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

Payload = dict[str, Any]

WHOLE, DEFAULT, SESSION = "ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"
LEVELS, PERIODS, HELD = 8, 24, 20
CONFIGURATION = {
    "SupportedFeatureProfiles": (
        "Core,FirmwareManagement,LocalAuthListManagement,RemoteTrigger,Reservation,SmartCharging"
    ),
    "ChargeProfileMaxStackLevel": str(LEVELS),
    "ChargingScheduleAllowedChargingRateUnit": "Current,Power",
    "ChargingScheduleMaxPeriods": str(PERIODS),
    "MaxChargingProfilesInstalled": str(HELD),
}


@dataclass(frozen=True, slots=True)
class Held:
    """One profile, its start in the charge point's own time."""

    number: int
    connector: int
    purpose: str
    level: int
    transaction: int | str | None
    start: datetime
    duration: float | None
    periods: tuple[tuple[float, float], ...]  # seconds, W

    def watts(self, at: datetime) -> float | None:
        seconds = (at - self.start).total_seconds()
        if seconds < 0 or (self.duration is not None and seconds >= self.duration):
            return None
        found = [limit for begin, limit in self.periods if begin <= seconds]
        return found[-1] if found else None

    def edges(self) -> list[datetime]:
        ends = [] if self.duration is None else [self.duration]
        return [self.start + timedelta(seconds=each) for each in (*(begin for begin, _ in self.periods), *ends)]


class Profiles:
    """All profiles of a charge point whose connectors have this voltage and number of phases."""

    def __init__(self, voltage: float, phases: int, power_w: float) -> None:
        self._ampere = voltage * phases
        self._power_w = power_w
        self.held: dict[int, Held] = {}

    def set(self, payload: Payload, now: datetime, sessions: dict[int, tuple[int | str, datetime]]) -> str:
        """Take a profile; `sessions` are the transactions by connector, with their start."""
        connector, profile = payload["connectorId"], payload["csChargingProfiles"]
        purpose, schedule = profile["chargingProfilePurpose"], profile["chargingSchedule"]
        running = sessions.get(connector)
        if purpose == SESSION and (running is None or profile.get("transactionId") not in (None, running[0])):
            return "Rejected"
        if (purpose == WHOLE and connector) or profile["stackLevel"] > LEVELS:
            return "Rejected"
        if len(schedule["chargingSchedulePeriod"]) > PERIODS or len(self.held) >= HELD:
            return "Rejected"
        factor = 1.0 if schedule["chargingRateUnit"] == "W" else self._ampere
        taken = Held(
            number=profile["chargingProfileId"],
            connector=connector,
            purpose=purpose,
            level=profile["stackLevel"],
            transaction=running[0] if purpose == SESSION and running else None,
            start=_start(profile["chargingProfileKind"], schedule.get("startSchedule"), now, running),
            duration=schedule.get("duration"),
            periods=tuple((each["startPeriod"], each["limit"] * factor) for each in schedule["chargingSchedulePeriod"]),
        )
        place = (taken.purpose, taken.level, taken.connector)
        same = [n for n, each in self.held.items() if (each.purpose, each.level, each.connector) == place]
        for number in {*same, taken.number}:
            self.held.pop(number, None)
        self.held[taken.number] = taken
        return "Accepted"

    def clear(self, payload: Payload) -> str:
        """Remove what fits all of the criteria; an id stands for itself."""
        wanted = [
            number
            for number, each in self.held.items()
            if payload.get("id", number) == number
            and payload.get("connectorId", each.connector) == each.connector
            and payload.get("chargingProfilePurpose", each.purpose) == each.purpose
            and payload.get("stackLevel", each.level) == each.level
        ]
        for number in wanted:
            del self.held[number]
        return "Accepted" if wanted else "Unknown"

    def end(self, transaction: int | str) -> None:
        """Forget the profiles of a transaction that is over."""
        self.held = {number: each for number, each in self.held.items() if each.transaction != transaction}

    def available(self, connector: int, now: datetime) -> float:
        """Return the W that a connector may draw now."""
        best: dict[str, tuple[tuple[int, bool], float]] = {}
        for each in self.held.values():
            watts = each.watts(now)
            rank = (each.level, each.connector > 0)
            if each.connector in (0, connector) and watts is not None and rank >= best.get(each.purpose, (rank, 0))[0]:
                best[each.purpose] = (rank, watts)
        own = best.get(SESSION) or best.get(DEFAULT)
        limits = [self._power_w, *(found[1] for found in (own, best.get(WHOLE)) if found)]
        return max(min(limits), 0.0)

    def composite(self, payload: Payload, now: datetime, written: str) -> Payload:
        """Answer GetCompositeSchedule; `written` is now as the central system reads it."""
        connector, seconds = payload["connectorId"], payload["duration"]
        until = now + timedelta(seconds=seconds)
        moments = sorted({now, *(edge for each in self.held.values() for edge in each.edges() if now < edge < until)})
        periods: list[Payload] = []
        for moment in moments:
            watts = round(self.available(connector, moment), 1)
            if not periods or periods[-1]["limit"] != watts:
                periods.append({"startPeriod": int((moment - now).total_seconds()), "limit": watts})
        return {
            "status": "Accepted",
            "connectorId": connector,
            "scheduleStart": written,
            "chargingSchedule": {"duration": seconds, "chargingRateUnit": "W", "chargingSchedulePeriod": periods},
        }


def _start(kind: str, written: str | None, now: datetime, running: tuple[int | str, datetime] | None) -> datetime:
    if kind == "Relative" or written is None:
        return running[1] if running else now
    # The central system's clock is the real one, ours may not be: what counts is how far away it is.
    return now + (datetime.fromisoformat(written.replace("Z", "+00:00")) - datetime.now(UTC))
