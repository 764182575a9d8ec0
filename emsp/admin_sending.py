"""Admin pages of what an eMSP asks of CPOs, and the buttons that ask: on Locations, Sessions and Reservations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.contrib.filters.admin import RelatedDropdownFilter

from emsp import admin_forms, chargingprofile_states, reservation_states
from emsp.models import ChargingProfileRequest, Command, Location, Reservation, Session, Token
from emsp.modules import charging_preferences, commands_operations
from emsp.modules import chargingprofiles_operations as profiles
from emsp.modules import locations_showing as showing
from ocpi import status
from ocpi.admin_confirm import button
from ocpi.admin_links import short
from ocpi.admin_pages import Pages, badged, known, party, pretty, read_only
from ocpi.headers import Address

SEND, UNLOCK, PROFILE = "send", "unlock", "profile"
_NEEDED = {SEND: "emsp.add_command", UNLOCK: "emsp.unlock_connector", PROFILE: "emsp.add_chargingprofilerequest"}


def sends(
    title: str, *, icon: str, of: type[Model], question: str, form: type[forms.Form] = admin_forms.Nothing,
    permission: str = SEND, variant: str = "default", note: str = "",
) -> Callable[[Callable[..., Model]], Callable[..., HttpResponse]]:  # fmt: skip
    """Make a method that sends something about a row a button, whose page asks for what the form needs.

    The method is given the row, the filled form and who asks; it returns the row that says what came of it.
    """

    def decorate(send: Callable[..., Model]) -> Callable[..., HttpResponse]:
        def page(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
            row = get_object_or_404(of, pk=object_id)
            asked = _form(form, request, row)
            return _send_page(
                self, request, row, title=question.format(row=row), permission=permission, form=asked, note=note,
                do=lambda: send(self, row, asked, _operator(request)),
            )  # fmt: skip

        page.__name__ = send.__name__
        return button(title, icon=icon, variant=variant, permission=permission)(page)

    return decorate


def _form(kind: type[forms.Form], request: HttpRequest, row: Any) -> forms.Form:
    data = request.POST if request.method == "POST" else None
    return kind(data, location=row) if issubclass(kind, admin_forms.AtLocation) else kind(data)


def _send_page(
    page: Any, request: HttpRequest, row: Model, *, title: str, permission: str, form: forms.Form,
    do: Callable[[], Model], note: str,
) -> HttpResponse:  # fmt: skip
    """Ask for what is needed; once that is there, send it and lead to the row that says what came of it.

    :raises PermissionDenied: if whoever asks lacks the permission.
    """
    if not _may(request, permission):
        raise PermissionDenied
    back = _page_of(row)
    if request.method == "POST" and form.is_valid():
        try:
            sent = do()
        except status.OcpiError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, f"It was sent: {sent}.")
            return HttpResponseRedirect(_page_of(sent))
    context = {"title": title, "note": note, "form": form, "back": back, "opts": page.model._meta}
    return TemplateResponse(request, "admin/send_form.html", {**page.admin_site.each_context(request), **context})


class Sending:
    """Who may send what; unlocking has a permission of its own (CMD-43)."""

    def has_send_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may(request, SEND)

    def has_unlock_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may(request, UNLOCK)

    def has_profile_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may(request, PROFILE)


class LocationActions(Sending):
    """What an operator does at a Location."""

    actions_detail = ("as_a_driver", "start_session", "reserve_now", "unlock_connector")

    @button("As a driver sees it", icon="visibility", permission="view")
    def as_a_driver(self, request: HttpRequest, object_id: str) -> HttpResponse:
        page: Any = self
        if not page.has_view_permission(request):
            raise PermissionDenied
        row = get_object_or_404(Location, pk=object_id)
        uid = request.GET.get("token", "").strip()
        token = Token.objects.filter(object_id__iexact=uid).first() if uid else None
        unknown = bool(uid) and token is None
        holder = token.document if token else None
        shown = None if unknown else showing.show(row, token=holder, moment=timezone.now())
        context = {
            **page.admin_site.each_context(request),
            "title": f"{row.object_id} as a driver sees it",
            "location": row.object_id,
            "token": uid,
            "unknown": unknown,
            "shown": shown,
            "tariffs": showing.tariffs(shown) if shown else {},
            "back": _page_of(row),
            "opts": page.model._meta,
        }
        return TemplateResponse(request, "admin/location_seen.html", context)

    @sends("Start a session", icon="play_arrow", of=Location, form=admin_forms.StartSession,
           question="Start a session at {row.object_id}")  # fmt: skip
    def start_session(self, row: Location, form: admin_forms.StartSession, operator: str) -> Command:
        return commands_operations.start_session(to=_cpo(row), location_id=row.object_id, **form.cleaned_data)

    @sends("Reserve", icon="event_seat", of=Location, form=admin_forms.ReserveNow,
           question="Reserve a place at {row.object_id}")  # fmt: skip
    def reserve_now(self, row: Location, form: admin_forms.ReserveNow, operator: str) -> Command:
        given = {name: value for name, value in form.cleaned_data.items() if name != "minutes"}
        return commands_operations.reserve_now(
            to=_cpo(row), location_id=row.object_id, expiry_date=form.expiry_date, **given
        )

    @sends("Unlock a connector", icon="lock_open", variant="danger", permission=UNLOCK, of=Location,
           form=admin_forms.UnlockConnector, question="Unlock a connector at {row.object_id}",
           note="For the help desk: a driver never does this directly. The cable of somebody else may come loose.",
           )  # fmt: skip
    def unlock_connector(self, row: Location, form: admin_forms.UnlockConnector, operator: str) -> Command:
        return commands_operations.unlock_connector(
            to=_cpo(row), location_id=row.object_id, asked_by=operator, **form.cleaned_data
        )


class SessionActions(Sending):
    """What an operator does about a Session."""

    actions_detail = (
        "stop_session",
        {"title": "Charging profile", "icon": "show_chart",
         "items": ["set_profile", "get_profile", "clear_profile", "set_preferences"]},
    )  # fmt: skip

    @sends("Stop", icon="stop", variant="danger", of=Session, question="Stop Session {row.object_id}?")
    def stop_session(self, row: Session, form: forms.Form, operator: str) -> Command:
        return commands_operations.stop_session(to=_cpo(row), session_id=row.object_id)

    @sends("Set a profile", icon="show_chart", permission=PROFILE, of=Session, form=admin_forms.SetProfile,
           question="Set a charging profile for {row.object_id}", note="An upper limit, not a target.")  # fmt: skip
    def set_profile(self, row: Session, form: admin_forms.SetProfile, operator: str) -> ChargingProfileRequest:
        return profiles.set_profile(session=row, profile=form.text, asked_by=operator)

    @sends("Active profile", icon="query_stats", permission=PROFILE, of=Session, form=admin_forms.GetProfile,
           question="Ask for the active profile of {row.object_id}")  # fmt: skip
    def get_profile(self, row: Session, form: admin_forms.GetProfile, operator: str) -> ChargingProfileRequest:
        return profiles.get_active_profile(session=row, asked_by=operator, **form.cleaned_data)

    @sends("Clear the profile", icon="clear_all", permission=PROFILE, of=Session,
           question="Clear the charging profile of {row.object_id}?")  # fmt: skip
    def clear_profile(self, row: Session, form: forms.Form, operator: str) -> ChargingProfileRequest:
        return profiles.clear_profile(session=row, asked_by=operator)

    @sends("Preferences", icon="tune", permission=PROFILE, of=Session, form=admin_forms.Preferences,
           question="Send charging preferences for {row.object_id}")  # fmt: skip
    def set_preferences(self, row: Session, form: admin_forms.Preferences, operator: str) -> Session:
        charging_preferences.send(session=row, preferences=form.members, asked_by=operator)
        return row


@admin.register(Reservation)
class ReservationPage(Sending, Pages):
    """Places held for our drivers."""

    large = True
    list_display = ("reservation_id", "show_state", "show_to", "location_id", "evse_uid", "expiry_date", "token")
    list_filter = (known("state", reservation_states.STATES),)
    list_select_related = ("token",)
    search_fields = ("=reservation_id", "=location_id", "=token__uid")
    ordering = ("-id",)
    actions_detail = ("cancel_reservation",)
    show_state = badged("state")
    show_to = party(title="at")

    @sends("Cancel", icon="event_busy", variant="danger", of=Reservation,
           question="Cancel reservation {row.reservation_id}?")  # fmt: skip
    def cancel_reservation(self, row: Reservation, form: forms.Form, operator: str) -> Command:
        return commands_operations.cancel_reservation(to=_cpo(row), reservation_id=row.reservation_id)


@admin.register(ChargingProfileRequest)
class ChargingProfileRequestPage(Pages):
    """Charging profiles that were set, asked for or cleared; the key of the response_url is a secret and not shown."""

    large = True
    list_display = ("created_at", "kind", "show_state", "short_session", "response", "result", "show_answered",
                    "show_result_after", "show_scsp", "asked_by")  # fmt: skip
    list_filter = (
        known("state", chargingprofile_states.STATES),
        known("kind", ChargingProfileRequest.Kind.values),
        ("platform", RelatedDropdownFilter),
    )
    list_select_related = ("session", "platform", "scsp_platform")
    search_fields = ("=correlation_id", "=session__object_id", "=scsp_party_id")
    ordering = ("-id",)
    hidden = ("key", "profile", "result_body", "scsp_response_url")
    shown = ("show_scsp", "pretty_profile", "pretty_result")
    deferred = ("key", "profile", "result_body", "scsp_response_url")
    show_state = badged("state")
    short_session = read_only("session", lambda page, row: short(row.session.object_id))
    show_scsp = party("scsp_country_code", "scsp_party_id", title="for")
    show_answered = read_only("answered after", lambda page, row: seconds(row.created_at, row.answered_at))
    show_result_after = read_only("result after", lambda page, row: seconds(row.created_at, row.result_at))

    @admin.display(description="profile that was asked for")
    def pretty_profile(self, row: ChargingProfileRequest) -> str:
        return str(_pretty_profile(self, row)) if row.profile else "–"

    @admin.display(description="result as it came")
    def pretty_result(self, row: ChargingProfileRequest) -> str:
        return str(_pretty_result(self, row)) if row.result_body else "–"


_pretty_profile, _pretty_result = pretty("profile"), pretty("result_body")


def seconds(since: Any, until: Any) -> str:
    """Return the time between two moments, for people."""
    return f"{(until - since).total_seconds():.2f} s" if since and until else "–"


def _may(request: HttpRequest, permission: str) -> bool:
    return bool(getattr(request, "user").has_perm(_NEEDED[permission]))  # noqa: B009 request.user is not always typed


def _operator(request: HttpRequest) -> str:
    return str(getattr(request, "user").get_username())  # noqa: B009


def _cpo(row: Any) -> Address:
    return Address(row.country_code, row.party_id)


def _page_of(row: Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
