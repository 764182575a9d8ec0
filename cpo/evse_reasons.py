"""Why an EVSE has the Status it has: the first condition of table M-3 that holds, in words for an operator. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cpo import evse_states
from ocpi.alarms import duration


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an EVSE."""

    status: str
    has_charge_point: bool = True
    closing: str | None = None  # the reason of the closing in force
    online: bool = False
    last_seen_at: datetime | None = None
    connector: str = ""  # its state, as the charge point says
    connector_since: datetime | None = None
    error_code: str = ""
    whole: str = ""  # the state of the charge point as a whole
    transaction: str = ""  # the open one
    sibling: bool = False  # another connector of the same hardware is in use


def why(known: Known, now: datetime) -> str:
    """Return why; an empty text says that nothing is known."""
    if known.status == "REMOVED":
        return "decommissioned"
    if known.status == "PLANNED":
        return "not yet in operation"
    if not known.has_charge_point:
        return "as loaded with its Location: no charge point is behind it"
    charges = f", {known.transaction} goes on" if known.transaction else ""
    if known.closing is not None:
        return f"closed by us{': ' if known.closing else ''}{known.closing}{charges}"
    away = timedelta() if known.online or known.last_seen_at is None else now - known.last_seen_at
    if away > evse_states.DEFAULT.offline_grace:
        return f"offline for {duration(away.total_seconds())}"
    if not known.connector and known.whole not in ("Unavailable", "Faulted"):
        return "its charge point has never said anything about it"
    if known.sibling and not known.transaction:
        return "another connector of the same hardware is in use"
    return _said(known, now)


def _said(known: Known, now: datetime) -> str:
    if known.transaction:
        return f"{known.transaction}, its connector says {known.connector or 'nothing'}"
    if known.whole in ("Unavailable", "Faulted"):
        return f"the charge point as a whole is {known.whole}"
    since = f" for {duration((now - known.connector_since).total_seconds())}" if known.connector_since else ""
    error = "" if known.error_code in ("", "NoError") else f" ({known.error_code})"
    return f"its connector says {known.connector}{error}{since}"
