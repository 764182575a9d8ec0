"""Django's migrate, which waits for no lock for longer than two seconds and for no end of its own work (REL-57)."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate
from django.db import connections

from ocpi.transaction_limits import KNOWN_SINCE

LOCK_WAIT = "2s"  # then whoever waits behind us would notice; run it again


class Command(migrate.Command):
    """Sets what the session may wait for, and nothing else."""

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        if connection.vendor != "postgresql":
            super().handle(*args, **options)
            return
        # A statement may take as long as it needs: an index of a large table takes minutes, and keeps nobody waiting.
        limits = {
            "lock_timeout": f"'{LOCK_WAIT}'",
            "statement_timeout": "0",
            "idle_in_transaction_session_timeout": "0",
        }
        with connection.cursor() as cursor:
            if cursor.connection.info.server_version >= KNOWN_SINCE:
                limits["transaction_timeout"] = "0"
            before = {name: _shown(cursor, name) for name in limits}
            for name, value in limits.items():
                cursor.execute(f"SET {name} = {value}")
        try:
            super().handle(*args, **options)
        finally:
            with connection.cursor() as cursor:
                for name, value in before.items():
                    cursor.execute(f"SET {name} = '{value}'")


def _shown(cursor: Any, name: str) -> str:
    cursor.execute(f"SHOW {name}")
    return str(cursor.fetchone()[0])
