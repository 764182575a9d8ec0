"""What an operator may do with a Location that only we know: show it to the world."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from cpo.models import Location
from cpo.modules import locations_operations as operations
from ocpi.admin_confirm import ask, button
from ocpi.admin_pages import badge


def listed(row: Location) -> str:
    """Return why a Location is in no list, if so."""
    if row.private:
        return badge("private", "busy")
    return badge("left out", "odd") if row.hidden else ""


class Publishing:
    """A button of a Location's page."""

    actions_detail = ("publish",)

    @button("Publish", icon="public")
    def publish(self, request: HttpRequest, object_id: str) -> HttpResponse:
        page: Any = self
        about = get_object_or_404(Location, pk=object_id)

        def do() -> str:
            done = operations.publish(about.pk)
            return "It is published and on its way to everybody." if done else "It was published before."

        return ask(
            page, request, question="Publish this Location?", about=[about], do=do,
            back=reverse("admin:cpo_location_change", args=[object_id]),
            warning="A Location that others know is never deleted: its EVSEs can only be removed one by one.",
        )  # fmt: skip
