"""How Celery works here, which nothing in the environment changes; `hub.settings` takes it in.

Rows are the truth, tasks only wake.
"""

from collections.abc import Iterable
from typing import Any

CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_BACKEND = None
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = False  # a lost wake-up is found by the sweep
CELERY_TASK_PUBLISH_RETRY = False  # Redis away = later, not lost; a publish never holds a request
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_POOL_LIMIT = 32
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 0.5,  # seconds
    "socket_connect_timeout": 0.5,
    "retry_on_timeout": False,
    "max_retries": 0,
}
CELERY_TASK_DEFAULT_QUEUE = "ocpi"
CELERY_WORKER_POOL = "threads"
CELERY_WORKER_CONSUMER = "hub.celery_consumer:PromptConsumer"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_ENABLE_UTC = True
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"  # in memory: no file, no pickle
CELERY_BEAT_MAX_LOOP_INTERVAL = 1  # seconds

# Seconds between two runs of what nobody has to wake; the sides' own come with their side.
_ALWAYS = {
    "ocpi.tasks.sweep": 1.0,
    "ocpi.tasks.probe": 5.0,
    "ocpi.tasks.compact_counts": 10.0,
    "ocpi.tasks.limit_backlog": 60.0,
    "ocpi.tasks.note_audit": 60.0,
    "ocpi.tasks.make_partitions": 600.0,
    "ocpi.tasks.forget_finished": 600.0,
    "ocpi.tasks.renew_tokens": 3600.0,
    "ocpi.tasks.issue_statements": 3600.0,
    "ocpi.tasks.review_cdrs": 5.0,
}
_PULLS = {"ocpi.tasks.pulls": 10.0}
_OF_SIDE = {
    "emsp": {"emsp.tasks.sweep": 5.0},
    "hub": {
        "hub.tasks.publish_client_infos": 1.0,
        "hub.tasks.forget_client_info_changes": 3600.0,
        "hub.tasks.tidy": 600.0,
    },
}


def schedule(sides: Iterable[str], *, pulls: bool) -> dict[str, dict[str, Any]]:
    """Return what the scheduler starts on an instance of these sides, and how often."""
    every = _ALWAYS | (_PULLS if pulls else {})
    for side in sides:
        every |= _OF_SIDE.get(side, {})
    # A run nobody took before the next ones are due expires, so that none pile up in Redis.
    return {
        task: {"task": task, "schedule": pause, "options": {"expires": max(5.0, pause)}}
        for task, pause in every.items()
    }
