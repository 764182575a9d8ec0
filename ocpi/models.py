"""Who we are connected to, what still has to reach them, and what an OCPI object is in the database.

Documents are kept as JSON *text*, exactly as they are sent out (docs/adr/0002), so that a list page is joined text and
nothing a partner sent is lost. Configuration is ordinary columns.
"""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now, Upper

from ocpi import delivery_states, registration_states
from ocpi.cdr_review_models import CdrFinding as CdrFinding
from ocpi.cdr_review_models import CdrNote as CdrNote
from ocpi.cdr_review_models import CdrReview as CdrReview
from ocpi.enums import InterfaceRole, ModuleID, Role
from ocpi.exchange_models import Exchange as Exchange
from ocpi.host_models import RequestedHost as RequestedHost
from ocpi.host_models import TlsSettings as TlsSettings
from ocpi.meter_key_models import MeterKey as MeterKey
from ocpi.operator_models import AuditEntry as AuditEntry
from ocpi.operator_models import Tally as Tally
from ocpi.operator_models import TrafficCount as TrafficCount
from ocpi.pull_models import PullCursor as PullCursor
from ocpi.pull_models import PulledInvalid as PulledInvalid
from ocpi.pull_models import PullSeen as PullSeen
from ocpi.statement_models import Statement as Statement
from ocpi.statement_models import StatementItem as StatementItem
from ocpi.statement_models import StatementTerms as StatementTerms


class ConnectionStatus(models.TextChoices):
    """How a platform is reachable right now (OCPI 2.2.1, Hub Client Info, ConnectionStatus)."""

    CONNECTED = "CONNECTED"
    OFFLINE = "OFFLINE"
    PLANNED = "PLANNED"
    SUSPENDED = "SUSPENDED"


class Platform(models.Model):
    """A connected system: one set of credentials, one or more parties (OCPI 2.2.1, Credentials)."""

    class CatchUp(models.TextChoices):
        AFTER_GRACE = "after_grace"
        AT_ONCE = "at_once"
        NEVER = "never"

    class LateAuthorization(models.TextChoices):
        WHITELIST = "whitelist", "as the Token's whitelist says"
        DENY = "deny", "never"
        ALLOW = "allow", "always, if its Token is valid"

    name = models.CharField(max_length=100, unique=True)
    state = models.CharField(
        max_length=16, default="INVITED", choices=[(state, state) for state in registration_states.STATES]
    )
    version = models.CharField(max_length=10, blank=True, help_text="the OCPI version spoken with it")
    versions_url = models.CharField(max_length=255, blank=True)
    base64_token = models.BooleanField(default=True, help_text="off: it sends and expects raw tokens (TRN-006)")
    # The token WE use towards it, sealed. What it uses towards us are CredentialsToken rows (PIT-03).
    token_out = models.TextField(blank=True, editable=False)
    hosts = models.JSONField(default=list, blank=True, help_text="host:port pairs our token may be sent to (TRN-013)")
    any_role = models.BooleanField(default=False, help_text="every role it claims is approved in advance (CRED-56)")
    handshake_until = models.DateTimeField(null=True, blank=True, editable=False)  # one at a time, CRED-21

    connection = models.CharField(max_length=10, choices=ConnectionStatus.choices, default=ConnectionStatus.PLANNED)
    paused_reason = models.CharField(max_length=200, blank=True, help_text="set after HTTP 401/403: nothing is sent")
    failures = models.PositiveIntegerField(default=0, help_text="consecutive failed calls")
    failing_since = models.DateTimeField(null=True, blank=True, help_text="the first of these failures")
    backoff_until = models.DateTimeField(null=True, blank=True)
    offline_since = models.DateTimeField(null=True, blank=True)
    connection_since = models.DateTimeField(null=True, blank=True, editable=False)  # kept by a trigger
    last_heard_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True)
    average_ms = models.FloatField(null=True, blank=True, help_text="moving average of its answer time")
    catch_up = models.CharField(max_length=12, choices=CatchUp.choices, default=CatchUp.AFTER_GRACE)
    caught_up_at = models.DateTimeField(null=True, blank=True, editable=False)  # when marks of it last became pushes
    detects_token = models.BooleanField(
        default=True,
        help_text="on: raw and Base64 tokens are both taken, and what it uses is remembered (QRK-01)",
    )
    late_authorization = models.CharField(
        max_length=9,
        choices=LateAuthorization.choices,
        default=LateAuthorization.WHITELIST,
        help_text="what a driver gets whose real-time authorization is not answered in time (QRK-10)",
    )
    authorize_seconds = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="its time for a real-time authorization; empty = OCPI_AUTHORIZE_TIMEOUT"
    )
    longest_address = models.PositiveSmallIntegerField(
        default=255,
        help_text="its longest Location.address: 45 before the corrections of 2.2.1 (PIT-37)",
    )
    # Of hubs only.
    offers_clients = models.BooleanField(
        default=False, help_text="the parties behind this hub are offered to our own clients (HUB-80)"
    )
    speaks_for_all = models.BooleanField(
        default=False,
        help_text="this hub has no HubClientInfo: it may act for everybody who is not connected otherwise (PIT-78)",
    )
    probed_at = models.DateTimeField(null=True, blank=True, editable=False)  # a probe is under way, HUB-84
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return self.name


class CredentialsToken(models.Model):
    """A token a platform shows us; only its keyed hash is kept (SEC-02)."""

    class Purpose(models.TextChoices):
        A = "A", "token A: versions and registration only"
        PENDING = "PENDING", "token B of our own open handshake: versions only (CRED-25)"
        CURRENT = "CURRENT", "in force"
        OLD = "OLD", "replaced, still accepted until it expires (CRED-37)"
        TOMBSTONE = "TOMBSTONE", "of an unregistered platform (CRED-34)"

    platform = models.ForeignKey(Platform, on_delete=models.CASCADE, related_name="tokens")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    purpose = models.CharField(max_length=10, choices=Purpose.choices)
    last_four = models.CharField(max_length=4, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["platform"], condition=models.Q(purpose="CURRENT"), name="one_current_token_per_platform"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} …{self.last_four}"


class Party(models.Model):
    """A role at an address (country_code, party_id) on a platform."""

    platform = models.ForeignKey(Platform, on_delete=models.CASCADE, related_name="parties")
    country_code = models.CharField(max_length=2)
    party_id = models.CharField(max_length=3)
    role = models.CharField(max_length=5, choices=[(role.value, role.value) for role in Role])
    business_details = models.JSONField(default=dict, blank=True)
    approved = models.BooleanField(default=False, help_text="an operator allows this platform to act in this role")
    claimed = models.BooleanField(default=True, help_text="the platform lists it in its credentials, or its hub does")
    through_hub = models.BooleanField(default=False, help_text="known by the ClientInfo of this platform, a hub")
    # Of parties behind a hub; those of the platform itself follow Platform.connection.
    status = models.CharField(max_length=10, choices=ConnectionStatus.choices, default=ConnectionStatus.CONNECTED)
    last_updated = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "parties"
        constraints = [
            models.UniqueConstraint(
                "platform", "role", Upper("country_code"), Upper("party_id"), name="party_once_per_platform"
            ),
            models.UniqueConstraint(
                "role",
                Upper("country_code"),
                Upper("party_id"),
                condition=models.Q(approved=True, claimed=True, through_hub=False),
                name="party_active_on_one_platform",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.country_code}*{self.party_id}:{self.role}"


class Endpoint(models.Model):
    """Where a platform serves one interface of one module, from its version details."""

    platform = models.ForeignKey(Platform, on_delete=models.CASCADE, related_name="endpoints")
    identifier = models.CharField(max_length=50, help_text=f"ModuleID, e.g. {ModuleID.locations}")
    role = models.CharField(max_length=8, choices=[(role.value, role.value) for role in InterfaceRole])
    url = models.CharField(max_length=255)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["platform", "identifier", "role"], name="endpoint_once_per_interface"),
        ]

    def __str__(self) -> str:
        return f"{self.identifier} {self.role}"


class Deviation(models.Model):
    """One kind of thing that a platform does wrong, tolerated and counted."""

    platform = models.ForeignKey(Platform, on_delete=models.CASCADE, related_name="deviations", db_index=False)
    kind = models.CharField(max_length=100, help_text="begins with the number of its requirement")
    count = models.BigIntegerField()
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    example = models.CharField(max_length=200, blank=True, help_text="the last request it came in")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["platform", "kind"], name="deviation_once_per_kind")]

    def __str__(self) -> str:
        return self.kind


class ClientOwnedObject(models.Model):
    """An OCPI object as its owner sent it, plus the few columns something is searched by."""

    country_code = models.CharField(max_length=2)
    party_id = models.CharField(max_length=3)
    object_id = models.CharField(max_length=39)
    last_updated = models.DateTimeField()
    document = models.TextField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        abstract = True
        constraints = [
            # CiString: two spellings are one object (TYP-12).
            models.UniqueConstraint(
                Upper("country_code"), Upper("party_id"), Upper("object_id"), name="%(app_label)s_%(class)s_identity"
            ),
        ]
        indexes = [models.Index("last_updated", "id", name="%(app_label)s_%(class)s_updated")]

    def __str__(self) -> str:
        return f"{self.country_code}*{self.party_id} {self.object_id}"


class DeliveryColumns(models.Model):
    """What a pending and a finished delivery have in common."""

    class Kind(models.TextChoices):
        STATE = "STATE", "the current state of an object; coalesced"
        CDR = "CDR", "a CDR: kept until confirmed"
        RESULT = "RESULT", "the result of a command or profile: until its timeout"

    platform = models.ForeignKey(Platform, on_delete=models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=6, choices=Kind.choices)
    state = models.CharField(
        max_length=10, default="PENDING", choices=[(state, state) for state in delivery_states.STATES]
    )
    order_key = models.CharField(max_length=110, help_text="nothing overtakes under one key, e.g. a Location's")
    slot = models.PositiveSmallIntegerField(help_text="hash of the order key, 0 to 3")
    module = models.CharField(max_length=50)
    # Where it goes: the receiver's endpoint of the module plus this path; or, for results, an absolute URL.
    path = models.CharField(max_length=300, blank=True)
    query = models.CharField(max_length=100, blank=True)
    url = models.CharField(max_length=2048, blank=True)
    # What is sent: the current document of a row, read when it is sent; only results carry their body.
    source = models.CharField(max_length=60, blank=True, help_text="model label of the document")
    source_id = models.BigIntegerField(null=True, blank=True)
    fields = models.JSONField(null=True, blank=True, help_text="members that changed; empty = the whole document")
    body = models.TextField(blank=True)
    deleted = models.BooleanField(default=False, help_text="the object is to be deleted at the receiver")
    change = models.PositiveIntegerField(default=1, help_text="raised with each change of the object")

    to_country_code = models.CharField(max_length=2, blank=True)
    to_party_id = models.CharField(max_length=3, blank=True)
    from_country_code = models.CharField(max_length=2, blank=True)
    from_party_id = models.CharField(max_length=3, blank=True)
    correlation_id = models.CharField(max_length=255)

    attempts = models.PositiveIntegerField(default=0)
    ambiguous = models.BooleanField(default=False, help_text="an earlier try was sent and never answered")
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField(db_default=Now())
    deadline_at = models.DateTimeField(null=True, blank=True)
    tried_at = models.DateTimeField(null=True, blank=True)
    http_status = models.PositiveSmallIntegerField(null=True, blank=True)
    status_code = models.PositiveSmallIntegerField(null=True, blank=True)
    error = models.CharField(max_length=2000, blank=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.kind} {self.module} {self.path or self.url}"


class Delivery(DeliveryColumns):
    """What one platform still has to get: pending, or only a mark."""

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["platform", "source", "source_id", "to_country_code", "to_party_id"],
                condition=models.Q(kind__in=["STATE", "CDR"]),
                name="one_delivery_per_receiver_and_object",
            ),
        ]
        indexes = [
            models.Index("platform", "slot", "id", condition=models.Q(state="PENDING"), name="delivery_lane"),
            models.Index("due_at", condition=models.Q(state="PENDING"), name="delivery_due"),
            models.Index("platform", "due_at", condition=models.Q(state="MARKED"), name="delivery_marks"),
        ]


class FinishedDelivery(DeliveryColumns):
    """A delivery that has ended: DELIVERED, REFUSED, DEAD or DROPPED. Kept for operators, then removed (REL-55)."""

    finished_at = models.DateTimeField(db_default=Now())
    location = models.CharField(max_length=2048, blank=True, help_text="Location header of a POST (CDR-07)")

    class Meta:
        verbose_name_plural = "finished deliveries"
        indexes = [
            models.Index("finished_at", name="finished_by_time"),
            # What came last of an object at a platform is looked up for each PATCH.
            models.Index("source", "source_id", "platform", "id", name="finished_by_object_there"),
            models.Index("state", "id", condition=~models.Q(state="DELIVERED"), name="finished_undelivered"),
            models.Index("correlation_id", name="finished_by_message"),
        ]


class WorkerHeartbeat(models.Model):
    """A process that sends, and the database session that holds its lane locks (REL-11)."""

    id = models.UUIDField(primary_key=True)
    backend_pid = models.IntegerField()
    host = models.CharField(max_length=255)
    beat_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.host} {self.backend_pid}"


class ObjectCount(models.Model):
    """A change of the number of rows of a list, noted by triggers and soon summed up (`ocpi/counts.py`)."""

    relation = models.CharField(max_length=63)
    scope = models.CharField(max_length=100, blank=True)
    amount = models.BigIntegerField()
    block = models.BigIntegerField(default=0, db_default=0, help_text="of ids")
    second = models.BigIntegerField(default=0, db_default=0, help_text="since 1970, of the row's last change")

    class Meta:
        indexes = [
            models.Index("relation", "scope", include=("amount", "second", "block"), name="object_count_by_scope"),
        ]

    def __str__(self) -> str:
        return f"{self.relation} {self.scope} {self.amount:+}"


class ObjectBucket(models.Model):
    """How many rows of a list changed last in a stretch of time; the stretches of a level are 64**level seconds."""

    relation = models.CharField(max_length=63)
    scope = models.CharField(max_length=100, blank=True)
    level = models.SmallIntegerField()
    start = models.BigIntegerField(help_text="in units of the level, since 1970")
    amount = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["relation", "scope", "level", "start"], include=["amount"], name="object_bucket_once"
            ),
        ]
        indexes = [models.Index("id", condition=models.Q(amount=0), name="object_bucket_empty")]

    def __str__(self) -> str:
        return f"{self.relation} {self.scope} {self.level}/{self.start} {self.amount}"


class ObjectBlock(models.Model):
    """How many rows of a list have ids in one block of 4,096, and between which seconds they changed last."""

    relation = models.CharField(max_length=63)
    scope = models.CharField(max_length=100, blank=True)
    block = models.BigIntegerField()
    amount = models.BigIntegerField()
    first = models.BigIntegerField()
    last = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["relation", "scope", "block"], include=["amount", "first", "last"], name="object_block_once"
            ),
        ]
        indexes = [models.Index("id", condition=models.Q(amount=0), name="object_block_empty")]

    def __str__(self) -> str:
        return f"{self.relation} {self.scope} {self.block} {self.amount}"
