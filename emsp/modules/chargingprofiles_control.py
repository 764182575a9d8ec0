"""Who controls the charging of a Session: ourselves, or one SCSP that has an agreement with us (CHP-13, CHP-27)."""

from __future__ import annotations

from django.conf import settings
from django.db.models import Q

from emsp import chargingprofile_states
from emsp.models import ChargingProfileRequest, Session
from ocpi import authentication, status
from ocpi.headers import Address
from ocpi.snapshot import KnownPlatform

Kind = ChargingProfileRequest.Kind
# What a CLEAR may end with after which no profile is left at the EVSE (CHP-17).
_CLEARED = ("ACCEPTED", "UNKNOWN")


class Controlled(status.InvalidParameters):
    """Somebody else controls the charging of this Session."""


def agreed(platform: KnownPlatform, party: Address) -> bool:
    """Say whether a party may control the charging of our drivers: an approved SCSP that OCPI_SCSP_AGREEMENTS names."""
    return authentication.acts_for(platform, party, "SCSP") and _named(party)


def controller(session: Session) -> ChargingProfileRequest | None:
    """Return the request whose profile a Session follows, or is about to; nothing if nobody controls it.

    Who sets a profile controls the Session until it is cleared, or until the agreement ends.
    """
    rows = ChargingProfileRequest.objects.filter(session=session)
    in_force = Q(state__in=chargingprofile_states.OPEN) | Q(result="ACCEPTED")
    for row in rows.filter(in_force, kind=Kind.SET).order_by("-id"):
        if rows.filter(kind=Kind.CLEAR, result__in=_CLEARED, pk__gt=row.pk).exists():
            return None
        if row.scsp_platform_id is None or _named(_scsp(row)):
            return row
    return None


def claim(session: Session, by: Address | None) -> None:
    """Check that nobody else controls a Session, whose row the caller has locked; `by` nobody is ourselves.

    :raises Controlled: naming who does.
    """
    row = controller(session)
    if row is None:
        return
    holder = _scsp(row) if row.scsp_platform_id is not None else None
    if (holder.key if holder else None) != (by.key if by else None):
        raise Controlled("session_id", f"its charging is controlled by {holder or 'ourselves'}")


def _scsp(row: ChargingProfileRequest) -> Address:
    return Address(row.scsp_country_code, row.scsp_party_id)


def _named(party: Address) -> bool:
    return str(party).upper() in {name.upper() for name in settings.OCPI_SCSP_AGREEMENTS}
