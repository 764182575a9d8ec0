"""The forms behind the buttons with which an operator sends something to a CPO."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from emsp.models import Location, Token
from ocpi import documents
from ocpi.v2_2_1.sessions import ProfileType
from ocpi.v2_2_1.types import format_datetime

_MOST_MINUTES = 24 * 60


class TokenField(forms.CharField):
    """The uid of one of our Tokens."""

    def __init__(self) -> None:
        super().__init__(max_length=36, label="Token", help_text="The uid of one of our Tokens.")

    def clean(self, value: Any) -> Token:
        uid = super().clean(value)
        token = Token.objects.filter(object_id__iexact=uid).first()
        if token is None:
            raise forms.ValidationError(f"There is no Token {uid}")
        return token


class AtLocation(forms.Form):
    """Something at an EVSE of a Location."""

    evse_uid = forms.ChoiceField(label="EVSE", required=False)

    def __init__(self, data: Any, *, location: Location) -> None:
        super().__init__(data)
        uids = location.evses.filter(deleted_at=None).order_by("pk").values_list("uid", flat=True)
        field: Any = self.fields["evse_uid"]
        field.choices = [*([] if field.required else [("", "any")]), *((uid, uid) for uid in uids)]


class StartSession(AtLocation):
    token = TokenField()
    connector_id = forms.CharField(max_length=36, label="Connector", required=False)
    field_order = ("token", "evse_uid", "connector_id")


class ReserveNow(AtLocation):
    token = TokenField()
    minutes = forms.IntegerField(min_value=1, max_value=_MOST_MINUTES, initial=30, help_text="How long from now.")
    reservation_id = forms.CharField(max_length=36, required=False, help_text="A known one is replaced.")
    field_order = ("token", "evse_uid", "minutes", "reservation_id")

    @property
    def expiry_date(self) -> datetime:
        return timezone.now() + timedelta(minutes=self.cleaned_data["minutes"])


class UnlockConnector(AtLocation):
    evse_uid = forms.ChoiceField(label="EVSE")
    connector_id = forms.CharField(max_length=36, label="Connector")


class Nothing(forms.Form):
    """Nothing is asked: the button itself says it all."""


class SetProfile(forms.Form):
    limit = forms.DecimalField(
        required=False, min_value=0, decimal_places=1, help_text="One limit; or a whole ChargingProfile below."
    )
    unit = forms.ChoiceField(choices=[("W", "W"), ("A", "A per phase")])
    duration = forms.IntegerField(required=False, min_value=1, help_text="Seconds for which the limit holds.")
    profile = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 6}), label="ChargingProfile", help_text="As JSON."
    )

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if (found.get("limit") is None) == (not found.get("profile")):
            raise forms.ValidationError("Give either a limit or a ChargingProfile.")
        try:
            json.loads(found["profile"] or "{}")
        except ValueError as error:
            self.add_error("profile", f"This is not JSON: {error}")
        return found

    @property
    def text(self) -> str:
        """Return the ChargingProfile."""
        found = self.cleaned_data
        if found["profile"]:
            return str(found["profile"])
        lasting = {"duration": found["duration"]} if found["duration"] else {}
        periods = [{"start_period": 0, "limit": found["limit"]}]
        return documents.text({**lasting, "charging_rate_unit": found["unit"], "charging_profile_period": periods})


class GetProfile(forms.Form):
    duration = forms.IntegerField(min_value=1, initial=3600, help_text="Seconds from now.")


class Preferences(forms.Form):
    profile_type = forms.ChoiceField(choices=[(each.value, each.value) for each in ProfileType])
    departure_time = forms.DateTimeField(required=False, help_text="When the driver leaves, in UTC.")
    energy_need = forms.DecimalField(required=False, min_value=0, help_text="kWh")
    discharge_allowed = forms.BooleanField(required=False, help_text="The car may be discharged.")

    @property
    def members(self) -> dict[str, Any]:
        """Return the ChargingPreferences."""
        found = self.cleaned_data
        leaves = found["departure_time"]
        return {
            "profile_type": found["profile_type"],
            "departure_time": format_datetime(leaves) if leaves else None,
            "energy_need": found["energy_need"],
            "discharge_allowed": True if found["discharge_allowed"] else None,
        }
