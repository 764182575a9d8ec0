"""Security profiles, and which client certificates are good: tables, no sockets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from cpo.gateway import client_certificates, handshake
from cpo.gateway.client_certificates import Authority
from tests.certificates import ORGANISATION, Root, subject

NOW = datetime.now(UTC)
ROOT, OTHER = Root(), Root("Somebody Else")
ROOT_ITSELF = x509.load_pem_x509_certificate(ROOT.certificate.encode())


@pytest.mark.req("OCPP-04")
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("authenticated", [False, True], ids=["no password", "password"])
@pytest.mark.parametrize("certified", [False, True], ids=["no certificate", "certificate"])
def test_what_a_connection_shows_decides_its_profile(secure: bool, authenticated: bool, certified: bool) -> None:
    reached = handshake.profile(authenticated=authenticated, secure=secure, certified=certified)

    expected = {
        (False, False): 0, (True, False): 0, (False, True): 1, (True, True): 2,
    }[secure, authenticated]  # fmt: skip
    assert reached == (3 if certified and secure else expected)


@pytest.mark.req("OCPP-04")
@pytest.mark.parametrize("required", [0, 1, 2, 3])
@pytest.mark.parametrize("reached", [0, 1, 2, 3])
def test_below_its_profile_nobody_comes_in_and_above_everybody(required: int, reached: int) -> None:
    secure = reached >= 2

    assert handshake.admits(reached, required, secure=secure, refuses_tls=False) is (reached >= required)
    refused = required == 1 and secure
    assert handshake.admits(reached, required, secure=secure, refuses_tls=True) is (reached >= required and not refused)


def judged(
    shown: x509.Certificate, *, root: Root = ROOT, names: tuple[str, ...] = ("CP-1", "SN-1"),
    now: datetime | None = None,
    revocation_list: str = "", revoked: bool = False,
) -> str:  # fmt: skip
    authority = Authority(ORGANISATION, root.certificate, revocation_list, revoked)
    return client_certificates.judge(shown, authority, set(names), now or datetime.now(UTC))


def client(common_name: str = "CP-1", *, root: Root = ROOT, organisation: str = ORGANISATION) -> x509.Certificate:
    signed, _ = root.client(common_name, organisation=organisation)
    return x509.load_pem_x509_certificate(signed.chain.encode())


@pytest.mark.req("OCPP-06")
@pytest.mark.parametrize("name", ["CP-1", "cp-1", "SN-1"])
def test_a_certificate_names_the_identity_or_the_serial(name: str) -> None:
    assert judged(client(name)) == ""


@pytest.mark.req("OCPP-06")
@pytest.mark.parametrize(
    ("use", "objection"),
    [(ExtendedKeyUsageOID.CLIENT_AUTH, ""), (ExtendedKeyUsageOID.SERVER_AUTH, "it is not for clients")],
)
def test_a_certificate_for_servers_lets_no_client_in(use: x509.ObjectIdentifier, objection: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    root_key = serialization.load_pem_private_key(ROOT.key.encode(), password=None)
    assert isinstance(root_key, ec.EllipticCurvePrivateKey)
    shown = (
        x509.CertificateBuilder()
        .subject_name(subject("CP-1"))
        .issuer_name(ROOT_ITSELF.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(hours=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        .sign(root_key, hashes.SHA256())
    )

    assert judged(shown) == objection


@pytest.mark.req("OCPP-06")
@pytest.mark.parametrize(
    ("shown", "changes", "objection"),
    [
        (client("CP-2"), {}, "CN is another"),
        (client(organisation="The Old Motion"), {}, "O is not"),
        (client(root=OTHER), {}, "does not chain"),
        (client(), {"root": OTHER}, "does not chain"),
        (client(), {"now": NOW + timedelta(days=31)}, "not in date"),
        (client(), {"now": NOW - timedelta(days=1)}, "not in date"),
        (client(), {"revoked": True}, "revoked"),
        (ROOT_ITSELF, {"names": (f"{ORGANISATION} charge points",)}, "not for clients"),
    ],
)
def test_any_other_certificate_is_refused_for_its_reason(
    shown: x509.Certificate, changes: dict[str, object], objection: str
) -> None:
    assert objection in judged(shown, **changes)  # type: ignore[arg-type]


@pytest.mark.req("OCPP-06")
def test_a_certificate_on_the_revocation_list_is_refused_and_a_list_of_somebody_else_lets_nobody_in() -> None:
    shown, free = client(), client()
    listed = ROOT.revoking(format(shown.serial_number, "x"))

    assert "revoked" in judged(shown, revocation_list=listed)
    assert judged(free, revocation_list=listed) == ""
    assert "not signed" in judged(free, revocation_list=OTHER.revoking())


@pytest.mark.req("OCPP-07")
def test_a_proxy_may_pass_the_certificate_on_in_several_ways() -> None:
    signed, _ = ROOT.client("CP-1")
    shown = x509.load_pem_x509_certificate(signed.chain.encode())

    for text in (quote(signed.chain), signed.chain.replace("\n", " "), signed.chain.replace("\n", "\n\t")):
        assert client_certificates.from_header(text) == shown
    for bad in ("", None, "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"):
        assert client_certificates.from_header(bad) is None
