"""Ask a charge point for anything, by a form per action; see what came of it (OCPP-78)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse

from cpo.api import asking, refs
from cpo.api.errors import Refusal
from cpo.gateway import operations, outgoing
from cpo.models import ChargePoint, ChargingProfileTemplate, Operation, Reservation, Transaction
from cpo.operation_forms import OperationForm, more_items
from cpo.reservation_states import OPEN
from ocpi import audit
from ocpi.admin_confirm import actor, button

_NAMING_TRANSACTIONS = frozenset({
    "RemoteStopTransaction", "RequestStopTransaction", "GetTransactionStatus", "CostUpdated", "SetChargingProfile",
})  # fmt: skip
_NAMING_PROFILES = frozenset({
    "SetChargingProfile", "RemoteStartTransaction", "RequestStartTransaction", "ClearChargingProfile",
})  # fmt: skip
_SHOWN = 50  # records of ours to choose from
_DANGEROUS = frozenset({"Reset", "UpdateFirmware", "SignedUpdateFirmware", "DeleteCertificate", "SetNetworkProfile"})


class Options(forms.Form):
    """How an operation is asked for, and which records of ours it is about."""

    use_required_attribute = False
    deliver_later = forms.ChoiceField(
        required=False,
        choices=[("", "as usual for this action"), ("true", "wait until it connects"), ("false", "fail at once")],
        label="if it is away",
    )
    timeout = forms.FloatField(
        required=False, min_value=1, max_value=300, label="timeout", help_text="Seconds for its answer."
    )
    force = forms.BooleanField(
        required=False, label="send unknown ids", help_text="Connectors, reservations and profiles not known here."
    )

    def __init__(self, charge_point: ChargePoint, action: str, data: Any = None) -> None:
        super().__init__(data)
        for name, choices in _records(charge_point, action).items():
            self.fields[f"ref_{name}"] = forms.ChoiceField(
                required=False,
                choices=[("", "–"), *choices],
                label=name.replace("_", " "),
                help_text="Its id is filled in.",
            )

    def wish(self, action: str, payload: dict[str, Any]) -> asking.Wish:
        told = self.cleaned_data
        later = told.get("deliver_later")
        return asking.Wish(
            action=action,
            payload=payload,
            refs={
                name.removeprefix("ref_"): value for name, value in told.items() if name.startswith("ref_") and value
            },
            timeout=told.get("timeout"),
            deliver_later=None if not later else later == "true",
            force=bool(told.get("force")),
        )


def _records(charge_point: ChargePoint, action: str) -> dict[str, list[tuple[str, str]]]:
    """Return the records that an action may be about, by the name of the ref."""
    found: dict[str, list[tuple[str, str]]] = {}
    if action in _NAMING_TRANSACTIONS:
        rows = Transaction.objects.filter(charge_point=charge_point, stopped_at=None).order_by("-pk")[:_SHOWN]
        found["transaction"] = [(refs.write(refs.TRANSACTION, row.pk), f"{refs.wire_id(row)}, {row}") for row in rows]
    if action in _NAMING_PROFILES:
        templates = ChargingProfileTemplate.objects.filter(
            country_code__iexact=charge_point.country_code, party_id__iexact=charge_point.party_id
        ).order_by("description")
        found["charging_profile"] = [(refs.write(refs.TEMPLATE, row.pk), row.description) for row in templates[:_SHOWN]]
    if action == "CancelReservation":
        reserved = Reservation.objects.filter(charge_point=charge_point, state__in=OPEN).order_by("-pk")[:_SHOWN]
        found["reservation"] = [
            (refs.write(refs.RESERVATION, row.pk), f"{row.number} for {row.id_tag}") for row in reserved
        ]
    return {name: choices for name, choices in found.items() if choices}


class Operating:
    """The button of a charge point's page that asks it for something."""

    @button("Send an operation", icon="send")
    def send_operation(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        if not self.has_operate_permission(request):
            raise PermissionDenied
        row = get_object_or_404(ChargePoint, pk=object_id)
        if "operation" in request.GET:
            return _result(self, request, row, request.GET["operation"])
        version = operations.version_of(row)
        action = request.GET.get("action", "")
        if not action:
            return _choice(self, request, row, version)
        if action not in outgoing.actions(version):
            raise Http404(f"OCPP {version} has no operation {action}")
        return _form(self, request, row, version, action)


def _context(page: Any, request: HttpRequest, row: ChargePoint, title: str) -> dict[str, Any]:
    return {
        **page.admin_site.each_context(request),
        "title": title,
        "opts": page.model._meta,
        "charge_point": row,
        "back": reverse("admin:cpo_chargepoint_change", args=[row.pk]),
        "here": request.path,
    }


def _choice(page: Any, request: HttpRequest, row: ChargePoint, version: str) -> HttpResponse:
    context = {
        **_context(page, request, row, f"Ask {row} for something"),
        "version": version,
        "actions": sorted(outgoing.actions(version)),
        "recent": Operation.objects.filter(charge_point=row).order_by("-created_at")[:10],
    }
    return TemplateResponse(request, "admin/operation_choice.html", context)


def _form(page: Any, request: HttpRequest, row: ChargePoint, version: str, action: str) -> HttpResponse:
    data = request.POST.copy() if request.method == "POST" else None
    more = data.pop("more", [""])[-1] if data is not None else ""
    if data is not None and more:
        more_items(data, str(more))
    form, options = OperationForm(version, action, data), Options(row, action, data)
    if data is not None and not more and form.is_valid() and options.is_valid():
        operation = _ask(request, row, action, form, options)
        if operation is not None:
            return HttpResponseRedirect(f"{request.path}?operation={operation.pk}")
    context = {
        **_context(page, request, row, f"{action} for {row}"),
        "form": form,
        "options": options,
        "version": version,
        "action": action,
        "asks_for_items": bool(more),
        "dangerous": action in _DANGEROUS,
    }
    return TemplateResponse(request, "admin/operation_form.html", context)


def _ask(
    request: HttpRequest, row: ChargePoint, action: str, form: OperationForm, options: Options
) -> Operation | None:
    """Ask, or note in the form why not."""
    by = actor(request)
    try:
        operation = asking.ask(row, options.wish(action, form.payload()), by=by).operation
    except Refusal as refusal:
        field = refusal.field or ""
        form.blame(field.removeprefix("payload").removeprefix("."), refusal.message)
        return None
    details = {"action": action, "operation": str(operation.pk)}
    audit.record("chargepoint.send_operation", actor=by, about=row.identity, details=details)
    return operation


def _result(page: Any, request: HttpRequest, row: ChargePoint, pk: str) -> HttpResponse:
    try:
        operation = get_object_or_404(Operation, pk=UUID(pk), charge_point=row)
    except ValueError as error:
        raise Http404 from error
    context = {
        **_context(page, request, row, f"{operation.action} for {row}"),
        "operation": operation,
        "api": f"/api/ocpp/v1/operations/{operation.pk}",
        "page": reverse("admin:cpo_operation_change", args=[operation.pk]),
    }
    return TemplateResponse(request, "admin/operation_result.html", context)
