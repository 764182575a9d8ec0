"""The forms behind "Invite a platform" and "Habits"."""

from __future__ import annotations

from typing import Any

from django import forms

from ocpi import platform_actions
from ocpi.models import Platform
from ocpi.modules import initiation, invitations


class Invite(forms.Form):
    """Whom to invite, and the roles approved in advance."""

    name = forms.CharField(max_length=100, help_text="What this platform is called here.")
    parties = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "NL*TNM:CPO"}),
        help_text="The roles it may act in, one on each line.",
    )
    any_role = forms.BooleanField(
        required=False, help_text="It may act in every role it claims. Only for partners you trust with that."
    )

    def clean_parties(self) -> list[Any]:
        try:
            return [
                invitations.party(line.strip()) for line in self.cleaned_data["parties"].splitlines() if line.strip()
            ]
        except ValueError as error:
            raise forms.ValidationError(str(error).replace("--party", "A line")) from error

    def invite(self) -> initiation.Invitation | None:
        """Create the invitation, or note in the form why not."""
        try:
            return initiation.invite(
                name=invitations.name(self.cleaned_data["name"]),
                parties=self.cleaned_data["parties"],
                any_role=self.cleaned_data["any_role"],
            )
        except (initiation.HandshakeFailed, ValueError) as error:
            self.add_error("name", str(error).replace("--name", "The name"))
            return None


class Habits(forms.ModelForm):  # type: ignore[type-arg]
    """What is done about a platform's habits."""

    authorize_seconds = forms.IntegerField(
        required=False, min_value=1, max_value=60, help_text=Platform._meta.get_field("authorize_seconds").help_text
    )
    longest_address = forms.IntegerField(
        min_value=45, max_value=255, help_text=Platform._meta.get_field("longest_address").help_text
    )

    class Meta:
        model = Platform
        fields = ("base64_token", "detects_token", "late_authorization", "authorize_seconds", "longest_address",
                  "offers_clients", "speaks_for_all")  # fmt: skip

    def set(self, *, actor: str) -> None:
        """Set them as the form says."""
        platform_actions.set_habits(self.instance.pk, actor=actor, **self.cleaned_data)
