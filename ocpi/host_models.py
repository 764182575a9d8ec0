"""Where our calls to a platform may go, and how TLS is checked there."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class RequestedHost(models.Model):
    """A host that a platform has named and that is not approved for it: no token goes there (SEC-21, TRN-013)."""

    class Decision(models.TextChoices):
        WAITING = "WAITING"
        APPROVED = "APPROVED"
        REFUSED = "REFUSED"

    platform = models.ForeignKey(
        "ocpi.Platform", on_delete=models.CASCADE, related_name="requested_hosts", db_index=False
    )
    host = models.CharField(max_length=260, help_text="host:port, lower case")
    named_in = models.CharField(max_length=200, blank=True, help_text="where it was named last")
    count = models.BigIntegerField(default=1, help_text="how often it was named")
    first_seen_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())
    decision = models.CharField(max_length=8, choices=Decision.choices, default=Decision.WAITING)
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["platform", "host"], name="requested_host_once")]

    def __str__(self) -> str:
        return self.host


class TlsSettings(models.Model):
    """What is special about TLS with a platform: its authorities, our certificate (SEC-31), those it shows (SEC-65)."""

    platform = models.OneToOneField("ocpi.Platform", on_delete=models.CASCADE, related_name="tls")
    authorities_pem = models.TextField(
        blank=True, help_text="PEM certificates that its server's is checked with, in place of the system's"
    )
    certificate = models.CharField(
        max_length=100, blank=True, help_text="file in OCPI_CERTIFICATES with our certificate and its key"
    )

    client_sha256 = models.TextField(
        blank=True, default="", db_default="",
        help_text="SHA-256 fingerprints of client certificates, one of which it has to show us; empty: none",
    )  # fmt: skip

    class Meta:
        verbose_name_plural = "TLS settings"

    def __str__(self) -> str:
        return f"TLS of platform {self.platform_id}"
