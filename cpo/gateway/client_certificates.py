"""Is a client certificate good for this charge point (OCPP-06)? Asked of the tenant's own authority, whoever ended TLS.

It must chain to the tenant's root, be in date, not be revoked, and name the tenant's organisation and the charge point:
by its identity, or by a serial number it has booted with. Certificates between it and the root are taken from the
tenant's authority, so whatever else a client or proxy sends along decides nothing.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cpo.gateway.store import Record, Store

_LONGEST_CHAIN = 5
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_AUTHORITY = """
    SELECT a.organisation, a.certificates, a.revocation_list,
        EXISTS (SELECT FROM cpo_stationcertificate AS s
                WHERE s.authority_id = a.id AND s.serial = %s AND s.revoked_at IS NOT NULL),
        (SELECT array_agg(b.serial) || array_agg(b.box_serial) FROM (
            SELECT serial, box_serial FROM cpo_bootrecord WHERE charge_point_id = %s
            ORDER BY last_at DESC, id DESC LIMIT 1) AS b),
        a.id || ' ' || a.xmin
    FROM cpo_chargepoint AS c JOIN cpo_certificateauthority AS a
        ON upper(a.country_code) = upper(c.country_code) AND upper(a.party_id) = upper(c.party_id)
    WHERE c.id = %s
"""


@dataclass(frozen=True, slots=True)
class Authority:
    """Whom a tenant believes, and what it has taken back."""

    organisation: str
    certificates: str  # PEM
    revocation_list: str = ""  # PEM
    revoked: bool = False  # the certificate in question, by us


def from_header(value: str | None) -> x509.Certificate | None:
    """Return the certificate that a proxy has put into a header: PEM, percent-encoded or with its line breaks gone."""
    found = _PEM.search(unquote(value or ""))
    if found is None:
        return None
    body = "".join(found[0].removeprefix("-----BEGIN CERTIFICATE-----").partition("-----END")[0].split())
    lines = "\n".join(body[start : start + 64] for start in range(0, len(body), 64))
    try:
        return x509.load_pem_x509_certificate(
            f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n".encode()
        )
    except ValueError:
        return None


def from_socket(der: bytes | None) -> x509.Certificate | None:
    """Return the certificate that a client has shown in the TLS handshake."""
    try:
        return x509.load_der_x509_certificate(der) if der else None
    except ValueError:
        return None


def as_der(shown: x509.Certificate) -> bytes:
    """Return a certificate in as few bytes as it has."""
    return shown.public_bytes(Encoding.DER)


async def objection(store: Store, record: Record, shown: x509.Certificate, now: datetime) -> tuple[str, str]:
    """Return why a certificate does not let this charge point in, nothing if it does; and by which authority's version.

    The version is that of the authority's row: whoever changes that has every certificate judged again.
    """
    serial = format(shown.serial_number, "x")
    rows = await store.fetch(_AUTHORITY, (serial, record.id, record.id))
    if not rows:
        return "the tenant has no certificate authority", ""
    organisation, certificates, revocation_list, revoked, serials, version = rows[0]
    names = {record.identity, *(serials or ())}
    return judge(shown, Authority(organisation, certificates, revocation_list, bool(revoked)), names, now), version


def judge(shown: x509.Certificate, authority: Authority, names: set[str], now: datetime) -> str:
    """Return what is wrong with a certificate; nothing if nothing is. Pure."""
    try:
        known = x509.load_pem_x509_certificates(authority.certificates.encode()) if authority.certificates else []
        return (
            _untrusted(shown, known, now)
            or _misused(shown)
            or ("it is revoked" if authority.revoked or _listed(shown, authority.revocation_list, known) else "")
            or _misnamed(shown, authority.organisation, names)
        )
    except (ValueError, UnsupportedAlgorithm, TypeError) as error:
        return f"it cannot be checked: {error}"


def _untrusted(shown: x509.Certificate, known: list[x509.Certificate], now: datetime) -> str:
    current = shown
    for _ in range(_LONGEST_CHAIN):
        if not current.not_valid_before_utc <= now <= current.not_valid_after_utc:
            return "it, or one above it, is not in date"
        issuer = next((each for each in known if _issued(current, each)), None)
        if issuer is None:
            return "it does not chain to the tenant's root"
        if issuer.subject == issuer.issuer:
            in_date = issuer.not_valid_before_utc <= now <= issuer.not_valid_after_utc
            return "" if in_date else "the tenant's root is not in date"
        current = issuer
    return "its chain is too long"


def _is_authority(shown: x509.Certificate) -> bool:
    try:
        return shown.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _issued(below: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        if not _is_authority(above):
            return False
        below.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _misused(shown: x509.Certificate) -> str:
    if _is_authority(shown):
        return "it is an authority's, not for clients"
    try:
        uses = shown.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ""
    return "" if ExtendedKeyUsageOID.CLIENT_AUTH in uses else "it is not for clients"


def _listed(shown: x509.Certificate, revocation_list: str, known: list[x509.Certificate]) -> bool:
    if not revocation_list:
        return False
    found = x509.load_pem_x509_crl(revocation_list.encode())
    signed = any(
        each.subject == found.issuer and found.is_signature_valid(each.public_key())  # type: ignore[arg-type]
        for each in known
    )
    if not signed:
        raise ValueError("the revocation list is not signed by the tenant's authority")
    return found.get_revoked_certificate_by_serial_number(shown.serial_number) is not None


def _misnamed(shown: x509.Certificate, organisation: str, names: set[str]) -> str:
    if _of(shown, NameOID.ORGANIZATION_NAME) != [organisation]:
        return f"its O is not {organisation}"
    common_names = _of(shown, NameOID.COMMON_NAME)
    wanted = {name.casefold() for name in names if name}
    return "" if len(common_names) == 1 and common_names[0].casefold() in wanted else "its CN is another charge point"


def _of(shown: x509.Certificate, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in shown.subject.get_attributes_for_oid(oid)]
