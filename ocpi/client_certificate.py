"""The client certificate that a platform has to show, beside its token, where an operator asks for it (SEC-65).

TLS ends in a front server, which passes on what it was shown: the SHA-256 fingerprint, or the certificate itself as
PEM, of which the fingerprint is taken here. Only a proxy of ours is believed (OCPI_TRUSTED_PROXIES); the same header
from anybody else counts for nothing.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from hmac import compare_digest
from urllib.parse import unquote

from django.conf import settings

from ocpi import rate_limit, status
from ocpi.headers import Getter
from ocpi.snapshot import KnownPlatform

_HEXADECIMAL = re.compile(r"[0-9a-f]{64}")
_LONGEST = 16_384  # of a header; a certificate with its key takes less


def check(platform: KnownPlatform, get: Getter, *, peer: str) -> None:
    """Refuse a platform that has to show a certificate and does not.

    :raises AuthenticationFailed: as for a token that nobody knows.
    """
    if not platform.client_certificates:
        return
    shown = fingerprint(get(settings.OCPI_CLIENT_CERTIFICATE_HEADER)) if rate_limit.is_proxy(peer) else ""
    if not any(compare_digest(shown, wanted) for wanted in platform.client_certificates):
        raise status.AuthenticationFailed("The credentials token is missing or unknown")


def fingerprint(header: str | None) -> str:
    """Return the SHA-256 fingerprint that a header says, in lower case without colons; nothing if it says none."""
    text = (header or "").strip()
    if len(text) > _LONGEST:
        return ""
    plain = text.replace(":", "").lower()
    if _HEXADECIMAL.fullmatch(plain):
        return plain
    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(unquote(text))).hexdigest()
    except ValueError:
        return ""


def fingerprints(text: str) -> list[str]:
    """Read fingerprints, or certificates, that somebody has typed or pasted, whatever stands between them.

    :raises ValueError: naming the first that is neither.
    """
    certificates = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.DOTALL)
    rest = re.sub(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", " ", text, flags=re.DOTALL)
    found = []
    for one in [*certificates, *re.split(r"[\s,;]+", rest)]:
        if one and not (digest := fingerprint(one)):
            raise ValueError(f"{one[:20]!r} is no SHA-256 fingerprint, 64 hexadecimal digits, and no PEM certificate")
        found += [digest] if one and digest not in found else []
    return found
