"""What operators look back at: who did what."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class AuditEntry(models.Model):
    """One thing that somebody did. Written once; linked to the one before when its transaction commits (SEC-56)."""

    # The place in the chain. Empty only inside the transaction that writes the entry.
    number = models.BigIntegerField(null=True, unique=True, editable=False)
    at = models.DateTimeField(db_default=Now())
    action = models.CharField(max_length=60, help_text="e.g. platform.suspend")
    actor = models.CharField(max_length=150, help_text="an account, a command, or the system")
    about = models.CharField(max_length=300, blank=True, help_text="what it was done to")
    details = models.TextField(blank=True, help_text="JSON, as it was hashed")
    previous = models.CharField(max_length=64, blank=True, help_text="hash of the entry before")
    hash = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the entry before and this one")

    class Meta:
        verbose_name_plural = "audit trail"
        indexes = [
            models.Index("action", "id", name="audit_by_action"),
            models.Index("actor", "id", name="audit_by_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.about}".strip()


class TrafficCount(models.Model):
    """How many requests between a platform and us ended in one way, in one stretch of time (`ocpi/traffic.py`)."""

    platform_id = models.BigIntegerField(help_text="0: a stranger")
    seconds = models.IntegerField(help_text="length of the stretch; 0: all that is older than a day")
    start = models.DateTimeField()
    direction = models.CharField(max_length=3)
    outcome = models.CharField(max_length=20, help_text="2xx, OCPI 2001, NoAnswer …")
    number = models.BigIntegerField()
    milliseconds = models.FloatField(help_text="of all of them together")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["platform_id", "seconds", "start", "direction", "outcome"], name="traffic_count_once"
            ),
        ]
        indexes = [models.Index("seconds", "start", name="traffic_by_time")]

    def __str__(self) -> str:
        return f"{self.start:%H:%M} {self.direction} {self.outcome} {self.number}"


class Tally(models.Model):
    """How often something happened, over all processes and restarts: for metrics (REL-59)."""

    name = models.CharField(max_length=60, primary_key=True)
    number = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name} {self.number}"
