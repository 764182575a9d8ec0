"""Whether a platform is being told of a party right now: its ClientInfo and its first objects go out side by side."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now

from ocpi.enums import ModuleID
from ocpi.headers import Address
from ocpi.models import Delivery, FinishedDelivery

# Who was told of a party may still be committing it, or asking for what it missed.
_JUST = timedelta(seconds=30)


def is_new(platform_id: int, party: Address) -> bool:
    """Say whether the ClientInfo of a party is on its way to a platform, or arrived there just now."""
    told = {
        "platform_id": platform_id,
        "module": ModuleID.hubclientinfo,
        "path__iexact": f"{party.country_code}/{party.party_id}",
    }
    if Delivery.objects.filter(**told).exists():
        return True
    return FinishedDelivery.objects.filter(**told, state="DELIVERED", finished_at__gt=Now() - _JUST).exists()
