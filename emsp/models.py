"""What an eMSP keeps: the charging it is told about, its own drivers' tokens, and the commands it sent."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now, Upper

from emsp import command_states
from emsp.sending_models import ActiveProfile as ActiveProfile
from emsp.sending_models import ChargingProfileRequest as ChargingProfileRequest
from emsp.sending_models import Reservation as Reservation
from emsp.sending_models import SentPreferences as SentPreferences
from ocpi.models import ClientOwnedObject, Platform


class Location(ClientOwnedObject):
    """A CPO's Location without its EVSEs, which have rows of their own (docs/adr/0002)."""

    parts: ClassVar[tuple[str, str, str]] = ("evses", "emsp.EVSE", "location_id")

    received_at = models.DateTimeField(db_default=Now(), editable=False)
    platform = models.ForeignKey(
        Platform, on_delete=models.SET_NULL, null=True, blank=True, db_index=False, related_name="+",
        help_text="who brought it last",
    )  # fmt: skip
    # Its CPO's whole list no longer held it (TRN-106, QRK-23): not shown, kept for the Sessions and CDRs that name it.
    gone_at = models.DateTimeField(null=True, blank=True)
    # Shown to everybody; otherwise to those whom its document names (LOC-34, LOC-35).
    publish = models.BooleanField(db_default=False)

    class Meta(ClientOwnedObject.Meta):
        indexes = [
            *ClientOwnedObject.Meta.indexes,
            models.Index("id", condition=models.Q(publish=False), name="emsp_location_unpublished"),
            models.Index(fields=["platform", "country_code", "party_id"], name="emsp_location_brought_by"),
        ]


class EVSE(models.Model):
    """An EVSE of a Location, its Connectors inside its document."""

    parent: ClassVar[tuple[str, str]] = ("emsp.Location", "location_id")

    location = models.ForeignKey(Location, on_delete=models.CASCADE, related_name="evses")
    uid = models.CharField(max_length=36)
    status = models.CharField(max_length=12)
    last_updated = models.DateTimeField()
    document = models.TextField()
    # Left out of its Location's last PUT: no longer shown, kept because Sessions and CDRs refer to it (LOC-22, LOC-24).
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "EVSE"
        constraints = [models.UniqueConstraint("location", Upper("uid"), name="emsp_evse_identity")]

    def __str__(self) -> str:
        return self.uid


class Tariff(ClientOwnedObject):
    """A CPO's Tariff; a deleted one is hidden and kept for old Sessions and CDRs (TAR-08)."""

    received_at = models.DateTimeField(db_default=Now(), editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta(ClientOwnedObject.Meta):
        pass


class Session(ClientOwnedObject):
    """A Session of one of our drivers, as its CPO tells it."""

    platform = models.ForeignKey(Platform, on_delete=models.PROTECT, related_name="+", help_text="who pushed it")
    status = models.CharField(max_length=11)
    token_uid = models.CharField(max_length=36)
    start_date_time = models.DateTimeField()

    class Meta(ClientOwnedObject.Meta):
        indexes = [
            *ClientOwnedObject.Meta.indexes,
            models.Index(fields=["status", "-start_date_time"], name="emsp_session_status"),
        ]


class CDR(ClientOwnedObject):
    """A CDR as it was posted: never changed, never deleted (REL-46). The verdict on it stands beside it."""

    class Verdict(models.TextChoices):
        MATCH = "match"
        MISMATCH = "mismatch"
        UNVERIFIABLE = "unverifiable"

    platform = models.ForeignKey(Platform, on_delete=models.PROTECT, related_name="+", help_text="who posted it")
    # Its URL at ours: 128 random bits, readable for the platform that posted it (CDR-04, CDR-08).
    key = models.CharField(max_length=43, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False, help_text="of the canonical body (REL-45)")
    session_id = models.CharField(max_length=36, blank=True)
    credit_reference_id = models.CharField(max_length=39, blank=True, help_text="of a Credit CDR: what it takes back")
    token_uid = models.CharField(max_length=36)
    start_date_time = models.DateTimeField()

    verdict = models.CharField(max_length=12, blank=True, choices=Verdict.choices)
    computed_cost = models.CharField(max_length=40, blank=True, help_text="excl. VAT, as we compute it")
    check_result = models.TextField(blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)

    class Meta(ClientOwnedObject.Meta):
        verbose_name = "CDR"
        indexes = [
            *ClientOwnedObject.Meta.indexes,
            models.Index("session_id", name="emsp_cdr_session"),
            models.Index(
                Upper("credit_reference_id"), condition=~models.Q(credit_reference_id=""), name="emsp_cdr_credits"
            ),
            models.Index("id", condition=models.Q(verdict=""), name="emsp_cdr_unchecked"),
        ]

    @property
    def verified(self) -> bool:
        return self.verdict == self.Verdict.MATCH


class Token(ClientOwnedObject):
    """One of our drivers' tokens; we are its owner."""

    uid = models.CharField(max_length=36)
    type = models.CharField(max_length=11)
    contract_id = models.CharField(max_length=36)
    group_id = models.CharField(max_length=36, blank=True)
    valid = models.BooleanField()
    whitelist = models.CharField(max_length=15)

    class Meta(ClientOwnedObject.Meta):
        constraints = [
            models.UniqueConstraint(
                Upper("country_code"), Upper("party_id"), Upper("object_id"), "type", name="emsp_token_identity"
            ),
        ]


class Authorization(models.Model):
    """A real-time authorization we gave, found again by its reference in the Session and the CDR (TOK-34)."""

    reference = models.CharField(max_length=36, unique=True)
    token = models.ForeignKey(Token, on_delete=models.PROTECT, related_name="+")
    platform = models.ForeignKey(Platform, on_delete=models.SET_NULL, null=True, related_name="+")
    allowed = models.CharField(max_length=11)
    location_id = models.CharField(max_length=36, blank=True)
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.reference} {self.allowed}"


class Command(models.Model):
    """A command we sent, its CommandResponse and its CommandResult."""

    # What makes its response_url unique and unguessable (CMD-19).
    key = models.CharField(max_length=43, unique=True, editable=False)
    command = models.CharField(max_length=20)
    state = models.CharField(max_length=12, choices=[(state, state) for state in command_states.STATES])
    platform = models.ForeignKey(Platform, on_delete=models.PROTECT, related_name="+", help_text="asked through it")
    country_code = models.CharField(max_length=2)
    party_id = models.CharField(max_length=3)
    request = models.TextField(help_text="the body as it was sent")
    token = models.ForeignKey(Token, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    session_id = models.CharField(max_length=36, blank=True)
    reservation = models.ForeignKey(Reservation, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    asked_by = models.CharField(max_length=150, blank=True, help_text="the operator, where one has to ask (CMD-42)")
    authorization_reference = models.CharField(max_length=36, blank=True)
    correlation_id = models.CharField(max_length=255)
    response = models.CharField(max_length=20, blank=True, help_text="CommandResponseType")
    result = models.CharField(max_length=24, blank=True, help_text="CommandResultType")
    message = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())
    answered_at = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True)
    result_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["-created_at"], name="emsp_command_newest"),
            models.Index(fields=["id"], condition=models.Q(state__in=["SENT", "ACCEPTED"]), name="emsp_command_open"),
        ]
        permissions = [("unlock_connector", "Can have a connector unlocked (CMD-43)")]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(command="UNLOCK_CONNECTOR") | ~models.Q(asked_by=""),
                name="emsp_unlock_is_asked_by_somebody",
            )
        ]

    def __str__(self) -> str:
        return f"{self.command} {self.state}"
