"""What the Tariff pages of both sides show beside the document: a week as a picture, findings, and a charge to try."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe

from ocpi import clock, tariff_picture, tariff_pricing
from ocpi.admin_confirm import button
from ocpi.admin_pages import member, read_only
from ocpi.tariff_picture import Charge
from ocpi.tariff_pricing import NotPriceable

_POWER = Decimal(11)  # kW, of the picture


class TryCharge(forms.Form):
    """A charge to try."""

    start = forms.DateTimeField(
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="local time at the charge point",
    )
    zone = forms.CharField(label="time zone", help_text="such as Europe/Amsterdam")
    minutes = forms.IntegerField(min_value=1, max_value=7 * 24 * 60, initial=120, help_text="from start to leaving")
    power = forms.DecimalField(min_value=Decimal("0.1"), max_value=1000, initial=_POWER, help_text="kW while charging")
    energy = forms.DecimalField(
        min_value=0, max_value=10_000, required=False, help_text="kWh after which the car is full; empty: never"
    )

    def clean_zone(self) -> str:
        name = str(self.cleaned_data["zone"]).strip()
        if name not in available_timezones():
            raise forms.ValidationError("is no time zone")
        return name

    def charge(self) -> Charge:
        found = self.cleaned_data
        start = found["start"].replace(tzinfo=ZoneInfo(found["zone"])).astimezone(UTC)
        return Charge(start, found["minutes"], found["power"], found["energy"])


class TariffPictures:
    """To be mixed into the admin page of a model whose rows have a Tariff in `document`."""

    # The Locations of the same side: their time zone is that of the Tariff's local times.
    locations: Any = None
    show_week = read_only("a week", lambda page, row: _week(row, _zone(page, row)))
    show_findings = read_only("findings", lambda page, row: _findings(row))

    @button("Try a charge", icon="calculate", permission="view")
    def try_charge(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Show what an imagined charge costs, with every line."""
        page: Any = self
        if not page.has_view_permission(request):
            raise PermissionDenied
        row = page.model.objects.get(pk=object_id)
        zone = _zone(page, row)
        now = clock.now().astimezone(ZoneInfo(zone)).replace(second=0, microsecond=0, tzinfo=None)
        form = TryCharge(request.GET or None, initial={"start": now, "zone": zone})
        tried, refused = None, ""
        if form.is_bound and form.is_valid():
            try:
                tried = tariff_picture.try_charge(
                    tariff_pricing.loads(row.document), form.charge(), form.cleaned_data["zone"]
                )
            except NotPriceable as error:
                refused = str(error)
        context = {
            **page.admin_site.each_context(request),
            "title": f"Try Tariff {row.object_id}",
            "opts": page.model._meta,
            "form": form,
            "tried": tried,
            "refused": refused,
            "back": reverse(f"admin:{page.model._meta.app_label}_{page.model._meta.model_name}_change", args=[row.pk]),
        }
        return TemplateResponse(request, "admin/tariff_try.html", context)


def _zone(page: Any, row: Any) -> str:
    """Return the time zone of a Location of the same owner; where none is known, UTC."""
    found = page.locations.objects.filter(country_code__iexact=row.country_code, party_id__iexact=row.party_id).first()
    name = member(found.document, "time_zone") if found is not None else None
    return name if isinstance(name, str) and name in available_timezones() else "UTC"


def _week(row: Any, zone: str) -> str:
    day = clock.now().astimezone(ZoneInfo(zone)).date()
    begins = member(row.document, "start_date_time")
    if isinstance(begins, str) and (start := datetime.fromisoformat(begins).date()) > day:
        day = start + timedelta(days=7)
    monday = day - timedelta(days=day.weekday())
    return tariff_picture.week(tariff_pricing.loads(row.document), _POWER, zone, monday)


def _findings(row: Any) -> str:
    try:
        found = tariff_pricing.lint(tariff_pricing.loads(row.document))
    except NotPriceable as error:
        return format_html('<span class="o-error">{}</span>', str(error))
    if not found:
        return mark_safe('<span class="o-muted">none</span>')
    return format_html(
        '<ul class="o-list">{}</ul>', format_html_join("", "<li>{}</li>", ((str(each),) for each in found))
    )
