"""How a worker waits for its broker. A module of its own: only workers need it."""

from functools import partial

from celery.worker.consumer import Consumer
from kombu import Connection

_RECONNECT_SECONDS = 1


class PromptConsumer(Consumer):  # type: ignore[misc, unused-ignore]
    """Looks for a broker that went away each second: Celery's own pauses grow to half a minute (REL-04)."""

    def ensure_connected(self, conn: Connection) -> Connection:
        """Return the connection once it stands."""
        conn.ensure_connection = partial(  # type: ignore[method-assign, unused-ignore]
            conn.ensure_connection,
            interval_start=_RECONNECT_SECONDS,
            interval_step=0,
            interval_max=_RECONNECT_SECONDS,
        )
        return super().ensure_connected(conn)
