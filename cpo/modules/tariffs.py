"""Tariffs, Sender interface: our Tariffs as a list (OCPI 2.2.1, Tariffs). There is no GET of a single one (TAR-02)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.http import HttpResponse
from rest_framework.request import Request

from cpo import recipients
from cpo.models import Tariff
from ocpi import lists, outbox, outbox_pulled, pagination, tariff_pricing
from ocpi.enums import InterfaceRole, ModuleID
from ocpi.headers import Address
from ocpi.outbox_pulled import Reader
from ocpi.pagination import Page
from ocpi.tariff_pricing import NotPriceable
from ocpi.views import ANYBODY, OcpiView

_MODULE = "tariffs"
_SOURCE = "cpo.Tariff"


def fetch(owner: Address, page: Page, reader: Reader) -> lists.Found:
    """Return a page of the Tariffs that are in force or will be; a deleted one is gone."""
    listing = lists.Listing("cpo_tariff", scopes=("*".join(owner.key),))
    return lists.fetch(outbox_pulled.noted(listing, reader, _SOURCE), page)


def chosen(owner: Address, tariff_ids: Iterable[str], *, at: datetime, preference: str | None = None) -> Any:
    """Return the Tariff a session at a Connector with these tariff_ids starts with, or nothing if none is valid."""
    wanted = [tariff_id.upper() for tariff_id in tariff_ids]
    rows = Tariff.objects.extra(
        where=["UPPER(country_code) = %s", "UPPER(party_id) = %s", "UPPER(object_id) = ANY(%s)"],
        params=[*owner.key, wanted],
    ).filter(deleted_at=None)
    found = {row.object_id.upper(): tariff_pricing.loads(row.document) for row in rows}
    try:
        ordered = [found[tariff_id] for tariff_id in wanted if tariff_id in found]
        return tariff_pricing.choose(ordered, at=at, preference=preference)
    except NotPriceable:
        return None


def push(row_id: int, owner: Address, tariff_id: str, *, deleted: bool = False, platform_id: int | None = None) -> None:
    """Have a Tariff sent to everybody, or to one platform; in the transaction of its change."""
    outbox.mark(
        recipients.broadcast(_MODULE, owner, platform_id=platform_id),
        module=_MODULE,
        source=_SOURCE,
        source_id=row_id,
        path=recipients.path(owner, tariff_id),
        order_key=f"tariff {owner} {tariff_id}",
        deleted=deleted,
    )


def push_all(platform_id: int | None = None) -> int:
    """Have every Tariff sent to everybody, or to one platform; return how many are on their way."""
    rows = list(Tariff.objects.filter(deleted_at=None).order_by("id"))
    with transaction.atomic():
        for row in rows:
            push(row.id, Address(row.country_code, row.party_id), row.object_id, platform_id=platform_id)
    return len(rows)


class TariffsList(OcpiView):
    """All our Tariffs, page by page (TAR-01)."""

    module = ModuleID.tariffs
    interface = InterfaceRole.SENDER
    askers = ANYBODY  # what is published is for all who are connected

    def get(self, request: Request) -> HttpResponse:
        page = pagination.read(request.query_params)
        found = fetch(self.receiver, page, self.reader)
        return outbox_pulled.answer(page, found, url=self.url(), reader=self.reader, source=_SOURCE)
