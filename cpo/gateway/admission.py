"""Decide about one handshake: who is it, may it connect, in which version (OCPP-01 … OCPP-09).

Unknown identities and wrong passwords get the same answer after the same time; existing connections are looked at only
once the newcomer has shown who it is.
"""

import asyncio
import ipaddress
import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

from websockets.http11 import Request

from cpo.gateway import handshake, passwords
from cpo.gateway.actions import SUBPROTOCOLS
from cpo.gateway.config import Config
from cpo.gateway.handshake import Failures, Pace, Refused
from cpo.gateway.store import Record, Store

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

logger = logging.getLogger(__name__)

_WINDOW_SECONDS = 300
_MUTUAL = 3
_UNAUTHORISED = "authentication failed"


@dataclass(frozen=True, slots=True)
class Admission:
    """A charge point that may connect."""

    record: Record
    subprotocol: str | None
    version: str
    authenticated: bool
    address: str
    serial: str = ""  # of the client certificate it was let in by; hexadecimal
    certificate: bytes = b""  # itself, in DER
    authority: str = ""  # by whose version it was judged last (`certificate_watch`)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a handshake comes from, and how safely."""

    address: str
    secure: bool
    certificate: "Certificate | None" = None


class Door:
    """The handshakes of one node."""

    def __init__(self, config: Config, store: Store) -> None:
        self._config = config
        self._store = store
        self._failures = Failures(5, _WINDOW_SECONDS)
        self._takeovers = Failures(4, _WINDOW_SECONDS)
        self._objections = Failures(1, _WINDOW_SECONDS)
        # Loaded where somebody can show a certificate: it takes 16 MiB.
        able = config.tls_certificate or config.trusted_proxies
        self._certificates: Any = import_module("cpo.gateway.client_certificates") if able else None
        self._pace = Pace(config.handshakes_per_second, config.handshakes_burst)

    async def admit(
        self, request: Request, peer: str, *, secure: bool = False, shown: bytes | None = None
    ) -> Admission:
        """Return the admission; `secure` and `shown`, a certificate in DER, are those of the socket itself.

        :raises Refused: with the HTTP status to answer.
        """
        identity = handshake.identity(request.path)
        origin = self._origin(request, peer, secure=secure, shown=shown)
        loop = asyncio.get_running_loop()
        if not (_here(origin.address) or self._pace.allows(origin.address, loop.time())):
            raise Refused(429, "too many connections at once")
        if not (origin.secure or self._config.plain):
            raise Refused(403, "charge points connect with TLS (wss) here")
        pair = (origin.address, identity.lower())
        if self._failures.blocked(pair, loop.time()):
            raise Refused(429, "too many failed attempts")
        started_at = loop.time()
        names = handshake.offered(request.headers.get_all("Sec-WebSocket-Protocol"))
        record = await self._record(identity, origin.address, request.path, names)
        judged_by = await self._certified(record, origin) if record is not None else ""
        certified = bool(judged_by)
        authenticated = certified or await self._authenticate(record, identity, request.headers.get("Authorization"))
        if record is None or authenticated is None or not _reaches(record, origin, authenticated, certified):
            if self._failures.add(pair, loop.time()):
                await self._too_often("RepeatedAuthenticationFailures", record, identity, origin.address)
            await asyncio.sleep(max(0.0, self._config.refusal_seconds - (loop.time() - started_at)))
            raise Refused(401, _UNAUTHORISED)
        if self._takeovers.blocked(record.id, loop.time()):
            raise Refused(429, "too many takeovers")
        subprotocol = handshake.subprotocol(names, record.protocols, none_is_16=record.no_subprotocol_is_16)
        admission = Admission(
            record, subprotocol, SUBPROTOCOLS[subprotocol or "ocpp1.6"], bool(authenticated), origin.address
        )
        if not (certified and origin.certificate):
            return admission
        return replace(
            admission,
            serial=format(origin.certificate.serial_number, "x"),
            certificate=self._certificates.as_der(origin.certificate),
            authority=judged_by,
        )

    async def took_over(self, record: Record, address: str) -> None:
        """Count a newer connection that pushed out an older one (SEC-61)."""
        if self._takeovers.add(record.id, asyncio.get_running_loop().time()):
            await self._too_often("RepeatedTakeovers", record, record.identity, address)

    async def _too_often(self, kind: str, record: Record | None, identity: str, address: str) -> None:
        logger.warning("ocpp security event: %s of %s from %s", kind, identity, address)
        await self._store.note_event(
            kind, identity=identity, charge_point=record.id if record is not None else None, info=f"from {address}"
        )

    def _origin(self, request: Request, peer: str, *, secure: bool, shown: bytes | None) -> Origin:
        # What a proxy says counts only if it is ours (OCPP-07).
        if peer not in self._config.trusted_proxies:
            return Origin(peer, secure, self._certificates.from_socket(shown) if shown else None)
        forwarded = request.headers.get_all("X-Forwarded-For")
        address = forwarded[-1].rpartition(",")[2].strip() if forwarded else peer
        protocols = request.headers.get_all("X-Forwarded-Proto")
        is_secure = bool(protocols) and protocols[-1].strip().lower() in {"https", "wss"}
        passed = request.headers.get_all(self._config.certificate_header)
        certificate = self._certificates.from_header(passed[-1]) if passed and is_secure else None
        return Origin(address, is_secure, certificate)

    async def _certified(self, record: Record, origin: Origin) -> str:
        """Return which version of an authority says that the certificate shown is this charge point's (OCPP-06)."""
        if origin.certificate is None:
            return ""
        objection, authority = await self._certificates.objection(
            self._store, record, origin.certificate, datetime.now(UTC)
        )
        if objection:
            now, key = asyncio.get_running_loop().time(), (record.id, objection)
            logger.info("ocpp client certificate of %s refused: %s", record.identity, objection)
            # Once in a while: a charge point tries again and again.
            if record.security_profile == _MUTUAL and not self._objections.blocked(key, now):
                self._objections.add(key, now)
                await self._store.note_event(
                    "ClientCertificateRefused",
                    identity=record.identity,
                    charge_point=record.id,
                    info=f"{objection} (from {origin.address})",
                )
        return "" if objection else str(authority)

    async def _record(self, identity: str, address: str, path: str, names: list[str]) -> Record | None:
        record = await self._store.find(identity)
        if record is not None:
            return record
        # Without its query: some charge points show their password there (SEC-50).
        await self._store.note_unknown(identity, address, path.partition("?")[0], ", ".join(names))
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
        right = await self._matches(stored, password)
        if not right and record is not None and record.next_password_digest and shown is not None:
            right = await self._matches(record.next_password_digest, password)
            if right and shown.user.lower() == identity.lower():
                await self._store.use_next_password(record.id, record.next_password_digest)
        if shown is None or not stored:
            # Without a stored password only profile 0 lets anyone in, whatever is shown.
            return False
        return True if right and shown.user.lower() == identity.lower() else None

    async def _matches(self, stored: str, password: bytes) -> bool:
        if passwords.is_slow(stored):
            return await asyncio.to_thread(passwords.matches, stored, password, self._config.secret_key)
        return passwords.matches(stored, password, self._config.secret_key)


def _reaches(record: Record, origin: Origin, authenticated: bool, certified: bool) -> bool:
    reached = handshake.profile(authenticated=authenticated, secure=origin.secure, certified=certified)
    return handshake.admits(reached, record.security_profile, secure=origin.secure, refuses_tls=record.refuses_tls)


def _here(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
