"""Where sessions of the admin are: Django's table, but that a page is shown also where its session cannot be renewed.

A standby, or a server that an operator or a full disk has made read-only, still has all that pages show: whoever is
logged in can look, for as long as the session lasts.
"""

from __future__ import annotations

import logging

from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import UpdateError

from ocpi import database_trouble

log = logging.getLogger(__name__)


class SessionStore(db.SessionStore):
    """One session."""

    def save(self, must_create: bool = False) -> None:
        """Keep the session, if the database can.

        :raises UpdateError: if it has ended meanwhile.
        """
        try:
            super().save(must_create)
        except UpdateError as error:
            cause = error.__context__
            if cause is None or not database_trouble.passes(cause):
                raise
            log.warning("a session was not renewed, the database cannot do it now: %s", database_trouble.words(cause))
