"""The first page of the admin: a few numbers, each with the list behind it. Sides are named as strings (ADR 0005)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from hub import overview_panels
from ocpi import backlog
from ocpi.models import FinishedDelivery, Party, Platform

_MOST = 200_000  # nothing is counted further than this


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the numbers to what the first page shows."""
    context["cards"] = [card for card in cards() if _may_see(request, card["page"])]
    context["calm"] = not any(card["odd"] for card in context["cards"])
    platforms: Any = admin.site.get_model_admin(Platform)
    context["may_invite"] = platforms.has_invite_permission(request)
    context["sees_exchanges"] = _may_see(request, "ocpi_exchange")
    if getattr(request, "user").has_perm("ocpi.view_platform"):  # noqa: B009
        context["alarms"] = overview_panels.found_alarms()
        context["connections"] = overview_panels.connections()
        context["traffic"] = overview_panels.traffic_picture()
    if getattr(request, "user").has_perm("ocpi.view_finisheddelivery"):  # noqa: B009
        context["dead"] = overview_panels.dead()
    context["sides"] = settings.OCPI_SIDES
    context["base_url"] = settings.OCPI_BASE_URL
    context["parties"] = settings.OCPI_PARTIES
    return context


def cards() -> list[dict[str, Any]]:
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    platforms = Platform.objects.filter(state="REGISTERED")
    connected = platforms.filter(connection="CONNECTED", paused_reason="").count()
    unapproved = Party.objects.filter(approved=False, claimed=True, through_hub=False).count()
    dead = _count(FinishedDelivery.objects.filter(state__in=overview_panels.OPEN))
    found = [
        _card(
            "Platforms connected",
            f"{connected} of {platforms.count()}",
            "ocpi_connection",
            "?status=CONNECTED",
        ),
        _card(
            "Parties to approve", unapproved, "ocpi_party", "?approved__exact=0&claimed__exact=1", odd=unapproved > 0
        ),
        _card("Deliveries pending", backlog.pending(_MOST), "ocpi_delivery", "?state__exact=PENDING"),
        _card("Dead letters", dead, "ocpi_deadletter", "?state=OPEN", odd=dead > 0),
    ]
    for side in settings.OCPI_SIDES:
        if side in ("cpo", "emsp"):
            found += _of_side(side, today)
    return found


def _of_side(side: str, today: datetime) -> list[dict[str, Any]]:
    def rows(name: str) -> QuerySet[Model]:
        model: Any = apps.get_model(side, name)
        return model.objects.all()  # type: ignore[no-any-return]

    of = f" ({side})" if len(settings.OCPI_SIDES) > 1 else ""
    active = _count(rows("Session").filter(status="ACTIVE"))
    found = [
        _card(f"Sessions active{of}", active, f"{side}_session", "?status=ACTIVE"),
        _card(f"CDRs today{of}", _count(rows("CDR").filter(last_updated__gte=today)), f"{side}_cdr"),
        _card(
            f"EVSEs charging{of}", _count(rows("EVSE").filter(status="CHARGING")), f"{side}_evse", "?status=CHARGING"
        ),
    ]
    if side == "cpo":
        online = _count(rows("ChargePoint").filter(online=True))
        found.append(_card("Charge points online", online, "cpo_chargepoint", "?online__exact=1"))
    else:
        wrong = _count(rows("CDR").filter(verdict="mismatch"))
        found.append(_card("CDRs that do not add up", wrong, "emsp_cdr", "?verdict__exact=mismatch", odd=wrong > 0))
    return found


def _count(rows: QuerySet[Any]) -> int:
    return rows.order_by()[:_MOST].count()


def _may_see(request: HttpRequest, page: str) -> bool:
    """Say whether a list is open to whoever asks, so that nothing here leads to a refusal."""
    app, _, model = page.partition("_")
    shown = admin.site._registry.get(apps.get_model(app, model))
    return shown is not None and shown.has_view_permission(request)


def _card(title: str, number: object, page: str, query: str = "", *, odd: bool = False) -> dict[str, Any]:
    try:
        url = reverse(f"admin:{page}_changelist") + query
    except NoReverseMatch:  # a page this installation does not have
        url = ""
    shown = f"{number:,}" if isinstance(number, int) else number
    return {"page": page, "title": title, "number": shown, "url": url, "odd": odd}
