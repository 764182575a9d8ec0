"""Admin pages of charging profiles: what partners asked for, what charge points hold, and limits of our own."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.contrib.filters.admin import RelatedDropdownFilter

from cpo import chargingprofile_states as states
from cpo.charging_schedules import NotPossible
from cpo.models import (
    ActiveChargingProfile,
    ChargePoint,
    ChargePointProfile,
    ChargingPreferences,
    ChargingProfileRequest,
    SmartCharging,
)
from cpo.modules import chargingprofiles_limits as limits
from cpo.ocpp.calls import NotAsked
from ocpi import json_html
from ocpi.admin_confirm import ask, button
from ocpi.admin_pages import Pages, Rows, badge, badged, known, member, party, pretty, read_only
from ocpi.v2_2_1.chargingprofiles import ChargingProfileResultType

_TONES = {"ACCEPTED": "good", "UNKNOWN": "odd", "REJECTED": "bad", "TOO_OFTEN": "odd", "INSTALLED": "good",
          "DOUBTFUL": "odd", "ASKED": "busy", "CLEARING": "busy"}  # fmt: skip


def _toned(word: str) -> str:
    return badge(word, _TONES.get(word, "plain")) if word else "–"


@admin.register(ChargingProfileRequest)
class ChargingProfileRequestPage(Pages):
    """Charging profiles that partners set, asked for or cleared: our answer, the result, and when.

    The response_url is shown nowhere: whoever knows it may answer in our place.
    """

    large = True
    list_display = ("created_at", "method", "show_session", "show_owner", "show_response", "show_state", "show_result",
                    "show_timing")  # fmt: skip
    list_filter = (
        known("method", ("PUT", "GET", "DELETE")),
        known("state", states.REQUESTS),
        known("result", ChargingProfileResultType),
        ("platform", RelatedDropdownFilter),
    )
    list_select_related = ("platform", "operation", "session", "profile")
    search_fields = ("=asked_session", "=correlation_id", "=party_id")
    ordering = ("-id",)
    hidden = ("digest", "request", "response", "response_url")
    shown = ("show_timing", "show_profile", "pretty_response")
    deferred = ("request", "response_url")
    show_state = badged("state")
    show_owner = party(title="of")
    show_session = read_only("session", lambda page, row: row.session or row.asked_session)
    show_response = read_only("response", lambda page, row: _toned(member(row.response, "result") or ""))
    show_result = read_only("result", lambda page, row: _toned(row.result))
    pretty_response = pretty("response")

    @admin.display(description="what was asked")
    def show_profile(self, row: ChargingProfileRequest) -> str:
        text = member(row.request, "charging_profile") or member(row.request, "duration")
        return json_html.pretty(str(text)) if text else "–"

    @admin.display(description="timing")
    def show_timing(self, row: ChargingProfileRequest) -> str:
        """Return when the charge point was asked and answered and the result was given, in seconds since it came."""
        moments = [
            ("asked", row.operation.sent_at if row.operation else None),
            ("answered", row.operation.ended_at if row.operation else None),
            ("result", row.result_at),
        ]
        return _since(row.created_at, moments, due=row.deadline_at) if row.state != states.REFUSED else "–"


def _since(start: datetime, moments: Iterable[tuple[str, datetime | None]], *, due: datetime) -> str:
    told = [f"{name} +{(at - start).total_seconds():.1f} s" for name, at in moments if at is not None]
    return ", ".join([*told, f"due +{(due - start).total_seconds():.0f} s"])


@admin.register(ChargePointProfile)
class ChargePointProfilePage(Pages):
    """What charge points hold, or were asked to; the number is the chargingProfileId there."""

    large = True
    list_display = ("id", "charge_point", "connector_id", "purpose", "stack_level", "origin", "show_state",
                    "show_limits", "transaction", "changed_at")  # fmt: skip
    list_filter = (
        known("state", states.PROFILES),
        known("origin", ChargePointProfile.Origin.values),
        known("purpose", [value for value, _ in ChargePointProfile._meta.get_field("purpose").choices or ()]),
    )
    list_select_related = ("charge_point", "transaction")
    search_fields = ("=id", "=charge_point__identity", "=transaction__transaction_id")
    ordering = ("-id",)
    hidden = ("schedule",)
    shown = ("show_limits", "pretty_schedule")
    actions_detail = ("remove",)
    show_state = read_only("state", lambda page, row: _toned(row.state))
    show_limits = read_only("limits", lambda page, row: limits_of(row))
    pretty_schedule = pretty("schedule")

    @button("Remove", icon="delete", variant="danger")
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(ChargePointProfile, pk=object_id)

        def do() -> str:
            try:
                done = limits.remove(row.pk, by=str(request.user))
            except (limits.NotSet, NotAsked) as error:
                return f"Nothing is changed: {error}."
            return "The charge point is being asked to remove it." if done else "The charge point does not hold it."

        back = reverse("admin:cpo_chargepointprofile_change", args=[object_id])
        warning = "A partner that has set a profile for the session is told what limits it from then on."
        question = "Remove this profile from the charge point?"
        return ask(self, request, question=question, about=[row], do=do, back=back, warning=warning)


def limits_of(row: ChargePointProfile) -> str:
    """Return the limits of a profile in short, e.g. "11000 W, from 30 min 7400.5 W"."""
    told = [
        f"{limit} {row.unit}" if not second else f"from {int(second) / 60:g} min {limit} {row.unit}"
        for second, limit in row.schedule.get("periods", ())
    ]
    return ", ".join([*told[:3], *(["…"] if len(told) > 3 else [])])


@admin.register(ActiveChargingProfile)
class ActiveChargingProfilePage(Pages):
    """What limits the sessions whose Senders are told of it."""

    large = True
    list_display = ("session", "platform", "show_to", "unit", "changed_at")
    list_select_related = ("session", "platform")
    search_fields = ("=session__object_id", "=party_id")
    ordering = ("-id",)
    hidden = ("document",)
    shown = ("pretty_document",)
    deferred = ("document",)
    show_to = party(title="told to")
    pretty_document = pretty("document", "all that is known")


@admin.register(ChargingPreferences)
class ChargingPreferencesPage(Pages):
    """What drivers want: the last that was accepted for each session."""

    large = True
    list_display = ("session", "profile_type", "departure_time", "energy_need", "discharge_allowed", "accepted_at")
    list_filter = (known("profile_type", ("CHEAP", "FAST", "GREEN", "REGULAR")),)
    list_select_related = ("session",)
    search_fields = ("=session__object_id",)
    ordering = ("-id",)
    hidden = ("document",)
    shown = ("pretty_document",)
    deferred = ("document",)
    pretty_document = pretty("document", "as they came")


# ---------------------------------------------------------------- on the pages of others


class PreferencesRows(Rows):
    model = ChargingPreferences
    verbose_name_plural = "charging preferences"
    hide_title = False
    fields = ("profile_type", "departure_time", "energy_need", "discharge_allowed", "accepted_at")
    show_change_link = True


class RequestRows(Rows):
    model = ChargingProfileRequest
    verbose_name_plural = "charging profiles asked for"
    fields = ("created_at", "method", "state", "result", "result_at")
    ordering = ("-id",)
    show_change_link = True
    per_page = 20


class ProfileRows(Rows):
    """The newest profiles of a charge point."""

    model = ChargePointProfile
    verbose_name_plural = "charging profiles"
    fields = ("id", "connector_id", "purpose", "stack_level", "origin", "state", "changed_at")
    ordering = ("-id",)
    show_change_link = True
    per_page = 20


class AbilityRows(Rows):
    model = SmartCharging
    verbose_name_plural = "what it can do with charging profiles"
    fields = ("supported", "rate_units", "max_periods", "max_stack_level", "read_at")


class Limit(forms.Form):
    """A limit for a charge point, or for each session at a connector that has no profile of its own."""

    connector = forms.TypedChoiceField(coerce=int, help_text="All of it: what its sessions draw together.")
    unit = forms.ChoiceField(choices=[("W", "W, in all"), ("A", "A, per phase")])
    limit = forms.DecimalField(min_value=Decimal(0), max_digits=9, decimal_places=1)

    def __init__(self, charge_point: ChargePoint, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._charge_point = charge_point
        numbers = charge_point.evses.exclude(connector_id=None).order_by("connector_id")
        connectors = [(number, f"connector {number}") for number in numbers.values_list("connector_id", flat=True)]
        self.fields["connector"].choices = [(0, "all of it"), *connectors]  # type: ignore[attr-defined]

    def set(self, by: str) -> bool:
        """Ask the charge point for it, or note in the form why not."""
        found = self.cleaned_data
        try:
            limits.set_limit(
                self._charge_point, connector=found["connector"], unit=found["unit"], limit=found["limit"], by=by
            )
        except (limits.NotSet, NotPossible, NotAsked) as error:
            self.add_error(None, str(error))
            return False
        return True


class Limits:
    """The button of a charge point's page that sets a limit there."""

    @button("Set a limit", icon="speed")
    def set_limit(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        if not self.has_operate_permission(request):
            raise PermissionDenied
        row = get_object_or_404(ChargePoint, pk=object_id)
        back = reverse("admin:cpo_chargepoint_change", args=[object_id])
        form = Limit(row, request.POST if request.method == "POST" else None)
        if form.is_valid() and form.set(str(request.user)):
            messages.success(request, "The charge point is being asked for it.")
            return HttpResponseRedirect(back)
        context = {
            **self.admin_site.each_context(request),
            "title": f"A limit for {row}",
            "note": "It holds until another one is set or it is removed, which is done on the page of the profile.",
            "opts": self.model._meta,
            "form": form,
            "back": back,
        }
        return TemplateResponse(request, "admin/send_form.html", context)
