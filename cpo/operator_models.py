"""What the operator of a network of charge points sees and decides: alarms, history, closings, limits per tenant."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now

from cpo.gateway_models import ChargePoint
from cpo.station_alarms import Kind

_DAYS = [MinValueValidator(1), MaxValueValidator(3650)]
_LIMIT = [MinValueValidator(1)]


class ClosingState(models.TextChoices):
    PLANNED = "PLANNED"
    IN_FORCE = "IN_FORCE"
    OVER = "OVER"
    LIFTED = "LIFTED"  # by an operator, before its end


class TenantPolicy(models.Model):
    """What one tenant has chosen; who has none has the defaults."""

    country_code = models.CharField(max_length=2)
    party_id = models.CharField(max_length=3)
    frame_days = models.PositiveSmallIntegerField(default=14, validators=_DAYS, help_text="frames are kept")
    history_days = models.PositiveSmallIntegerField(
        default=90, validators=_DAYS, help_text="connections and states of connectors are kept"
    )
    reading_days = models.PositiveSmallIntegerField(
        default=90, validators=_DAYS, help_text="all meter values are kept; then begin, end and one in 15 min"
    )
    offline_minutes = models.PositiveIntegerField(
        default=15, validators=_LIMIT, help_text="a charge point may be away without an alarm"
    )
    faulted_minutes = models.PositiveIntegerField(default=5, help_text="a connector may be Faulted without an alarm")
    reconnects_per_hour = models.PositiveIntegerField(default=10, validators=_LIMIT)
    clock_seconds = models.PositiveIntegerField(default=60, validators=_LIMIT)
    stale_hours = models.PositiveIntegerField(
        default=24, validators=_LIMIT, help_text="an open transaction may be silent without an alarm"
    )
    parks_by_power = models.BooleanField(
        default=False,
        db_default=False,
        help_text="a car that draws less than 50 W for five minutes parks, where no suspended state is told",
    )

    class Meta:
        app_label = "cpo"
        verbose_name_plural = "tenant policies"
        constraints = [models.UniqueConstraint(fields=["country_code", "party_id"], name="cpo_tenant_policy_once")]

    def __str__(self) -> str:
        return f"{self.country_code}*{self.party_id}"


class StationAlarm(models.Model):
    """Something about a charge point that somebody has to look at, from when it began until it was over (OCPP-108)."""

    charge_point = models.ForeignKey(ChargePoint, models.CASCADE, related_name="alarms", db_index=False)
    kind = models.CharField(max_length=16, choices=[(each.value, each.value) for each in Kind])
    subject = models.CharField(max_length=40, blank=True, help_text="which connector, transaction or message")
    text = models.CharField(max_length=200)
    raised_at = models.DateTimeField(db_default=Now())
    cleared_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "cpo"
        verbose_name = "alarm"
        constraints = [
            models.UniqueConstraint(
                fields=["charge_point", "kind", "subject"], condition=models.Q(cleared_at=None),
                name="cpo_station_alarm_open_once",
            ),
        ]  # fmt: skip
        indexes = [
            models.Index(fields=["kind"], condition=models.Q(cleared_at=None), name="cpo_station_alarm_open"),
            models.Index(fields=["charge_point", "-raised_at"], name="cpo_station_alarm_of"),
            models.Index(fields=["cleared_at"], name="cpo_station_alarm_over"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}".strip()


class ConnectorHistory(models.Model):
    """A state that a connector was said to be in, late news included (OCPP-58)."""

    id = models.BigAutoField(primary_key=True)
    charge_point = models.ForeignKey(ChargePoint, models.CASCADE, related_name="+", db_index=False)
    evse = models.PositiveIntegerField(null=True, blank=True, help_text="in OCPP 2.0.1")
    connector = models.PositiveIntegerField(null=True, blank=True)
    status = models.CharField(max_length=20)
    error_code = models.CharField(max_length=50, blank=True, default="", db_default="")
    vendor = models.JSONField(null=True, blank=True, help_text="info, vendorId and vendorErrorCode, if any")
    at = models.DateTimeField(help_text="as the charge point says")
    received_at = models.DateTimeField()

    class Meta:
        app_label = "cpo"
        verbose_name_plural = "states of connectors"
        indexes = [
            models.Index(fields=["charge_point", "-at"], name="cpo_connector_history"),
            models.Index(fields=["received_at"], name="cpo_connector_history_age"),
        ]

    def __str__(self) -> str:
        return f"{self.evse or self.connector} {self.status}"


class Closing(models.Model):
    """A time in which we close an EVSE, whatever its charge point says (OCPP-63); without an end until lifted."""

    evse = models.ForeignKey("cpo.EVSE", models.CASCADE, related_name="closings")
    since = models.DateTimeField()
    until = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    made_by = models.CharField(max_length=150)
    made_at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=8, choices=[(each.value, each.value) for each in ClosingState])

    class Meta:
        app_label = "cpo"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(until=None) | models.Q(until__gt=models.F("since")), name="cpo_closing_ends_later"
            ),
        ]
        indexes = [
            models.Index(
                "since", condition=models.Q(state__in=(ClosingState.PLANNED, ClosingState.IN_FORCE)),
                name="cpo_closing_open",
            )
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.since:%Y-%m-%d %H:%M} – {'' if self.until is None else f'{self.until:%Y-%m-%d %H:%M}'}"
