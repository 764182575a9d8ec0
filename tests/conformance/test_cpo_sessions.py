"""From a charge point's messages to Sessions and CDRs, and both Sender interfaces; money is checked by hand."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from cpo.models import CDR, ChargePoint, MeterReading, Session, TenantPolicy, Transaction
from cpo.modules import sessions_operations
from ocpi import snapshot, tariff_pricing
from ocpi.models import Delivery, Party
from ocpi.outbox_engine import drain_now
from ocpi.v2_2_1 import cdrs as cdr_schema
from ocpi.v2_2_1 import sessions as session_schema
from ocpi.v2_2_1.types import format_datetime
from tests.conformance.suites import ListSuite
from tests.cpo_support import (
    BASE,
    EVSE_UID,
    LOCATION,
    TARIFF,
    Point,
    add_location,
    add_tariff,
    stamp,
    tariff,
    with_tariff,
)
from tests.cpo_support import point_fixture as point_fixture
from tests.fixtures import DOCUMENTS, Document, Partner
from tests.people import Person
from tests.platforms import Listener

SESSIONS, CDRS = "cpo/2.2.1/sessions", "cpo/2.2.1/cdrs"
EARLY = {"date_from": "2020-01-01T00:00:00Z"}
TAG = "04C7A1E2B95D80"
pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


@pytest.fixture
def card(emsp: Person, document: Document) -> str:
    """A card that is accepted without asking."""
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))
    return TAG


def without_tariff(location: dict[str, Any]) -> dict[str, Any]:
    for evse in location["evses"]:
        for connector in evse["connectors"]:
            connector.pop("tariff_ids", None)
    return location


def minutes(number: float) -> datetime:
    return BASE + timedelta(minutes=number)


def exact(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


# ---------------------------------------------------------------- a whole session


@pytest.mark.req("OCPP-67")
@pytest.mark.parametrize(("direction", "shown"), [("export", (6000, 1500, 20)), ("import", (1500, 6000, 10))])
def test_the_register_of_a_charge_point_is_the_one_its_record_names(
    point: Point, card: str, direction: str, shown: tuple[int, int, int]
) -> None:
    ChargePoint.objects.filter(pk=point.row.pk).update(register_direction=direction)
    number = point.start(card)["transactionId"]
    sampled = [
        {"measurand": f"{kind}.{way}{rest}", "value": str(value)}
        for kind, way, rest, value in (
            ("Energy.Active", "Import", ".Register", 1500), ("Energy.Active", "Export", ".Register", 6000),
            ("Current", "Import", "", 10), ("Current", "Export", "", 20),
        )
    ]  # fmt: skip
    values = {"timestamp": stamp(minutes(30)), "sampledValue": sampled}

    point.says("MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": [values]})

    reading = MeterReading.objects.get()
    assert (reading.register_wh, reading.export_wh, reading.current_a) == tuple(map(Decimal, shown))


@pytest.mark.req("OCPP-66")
def test_values_without_a_transaction_are_of_the_one_that_was_open_then(point: Point, card: str) -> None:
    first = point.start(card)["transactionId"]
    point.stop(first, 9000, at=minutes(60))
    point.start(card, at=minutes(70), meter=9000)
    sampled = {"timestamp": stamp(minutes(30)), "sampledValue": [{"value": "6000"}]}

    point.says("MeterValues", {"connectorId": 1, "meterValue": [sampled]})

    assert MeterReading.objects.get().transaction.transaction_id == first


@pytest.mark.req("OCPP-67")
def test_only_what_leaves_the_outlet_is_billed(point: Point, card: str) -> None:
    number = point.start(card)["transactionId"]
    sampled: list[dict[str, str]] = [
        {"value": "900000", "location": "Inlet"}, {"value": "800000", "location": "Body"},
        {"value": "7", "location": "EV", "measurand": "Current.Import"}, {"value": "6000"},
        {"value": "5", "location": "Outlet", "measurand": "Current.Import"},
    ]  # fmt: skip
    values = {"timestamp": stamp(minutes(30)), "sampledValue": sampled}

    point.says("MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": [values]})

    reading = MeterReading.objects.get()
    assert (reading.register_wh, reading.current_a) == (Decimal(6000), Decimal(5))


@pytest.mark.req("CDR-42", "CDR-43", "OCPP-95", "OCPP-97", "PRI-47")
def test_a_session_with_parking_costs_what_the_hand_says(point: Point, card: str) -> None:
    number = point.start(card, meter=1000)["transactionId"]
    point.meter(number, 6000, at=minutes(30))
    point.meter(number, 11000, at=minutes(60))
    point.status("SuspendedEV", at=minutes(60))
    point.stop(number, 11000, at=minutes(90))

    cdr = exact(CDR.objects.get().document)

    # 0.50 + 10 kWh x 0.30 + 0.5 h x 2.00 = 4.50; with 20 % VAT 5.40
    assert cdr["total_cost"] == {"excl_vat": Decimal("4.5"), "incl_vat": Decimal("5.4")}
    assert cdr["total_fixed_cost"]["excl_vat"] == Decimal("0.5")
    assert cdr["total_energy_cost"]["excl_vat"] == Decimal("3")
    assert cdr["total_parking_cost"]["excl_vat"] == Decimal("1")
    assert (cdr["total_energy"], cdr["total_time"], cdr["total_parking_time"]) == (10, Decimal("1.5"), Decimal("0.5"))
    assert [each["start_date_time"] for each in cdr["charging_periods"]] == [stamp(BASE), stamp(minutes(60))]
    assert {each["tariff_id"] for each in cdr["charging_periods"]} == {TARIFF}


@pytest.mark.req("CDR-17", "CDR-18", "CDR-28", "CDR-29", "CDR-33", "CDR-38", "CDR-40", "PRI-101", "PRI-102")
def test_a_cdr_is_whole_and_any_receiver_comes_to_the_same_price(point: Point, card: str, document: Document) -> None:
    point.charge(card)

    row, session = CDR.objects.get(), Session.objects.get()
    cdr = exact(row.document)

    cdr_schema.check(row.document.encode(), "CDR", strict=True)
    checked = tariff_pricing.check(tariff_pricing.loads(row.document), [], timezone="Europe/Amsterdam")
    assert checked.verdict == "match"
    assert "period_spans_price_change" not in checked.findings
    assert cdr["session_id"] == session.object_id == row.session_id
    token = document("token_rfid")
    assert cdr["cdr_token"] == {
        name: token[name] for name in ("country_code", "party_id", "uid", "type", "contract_id")
    }
    assert [each["id"] for each in cdr["tariffs"]] == [TARIFF]
    assert cdr["cdr_location"]["evse_uid"] == EVSE_UID
    assert {each["type"] for period in cdr["charging_periods"] for each in period["dimensions"]} == {"ENERGY", "TIME"}


@pytest.mark.req("OCPP-95", "OCPP-128")
@pytest.mark.parametrize(
    ("chosen", "status", "hours"),
    [(False, "", None), (True, "", Decimal("0.5")), (True, "SuspendedEV", Decimal("0.25"))],
    ids=["not chosen", "chosen", "a charge point that tells"],
)
def test_a_tenant_may_choose_that_a_car_without_power_parks(
    point: Point, card: str, chosen: bool, status: str, hours: Decimal | None
) -> None:
    TenantPolicy.objects.create(country_code="NL", party_id="TNM", parks_by_power=chosen)
    number = point.start(card, meter=1000)["transactionId"]
    for minute, wh, power in ((0, 1000, 11_000), (30, 6000, 20), (45, 6000, 0)):
        sampled = [{"value": str(wh)}, {"value": str(power), "measurand": "Power.Active.Import"}]
        value = {"timestamp": stamp(minutes(minute)), "sampledValue": sampled}
        point.says("MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": [value]})
    if status:
        point.status(status, at=minutes(45))
    point.stop(number, 6000, at=minutes(60))

    assert exact(CDR.objects.get().document).get("total_parking_time") == hours


@pytest.mark.req("OCPP-95", "SES-33", "PRI-102")
def test_a_session_shows_a_period_each_quarter_and_its_cdr_only_what_is_priced(point: Point, card: str) -> None:
    number = point.start(card, meter=1000)["transactionId"]
    for minute, wh in ((10, 4000), (20, 8000), (40, 10_000)):
        point.meter(number, wh, at=minutes(minute))
    point.stop(number, 11_000, at=minutes(50))

    shown = exact(Session.objects.get().document)
    periods = shown["charging_periods"]
    assert [each["start_date_time"] for each in periods] == [stamp(minutes(at)) for at in (0, 15, 30, 45)]
    energies = [dimension["volume"] for each in periods for dimension in each["dimensions"]
                if dimension["type"] == "ENERGY"]  # fmt: skip
    assert energies == [5, 3, Decimal("1.5"), Decimal("0.5")]
    cdr = exact(CDR.objects.get().document)
    assert [each["start_date_time"] for each in cdr["charging_periods"]] == [stamp(BASE)]
    assert shown["total_cost"] == cdr["total_cost"]


@pytest.mark.req("CDR-18", "CDR-19", "TAR-41")
def test_a_cdr_has_everything_as_it_was_at_the_start(point: Point, card: str, emsp: Person, document: Document) -> None:
    number = point.start(card)["transactionId"]
    dear = tariff(last_updated="2026-03-02T09:30:00Z")
    dear["elements"][0]["price_components"][1]["price"] = 9.99
    add_tariff(dear)
    moved = with_tariff(document("location", city="Amersfoort", last_updated="2026-03-02T09:30:00Z"), "OTHER")
    add_location(moved)
    emsp.patch(f"cpo/2.2.1/tokens/DE/EMS/{card}", {"contract_id": "NEW", "last_updated": "2026-03-02T09:30:00Z"})
    point.stop(number, 11_000, at=minutes(60))

    cdr = exact(CDR.objects.get().document)

    assert cdr["total_energy_cost"]["excl_vat"] == 3
    assert cdr["tariffs"][0]["elements"][0]["price_components"][1]["price"] == Decimal("0.3")
    assert cdr["cdr_location"]["city"] == "Utrecht"
    assert cdr["cdr_token"]["contract_id"] == document("token_rfid")["contract_id"]


@pytest.mark.req("SES-09", "SES-11", "SES-12", "SES-20", "SES-21", "CDR-02", "REL-01")
def test_the_emsp_gets_the_session_and_then_the_cdr(
    document: Document, point: Point, partner: Partner, listener: Listener, settings: Any
) -> None:
    settings.OCPI_SESSION_PUSH_SECONDS = 0
    emsp = partner("DE*EMS:EMSP", listener=listener)
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))

    number = point.start(TAG)["transactionId"]
    drain_now()
    point.meter(number, 2000, at=minutes(7))
    drain_now()
    point.meter(number, 3000, at=minutes(14))
    drain_now()
    point.stop(number, 11_000, at=minutes(60))
    drain_now()
    drain_now()

    path = f"/ocpi/2.2.1/receiver/sessions/NL/TNM/{Session.objects.get().object_id}"
    got = listener.received(path="/ocpi/2.2.1/receiver/sessions")
    assert {request.path for request in got} == {path}
    assert [request.method for request in got] == ["PUT", "PUT", "PATCH", "PUT"]
    assert [request.json.get("status") for request in got] == ["ACTIVE", "ACTIVE", None, "COMPLETED"]
    assert [request.json["kwh"] for request in got] == [0, 1, 2, 10]
    assert set(got[2].json) == {"kwh", "total_cost", "last_updated"}
    assert got[3].json["end_date_time"] == stamp(minutes(60))
    [cdr] = listener.received("POST", "/ocpi/2.2.1/receiver/cdrs")
    assert cdr.json["id"] == CDR.objects.get().object_id
    assert cdr.headers["ocpi-to-party-id"] == "EMS"
    assert not Delivery.objects.filter(module__in=["sessions", "cdrs"]).exists()


@pytest.mark.req("SES-10", "HUB-87")
def test_a_session_goes_to_nobody_but_the_emsp_of_its_token(point: Point, card: str, second_emsp: Person) -> None:
    Delivery.objects.all().delete()

    point.charge(card)

    rows = Delivery.objects.filter(module__in=["sessions", "cdrs"])
    assert {(row.module, row.to_party_id) for row in rows} == {("sessions", "EMS"), ("cdrs", "EMS")}
    assert second_emsp.id not in {row.platform_id for row in rows}


@pytest.mark.req("SES-10", "HUB-16")
def test_through_a_hub_the_emsp_is_addressed_and_not_the_hub(hub: Person, document: Document, point: Point) -> None:
    kept = hub.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))

    point.charge(TAG)

    assert kept.codes == (201, 1000)
    rows = Delivery.objects.filter(module__in=["sessions", "cdrs"])
    assert {(each.platform_id, each.module, each.to_party_id) for each in rows} == {
        (hub.id, "sessions", "EMS"),
        (hub.id, "cdrs", "EMS"),
    }


# ---------------------------------------------------------------- updates


@pytest.mark.req("OCPP-96")
def test_updates_wait_for_the_pause_between_two_pushes(point: Point, card: str) -> None:
    number = point.start(card)["transactionId"]
    first = Session.objects.get().pushed_at

    point.meter(number, 4000, at=minutes(20))
    point.meter(number, 5000, at=minutes(25))

    waiting = Session.objects.get()
    assert waiting.pushed_at == first
    assert first is not None
    assert waiting.push_due_at is not None
    assert 50 < (waiting.push_due_at - first).total_seconds() <= 60
    assert json.loads(waiting.document)["kwh"] == 0

    Session.objects.update(push_due_at=timezone.now())
    sessions_operations.push_due()

    pushed = Session.objects.get()
    assert json.loads(pushed.document)["kwh"] == 4
    assert pushed.push_due_at is None


@pytest.mark.req("SES-26", "SES-27", "SES-33")
def test_a_running_session_has_its_cost_so_far(point: Point, card: str, settings: Any) -> None:
    settings.OCPI_SESSION_PUSH_SECONDS = 0
    number = point.start(card)["transactionId"]

    point.meter(number, 3000, at=minutes(20))

    found = exact(Session.objects.get().document)
    assert found["total_cost"]["excl_vat"] == Decimal("1.1")  # 0.50 + 2 kWh x 0.30
    assert found["status"] == "ACTIVE"
    assert "end_date_time" not in found
    session_schema.check(Session.objects.get().document.encode(), "Session", strict=True)


@pytest.mark.req("OCPP-68")
def test_a_reading_that_jumps_or_falls_is_left_out(point: Point, card: str) -> None:
    number = point.start(card)["transactionId"]
    point.meter(number, 900_000, at=minutes(10))
    point.meter(number, 500, at=minutes(20))
    point.meter(number, 6000, at=minutes(30))
    point.stop(number, 11_000, at=minutes(60))

    row = Transaction.objects.get()
    assert exact(CDR.objects.get().document)["total_energy"] == 10
    assert {"register_jumped", "register_fell"} <= set(row.flags)


@pytest.mark.req("OCPP-66")
def test_the_main_meter_is_never_billed(point: Point, card: str) -> None:
    number = point.start(card)["transactionId"]

    point.says(
        "MeterValues",
        {"connectorId": 0, "meterValue": [{"timestamp": stamp(minutes(5)), "sampledValue": [{"value": "99"}]}]},
    )

    assert not MeterReading.objects.exists()
    point.stop(number, 11_000, at=minutes(60))
    assert exact(CDR.objects.get().document)["total_energy"] == 10


@pytest.mark.req("OCPP-65")
def test_a_value_that_is_no_number_does_not_stop_the_others(point: Point, card: str) -> None:
    number = point.start(card)["transactionId"]
    values = [
        {"measurand": "Power.Active.Import", "unit": "W", "value": "a lot"},
        {"value": "2.5", "unit": "kWh"},
    ]

    point.says(
        "MeterValues",
        {
            "connectorId": 1,
            "transactionId": number,
            "meterValue": [{"timestamp": stamp(minutes(5)), "sampledValue": values}],
        },
    )

    assert MeterReading.objects.get().register_wh == 2500


@pytest.mark.req("CDR-51", "CDR-52", "CDR-53", "OCPP-70")
def test_what_the_meter_signed_is_in_the_cdr_bit_for_bit(point: Point, card: str) -> None:
    begin, end = (f'OCMF|{{"RV":{value},"RU":"kWh"}}|{{"SD":"3045\u00e9"}}' for value in ("1.0000", "11.000"))
    number = point.start(card)["transactionId"]

    def signed(text: str, context: str, minute: float) -> dict[str, Any]:
        sample = {"value": text, "format": "SignedData", "context": context}
        return {"timestamp": stamp(minutes(minute)), "sampledValue": [sample]}

    point.says("MeterValues", {"connectorId": 1, "transactionId": number,
                               "meterValue": [signed(begin, "Transaction.Begin", 0)]})  # fmt: skip
    point.stop(number, 11_000, at=minutes(60), data=[signed(end, "Transaction.End", 60)])

    text = CDR.objects.get().document
    found = exact(text)["signed_data"]
    cdr_schema.check(text.encode(), "CDR", strict=True)
    assert [(each["nature"], each["plain_data"]) for each in found["signed_values"]] == [("Start", begin), ("End", end)]
    assert base64.b64decode(found["signed_values"][0]["signed_data"]).decode() == begin
    assert exact(text)["total_energy"] == 10


RECORD = 'OCMF|{"FV":"1.0", "RD":[{"RV":1.0}]}|{"SD":"30"}'
RECORD_64 = base64.b64encode(RECORD.encode()).decode()


@pytest.mark.req("CDR-51", "CDR-53", "OCPP-70")
@pytest.mark.parametrize(
    ("value", "encoding", "key", "data", "plain"),
    [
        pytest.param(
            json.dumps({"publicKey": "a2V5", "signedMeterData": RECORD_64, "encodingMethod": "OCMF"}, indent=2),
            "OCMF", "a2V5", RECORD_64, RECORD, id="a SignedMeterValue as JSON",
        ),
        pytest.param(
            json.dumps({"signedMeterData": RECORD, "encodingMethod": "", "signingMethod": ""}),
            "OCMF", None, RECORD_64, RECORD, id="the record itself where its Base64 belongs",
        ),
        pytest.param(
            json.dumps({"signedMeterData": "3081aa", "encodingMethod": "EDL40 Mennekes"}),
            "EDL40 Mennekes", None, "3081aa", "3081aa", id="another encoding",
        ),
        pytest.param(
            json.dumps({"meter": {"ocmf": [RECORD]}}), "OCMF", None, RECORD_64, RECORD, id="a record in other JSON"
        ),
        pytest.param(
            "1b1b1b1b 0101", "unknown", None, base64.b64encode(b"1b1b1b1b 0101").decode(), "1b1b1b1b 0101",
            id="a form nobody has named",
        ),
        pytest.param(
            f" {RECORD} ", "OCMF", None, base64.b64encode(f" {RECORD} ".encode()).decode(), f" {RECORD} ",
            id="a record with spaces around it",
        ),
        pytest.param(
            "<a>\n</a>", "unknown", None, base64.b64encode(b"<a>\n</a>").decode(),
            base64.b64encode(b"<a>\n</a>").decode(), id="no text of OCPI",
        ),
    ],
)  # fmt: skip
def test_signed_values_of_1_6_are_read_in_every_form_and_kept_as_they_came(
    point: Point, card: str, value: str, encoding: str, key: str | None, data: str, plain: str
) -> None:
    number = point.start(card)["transactionId"]
    samples = [
        {"value": value, "format": "SignedData", "context": "Transaction.End"},
        {"value": "\x00", "format": "SignedData"},
    ]

    point.stop(number, 11_000, at=minutes(60), data=[{"timestamp": stamp(minutes(60)), "sampledValue": samples}])

    kept = [each for each in MeterReading.objects.all() if each.signatures]
    assert [each.signatures for each in kept] == [[{"value": value}]]
    text = CDR.objects.get().document
    cdr_schema.check(text.encode(), "CDR", strict=True)
    assert exact(text)["signed_data"] == {
        "encoding_method": encoding,
        **({"public_key": key} if key else {}),
        "signed_values": [{"nature": "End", "plain_data": plain, "signed_data": data}],
    }


# ---------------------------------------------------------------- listed


def stored(name: str, object_id: str, moment: datetime) -> str:
    """Return an example document with an id and a time of its own."""
    example = json.loads((DOCUMENTS / f"{name}.json").read_text())
    return json.dumps({**example, "id": object_id, "last_updated": format_datetime(moment)})


class TestCDRsList(ListSuite):
    place, reader, path = "cpo_side", "emsp", CDRS

    def make(self, index: int, moment: datetime) -> str:
        columns: dict[str, Any] = {
            "country_code": "NL", "party_id": "TNM", "last_updated": moment, "token_uid": "T",
            "start_date_time": moment, "emsp_country_code": "DE", "emsp_party_id": "EMS",
        }  # fmt: skip
        text = stored("cdr", f"C{index}", moment)
        CDR.objects.create(object_id=f"C{index}", session_id=f"S{index}", document=text, **columns)
        return f"C{index}"


class TestSessionsList(ListSuite):
    place, reader, path, date_required = "cpo_side", "emsp", SESSIONS, True

    def make(self, index: int, moment: datetime) -> str:
        columns: dict[str, Any] = {
            "country_code": "NL", "party_id": "TNM", "last_updated": moment, "token_uid": "T", "status": "ACTIVE",
            "start_date_time": moment, "emsp_country_code": "DE", "emsp_party_id": "EMS", "location_id": LOCATION,
        }  # fmt: skip
        text = stored("session", f"S{index}", moment)
        Session.objects.create(object_id=f"S{index}", document=text, **columns)
        return f"S{index}"


@pytest.mark.req("SES-01")
def test_sessions_need_a_date_from(emsp: Person) -> None:
    answer = emsp.get(SESSIONS)

    assert answer.codes == (200, 2001)
    assert "date_from" in answer.message


@pytest.mark.req("CDR-15", "SEC-37")
@pytest.mark.parametrize("path", [SESSIONS, CDRS])
def test_nobody_sees_another_emsps_sessions_and_cdrs(
    point: Point, card: str, emsp: Person, second_emsp: Person, path: str
) -> None:
    point.charge(card)

    own, foreign = emsp.get(path, query=EARLY), second_emsp.get(path, query=EARLY)
    unnamed = second_emsp.get(path, query=EARLY, sender=None)

    assert len(own.data) == 1
    assert (foreign.data, foreign.headers["X-Total-Count"]) == ([], "0")
    assert unnamed.data == []


@pytest.mark.req("CDR-15", "SEC-37")
def test_a_platform_with_two_emsps_sees_what_is_of_the_one_that_asks(
    point: Point, partner: Partner, document: Document
) -> None:
    platform = partner("DE*EMS:EMSP", "DE*TWO:EMSP")
    platform.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))
    point.charge(TAG)

    answers = [platform.get(CDRS, sender=sender) for sender in ("DE*EMS", "DE*TWO", None)]

    assert [len(answer.data) for answer in answers] == [1, 0, 1]
    Party.objects.filter(platform_id=platform.id, party_id="EMS").update(approved=False)
    snapshot.changed()
    assert platform.get(CDRS, sender=None).data == []  # a party that may not act is nobody's eMSP


@pytest.mark.req("SES-07", "CDR-05")
@pytest.mark.parametrize("path", [SESSIONS, CDRS])
def test_there_is_no_url_of_a_single_one(point: Point, card: str, emsp: Person, path: str) -> None:
    row = point.charge(card)
    assert row.session is not None

    assert emsp.get(f"{path}/{row.session.object_id}").http_status == 404
