"""What charge points metered: transactions, their events in OCPP 2.0.1, and the readings of their meters."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from cpo import stop_reasons
from cpo.gateway_models import ChargePoint

_EMPTY_LIST = models.Value([], output_field=models.JSONField())


class Transaction(models.Model):
    """What a charge point metered from a start to a stop, authorised or not (OCPP-39)."""

    charge_point = models.ForeignKey(ChargePoint, on_delete=models.PROTECT, related_name="transactions")
    connector_id = models.PositiveIntegerField(help_text="in OCPP 2.0.1 the EVSE")
    transaction_id = models.IntegerField(unique=True, help_text="ours; in OCPP 1.6 the charge point's as well")
    ocpp_id = models.CharField(max_length=36, blank=True, db_default="", help_text="the charge point's, in OCPP 2.0.1")
    id_tag = models.CharField(max_length=255)
    token_type = models.CharField(max_length=20, blank=True, db_default="", help_text="of the id tag, in OCPP 2.0.1")
    authorised = models.BooleanField()
    charging_state = models.CharField(max_length=20, blank=True, db_default="", help_text="in OCPP 2.0.1")
    plug = models.PositiveIntegerField(default=0, db_default=0, help_text="which connector of the EVSE; 0: not known")
    started_by = models.UUIDField(null=True, blank=True, help_text="the operation it came from (OCPP-54)")
    # Since when it is ended with events missing, by our own clock (OCPP-52); and when it was last heard of (OCPP-48).
    gap_since = models.DateTimeField(null=True, blank=True)
    heard_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField()
    reserved_from = models.DateTimeField(null=True, blank=True, help_text="a reservation went before it (CDR-32)")
    meter_start = models.DecimalField(max_digits=18, decimal_places=3, help_text="Wh")
    stopped_at = models.DateTimeField(null=True, blank=True)
    meter_stop = models.DecimalField(max_digits=18, decimal_places=3, null=True, blank=True, help_text="Wh")
    reason = models.CharField(max_length=20, blank=True)
    ended_by = models.UUIDField(null=True, blank=True, help_text="the operation that ended it (M-5)")
    synthetic = models.BooleanField(default=False, db_default=False, help_text="the stop is ours (OCPP-41)")
    superseded_at = models.DateTimeField(null=True, blank=True)
    # From when on the car draws or only parks: [[DateTime, "CHARGING" or "PARKING"], …] (M-10).
    phases = models.JSONField(default=list, blank=True)
    flags = models.JSONField(default=list, blank=True, help_text="what is odd about it")
    held = models.BooleanField(default=False, db_default=False, help_text="waits for an operator (OCPP-45)")
    cdr_due_at = models.DateTimeField(null=True, blank=True)
    session = models.OneToOneField(
        "cpo.Session", on_delete=models.PROTECT, null=True, blank=True, related_name="transaction"
    )
    # Location, EVSE, Connector, Tariff and Token as they were at the start (CDR-19).
    snapshot = models.TextField(blank=True)
    # The Tariffs that took its Tariff's place: [[DateTime, text of the Tariff], …] (SES-42).
    tariff_changes = models.JSONField(default=list, db_default=[], blank=True)
    last_at = models.DateTimeField(null=True, blank=True, help_text="the newest reading")
    thinned_at = models.DateTimeField(null=True, blank=True, help_text="only some of its readings are left (OCPP-71)")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(transaction_id__gt=0), name="cpo_transaction_id_positive"),
            models.UniqueConstraint(
                fields=["charge_point", "ocpp_id"], condition=~models.Q(ocpp_id=""), name="cpo_transaction_ocpp_id"
            ),
        ]
        indexes = [
            models.Index(
                "charge_point", "connector_id", condition=models.Q(stopped_at=None), name="cpo_transaction_open"
            ),
            models.Index("cdr_due_at", condition=models.Q(cdr_due_at__isnull=False), name="cpo_transaction_cdr_due"),
            models.Index(
                "stopped_at",
                condition=models.Q(thinned_at=None, stopped_at__isnull=False),
                name="cpo_transaction_to_thin",
            ),
            models.Index(
                "heard_at", condition=models.Q(reason__in=stop_reasons.EMERGENCIES), name="cpo_transaction_emergency"
            ),
            models.Index("gap_since", condition=models.Q(gap_since__isnull=False), name="cpo_transaction_gap"),
        ]

    def __str__(self) -> str:
        return f"transaction {self.ocpp_id or self.transaction_id}"


class TransactionEvent(models.Model):
    """One event of a transaction of OCPP 2.0.1; what they come to together is in the Transaction (OCPP-50)."""

    transaction = models.ForeignKey(Transaction, on_delete=models.CASCADE, related_name="events")
    seq_no = models.IntegerField()
    kind = models.CharField(max_length=7, help_text="Started, Updated or Ended")
    at = models.DateTimeField()
    facts = models.JSONField(default=dict, help_text="what else it says")
    answer = models.TextField(blank=True, help_text="what it was answered with")
    received_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["transaction", "seq_no", "kind", "at"], name="cpo_transaction_event_once"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.seq_no}"


class MeterReading(models.Model):
    """What a meter showed at one moment of a transaction."""

    transaction = models.ForeignKey(Transaction, on_delete=models.CASCADE, related_name="readings")
    at = models.DateTimeField()
    context = models.CharField(max_length=30, blank=True)
    register_wh = models.DecimalField(max_digits=18, decimal_places=3, null=True, blank=True)
    power_w = models.DecimalField(max_digits=18, decimal_places=3, null=True, blank=True)
    current_a = models.DecimalField(max_digits=18, decimal_places=3, null=True, blank=True)
    state_of_charge = models.DecimalField(max_digits=9, decimal_places=3, null=True, blank=True)
    export_wh = models.DecimalField(max_digits=18, decimal_places=3, null=True, blank=True)
    interval_wh = models.DecimalField(
        max_digits=18, decimal_places=3, null=True, blank=True, help_text="since the reading before"
    )
    signed = models.TextField(blank=True, help_text="as it came, bit for bit (OCPP-70)")
    signatures = models.JSONField(
        default=list, db_default=_EMPTY_LIST, blank=True, help_text="signedMeterValues of OCPP 2.0.1"
    )
    flag = models.CharField(max_length=60, blank=True, help_text="why it does not count, if so")

    class Meta:
        indexes = [models.Index("transaction", "at", name="cpo_meter_reading")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.register_wh} Wh"
