"""One row of everything about devices that has a page, for the tests of the admin."""

from __future__ import annotations

from datetime import datetime

from cpo import models

SEALED = "sealed-key-of-an-authority"
NEXT_DIGEST = "digest-of-the-next-password"
LINK_DIGEST = "digest-of-a-link"


def add_devices(point: models.ChargePoint, *, now: datetime, text: str) -> None:
    """Add the rows; `text` is what a charge point may say."""
    models.ChargePoint.objects.filter(pk=point.pk).update(next_password_digest=NEXT_DIGEST)
    models.BootRecord.objects.create(
        charge_point=point, vendor=text, model="One", firmware="1.0", first_at=now, last_at=now
    )
    models.StationEvent.objects.create(
        charge_point=point, source="STATION", kind="TamperDetectionActivated", critical=True, info=text, at=now
    )
    models.ConfigurationValue.objects.create(charge_point=point, key="Vendor", value=text, read_at=now)
    plan = models.ProvisioningPlan.objects.create(
        name="all", country_code="NL", party_id="TNM", protocol="1.6", model="Ten"
    )
    plan.settings.create(key="HeartbeatInterval", value="300")
    models.ProvisioningRun.objects.create(charge_point=point, state="DONE", booted_at=now, request_id=1)
    models.ProvisioningResult.objects.create(
        charge_point=point, key="HeartbeatInterval", wanted="300", actual=text, status="Rejected", error=text
    )
    models.DataTransfer.objects.create(
        charge_point=point, received_at=now, vendor_id=text, data={"x": text}, status="UnknownVendorId",
        answer={"status": "UnknownVendorId"},
    )  # fmt: skip
    _certificates(point, now, text)
    _firmware(point, now, text)


def _certificates(point: models.ChargePoint, now: datetime, text: str) -> None:
    authority = models.CertificateAuthority.objects.create(
        country_code="NL", party_id="TNM", organisation="TNM", certificates="PEM", key=SEALED, token=SEALED
    )
    models.StationCertificate.objects.create(
        charge_point=point, authority=authority, state="INSTALLED", csr="PEM", subject=text, serial="ab",
        valid_until=now,
    )  # fmt: skip
    models.InstalledCertificate.objects.create(
        charge_point=point, kind="CSMSRootCertificate", hash_algorithm="SHA256", issuer_name_hash="a",
        issuer_key_hash="b", serial="1", reported_at=now,
    )  # fmt: skip


def _firmware(point: models.ChargePoint, now: datetime, text: str) -> None:
    file = models.DeviceFile.objects.create(stored_as="f" * 32, name=text, size=7, sha256="a" * 64)
    image = models.FirmwareImage.objects.create(country_code="NL", party_id="TNM", name="One", version="2.0", file=file)
    rollout = models.Rollout.objects.create(
        name="Autumn", image=image, state="RUNNING", at_once=2, stop_after=1, created_by="somebody"
    )
    job = models.DeviceJob.objects.create(
        charge_point=point, kind="FIRMWARE", state="RUNNING", status="Downloading", image=image, rollout=rollout,
        asked_by="somebody",
    )  # fmt: skip
    models.DeviceJobStatus.objects.create(job=job, status=text, at=now)
    models.FileLink.objects.create(digest=LINK_DIGEST, job=job, upload=False, uses_left=1, expires_at=now)
