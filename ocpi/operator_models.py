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
