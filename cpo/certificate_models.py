"""Certificates of charge points: who signs them, which were issued, which are said to be installed (OCPP-90)."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from cpo import certificate_states
from cpo.gateway_models import ChargePoint, Operation

__all__ = ["CertificateAuthority", "InstalledCertificate", "StationCertificate"]


class CertificateAuthority(models.Model):
    """Who signs the certificates of a tenant's charge points, and which clients' certificates are believed.

    Either the key is here, sealed, or a service signs for us. The certificates are what client certificates must
    chain to (OCPP-06): the root, and where there are any the certificates in between.
    """

    country_code = models.CharField(max_length=2)
    party_id = models.CharField(max_length=3)
    organisation = models.CharField(max_length=64, help_text="O of the certificates of its charge points")
    certificates = models.TextField(blank=True, help_text="PEM: the root, and intermediates if there are any")
    key = models.TextField(blank=True, default="", db_default="", help_text="sealed; empty: a service signs")
    url = models.URLField(blank=True, default="", db_default="", help_text="of the service that signs")
    token = models.TextField(blank=True, default="", db_default="", help_text="sealed; shown to the service")
    days = models.PositiveIntegerField(default=365, db_default=365, help_text="that a certificate is valid")
    revocation_list = models.TextField(blank=True, default="", db_default="", help_text="PEM, of the service")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        app_label = "cpo"
        verbose_name_plural = "certificate authorities"
        constraints = [
            models.UniqueConstraint(fields=["country_code", "party_id"], name="cpo_certificate_authority_once")
        ]

    def __str__(self) -> str:
        return f"{self.country_code}*{self.party_id} {self.organisation}"


class StationCertificate(models.Model):
    """A certificate a charge point asked for: its request, and what was signed."""

    charge_point = models.ForeignKey(ChargePoint, on_delete=models.CASCADE, related_name="certificates")
    authority = models.ForeignKey(CertificateAuthority, on_delete=models.PROTECT, related_name="issued")
    kind = models.CharField(max_length=26, default="ChargingStationCertificate", help_text="certificateType of 2.0.1")
    state = models.CharField(max_length=9, choices=[(each, each) for each in certificate_states.CERTIFICATES])
    csr = models.TextField()
    chain = models.TextField(blank=True, default="", db_default="", help_text="PEM, its own certificate first")
    serial = models.CharField(max_length=40, blank=True, default="", db_default="", help_text="hexadecimal")
    subject = models.CharField(max_length=255, blank=True, default="", db_default="")
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_until = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_because = models.CharField(max_length=100, blank=True, default="", db_default="")
    error = models.CharField(max_length=255, blank=True, default="", db_default="")
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    due_at = models.DateTimeField(null=True, blank=True, help_text="when to try to have it signed")
    operation = models.ForeignKey(Operation, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        app_label = "cpo"
        indexes = [
            models.Index("due_at", condition=models.Q(due_at__isnull=False), name="cpo_certificate_due"),
            models.Index(fields=["authority", "serial"], name="cpo_certificate_serial"),
            models.Index("operation", condition=models.Q(state="SENT"), name="cpo_certificate_sent"),
            models.Index("valid_until", condition=models.Q(state="INSTALLED"), name="cpo_certificate_expiry"),
        ]

    def __str__(self) -> str:
        return self.subject or f"{self.kind} for {self.charge_point_id}"


class InstalledCertificate(models.Model):
    """A certificate that a charge point says it has installed, or was given by us."""

    charge_point = models.ForeignKey(ChargePoint, on_delete=models.CASCADE, related_name="installed_certificates")
    kind = models.CharField(max_length=40)
    hash_algorithm = models.CharField(max_length=6)
    issuer_name_hash = models.CharField(max_length=128)
    issuer_key_hash = models.CharField(max_length=128)
    serial = models.CharField(max_length=40)
    reported_at = models.DateTimeField()

    class Meta:
        app_label = "cpo"
        constraints = [
            models.UniqueConstraint(
                fields=["charge_point", "kind", "issuer_key_hash", "issuer_name_hash", "serial"],
                name="cpo_installed_certificate_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.serial}"
