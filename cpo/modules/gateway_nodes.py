"""A gateway node that died with nobody left beside it: workers say so of its charge points (OCPP-100)."""

import logging

from django.db import connection, transaction

from cpo.gateway import nodes

log = logging.getLogger(__name__)


def bury_silent() -> int:
    """Take what silent nodes had out of the registry in the database; return how many nodes that were."""
    with connection.cursor() as cursor:
        cursor.execute(nodes.SILENT, [nodes.SILENT_SECONDS])
        silent = [name for (name,) in cursor.fetchall()]
        for name in silent:
            log.warning("gateway node %s is dead", name)
            with transaction.atomic():
                for statement in nodes.BURIAL:
                    cursor.execute(statement, [name])
    return len(silent)
