"""What a CPO owns: Locations, Tariffs, Sessions and CDRs; what it is told of Tokens and commands; what was metered."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now, Upper

from cpo import command_states, reservation_states
from cpo.certificate_models import CertificateAuthority as CertificateAuthority
from cpo.certificate_models import InstalledCertificate as InstalledCertificate
from cpo.certificate_models import StationCertificate as StationCertificate
from cpo.chargingprofile_models import ActiveChargingProfile as ActiveChargingProfile
from cpo.chargingprofile_models import ChargePointAbilities as ChargePointAbilities
from cpo.chargingprofile_models import ChargePointProfile as ChargePointProfile
from cpo.chargingprofile_models import ChargingPreferences as ChargingPreferences
from cpo.chargingprofile_models import ChargingProfileRequest as ChargingProfileRequest
from cpo.chargingprofile_models import SmartCharging as SmartCharging
from cpo.device_models import BootRecord as BootRecord
from cpo.device_models import ConfigurationValue as ConfigurationValue
from cpo.device_models import DataTransfer as DataTransfer
from cpo.device_models import ProvisioningPlan as ProvisioningPlan
from cpo.device_models import ProvisioningResult as ProvisioningResult
from cpo.device_models import ProvisioningRun as ProvisioningRun
from cpo.device_models import ProvisioningSetting as ProvisioningSetting
from cpo.device_models import StationEvent as StationEvent
from cpo.firmware_models import DeviceFile as DeviceFile
from cpo.firmware_models import DeviceJob as DeviceJob
from cpo.firmware_models import DeviceJobStatus as DeviceJobStatus
from cpo.firmware_models import FileLink as FileLink
from cpo.firmware_models import FirmwareImage as FirmwareImage
from cpo.firmware_models import Rollout as Rollout
from cpo.gateway_models import ChargePoint as ChargePoint
from cpo.gateway_models import ChargePointConnection as ChargePointConnection
from cpo.gateway_models import ChargePointConnector as ChargePointConnector
from cpo.gateway_models import ChargePointDeviation as ChargePointDeviation
from cpo.gateway_models import FrameLog as FrameLog
from cpo.gateway_models import GatewayNode as GatewayNode
from cpo.gateway_models import InboxMessage as InboxMessage
from cpo.gateway_models import Operation as Operation
from cpo.gateway_models import UnknownChargePoint as UnknownChargePoint
from cpo.local_list_models import LocalList as LocalList
from cpo.local_list_models import LocalListContents as LocalListContents
from cpo.local_list_models import TokenUse as TokenUse
from cpo.operation_models import ApiToken as ApiToken
from cpo.operation_models import ChargingProfileTemplate as ChargingProfileTemplate
from cpo.operation_models import IdTag as IdTag
from cpo.operation_models import Report as Report
from cpo.operation_models import ReportPart as ReportPart
from cpo.operator_models import Closing as Closing
from cpo.operator_models import ConnectorHistory as ConnectorHistory
from cpo.operator_models import StationAlarm as StationAlarm
from cpo.operator_models import TenantPolicy as TenantPolicy
from cpo.transaction_models import MeterReading as MeterReading
from cpo.transaction_models import Transaction as Transaction
from cpo.transaction_models import TransactionEvent as TransactionEvent
from ocpi.models import ClientOwnedObject, Platform


class Location(ClientOwnedObject):
    """One of our Locations without its EVSEs, which have rows of their own (docs/adr/0002)."""

    parts: ClassVar[tuple[str, str, str]] = ("evses", "cpo.EVSE", "location_id")

    time_zone = models.CharField(max_length=255)
    # No EVSE, or only REMOVED ones: left out of an unfiltered list, still in a filtered one (LOC-15).
    hidden = models.BooleanField(default=False, db_default=False)
    private = models.BooleanField(
        default=False, db_default=False, help_text="not for the public: never sent, listed or commanded (LOC-42)"
    )

    class Meta(ClientOwnedObject.Meta):
        pass


class EVSE(models.Model):
    """An EVSE of a Location, its Connectors inside its document, and the connector of the charge point behind it."""

    parent: ClassVar[tuple[str, str]] = ("cpo.Location", "location_id")

    location = models.ForeignKey(Location, on_delete=models.CASCADE, related_name="evses")
    uid = models.CharField(max_length=36)
    status = models.CharField(max_length=12)
    last_updated = models.DateTimeField()
    document = models.TextField()
    charge_point = models.ForeignKey(
        ChargePoint, on_delete=models.SET_NULL, null=True, blank=True, related_name="evses"
    )
    connector_id = models.PositiveIntegerField(null=True, blank=True, help_text="of the charge point (CMD-35)")
    hardware = models.PositiveIntegerField(
        null=True, blank=True, help_text="EVSEs with the same number share one: only one charges at a time (LOC-67)"
    )

    class Meta:
        verbose_name = "EVSE"
        constraints = [
            models.UniqueConstraint("location", Upper("uid"), name="cpo_evse_identity"),
            models.UniqueConstraint("charge_point", "connector_id", name="cpo_evse_connector_once"),
        ]

    def __str__(self) -> str:
        return self.uid


class Tariff(ClientOwnedObject):
    """One of our Tariffs; a deleted one is hidden and kept for the Sessions and CDRs that name it."""

    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta(ClientOwnedObject.Meta):
        pass


class Session(ClientOwnedObject):
    """A Session at one of our EVSEs, for a driver of an eMSP."""

    status = models.CharField(max_length=11)
    token_uid = models.CharField(max_length=36)
    start_date_time = models.DateTimeField()
    emsp_country_code = models.CharField(max_length=2)
    emsp_party_id = models.CharField(max_length=3)
    location_id = models.CharField(max_length=36)
    pushed_at = models.DateTimeField(null=True, blank=True)
    push_due_at = models.DateTimeField(null=True, blank=True, help_text="a change waits until then (OCPP-96)")

    class Meta(ClientOwnedObject.Meta):
        indexes = [
            *ClientOwnedObject.Meta.indexes,
            models.Index(fields=["status", "-start_date_time"], name="cpo_session_status"),
            models.Index("push_due_at", condition=models.Q(push_due_at__isnull=False), name="cpo_session_push_due"),
        ]


class CDR(ClientOwnedObject):
    """A CDR of ours: never changed, never deleted (REL-46)."""

    session_id = models.CharField(max_length=36, blank=True)
    token_uid = models.CharField(max_length=36)
    start_date_time = models.DateTimeField()
    emsp_country_code = models.CharField(max_length=2)
    emsp_party_id = models.CharField(max_length=3)
    credit = models.BooleanField(default=False, db_default=False)
    # Unique: a CDR is taken back once, and followed by one (CDR-20, CDR-24).
    original = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="credited_by",
        help_text="of a Credit CDR: what it takes back",
    )  # fmt: skip
    replaces = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="replaced_by",
        help_text="what this CDR is issued in place of",
    )  # fmt: skip
    reason = models.CharField(max_length=300, blank=True, help_text="of a correction; never sent")

    class Meta(ClientOwnedObject.Meta):
        verbose_name = "CDR"
        constraints = [
            *ClientOwnedObject.Meta.constraints,
            # One CDR per session, whatever runs twice; a Credit CDR and its successor are made on purpose.
            models.UniqueConstraint(
                fields=["session_id"],
                condition=models.Q(credit=False, replaces=None) & ~models.Q(session_id=""),
                name="cpo_cdr_once_per_session",
            ),
            models.CheckConstraint(
                condition=models.Q(credit=True, original__isnull=False) | models.Q(credit=False, original=None),
                name="cpo_cdr_credit_names_its_original",
            ),
        ]


class Token(ClientOwnedObject):
    """A driver's Token as its eMSP pushed it."""

    uid = models.CharField(max_length=36)
    type = models.CharField(max_length=11)
    contract_id = models.CharField(max_length=36)
    group_id = models.CharField(max_length=36, blank=True)
    valid = models.BooleanField()
    whitelist = models.CharField(max_length=15)
    # What an OCPP 1.6 charge point calls it: the uid, or a substitute of 20 characters (TOK-18).
    id_tag = models.CharField(max_length=36)
    received_at = models.DateTimeField(db_default=Now(), editable=False)
    # Its eMSP's whole list no longer held it: not valid, whatever its document says, until it comes again (TRN-106);
    # its eMSP is asked about it, as about an unknown one.
    gone_at = models.DateTimeField(null=True, blank=True)

    class Meta(ClientOwnedObject.Meta):
        constraints = [
            models.CheckConstraint(
                condition=models.Q(gone_at=None) | models.Q(valid=False), name="cpo_token_gone_is_invalid"
            ),
            models.UniqueConstraint(
                Upper("country_code"), Upper("party_id"), Upper("object_id"), "type", name="cpo_token_identity"
            ),
        ]
        indexes = [
            *ClientOwnedObject.Meta.indexes,
            models.Index(Upper("id_tag"), name="cpo_token_id_tag"),
            models.Index(Upper("uid"), name="cpo_token_uid"),
        ]


class Command(models.Model):
    """A command of an eMSP, our CommandResponse and the CommandResult."""

    platform = models.ForeignKey(Platform, on_delete=models.PROTECT, related_name="+", help_text="who called us")
    response_url = models.CharField(max_length=255)
    digest = models.CharField(max_length=64, editable=False, help_text="of the body (REL-47)")
    command = models.CharField(max_length=20)
    state = models.CharField(max_length=12, choices=[(state, state) for state in command_states.STATES])
    country_code = models.CharField(max_length=2, help_text="the eMSP that asks")
    party_id = models.CharField(max_length=3)
    cpo_country_code = models.CharField(max_length=2)
    cpo_party_id = models.CharField(max_length=3)
    request = models.TextField()
    response = models.TextField(help_text="the CommandResponse we gave")
    result = models.CharField(max_length=24, blank=True, help_text="CommandResultType")
    correlation_id = models.CharField(max_length=255)
    charge_point = models.ForeignKey(ChargePoint, on_delete=models.SET_NULL, null=True, related_name="+")
    evse = models.ForeignKey(EVSE, on_delete=models.SET_NULL, null=True, related_name="+")
    # What goes to the charge point: an id tag to start with, or a transaction to stop.
    id_tag = models.CharField(max_length=36, blank=True)
    transaction_id = models.IntegerField(null=True, blank=True)
    operation = models.ForeignKey(Operation, on_delete=models.SET_NULL, null=True, related_name="+")
    session_id = models.CharField(max_length=36, blank=True)
    reservation = models.ForeignKey(
        "cpo.Reservation", on_delete=models.SET_NULL, null=True, blank=True, related_name="commands"
    )
    created_at = models.DateTimeField(db_default=Now())
    # The end of the announced timeout; a result is on its way before `give_up_at`.
    deadline_at = models.DateTimeField()
    give_up_at = models.DateTimeField()
    result_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["platform", "response_url"], name="cpo_command_once"),
        ]
        indexes = [
            models.Index("give_up_at", condition=models.Q(state__in=command_states.OPEN), name="cpo_command_open"),
            models.Index(fields=["-created_at"], name="cpo_command_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.command} {self.state}"


class Reservation(models.Model):
    """An EVSE, or any at a charge point, kept free for one Token of an eMSP (OCPP-88)."""

    # What the charge point calls it: ours alone and random, so that no eMSP meets another's (CMD-38), and a restored
    # backup none that is still in force.
    number = models.PositiveIntegerField(unique=True)
    state = models.CharField(max_length=9, choices=[(state, state) for state in reservation_states.STATES])
    country_code = models.CharField(max_length=2, help_text="the eMSP that asks")
    party_id = models.CharField(max_length=3)
    reservation_id = models.CharField(max_length=36, help_text="what the eMSP calls it")
    location = models.ForeignKey(
        Location, on_delete=models.CASCADE, null=True, related_name="+",
        help_text="none: the tenant's own, made over the operation API; it has no Session",
    )  # fmt: skip
    charge_point = models.ForeignKey(ChargePoint, on_delete=models.CASCADE, related_name="+")
    connector_id = models.PositiveIntegerField(help_text="of the charge point; 0: whichever is free")
    evse = models.ForeignKey(EVSE, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    id_tag = models.CharField(max_length=36)
    expires_at = models.DateTimeField()
    command = models.ForeignKey(
        Command, on_delete=models.SET_NULL, null=True, blank=True, related_name="+",
        help_text="the RESERVE_NOW in force; a later end is told to its response_url (CMD-20)",
    )  # fmt: skip
    session = models.OneToOneField(Session, on_delete=models.PROTECT, null=True, blank=True, related_name="reservation")
    # Location, EVSE, Connector, Tariff and Token as they were when it was made (CDR-19).
    snapshot = models.TextField(blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=12, blank=True, choices=[(each, each) for each in reservation_states.ENDERS])
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                Upper("country_code"), Upper("party_id"), "location", Upper("reservation_id"),
                condition=models.Q(state__in=reservation_states.OPEN), name="cpo_reservation_open_once",
            ),
            models.CheckConstraint(condition=models.Q(number__gt=0), name="cpo_reservation_number_positive"),
            models.CheckConstraint(
                condition=~models.Q(state=reservation_states.ACCEPTED) | models.Q(started_at__isnull=False),
                name="cpo_reservation_in_force_since",
            ),
        ]  # fmt: skip
        indexes = [
            models.Index("expires_at", condition=models.Q(state="ACCEPTED"), name="cpo_reservation_expiry"),
            models.Index("charge_point", condition=models.Q(state="ACCEPTED"), name="cpo_reservation_in_force"),
            models.Index(Upper("party_id"), Upper("reservation_id"), name="cpo_reservation_of_emsp"),
        ]

    def __str__(self) -> str:
        return f"reservation {self.reservation_id} of {self.country_code}*{self.party_id}"


class MissingFeature(models.Model):
    """An action that a charge point answers with NotSupported or NotImplemented (M-12)."""

    charge_point = models.ForeignKey(ChargePoint, on_delete=models.CASCADE, related_name="missing_features")
    action = models.CharField(max_length=64)
    firmware = models.CharField(max_length=50, blank=True)
    count = models.PositiveIntegerField()
    # The EVSEs whose capability was taken away for it; they get it back with another firmware.
    evse_ids = models.JSONField(default=list, blank=True)
    first_seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["charge_point", "action"], name="cpo_missing_feature_once"),
        ]

    def __str__(self) -> str:
        return f"{self.action} at {self.charge_point_id}"


class CommandedToken(models.Model):
    """The Token of a START_SESSION: kept apart from pushed Tokens (CMD-29), accepted unasked for a while (CMD-27)."""

    charge_point = models.ForeignKey(ChargePoint, on_delete=models.CASCADE, related_name="+")
    connector_id = models.PositiveIntegerField(null=True, blank=True)
    id_tag = models.CharField(max_length=36)
    type = models.CharField(max_length=11)
    document = models.TextField()
    authorization_reference = models.CharField(max_length=36, blank=True)
    command = models.ForeignKey(Command, on_delete=models.CASCADE, related_name="+")
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True, help_text="a transaction was started with it")

    class Meta:
        indexes = [models.Index("charge_point", Upper("id_tag"), name="cpo_commanded_token")]

    def __str__(self) -> str:
        return f"{self.type} {self.id_tag}"


class AuthorizationAnswer(models.Model):
    """What was decided about a tag at a charge point, for the start that follows the Authorize."""

    charge_point = models.ForeignKey(ChargePoint, on_delete=models.CASCADE, related_name="+")
    id_tag = models.CharField(max_length=255)
    status = models.CharField(max_length=20, help_text="as told to the charge point")
    asked = models.BooleanField(help_text="the eMSP was asked and answered")
    document = models.TextField(blank=True, help_text="the Token")
    authorization_reference = models.CharField(max_length=36, blank=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index("charge_point", Upper("id_tag"), models.F("at").desc(), name="cpo_authorization_answer")
        ]

    def __str__(self) -> str:
        return f"{self.id_tag} {self.status}"


class UnmatchedStop(models.Model):
    """A stop that fits no transaction, or a second one that says otherwise: for the operator (OCPP-42, OCPP-43)."""

    charge_point = models.ForeignKey(ChargePoint, on_delete=models.CASCADE, related_name="+")
    message = models.ForeignKey(InboxMessage, on_delete=models.CASCADE, related_name="+")
    transaction = models.ForeignKey(Transaction, on_delete=models.CASCADE, null=True, related_name="+")
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"stop at {self.charge_point_id}"
