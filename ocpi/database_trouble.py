"""What the database says that is the fault of neither a request nor our code: it is away, full, overrun, or a standby.

Whoever asks is told to come again, and nothing is given up because of it. A statement that breaks one of its limits
(class 54) would do so again, and is no such thing, although PostgreSQL's drivers sort it among them.
"""

from __future__ import annotations

import psycopg
from django.db import Error, InterfaceError, OperationalError
from psycopg import errors

_AWAY = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)
# Sorted by the drivers among the errors of a program; the first is said by a standby, and by a server that an operator
# or a full disk has made read-only. After the others the server ends the connection.
_ALSO = (errors.ReadOnlySqlTransaction, errors.IdleInTransactionSessionTimeout, errors.TransactionTimeout)
_AT_ONCE = (errors.DeadlockDetected, errors.SerializationFailure)
_OF_ONE = (*_AT_ONCE, errors.QueryCanceled, errors.LockNotAvailable)
_SECONDS, _SECONDS_AT_ONCE = 5, 1  # within the first all processes are connected again (REL-05)


def passes(error: BaseException) -> bool:
    """Say whether an error is one that passes without a change of what was asked."""
    said = _said(error)
    if (getattr(said, "sqlstate", None) or "").startswith("54"):
        return False
    return isinstance(error, _AWAY) or isinstance(said, _ALSO)


def concerns_all(error: BaseException) -> bool:
    """Say whether an error that passes comes with everything that is done now, wherever that is in the code."""
    return passes(error) and not isinstance(_said(error), _OF_ONE)


def retry_after(error: BaseException) -> dict[str, str]:
    """Return the header that says when to come again."""
    return {"Retry-After": str(_SECONDS_AT_ONCE if isinstance(_said(error), _AT_ONCE) else _SECONDS)}


def words(error: BaseException) -> str:
    """Return the first line of what the database said, for the log."""
    return str(error).strip().partition("\n")[0][:200]


def _said(error: BaseException) -> BaseException:
    """Return the driver's own error, which Django's is raised from."""
    cause = error.__cause__
    return cause if isinstance(error, Error) and isinstance(cause, psycopg.Error) else error
