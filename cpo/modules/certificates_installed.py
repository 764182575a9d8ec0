"""Root certificates at charge points: listed, installed and deleted there (OCPP-90, A02 … M05)."""

from __future__ import annotations

from uuid import UUID, uuid4

from django.db import transaction

from cpo.models import ChargePoint, InstalledCertificate, Operation
from cpo.ocpp import device_calls
from cpo.ocpp.device_words import CertificateHash
from ocpi import audit, clock

TELLING = ("GetInstalledCertificateIds", "InstallCertificate", "DeleteCertificate")


def kinds(charge_point: ChargePoint) -> tuple[str, ...]:
    """Return the kinds of root certificates a charge point can hold."""
    found: tuple[str, ...] = device_calls.words(charge_point.protocol).ROOT_KINDS
    return found


def refresh(charge_point: ChargePoint, *, by: str) -> list[Operation]:
    """Ask a charge point for what it has installed, kind by kind.

    :raises NotAsked: if it cannot even be queued.
    """
    words = device_calls.words(charge_point.protocol)
    return [
        device_calls.ask(charge_point, words.ask_installed(kind), asked_by=f"certificates, {by}", key=f"ids {uuid4()}")
        for kind in words.ROOT_KINDS
    ]


@transaction.atomic
def install(charge_point: ChargePoint, *, pem: str, kind: str, by: str) -> Operation:
    """Have a root certificate installed.

    :raises NotAsked: if it cannot even be queued.
    """
    message = device_calls.words(charge_point.protocol).install_certificate(pem, kind)
    operation = device_calls.ask(charge_point, message, asked_by=f"certificates, {by}", key=f"install {uuid4()}")
    audit.record("certificate.install", actor=by, about=charge_point.identity, details={"kind": kind})
    return operation


@transaction.atomic
def delete(row: InstalledCertificate, *, by: str) -> Operation:
    """Have a certificate deleted.

    :raises NotAsked: if it cannot even be queued.
    """
    which = CertificateHash(row.hash_algorithm, row.issuer_name_hash, row.issuer_key_hash, row.serial)
    message = device_calls.words(row.charge_point.protocol).delete_certificate(which)
    operation = device_calls.ask(row.charge_point, message, asked_by=f"certificates, {by}", key=f"delete {uuid4()}")
    audit.record("certificate.delete", actor=by, about=row.charge_point.identity, details={"serial": row.serial})
    return operation


def settle(operation_id: UUID) -> None:
    """Keep what a charge point says is installed, whoever asked; after a change ask it anew."""
    operation = Operation.objects.filter(pk=operation_id, action__in=TELLING, state="ANSWERED").first()
    if operation is None:
        return
    answer, point = device_calls.answer(operation), operation.charge_point
    words = device_calls.words(point.protocol)
    if operation.action == "GetInstalledCertificateIds":
        asked = words.kinds_asked(device_calls.payload(operation))
        _keep(point, asked, words.installed(answer, asked[0] if len(asked) == 1 else ""))
        return
    if operation.action == "DeleteCertificate" and answer.get("status") in ("Accepted", "NotFound"):
        which = CertificateHash.read(device_calls.payload(operation).get("certificateHashData"))
        if which is not None:
            InstalledCertificate.objects.filter(
                charge_point=point, serial=which.serial, issuer_key_hash=which.issuer_key_hash
            ).delete()
    if operation.action == "InstallCertificate" and answer.get("status") == "Accepted":
        for kind in words.kinds_asked(device_calls.payload(operation)):
            # The key makes it one question however often the end of the installation is heard of.
            device_calls.ask(point, words.ask_installed(kind), asked_by="certificates", key=f"ids after {operation_id}")


def _keep(charge_point: ChargePoint, asked: list[str], found: list[tuple[str, CertificateHash]]) -> None:
    with transaction.atomic():
        rows = InstalledCertificate.objects.filter(charge_point=charge_point)
        (rows.filter(kind__in=asked) if asked else rows).delete()
        InstalledCertificate.objects.bulk_create(
            [
                InstalledCertificate(
                    charge_point=charge_point, kind=kind, hash_algorithm=each.hash_algorithm,
                    issuer_name_hash=each.issuer_name_hash, issuer_key_hash=each.issuer_key_hash, serial=each.serial,
                    reported_at=clock.now(),
                )
                for kind, each in found
            ],
            ignore_conflicts=True,
        )  # fmt: skip
