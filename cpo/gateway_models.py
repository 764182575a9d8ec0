"""The tables the OCPP gateway and the CPO side share: charge points, the inbox, operations, frames.

The gateway itself never loads Django; it reads and writes these tables with plain SQL (`cpo/gateway/store.py`,
`inbox_writer.py`, `operation_runner.py`). Whoever changes a column here changes it there too.
"""

import uuid

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Lower, Now

from cpo.gateway.operation_states import OperationState

__all__ = [
    "GATEWAY_SQL",
    "GATEWAY_SQL_REVERSE",
    "BootStatus",
    "ChargePoint",
    "ChargePointConnection",
    "ChargePointConnector",
    "ChargePointDeviation",
    "FrameLog",
    "GatewayNode",
    "InboxMessage",
    "InboxState",
    "Operation",
    "OperationState",
    "Strictness",
    "UnknownChargePoint",
]


class BootStatus(models.TextChoices):
    ACCEPTED = "Accepted"
    PENDING = "Pending"
    REJECTED = "Rejected"


class Strictness(models.TextChoices):
    STRICT = "strict"
    LENIENT = "lenient"


class InboxState(models.TextChoices):
    NEW = "NEW"
    DONE = "DONE"
    FAILED = "FAILED"  # parked for the operator


_DIRECTIONS = [("import", "Import"), ("export", "Export")]
_EMPTY_LIST = models.Value([], output_field=models.JSONField())
_EMPTY_OBJECT = models.Value({}, output_field=models.JSONField())


def default_protocols() -> list[str]:
    return ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"]


class ChargePoint(models.Model):
    """A charge point that may connect to the gateway."""

    identity = models.CharField(max_length=48)
    country_code = models.CharField(max_length=2)
    party_id = models.CharField(max_length=3)
    location_id = models.CharField(max_length=36, null=True, blank=True, db_index=True)  # noqa: DJ001 (not registered yet)
    password_digest = models.CharField(max_length=255, blank=True, default="", db_default="")
    # The password that replaces it: both are good until the charge point connects with the new one.
    next_password_digest = models.CharField(max_length=255, blank=True, default="", db_default="")
    password_operation = models.UUIDField(null=True, blank=True, editable=False)  # what brings it there, while open
    security_profile = models.SmallIntegerField(default=1, db_default=1)
    refuses_tls = models.BooleanField(default=False, db_default=False, help_text="profile 1 only without TLS (OCPP-04)")
    protocols = models.JSONField(default=default_protocols)
    no_subprotocol_is_16 = models.BooleanField(default=False, db_default=False)
    strictness = models.CharField(
        max_length=8, choices=Strictness.choices, default=Strictness.LENIENT, db_default=Strictness.LENIENT
    )
    boot_status = models.CharField(
        max_length=8, choices=BootStatus.choices, default=BootStatus.ACCEPTED, db_default=BootStatus.ACCEPTED
    )
    boot_data = models.JSONField(null=True, blank=True)  # the last BootNotification, as received
    booted_at = models.DateTimeField(null=True, blank=True)
    heartbeat_seconds = models.PositiveIntegerField(null=True, blank=True)  # None: OCPP_HEARTBEAT
    ping_seconds = models.PositiveIntegerField(null=True, blank=True)  # None: the node's setting; 0: no pings
    ping_timeout_seconds = models.PositiveIntegerField(null=True, blank=True)  # None: the node's; 0: never cut off
    frame_bytes = models.PositiveIntegerField(null=True, blank=True)  # of its longest frame; None: the node's setting
    compression = models.BooleanField(default=False, db_default=False)  # offered when it connects (OCPP-10)
    switched_off = models.JSONField(default=list, db_default=_EMPTY_LIST, blank=True)  # actions not taken (OCPP-16)
    # Which register of its meters counts what cars take: export where they are wired the other way round (OCPP-67).
    register_direction = models.CharField(max_length=6, choices=_DIRECTIONS, default="import",
                                          db_default="import")  # fmt: skip
    online = models.BooleanField(default=False, db_default=False)
    node = models.CharField(max_length=64, blank=True, default="", db_default="")
    epoch = models.BigIntegerField(default=0, db_default=0)  # rises with each connection; the newest one wins
    protocol = models.CharField(max_length=16, blank=True, default="", db_default="")
    address = models.CharField(max_length=64, blank=True, default="", db_default="")
    connected_at = models.DateTimeField(null=True, blank=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    decommissioned_at = models.DateTimeField(null=True, blank=True)
    clock_offset = models.FloatField(null=True, blank=True, help_text="seconds its clock is ahead of ours")
    clock_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        app_label = "cpo"
        constraints = [
            models.UniqueConstraint(Lower("identity"), name="charge_point_identity_once"),
            models.CheckConstraint(
                condition=models.Q(security_profile__gte=0, security_profile__lte=3), name="charge_point_profile"
            ),
        ]
        indexes = [models.Index(fields=["node"], condition=models.Q(online=True), name="charge_point_online_by_node")]

    def __str__(self) -> str:
        return self.identity

    @property
    def is_accepted(self) -> bool:
        """Say whether what it tells is published, and its drivers are let in (OCPP-32)."""
        return self.boot_status == BootStatus.ACCEPTED


class ChargePointConnection(models.Model):
    """One connection of a charge point, from its handshake to its end (OCPP-107)."""

    id = models.BigAutoField(primary_key=True)
    charge_point = models.ForeignKey(ChargePoint, models.CASCADE, related_name="connections", db_index=False)
    epoch = models.BigIntegerField()
    node = models.CharField(max_length=64)
    address = models.CharField(max_length=64)
    protocol = models.CharField(max_length=16)
    since = models.DateTimeField()
    until = models.DateTimeField(null=True, blank=True)
    close_code = models.PositiveIntegerField(null=True, blank=True)
    reason = models.CharField(max_length=123, blank=True, default="", db_default="")

    class Meta:
        app_label = "cpo"
        constraints = [models.UniqueConstraint(fields=["charge_point", "epoch"], name="connection_once")]
        indexes = [
            models.Index(fields=["since"], name="connection_since"),
            models.Index(fields=["charge_point"], condition=models.Q(until=None), name="connection_open"),
        ]

    def __str__(self) -> str:
        return f"{self.charge_point_id}/{self.epoch}"


class ChargePointConnector(models.Model):
    """The last known state of one connector; connector 0 is the charge point as a whole (OCPP-58).

    In OCPP 2.0.1 it is one EVSE, and `status` sums up its connectors.
    """

    charge_point = models.ForeignKey(ChargePoint, models.CASCADE, related_name="connectors")
    connector_id = models.PositiveIntegerField()
    evse_uid = models.CharField(max_length=36, blank=True, default="", db_default="")
    status = models.CharField(max_length=20, blank=True, default="", db_default="")
    error_code = models.CharField(max_length=50, blank=True, default="", db_default="")
    info = models.JSONField(null=True, blank=True)
    status_at = models.DateTimeField(null=True, blank=True)
    # OCPP 2.0.1, where this is an EVSE: its connectors, {"1": ["Occupied", when it was said, since when it is so]}.
    plugs = models.JSONField(default=dict, db_default=_EMPTY_OBJECT, blank=True)

    class Meta:
        app_label = "cpo"
        constraints = [models.UniqueConstraint(fields=["charge_point", "connector_id"], name="connector_once")]

    def __str__(self) -> str:
        return f"{self.charge_point_id}/{self.connector_id}"


class InboxMessage(models.Model):
    """A CALL of a charge point, committed before it is answered (OCPP-98).

    `answer` is written once: by the gateway with the row, or for Authorize and StartTransaction by whoever decides
    first (`UPDATE … WHERE answer IS NULL`): the CPO side, or the gateway when the time is up (`gave_up`).
    """

    id = models.BigAutoField(primary_key=True)
    charge_point = models.ForeignKey(ChargePoint, models.CASCADE, related_name="inbox", db_index=False)
    epoch = models.BigIntegerField()
    received_at = models.DateTimeField()
    protocol = models.CharField(max_length=16)
    action = models.CharField(max_length=64)
    message_id = models.CharField(max_length=64)
    payload = models.TextField()
    payload_hash = models.CharField(max_length=32)
    start_key = models.CharField(max_length=64, null=True)  # noqa: DJ001 (unique where present, OCPP-38)
    transaction_id = models.IntegerField(null=True)  # given to a StartTransaction with the row (OCPP-37)
    answer = models.TextField(null=True)  # noqa: DJ001 (no answer yet)
    gave_up = models.BooleanField(default=False, db_default=False)
    state = models.CharField(
        max_length=6, choices=InboxState.choices, default=InboxState.NEW, db_default=InboxState.NEW
    )
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    error = models.TextField(blank=True, default="", db_default="")
    retry_at = models.DateTimeField(null=True)  # one that failed waits until then

    class Meta:
        app_label = "cpo"
        constraints = [
            models.UniqueConstraint(
                fields=["start_key"], condition=models.Q(start_key__isnull=False), name="inbox_start_once"
            ),
        ]
        indexes = [
            models.Index(fields=["charge_point", "id"], condition=models.Q(state="NEW"), name="inbox_waiting"),
            models.Index(fields=["charge_point", "message_id"], name="inbox_repeats"),
            models.Index(fields=["id"], condition=models.Q(state="FAILED"), name="inbox_parked"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.message_id}"


class Operation(models.Model):
    """A CALL of ours to a charge point, from the wish to its end (OCPP-79)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    charge_point = models.ForeignKey(ChargePoint, models.CASCADE, related_name="operations", db_index=False)
    action = models.CharField(max_length=64)
    # The OCPP version its payload is written in; empty: that of the connection.
    protocol = models.CharField(max_length=8, blank=True, default="", db_default="")
    payload = models.TextField()
    asked_by = models.CharField(max_length=128)
    state = models.CharField(
        max_length=16,
        choices=[(state.value, state.value) for state in OperationState],
        default=OperationState.QUEUED,
        db_default=OperationState.QUEUED,
    )
    timeout_s = models.FloatField(default=30, db_default=30)
    deliver_later = models.BooleanField(default=False, db_default=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    idempotency_key = models.CharField(max_length=128, null=True, blank=True, unique=True)
    node = models.CharField(max_length=64, blank=True, default="", db_default="")
    epoch = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True, blank=True)  # a node has taken it
    on_wire_at = models.DateTimeField(null=True, blank=True)  # its frame is on the socket
    ended_at = models.DateTimeField(null=True, blank=True)
    answer = models.TextField(null=True, blank=True)  # noqa: DJ001 (none yet)
    error = models.TextField(blank=True, default="", db_default="")
    # What of ours the payload is about, as the caller named it: {"transaction": "tx-7"} (OCPP-115).
    refs = models.JSONField(null=True, blank=True)
    # Of a ChangeAvailability answered Scheduled: PENDING until the status arrives, then DONE (OCPP-84).
    effect = models.CharField(max_length=8, blank=True, default="", db_default="")

    class Meta:
        app_label = "cpo"
        indexes = [
            models.Index(fields=["charge_point", "created_at"], name="operation_by_charge_point"),
            models.Index(
                fields=["charge_point", "created_at"], condition=models.Q(state="QUEUED"), name="operation_waiting"
            ),
            models.Index(fields=["node"], condition=models.Q(state="SENT"), name="operation_under_way"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.id}"


class UnknownChargePoint(models.Model):
    """An identity that tried to connect and is not known here (OCPP-03)."""

    identity = models.CharField(max_length=48, unique=True)
    address = models.CharField(max_length=64, db_default="")
    path = models.CharField(max_length=255, db_default="")
    protocols = models.CharField(max_length=255, db_default="")
    first_seen_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now(), db_index=True)
    count = models.PositiveIntegerField(default=1, db_default=1)

    class Meta:
        app_label = "cpo"

    def __str__(self) -> str:
        return self.identity


class ChargePointDeviation(models.Model):
    """Something a charge point does otherwise than its OCPP version says; kept once (OCPP-17)."""

    charge_point = models.ForeignKey(ChargePoint, models.CASCADE, related_name="deviations")
    action = models.CharField(max_length=64)
    kind = models.CharField(max_length=128)
    first_seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        app_label = "cpo"
        constraints = [models.UniqueConstraint(fields=["charge_point", "action", "kind"], name="deviation_once")]

    def __str__(self) -> str:
        return f"{self.action}: {self.kind}"


class FrameLog(models.Model):
    """A frame as it was on the wire, secrets masked (OCPP-29)."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    charge_point = models.ForeignKey(ChargePoint, models.CASCADE, db_constraint=False, db_index=False)
    node = models.CharField(max_length=64)
    epoch = models.BigIntegerField()
    outgoing = models.BooleanField()
    action = models.CharField(max_length=64)
    message_id = models.CharField(max_length=64)
    text = models.TextField()

    class Meta:
        app_label = "cpo"
        verbose_name = "frame"
        indexes = [
            models.Index(fields=["charge_point", "at"], name="frame_by_charge_point"),
            # They come in the order of their times: a few bytes per thousand rows find those of an hour.
            BrinIndex(fields=["at"], name="frame_age", autosummarize=True),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.message_id}"


class GatewayNode(models.Model):
    """A running gateway process; one that stays silent is taken for dead (OCPP-100)."""

    name = models.CharField(max_length=64, primary_key=True)
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        app_label = "cpo"

    def __str__(self) -> str:
        return self.name


# What models cannot say. The triggers wake whoever waits, whichever process wrote the row.
GATEWAY_SQL = [
    "CREATE SEQUENCE ocpp_transaction_id AS integer MINVALUE 1 NO CYCLE;",
    """
    CREATE FUNCTION ocpp_tell_inbox() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('ocpp_inbox', charge_point_id::text)
            FROM (SELECT DISTINCT charge_point_id FROM kept WHERE state = 'NEW') AS told;
        RETURN NULL;
    END $$;
    """,
    """
    CREATE TRIGGER ocpp_tell_inbox AFTER INSERT ON cpo_inboxmessage
        REFERENCING NEW TABLE AS kept FOR EACH STATEMENT EXECUTE FUNCTION ocpp_tell_inbox();
    """,
    """
    CREATE FUNCTION ocpp_tell_answer() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('ocpp_answer', NEW.id::text);
        RETURN NULL;
    END $$;
    """,
    """
    CREATE TRIGGER ocpp_tell_answer AFTER UPDATE OF answer ON cpo_inboxmessage FOR EACH ROW
        WHEN (OLD.answer IS NULL AND NEW.answer IS NOT NULL) EXECUTE FUNCTION ocpp_tell_answer();
    """,
    """
    CREATE FUNCTION ocpp_tell_operation() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.state = 'QUEUED' THEN
            PERFORM pg_notify('ocpp_operation', NEW.charge_point_id::text);
        ELSIF NEW.state <> 'SENT' THEN
            PERFORM pg_notify('ocpp_operation_done', NEW.id::text);
        END IF;
        RETURN NULL;
    END $$;
    """,
    """
    CREATE TRIGGER ocpp_tell_operation AFTER INSERT OR UPDATE OF state ON cpo_operation
        FOR EACH ROW EXECUTE FUNCTION ocpp_tell_operation();
    """,
    """
    CREATE FUNCTION ocpp_tell_charge_point() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('ocpp_charge_point', OLD.id::text);
        RETURN NULL;
    END $$;
    """,
    """
    CREATE TRIGGER ocpp_tell_charge_point AFTER DELETE OR UPDATE OF password_digest, security_profile, protocols,
        no_subprotocol_is_16, boot_status, strictness, heartbeat_seconds, ping_seconds ON cpo_chargepoint
        FOR EACH ROW EXECUTE FUNCTION ocpp_tell_charge_point();
    """,
]

GATEWAY_SQL_REVERSE = [
    "DROP FUNCTION ocpp_tell_charge_point() CASCADE;",
    "DROP FUNCTION ocpp_tell_operation() CASCADE;",
    "DROP FUNCTION ocpp_tell_answer() CASCADE;",
    "DROP FUNCTION ocpp_tell_inbox() CASCADE;",
    "DROP SEQUENCE ocpp_transaction_id;",
]
