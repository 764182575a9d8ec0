"""The Celery application of every worker and of every process that wakes one."""

import os

from celery import Celery
from celery.signals import celeryd_init, setup_logging, worker_init

from hub import one_cpu

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

app = Celery("hub")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@celeryd_init.connect
def _take_warnings(**given: object) -> None:
    from hub import celery_lines  # only workers and the clock need it

    celery_lines.take_warnings(**given)


@setup_logging.connect
def _set_up_lines(loglevel: int, **given: object) -> None:
    from hub import celery_lines

    celery_lines.set_up(loglevel, **given)


@worker_init.connect
def _begin(**_: object) -> None:
    """Have a worker's threads stay together on one CPU."""
    from django.conf import settings

    if settings.ON_ONE_CPU:
        one_cpu.stay()
