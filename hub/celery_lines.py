"""What a worker and the clock write: lines like those of every other process, Celery's own too (SEC-50).

By itself Celery warns before it has set up its lines, says on stdout that it ends, and has a traceback on stderr come
as it is, or as one record for each line.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from types import TracebackType

from celery import current_app
from celery.apps import worker

log = logging.getLogger(__name__)


def take_warnings(**_: object) -> None:
    """Have warnings logged from the start; one of the first is about the user it runs as."""
    logging.captureWarnings(True)


def set_up(loglevel: int, **_: object) -> None:
    """Set up the lines in place of Celery; `settings.LOGGING` is in use already."""
    logging.getLogger().setLevel(loglevel)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    current_app.log.redirect_stdouts(logging.WARNING)
    worker.safe_say = _say  # type: ignore[attr-defined]


def _uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    log.critical("it ends: %s", kind.__name__, exc_info=(kind, error, traceback))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None or isinstance(args.exc_value, SystemExit):
        return
    name = args.thread.name if args.thread else "a thread"
    log.error("%s ends: %s", name, args.exc_type.__name__, exc_info=(args.exc_type, args.exc_value, args.exc_traceback))


def _say(message: str, *_: object) -> None:
    """Write a line in a signal handler: the stream of the log may be in the middle of another one."""
    record = log.makeRecord(log.name, logging.INFO, "", 0, message, (), None)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            os.write(handler.stream.fileno(), f"{handler.format(record)}\n".encode())
