"""Certificate signing requests of charge points: checked, and signed by a key of ours (OCPP-90). No database.

A request has to name the organisation of the tenant and the charge point itself, be signed by its own key, and have a
key that is not weak: RSA of 2048 bits, or an elliptic curve of 256.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_RSA_BITS, _CURVE_BITS = 2048, 256
_EARLIER = timedelta(minutes=10)  # clocks of charge points are late
_LONGEST_CSR = 5500


class NotSigned(Exception):
    """A request that is not signed, and why."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate that was issued."""

    chain: str  # PEM, its own certificate first
    serial: str  # hexadecimal
    subject: str
    valid_from: datetime
    valid_until: datetime


def check_csr(text: str) -> x509.CertificateSigningRequest:
    """Return the request, if it is one and its key is good.

    :raises NotSigned: naming what is wrong.
    """
    if len(text) > _LONGEST_CSR:
        raise NotSigned(f"csr: longer than {_LONGEST_CSR} characters")
    try:
        request = x509.load_pem_x509_csr(text.encode())
        valid, key = request.is_signature_valid, request.public_key()
    except (ValueError, UnsupportedAlgorithm, InvalidSignature, TypeError) as error:
        raise NotSigned("csr: not a certificate signing request in PEM") from error
    if not valid:
        raise NotSigned("csr: its signature is not of its key")
    _check_key(key)
    return request


def check(text: str, *, organisation: str, names: Collection[str]) -> x509.CertificateSigningRequest:
    """Return the request, if it is one that may be signed for a charge point that has these names.

    :raises NotSigned: if it breaks a rule, naming it.
    """
    request = check_csr(text)
    organisations = _of(request.subject, NameOID.ORGANIZATION_NAME)
    if organisations != [organisation]:
        raise NotSigned(f"csr: O must be {organisation!r}, not {', '.join(organisations) or 'absent'}")
    common_names = _of(request.subject, NameOID.COMMON_NAME)
    known = {name.casefold() for name in names if name}
    if len(common_names) != 1 or common_names[0].casefold() not in known:
        raise NotSigned(f"csr: CN must be the identity or serial number, not {', '.join(common_names) or 'absent'}")
    return request


def _of(name: x509.Name, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in name.get_attributes_for_oid(oid)]


def _check_key(key: object) -> None:
    match key:
        case rsa.RSAPublicKey():
            if key.key_size < _RSA_BITS:
                raise NotSigned(f"csr: an RSA key has at least {_RSA_BITS} bits")
        case ec.EllipticCurvePublicKey():
            if key.curve.key_size < _CURVE_BITS:
                raise NotSigned(f"csr: an elliptic curve has at least {_CURVE_BITS} bits")
        case _:
            raise NotSigned("csr: the key must be RSA or of an elliptic curve")


def sign(request: x509.CertificateSigningRequest, *, authority: str, key: str, days: int, now: datetime) -> Signed:
    """Return a certificate for a request that has been checked.

    `authority` and `key` are PEM: our certificates, the issuing one first, and its key.
    """
    issuers = x509.load_pem_x509_certificates(authority.encode())
    issuer, private = issuers[0], serialization.load_pem_private_key(key.encode(), password=None)
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise NotSigned("the key of the authority is neither RSA nor of an elliptic curve")
    until = min(now + timedelta(days=days), issuer.not_valid_after_utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(issuer.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(request.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)  # type: ignore[arg-type]
    )
    issued = builder.sign(private, hashes.SHA256())
    between = [each for each in issuers if each.subject != each.issuer]  # a root is never sent along
    return _read([issued, *between])


def _usage(*, signs: bool = False, issues: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=issues, crl_sign=issues, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def read_chain(text: str, request: x509.CertificateSigningRequest) -> Signed:
    """Return what another authority has signed.

    :raises NotSigned: if it is no chain of certificates, or not for this key.
    """
    try:
        chain = x509.load_pem_x509_certificates(text.encode())
    except ValueError as error:
        raise NotSigned("what the service signed is no certificate in PEM") from error
    if chain[0].public_key() != request.public_key():
        raise NotSigned("what the service signed is for another key")
    return _read(chain)


def _read(chain: list[x509.Certificate]) -> Signed:
    own = chain[0]
    return Signed(
        chain="".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in chain),
        serial=format(own.serial_number, "x"),
        subject=own.subject.rfc4514_string()[:255],
        valid_from=own.not_valid_before_utc,
        valid_until=own.not_valid_after_utc,
    )


def new_authority(organisation: str, *, years: int = 20, now: datetime | None = None) -> tuple[str, str]:
    """Return certificate and key, both PEM, of a new root for the charge points of an organisation."""
    now = now or datetime.now(UTC)
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{organisation} charge points"[:64]),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + timedelta(days=365 * years))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(issues=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        .sign(private, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    key = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem, key.decode()


def check_revocation_list(revocation_list: str, certificates: str) -> None:
    """Look whether a revocation list is signed by one of these certificates.

    :raises NotSigned: saying what is wrong.
    """
    try:
        found = x509.load_pem_x509_crl(revocation_list.encode())
        known = x509.load_pem_x509_certificates(certificates.encode()) if certificates else []
    except ValueError as error:
        raise NotSigned("revocation_list: not a revocation list in PEM") from error
    if not any(
        each.subject == found.issuer and found.is_signature_valid(each.public_key())  # type: ignore[arg-type]
        for each in known
    ):
        raise NotSigned("revocation_list: not signed by any of the certificates")


def check_authority(certificates: str, key: str) -> None:
    """Look whether certificates and key fit together; without a key only at the certificates.

    :raises NotSigned: saying what is wrong.
    """
    try:
        chain = x509.load_pem_x509_certificates(certificates.encode())
    except ValueError as error:
        raise NotSigned("certificates: not PEM certificates") from error
    for each in chain:
        if not each.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            raise NotSigned(f"certificates: {each.subject.rfc4514_string()} is no authority")
    if key:
        try:
            private = serialization.load_pem_private_key(key.encode(), password=None)
        except (ValueError, TypeError) as error:
            raise NotSigned("key: not a private key in PEM without a passphrase") from error
        if private.public_key() != chain[0].public_key():
            raise NotSigned("key: it is not the key of the first certificate")
