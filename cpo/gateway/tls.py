"""TLS in the gateway itself: our certificate, renewed while we run, and whose client certificates are looked at.

A client need not show a certificate: profile 2 has none. One that does must have it from an authority of one of our
tenants, which OpenSSL checks; whether it is the right tenant's, and for the right charge point, is checked once the
identity is known (`client_certificates`).
"""

import logging
import ssl
from pathlib import Path

from cpo.gateway.config import Config
from cpo.gateway.store import Store

logger = logging.getLogger(__name__)

# The suites that OCPP 2.0.1 wants of a CSMS (A00.FR.318), the ones with forward secrecy first.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:AES128-GCM-SHA256:AES256-GCM-SHA384"
_AUTHORITIES = "SELECT certificates FROM cpo_certificateauthority WHERE certificates <> ''"


class Tls:
    """The TLS side of one node."""

    def __init__(self, config: Config, store: Store) -> None:
        """Read certificate and key.

        :raises OSError: if they cannot be read, or do not fit together (`ssl.SSLError`).
        """
        self._certificate, self._key = config.tls_certificate, config.tls_key
        self._store = store
        self._read_at: tuple[float, float] = (0.0, 0.0)
        self._known: set[str] = set()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        self.context.set_ciphers(config.tls_ciphers or CIPHERS)
        self._read_certificate()

    def _read_certificate(self) -> None:
        files = (self._certificate, self._key or self._certificate)
        changed_at = (Path(files[0]).stat().st_mtime, Path(files[1]).stat().st_mtime)
        if changed_at != self._read_at:
            # Into one of its own first: half a renewal must not spoil the context in use.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*files)
            self.context.load_cert_chain(*files)
            self._read_at = changed_at

    async def refresh(self) -> None:
        """Take a renewed certificate, and the authorities of new tenants; handshakes from then on use them."""
        try:
            self._read_certificate()
        except OSError as error:
            logger.error("ocpp tls certificate not renewed: %s", error)
        for (certificates,) in await self._store.fetch(_AUTHORITIES):
            if certificates in self._known:
                continue
            try:
                self.context.load_verify_locations(cadata=certificates)
            except (ssl.SSLError, ValueError) as error:
                logger.error("ocpp certificate authority not usable: %s", error)
            self._known.add(certificates)
        if self._known:
            # Without any authority every certificate would be refused, also one nobody needs.
            self.context.verify_mode = ssl.CERT_OPTIONAL


def peer_certificate(transport: object) -> bytes | None:
    """Return the certificate of a client in DER, if it has shown one that OpenSSL believes."""
    found = getattr(transport, "get_extra_info", lambda name: None)("ssl_object")
    return found.getpeercert(binary_form=True) if found is not None else None


def is_secure(transport: object) -> bool:
    """Say whether a transport is encrypted."""
    return getattr(transport, "get_extra_info", lambda name: None)("ssl_object") is not None
