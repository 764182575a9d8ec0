"""What is kept of charging profiles and charging preferences: asked for, installed, active, and what they price."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from cpo import active_profiles, chargingprofile_states, policy
from cpo.gateway_models import ChargePoint, Operation
from ocpi.models import Platform

__all__ = [
    "ActiveChargingProfile",
    "ChargePointAbilities",
    "ChargePointProfile",
    "ChargingPreferences",
    "ChargingProfileRequest",
    "SmartCharging",
]

_EMPTY_LIST = models.Value([], output_field=models.JSONField())


class SmartCharging(models.Model):
    """What a charge point can do with charging profiles, by its own configuration; without a row: everything."""

    charge_point = models.OneToOneField(
        ChargePoint, on_delete=models.CASCADE, primary_key=True, related_name="smart_charging"
    )
    # ChargingScheduleAllowedChargingRateUnit as OCPI units: "A", "W", "A,W"; empty: not known.
    rate_units = models.CharField(max_length=3, blank=True, default="", db_default="")
    max_periods = models.PositiveIntegerField(null=True, blank=True, help_text="ChargingScheduleMaxPeriods")
    max_stack_level = models.PositiveIntegerField(null=True, blank=True, help_text="ChargeProfileMaxStackLevel")
    supported = models.BooleanField(
        default=True, db_default=True, help_text="SmartCharging in SupportedFeatureProfiles"
    )
    operation = models.ForeignKey(Operation, on_delete=models.SET_NULL, null=True, related_name="+")
    read_at = models.DateTimeField(null=True, blank=True)
    # The report of its profiles that was asked for, the ids in it so far, and those of nobody we know (OCPP-89).
    report_id = models.PositiveIntegerField(null=True, blank=True)
    reported = models.JSONField(default=list, db_default=_EMPTY_LIST, blank=True)
    foreign = models.JSONField(default=list, db_default=_EMPTY_LIST, blank=True)
    reported_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "cpo"
        verbose_name_plural = "smart charging"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(rate_units__in=("", "A", "W", "A,W")), name="cpo_smart_charging_units"
            ),
        ]

    def __str__(self) -> str:
        return f"smart charging of {self.charge_point_id}"

    @property
    def units(self) -> list[str]:
        return self.rate_units.split(",") if self.rate_units else []


class ChargePointAbilities(models.Model):
    """What a charge point has said of its settings, named as in OCPP 1.6 and in lower case (M-12)."""

    charge_point = models.OneToOneField(
        ChargePoint, on_delete=models.CASCADE, primary_key=True, related_name="abilities"
    )
    said = models.JSONField(default=dict, db_default={}, blank=True)

    class Meta:
        app_label = "cpo"
        verbose_name_plural = "charge point abilities"

    def __str__(self) -> str:
        return f"abilities of {self.charge_point_id}"


class ChargePointProfile(models.Model):
    """A charging profile at a charge point; its id there is the id of this row, so none is used twice (OCPP-89)."""

    class Origin(models.TextChoices):
        PARTNER = "PARTNER"
        PREFERENCES = "PREFERENCES"
        OPERATOR = "OPERATOR"
        PAUSE = "PAUSE"  # of one session, by an operator

    charge_point = models.ForeignKey(ChargePoint, on_delete=models.CASCADE, related_name="charging_profiles")
    connector_id = models.PositiveIntegerField(help_text="0: all of them")
    purpose = models.CharField(
        max_length=21,
        choices=[
            (each, each) for each in (active_profiles.CHARGE_POINT_MAX, active_profiles.TX_DEFAULT, active_profiles.TX)
        ],
    )
    stack_level = models.PositiveIntegerField()
    origin = models.CharField(max_length=11, choices=Origin.choices)
    state = models.CharField(max_length=9, choices=[(each, each) for each in chargingprofile_states.PROFILES])
    transaction = models.ForeignKey(
        "cpo.Transaction", on_delete=models.CASCADE, null=True, blank=True, related_name="charging_profiles"
    )
    unit = models.CharField(max_length=1)
    schedule = models.JSONField(help_text="as it was sent: start, duration, least, periods")
    asked_by = models.CharField(max_length=128)
    operation = models.ForeignKey(Operation, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now())
    # When the charge point took it, and when it gave it up on our request: periods begin there (M-10).
    installed_at = models.DateTimeField(null=True, blank=True)
    gone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "cpo"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(purpose=active_profiles.TX, transaction__isnull=False, connector_id__gt=0)
                | (~models.Q(purpose=active_profiles.TX) & models.Q(transaction=None)),
                name="cpo_profile_transaction",
            ),
            # What a charge point can hold once, we hold once.
            models.UniqueConstraint(
                fields=["charge_point", "connector_id", "purpose", "stack_level"],
                condition=models.Q(state__in=chargingprofile_states.IN_FORCE),
                name="cpo_profile_once_per_level",
            ),
        ]
        indexes = [
            models.Index(
                "charge_point",
                condition=models.Q(state__in=chargingprofile_states.MAY_BE_THERE),
                name="cpo_profile_there",
            ),
            models.Index(fields=["-created_at"], name="cpo_profile_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {self.pk}"


class ChargingProfileRequest(models.Model):
    """A PUT, GET or DELETE of a charging profile, our ChargingProfileResponse and the one result."""

    platform = models.ForeignKey(Platform, on_delete=models.PROTECT, related_name="+", help_text="who called us")
    method = models.CharField(max_length=6, choices=[(each, each) for each in ("PUT", "GET", "DELETE")])
    response_url = models.CharField(max_length=255)
    digest = models.CharField(max_length=64, editable=False, help_text="of what was asked")
    state = models.CharField(max_length=11, choices=[(each, each) for each in chargingprofile_states.REQUESTS])
    country_code = models.CharField(max_length=2, help_text="who asks")
    party_id = models.CharField(max_length=3)
    cpo_country_code = models.CharField(max_length=2)
    cpo_party_id = models.CharField(max_length=3)
    asked_session = models.CharField(max_length=255, help_text="id of the session, as it was asked for")
    session = models.ForeignKey(
        "cpo.Session", on_delete=models.PROTECT, null=True, blank=True, related_name="charging_profile_requests"
    )
    request = models.TextField(blank=True)
    response = models.TextField(help_text="the ChargingProfileResponse we gave")
    result = models.CharField(max_length=8, blank=True, help_text="ChargingProfileResultType")
    correlation_id = models.CharField(max_length=255)
    profile = models.ForeignKey(ChargePointProfile, on_delete=models.SET_NULL, null=True, related_name="+")
    operation = models.ForeignKey(Operation, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    # The end of the announced timeout; a result is on its way before `give_up_at`.
    deadline_at = models.DateTimeField()
    give_up_at = models.DateTimeField()
    result_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "cpo"
        indexes = [
            models.Index(
                "give_up_at",
                condition=models.Q(state=chargingprofile_states.IN_PROGRESS),
                name="cpo_profile_request_open",
            ),
            models.Index(fields=["session", "-created_at"], name="cpo_profile_request_session"),
            models.Index(fields=["-created_at"], name="cpo_profile_request_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.state}"


class ActiveChargingProfile(models.Model):
    """What limits a session now and later, for the Sender that has put a profile with success (CHP-21, CHP-22)."""

    # Interface of the platform that gets it (`ocpi/stored.py`): results and updates go to the Sender (CHP-05).
    pushed_to = "SENDER"

    session = models.OneToOneField("cpo.Session", on_delete=models.CASCADE, related_name="active_profile")
    platform = models.ForeignKey(Platform, on_delete=models.CASCADE, related_name="+")
    country_code = models.CharField(max_length=2)
    party_id = models.CharField(max_length=3)
    unit = models.CharField(max_length=1, help_text="of the last profile that was put")
    document = models.TextField(help_text="all that is known; as sent it begins now and ends in time (CHP-23)")
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        app_label = "cpo"

    def __str__(self) -> str:
        return f"active profile of {self.session_id}"

    @staticmethod
    def as_sent(document: str) -> str:
        """Return the document as it is at the moment it is sent."""
        now = timezone.now().replace(microsecond=0)
        return active_profiles.window(document, now, policy.active_profile_seconds())


class ChargingPreferences(models.Model):
    """The charging preferences of a session: the last ones that were accepted (SES-41)."""

    session = models.OneToOneField("cpo.Session", on_delete=models.CASCADE, related_name="preferences")
    profile_type = models.CharField(max_length=7)
    departure_time = models.DateTimeField(null=True, blank=True)
    energy_need = models.DecimalField(max_digits=12, decimal_places=4, null=True, blank=True, help_text="kWh")
    discharge_allowed = models.BooleanField(default=False, db_default=False)
    document = models.TextField(blank=True, help_text="as it came; empty: the default_profile_type of the Token")
    accepted_at = models.DateTimeField(db_default=Now())

    class Meta:
        app_label = "cpo"
        verbose_name_plural = "charging preferences"

    def __str__(self) -> str:
        return self.profile_type
