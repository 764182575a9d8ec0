"""Charge points, id tags, templates and transactions over the operation API, without any gateway."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings

from cpo.gateway import passwords
from cpo.models import (
    ChargePoint,
    ChargePointConnector,
    ChargingProfileTemplate,
    IdTag,
    Operation,
    Session,
    Transaction,
)
from cpo.modules import charging_profile_templates as templates
from tests.cpo_support import BASE, EVSE_UID, LOCATION, SECOND_EVSE_UID, Point, add_location, stamp
from tests.fixtures import Document
from tests.operation_api import Caller, add_charge_point, caller
from tests.operation_api import api_fixture as api_fixture

NIGHT: dict[str, Any] = {
    "description": "night", "purpose": "ChargePointMaxProfile", "kind": "Absolute", "unit": "W",
    "periods": [{"start_period": 0, "limit": 11000.5}, {"start_period": 3600, "limit": 0, "number_phases": 3}],
    "start_schedule": "2030-01-31T22:00:00Z", "duration": 28800,
}  # fmt: skip


# ---------------------------------------------------------------- charge points


@pytest.mark.req("OCPP-123")
def test_a_charge_point_is_added_changed_and_removed(api: Caller) -> None:
    added = api.post("charge-points", {"identity": "CP*1@x", "protocols": ["ocpp2.0.1"], "strictness": "strict"})
    row = ChargePoint.objects.get()
    shown = added.json
    assert (added.status, shown["identity"], shown["party"]) == (201, "CP*1@x", "NL*TNM")
    assert shown["url"].endswith("/ocpp/CP*1@x")
    assert passwords.matches(row.password_digest, shown["password"].encode(), _secret_key())
    assert "password" not in api.get("charge-points/CP*1@x").json

    changed = api.put("charge-points/cp*1@X", {"boot_status": "Pending", "heartbeat_seconds": 60, "password": "secret"})
    row.refresh_from_db()
    assert (changed.json["boot_status"], changed.json["heartbeat_seconds"]) == ("Pending", 60)
    assert changed.json["protocols"] == ["ocpp2.0.1"]
    assert passwords.matches(row.password_digest, b"secret", _secret_key())
    assert api.put("charge-points/CP*1@x", {"heartbeat_seconds": None}).json["heartbeat_seconds"] is None
    options = {
        "ping_timeout_seconds": 0, "frame_bytes": 65_536, "compression": True, "switched_off": ["DataTransfer"],
        "register_direction": "export",
    }  # fmt: skip
    told = api.put("charge-points/CP*1@x", options).json
    assert {name: told[name] for name in options} == options
    assert api.put("charge-points/CP*1@x", {"password": "", "security_profile": 0}).json["password_set"] is False

    assert api.delete("charge-points/CP*1@x").status == 204
    assert api.get("charge-points/CP*1@x").status == 404


def _secret_key() -> str:
    return str(settings.SECRET_KEY)


@pytest.mark.req("OCPP-123")
@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, (422, "INVALID"), "identity"),
        ({"identity": "a b"}, (422, "INVALID"), "identity"),
        ({"identity": "x" * 49}, (422, "INVALID"), "identity"),
        ({"identity": "cp-1"}, (409, "CONFLICT"), "identity"),
        ({"identity": "CP-2", "security_profile": 4}, (422, "INVALID"), "security_profile"),
        ({"identity": "CP-2", "protocols": []}, (422, "INVALID"), "protocols"),
        ({"identity": "CP-2", "protocols": ["ocpp1.5"]}, (422, "INVALID"), "protocols.0"),
        ({"identity": "CP-2", "boot_status": "Maybe"}, (422, "INVALID"), "boot_status"),
        ({"identity": "CP-2", "switched_off": ["StopTransaction"]}, (422, "INVALID"), "switched_off.0"),
        ({"identity": "CP-2", "frame_bytes": 1023}, (422, "INVALID"), "frame_bytes"),
        ({"identity": "CP-2", "register_direction": "both"}, (422, "INVALID"), "register_direction"),
        ({"identity": "CP-2", "party": "FR*XXX"}, (403, "FORBIDDEN"), None),
        ({"identity": "CP-2", "layout": {"location_id": "NONE"}}, (422, "INVALID"), "layout.location_id"),
    ],
)
def test_a_charge_point_that_cannot_be_is_refused(api: Caller, body: Any, code: Any, field: str | None) -> None:
    add_charge_point("CP-1")

    answer = api.post("charge-points", body)

    assert (answer.code, answer.json.get("field")) == (code, field)
    assert ChargePoint.objects.count() == 1


@pytest.mark.req("OCPP-123")
def test_many_are_added_at_once_and_each_is_told_of(api: Caller) -> None:
    answer = api.post("charge-points", [{"identity": "A"}, {"identity": "a"}, "B", {"identity": "C", "color": "red"}])

    assert [each["identity"] for each in answer.json["created"]] == ["A"]
    assert [(each["index"], each["error"]) for each in answer.json["refused"]] == [
        (1, "CONFLICT"), (2, "INVALID"), (3, "INVALID"),
    ]  # fmt: skip


@pytest.mark.req("OCPP-123")
def test_a_layout_gives_it_evses(api: Caller) -> None:
    layout = {"evses": 2, "connectors_per_evse": 2}

    shown = api.post("charge-points", {"identity": "CP-1", "layout": layout}).json

    assert [(each["connector"], each["hardware"]) for each in shown["layout"]] == [(1, 1), (2, 1)]
    assert shown["location_id"]


@pytest.mark.req("OCPP-123")
def test_a_layout_is_changed(api: Caller, document: Document) -> None:
    location = add_location(document("location"))
    add_charge_point("CP-1", location_id=None)
    placed = [{"evse_uid": EVSE_UID, "connector": 2}, {"evse_uid": SECOND_EVSE_UID, "connector": 1, "hardware": 1}]

    shown = api.put("charge-points/CP-1", {"location_id": LOCATION, "layout": placed}).json
    assert [(each["evse_uid"], each["connector"], each["hardware"]) for each in shown["layout"]] == [
        (SECOND_EVSE_UID, 1, 1), (EVSE_UID, 2, None),
    ]  # fmt: skip
    assert shown["location_id"] == location.object_id

    for wrong, field in (
        ({"location_id": "NONE"}, "location_id"),
        ({"layout": [{"evse_uid": "NONE", "connector": 1}]}, "layout"),
        ({"layout": [{"evse_uid": EVSE_UID, "connector": 1}, {"evse_uid": SECOND_EVSE_UID, "connector": 1}]}, "layout"),
    ):
        refused = api.put("charge-points/CP-1", wrong)
        assert (refused.code, refused.json["field"]) == ((422, "INVALID"), field)
    assert len(api.get("charge-points/CP-1").json["layout"]) == 2  # as it was
    assert api.put("charge-points/CP-1", {"layout": []}).json["layout"] == []


@pytest.mark.req("OCPP-123")
def test_one_that_has_metered_something_stays(api: Caller) -> None:
    _transaction(add_charge_point())

    assert api.delete("charge-points/CP-1").code == (409, "CONFLICT")
    assert ChargePoint.objects.exists()


# ---------------------------------------------------------------- unknown ids


@pytest.mark.req("OCPP-82")
@pytest.mark.parametrize(
    ("protocol", "action", "payload", "field"),
    [
        ("1.6", "UnlockConnector", {"connectorId": 9}, "payload.connectorId"),
        ("1.6", "CancelReservation", {"reservationId": 9}, "payload.reservationId"),
        ("1.6", "ClearChargingProfile", {"id": 9}, "payload.id"),
        ("2.0.1", "Reset", {"type": "OnIdle", "evseId": 9}, "payload.evseId"),
        ("2.0.1", "ChangeAvailability", {"operationalStatus": "Operative", "evse": {"id": 9}}, "payload.evse.id"),
        ("2.0.1", "ClearChargingProfile", {"chargingProfileId": 9}, "payload.chargingProfileId"),
    ],
)
def test_unknown_ids_are_sent_only_if_the_caller_insists(
    api: Caller, protocol: str, action: str, payload: Any, field: str
) -> None:
    point = add_charge_point(protocol=protocol)
    ChargePointConnector.objects.create(charge_point=point, connector_id=1)
    wish = {"action": action, "payload": payload, "deliver_later": True}
    ChargePoint.objects.update(online=False)  # nobody waits for the frame then

    refused = api.post("charge-points/CP-1/operations", wish)
    sent = api.post("charge-points/CP-1/operations", {**wish, "force": True})

    assert (refused.code, refused.json["field"]) == ((422, "UNKNOWN_ID"), field)
    assert (sent.status, sent.json["state"]) == (202, "QUEUED")
    assert Operation.objects.count() == 1


# ---------------------------------------------------------------- id tags


@pytest.mark.req("OCPP-122")
def test_id_tags_are_written_read_and_removed(api: Caller) -> None:
    made = api.post("id-tags", {"id_tag": "Tag1", "expires_at": "2020-01-01T00:00:00Z", "parent_id_tag": "P"})
    assert (made.status, made.json["status"], made.json["max_transactions"]) == (201, "valid", 1)
    assert made.json["expires_at"] == "2020-01-01T00:00:00.000Z"
    assert api.post("id-tags", {"id_tag": "tag1"}).code == (409, "CONFLICT")
    assert api.post("id-tags", {"id_tag": "x" * 37}).json["field"] == "id_tag"
    assert api.post("id-tags", {"id_tag": "T2", "status": "lost"}).json["field"] == "status"

    changed = api.put("id-tags/TAG1", {"status": "blocked"})
    assert (changed.json["status"], changed.json["expires_at"], changed.json["parent_id_tag"]) == (
        "blocked",
        None,
        None,
    )
    assert [each["id_tag"] for each in api.get("id-tags?status=blocked&party=NL*TNM").json] == ["Tag1"]
    assert api.delete("id-tags/tag1").status == 204
    assert api.get("id-tags/tag1").status == 404


@pytest.mark.req("OCPP-122")
def test_the_same_tag_of_two_tenants_is_two_tags(api: Caller) -> None:
    everybody = caller(tenant=None)
    for party in ("NL*TNM", "DE*OTH"):
        assert everybody.post("id-tags", {"id_tag": "T", "party": party}).status == 201

    assert everybody.get("id-tags/T").json["field"] == "party"
    assert everybody.get("id-tags/T?party=DE*OTH").json["party"] == "DE*OTH"
    assert api.get("id-tags/T").json["party"] == "NL*TNM"


_HOUR = timedelta(hours=1)


@pytest.mark.req("OCPP-122", "OCPP-118")
@pytest.mark.parametrize(
    ("columns", "status"),
    [
        ({}, "Accepted"),
        ({"status": "blocked"}, "Blocked"),
        ({"expires_at": datetime.now(UTC) - _HOUR}, "Expired"),
        ({"expires_at": datetime.now(UTC) + 1000 * _HOUR}, "Accepted"),
    ],
)
def test_a_start_respects_what_holds_for_a_tag(api: Caller, columns: Any, status: str) -> None:
    point = Point(add_charge_point())
    IdTag.objects.create(country_code="NL", party_id="TNM", id_tag="TAG1", parent_id_tag="PARENT", **columns)

    authorize = point.says("Authorize", {"idTag": "tag1"})
    start = point.start("Tag1", at=datetime.now(UTC))

    assert authorize["idTagInfo"]["status"] == start["idTagInfo"]["status"] == status
    assert start["idTagInfo"]["parentIdTag"] == "PARENT"
    shown = api.get("charge-points/CP-1/transactions").json
    assert [(each["authorised"], each["flags"]) for each in shown] == [(status == "Accepted", [])]
    assert not Session.objects.exists()  # nothing of it is published


@pytest.mark.req("OCPP-122")
def test_no_more_transactions_run_than_a_tag_may_have(api: Caller) -> None:
    first, second = Point(add_charge_point("CP-1")), Point(add_charge_point("CP-2"))
    api.post("id-tags", {"id_tag": "TAG1", "max_transactions": 1})
    now = datetime.now(UTC)
    first.start("TAG1", at=now)

    assert second.says("Authorize", {"idTag": "TAG1"})["idTagInfo"]["status"] == "ConcurrentTx"
    assert first.says("Authorize", {"idTag": "TAG1"})["idTagInfo"]["status"] == "Accepted"  # the driver ends it
    assert second.start("TAG1", at=now)["idTagInfo"]["status"] == "ConcurrentTx"
    assert api.get("id-tags/TAG1").json["open_transactions"] == 1
    api.put("id-tags/TAG1", {"max_transactions": 0})
    assert second.start("TAG1", at=now, connector=2)["idTagInfo"]["status"] == "Accepted"


@pytest.mark.req("OCPP-122")
def test_a_tag_of_another_tenant_lets_nobody_in_here(api: Caller) -> None:
    point = Point(add_charge_point())
    IdTag.objects.create(country_code="DE", party_id="OTH", id_tag="TAG1")

    assert point.says("Authorize", {"idTag": "TAG1"})["idTagInfo"]["status"] == "Invalid"


# ---------------------------------------------------------------- transactions


def _transaction(point: ChargePoint, **columns: Any) -> Transaction:
    values = {"connector_id": 1, "transaction_id": 5, "id_tag": "TAG1", "authorised": True, "started_at": BASE,
              "meter_start": 1000}  # fmt: skip
    return Transaction.objects.create(charge_point=point, **{**values, **columns})


@pytest.mark.req("OCPP-118")
def test_a_transaction_shows_what_was_metered(api: Caller) -> None:
    point = Point(add_charge_point())
    api.post("id-tags", {"id_tag": "TAG1"})
    number = point.start("TAG1", at=BASE)["transactionId"]

    running = api.get("charge-points/CP-1/transactions?state=open").json
    point.stop(number, 3500, at=BASE + _HOUR, reason="EVDisconnected")
    stopped = api.get("charge-points/CP-1/transactions?state=closed").json

    members = ("ocpp_transaction_id", "connector", "evse", "id_tag", "stop_reason", "meter_start", "meter_stop",
               "authorised", "synthetic")  # fmt: skip
    assert [running[0][name] for name in members] == [number, 1, None, "TAG1", None, 1000, None, True, False]
    assert running[0]["stopped_at"] is None
    assert [stopped[0][name] for name in members] == [
        number,
        1,
        None,
        "TAG1",
        "EVDisconnected",
        1000,
        3500,
        True,
        False,
    ]
    assert stopped[0]["ref"] == running[0]["ref"]
    assert stopped[0]["started_at"].startswith(stamp(BASE)[:-1])
    assert api.get("charge-points/CP-1/transactions?state=open").headers["X-Total-Count"] == "0"


@pytest.mark.req("OCPP-118")
def test_a_transaction_of_2_0_1_is_called_as_its_station_calls_it(api: Caller) -> None:
    point = add_charge_point(protocol="2.0.1")
    _transaction(point, ocpp_id="4f3c", connector_id=2, plug=1)

    shown = api.get("charge-points/CP-1/transactions").json[0]

    assert (shown["ocpp_transaction_id"], shown["evse"], shown["connector"]) == ("4f3c", 2, 1)


@pytest.mark.req("OCPP-118")
def test_transactions_are_ordered_filtered_and_paged(api: Caller) -> None:
    point = add_charge_point()
    for number in range(3):
        _transaction(point, transaction_id=number + 1, started_at=BASE + number * _HOUR, id_tag=f"T{number % 2}")

    def numbers(query: str) -> list[int]:
        answer = api.get(f"charge-points/CP-1/transactions?{query}")
        return [each["ocpp_transaction_id"] for each in answer.json]

    assert numbers("") == [3, 2, 1]
    assert numbers("order=started_at&limit=2") == [1, 2]
    assert numbers("order=-started_at&limit=1&offset=1") == [2]
    assert numbers("id_tag=t1") == [2]
    assert api.get("charge-points/CP-1/transactions?limit=1").headers["X-Total-Count"] == "3"


# ---------------------------------------------------------------- templates


@pytest.mark.req("OCPP-121")
def test_templates_are_written_found_and_removed(api: Caller) -> None:
    made = api.post("charging-profile-templates", NIGHT)
    ref = made.json["ref"]
    assert made.status == 201
    assert {name: made.json[name] for name in NIGHT} == NIGHT
    assert api.post("charging-profile-templates", NIGHT).code == (409, "CONFLICT")
    assert api.get("charging-profile-templates?description=NIG").json[0]["ref"] == ref
    assert api.get("charging-profile-templates?description=day").json == []

    changed = api.put(f"charging-profile-templates/{ref}", {**NIGHT, "description": "day", "kind": "Relative"})
    assert (changed.json["description"], changed.json["kind"]) == ("day", "Relative")
    assert api.delete(f"charging-profile-templates/{ref}").status == 204
    assert api.get(f"charging-profile-templates/{ref}").status == 404


@pytest.mark.req("OCPP-121")
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"purpose": "Other"}, "purpose"),
        ({"unit": "kW"}, "unit"),
        ({"periods": []}, "periods"),
        ({"periods": [{"start_period": 10, "limit": 1}]}, "periods"),
        ({"periods": [{"start_period": 0, "limit": 1}, {"start_period": 0, "limit": 2}]}, "periods"),
        ({"periods": [{"start_period": 0}]}, "periods.0.limit"),
        ({"kind": "Recurring"}, "recurrency_kind"),
        ({"valid_from": "soon"}, "valid_from"),
    ],
)
def test_a_template_that_is_none_is_refused(api: Caller, change: Any, field: str) -> None:
    answer = api.post("charging-profile-templates", {**NIGHT, **change})

    assert (answer.code, answer.json["field"]) == ((422, "INVALID"), field)


@pytest.mark.req("OCPP-121")
def test_limits_are_sent_unchanged_in_the_form_of_each_version(api: Caller) -> None:
    api.post("charging-profile-templates", NIGHT)
    row = ChargingProfileTemplate.objects.get()

    old = templates.profile(row, "1.6", transaction_id=7)
    new = templates.profile(row, "2.0.1", transaction_id="x")

    periods = [
        {"startPeriod": 0, "limit": 11000.5}, {"startPeriod": 3600, "limit": 0, "numberPhases": 3},
    ]  # fmt: skip
    assert old["chargingProfilePurpose"] == "ChargePointMaxProfile"
    assert new["chargingProfilePurpose"] == "ChargingStationMaxProfile"
    assert "transactionId" not in old  # only a TxProfile belongs to a transaction
    for schedule in (old["chargingSchedule"], new["chargingSchedule"][0]):
        assert [{name: float(value) if name == "limit" else value for name, value in period.items()}
                for period in schedule["chargingSchedulePeriod"]] == periods  # fmt: skip
        assert (schedule["duration"], schedule["startSchedule"]) == (28800, "2030-01-31T22:00:00Z")
    assert old["chargingProfileId"] != new["id"]
