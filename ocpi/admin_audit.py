"""The admin page of the audit trail."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from ocpi import audit
from ocpi.admin_confirm import button
from ocpi.admin_pages import Pages, pretty, read_only
from ocpi.models import AuditEntry


@admin.register(AuditEntry)
class AuditEntryPage(Pages):
    """Who did what; nothing here can be changed, not even in the database."""

    large = True
    list_display = ("number", "at", "actor", "action", "about", "show_details")
    list_display_links = ("number", "at")
    search_fields = ("=actor", "action__startswith", "about__istartswith")
    search_help_text = "an account, or the beginning of an action or of what it was done to"
    ordering = ("-id",)
    hidden = ("details",)
    shown = ("pretty_details",)
    actions_list = ("check_chain",)
    pretty_details = pretty("details")
    show_details = read_only("details", lambda page, row: "" if row.details == "{}" else f"{row.details:.100}")

    @button("Check the chain", icon="link", permission="view")
    def check_chain(self, request: HttpRequest) -> HttpResponse:
        """Say whether every entry, and every CDR in it, is as it was written."""
        found = audit.verify()
        self.message_user(request, found.message, "info" if found.broken is None else "error")
        return HttpResponseRedirect(reverse("admin:ocpi_auditentry_changelist"))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["number", "at", "actor", "action", "about", "pretty_details", "previous", "hash"]
