"""Admin pages beside those of charge points: what was asked of them, who is not known here, the gateway's nodes."""

from __future__ import annotations

from django.contrib import admin

from cpo.models import GatewayNode, Operation, UnknownChargePoint
from ocpi.admin_pages import Pages, badged, pretty


@admin.register(Operation)
class OperationPage(Pages):
    """What was asked of charge points."""

    large = True
    list_display = ("created_at", "charge_point", "action", "show_state", "asked_by", "sent_at", "ended_at")
    list_filter = ("state",)
    list_select_related = ("charge_point",)
    search_fields = ("=charge_point__identity", "=idempotency_key")
    ordering = ("-created_at",)
    hidden = ("payload", "answer")
    shown = ("show_payload", "show_answer")
    deferred = ("payload", "answer")
    show_state = badged("state")
    pretty_payload = pretty("payload")
    pretty_answer = pretty("answer")

    @admin.display(description="payload")
    def show_payload(self, row: Operation) -> str:
        # A configuration may be a password (AuthorizationKey), a certificate or an update's URL with credentials.
        if row.action in _SHOWN_PAYLOADS:
            return str(self.pretty_payload(row))
        return _NOT_SHOWN

    @admin.display(description="answer")
    def show_answer(self, row: Operation) -> str:
        return str(self.pretty_answer(row)) if row.action in _SHOWN_PAYLOADS else _NOT_SHOWN


_NOT_SHOWN = "not shown: it may hold a secret"
_SHOWN_PAYLOADS = frozenset({
    "RemoteStartTransaction", "RemoteStopTransaction", "UnlockConnector", "ReserveNow", "CancelReservation", "Reset",
    "ChangeAvailability", "TriggerMessage", "SetChargingProfile", "ClearChargingProfile", "GetCompositeSchedule",
    "RequestStartTransaction", "RequestStopTransaction", "ClearCache", "GetLocalListVersion",
})  # fmt: skip


@admin.register(UnknownChargePoint)
class UnknownChargePointPage(Pages):
    """Who tried to connect and is not known here."""

    list_display = ("identity", "address", "protocols", "count", "first_seen_at", "last_seen_at")
    search_fields = ("identity", "address")
    ordering = ("-last_seen_at",)


@admin.register(GatewayNode)
class GatewayNodePage(Pages):
    list_display = ("name", "started_at", "seen_at")
    ordering = ("name",)
