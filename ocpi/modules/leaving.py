"""How an operator ends what binds a platform to us: its registration, or an invitation it has not used."""

from __future__ import annotations

import logging

from django.db import transaction

from ocpi import registration_states
from ocpi.models import Platform
from ocpi.modules import claims, initiation, registration

log = logging.getLogger(__name__)


def leave(platform_id: int, *, tell: bool = True) -> str:
    """End a registration or an invitation, and say what was done; what the platform has sent stays (CRED-43).

    :param tell: a registered platform is told first; without it only we forget the tokens.
    :raises HandshakeFailed: if there is nothing to end, or it cannot be told; then nothing has changed.
    """
    with transaction.atomic():
        platform = Platform.objects.select_for_update().get(pk=platform_id)
        if platform.state == registration_states.INVITED:
            claims.disconnect(platform)
            claims.announce()
            log.warning("the invitation of platform %s is withdrawn by an operator", platform_id)
            return f"The invitation of {platform.name} is withdrawn; its token A is no longer taken."
    if platform.state != registration_states.REGISTERED:
        raise initiation.HandshakeFailed(f"{platform.name} is neither registered nor invited")
    if tell:
        initiation.unregister_at(platform_id)
        return f"{platform.name} was told, and is unregistered."
    registration.unregister(platform_id=platform_id)
    log.warning("platform %s is unregistered by an operator, without being told", platform_id)
    return f"{platform.name} is unregistered here; it was not told."
