"""What the tests of the admin look at: people who may log in, and one row of everything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from axes.models import AccessAttempt
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.test import Client
from pytest_django.plugin import DjangoDbBlocker

from cpo import models as cpo_models
from emsp import models as emsp_models
from hub.models import Callback, ClientInfo, ClientInfoChange, KnownObject, Permission, SharedObject, ToldClientInfo
from ocpi import cdr_reviews, statements
from ocpi.headers import Address
from ocpi.models import (
    CdrFinding,
    CdrNote,
    CdrReview,
    Delivery,
    Deviation,
    Exchange,
    FinishedDelivery,
    MeterKey,
    PullCursor,
    PulledInvalid,
    RequestedHost,
    StatementTerms,
    WorkerHeartbeat,
)
from tests.admin_devices import add_devices
from tests.fixtures import Document, Partner, connect, read_document
from tests.people import Person
from tests.unit.test_signed_meter import REAL_KEY

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
EVIL = "<script>alert(1)</script>"
CALLBACK_KEY = "c" * 20 + "allback-key-of-43-charac"[:19] + "tail"
COMMAND_KEY = "command-key-that-nobody-sees-tail"
CDR_KEY = "cdr-key-that-nobody-sees-at-tail"
PASSWORD_HASH = "hash-of-a-charge-points-password"
API_TOKEN_DIGEST = "digest-of-a-token-of-the-operation-api"
PARTNER_PATH = "unguessable-path-of-a-partner"


@pytest.fixture(name="operator")
def operator_fixture(db: None) -> Client:
    """Somebody who is logged in and may do everything."""
    client = Client()
    user = User.objects.create_superuser("operator", password="a long password of an operator")
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture(name="viewer")
def viewer_fixture(db: None) -> Client:
    """Somebody who may look at platforms and parties, and nothing else."""
    client = Client()
    user = User.objects.create_user("viewer", password="a long password of a viewer", is_staff=True)
    names = ["view_platform", "view_party", "view_delivery"]
    from_model = user.user_permissions.model
    user.user_permissions.add(*from_model.objects.filter(codename__in=names, content_type__app_label="ocpi"))
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture(name="world")
def world_fixture(partner: Partner, document: Document) -> dict[str, Any]:
    """At least one row of everything that has a page; the names of partners are hostile."""
    return make_world(partner, document)


@pytest.fixture(name="shared_world", scope="module")
def shared_world_fixture(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[dict[str, Any]]:
    """The same, made once for all tests of a module: each of them is rolled back to here.

    Every test of that module lives in this world, also one that does not ask for it.
    """
    with django_db_blocker.unblock(), transaction.atomic():
        yield make_world(connect, read_document)
        transaction.set_rollback(True)


def make_world(partner: Partner, document: Document) -> dict[str, Any]:
    """Make at least one row of everything that has a page, and return the two platforms."""
    owner = partner("NL*TNM:CPO", name=f"Owner {EVIL}")
    drivers = partner("DE*EMS:EMSP", name="Drivers", approved=False)
    _of_protocol(owner, drivers)
    _of_hub(owner, drivers)
    _of_cpo(document, drivers)
    _of_emsp(document, owner)
    _of_money(document)
    Group.objects.create(name="operators")
    AccessAttempt.objects.create(username="somebody", ip_address="192.0.2.1", failures_since_start=1)
    LogEntry.objects.log_create(Group.objects.get(), action=LogEntry.Action.CREATE, changes={"name": ["", "x"]})
    return {"owner": owner, "drivers": drivers}


def _of_protocol(owner: Person, drivers: Person) -> None:
    common: dict[str, Any] = {
        "platform": owner.platform, "order_key": "LOC1", "slot": 1, "module": "locations", "path": "NL/TNM/LOC1",
        "correlation_id": "message-1",
    }  # fmt: skip
    Delivery.objects.create(kind="STATE", source="hub.SharedObject", source_id=1, **common)
    Delivery.objects.create(
        kind="RESULT",
        body="{}",
        **common | {"path": "", "url": f"http://a.example/commands/STOP_SESSION/{COMMAND_KEY}"},
    )
    FinishedDelivery.objects.create(kind="STATE", state="DEAD", source="hub.SharedObject", source_id=2, **common)
    Deviation.objects.create(
        platform_id=owner.id, kind="QRK-13 coordinates", count=3, first_seen_at=NOW, last_seen_at=NOW, example=EVIL
    )  # fmt: skip
    PullCursor.objects.create(
        platform_id=owner.id, module="tariffs", to_country_code="NL", to_party_id="TNM", result="FAILED",
        error=f"{EVIL} at http://a.example/commands/STOP_SESSION/{COMMAND_KEY}",
        page_url=f"http://a.example/ocpi/hub/2.2.1/callbacks/{CALLBACK_KEY}",
    )  # fmt: skip
    PulledInvalid.objects.create(
        platform_id=owner.id, module="tariffs", key="NL*TNM*T1", field="currency", reason=f"{EVIL} is required",
        document=json.dumps({"id": EVIL}), request_id="request-7",
    )  # fmt: skip
    RequestedHost.objects.create(platform_id=owner.id, host="new.example:443", named_in=f"url: https://{EVIL}")
    WorkerHeartbeat.objects.create(id="6f0e8fb2-7a0f-4d6a-9a64-0c8a4e7a1b11", backend_pid=1, host="here")
    for number, (direction, person) in enumerate([("IN", drivers), ("OUT", owner)]):
        Exchange.objects.create(
            id=1000 + number, at=NOW + timedelta(milliseconds=number), direction=direction, platform=person.platform,
            method="POST", url=f"/ocpi/hub/2.2.1/callbacks/{CALLBACK_KEY}", module="commands",
            object_path=f"START_SESSION/{COMMAND_KEY}", request_id=f"request-{number}", correlation_id="message-1",
            http_status=200, status_code=1000, milliseconds=4.5, request_headers="Authorization: Token …abcd",
            request_body=json.dumps({"response_url": f"http://x/ocpi/hub/2.2.1/callbacks/{CALLBACK_KEY}", "n": EVIL}),
            response_body=EVIL,
        )  # fmt: skip


def _of_hub(owner: Person, drivers: Person) -> None:
    assert owner.platform
    assert drivers.platform
    SharedObject.objects.create(
        platform=owner.platform, module="locations", country_code="NL", party_id="TNM", path="LOC1", last_updated=NOW,
        document=json.dumps({"name": EVIL}),
    )  # fmt: skip
    Callback.objects.create(
        key=CALLBACK_KEY, kind="RESPONSE_URL", url=f"http://a.example/{PARTNER_PATH}", owner=owner.platform,
        caller=drivers.platform, module="commands", correlation_id="message-1",
    )  # fmt: skip
    info = ClientInfo.objects.create(
        country_code="NL", party_id="TNM", role="CPO", status="CONNECTED", last_updated=NOW, platform=owner.platform
    )
    ClientInfoChange.objects.create(info=info, status="CONNECTED", reason=EVIL)
    ToldClientInfo.objects.create(
        info=info, platform=drivers.platform, status="CONNECTED", last_updated=NOW, document="{}"
    )
    KnownObject.objects.create(kind="location", key="LOC1", owner="NL*TNM")
    Permission.objects.create(effect="DENY", from_country_code="NL", from_party_id="TNM", to_role="NAP", note=EVIL)


def owned(**columns: Any) -> dict[str, Any]:
    return {"country_code": "NL", "party_id": "TNM", "last_updated": NOW, **columns}


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _of_cpo(document: Document, drivers: Person) -> None:
    location, evse, point = _places_of_cpo(document)
    session = _objects_of_cpo(document)
    transaction = cpo_models.Transaction.objects.create(
        charge_point=point, connector_id=1, transaction_id=7, id_tag="1", authorised=True, started_at=NOW,
        meter_start=0, session=session, snapshot=_text({"a": 1}), flags=["odd"],
    )  # fmt: skip
    cpo_models.MeterReading.objects.create(transaction=transaction, at=NOW, register_wh=5)
    _messages_of_cpo(point, transaction)
    add_devices(point, now=NOW, text=EVIL)
    _command_of_cpo(location, evse, drivers)
    _profiles_of_cpo(transaction, session, drivers, document)


def _places_of_cpo(document: Document) -> tuple[cpo_models.Location, cpo_models.EVSE, cpo_models.ChargePoint]:
    models = cpo_models
    location = models.Location.objects.create(
        **owned(object_id="LOC1", document=_text(document("location", name=EVIL)), time_zone="Europe/Amsterdam")
    )
    point = models.ChargePoint.objects.create(
        identity="CP-1", country_code="NL", party_id="TNM", password_digest=PASSWORD_HASH, boot_data={"model": EVIL}
    )
    models.ChargePointConnector.objects.create(charge_point=point, connector_id=1, status="Charging")
    models.ChargePointDeviation.objects.create(charge_point=point, action="Heartbeat", kind="odd")
    evse = models.EVSE.objects.create(
        location=location, uid="3256", status="CHARGING", last_updated=NOW, document=_text(document("evse")),
        charge_point=point, connector_id=1,
    )  # fmt: skip
    return location, evse, point


def _objects_of_cpo(document: Document) -> cpo_models.Session:
    models = cpo_models
    emsp = {"emsp_country_code": "DE", "emsp_party_id": "EMS"}
    models.Tariff.objects.create(**owned(object_id="12", document=_text(document("tariff"))))
    session = models.Session.objects.create(
        **owned(object_id="S1", document=_text(document("session")), status="ACTIVE", token_uid="1"),
        start_date_time=NOW, location_id="LOC1", **emsp,
    )  # fmt: skip
    models.CDR.objects.create(
        **owned(object_id="C1", document=_text(document("cdr")), token_uid="1", start_date_time=NOW), **emsp
    )
    models.Token.objects.create(
        **owned(object_id="1", document=_text(document("token_rfid")), uid="1", type="RFID", contract_id="C"),
        valid=True, whitelist="ALWAYS", id_tag="1",
    )  # fmt: skip
    return session


def _messages_of_cpo(point: cpo_models.ChargePoint, transaction: cpo_models.Transaction) -> None:
    models = cpo_models
    message = models.InboxMessage.objects.create(
        charge_point=point, epoch=1, received_at=NOW, protocol="ocpp1.6", action="StopTransaction", message_id="m",
        payload=_text({"transactionId": 7}), payload_hash="h",
    )  # fmt: skip
    models.UnmatchedStop.objects.create(charge_point=point, message=message, transaction=transaction)
    models.Operation.objects.create(
        charge_point=point, action="ChangeConfiguration", asked_by="somebody",
        payload=_text({"key": "AuthorizationKey", "value": PASSWORD_HASH}),
    )  # fmt: skip
    models.UnknownChargePoint.objects.create(identity=EVIL)
    models.ApiToken.objects.create(name=EVIL, digest=API_TOKEN_DIGEST, ending="tail", scopes=["read"])
    models.IdTag.objects.create(country_code="NL", party_id="TNM", id_tag="TAG1", note=EVIL)
    models.ChargingProfileTemplate.objects.create(
        country_code="NL", party_id="TNM", description=EVIL, document=_text({"purpose": "TxProfile"})
    )
    report = models.Report.objects.create(charge_point=point, action="NotifyReport", request_id=1, due_at=NOW)
    models.ReportPart.objects.create(
        report=report, number=0, last=True, received_at=NOW, payload=_text({"requestId": 1, "x": EVIL})
    )
    models.FrameLog.objects.create(
        at=NOW, charge_point=point, node="n", epoch=1, outgoing=False, action="Heartbeat", message_id="m", text="[2]"
    )
    models.GatewayNode.objects.create(name="node-1")
    models.MissingFeature.objects.create(charge_point=point, action="UnlockConnector", count=1, firmware=EVIL)
    _network_of_cpo(point)


def _network_of_cpo(point: cpo_models.ChargePoint) -> None:
    models = cpo_models
    models.StationAlarm.objects.create(charge_point=point, kind="offline", text=EVIL)
    models.ConnectorHistory.objects.create(
        charge_point=point, connector=1, status="Faulted", at=NOW, received_at=NOW, error_code=EVIL
    )
    models.ChargePointConnection.objects.create(
        charge_point=point, epoch=1, node="n", address="::1", protocol="1.6", since=NOW, reason=EVIL
    )
    models.Closing.objects.create(
        evse=models.EVSE.objects.get(charge_point=point), since=NOW, reason=EVIL, made_by="ann", state="IN_FORCE"
    )
    models.LocalList.objects.create(charge_point=point, error=EVIL)
    models.TenantPolicy.objects.create(country_code="NL", party_id="TNM")


def _command_of_cpo(location: cpo_models.Location, evse: cpo_models.EVSE, drivers: Person) -> None:
    models = cpo_models
    assert drivers.platform
    assert evse.charge_point
    reservation = models.Reservation.objects.create(
        number=7, state="ACCEPTED", country_code="DE", party_id="EMS", reservation_id="R1", location=location,
        charge_point=evse.charge_point, connector_id=0, id_tag="1", started_at=NOW, expires_at=NOW + timedelta(hours=1),
        snapshot=_text({"a": EVIL}),
    )  # fmt: skip
    models.Command.objects.create(
        platform=drivers.platform, response_url=f"http://e.example/ocpi/emsp/2.2.1/commands/STOP_SESSION/{COMMAND_KEY}",
        reservation=reservation,
        digest="d", command="STOP_SESSION", state="DONE", country_code="DE", party_id="EMS", cpo_country_code="NL",
        cpo_party_id="TNM", request=_text({"response_url": f"http://e/commands/STOP_SESSION/{COMMAND_KEY}"}),
        response="{}", correlation_id="message-2", charge_point=evse.charge_point, evse=evse,
        deadline_at=NOW, give_up_at=NOW,
    )  # fmt: skip


def _profiles_of_cpo(
    transaction: cpo_models.Transaction, session: cpo_models.Session, drivers: Person, document: Document
) -> None:
    models = cpo_models
    assert drivers.platform
    models.SmartCharging.objects.create(charge_point=transaction.charge_point, rate_units="A,W")
    profile = models.ChargePointProfile.objects.create(
        charge_point=transaction.charge_point, connector_id=1, purpose="TxProfile", stack_level=1, origin="PARTNER",
        state="INSTALLED", transaction=transaction, unit="W", asked_by=EVIL,
        schedule={"periods": [[0, "11000"], [1800, "7400.5"]]},
    )  # fmt: skip
    models.ChargingProfileRequest.objects.create(
        platform=drivers.platform, method="PUT", response_url=f"http://e.example/{PARTNER_PATH}", digest="d",
        state="DONE", country_code="DE", party_id="EMS", cpo_country_code="NL", cpo_party_id="TNM",
        asked_session="S1", session=session, profile=profile, result="ACCEPTED", result_at=NOW, correlation_id=EVIL,
        request=_text(document("charging_profile", response_url=f"http://e.example/{PARTNER_PATH}", more=EVIL)),
        response=_text({"result": "ACCEPTED", "timeout": 60}), deadline_at=NOW, give_up_at=NOW,
    )  # fmt: skip
    models.ActiveChargingProfile.objects.create(
        session=session, platform=drivers.platform, country_code="DE", party_id="EMS", unit="W",
        document=_text(document("active_charging_profile")),
    )  # fmt: skip
    models.ChargingPreferences.objects.create(
        session=session, profile_type="GREEN", energy_need=35.5, document=_text({"profile_type": "GREEN", "x": EVIL})
    )


def _of_money(document: Document) -> None:
    cdr_reviews.enter(_text(document("cdr", session_id=EVIL)))
    row = CdrReview.objects.get()
    CdrReview.objects.update(verdict="wrong", check_result=_text({"n": EVIL}))
    CdrFinding.objects.create(review=row, code="price_differs", severity=3, field=EVIL, claimed=EVIL, expected="1")
    CdrNote.objects.create(review=row, by="anna", text=EVIL)
    pair = statements.Pair(Address("NL", "TNM"), Address("DE", "EMS"), "EUR")
    StatementTerms.objects.create(note=EVIL)
    statements.issue(pair, NOW - timedelta(days=30), NOW, by="anna")
    MeterKey.objects.create(country_code="NL", party_id="TNM", serial=EVIL, public_key=REAL_KEY, note=EVIL)


def _of_emsp(document: Document, owner: Person) -> None:
    models = emsp_models
    assert owner.platform
    location = models.Location.objects.create(
        **owned(object_id="LOC1", document=_text(document("location", name=EVIL))), publish=True
    )
    models.EVSE.objects.create(
        location=location, uid="3256", status="CHARGING", last_updated=NOW, document=_text(document("evse"))
    )
    models.Tariff.objects.create(**owned(object_id="12", document=_text(document("tariff"))))
    session = models.Session.objects.create(
        **owned(object_id="S1", document=_text(document("session")), status="ACTIVE", token_uid="1"),
        start_date_time=NOW, platform=owner.platform,
    )  # fmt: skip
    models.CDR.objects.create(
        **owned(object_id="C1", document=_text(document("cdr")), token_uid="1", start_date_time=NOW),
        platform=owner.platform, key=CDR_KEY, digest="d", verdict="mismatch", check_result=_text({"n": EVIL}),
    )  # fmt: skip
    token = models.Token.objects.create(
        **owned(object_id="1", document=_text(document("token_rfid")), uid="1", type="RFID", contract_id="C"),
        valid=True, whitelist="ALWAYS",
    )  # fmt: skip
    models.Authorization.objects.create(reference="r", token=token, platform=owner.platform, allowed="ALLOWED")
    models.Command.objects.create(
        key=COMMAND_KEY, command="STOP_SESSION", state="DONE", platform=owner.platform, country_code="NL",
        party_id="TNM", request=_text({"response_url": f"http://e/emsp/2.2.1/commands/STOP_SESSION/{COMMAND_KEY}"}),
        correlation_id="message-2",
    )  # fmt: skip
    models.Reservation.objects.create(
        country_code="NL", party_id="TNM", emsp_country_code="DE", emsp_party_id="EMS", reservation_id=EVIL,
        state="RESERVED", token=token, location_id="LOC1", expiry_date=NOW,
    )  # fmt: skip
    models.ChargingProfileRequest.objects.create(
        key=f"{COMMAND_KEY[:-4]}prof", kind="SET", state="DONE", session=session, platform=owner.platform,
        profile=_text(document("charging_profile")["charging_profile"]), correlation_id="message-3",
        result_body=_text({"result": "ACCEPTED", "n": EVIL}), scsp_platform=owner.platform, scsp_party_id="SCS",
        scsp_response_url=f"http://a.example/{PARTNER_PATH}",
    )  # fmt: skip
    models.ActiveProfile.objects.create(
        session=session, document=_text(document("active_charging_profile")), last_updated=NOW
    )
    models.SentPreferences.objects.create(
        session=session, document=_text(document("charging_preferences")), response="ACCEPTED", sent_at=NOW
    )
