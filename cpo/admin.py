"""Admin pages of a CPO: what it owns, and what it is told. Those of its charge points: `admin_charge_points`."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from cpo import admin_charge_points as admin_charge_points  # registers its pages
from cpo import admin_commands as admin_commands
from cpo import admin_firmware as admin_firmware
from cpo import admin_network as admin_network
from cpo import admin_operation_api as admin_operation_api
from cpo import admin_stations as admin_stations
from cpo import admin_transactions as admin_transactions
from cpo.admin_cdrs import Corrections, kind
from cpo.admin_chargingprofiles import PreferencesRows, RequestRows
from cpo.admin_closings import Closable, ClosingRows
from cpo.admin_locations import Publishing, listed
from cpo.models import CDR, EVSE, Location, Session, Tariff, Token
from cpo.modules import tariffs_deleting
from ocpi import status
from ocpi.admin_cdr_chart import CdrChart
from ocpi.admin_confirm import ask, button
from ocpi.admin_links import shortened
from ocpi.admin_pages import (
    EVSE_STATUSES,
    SESSION_STATUSES,
    TOKEN_TYPES,
    Documents,
    Rows,
    badge,
    badged,
    known,
    member,
    party,
    read_only,
)
from ocpi.admin_tariffs import TariffPictures
from ocpi.headers import Address


class EVSERows(Rows):
    model = EVSE
    fields = ("uid", "show_status", "charge_point", "connector_id", "hardware", "last_updated")
    ordering = ("id",)
    show_change_link = True
    show_status = badged("status")

    def get_queryset(self, request: HttpRequest) -> QuerySet[EVSE]:
        found: QuerySet[EVSE] = super().get_queryset(request).select_related("charge_point")
        return found


@admin.register(Location)
class LocationPage(Publishing, Documents):
    """Our Locations; their EVSEs have pages of their own."""

    deferred = ()  # its name and city are read from it
    list_display = ("object_id", "show_party", "show_name", "show_city", "time_zone", "last_updated", "show_hidden")
    list_filter = ("hidden", "private")
    search_fields = ("=object_id", "=party_id", "document__icontains")
    search_help_text = "an id, a party, or any text of the Location"
    inlines = (EVSERows,)
    show_name = read_only("name", lambda page, row: member(row.document, "name"))
    show_city = read_only("city", lambda page, row: member(row.document, "city"))
    show_hidden = read_only("listed", lambda page, row: listed(row))


@admin.register(EVSE)
class EVSEPage(Closable, Documents):
    list_display = ("uid", "location", "show_status", "charge_point", "connector_id", "last_updated")
    list_filter = (known("status", EVSE_STATUSES),)
    list_select_related = ("location", "charge_point")
    search_fields = ("=uid", "=location__object_id", "=charge_point__identity", "document__icontains")
    search_help_text = "a uid, a Location's id, a charge point, an EVSE id such as NL*TNM*E000001*1, or any text of it"
    inlines = (ClosingRows,)
    actions_detail = ("close", "open_again")
    show_status = badged("status")


@admin.register(Tariff)
class TariffPage(TariffPictures, Documents):
    deferred = ()
    locations = Location
    shown = ("show_week", "show_findings", *Documents.shown)
    list_display = ("object_id", "show_party", "show_currency", "show_type", "last_updated", "show_deleted")
    list_filter = (("deleted_at", admin.EmptyFieldListFilter),)
    actions_detail = ("try_charge", "delete_tariff")
    show_currency = read_only("currency", lambda page, row: member(row.document, "currency"))
    show_type = read_only("type", lambda page, row: member(row.document, "type"))
    show_deleted = read_only("deleted", lambda page, row: badge("deleted", "odd") if row.deleted_at else "")

    @button("Delete", icon="delete", variant="danger")
    def delete_tariff(self, request: HttpRequest, object_id: str) -> HttpResponse:
        tariff = get_object_or_404(Tariff, pk=object_id)
        owner = Address(tariff.country_code, tariff.party_id)

        def do() -> str:
            try:
                tariffs_deleting.delete(owner, tariff.object_id)
            except (status.UnknownObject, tariffs_deleting.TariffInUse) as error:
                return f"Nothing is deleted: {error}."
            return "It is deleted; everybody who has it is told."

        named = len(list(tariffs_deleting.connectors_naming(owner, tariff.object_id)))
        warning = f"{named} Connectors still name it: it cannot be deleted." if named else ""
        back = reverse("admin:cpo_tariff_change", args=[object_id])
        return ask(
            self, request, question="Delete this Tariff everywhere?", about=[tariff], do=do, back=back, warning=warning
        )


@admin.register(Session)
class SessionPage(Documents):
    deferred = ()
    list_display = ("object_id", "show_status", "show_emsp", "token_uid", "location_id", "start_date_time", "show_kwh",
                    "show_cost", "last_updated")  # fmt: skip
    list_filter = (known("status", SESSION_STATUSES),)
    inlines = (PreferencesRows, RequestRows)
    search_fields = ("=object_id", "=emsp_party_id", "=token_uid", "=location_id")
    show_status = badged("status")
    show_emsp = party("emsp_country_code", "emsp_party_id", "eMSP")
    show_kwh = read_only("kWh", lambda page, row: member(row.document, "kwh"))
    show_cost = read_only("cost excl. VAT", lambda page, row: cost(row.document))


@admin.register(CDR)
class CDRPage(Corrections, CdrChart, Documents):
    deferred = ()
    shown = ("show_chart", "show_lines", *Documents.shown)
    list_select_related = ("credited_by",)
    list_display = ("object_id", "show_emsp", "start_date_time", "show_kwh", "show_cost", "short_token",
                    "short_session", "show_credit", "last_updated")  # fmt: skip
    short_token, short_session = shortened("token_uid"), shortened("session_id", "session")
    list_filter = ("credit", ("replaces", admin.EmptyFieldListFilter))
    search_fields = ("=object_id", "=emsp_party_id", "=session_id", "=token_uid")
    show_emsp = party("emsp_country_code", "emsp_party_id", "eMSP")
    show_kwh = read_only("kWh", lambda page, row: member(row.document, "total_energy"))
    show_cost = read_only("total excl. VAT", lambda page, row: cost(row.document))
    show_credit = read_only("kind", lambda page, row: kind(row))


@admin.register(Token)
class TokenPage(Documents):
    list_display = ("uid", "type", "show_party", "contract_id", "show_valid", "whitelist", "id_tag", "last_updated")
    list_filter = (
        known("type", TOKEN_TYPES),
        "valid",
        known("whitelist", ("ALWAYS", "ALLOWED", "ALLOWED_OFFLINE", "NEVER")),
    )
    search_fields = ("=uid", "=contract_id", "=party_id", "=id_tag")
    show_valid = read_only("valid", lambda page, row: badge("valid", "good") if row.valid else badge("invalid", "bad"))


def cost(document: str) -> str:
    """Return the total cost of a Session or CDR as it stands in it, with its currency."""
    excluding = member(document, "total_cost", "excl_vat")
    return f"{excluding} {member(document, 'currency') or ''}" if excluding is not None else "–"
