"""Requests to the operation API that no good caller makes: each is told which field breaks which rule."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from cpo.models import IdTag, Operation, Reservation, Transaction
from cpo.modules import reservations_local
from ocpi import clock
from tests.operation_api import Caller, add_charge_point
from tests.operation_api import api_fixture as api_fixture

pytestmark = pytest.mark.django_db
TEMPLATE = {
    "description": "night", "purpose": "TxProfile", "kind": "Relative", "unit": "A",
    "periods": [{"start_period": 0, "limit": 16.0}],
}  # fmt: skip


@pytest.mark.req("OCPP-117", "OCPP-118", "OCPP-120", "OCPP-121", "OCPP-122", "OCPP-124")
@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("charge-points/CP-1/transactions?id_tag=", "id_tag"),
        ("charge-points/CP-1/operations?action=", "action"),
        ("charge-points/CP-1/reservations?id_tag=", "id_tag"),
        ("charge-points/CP-1/frames?action=", "action"),
        ("id-tags?id_tag=", "id_tag"),
        ("charging-profile-templates?description=", "description"),
    ],
)
def test_a_nul_in_a_query_is_refused_and_named(api: Caller, path: str, field: str) -> None:
    add_charge_point()

    answer = api.get(f"{path}a%00b")

    assert (answer.status, answer.json["field"], answer.json["rule"]) == (422, field, "characters")
    assert api.get(f"{path}ab").status == 200


@pytest.mark.req("OCPP-115", "OCPP-122")
@pytest.mark.parametrize("path", ["charge-points/%00", "charge-points/CP-1%00/operations", "id-tags/a%00b"])
def test_a_nul_in_a_path_names_nothing(api: Caller, path: str) -> None:
    assert api.get(path).code == (404, "NOT_FOUND")


@pytest.mark.req("OCPP-121", "OCPP-122")
@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("id-tags", {"id_tag": "a\x00b"}, "id_tag"),
        ("id-tags", {"id_tag": "A", "note": "\x00"}, "note"),
        ("id-tags", {"id_tag": "A", "parent_id_tag": "\x00"}, "parent_id_tag"),
        ("charging-profile-templates", TEMPLATE | {"description": "\x00"}, "description"),
    ],
)
def test_a_nul_in_a_body_is_refused_and_named(api: Caller, path: str, body: Any, field: str) -> None:
    answer = api.post(path, {"party": "NL*TNM", **body})

    assert (answer.status, answer.json["field"], answer.json["rule"]) == (422, field, "characters")
    assert not IdTag.objects.exists()


@pytest.mark.req("OCPP-115", "OCPP-19")
def test_a_nul_in_a_payload_is_the_charge_points_business(api: Caller) -> None:
    add_charge_point(online=False)

    asked = {"action": "DataTransfer", "payload": {"vendorId": "v", "data": "a\x00b"}, "deliver_later": True}
    answer = api.post("charge-points/CP-1/operations", asked)

    assert (answer.status, json.loads(Operation.objects.get().payload)) == (202, asked["payload"])


@pytest.mark.req("OCPP-115")
@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-13-01T00:00:00Z"])
def test_a_moment_that_no_calendar_has_is_refused_before_it_is_kept(api: Caller, moment: str) -> None:
    """A reservation until then was kept once, and no list with it could be read any more."""
    add_charge_point()
    reserve = {"connectorId": 1, "idTag": "TAG", "expiryDate": moment}

    for path, body, field in (
        ("id-tags", {"party": "NL*TNM", "id_tag": "A", "expires_at": moment}, "expires_at"),
        ("charge-points/CP-1/operations", {"action": "ClearCache", "expires_at": moment}, "expires_at"),
        ("charge-points/CP-1/operations", {"action": "ReserveNow", "payload": reserve}, "payload.expiryDate"),
    ):
        answer = api.post(path, body)
        assert (answer.status, answer.json["field"], answer.json["rule"]) == (422, field, "date-time")
    assert (api.get("charge-points/CP-1/reservations").json, Reservation.objects.count()) == ([], 0)


@pytest.mark.req("OCPP-115", "OCPP-120")
@pytest.mark.parametrize("tag", [None, "", "T\x00", "T" * 37, 5])
def test_a_reservation_without_a_usable_tag_says_so(api: Caller, tag: object) -> None:
    add_charge_point()
    payload = {"connectorId": 1, "idTag": tag, "expiryDate": "2030-01-01T00:00:00Z"}

    answer = api.post("charge-points/CP-1/operations", {"action": "ReserveNow", "payload": payload})

    assert (answer.status, answer.json["field"]) == (422, "payload.idTag")
    assert not Reservation.objects.exists()


@pytest.mark.req("OCPP-82", "OCPP-115")
def test_a_connector_beyond_all_numbers_is_still_sent_if_the_caller_insists(api: Caller) -> None:
    add_charge_point(online=False)
    payload = {"connectorId": 10**12, "idTag": "TAG", "expiryDate": "2030-01-01T00:00:00Z"}
    asked = {"action": "ReserveNow", "payload": payload, "force": True, "deliver_later": True}

    assert api.post("charge-points/CP-1/operations", asked).status == 202
    assert json.loads(Operation.objects.get().payload)["connectorId"] == 10**12


@pytest.mark.req("OCPP-115")
def test_a_body_deeper_than_any_message_is_refused(api: Caller) -> None:
    add_charge_point()

    def deep(levels: int) -> str:
        data = "[" * levels + "]" * levels
        return f'{{"action":"ClearCache","payload":{{"a":{data}}}}}'

    refused = api.ask("POST", "charge-points/CP-1/operations", raw=deep(500))
    taken = api.ask("POST", "charge-points/CP-1/operations", raw=deep(30))

    assert (refused.status, refused.json["rule"]) == (422, "depth")
    assert (taken.status, taken.json["field"]) == (422, "payload.a")


@pytest.mark.req("OCPP-118", "OCPP-120", "OCPP-117", "OCPP-115")
def test_records_of_another_tenant_are_not_there_by_their_names_either(api: Caller) -> None:
    own, theirs = add_charge_point(), add_charge_point("CP-2", country_code="DE", party_id="OTH")
    refs = {}
    for point, number in ((own, 1), (theirs, 2)):
        row = Transaction.objects.create(
            charge_point=point, connector_id=1, transaction_id=number, id_tag="TAG", authorised=True,
            started_at=clock.now(), meter_start=0,
        )  # fmt: skip
        held = reservations_local.make(point, connector=1, id_tag="TAG", expires_at=clock.now() + timedelta(hours=1))
        refs[point.pk] = (f"transactions/tx-{row.pk}", f"reservations/res-{held.pk}")

    for path in refs[own.pk]:
        assert api.get(path).status == 200
    for path in refs[theirs.pk]:
        assert api.get(path).code == (404, "NOT_FOUND")
    # Nor may an operation name them.
    for kind, action, path in zip(
        ("transaction", "reservation"), ("RemoteStopTransaction", "CancelReservation"), refs[theirs.pk], strict=True
    ):
        asked = {"action": action, "refs": {kind: path.partition("/")[2]}}
        assert api.post("charge-points/CP-1/operations", asked).code == (422, "UNKNOWN_REF")
    assert not Operation.objects.exists()


@pytest.mark.req("OCPP-117", "OCPP-29")
def test_operations_are_found_by_state_and_action_and_show_no_password(api: Caller) -> None:
    point = add_charge_point()
    secret = {"key": "AuthorizationKey", "value": "0123456789abcdef0123456789abcdef01234567"}
    for action, payload, state in (
        ("ChangeConfiguration", secret, "ANSWERED"), ("ClearCache", {}, "SENT"), ("ClearCache", {}, "TIMEOUT"),
    ):  # fmt: skip
        Operation.objects.create(
            charge_point=point, action=action, payload=json.dumps(payload), asked_by="test", state=state
        )

    def found(query: str) -> list[tuple[str, str]]:
        listed = api.get(f"charge-points/CP-1/operations?{query}")
        assert listed.headers["X-Total-Count"] == str(len(listed.json))
        return sorted((each["action"], each["state"]) for each in listed.json)

    assert found("state=SENT") == [("ClearCache", "SENT")]
    assert found("state=SENT,TIMEOUT") == [("ClearCache", "SENT"), ("ClearCache", "TIMEOUT")]
    assert found("state=TIMEOUT&action=ChangeConfiguration") == []
    assert found("action=ChangeConfiguration") == [("ChangeConfiguration", "ANSWERED")]
    for path in ("charge-points/CP-1/operations", f"operations/{Operation.objects.get(state='ANSWERED').pk}"):
        assert secret["value"] not in api.get(path).content.decode()


@pytest.mark.req("OCPP-81", "OCPP-115")
def test_an_idempotency_key_is_of_one_charge_point(api: Caller) -> None:
    for identity in ("CP-1", "CP-2"):
        add_charge_point(identity, online=False)
    asked = {"action": "ClearCache", "deliver_later": True, "idempotency_key": "once"}

    ids = [api.post(f"charge-points/{name}/operations", asked).json["id"] for name in ("CP-1", "CP-2", "CP-1", "CP-2")]

    assert ids[:2] == ids[2:]
    assert len(set(ids)) == 2


@pytest.mark.req("OCPP-123", "OCPP-09")
def test_a_disconnected_charge_point_is_told_to_its_node_as_a_newer_connection_would_be(api: Caller) -> None:
    point = add_charge_point()

    assert api.post("charge-points/CP-1/disconnect").json == {"disconnected": True}

    before = point.epoch
    point.refresh_from_db()
    assert (point.epoch, point.online) == (before + 1, False)
    assert api.post("charge-points/CP-1/disconnect").json == {"disconnected": False}
