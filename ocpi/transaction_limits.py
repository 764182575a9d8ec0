"""No transaction lasts longer than thirty seconds, so that no puller misses what became visible too late (REL-54).

A list since `date_from` shows what is committed; a puller asks again from five minutes before its last pull on. What is
stamped now and committed later than that would never be seen. Each statement and each pause inside a transaction has
a limit of its own (`DATABASES` in the settings); the sum of many is limited here, by PostgreSQL 17 and newer.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connection as default
from django.db.backends.signals import connection_created

KNOWN_SINCE = 170_000  # version of PostgreSQL that knows transaction_timeout
_MARK = "_ocpi_limited"


def connect() -> None:
    """Have every connection of this process limited from its beginning."""
    connection_created.connect(_limit, dispatch_uid="ocpi.transaction_limits")


def _limit(sender: Any, connection: Any, **_kwargs: Any) -> None:
    raw = connection.connection
    # One from a pool was limited when it was new.
    if connection.vendor != "postgresql" or getattr(raw, _MARK, None) == settings.OCPI_TRANSACTION_TIMEOUT:
        return
    if raw.info.server_version >= KNOWN_SINCE:
        with connection.cursor() as cursor:
            cursor.execute(f"SET transaction_timeout = {int(settings.OCPI_TRANSACTION_TIMEOUT * 1000)}")
        setattr(raw, _MARK, settings.OCPI_TRANSACTION_TIMEOUT)


def lift() -> None:
    """Let this transaction and its statements take as long as they need: for housekeeping no puller asks about."""
    with default.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        if default.connection is not None and default.connection.info.server_version >= KNOWN_SINCE:
            cursor.execute("SET LOCAL transaction_timeout = 0")
