"""What belongs to a charge point, as tables below its page: each a few rows, the newest first."""

from __future__ import annotations

from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest

from cpo.models import (
    EVSE,
    ChargePointConnection,
    ChargePointConnector,
    ChargePointDeviation,
    ConfigurationValue,
    LocalList,
    MissingFeature,
    Operation,
    ProvisioningResult,
    StationAlarm,
    Transaction,
)
from ocpi.admin_links import link
from ocpi.admin_pages import Rows, badge, badged, read_only


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


class AlarmRows(Rows):
    model = StationAlarm
    verbose_name_plural = "alarms"
    fields = ("kind", "subject", "text", "raised_at", "show_over")
    ordering = ("-raised_at",)
    per_page = 5
    show_over = read_only("over", lambda page, row: row.cleared_at or badge("open", "bad"))


class ConnectionRows(Rows):
    model = ChargePointConnection
    verbose_name_plural = "connections"
    fields = ("since", "until", "node", "address", "protocol", "close_code", "reason")
    ordering = ("-since",)
    per_page = 10


class OpenTransactionRows(Rows):
    model = Transaction
    verbose_name_plural = "open transactions"
    fields = ("transaction_id", "connector_id", "id_tag", "authorised", "started_at", "last_at", "session")
    ordering = ("-id",)
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Transaction]:
        found: QuerySet[Transaction] = super().get_queryset(request).select_related("session")
        return found.filter(stopped_at=None)


class OperationRows(Rows):
    model = Operation
    verbose_name_plural = "operations"
    fields = ("created_at", "action", "show_state", "asked_by", "sent_at", "ended_at", "error")
    ordering = ("-created_at",)
    per_page = 8
    show_change_link = True
    show_state = badged("state")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Operation]:
        found: QuerySet[Operation] = super().get_queryset(request).defer("payload", "answer")
        return found


class LocalListRows(Rows):
    model = LocalList
    verbose_name_plural = "local list"
    fields = ("show_state", "version", "held", "wanted", "capacity", "per_message", "wished", "updated_at", "error")
    show_change_link = True
    show_state = badged("state")

    def get_queryset(self, request: HttpRequest) -> QuerySet[LocalList]:
        found: QuerySet[LocalList] = super().get_queryset(request).select_related("held", "wanted")
        return found.defer("held__packed", "wanted__packed")


class WantedRows(Rows):
    model = ProvisioningResult
    verbose_name_plural = "configuration: wanted and actual"
    fields = ("key", "wanted", "actual", "show_status", "attempts", "error", "changed_at")
    ordering = ("key",)
    per_page = 20
    show_status = badged("status")


class ConfigurationRows(Rows):
    model = ConfigurationValue
    verbose_name_plural = "configuration as it says"
    fields = ("key", "value", "readonly", "read_at")
    ordering = ("key",)
    per_page = 20


class DeviationRows(Rows):
    model = ChargePointDeviation
    verbose_name_plural = "deviations from its OCPP version"
    fields = ("action", "kind", "first_seen_at")
    ordering = ("-id",)
    per_page = 10


class MissingFeatureRows(Rows):
    model = MissingFeature
    verbose_name_plural = "actions it says it does not know"
    fields = ("action", "count", "firmware", "first_seen_at")
    ordering = ("action",)
