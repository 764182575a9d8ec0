"""Decide about one handshake: who is it, may it connect, in which version (OCPP-01 … OCPP-09).

Unknown identities and wrong passwords get the same answer after the same time; existing connections are looked at only
once the newcomer has shown who it is.
"""

import asyncio
import ipaddress
import logging
from dataclasses import dataclass

from websockets.http11 import Request

from cpo.gateway import handshake, passwords
from cpo.gateway.actions import SUBPROTOCOLS
from cpo.gateway.config import Config
from cpo.gateway.handshake import Failures, Pace, Refused
from cpo.gateway.store import Record, Store

logger = logging.getLogger(__name__)

_WINDOW_SECONDS = 300
_UNAUTHORISED = "authentication failed"


@dataclass(frozen=True, slots=True)
class Admission:
    """A charge point that may connect."""

    record: Record
    subprotocol: str | None
    version: str
    authenticated: bool
    address: str


class Door:
    """The handshakes of one node."""

    def __init__(self, config: Config, store: Store) -> None:
        self._config = config
        self._store = store
        self._failures = Failures(5, _WINDOW_SECONDS)
        self._takeovers = Failures(4, _WINDOW_SECONDS)
        self._pace = Pace(config.handshakes_per_second, config.handshakes_burst)

    async def admit(self, request: Request, peer: str) -> Admission:
        """Return the admission.

        :raises Refused: with the HTTP status to answer.
        """
        identity = handshake.identity(request.path)
        address, secure = self._origin(request, peer)
        loop = asyncio.get_running_loop()
        if not (_here(address) or self._pace.allows(address, loop.time())):
            raise Refused(429, "too many connections at once")
        pair = (address, identity.lower())
        if self._failures.blocked(pair, loop.time()):
            raise Refused(429, "too many failed attempts")
        started_at = loop.time()
        names = handshake.offered(request.headers.get_all("Sec-WebSocket-Protocol"))
        record = await self._record(identity, address, request.path, names)
        authenticated = await self._authenticate(record, identity, request.headers.get("Authorization"))
        reached = handshake.profile(authenticated=bool(authenticated), secure=secure)
        if record is None or authenticated is None or reached < record.security_profile:
            if self._failures.add(pair, loop.time()):
                logger.warning("ocpp security event: repeated failed authentication for %s from %s", identity, address)
            await asyncio.sleep(max(0.0, self._config.refusal_seconds - (loop.time() - started_at)))
            raise Refused(401, _UNAUTHORISED)
        if self._takeovers.blocked(record.id, loop.time()):
            raise Refused(429, "too many takeovers")
        subprotocol = handshake.subprotocol(names, record.protocols, none_is_16=record.no_subprotocol_is_16)
        return Admission(record, subprotocol, SUBPROTOCOLS[subprotocol or "ocpp1.6"], authenticated, address)

    def took_over(self, record: Record) -> None:
        """Count a newer connection that pushed out an older one (SEC-61)."""
        if self._takeovers.add(record.id, asyncio.get_running_loop().time()):
            logger.warning("ocpp security event: repeated takeovers of %s", record.identity)

    def _origin(self, request: Request, peer: str) -> tuple[str, bool]:
        # What a proxy says counts only if it is ours (OCPP-07).
        if peer not in self._config.trusted_proxies:
            return peer, False
        forwarded = request.headers.get_all("X-Forwarded-For")
        address = forwarded[-1].rpartition(",")[2].strip() if forwarded else peer
        protocols = request.headers.get_all("X-Forwarded-Proto")
        return address, bool(protocols) and protocols[-1].strip().lower() in {"https", "wss"}

    async def _record(self, identity: str, address: str, path: str, names: list[str]) -> Record | None:
        record = await self._store.find(identity)
        if record is not None:
            return record
        await self._store.note_unknown(identity, address, path, ", ".join(names))
        if self._config.unknown == "reject" or self._config.party is None:
            return None
        boot_status = "Accepted" if self._config.unknown == "accept" else "Pending"
        await self._store.take_in(identity, self._config.party, boot_status, list(SUBPROTOCOLS))
        return await self._store.find(identity)

    async def _authenticate(self, record: Record | None, identity: str, header: str | None) -> bool | None:
        """Return whether the password is right; None if it is wrong; False if none was asked for."""
        shown = handshake.credentials(header)
        stored = record.password_digest if record is not None else ""
        password = shown.password if shown is not None else b""
        if passwords.is_slow(stored):
            right = await asyncio.to_thread(passwords.matches, stored, password, self._config.secret_key)
        else:
            right = passwords.matches(stored, password, self._config.secret_key)
        if shown is None or not stored:
            # Without a stored password only profile 0 lets anyone in, whatever is shown.
            return False
        return True if right and shown.user.lower() == identity.lower() else None


def _here(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
