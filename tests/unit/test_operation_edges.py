"""Requests to the operation API that no good caller makes: each is told which field breaks which rule."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cpo.models import IdTag, Operation, Reservation
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
