"""Charge points: add, change, remove, disconnect (OCPP-123)."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError
from django.db.models import Q
from django.http import HttpResponse
from rest_framework.request import Request

from cpo.api import base, lists, principals, records, tenants
from cpo.api.errors import Conflict, Invalid, Refusal
from cpo.models import ChargePoint
from cpo.modules import charge_points_operations as operations
from cpo.modules.charge_points import NotAdded

_ORDERS = ("identity", "created_at", "last_seen_at")
_SHOWN = ("connectors", "evses")


class ChargePoints(base.View):
    """`/charge-points`; a list in the body adds many, and says of each what came of it."""

    scopes = {"get": principals.READ, "post": principals.MANAGE}

    def get(self, request: Request) -> HttpResponse:
        asked = self.query("party", "identity", "online", *lists.PAGE)
        rows = tenants.of_query(self.caller, ChargePoint.objects.prefetch_related(*_SHOWN), asked)
        if "identity" in asked:
            rows = rows.filter(Q(identity__icontains=asked["identity"]))
        if "online" in asked:
            rows = rows.filter(online=base.chosen(asked["online"], "online", ("true", "false")) == "true")
        return lists.page(rows, asked, orders=_ORDERS, record=records.charge_point)

    def post(self, request: Request) -> HttpResponse:
        self.query()
        body = base.read_json(self._raw())
        if isinstance(body, list):
            return self._add_many(body)
        row, made = self._add(body)
        return base.answer(
            records.charge_point(row, password=made),
            http_status=201,
            headers={"Location": f"/api/ocpp/v1/charge-points/{row.identity}"},
        )

    def _add(self, body: Any) -> tuple[ChargePoint, str | None]:
        if isinstance(body, dict):
            body = {name: value for name, value in body.items() if value is not None}
        base.check("NewChargePoint", body)
        try:
            row, made = operations.add(
                body["identity"],
                owner=tenants.of_new(self.caller, body.get("party")),
                columns=body,
                password=body.get("password"),
                layout=body.get("layout"),
                by=self.caller.name,
            )
        except NotAdded as error:
            if "already" in str(error):
                raise Conflict(str(error), field="identity") from error
            field = "layout.location_id" if "Location" in str(error) else "identity"
            raise Invalid(str(error), field=field, rule="known") from error
        return ChargePoint.objects.prefetch_related(*_SHOWN).get(pk=row.pk), made

    def _add_many(self, body: list[Any]) -> HttpResponse:
        base.check("NewChargePoints", body)
        created: list[Any] = []
        refused: list[Any] = []
        for index, each in enumerate(body):
            try:
                row, made = self._add(each)
                created.append(records.charge_point(row, password=made))
            except Refusal as refusal:
                identity = str(each.get("identity", "")) if isinstance(each, dict) else ""
                refused.append({**refusal.body(), "index": index, "identity": identity})
        return base.answer({"created": created, "refused": refused}, http_status=201 if created else 422)


class OneChargePoint(base.View):
    """`/charge-points/{cp}`"""

    scopes = {"get": principals.READ, "put": principals.MANAGE, "delete": principals.MANAGE}

    def get(self, request: Request, cp: str) -> HttpResponse:
        self.query()
        return base.answer(records.charge_point(self.charge_point(cp)))

    def put(self, request: Request, cp: str) -> HttpResponse:
        self.query()
        row = self.charge_point(cp)
        raw = base.read_json(self._raw())
        base.check("ChangedChargePoint", raw)
        try:
            operations.change(row, columns=raw, password=raw.get("password"), by=self.caller.name)
        except NotAdded as error:
            raise Invalid(
                str(error), field="layout" if "EVSE" in str(error) else "location_id", rule="known"
            ) from error
        except IntegrityError as error:
            raise Invalid("layout: a connector is named twice", field="layout", rule="unique") from error
        return base.answer(records.charge_point(self.charge_point(cp)))

    def delete(self, request: Request, cp: str) -> HttpResponse:
        self.query()
        try:
            operations.remove(self.charge_point(cp), by=self.caller.name)
        except operations.InUse as error:
            raise Conflict(str(error)) from error
        return base.answer(None, http_status=204)


class Disconnect(base.View):
    """`/charge-points/{cp}/disconnect`"""

    scopes = {"post": principals.OPERATE}

    def post(self, request: Request, cp: str) -> HttpResponse:
        self.query()
        return base.answer({"disconnected": operations.disconnect(self.charge_point(cp))})
