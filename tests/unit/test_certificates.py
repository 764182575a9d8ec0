"""Certificates of charge points: requests are checked, signed by us or a service, delivered, watched and taken back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from cpo.models import CertificateAuthority, InboxMessage, InstalledCertificate, StationCertificate, StationEvent
from cpo.modules import certificates, certificates_authorities, certificates_installed, certificates_signing
from cpo.modules.certificates_signing import NotSigned
from tests.certificates import ORGANISATION, Root, csr
from tests.cpo_support import Point
from tests.devices_support import BOOT_16, BOOT_201, add_device, asked, end, waiting
from tests.platforms import Listener, Received, Reply

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]
NOW = datetime.now(UTC)


@pytest.fixture
def authority() -> CertificateAuthority:
    return certificates_authorities.create("NL", "TNM", organisation=ORGANISATION, by="tester")


def asks(point: Point, request: str, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = point.says("SignCertificate", {"csr": request, **more}, protocol=point.row.protocol)
    return answer


def sign_now() -> None:
    StationCertificate.objects.exclude(due_at=None).update(due_at=datetime.now(UTC) - timedelta(seconds=1))
    certificates.sign_due()


def kinds() -> list[str]:
    return list(StationEvent.objects.order_by("id").values_list("kind", flat=True))


@pytest.mark.req("OCPP-90")
@pytest.mark.parametrize("protocol", ["1.6", "2.0.1"])
def test_a_request_is_answered_then_signed_then_delivered(protocol: str, authority: CertificateAuthority) -> None:
    point = add_device(protocol=protocol)

    answer = asks(point, csr("CP-1"))
    assert (answer, certificates.sign_due(), asked()) == ({"status": "Accepted"}, 0, [])
    sign_now()
    [message] = asked("CertificateSigned")
    end(waiting("CertificateSigned"), {"status": "Accepted"})

    row = StationCertificate.objects.get()
    [leaf] = x509.load_pem_x509_certificates(message["certificateChain"].encode())
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificates.encode()))
    assert (row.state, row.serial, row.subject) == (
        "INSTALLED",
        format(leaf.serial_number, "x"),
        "CN=CP-1,O=The New Motion",
    )
    assert row.valid_until == leaf.not_valid_after_utc
    assert message.get("certificateType") == (None if protocol == "1.6" else "ChargingStationCertificate")
    assert kinds() == []


@pytest.mark.req("OCPP-90")
def test_the_key_of_the_authority_is_sealed(authority: CertificateAuthority) -> None:
    assert "PRIVATE" not in authority.key
    assert authority.key


@pytest.mark.req("OCPP-90")
@pytest.mark.parametrize("name", ["CP-1", "SN-1"])
def test_the_name_may_be_the_identity_or_the_serial(name: str, authority: CertificateAuthority) -> None:
    point = add_device()
    point.says("BootNotification", BOOT_16, answer="{}")

    assert asks(point, csr(name)) == {"status": "Accepted"}


@pytest.mark.req("OCPP-90")
@pytest.mark.parametrize(
    ("request_text", "why"),
    [
        (lambda: csr("CP-2"), "CN must be"),
        (lambda: csr(None), "CN must be"),
        (lambda: csr("CP-1", organisation="Somebody"), "O must be"),
        (lambda: csr("CP-1", organisation=None), "O must be"),
        (lambda: csr("CP-1", key=rsa.generate_private_key(65537, 1024)), "2048 bits"),  # noqa: S505
        (lambda: csr("CP-1", key=ec.generate_private_key(ec.SECP192R1())), "256 bits"),
        (lambda: "nonsense", "not a certificate signing request"),
        (lambda: "x" * 5501, "longer than"),
    ],
)
def test_a_request_that_breaks_a_rule_is_rejected_for_its_reason(
    request_text: Any, why: str, authority: CertificateAuthority
) -> None:
    answer = asks(add_device(), request_text())

    assert answer == {"status": "Rejected"}
    assert not StationCertificate.objects.exists()
    event = StationEvent.objects.get()
    assert event.kind == "CertificateRequestRefused"
    assert why in event.info


@pytest.mark.req("OCPP-90")
def test_nobody_signs_where_nobody_can() -> None:
    assert asks(add_device(), csr("CP-1")) == {"status": "Rejected"}
    assert asks(add_device("CP-2", protocol="2.0.1"), csr("CP-2")) == {"status": "Rejected"}


@pytest.mark.req("OCPP-90")
def test_certificates_for_cars_are_not_made_up_here(authority: CertificateAuthority) -> None:
    point = add_device(protocol="2.0.1")
    point.says("BootNotification", BOOT_201, protocol="2.0.1", answer="{}")

    assert asks(point, csr("CP-1"), certificateType="V2GCertificate") == {"status": "Rejected"}


@pytest.mark.req("OCPP-90")
def test_what_the_gateway_rejected_in_our_stead_is_not_signed(authority: CertificateAuthority) -> None:
    point = add_device()
    point.says("SignCertificate", {"csr": csr("CP-1")}, answer='{"status":"Rejected"}', apply=False)
    InboxMessage.objects.update(gave_up=True)

    asks(point, csr("CP-1", organisation="Other"))

    assert not StationCertificate.objects.exists()


@pytest.mark.req("OCPP-90")
def test_a_newer_request_takes_the_place_of_one_that_is_open(authority: CertificateAuthority) -> None:
    point = add_device()
    asks(point, csr("CP-1"))
    asks(point, csr("CP-1"))
    sign_now()

    assert list(StationCertificate.objects.order_by("id").values_list("state", flat=True)) == ["REPLACED", "SENT"]
    assert len(asked("CertificateSigned")) == 1


@pytest.mark.req("OCPP-90")
@pytest.mark.parametrize(
    ("ending", "state", "kind"),
    [
        ({"answer": {"status": "Rejected"}}, "REFUSED", "CertificateRejected"),
        ({"state": "CALLERROR", "error": "NotImplemented"}, "FAILED", "CertificateNotDelivered"),
    ],
)
def test_a_certificate_that_is_not_taken_is_an_alarm(
    ending: dict[str, Any], state: str, kind: str, authority: CertificateAuthority
) -> None:
    asks(add_device(), csr("CP-1"))
    sign_now()

    end(waiting("CertificateSigned"), **ending)

    assert StationCertificate.objects.get().state == state
    assert StationEvent.objects.get(critical=True).kind == kind


@pytest.mark.req("OCPP-90")
def test_one_that_was_not_delivered_is_sent_again_five_times_at_most(authority: CertificateAuthority) -> None:
    asks(add_device(), csr("CP-1"))
    sign_now()

    for _ in range(5):
        end(waiting("CertificateSigned"), state="TIMEOUT")

    assert StationCertificate.objects.get().state == "FAILED"
    assert asked() == []


@pytest.mark.req("OCPP-90")
def test_a_new_certificate_replaces_the_one_before(authority: CertificateAuthority) -> None:
    point = add_device()
    for _ in range(2):
        asks(point, csr("CP-1"))
        sign_now()
        end(waiting("CertificateSigned"), {"status": "Accepted"})

    assert list(StationCertificate.objects.order_by("id").values_list("state", flat=True)) == ["REPLACED", "INSTALLED"]


@pytest.mark.req("OCPP-90")
def test_revoking_is_audited_and_done_once(authority: CertificateAuthority) -> None:
    asks(add_device(), csr("CP-1"))
    sign_now()
    row = StationCertificate.objects.get()

    first = certificates.revoke(row.pk, because="stolen", by="tester")
    second = certificates.revoke(row.pk, because="again", by="tester")

    row.refresh_from_db()
    assert (first, second, row.revoked_because) == (True, False, "stolen")


@pytest.mark.req("OCPP-90")
@pytest.mark.parametrize(("days", "alarmed"), [(29, True), (31, False)])
def test_a_certificate_that_ends_soon_is_told(days: int, alarmed: bool, authority: CertificateAuthority) -> None:
    asks(add_device(), csr("CP-1"))
    sign_now()
    end(waiting("CertificateSigned"), {"status": "Accepted"})
    StationCertificate.objects.update(valid_until=datetime.now(UTC) + timedelta(days=days))

    assert [row.subject for row in certificates.ending_soon()] == (["CN=CP-1,O=The New Motion"] if alarmed else [])


# ------------------------------------------------------------ a service that signs


@pytest.fixture
def service(listener: Listener) -> Listener:
    """A tenant whose certificates a service signs."""
    certificates_authorities.create(
        "NL", "TNM", organisation=ORGANISATION, url=f"{listener.url}/sign", token="secret-of-the-service", by="tester"
    )
    return listener


@pytest.mark.req("OCPP-90")
def test_a_service_is_asked_and_what_it_signs_is_delivered(service: Listener) -> None:
    root = Root()

    def sign(request: Received) -> Reply:
        asked_for = certificates_signing.check_csr(request.json["csr"])
        signed = certificates_signing.sign(
            asked_for, authority=root.certificate, key=root.key, days=request.json["days"], now=NOW
        )
        return Reply(raw=json.dumps({"certificate_chain": signed.chain + root.certificate}).encode())

    service.reply("POST", "/sign", using=sign)
    asks(add_device(), csr("CP-1"))
    sign_now()

    [request] = service.received("POST", "/sign")
    assert request.headers["authorization"] == "Token secret-of-the-service"
    assert (request.json["identity"], request.json["certificate_type"]) == ("CP-1", "ChargingStationCertificate")
    [message] = asked("CertificateSigned")
    assert message["certificateChain"].count("BEGIN CERTIFICATE") == 2
    assert "secret" not in CertificateAuthority.objects.get().token


@pytest.mark.req("OCPP-90")
@pytest.mark.parametrize(
    ("reply", "state", "error"),
    [
        ({"status": 503}, "ASKED", "answered 503"),
        ({"close": True}, "ASKED", "did not answer"),
        ({"status": 422}, "FAILED", "answered 422"),
        ({"raw": b"<html>"}, "ASKED", "no JSON for us"),
        ({"raw": b"[" * 5000 + b"]" * 5000}, "ASKED", "no JSON for us"),
        ({"raw": b"{}"}, "FAILED", "no certificate_chain"),
        ({"raw": json.dumps({"certificate_chain": Root().certificate}).encode()}, "FAILED", "another key"),
    ],
)
def test_a_service_that_fails_is_asked_again_and_one_that_refuses_is_not(
    reply: dict[str, Any], state: str, error: str, service: Listener
) -> None:
    service.reply("POST", "/sign", **reply)
    asks(add_device(), csr("CP-1"))

    sign_now()

    row = StationCertificate.objects.get()
    assert (row.state, row.due_at is not None) == (state, state == "ASKED")
    assert error in row.error
    assert kinds() == ([] if state == "ASKED" else ["CertificateNotSigned"])


@pytest.mark.req("OCPP-90")
def test_a_service_that_never_answers_is_given_up_after_five_times(service: Listener) -> None:
    service.reply("POST", "/sign", status=503)
    asks(add_device(), csr("CP-1"))

    for _ in range(6):
        sign_now()

    assert StationCertificate.objects.get().state == "FAILED"
    assert len(service.received("POST", "/sign")) == certificates.ATTEMPTS


def test_only_keys_that_ocpp_knows_are_signed() -> None:
    with pytest.raises(NotSigned, match="must be RSA or"):
        certificates_signing._check_key(ed25519.Ed25519PrivateKey.generate().public_key())


# ------------------------------------------------------------ installed at charge points

ROWS = [
    {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": f"b{number}", "serialNumber": str(number)}
    for number in range(2)
]


@pytest.mark.req("OCPP-90")
@pytest.mark.parametrize("protocol", ["1.6", "2.0.1"])
def test_what_is_installed_is_listed_as_the_charge_point_says(protocol: str) -> None:
    point = add_device(protocol=protocol)
    InstalledCertificate.objects.create(
        charge_point=point.row, kind="CSMSRootCertificate", hash_algorithm="SHA256", issuer_name_hash="old",
        issuer_key_hash="old", serial="9", reported_at=NOW,
    )  # fmt: skip
    certificates_installed.refresh(point.row, by="tester")
    [first, *_] = asked("GetInstalledCertificateIds")
    operation = point.row.operations.get(payload__contains=json.dumps(first["certificateType"])[2:-2])

    if protocol == "1.6":
        assert first == {"certificateType": "CentralSystemRootCertificate"}
        end(operation, {"status": "Accepted", "certificateHashData": ROWS})
    else:
        assert first == {"certificateType": ["CSMSRootCertificate"]}
        chain = [{"certificateType": "CSMSRootCertificate", "certificateHashData": row} for row in ROWS]
        end(operation, {"status": "Accepted", "certificateHashDataChain": chain})

    found = InstalledCertificate.objects.order_by("serial").values_list("kind", "serial")
    assert list(found) == [("CSMSRootCertificate", "0"), ("CSMSRootCertificate", "1")]
    row = InstalledCertificate.objects.get(serial="1")
    certificates_installed.delete(row, by="tester")
    [deleting] = asked("DeleteCertificate")
    assert deleting == {"certificateHashData": ROWS[1]}
    end(waiting("DeleteCertificate"), {"status": "Accepted"})
    assert not InstalledCertificate.objects.filter(serial="1").exists()


@pytest.mark.req("OCPP-90")
@pytest.mark.parametrize("protocol", ["1.6", "2.0.1"])
def test_after_an_installation_the_charge_point_is_asked_what_it_has(protocol: str) -> None:
    point = add_device(protocol=protocol)
    certificates_installed.install(point.row, pem=Root().certificate, kind="CSMSRootCertificate", by="tester")

    end(waiting("InstallCertificate"), {"status": "Accepted"})
    certificates_installed.settle(point.row.operations.get(action="InstallCertificate").pk)

    assert len(asked("GetInstalledCertificateIds")) == 1


@pytest.mark.req("OCPP-90")
@pytest.mark.parametrize(
    ("kind", "critical"),
    [("TamperDetectionActivated", True), ("InvalidFirmwareSignature", True), ("ResetOrReboot", False),
     ("ReconfigurationOfSecurityParameters", False), ("com.acme.Odd", False)],
)  # fmt: skip
def test_security_events_are_kept_and_the_critical_ones_are_alarms(kind: str, critical: bool) -> None:
    payload = {"type": kind, "timestamp": "2026-11-01T10:00:00Z", "techInfo": "here\x00"}

    add_device().says("SecurityEventNotification", payload, answer="{}")

    row = StationEvent.objects.get()
    assert (row.kind, row.critical, row.source, row.info) == (kind, critical, "STATION", "here")
    assert row.at == datetime(2026, 11, 1, 10, tzinfo=UTC)
