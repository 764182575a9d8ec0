"""Id tags of our own, and charging profile templates (OCPP-121, OCPP-122)."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.http import HttpResponse
from rest_framework.request import Request

from cpo.api import base, lists, principals, records, refs, tenants
from cpo.api.errors import Conflict, Invalid, NotFound
from cpo.models import ChargingProfileTemplate, IdTag
from cpo.modules import charging_profile_templates as templates
from ocpi import clock

_WRITING = {"get": principals.READ, "post": principals.OPERATE, "put": principals.OPERATE, "delete": principals.OPERATE}


class IdTags(base.View):
    """`/id-tags`"""

    scopes = _WRITING

    def get(self, request: Request) -> HttpResponse:
        asked = self.query("party", "id_tag", "status", *lists.PAGE)
        rows = tenants.of_query(self.caller, IdTag.objects.all(), asked)
        if "id_tag" in asked:
            rows = rows.extra(where=["UPPER(id_tag) = UPPER(%s)"], params=[asked["id_tag"]])
        if "status" in asked:
            rows = rows.filter(status=base.chosen(asked["status"], "status", tuple(IdTag.Status.values)))
        return lists.page(rows, asked, orders=("-created_at", "id_tag"), record=records.id_tag)

    def post(self, request: Request) -> HttpResponse:
        self.query()
        body = self.body("NewIdTag")
        tenant = tenants.of_new(self.caller, body.get("party"))
        row = IdTag(country_code=tenant.country_code, party_id=tenant.party_id, id_tag=body["id_tag"])
        _change_tag(row, body)
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError as error:
            raise Conflict(f"{tenant} has an id tag {row.id_tag} already", field="id_tag") from error
        row.refresh_from_db()
        return base.answer(records.id_tag(row), http_status=201, headers={"Location": f"/api/ocpp/v1/id-tags/{row}"})


def _change_tag(row: IdTag, body: dict[str, Any]) -> None:
    """Make a tag what the body says; what it leaves out is as usual."""
    until = body.get("expires_at")
    row.status = body.get("status", IdTag.Status.VALID)
    row.expires_at = None if until is None else base.moment(until, "expires_at")
    row.parent_id_tag = body.get("parent_id_tag") or ""
    row.max_transactions = body.get("max_transactions", 1)
    row.note = body.get("note", "")


class OneIdTag(base.View):
    """`/id-tags/{id_tag}`"""

    scopes = _WRITING

    def get(self, request: Request, id_tag: str) -> HttpResponse:
        return base.answer(records.id_tag(self._row(id_tag)))

    def put(self, request: Request, id_tag: str) -> HttpResponse:
        row = self._row(id_tag)
        _change_tag(row, self.body("ChangedIdTag"))
        row.save()
        return base.answer(records.id_tag(row))

    def delete(self, request: Request, id_tag: str) -> HttpResponse:
        self._row(id_tag).delete()
        return base.answer(None, http_status=204)

    def _row(self, id_tag: str) -> IdTag:
        rows = tenants.of_query(self.caller, IdTag.objects.all(), self.query("party"))
        found = list(rows.extra(where=["UPPER(id_tag) = UPPER(%s)"], params=[id_tag])[:2])
        row: IdTag = tenants.only(found, f"id tag {id_tag}")
        return row


class Templates(base.View):
    """`/charging-profile-templates`"""

    scopes = _WRITING

    def get(self, request: Request) -> HttpResponse:
        asked = self.query("party", "description", *lists.PAGE)
        rows = tenants.of_query(self.caller, ChargingProfileTemplate.objects.all(), asked)
        if "description" in asked:
            rows = rows.filter(description__icontains=asked["description"])
        return lists.page(rows, asked, orders=("-created_at", "description"), record=records.template)

    def post(self, request: Request) -> HttpResponse:
        self.query()
        body = self.body("NewTemplate")
        tenant = tenants.of_new(self.caller, body.get("party"))
        row = ChargingProfileTemplate(country_code=tenant.country_code, party_id=tenant.party_id)
        _save_template(row, body)
        url = f"/api/ocpp/v1/charging-profile-templates/{refs.write(refs.TEMPLATE, row.pk)}"
        return base.answer(records.template(row), http_status=201, headers={"Location": url})


def _save_template(row: ChargingProfileTemplate, body: dict[str, Any]) -> None:
    if body["kind"] == "Recurring" and "recurrency_kind" not in body:
        raise Invalid("recurrency_kind: must be there for Recurring", field="recurrency_kind", rule="required")
    if body["periods"][0]["start_period"] != 0:
        raise Invalid("periods.0.start_period: the first period starts at 0", field="periods", rule="first")
    starts = [period["start_period"] for period in body["periods"]]
    if starts != sorted(set(starts)):
        raise Invalid("periods: each one starts later than the one before", field="periods", rule="order")
    for name in ("start_schedule", "valid_from", "valid_to"):
        if name in body:
            base.moment(body[name], name)
    row.description = body["description"]
    said = {name: value for name, value in body.items() if name not in ("party", "description")}
    row.document = templates.text_of({"stack_level": 0, **said})
    row.changed_at = clock.now()
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise Conflict(f"there is a template {row.description} already", field="description") from error
    row.refresh_from_db()


class OneTemplate(base.View):
    """`/charging-profile-templates/{ref}`"""

    scopes = _WRITING

    def get(self, request: Request, ref: str) -> HttpResponse:
        self.query()
        return base.answer(records.template(self._row(ref)))

    def put(self, request: Request, ref: str) -> HttpResponse:
        self.query()
        row = self._row(ref)
        body = self.body("NewTemplate")
        if "party" in body and body["party"].upper() != f"{row.country_code}*{row.party_id}".upper():
            raise Invalid("party: cannot be changed", field="party", rule="fixed")
        _save_template(row, body)
        return base.answer(records.template(row))

    def delete(self, request: Request, ref: str) -> HttpResponse:
        self.query()
        self._row(ref).delete()
        return base.answer(None, http_status=204)

    def _row(self, ref: str) -> ChargingProfileTemplate:
        rows = self.caller.own(ChargingProfileTemplate.objects.all())
        row: ChargingProfileTemplate | None = rows.filter(pk=refs.read(refs.TEMPLATE, ref)).first()
        if row is None:
            raise NotFound(f"there is no charging profile template {ref}")
        return row
