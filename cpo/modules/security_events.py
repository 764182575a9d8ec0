"""SecurityEventNotification: kept, and an alarm if its type is one of the critical ones (OCPP-90)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cpo.gateway import moments
from cpo.models import InboxMessage, StationEvent
from cpo.modules import station_log


def note(message: InboxMessage, payload: Mapping[str, Any]) -> None:
    """Keep a security event of a charge point."""
    kind = str(payload.get("type") or "").replace("\x00", "")[:50] or "unnamed"
    station_log.note(
        message.charge_point_id,
        kind,
        at=moments.read(payload.get("timestamp"), message.received_at).at,
        info=str(payload.get("techInfo") or ""),
        source=StationEvent.Source.STATION,
        critical=kind in station_log.ALARMING,
    )
