"""What an eMSP keeps of what it asked for: reservations, charging profiles, charging preferences."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now, Upper

from emsp import chargingprofile_states, reservation_states
from ocpi.models import Platform


class Reservation(models.Model):
    """A place held for a driver, as we asked for it and as its CPO told us since."""

    country_code = models.CharField(max_length=2, help_text="of the CPO")
    party_id = models.CharField(max_length=3)
    emsp_country_code = models.CharField(max_length=2, help_text="our party that asked: the only one that may cancel")
    emsp_party_id = models.CharField(max_length=3)
    reservation_id = models.CharField(max_length=36)
    state = models.CharField(max_length=16, choices=[(state, state) for state in reservation_states.STATES])
    token = models.ForeignKey("emsp.Token", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    location_id = models.CharField(max_length=36)
    evse_uid = models.CharField(max_length=36, blank=True)
    expiry_date = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                Upper("country_code"), Upper("party_id"), Upper("emsp_country_code"), Upper("emsp_party_id"),
                Upper("reservation_id"), name="emsp_reservation_identity",
            ),
        ]  # fmt: skip
        indexes = [
            models.Index(
                fields=["expiry_date"],
                condition=models.Q(state__in=reservation_states.OPEN),
                name="emsp_reservation_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.reservation_id} {self.state}"


class ChargingProfileRequest(models.Model):
    """A charging profile we set, asked for or cleared, for ourselves or for an SCSP, and what came of it."""

    class Kind(models.TextChoices):
        SET = "SET", "set a profile"
        GET = "GET", "get the active profile"
        CLEAR = "CLEAR", "clear the profile"

    # What makes its response_url unique and unguessable.
    key = models.CharField(max_length=43, unique=True, editable=False)
    kind = models.CharField(max_length=5, choices=Kind.choices)
    state = models.CharField(max_length=12, choices=[(state, state) for state in chargingprofile_states.STATES])
    session = models.ForeignKey("emsp.Session", on_delete=models.PROTECT, related_name="+")
    platform = models.ForeignKey(Platform, on_delete=models.PROTECT, related_name="+", help_text="asked through it")
    profile = models.TextField(blank=True, help_text="the ChargingProfile that was to be set")
    duration = models.PositiveIntegerField(null=True, blank=True, help_text="seconds that were asked about")
    asked_by = models.CharField(max_length=150, blank=True)
    correlation_id = models.CharField(max_length=255)
    response = models.CharField(max_length=20, blank=True, help_text="ChargingProfileResponseType")
    timeout = models.PositiveIntegerField(default=0, help_text="seconds, as announced")
    result = models.CharField(max_length=10, blank=True, help_text="ChargingProfileResultType")
    result_body = models.TextField(blank=True, help_text="the result as it came")
    message = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())
    answered_at = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True)
    result_at = models.DateTimeField(null=True, blank=True)
    # Of an SCSP that asked; empty if we did ourselves (CHP-26).
    scsp_platform = models.ForeignKey(Platform, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    scsp_country_code = models.CharField(max_length=2, blank=True)
    scsp_party_id = models.CharField(max_length=3, blank=True)
    scsp_session_id = models.CharField(max_length=36, blank=True, help_text="the Session's id as the SCSP spells it")
    scsp_response_url = models.CharField(max_length=255, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["session", "-id"], name="emsp_profile_session"),
            models.Index(
                fields=["id"], condition=models.Q(state__in=chargingprofile_states.OPEN), name="emsp_profile_open"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(scsp_platform=None) | ~models.Q(scsp_response_url=""),
                name="emsp_profile_scsp_has_url",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.state}"


class ActiveProfile(models.Model):
    """The ActiveChargingProfile of a Session as its CPO told it last, passed on to the SCSP that controls it."""

    pushed_to = "SENDER"  # of the SCSP, which is who sets profiles (CHP-05)

    session = models.OneToOneField("emsp.Session", on_delete=models.CASCADE, related_name="active_profile")
    document = models.TextField()
    last_updated = models.DateTimeField(help_text="when it came")

    def __str__(self) -> str:
        return f"active profile of {self.session_id}"


class SentPreferences(models.Model):
    """The ChargingPreferences of a Session that were sent last, and what its CPO said to them."""

    session = models.OneToOneField("emsp.Session", on_delete=models.CASCADE, related_name="preferences")
    document = models.TextField()
    response = models.CharField(max_length=30, blank=True, help_text="ChargingPreferencesResponse; empty: no answer")
    message = models.TextField(blank=True)
    asked_by = models.CharField(max_length=150, blank=True)
    sent_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "sent preferences"

    def __str__(self) -> str:
        return f"preferences {self.response or 'without an answer'}"
