"""Wake the worker, by name: a publish never blocks or fails a request (REL-04)."""

from __future__ import annotations

import logging

from celery import current_app
from django.conf import settings
from kombu.exceptions import KombuError
from redis import RedisError

log = logging.getLogger(__name__)


def check(cdr_id: int) -> None:
    """Have a CDR checked soon. Redis away means later: the sweep finds it."""
    if not getattr(settings, "OCPI_WAKE", True):
        return
    try:
        current_app.send_task("emsp.tasks.check_cdr", args=[cdr_id], expires=60, retry=False, ignore_result=True)
    except (KombuError, RedisError, OSError) as error:
        log.warning("CDR %s is checked by the sweep: %s", cdr_id, type(error).__name__)
