"""Sessions that passed, kept in the background for the list of their eMSP (HUB-62).

Most of what a hub passes on are Sessions that change; their receivers have them already, so nobody waits until the hub
has them too. They are kept in the order in which they were accepted, by a thread of this process. What a killed process
had not kept is made good by the next PUT of the Session. Changes of a Session that was never put are looked up once.
A CDR has no next: it is kept before its sender is answered (hub/direct_versions.py); here if the database is away then.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque

from django.conf import settings

from hub import direct_versions
from hub.routing import Asked, Direct
from ocpi import database_trouble, status
from ocpi.background_writer import BackgroundWriter

log = logging.getLogger(__name__)

MOST_WAITING = 10_000
_MOST_ABSENT = 50_000
_ABSENT_SECONDS = 60.0  # then it is looked for again: another process may have it by now
_FLUSH_SECONDS, _PAUSE_SECONDS, _BATCH = 0.5, 5.0, 500

_Passed = tuple[Asked, Direct, bytes]
_waiting: deque[_Passed] = deque()
_absent: dict[tuple[str, ...], float] = {}
_noting = threading.Lock()


def note(asked: Asked, route: Direct, *, body: bytes) -> None:
    """Note a push that its receiver took. Touches no table."""
    if not direct_versions.is_personal(asked) or _is_absent(asked, route):
        return
    with _noting:
        if len(_waiting) >= MOST_WAITING:
            _waiting.popleft()
            log.warning("more Sessions and CDRs pass than can be kept; the oldest is left out of lists")
        _waiting.append((asked, route, body))
    if not _writer.is_running and settings.OCPI_WAKE:
        _writer.start()


def flush() -> None:
    """Keep what waits, now and in this thread."""
    _writer.flush()


def forget() -> None:
    """Drop what waits: of another process, or of another test."""
    global _noting
    _noting = threading.Lock()
    _waiting.clear()
    _absent.clear()


def _take() -> list[_Passed]:
    with _noting:
        return [_waiting.popleft() for _ in range(min(_BATCH, len(_waiting)))]


def _write(batch: list[_Passed]) -> None:
    """Keep a batch in order; what is done is taken out of it."""
    while batch:
        asked, route, body = batch[0]
        if not _is_absent(asked, route):
            _keep(asked, route, body)
        batch.pop(0)


def _keep(asked: Asked, route: Direct, body: bytes) -> None:
    try:
        direct_versions.store(asked, route, query="", body=body)
        _absent.pop(_key(asked, route), None)
    except status.UnknownObject:
        if len(_absent) >= _MOST_ABSENT:
            _absent.clear()
        _absent[_key(asked, route)] = time.monotonic() + _ABSENT_SECONDS
    except status.OcpiError as error:
        log.info("a direct push of %s/%s is not kept: %s", asked.module, "/".join(asked.tail), error)
    except Exception as error:
        if database_trouble.passes(error):
            raise
        log.exception("a direct push of %s/%s could not be kept", asked.module, "/".join(asked.tail))


def _is_absent(asked: Asked, route: Direct) -> bool:
    return asked.method == "PATCH" and _absent.get(_key(asked, route), 0.0) > time.monotonic()


def _key(asked: Asked, route: Direct) -> tuple[str, ...]:
    return (*(part.upper() for part in asked.tail), *route.place.party.address.key)


def _put_back(batch: list[_Passed]) -> None:
    with _noting:
        _waiting.extendleft(reversed(batch))


_writer = BackgroundWriter(
    "Sessions and CDRs", seconds=_FLUSH_SECONDS, pause=_PAUSE_SECONDS, take=_take, write=_write, put_back=_put_back
)
os.register_at_fork(after_in_child=forget)
