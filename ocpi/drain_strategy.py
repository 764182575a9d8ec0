"""How a worker takes a `drain`: where it is received, without a thread of the pool and what Celery keeps of each task.

It tells the sender of this process which lanes to look at, nothing more; Celery's own way there costs several times
that, and one thread more that wants to run. Lost, late or twice is all the same (REL-07).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)


def at_once(task: Any, _app: Any, consumer: Any, **_options: Any) -> Callable[..., None]:
    """Return what Celery's consumer calls with each message of this task (`Task.Strategy`)."""

    def received(message: Any, body: Any, ack: Callable[..., object], _reject: object, _callbacks: object) -> None:
        ack(log, consumer.connection_errors)
        try:
            arguments = (message.payload if body is None else body)[0]
            task.run(*arguments)
        except Exception:  # an edge of the worker: the sweep finds what this was to tell of
            log.exception("a message to drain lanes could not be read")

    return received
