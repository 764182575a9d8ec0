"""Admin pages of charge points: which are there, what they said, what was asked of them, what they metered."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest

from cpo.admin_chargingprofiles import AbilityRows, Limits, ProfileRows
from cpo.admin_operations import Operating
from cpo.models import (
    EVSE,
    ChargePoint,
    ChargePointConnector,
    ChargePointDeviation,
    FrameLog,
    GatewayNode,
    InboxMessage,
    MeterReading,
    MissingFeature,
    Operation,
    Transaction,
    UnknownChargePoint,
    UnmatchedStop,
)
from ocpi.admin_links import link
from ocpi.admin_pages import Pages, Rows, badge, badged, known, pretty, read_only


class ConnectorRows(Rows):
    model = ChargePointConnector
    verbose_name_plural = "connectors"
    fields = ("connector_id", "show_evse", "show_status", "error_code", "status_at")
    ordering = ("connector_id",)
    show_status = badged("status")
    show_evse = read_only("EVSE", lambda page, row: link(EVSE(pk=row.evse_pk), row.evse) if row.evse else "–")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChargePointConnector]:
        evses = EVSE.objects.filter(charge_point=OuterRef("charge_point"), connector_id=OuterRef("connector_id"))
        found: QuerySet[ChargePointConnector] = super().get_queryset(request)
        return found.annotate(evse=Subquery(evses.values("uid")[:1]), evse_pk=Subquery(evses.values("pk")[:1]))


class DeviationRows(Rows):
    model = ChargePointDeviation
    verbose_name_plural = "deviations from its OCPP version"
    fields = ("action", "kind", "first_seen_at")
    ordering = ("-id",)


class MissingFeatureRows(Rows):
    model = MissingFeature
    verbose_name_plural = "actions it says it does not know"
    fields = ("action", "count", "firmware", "first_seen_at")
    ordering = ("action",)


@admin.register(ChargePoint)
class ChargePointPage(Operating, Limits, Pages):
    """Charge points and their connectors; a password is only known by its hash, and not shown at all."""

    list_display = ("identity", "show_online", "show_party", "location_id", "protocol", "boot_status", "last_seen_at",
                    "show_transaction")  # fmt: skip
    list_filter = ("online", "boot_status", known("protocol", ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")))
    search_fields = ("identity", "location_id", "=party_id")
    ordering = ("identity",)
    large = True
    hidden = ("password_digest", "boot_data", "protocols")
    shown = ("show_transaction", "pretty_protocols", "pretty_boot_data")
    deferred = ("boot_data", "password_digest")
    inlines = (ConnectorRows, DeviationRows, MissingFeatureRows, AbilityRows, ProfileRows)
    actions_detail = ("send_operation", "set_limit")
    show_online = read_only("connection", lambda page, row: badge("online" if row.online else "offline"))
    show_party = read_only("party", lambda page, row: f"{row.country_code}*{row.party_id}")
    pretty_protocols = pretty("protocols")
    pretty_boot_data = pretty("boot_data")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChargePoint]:
        running = Transaction.objects.filter(charge_point=OuterRef("pk"), stopped_at=None).order_by("-id")
        found: QuerySet[ChargePoint] = super().get_queryset(request)
        return found.annotate(running=Subquery(running.values("transaction_id")[:1]))

    @admin.display(description="open transaction")
    def show_transaction(self, row: ChargePoint) -> str:
        running = getattr(row, "running", None)
        return badge(f"transaction {running}", "busy") if running else "–"


class MeterReadingRows(Rows):
    model = MeterReading
    fields = ("at", "context", "register_wh", "power_w", "current_a", "state_of_charge", "flag")
    ordering = ("-at", "-id")
    per_page = 20


@admin.register(Transaction)
class TransactionPage(Pages):
    """What was metered, and what is odd about it."""

    large = True
    list_display = ("transaction_id", "charge_point", "connector_id", "id_tag", "started_at", "stopped_at", "show_kwh",
                    "reason", "show_flags", "session")  # fmt: skip
    list_filter = ("authorised", "held", "synthetic", ("stopped_at", admin.EmptyFieldListFilter))
    list_select_related = ("charge_point", "session")
    search_fields = ("=transaction_id", "=id_tag", "=charge_point__identity", "=session__object_id")
    ordering = ("-id",)
    hidden = ("snapshot", "phases", "flags")
    shown = ("pretty_flags", "pretty_phases", "pretty_snapshot")
    deferred = ("snapshot",)
    inlines = (MeterReadingRows,)
    pretty_flags = pretty("flags")
    pretty_phases = pretty("phases")
    pretty_snapshot = pretty("snapshot", "as at its start")

    @admin.display(description="kWh")
    def show_kwh(self, row: Transaction) -> str:
        return "–" if row.meter_stop is None else f"{(row.meter_stop - row.meter_start) / 1000:.3f}"

    @admin.display(description="odd")
    def show_flags(self, row: Transaction) -> str:
        flags = [*row.flags, *(["held"] if row.held else [])]
        return badge(", ".join(str(flag) for flag in flags), "odd") if flags else ""


@admin.register(InboxMessage)
class InboxMessagePage(Pages):
    """What charge points said; FAILED is parked for an operator."""

    large = True
    list_display = ("id", "received_at", "charge_point", "action", "show_state", "attempts", "transaction_id",
                    "show_error")  # fmt: skip
    list_filter = ("state", "gave_up")
    list_select_related = ("charge_point",)
    search_fields = ("=charge_point__identity", "=message_id", "=transaction_id")
    ordering = ("-id",)
    hidden = ("payload", "answer", "payload_hash", "start_key")
    shown = ("pretty_payload", "pretty_answer")
    deferred = ("payload", "answer")
    show_state = badged("state")
    show_error = read_only("error", lambda page, row: row.error[:80])
    pretty_payload = pretty("payload")
    pretty_answer = pretty("answer")


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


@admin.register(UnmatchedStop)
class UnmatchedStopPage(Pages):
    """Stops that fit no transaction: for an operator to look at."""

    large = True
    list_display = ("at", "charge_point", "transaction", "message")
    list_select_related = ("charge_point", "transaction", "message")
    ordering = ("-id",)


@admin.register(FrameLog)
class FrameLogPage(Pages):
    """Frames as they were on the wire, secrets masked."""

    large = True
    list_display = ("at", "charge_point", "show_direction", "action", "message_id")
    list_filter = ("outgoing",)
    list_select_related = ("charge_point",)
    search_fields = ("=charge_point__identity", "=message_id")
    ordering = ("-id",)
    hidden = ("text",)
    shown = ("pretty_text",)
    deferred = ("text",)
    show_direction = read_only("direction", lambda page, row: "to it" if row.outgoing else "from it")
    pretty_text = pretty("text", "frame")


@admin.register(GatewayNode)
class GatewayNodePage(Pages):
    list_display = ("name", "started_at", "seen_at")
    ordering = ("name",)
