"""Public keys of meters, as operators enter them: what signed meter data is verified with first."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now, Upper

from ocpi import signed_meter


class MeterKey(models.Model):
    """The public key of one meter, from its nameplate or a register: nobody's word but the operator's."""

    country_code = models.CharField(max_length=2, help_text="the CPO whose meter it is")
    party_id = models.CharField(max_length=3)
    serial = models.CharField(max_length=64, help_text="of the meter, or of the gateway that signs for it")
    public_key = models.CharField(max_length=2000, help_text="DER or a point, in Base64 or hexadecimal")
    note = models.CharField(max_length=300, blank=True, help_text="where it is from")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(Upper("country_code"), Upper("party_id"), "serial", name="meter_key_once"),
        ]

    def __str__(self) -> str:
        return f"meter {self.serial} of {self.country_code}*{self.party_id}"

    def save(self, *arguments: Any, **named: Any) -> None:
        self.country_code, self.party_id = self.country_code.upper(), self.party_id.upper()
        super().save(*arguments, **named)

    def clean(self) -> None:
        """Refuse a key that nothing could be verified with."""
        try:
            signed_meter.fingerprint(self.public_key)
        except signed_meter.BadKey as error:
            raise ValidationError({"public_key": str(error)}) from error
