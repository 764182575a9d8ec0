"""Our own admin site: the theme, and what its navigation leads to. The first page's numbers are in `overview`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.admin.apps import AdminConfig
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from unfold.sites import UnfoldAdminSite

# Title, side that must be active, entries of (model, symbol).
_NAVIGATION: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    ("Operations", "", (("ocpi.Connection", "lan"), ("ocpi.Lane", "conveyor_belt"), ("ocpi.DeadLetter", "mail_off"))),
    ("Partners", "", (("ocpi.Platform", "hub"), ("ocpi.Party", "groups"), ("ocpi.Exchange", "swap_horiz"),
                      ("ocpi.Deviation", "rule"), ("ocpi.RequestedHost", "dns"))),
    ("Outbox", "", (("ocpi.Delivery", "outbox"), ("ocpi.FinishedDelivery", "mark_email_read"),
                    ("ocpi.WorkerHeartbeat", "monitor_heart"))),
    ("Money", "", (("ocpi.CdrReview", "fact_check"), ("ocpi.Statement", "request_quote"),
                   ("ocpi.StatementTerms", "contract"), ("ocpi.MeterKey", "key"))),
    ("Pulls", "", (("ocpi.PullCursor", "download"), ("ocpi.PulledInvalid", "report_problem"))),
    ("Hub", "hub", (("hub.Permission", "handshake"), ("hub.ClientInfo", "cell_tower"), ("hub.SharedObject", "dataset"),
                     ("hub.KnownObject", "key"), ("hub.Callback", "reply"))),
    ("Charging (owner)", "cpo", (("cpo.Location", "location_on"), ("cpo.EVSE", "ev_station"), ("cpo.Tariff", "sell"),
                         ("cpo.Session", "bolt"), ("cpo.CDR", "receipt_long"), ("cpo.Token", "badge"),
                         ("cpo.Command", "settings_remote"), ("cpo.Reservation", "event_available"),
                         ("cpo.ChargingProfileRequest", "show_chart"), ("cpo.ChargePointProfile", "speed"),
                         ("cpo.ActiveChargingProfile", "monitoring"), ("cpo.ChargingPreferences", "tune"))),
    ("Charge points", "cpo", (("cpo.ChargePoint", "charger"), ("cpo.StationAlarm", "notifications"),
                              ("cpo.Transaction", "electric_meter"),
                              ("cpo.InboxMessage", "inbox"), ("cpo.Operation", "outgoing_mail"),
                              ("cpo.Report", "summarize"), ("cpo.IdTag", "contactless"),
                              ("cpo.ChargingProfileTemplate", "stacked_line_chart"), ("cpo.ApiToken", "key"),
                              ("cpo.UnknownChargePoint", "help"), ("cpo.UnmatchedStop", "report"),
                              ("cpo.Closing", "block"), ("cpo.LocalList", "fact_check"),
                              ("cpo.FrameLog", "data_object"),
                              ("cpo.ConnectorHistory", "history"), ("cpo.TenantPolicy", "rule_settings"))),
    ("Devices", "cpo", (("cpo.StationEvent", "shield"), ("cpo.ProvisioningPlan", "checklist"),
                        ("cpo.ProvisioningResult", "rule_settings"), ("cpo.BootRecord", "restart_alt"),
                        ("cpo.DeviceJob", "build"), ("cpo.Rollout", "rocket_launch"),
                        ("cpo.FirmwareImage", "memory"), ("cpo.DeviceFile", "folder_zip"),
                        ("cpo.StationCertificate", "workspace_premium"), ("cpo.CertificateAuthority", "verified_user"),
                        ("cpo.DataTransfer", "data_object"))),
    ("Charging (drivers)", "emsp", (("emsp.Location", "location_on"), ("emsp.EVSE", "ev_station"),
                           ("emsp.Tariff", "sell"), ("emsp.Session", "bolt"), ("emsp.CDR", "receipt_long"),
                           ("emsp.Token", "badge"),
                           ("emsp.Authorization", "verified_user"), ("emsp.Command", "settings_remote"),
                           ("emsp.Reservation", "event_seat"), ("emsp.ChargingProfileRequest", "show_chart"))),
    ("Accounts", "", (("auth.User", "person"), ("auth.Group", "group"), ("axes.AccessAttempt", "lock"),
                      ("auditlog.LogEntry", "history"), ("ocpi.AuditEntry", "verified"))),
)  # fmt: skip


class Site(UnfoldAdminSite):  # type: ignore[misc]
    """The admin of this instance."""

    index_title = "Overview"

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., HttpResponse]:
        """Return the view for those who are logged in; a URL with a NUL in it leads nowhere.

        PostgreSQL has no text with one, so whatever it was to be compared with would fail only when it is asked.
        """
        inner: Callable[..., HttpResponse] = super().admin_view(view, cacheable)

        @wraps(inner)
        def checked(request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponse:
            given = (text for values in request.GET.lists() for text in (values[0], *values[1]))
            if "\0" in request.path_info or any("\0" in text for text in given):
                raise Http404("A URL of the admin has no NUL in it.")
            return inner(request, *arguments, **named)

        return checked

    def get_sidebar_list(self, request: HttpRequest) -> list[dict[str, Any]]:
        first = [_item("Overview", "dashboard", reverse("admin:index")), _item("Live", "sensors", reverse("live"))]
        if "cpo" in settings.OCPI_SIDES:
            link = reverse("admin:cpo_chargepoint_network")
            first.insert(1, _item("Network", "ev_station", link, "cpo.view_chargepoint"))
        groups: list[dict[str, Any]] = [{"title": "", "items": first}]
        for title, side, entries in _NAVIGATION:
            if side and side not in settings.OCPI_SIDES:
                continue
            items = [
                _item(str(name), symbol, reverse(f"admin:{app}_{model}_changelist"), _permission(label))
                for label, symbol in entries
                for app, model, name in [_names(label)]
                if (app, model) in _registered(self)
            ]
            groups.append({"title": title, "separator": True, "items": items})
        for group in groups:
            group["items"] = self._get_navigation_items(request, group["items"], [])
        return groups


def _registered(site: Site) -> set[tuple[str, str]]:
    return {(model._meta.app_label, str(model._meta.model_name)) for model in site._registry}


def _names(label: str) -> tuple[str, str, str]:
    try:
        meta = apps.get_model(label)._meta
    except LookupError:
        return ("", "", "")
    name = str(meta.verbose_name_plural)
    return meta.app_label, str(meta.model_name), name[0].upper() + name[1:]


def _permission(label: str) -> str:
    """Return the permission to see rows; those of a page in another light are its model's own."""
    meta = apps.get_model(label)._meta.concrete_model._meta
    return f"{meta.app_label}.view_{meta.model_name}"


def _item(title: str, symbol: str, link: str, permission: str = "") -> dict[str, Any]:
    return {
        "title": title,
        "icon": symbol,
        "link": link,
        "permission": (lambda request: bool(request.user.has_perm(permission))) if permission else None,
    }


class OcpiAdminConfig(AdminConfig):
    """Django's admin, with our site as the one that `admin.site` is."""

    default_site = "hub.admin_site.Site"

    def ready(self) -> None:
        """Leave the pages out of processes that show none: a worker that was killed is back sooner."""
        if settings.ADMIN_PAGES:
            super().ready()
        else:
            super(AdminConfig, self).ready()
