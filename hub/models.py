"""What the hub keeps: objects that pass, the URLs it put in place of a partner's, and who may deal with whom."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now, Upper

from hub.clientinfo_models import ClientInfo as ClientInfo
from hub.clientinfo_models import ClientInfoChange as ClientInfoChange
from hub.clientinfo_models import ToldClientInfo as ToldClientInfo
from hub.permission_model import Permission as Permission
from ocpi.models import Platform


class SharedObject(models.Model):
    """The last accepted state of an object that was pushed; one table, the hub has no opinion on contents.

    An object that is pushed on its own has its own row: a Location "LOC1" and its EVSE "LOC1/3256". What one party was
    sent alone is that receiver's version, apart from what all were sent (PIT-84).
    """

    # Member, model and column of the rows that belong inside this one (ocpi/stored.py).
    parts: ClassVar[tuple[str, str, str]] = ("evses", "hub.SharedObject", "container_id")
    parent: ClassVar[tuple[str, str]] = ("hub.SharedObject", "container_id")
    of_others: ClassVar[bool] = True

    platform = models.ForeignKey(Platform, on_delete=models.PROTECT, related_name="+", help_text="who pushed it")
    module = models.CharField(max_length=50)
    country_code = models.CharField(max_length=2)
    party_id = models.CharField(max_length=3)
    path = models.CharField(max_length=120, help_text="what follows the owner in the URL")
    kind = models.CharField(max_length=20, blank=True, help_text="the query's type, of Tokens")
    receiver = models.CharField(
        max_length=6,
        blank=True,
        db_default="",
        help_text="whose version it is, such as DE*EMS; empty = it was broadcast",
    )
    container = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True, related_name="children")
    last_updated = models.DateTimeField()
    # When it reached the hub: a late object must not be missed by those who pull since a moment (PIT-87).
    received_at = models.DateTimeField(db_default=Now())
    document = models.TextField()
    deleted_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "module",
                Upper("country_code"),
                Upper("party_id"),
                Upper("path"),
                "kind",
                "receiver",
                name="shared_object_identity",
            ),
            models.CheckConstraint(
                condition=models.Q(receiver=Upper("receiver")), name="shared_object_receiver_in_capitals"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.module} {self.country_code}/{self.party_id}/{self.path}"


class KnownObject(models.Model):
    """Whose an id is, learnt from what passed; for requests that name no receiver (hub/known_objects.py)."""

    class Kind(models.TextChoices):
        LOCATION = "location"
        TOKEN = "token"  # noqa: S105 - an object of OCPI
        SESSION = "session"
        RESERVATION = "reservation"
        PROFILE = "profile"

    kind = models.CharField(max_length=11, choices=Kind.choices)
    key = models.CharField(max_length=60, help_text="the id in capitals; of a Token its type and uid")
    owner = models.CharField(max_length=6, help_text="e.g. NL*TNM")
    counterpart = models.CharField(max_length=6, blank=True, help_text="the other party it is between")
    seen_at = models.DateTimeField(db_default=Now(), help_text="to within a day")

    class Meta:
        constraints = [
            models.UniqueConstraint("kind", "key", "owner", "counterpart", name="known_object_once"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}: {self.owner}"


class Callback(models.Model):
    """A partner's URL that the hub replaced by its own: a response_url, a CDR's Location, a page's Link (HUB-72…75)."""

    class Kind(models.TextChoices):
        RESPONSE_URL = "RESPONSE_URL"
        LOCATION = "LOCATION"
        LINK = "LINK"

    # 128 random bits, so that it cannot be guessed (SEC-41).
    key = models.CharField(max_length=43, unique=True, editable=False)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    url = models.CharField(max_length=2048)
    # Whose URL it is, and the only platform that may use the hub's URL in its place.
    owner = models.ForeignKey(Platform, on_delete=models.CASCADE, related_name="+")
    caller = models.ForeignKey(Platform, on_delete=models.CASCADE, related_name="+")
    # Their parties that the request was between, such as DE*EMS; empty = not known (HUB-73).
    owner_party = models.CharField(max_length=6, blank=True, db_default="", editable=False)
    caller_party = models.CharField(max_length=6, blank=True, db_default="", editable=False)
    module = models.CharField(max_length=50)
    correlation_id = models.CharField(max_length=255)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    used_at = models.DateTimeField(null=True, blank=True)
    # Results that were passed on and what was answered, and until when one is on its way (hub/callback_results.py).
    results = models.TextField(db_default="[]", editable=False)
    passing_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        indexes = [models.Index("expires_at", name="callback_expiry")]

    def __str__(self) -> str:
        return f"{self.kind} {self.module} …{self.key[-4:]}"
