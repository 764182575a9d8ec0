"""What is known of charge points as devices: boots, events of note, settings and plans for them, DataTransfer."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from cpo import provisioning_states
from cpo.gateway_models import ChargePoint, Operation

__all__ = [
    "BootRecord",
    "ConfigurationValue",
    "DataTransfer",
    "ProvisioningPlan",
    "ProvisioningResult",
    "ProvisioningRun",
    "ProvisioningSetting",
    "StationEvent",
]


class BootRecord(models.Model):
    """What a charge point said of itself, from its first boot with these words to its last (OCPP-35)."""

    charge_point = models.ForeignKey(ChargePoint, on_delete=models.CASCADE, related_name="boots")
    vendor = models.CharField(max_length=50)
    model = models.CharField(max_length=50)
    serial = models.CharField(max_length=50, blank=True)
    box_serial = models.CharField(max_length=50, blank=True)
    firmware = models.CharField(max_length=50, blank=True)
    iccid = models.CharField("ICCID", max_length=20, blank=True)
    imsi = models.CharField("IMSI", max_length=20, blank=True)
    meter_type = models.CharField(max_length=50, blank=True)
    meter_serial = models.CharField(max_length=50, blank=True)
    protocol = models.CharField(max_length=16, blank=True)
    reason = models.CharField(max_length=20, blank=True, help_text="of the last boot; OCPP 1.6 gives none")
    boots = models.PositiveIntegerField(default=1, db_default=1)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        app_label = "cpo"
        indexes = [models.Index(fields=["charge_point", "-last_at"], name="cpo_boot_newest")]

    def __str__(self) -> str:
        return f"{self.vendor} {self.model} {self.firmware}".strip()


class StationEvent(models.Model):
    """Something of note about a device: a security event it reports or we notice, other firmware, another serial."""

    class Source(models.TextChoices):
        STATION = "STATION"  # it says so itself
        GATEWAY = "GATEWAY"  # seen at the door
        PLATFORM = "PLATFORM"  # concluded by us

    charge_point = models.ForeignKey(
        ChargePoint, on_delete=models.CASCADE, null=True, blank=True, related_name="station_events"
    )
    identity = models.CharField(max_length=48, blank=True, default="", db_default="", help_text="as it was shown")
    source = models.CharField(max_length=8, choices=Source.choices)
    kind = models.CharField(max_length=50)
    critical = models.BooleanField(default=False, db_default=False)
    info = models.CharField(max_length=255, blank=True, default="", db_default="")
    at = models.DateTimeField(help_text="by the clock of the charge point where that can be right")
    received_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(null=True, blank=True, help_text="when an operator ended the alarm")
    seen_by = models.CharField(max_length=150, blank=True, default="", db_default="")

    class Meta:
        app_label = "cpo"
        indexes = [
            models.Index(fields=["-id"], condition=models.Q(critical=True, seen_at=None), name="cpo_station_alarm"),
            models.Index(fields=["charge_point", "-id"], name="cpo_station_event"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.info}".strip()


class ConfigurationValue(models.Model):
    """A setting as a charge point last reported it; secrets are not among them."""

    charge_point = models.ForeignKey(ChargePoint, on_delete=models.CASCADE, related_name="configuration")
    key = models.CharField(max_length=200)
    value = models.TextField(blank=True)
    readonly = models.BooleanField(default=False, db_default=False)
    read_at = models.DateTimeField()

    class Meta:
        app_label = "cpo"
        constraints = [models.UniqueConstraint(fields=["charge_point", "key"], name="cpo_configuration_once")]

    def __str__(self) -> str:
        return f"{self.key} = {self.value[:40]}"


class ProvisioningPlan(models.Model):
    """How charge points are to be set: all of a tenant, those of a model, or one; the nearer wins (OCPP-34)."""

    name = models.CharField(max_length=100)
    country_code = models.CharField(max_length=2)
    party_id = models.CharField(max_length=3)
    protocol = models.CharField(
        max_length=5, choices=[("1.6", "OCPP 1.6"), ("2.0.1", "OCPP 2.0.1 and 2.1")], help_text="its keys are of"
    )
    vendor = models.CharField(max_length=50, blank=True, default="", db_default="", help_text="empty: any")
    model = models.CharField(max_length=50, blank=True, default="", db_default="", help_text="empty: any")
    charge_point = models.ForeignKey(
        ChargePoint, on_delete=models.CASCADE, null=True, blank=True, related_name="provisioning_plans",
        help_text="empty: any",
    )  # fmt: skip
    active = models.BooleanField(default=True, db_default=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        app_label = "cpo"
        constraints = [
            models.UniqueConstraint(fields=["country_code", "party_id", "name"], name="cpo_provisioning_plan_once")
        ]

    def __str__(self) -> str:
        return self.name


class ProvisioningSetting(models.Model):
    """One line of a plan: a 1.6 key, or Component.Variable of 2.0.1, and its value."""

    plan = models.ForeignKey(ProvisioningPlan, on_delete=models.CASCADE, related_name="settings")
    key = models.CharField(max_length=200)
    value = models.CharField(max_length=2500, blank=True)

    class Meta:
        app_label = "cpo"
        constraints = [models.UniqueConstraint(fields=["plan", "key"], name="cpo_provisioning_setting_once")]

    def __str__(self) -> str:
        return f"{self.key} = {self.value[:40]}"


class ProvisioningRun(models.Model):
    """A charge point being set as planned; there is one per accepted boot at most."""

    charge_point = models.OneToOneField(ChargePoint, on_delete=models.CASCADE, related_name="provisioning")
    state = models.CharField(max_length=8, choices=[(each, each) for each in provisioning_states.RUNS])
    booted_at = models.DateTimeField(help_text="of the boot it follows")
    request_id = models.PositiveIntegerField(help_text="of the report, in 2.0.1")
    attempts = models.PositiveIntegerField(default=0, db_default=0, help_text="of reading")
    operation = models.ForeignKey(Operation, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    due_at = models.DateTimeField(null=True, blank=True, help_text="when to go on if nothing happens")
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "cpo"
        indexes = [models.Index("due_at", condition=models.Q(ended_at=None), name="cpo_provisioning_due")]

    def __str__(self) -> str:
        return f"provisioning of {self.charge_point_id}"


class ProvisioningResult(models.Model):
    """What became of one wanted setting at a charge point since its last boot."""

    charge_point = models.ForeignKey(ChargePoint, on_delete=models.CASCADE, related_name="provisioned")
    key = models.CharField(max_length=200)
    wanted = models.CharField(max_length=2500, blank=True)
    actual = models.TextField(null=True, blank=True, help_text="empty: it did not say")  # noqa: DJ001
    status = models.CharField(max_length=14, choices=[(each, each) for each in provisioning_states.SETTINGS])
    attempts = models.PositiveIntegerField(default=0, db_default=0, help_text="since the boot")
    error = models.CharField(max_length=255, blank=True, default="", db_default="")
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        app_label = "cpo"
        constraints = [models.UniqueConstraint(fields=["charge_point", "key"], name="cpo_provisioned_once")]

    def __str__(self) -> str:
        return f"{self.key}: {self.status}"


class DataTransfer(models.Model):
    """A DataTransfer of a charge point and how it was answered (OCPP-86)."""

    charge_point = models.ForeignKey(ChargePoint, on_delete=models.CASCADE, related_name="data_transfers")
    received_at = models.DateTimeField()
    vendor_id = models.CharField(max_length=255)
    message_id = models.CharField(max_length=50, blank=True)
    data = models.JSONField(null=True, blank=True, help_text="exactly as it came")
    status = models.CharField(max_length=20)
    answer = models.JSONField(null=True, blank=True)

    class Meta:
        app_label = "cpo"
        indexes = [
            models.Index(fields=["charge_point", "-id"], name="cpo_data_transfer"),
            models.Index("received_at", name="cpo_data_transfer_old"),
        ]

    def __str__(self) -> str:
        return f"{self.vendor_id} {self.message_id}".strip()
