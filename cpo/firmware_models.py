"""Firmware, logs and diagnostics: files, jobs of single charge points, and rollouts to many (OCPP-85)."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from cpo import device_job_states
from cpo.gateway_models import ChargePoint, Operation

__all__ = ["DeviceFile", "DeviceJob", "DeviceJobStatus", "FileLink", "FirmwareImage", "Rollout"]


class DeviceFile(models.Model):
    """A file on disk, outside of anything a web server serves; its name there is made up by us."""

    stored_as = models.CharField(max_length=64, unique=True)
    name = models.CharField(max_length=150, blank=True, help_text="what its sender called it; for people only")
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        app_label = "cpo"

    def __str__(self) -> str:
        return self.name or self.stored_as


class FirmwareImage(models.Model):
    """A firmware that charge points can be told to install."""

    country_code = models.CharField(max_length=2)
    party_id = models.CharField(max_length=3)
    name = models.CharField(max_length=100)
    version = models.CharField(max_length=50, help_text="what the charge point reports after the update")
    vendor = models.CharField(max_length=50, blank=True, default="", db_default="", help_text="empty: any")
    model = models.CharField(max_length=50, blank=True, default="", db_default="", help_text="empty: any")
    file = models.ForeignKey(DeviceFile, on_delete=models.PROTECT, null=True, blank=True, related_name="images")
    url = models.CharField(max_length=512, blank=True, default="", db_default="", help_text="if it lies elsewhere")
    signature = models.CharField(max_length=800, blank=True, default="", db_default="", help_text="Base64")
    signing_certificate = models.TextField(blank=True, default="", db_default="", help_text="PEM")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        app_label = "cpo"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(file__isnull=False) | ~models.Q(url=""), name="cpo_firmware_lies_somewhere"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Rollout(models.Model):
    """One firmware for many charge points, some at a time, until too many fail."""

    name = models.CharField(max_length=100)
    image = models.ForeignKey(FirmwareImage, on_delete=models.PROTECT, related_name="rollouts")
    state = models.CharField(max_length=8, choices=[(each, each) for each in device_job_states.ROLLOUTS])
    at_once = models.PositiveIntegerField(help_text="charge points updating at the same time")
    stop_after = models.PositiveIntegerField(help_text="failures; 0: never")
    created_by = models.CharField(max_length=150)
    reason = models.CharField(max_length=255, blank=True, default="", db_default="", help_text="why it stopped")
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "cpo"
        constraints = [models.CheckConstraint(condition=models.Q(at_once__gt=0), name="cpo_rollout_does_something")]
        indexes = [models.Index("id", condition=models.Q(state="RUNNING"), name="cpo_rollout_running")]

    def __str__(self) -> str:
        return self.name


class DeviceJob(models.Model):
    """A firmware update, a log or diagnostics of one charge point; its requestId there is the id of this row."""

    class Kind(models.TextChoices):
        FIRMWARE = "FIRMWARE"
        LOG = "LOG"
        SECURITY_LOG = "SECURITY_LOG"
        DIAGNOSTICS = "DIAGNOSTICS"

    id = models.AutoField(primary_key=True)  # OCPP's requestId is a 32-bit integer
    charge_point = models.ForeignKey(ChargePoint, on_delete=models.CASCADE, related_name="device_jobs")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    state = models.CharField(max_length=9, choices=[(each, each) for each in device_job_states.JOBS])
    status = models.CharField(max_length=40, blank=True, default="", db_default="", help_text="OCPP's, the newest")
    image = models.ForeignKey(FirmwareImage, on_delete=models.PROTECT, null=True, blank=True, related_name="jobs")
    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, null=True, blank=True, related_name="jobs")
    operation = models.ForeignKey(Operation, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    file = models.ForeignKey(DeviceFile, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    filename = models.CharField(max_length=255, blank=True, default="", db_default="", help_text="announced")
    error = models.CharField(max_length=255, blank=True, default="", db_default="")
    asked_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "cpo"
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(kind="FIRMWARE") | models.Q(image__isnull=False), name="cpo_job_has_its_firmware"
            ),
            models.UniqueConstraint(fields=["rollout", "charge_point"], name="cpo_job_once_per_rollout"),
        ]
        indexes = [
            models.Index("charge_point", condition=models.Q(ended_at=None), name="cpo_job_open"),
            models.Index("operation", condition=models.Q(ended_at=None), name="cpo_job_by_operation"),
            models.Index(fields=["charge_point", "-id"], name="cpo_job_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class DeviceJobStatus(models.Model):
    """Something a charge point said about a job."""

    job = models.ForeignKey(DeviceJob, on_delete=models.CASCADE, related_name="history")
    status = models.CharField(max_length=40)
    at = models.DateTimeField()

    class Meta:
        app_label = "cpo"

    def __str__(self) -> str:
        return self.status


class FileLink(models.Model):
    """An unguessable URL for one charge point: to fetch a file, or to leave one, a few times until its end."""

    digest = models.CharField(max_length=64, unique=True, help_text="of the secret in the URL")
    job = models.ForeignKey(DeviceJob, on_delete=models.CASCADE, related_name="links")
    upload = models.BooleanField()
    uses_left = models.PositiveIntegerField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    address = models.CharField(max_length=64, blank=True, default="", db_default="")

    class Meta:
        app_label = "cpo"
        indexes = [models.Index("expires_at", name="cpo_file_link_expiry")]

    def __str__(self) -> str:
        return f"{'upload' if self.upload else 'download'} for {self.job_id}"
