"""The table of who may deal with whom: party × party × module × direction, with validity (SEC-40)."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from ocpi.enums import FUNCTIONAL_MODULES, Role


class Permission(models.Model):
    """One rule, such as an agreement between two parties: what it allows or denies, and how long it holds.

    Empty columns say nothing: a rule without any of the `from_` columns is about requests from everybody.
    """

    class Direction(models.TextChoices):
        BOTH = "BOTH", "pushes and pulls"
        PUSH = "PUSH", "pushes: PUT, PATCH, POST, DELETE"
        PULL = "PULL", "pulls: GET"

    class Effect(models.TextChoices):
        ALLOW = "ALLOW", "allow"
        DENY = "DENY", "deny (wins over every allow)"

    _MODULES = [(module.value, module.value) for module in FUNCTIONAL_MODULES]
    _ROLES = [(role.value, role.value) for role in Role if role is not Role.HUB]

    effect = models.CharField(max_length=5, choices=Effect.choices, default=Effect.ALLOW)
    from_country_code = models.CharField("from: country", max_length=2, blank=True, help_text="empty = any country")
    from_party_id = models.CharField("from: party", max_length=3, blank=True, help_text="empty = every party of it")
    from_role = models.CharField("from: role", max_length=5, blank=True, choices=_ROLES, help_text="empty = any role")
    to_country_code = models.CharField("to: country", max_length=2, blank=True, help_text="empty = any country")
    to_party_id = models.CharField("to: party", max_length=3, blank=True, help_text="empty = every party of it")
    to_role = models.CharField("to: role", max_length=5, blank=True, choices=_ROLES, help_text="empty = any role")
    mutual = models.BooleanField(
        "both ways", default=True, help_text="also for requests that go the other way, from the second to the first"
    )
    module = models.CharField(max_length=50, blank=True, choices=_MODULES, help_text="empty = every module")
    direction = models.CharField(max_length=4, choices=Direction.choices, default=Direction.BOTH)
    broadcast = models.BooleanField(
        "broadcasts too",
        default=False,
        help_text="the second also gets broadcasts of the first that its role does not get, such as Sessions for an "
        "SCSP; names the module (HUB-36, HUB-40)",
    )
    valid_from = models.DateTimeField(null=True, blank=True, help_text="empty = always has been")
    valid_until = models.DateTimeField(null=True, blank=True, help_text="from this moment on it says nothing")
    note = models.CharField(max_length=300, blank=True, help_text="why, such as the number of a contract")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    # Who changes it where no account of the admin does: goes into the audit trail.
    changed_by: str = ""

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(valid_from=None) | Q(valid_until=None) | Q(valid_until__gt=F("valid_from")),
                name="permission_ends_after_it_begins",
            ),
            models.CheckConstraint(
                condition=Q(broadcast=False) | (Q(effect="ALLOW") & ~Q(module="")), name="permission_to_broadcast"
            ),
        ]

    def __str__(self) -> str:
        what = self.module or "every module"
        way = "↔" if self.mutual else "→"
        return f"{self.effect.lower()} {self.first} {way} {self.second}: {what}, {self.direction.lower()}"

    @property
    def first(self) -> str:
        """Whom the rule is about, as text: "NL*TNM", "NL:CPO", "everybody"."""
        return _who(self.from_country_code, self.from_party_id, self.from_role)

    @property
    def second(self) -> str:
        return _who(self.to_country_code, self.to_party_id, self.to_role)

    def clean(self) -> None:
        """Refuse what no rule can mean.

        :raises ValidationError: naming the field and the rule.
        """
        errors: dict[str, str] = {}
        for name, length in (("country_code", 2), ("party_id", 3)):
            for side in ("from", "to"):
                field = f"{side}_{name}"
                value = getattr(self, field).strip().upper()
                setattr(self, field, value)
                if value and (len(value) != length or not value.isascii() or not value.isalnum()):
                    errors[field] = f"This is {length} letters or digits, or empty."
        for side in ("from", "to"):
            if getattr(self, f"{side}_party_id") and not getattr(self, f"{side}_country_code"):
                errors.setdefault(f"{side}_country_code", "A party id only means something with its country code.")
        if self.valid_from and self.valid_until and self.valid_until <= self.valid_from:
            errors["valid_until"] = "This must be later than the moment it is valid from."
        if self.broadcast and (self.effect != self.Effect.ALLOW or not self.module):
            errors["broadcast"] = "Only a rule that allows, and that names its module, can do this."
        if errors:
            raise ValidationError(errors)

    def get_additional_data(self) -> dict[str, Any] | None:
        """Return what the audit trail keeps beside the changes (django-auditlog calls this)."""
        return {"by": self.changed_by} if self.changed_by else None


def _who(country_code: str, party_id: str, role: str) -> str:
    address = f"{country_code}*{party_id}" if party_id else country_code
    return ":".join(part for part in (address, role) if part) or "everybody"
