"""A `drain` as Celery's transport for Redis keeps it: set down by the command that looks which lanes are awake.

`send_task` would make a client and ask twice more for each: most of what waking costs a process that answers requests.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from celery import current_app
from django.conf import settings

from ocpi.headers import new_id

DRAIN = "ocpi.tasks.drain"
_SECONDS = 10  # after which it expires


def queue() -> str:
    """Return the key of the list that workers take tasks from."""
    return str(settings.CELERY_TASK_DEFAULT_QUEUE)


def write(lanes: Sequence[tuple[int, int]]) -> str:
    """Return the message that has these lanes drained, each a platform's id and a slot."""
    number, shown = new_id(), str(lanes[:20])
    task = current_app.amqp.as_task_v2(
        number, DRAIN, args=(lanes,), expires=_SECONDS, ignore_result=True, argsrepr=shown, kwargsrepr="{}"
    )
    message: dict[str, Any] = {
        "body": base64.b64encode(json.dumps(task.body).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": task.headers,
        "properties": {
            **task.properties,
            "delivery_mode": 2,
            "expiration": str(_SECONDS * 1000),
            "delivery_info": {"exchange": "", "routing_key": queue()},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": new_id(),
        },
    }
    return json.dumps(message)
