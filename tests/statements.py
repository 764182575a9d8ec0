"""How many SQL statements something takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.test.utils import CaptureQueriesContext

_CONTROL = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT")


@contextmanager
def at_most(count: int) -> Iterator[None]:
    """Fail if what happens inside takes more SQL statements (transaction control not counted)."""
    with CaptureQueriesContext(connection) as captured:
        yield
    statements = [query["sql"] for query in captured if not query["sql"].startswith(_CONTROL)]
    assert len(statements) <= count, "\n".join(statements)
