"""What a database says in trouble, as Django raises it."""

from __future__ import annotations

import psycopg
from django.db import Error, connection


def raised_by(kind: type[psycopg.Error]) -> Error:
    """Return the error of Django's that comes of one of the driver's."""
    try:
        with connection.wrap_database_errors:
            raise kind("said by a database in trouble\nCONTEXT: of no concern")
    except Error as error:
        return error
