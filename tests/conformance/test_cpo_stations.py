"""A charge point of OCPP 2.0.1 to the world: statuses, tokens, remote starts, meter values, and what waits until it
is accepted."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cpo import whitelist_states
from cpo.models import (
    CDR,
    EVSE,
    ChargePoint,
    ChargePointConnector,
    Command,
    CommandedToken,
    MeterReading,
    Operation,
    Session,
    Transaction,
)
from cpo.modules import charge_points, connectors
from cpo.modules.authorization import Verdict
from ocpi.models import Platform
from tests.cpo_support import (
    BASE,
    EVSE_UID,
    OWNER,
    SECOND_EVSE_UID,
    Point,
    add_location,
    add_tariff,
    stamp,
    tariff,
    with_tariff,
)
from tests.cpo_support import emsp_fixture as emsp_fixture
from tests.cpo_support import point_fixture as point_fixture
from tests.fixtures import Document
from tests.people import Person
from tests.station_support import Station, add_station, event, register, whole
from tests.station_support import station_fixture as station_fixture

TAG = "04C7A1E2B95D80"
pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


@pytest.fixture
def card(emsp: Person, document: Document) -> str:
    """A card that is accepted without asking."""
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))
    return TAG


def minutes(number: float) -> datetime:
    return BASE + timedelta(minutes=number)


def evse(uid: str = EVSE_UID) -> str:
    return EVSE.objects.get(uid=uid).status


# ---------------------------------------------------------------- status


@pytest.mark.req("OCPP-59", "OCPP-128")
def test_an_evse_follows_its_connector_and_its_transaction(station: Station, card: str) -> None:
    now = datetime.now(UTC)
    seen = []
    station.status("Available", at=now - timedelta(minutes=4))
    seen.append(evse())
    station.status("Occupied", at=now - timedelta(minutes=3))
    seen.append(evse())
    station.tells(event("Started", 0, now - timedelta(minutes=2), state="EVConnected", wh=1000))
    seen.append(evse())
    station.tells(event("Updated", 1, now - timedelta(minutes=1), state="EVConnected", token=card))
    seen.append(evse())
    station.tells(event("Ended", 2, now, state="EVConnected", wh=2000))
    seen.append(evse())
    station.status("Available", at=now)
    seen.append(evse())

    assert seen == ["AVAILABLE", "AVAILABLE", "AVAILABLE", "CHARGING", "CHARGING", "AVAILABLE"]


@pytest.mark.req("OCPP-59", "OCPP-61", "OCPP-128")
def test_several_connectors_are_one_evse(station: Station) -> None:
    now = datetime.now(UTC)
    seen = []
    for connector, status in ((1, "Faulted"), (2, "Available"), (2, "Unavailable"), (1, "Reserved")):
        station.status(status, connector=connector, at=now)
        seen.append(evse())

    assert seen == ["OUTOFORDER", "AVAILABLE", "INOPERATIVE", "RESERVED"]
    assert set(ChargePointConnector.objects.get().plugs) == {"1", "2"}


@pytest.mark.req("OCPP-58")
def test_an_older_status_changes_nothing(station: Station) -> None:
    now = datetime.now(UTC)
    station.status("Faulted", at=now)

    station.status("Available", at=now - timedelta(hours=1))

    assert evse() == "OUTOFORDER"


def availability(status: str, name: str, at: datetime, **place: int) -> dict[str, Any]:
    component: dict[str, Any] = {"name": name}
    if place:
        component["evse"] = place
    return {
        "eventId": 1, "timestamp": stamp(at), "trigger": "Delta", "actualValue": status, "component": component,
        "variable": {"name": "AvailabilityState"}, "eventNotificationType": "HardWiredNotification",
    }  # fmt: skip


@pytest.mark.req("OCPP-62")
@pytest.mark.parametrize(
    ("told", "status"),
    [
        (("Faulted", "Connector", {"id": 1, "connectorId": 1}), "OUTOFORDER"),
        (("Unavailable", "EVSE", {"id": 1}), "INOPERATIVE"),
        (("Unavailable", "ChargingStation", {}), "INOPERATIVE"),
        (("Faulted", "EVSE", {"id": 2}), "AVAILABLE"),
        (("Nonsense", "EVSE", {"id": 1}), "AVAILABLE"),
        (("Faulted", "Controller", {}), "AVAILABLE"),
    ],
)
def test_an_event_about_availability_is_as_good_as_a_status(
    station: Station, told: tuple[str, str, dict[str, int]], status: str
) -> None:
    now = datetime.now(UTC)
    station.status("Available", at=now - timedelta(minutes=1))
    state, name, place = told

    station.says(
        "NotifyEvent", {"generatedAt": stamp(now), "seqNo": 0, "eventData": [availability(state, name, now, **place)]}
    )

    assert evse() == status


@pytest.mark.req("LOC-67", "OCPP-61")
def test_evses_that_share_a_hardware_evse_are_its_connectors(document: Document) -> None:
    add_tariff(tariff())
    add_location(with_tariff(document("location")))
    charge_points.add("CS-9", owner=OWNER, evses=4, protocol="2.0.1", profile=0, connectors_per_evse=2)
    row = ChargePoint.objects.get(identity="CS-9")

    theirs = [(1, 1), (1, 2), (2, 1), (2, 2)]
    ours = [connectors.number_of(row.pk, number, connector) for number, connector in theirs]

    assert ours == [1, 2, 3, 4]
    assert connectors.numbers_of(row.pk, 2) == [3, 4]
    assert connectors.number_of(row.pk, 3, 1) not in (1, 2, 3)


# ---------------------------------------------------------------- not accepted yet


@pytest.mark.req("OCPP-32")
def test_nothing_of_a_pending_charge_point_of_1_6_is_published_until_it_is_accepted(point: Point, card: str) -> None:
    before = EVSE.objects.get(uid=EVSE_UID).document
    ChargePoint.objects.update(boot_status="Pending")

    point.status("Faulted", at=datetime.now(UTC))
    answer = point.start(card, at=datetime.now(UTC))

    assert answer["idTagInfo"] == {"status": "Invalid"}
    assert answer["transactionId"] == Transaction.objects.get().transaction_id
    assert not Session.objects.exists()
    assert EVSE.objects.get(uid=EVSE_UID).document == before
    assert ChargePointConnector.objects.get().status == "Faulted"
    ChargePoint.objects.update(boot_status="Accepted")
    point.says("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    assert evse() == "CHARGING"  # faulted, with a transaction open on it


# ---------------------------------------------------------------- tokens


@pytest.mark.req("OCPP-75", "OCPP-128")
@pytest.mark.parametrize(
    ("token_type", "ours", "accepted"),
    [
        ("ISO14443", "RFID", True),
        ("ISO15693", "RFID", True),
        ("Central", "APP_USER", True),
        ("Central", "AD_HOC_USER", True),
        ("Central", "OTHER", True),
        ("Central", "RFID", False),
        ("Local", "AD_HOC_USER", True),
        ("Local", "APP_USER", False),
        ("eMAID", "OTHER", True),
        ("KeyCode", "OTHER", True),
        ("MacAddress", "OTHER", True),
        ("ISO14443", "APP_USER", False),
    ],
)
def test_a_token_is_found_by_uid_and_type(
    station: Station, emsp: Person, document: Document, token_type: str, ours: str, accepted: bool
) -> None:
    uid = "DE-EMS-C1234567890-LONGER-THAN-20"
    token = document("token_rfid", uid=uid, type=ours, whitelist="ALWAYS")
    token.pop("group_id", None)
    assert emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{uid}", token, query={"type": ours}).ok

    answer = station.says("Authorize", {"idToken": {"idToken": uid.lower(), "type": token_type}})

    assert answer["idTokenInfo"]["status"] == ("Accepted" if accepted else "Unknown")


@pytest.mark.req("OCPP-75", "OCPP-128")
@pytest.mark.parametrize(
    ("allowed", "status_16", "status_201"),
    [
        ("ALLOWED", "Accepted", "Accepted"),
        ("BLOCKED", "Blocked", "Blocked"),
        ("EXPIRED", "Expired", "Expired"),
        ("NO_CREDIT", "Blocked", "NoCredit"),
        ("NOT_ALLOWED", "Invalid", "NotAtThisLocation"),
    ],
)
def test_what_an_emsp_says_is_told_in_the_words_of_the_version(allowed: str, status_16: str, status_201: str) -> None:
    told = Verdict(whitelist_states.OCPP_16[allowed], status_201=whitelist_states.OCPP_201[allowed])

    assert (told.told("1.6"), told.told("2.0.1"), told.told("2.1")) == (status_16, status_201, status_201)


@pytest.mark.req("OCPP-75", "OCPP-76", "OCPP-128")
def test_unknown_blocked_and_busy_tokens_are_told_apart(station: Station, emsp: Person, document: Document) -> None:
    for uid, members in {"GOOD": {}, "BAD": {"valid": False}}.items():
        token = document("token_rfid", uid=uid, whitelist="ALWAYS", **members)
        emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{uid}", token)
    other = add_station(station.row.evses.get().location, "CS-2", evses=(SECOND_EVSE_UID,))
    other.tells(event("Started", 0, BASE, state="Charging", token="GOOD", wh=0))

    told = {
        uid: station.says("Authorize", {"idToken": {"idToken": uid, "type": "ISO14443"}})["idTokenInfo"]["status"]
        for uid in ("GOOD", "BAD", "NOBODY", "X" * 40)
    }

    assert told == {"GOOD": "ConcurrentTx", "BAD": "Blocked", "NOBODY": "Unknown", "X" * 40: "Unknown"}


@pytest.mark.req("OCPP-75")
def test_a_contract_certificate_is_neither_called_good_nor_held_against_the_driver(station: Station, card: str) -> None:
    hashes = [{"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "c",
               "responderURL": "http://example.com"}]  # fmt: skip
    asked = {"idToken": {"idToken": card, "type": "ISO14443"}, "iso15118CertificateHashData": hashes}

    known = station.says("Authorize", asked)
    unknown = station.says("Authorize", {**asked, "idToken": {"idToken": "NOBODY", "type": "eMAID"}})

    assert (known["idTokenInfo"]["status"], known["certificateStatus"]) == ("Accepted", "NoCertificateAvailable")
    assert unknown["certificateStatus"] == "ContractCancelled"


@pytest.mark.req("OCPP-75", "OCPP-128")
def test_who_charges_without_a_token_charges_free_and_unseen(station: Station) -> None:
    [answer, _] = station.tells(
        event("Started", 0, BASE, state="Charging", token="x", of_type="NoAuthorization", wh=0),
        event("Ended", 1, minutes(30), wh=5000),
    )

    assert answer == {"idTokenInfo": {"status": "Accepted"}}
    assert not Session.objects.exists()


@pytest.mark.req("OCPP-55")
@pytest.mark.parametrize("own", [True, False])
def test_only_the_operators_own_driver_is_told_what_it_cost(
    station: Station, card: str, own: bool, document: Document
) -> None:
    if own:
        ChargePoint.objects.update(country_code="DE", party_id="EMS")
        station.row.refresh_from_db()

    *_, last = station.tells(*whole(card))

    assert last == ({"totalCost": 4.2} if own else {})  # 3.50 and 20 % VAT


# ---------------------------------------------------------------- offline


@pytest.mark.req("OCPP-56", "OCPP-40")
@pytest.mark.parametrize(("offline", "billed"), [(True, True), (False, False)])
def test_who_was_let_in_offline_is_billed_though_the_card_is_blocked_now(
    station: Station, emsp: Person, document: Document, offline: bool, billed: bool
) -> None:
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS", valid=False))

    [answer, _] = station.tells(
        event("Started", 0, BASE, state="Charging", token=TAG, wh=0, offline=offline),
        event("Ended", 1, minutes(30), wh=5000, offline=offline),
    )

    assert answer["idTokenInfo"]["status"] == "Blocked"
    assert CDR.objects.exists() is billed
    assert ("offline_authorised" in station.transaction.flags) is billed


# ---------------------------------------------------------------- started by us


def commanded(station: Station, emsp: Person, document: Document, *, remote_start_id: int = 77) -> Command:
    """A START_SESSION that the charge point has accepted, for a Token we had never heard of."""
    token = document("token_rfid", uid="FROM-AN-APP", type="APP_USER")
    operation = Operation.objects.create(
        charge_point=station.row, action="RequestStartTransaction", asked_by="test", state="ANSWERED",
        payload=json.dumps({"idToken": {"idToken": "FROM-AN-APP", "type": "Central"},
                            "remoteStartId": remote_start_id}, separators=(",", ":")),
    )  # fmt: skip
    now = datetime.now(UTC)
    command = Command.objects.create(
        platform=Platform.objects.get(pk=emsp.id), response_url="https://emsp.example/r/1", digest="d",
        command="START_SESSION", state="DONE", country_code="DE", party_id="EMS", cpo_country_code="NL",
        cpo_party_id="TNM", request="{}", response="{}", correlation_id="c", charge_point=station.row,
        operation=operation, deadline_at=now, give_up_at=now,
    )  # fmt: skip
    CommandedToken.objects.create(
        charge_point=station.row, connector_id=1, id_tag="FROM-AN-APP", type="APP_USER", document=json.dumps(token),
        authorization_reference="REF-1", command=command, expires_at=now + timedelta(minutes=10),
    )  # fmt: skip
    return command


@pytest.mark.req("OCPP-54", "OCPP-74", "SES-24")
@pytest.mark.parametrize("named", [True, False])
def test_a_remote_start_is_joined_with_its_command(
    station: Station, emsp: Person, document: Document, named: bool
) -> None:
    command = commanded(station, emsp, document)
    started = event("Started", 0, BASE, state="Charging", wh=0, info={"remoteStartId": 77})
    token = {"idToken": {"idToken": "FROM-AN-APP", "type": "Central"}} if named else {}

    station.tells(started | token)

    session = json.loads(Session.objects.get().document)
    command.refresh_from_db()
    assert (session["auth_method"], session["authorization_reference"]) == ("COMMAND", "REF-1")
    assert session["cdr_token"]["uid"] == "FROM-AN-APP"
    assert command.session_id == session["id"]
    assert station.transaction.started_by == command.operation_id


@pytest.mark.req("OCPP-54")
def test_another_number_joins_nothing(station: Station, emsp: Person, document: Document) -> None:
    commanded(station, emsp, document, remote_start_id=770)

    station.tells(event("Started", 0, BASE, state="Charging", wh=0, info={"remoteStartId": 77}))

    assert station.transaction.started_by is None
    assert not Session.objects.exists()


@pytest.mark.req("OCPP-54")
def test_a_remote_start_is_found_behind_many_later_ones_with_the_same_first_digits(
    station: Station, emsp: Person, document: Document
) -> None:
    command = commanded(station, emsp, document)
    Operation.objects.update(created_at=BASE)
    for number in range(7700, 7725):
        Operation.objects.create(
            charge_point=station.row, action="RequestStartTransaction", asked_by="test", state="ANSWERED",
            payload=f'{{"remoteStartId":{number}}}',
        )  # fmt: skip

    station.tells(event("Started", 0, BASE, state="Charging", wh=0, info={"remoteStartId": 77}))

    assert station.transaction.started_by == command.operation_id


# ---------------------------------------------------------------- meter values


@pytest.mark.req("OCPP-66")
def test_values_of_an_evse_belong_to_its_transaction_of_that_time(station: Station, card: str) -> None:
    started, *_, ended = whole(card)

    def values(evse_id: int, at: datetime, wh: int) -> None:
        sampled = [{"timestamp": stamp(at), "sampledValue": [register(wh)]}]
        station.says("MeterValues", {"evseId": evse_id, "meterValue": sampled})

    values(1, minutes(-5), 500)
    station.tells(started)
    values(1, minutes(10), 3000)
    values(0, minutes(11), 999_999)
    values(2, minutes(12), 888)
    assert json.loads(Session.objects.get().document)["kwh"] in (0, 2)
    station.tells({**ended, "seqNo": 1})
    values(1, minutes(20), 4000)
    values(1, minutes(90), 50_000)

    kept = MeterReading.objects.order_by("at").values_list("register_wh", flat=True)
    assert [int(each) for each in kept if each is not None] == [1000, 3000, 4000, 11_000]
    assert CDR.objects.count() == 1
    assert json.loads(CDR.objects.get().document)["total_energy"] == 10


@pytest.mark.req("OCPP-67")
@pytest.mark.parametrize(
    ("measurand", "unit", "values", "kwh"),
    [
        ("Energy.Active.Import.Interval", "Wh", [0, 1000, 2500], 3.5),
        ("Power.Active.Import", "W", [6000, 6000, 6000], 6),
        ("Power.Active.Import", "W", [0, 6000, 6000], 4.5),
    ],
)
def test_without_a_register_intervals_or_power_make_the_energy(
    station: Station, card: str, measurand: str, unit: str, values: list[int], kwh: float
) -> None:
    def at(number: int, seq_no: int, kind: str, **more: Any) -> dict[str, Any]:
        sample = {"measurand": measurand, "value": values[number], "unitOfMeasure": {"unit": unit}}
        moment = minutes(30 * number)
        metered = [{"timestamp": stamp(moment), "sampledValue": [sample]}]
        return event(kind, seq_no, moment, **more) | {"meterValue": metered}

    station.tells(
        at(0, 0, "Started", state="Charging", token=card), at(1, 1, "Updated"), at(2, 2, "Ended", reason="Local")
    )

    assert json.loads(CDR.objects.get().document)["total_energy"] == kwh


@pytest.mark.req("OCPP-49", "OCPP-67")
def test_meter_values_that_come_again_are_counted_once(station: Station, card: str) -> None:
    def interval(minute: float, value: int) -> dict[str, Any]:
        sample = {"measurand": "Energy.Active.Import.Interval", "value": value}
        return {"evseId": 1, "meterValue": [{"timestamp": stamp(minutes(minute)), "sampledValue": [sample]}]}

    station.tells(event("Started", 0, BASE, state="Charging", token=card))
    for minute, value in ((15, 1000), (30, 2500), (15, 1000), (30, 2500)):
        station.says("MeterValues", interval(minute, value))
    station.tells(event("Ended", 1, minutes(60), reason="Local"))

    assert json.loads(CDR.objects.get().document)["total_energy"] == 3.5


@pytest.mark.req("OCPP-70", "CDR-51", "CDR-53")
def test_what_the_meter_signed_is_in_the_cdr_bit_for_bit(station: Station, card: str) -> None:
    started, charging, half, ended = whole(card)
    text = 'OCMF|{"FV":"1.0"}|{"SD":"30"}'
    data = base64.b64encode(text.encode()).decode()
    signed = {"signedMeterData": data, "signingMethod": "ECDSA", "encodingMethod": "OCMF", "publicKey": "a2V5"}
    for payload in (started, ended):
        payload["meterValue"][0]["sampledValue"][0]["signedMeterValue"] = signed

    station.tells(started, charging, half, ended)

    kept = MeterReading.objects.exclude(signatures=[])
    assert [each.signatures for each in kept] == [[signed], [signed]]
    found = json.loads(CDR.objects.get().document)["signed_data"]
    assert (found["encoding_method"], found["public_key"]) == ("OCMF", "a2V5")
    assert [(each["nature"], each["signed_data"], each["plain_data"]) for each in found["signed_values"]] == [
        ("Start", data, text),
        ("End", data, text),
    ]
