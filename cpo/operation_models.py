"""What the operation API keeps: its tokens, id tags of our own, charging profile templates, reports in parts."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now, Upper

from cpo.gateway_models import ChargePoint, Operation

__all__ = ["ApiToken", "ChargingProfileTemplate", "IdTag", "Report", "ReportPart", "ReportState"]


class ApiToken(models.Model):
    """A key to the operation API; only its digest is kept, it is shown once when it is made."""

    name = models.CharField(max_length=100, help_text="who or what uses it")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    ending = models.CharField(max_length=4, editable=False, help_text="its last characters, to recognise it")
    country_code = models.CharField(max_length=2, blank=True, help_text="of the tenant; empty: every tenant")
    party_id = models.CharField(max_length=3, blank=True)
    scopes = models.JSONField(default=list, help_text="read, operate, manage")
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "cpo"
        verbose_name = "API token"

    def __str__(self) -> str:
        return self.name


class IdTag(models.Model):
    """A tag that a tenant lets in by itself, without any eMSP; its transactions make no Session (OCPP-122)."""

    class Status(models.TextChoices):
        VALID = "valid"
        BLOCKED = "blocked"

    country_code = models.CharField(max_length=2)
    party_id = models.CharField(max_length=3)
    id_tag = models.CharField(max_length=36)
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.VALID)
    expires_at = models.DateTimeField(null=True, blank=True)
    parent_id_tag = models.CharField(max_length=36, blank=True)
    max_transactions = models.PositiveIntegerField(default=1, help_text="open at once; 0: any number")
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        app_label = "cpo"
        verbose_name = "id tag of our own"
        verbose_name_plural = "id tags of our own"
        constraints = [
            models.UniqueConstraint(
                Upper("id_tag"), Upper("country_code"), Upper("party_id"), name="cpo_id_tag_once_per_tenant"
            ),
        ]

    def __str__(self) -> str:
        return self.id_tag


class ChargingProfileTemplate(models.Model):
    """A charging profile to be sent to any charge point; its numbers go out as they were written (OCPP-121)."""

    country_code = models.CharField(max_length=2)
    party_id = models.CharField(max_length=3)
    description = models.CharField(max_length=100)
    document = models.TextField(help_text="purpose, kind, unit, periods …: JSON as it came")
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        app_label = "cpo"
        constraints = [
            models.UniqueConstraint(
                fields=["country_code", "party_id", "description"], name="cpo_template_description_once"
            ),
        ]

    def __str__(self) -> str:
        return self.description


class ReportState(models.TextChoices):
    WAITING = "WAITING"  # promised, nothing has come
    PARTIAL = "PARTIAL"
    COMPLETE = "COMPLETE"
    OVERDUE = "OVERDUE"  # nothing more has come for too long


class Report(models.Model):
    """A report of a charge point that comes in parts, joined by request id and `tbc` (OCPP-83)."""

    charge_point = models.ForeignKey(ChargePoint, on_delete=models.CASCADE, related_name="reports")
    action = models.CharField(max_length=64, help_text="of its parts")
    request_id = models.BigIntegerField(null=True, help_text="none: nobody asked for it")
    operation = models.ForeignKey(Operation, on_delete=models.SET_NULL, null=True, blank=True, related_name="reports")
    state = models.CharField(max_length=8, choices=ReportState.choices, default=ReportState.WAITING)
    created_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField(help_text="the next part is overdue then")
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "cpo"
        constraints = [
            models.UniqueConstraint(
                fields=["charge_point", "action", "request_id"],
                condition=models.Q(request_id__isnull=False),
                name="cpo_report_once",
            ),
        ]
        indexes = [
            models.Index(fields=["charge_point", "-created_at"], name="cpo_report_newest"),
            models.Index("due_at", condition=models.Q(state__in=("WAITING", "PARTIAL")), name="cpo_report_open"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.request_id or ''}".strip()


class ReportPart(models.Model):
    """One message of a report, as it came."""

    report = models.ForeignKey(Report, on_delete=models.CASCADE, related_name="parts")
    number = models.PositiveIntegerField(help_text="seqNo, or its place where the message has none")
    last = models.BooleanField(help_text="tbc is absent or false")
    received_at = models.DateTimeField()
    payload = models.TextField()

    class Meta:
        app_label = "cpo"
        constraints = [models.UniqueConstraint(fields=["report", "number"], name="cpo_report_part_once")]

    def __str__(self) -> str:
        return f"part {self.number}"
