"""Keys, requests and certificates for tests."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from cpo.modules import certificates_signing as signing
from cpo.modules.certificates_signing import Signed

ORGANISATION = "The New Motion"
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def subject(common_name: str | None, organisation: str | None = ORGANISATION) -> x509.Name:
    parts = ((NameOID.ORGANIZATION_NAME, organisation), (NameOID.COMMON_NAME, common_name))
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts if text is not None])


def csr(common_name: str | None, *, organisation: str | None = ORGANISATION, key: Key | None = None) -> str:
    key = key or ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(subject(common_name, organisation))
    return pem(request.sign(key, hashes.SHA256()))


def pem(thing: x509.Certificate | x509.CertificateSigningRequest | x509.CertificateRevocationList) -> str:
    return thing.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: Key) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


class Root:
    """An authority, and what it signs."""

    def __init__(self, organisation: str = ORGANISATION) -> None:
        self.organisation = organisation
        self.certificate, self.key = signing.new_authority(organisation)

    def client(
        self, common_name: str, *, organisation: str = ORGANISATION, days: int = 30, now: datetime | None = None
    ) -> tuple[Signed, str]:
        """Return a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        request = signing.check_csr(csr(common_name, organisation=organisation, key=key))
        signed = signing.sign(
            request, authority=self.certificate, key=self.key, days=days, now=now or datetime.now(UTC)
        )
        return signed, key_pem(key)

    def revoking(self, *serials: str) -> str:
        """Return a revocation list with these serial numbers."""
        now = datetime.now(UTC)
        issuer = x509.load_pem_x509_certificate(self.certificate.encode())
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.subject)
            .last_update(now - timedelta(hours=1))
            .next_update(now + timedelta(days=1))
        )
        for serial in serials:
            revoked = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(now).build()
            builder = builder.add_revoked_certificate(revoked)
        key = serialization.load_pem_private_key(self.key.encode(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return pem(builder.sign(key, hashes.SHA256()))


def server_files(folder: Path) -> tuple[str, str]:
    """Write a certificate for 127.0.0.1 and its key; return both paths."""
    now, key = datetime.now(UTC), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "gateway.pem", folder / "gateway.key"
    files[0].write_text(pem(certificate))
    files[1].write_text(key_pem(key))
    return str(files[0]), str(files[1])
