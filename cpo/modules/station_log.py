"""Events of note about devices: written down by whoever notices them; critical ones are alarms until seen (OCPP-90)."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from cpo.models import StationEvent
from ocpi import audit, clock

log = logging.getLogger(__name__)

KEPT = timedelta(days=730)
STRANGERS = 10_000
# Table of security events of OCPP 2.0.1 (appendix 1) and the 1.6 whitepaper: those it calls critical.
CRITICAL = frozenset(
    {
        "FirmwareUpdated",
        "SettingSystemTime",
        "StartupOfTheDevice",
        "ResetOrReboot",
        "SecurityLogWasCleared",
        "MemoryExhaustion",
        "TamperDetectionActivated",
        "InvalidFirmwareSignature",
        "InvalidFirmwareSigningCertificate",
        "InvalidCsmsCertificate",
        "InvalidCentralSystemCertificate",
        "InvalidChargingStationCertificate",
        "InvalidChargePointCertificate",
        "InvalidTLSVersion",
        "InvalidTLSCipherSuite",
        "FailedToAuthenticateAtCsms",
        "FailedToAuthenticateAtCentralSystem",
        "CsmsFailedToAuthenticate",
        "CentralSystemFailedToAuthenticate",
        "AttemptedReplayAttacks",
        "MaintenanceLoginAccepted",
        "MaintenanceLoginFailed",
    }
)
# Critical in the standard's table, and everyday life of a healthy charge point all the same: kept, and no alarm.
_EVERYDAY = frozenset({"FirmwareUpdated", "SettingSystemTime", "StartupOfTheDevice", "ResetOrReboot"})
ALARMING = CRITICAL - _EVERYDAY


def note(
    charge_point_id: int,
    kind: str,
    *,
    at: datetime,
    info: str = "",
    source: StationEvent.Source = StationEvent.Source.PLATFORM,
    critical: bool = False,
) -> StationEvent:
    """Write an event down, in the caller's transaction."""
    if critical:
        log.warning("charge point %s: %s", charge_point_id, kind)
    return StationEvent.objects.create(
        charge_point_id=charge_point_id,
        source=source,
        kind=kind[:50],
        critical=critical,
        info=info.replace("\x00", "")[:255],
        at=at,
    )


def see(event_ids: list[int], *, by: str) -> int:
    """End the alarms of these events; return how many there were."""
    ended = StationEvent.objects.filter(pk__in=event_ids, critical=True, seen_at=None).update(
        seen_at=clock.now(), seen_by=by[:150]
    )
    if ended:
        audit.record("stationevent.seen", actor=by, about=f"{ended} events", details={"events": event_ids[:50]})
    return ended


def forget_old() -> int:
    """Remove events older than two years; of identities nobody knows only the newest 10,000 stay. Return how many."""
    old = StationEvent.objects.filter(received_at__lt=clock.now() - KEPT).order_by("pk").values("pk")[:10_000]
    removed, _ = StationEvent.objects.filter(pk__in=old).delete()
    strangers = StationEvent.objects.filter(charge_point=None).order_by("-pk").values_list("pk", flat=True)
    last = list(strangers[STRANGERS : STRANGERS + 1])
    if last:
        removed += StationEvent.objects.filter(charge_point=None, pk__lte=last[0]).delete()[0]
    return removed
