"""The end of the audit trail, noted outside the database: who cuts it off or writes it anew is seen (SEC-56).

A chain tells what was changed in it, not what is missing behind its end, nor that all of it was computed again. So each
minute the number and hash of the last entry go to Redis and into the log. The note only ever moves on along a chain
that still holds the entry noted before; where it does not, the note stays and an error is logged each minute. If Redis
was emptied, what `manage.py verify_audit` printed earlier, or the log, is the witness (`--expect`).
"""

from __future__ import annotations

import logging
from functools import lru_cache

import redis
from django.conf import settings
from django.db import connection
from redis.backoff import NoBackoff
from redis.retry import Retry

from ocpi.models import AuditEntry

log = logging.getLogger(__name__)

_SOCKET_SECONDS = 0.2


def note() -> None:
    """Note the end of the trail, unless the one noted before is gone."""
    last = AuditEntry.objects.filter(number__isnull=False).order_by("-number").values_list("number", "hash").first()
    try:
        before = read()
        if before is not None and not AuditEntry.objects.filter(number=before[0], hash=before[1]).exists():
            log.error("the audit trail no longer holds entry %d:%s, which was noted: see verify_audit", *before)
            return
        if last is not None and last != before:
            _client().set(_key(), f"{last[0]}:{last[1]}")
            log.info("the audit trail ends with %d:%s", *last)
    except redis.RedisError as error:
        log.warning("the end of the audit trail could not be noted: %s", error)


def read() -> tuple[int, str] | None:
    """Return the number and hash that were noted last, or nothing.

    :raises redis.RedisError: if Redis is away.
    """
    found = _client().get(_key())
    number, _, digest = (found or b"").decode().partition(":")  # type: ignore[union-attr]
    return (int(number), digest) if number.isdecimal() else None


def forget() -> None:
    """Begin anew: after a restore the trail rightly ends earlier than was noted.

    :raises redis.RedisError: if Redis is away.
    """
    _client().delete(_key())


def _key() -> str:
    return f"ocpi:audit:end:{connection.settings_dict['NAME']}"


def _client() -> redis.Redis:
    return _client_of(settings.REDIS_URL)


@lru_cache(maxsize=2)
def _client_of(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_timeout=_SOCKET_SECONDS,
        socket_connect_timeout=_SOCKET_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
