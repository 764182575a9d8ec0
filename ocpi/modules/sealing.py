"""Change the key under which tokens for our calls are kept (SEC-04)."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from django.db import transaction

from ocpi import secrets, snapshot
from ocpi.models import Platform

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Sealed:
    """What became of the tokens."""

    sealed_anew: int = 0
    left: int = 0
    unopened: list[str] = field(default_factory=list)  # platforms whose key is gone


def seal_anew(*, check: bool = False) -> Sealed:
    """Seal every token with the newest key, each in a transaction of its own; with `check` only count.

    May run while everything runs: all keys of FIELD_KEYS open, and a token that changes meanwhile is not overwritten.
    """
    done = Sealed()
    for platform_id in Platform.objects.exclude(token_out="").order_by("id").values_list("pk", flat=True):
        with transaction.atomic():
            platform = Platform.objects.select_for_update().get(pk=platform_id)
            if not platform.token_out or secrets.sealed_with_newest(platform.token_out):
                done.left += 1
                continue
            context = snapshot.token_context(platform_id)
            try:
                token = secrets.decrypt(platform.token_out, context=context)
            except secrets.Unsealable:
                done.unopened.append(platform.name)
                continue
            done.sealed_anew += 1
            if not check:
                platform.token_out = secrets.encrypt(token, context=context)
                platform.save(update_fields=["token_out"])
    if done.sealed_anew and not check:
        log.warning("%d tokens are sealed with the newest key", done.sealed_anew)
        snapshot.changed()
    return done
