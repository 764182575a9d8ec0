"""Cut who came with a client certificate that is no longer good: revoked, or of an authority the tenant has replaced.

Looked at with each sweep of the node, so a connection ends within a minute of the change. Only what has changed since
is judged anew: the tenant's authority is known by the version of its row. That a certificate has ended by time alone
cuts nobody: as long as its charge point is here it can be given another one; it would not be let in again.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cpo.gateway.sockets import Socket
from cpo.gateway.store import Record, Store

if TYPE_CHECKING:
    from cpo.gateway.connection import Connection

logger = logging.getLogger(__name__)

_TOGETHER = 20  # judged before others have their turn
_HELD = """
    SELECT c.id, coalesce(a.id || ' ' || a.xmin, ''),
        EXISTS (SELECT FROM cpo_stationcertificate AS s
                WHERE s.authority_id = a.id AND s.serial = held.serial AND s.revoked_at IS NOT NULL)
    FROM unnest(%s::bigint[], %s::text[]) AS held(id, serial)
    JOIN cpo_chargepoint AS c ON c.id = held.id
    LEFT JOIN cpo_certificateauthority AS a ON upper(a.country_code) = upper(c.country_code)
        AND upper(a.party_id) = upper(c.party_id)
"""


async def objections(store: Store, held: Iterable["Connection"]) -> list[tuple["Connection", str]]:
    """Return which of these connections stand on a certificate that is no longer good, and why."""
    certified = {each.record.id: each for each in held if each.serial}
    if not certified:
        return []
    rows = await store.fetch(_HELD, (list(certified), [each.serial for each in certified.values()]))
    found: list[tuple[Connection, str]] = []
    for number, (charge_point, authority, revoked) in enumerate(rows):
        connection = certified[charge_point]
        objection = "it is revoked" if revoked else await _changed(store, connection, authority)
        if objection:
            logger.info("ocpp connection of %s cut, its certificate: %s", connection.record.identity, objection)
            found.append((connection, objection))
        if number % _TOGETHER == 0:
            await asyncio.sleep(0)
    return found


async def _changed(store: Store, connection: "Connection", authority: str) -> str:
    """Judge a certificate again if its tenant's authority is not the one it was judged by."""
    socket = connection.socket
    admission = socket.admission if isinstance(socket, Socket) else None
    if admission is None or admission.authority == authority:
        return ""
    objection = await _judged(store, connection.record, admission.certificate) if authority else "no authority"
    if not objection and isinstance(socket, Socket):
        socket.admission = replace(admission, authority=authority)
    return objection


async def _judged(store: Store, record: Record, der: bytes) -> str:
    certificates: Any = import_module("cpo.gateway.client_certificates")
    shown = certificates.from_socket(der)
    at = min(datetime.now(UTC), shown.not_valid_after_utc)
    objection, _ = await certificates.objection(store, record, shown, at)
    return str(objection)
