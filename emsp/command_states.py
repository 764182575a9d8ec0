"""A command as its Sender sees it: SENT, then the CommandResponse, then the CommandResult or none in time."""

from __future__ import annotations

from typing import Final

from ocpi import transitions

TABLE: Final[transitions.Table] = {
    "SENT": {"accepted": "ACCEPTED", "refused": "REFUSED", "failed": "FAILED", "result": "DONE"},
    # The result may come before the response did.
    "ACCEPTED": {"result": "DONE", "expired": "EXPIRED"},
    "DONE": {"result": "DONE", "accepted": "DONE"},
    "EXPIRED": {"result": "DONE"},
    "REFUSED": {},
    "FAILED": {"result": "DONE"},
}
STATES: Final = tuple(TABLE)
transitions.check_table(TABLE)
