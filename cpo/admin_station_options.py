"""How a charge point is dealt with by the gateway, changed on a form of its page: the same change as by the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse

from cpo import admin_device_forms
from cpo.api import base
from cpo.api.errors import Invalid
from cpo.api.schemas import SCHEMAS
from cpo.gateway.actions import SUBPROTOCOLS, SWITCHABLE
from cpo.models import ChargePoint
from cpo.modules import charge_points_operations as operations
from ocpi.admin_confirm import actor, button

_PROFILES = [
    (0, "0: whoever knows its identity"),
    (1, "1: a password"),
    (2, "2: a password, over TLS"),
    (3, "3: a client certificate"),
]
_DIRECTIONS = [("import", "import"), ("export", "export: the meters are wired the other way round")]
_SETTING = "Empty: the gateway's setting."
_NOTE = "Limits count at once; what is about connecting counts from the next connection on."


def _many(choices: list[tuple[str, str]], **more: Any) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(choices=choices, widget=forms.CheckboxSelectMultiple, **more)


def _whole(name: str, told: str) -> forms.IntegerField:
    """Return a field for a number, within what the API takes."""
    [limits] = [each for each in SCHEMAS["ChangedChargePoint"]["properties"][name]["anyOf"] if "minimum" in each]
    return forms.IntegerField(
        required=False, min_value=limits["minimum"], max_value=limits["maximum"], help_text=f"{told} {_SETTING}"
    )


class Options(forms.Form):
    """The columns of a charge point that an operator decides about; its password and its EVSEs are changed elsewhere.

    The API's schema judges what is wanted. What a field showed comes back with it, so that only what somebody has
    changed here is written, and nothing that changed meanwhile is taken back.
    """

    use_required_attribute = False
    boot_status = forms.ChoiceField(
        choices=[(each, each) for each in ("Accepted", "Pending", "Rejected")],
        help_text="What it is answered when it boots. Pending: kept, and not published. Rejected: refused.",
    )
    security_profile = forms.TypedChoiceField(
        coerce=int, choices=_PROFILES, help_text="The least that it must show; a connection below is refused."
    )
    refuses_tls = forms.BooleanField(
        required=False, label="refuses TLS", help_text="With profile 1: it must come without TLS."
    )
    protocols = _many(
        [(each, each) for each in SUBPROTOCOLS], help_text="It may speak these.",
    )  # fmt: skip
    no_subprotocol_is_16 = forms.BooleanField(required=False, label="no subprotocol is 1.6")
    strictness = forms.ChoiceField(
        choices=[("lenient", "lenient: known deviations are taken"), ("strict", "strict: they are refused")]
    )
    heartbeat_seconds = _whole("heartbeat_seconds", "Seconds.")
    ping_seconds = _whole("ping_seconds", "Between two pings; 0: none.")
    ping_timeout_seconds = _whole("ping_timeout_seconds", "Silence after which it is cut off; 0: never.")
    frame_bytes = _whole("frame_bytes", "Octets of its longest frame.")
    compression = forms.BooleanField(required=False, help_text="Offered if it asks for it when it connects.")
    register_direction = forms.ChoiceField(
        choices=_DIRECTIONS, help_text="The register of its meters that counts what cars take."
    )
    switched_off = _many(
        [(each, each) for each in sorted(SWITCHABLE)], required=False,
        help_text="Its messages that are answered NotSupported; a boot and what is billed cannot be.",
    )  # fmt: skip

    def __init__(self, row: ChargePoint, data: Any = None) -> None:
        super().__init__(data, initial={name: getattr(row, name) for name in self.base_fields})
        for field in self.fields.values():
            field.show_hidden_initial = True

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        try:
            base.check("ChangedChargePoint", self.wanted(cleaned))
        except Invalid as error:
            field = str(error.field).partition(".")[0]
            self.add_error(field if field in self.fields else None, f"{error.message}.")
        return cleaned

    def wanted(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns that somebody has changed, as the API takes them."""
        return {name: cleaned[name] for name in self.changed_data if name in cleaned}


class OptionsButton:
    """The button of a charge point's page that shows the form."""

    @button("Change its options", icon="tune")
    def options(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        if not self.has_operate_permission(request):
            raise PermissionDenied
        row = get_object_or_404(ChargePoint, pk=object_id)
        back = reverse("admin:cpo_chargepoint_change", args=[row.pk])
        form = Options(row, admin_device_forms.given(request)[0])
        if form.is_valid():
            columns = form.wanted(form.cleaned_data)
            if columns:
                operations.change(row, columns=columns, password=None, by=actor(request))
            named = ", ".join(str(form[name].label).lower() for name in columns)
            messages.success(request, f"Changed: {named}." if columns else "Nothing was changed.")
            return HttpResponseRedirect(back)
        return admin_device_forms.show(
            self, request, form, title=f"Options of {row}", back=back, note=_NOTE, answer="Change"
        )
