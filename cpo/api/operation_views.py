"""Ask a charge point for something, and see what became of it (OCPP-115, OCPP-117)."""

from __future__ import annotations

from contextlib import nullcontext
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from cpo.api import asking, base, lists, principals, records, refs
from cpo.api.errors import Conflict, NotFound, Refusal
from cpo.gateway import operations
from cpo.gateway.operation_states import OperationState
from cpo.models import Operation, Report

_STATES = tuple(state.value for state in OperationState)
_ORDERS = ("-created_at",)


class Operations(base.View):
    """`/charge-points/{cp}/operations`"""

    scopes = {"get": principals.READ, "post": principals.OPERATE}

    def get(self, request: Request, cp: str) -> HttpResponse:
        point = self.charge_point(cp)
        asked = self.query("state", "action", *lists.PAGE)
        rows = Operation.objects.filter(charge_point=point).select_related("charge_point")
        if "state" in asked:
            states = [base.chosen(each, "state", _STATES) for each in asked["state"].split(",")]
            rows = rows.filter(state__in=states)
        if "action" in asked:
            rows = rows.filter(action=asked["action"])
        return lists.page(rows, asked, orders=_ORDERS, record=records.operation)

    def post(self, request: Request, cp: str) -> HttpResponse:
        point = self.charge_point(cp)
        self.query()
        body = self.body("Ask")
        wish = asking.Wish(
            action=body["action"],
            payload=body.get("payload", {}),
            protocol=body.get("protocol"),
            refs=body.get("refs", {}),
            timeout=float(body["timeout"]) if "timeout" in body else None,
            deliver_later=body.get("deliver_later"),
            expires_at=base.moment(body["expires_at"], "expires_at") if "expires_at" in body else None,
            force=body.get("force", False),
            key=body.get("idempotency_key") or request.headers.get("Idempotency-Key") or None,
        )
        answered = body.get("wait") == "answered"
        # Only whoever waits for an answer waits for long.
        with lists.place() if answered else nullcontext():
            asked = asking.ask(point, wish, by=self.caller.name)
            try:
                operation = asking.wait(asked, answered=answered)
            except Refusal as refusal:
                refusal.more["operation"] = records.operation(Operation.objects.get(pk=asked.operation.pk))
                raise
        ended = operation.state not in (OperationState.QUEUED, OperationState.SENT)
        headers = {"Location": f"/api/ocpp/v1/operations/{operation.id}"}
        if asked.repeated:
            headers["Idempotent-Replayed"] = "true"
        http_status = 200 if answered and ended else 202
        return base.answer(records.operation(operation), http_status=http_status, headers=headers)


class OneOperation(base.View):
    """`/operations/{id}`; `wait_for=ended&timeout=` waits for its end."""

    scopes = {"get": principals.READ, "delete": principals.OPERATE}

    def get(self, request: Request, operation: UUID) -> HttpResponse:
        row = self._row(operation)
        asked = self.query("wait_for", "timeout")
        if "wait_for" in asked:
            base.chosen(asked["wait_for"], "wait_for", ("ended",))
            with lists.place():
                row = operations.wait(row.id, lists.seconds(asked.get("timeout", "30")))
        return base.answer(records.operation(row))

    def delete(self, request: Request, operation: UUID) -> HttpResponse:
        row = self._row(operation)
        if not operations.cancel(row.id):
            raise Conflict(f"it cannot be taken back any more: it is {self._row(operation).state}")
        return base.answer(records.operation(self._row(operation)))

    def _row(self, pk: UUID) -> Operation:
        rows = self.caller.own(Operation.objects.select_related("charge_point"), "charge_point__")
        row: Operation | None = rows.filter(pk=pk).first()
        if row is None:
            raise NotFound(f"there is no operation {pk}")
        return row


class Reports(base.View):
    """`/charge-points/{cp}/reports`: what a charge point reports in parts (OCPP-83)."""

    def get(self, request: Request, cp: str) -> HttpResponse:
        point = self.charge_point(cp)
        asked = self.query("state", "action", "request_id", *lists.PAGE)
        rows = Report.objects.filter(charge_point=point).select_related("charge_point").prefetch_related("parts")
        if "state" in asked:
            rows = rows.filter(state=asked["state"])
        if "action" in asked:
            rows = rows.filter(action=asked["action"])
        if "request_id" in asked:
            rows = rows.filter(request_id=base.whole(asked["request_id"], "request_id", most=2**63 - 1))
        return lists.page(rows, asked, orders=_ORDERS, record=records.report)


class OneReport(base.View):
    """`/reports/{ref}`: its parts, joined."""

    def get(self, request: Request, ref: str) -> HttpResponse:
        self.query()
        return base.answer(records.whole_report(self._row(ref)))

    def _row(self, ref: str) -> Report:
        rows = self.caller.own(Report.objects.select_related("charge_point"), "charge_point__")
        row: Report | None = rows.filter(pk=refs.read(refs.REPORT, ref)).first()
        if row is None:
            raise NotFound(f"there is no report {ref}")
        return row
