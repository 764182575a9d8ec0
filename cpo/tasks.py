"""What a worker does for the cpo side: it runs the consumer of the charge points' messages as long as it lives."""

from __future__ import annotations

from typing import Any

from celery.signals import worker_ready, worker_shutdown
from django.conf import settings

from cpo import consumer


def _start(**_kwargs: Any) -> None:
    if "cpo" in settings.OCPI_SIDES:
        consumer.run_consumer()


def _stop(**_kwargs: Any) -> None:
    consumer.stop_consumer()


# Celery's own way to say that the worker is there, and that it ends.
worker_ready.connect(_start, weak=False)
worker_shutdown.connect(_stop, weak=False)
