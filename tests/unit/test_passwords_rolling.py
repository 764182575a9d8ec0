"""Another password for a charge point: sent in its words, both good until it is used, never left lying about."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings

from cpo.gateway import passwords
from cpo.models import ChargePoint, Operation, StationEvent
from cpo.modules import passwords_rolling
from cpo.modules.passwords_rolling import NotRolled
from tests.cpo_support import Point
from tests.devices_support import add_device, asked, end, waiting

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]
ACTIONS = {"1.6": "ChangeConfiguration", "2.0.1": "SetVariables"}


def answer(protocol: str, status: str) -> dict[str, Any]:
    if protocol == "1.6":
        return {"status": status}
    named = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    return {"setVariableResult": [{"attributeStatus": status, **named}]}


def rolled(protocol: str = "1.6") -> tuple[Point, str]:
    """Return a charge point that is being sent another password, and that password."""
    point = add_device(protocol=protocol, password_digest="old")
    passwords_rolling.roll(point.row.pk, by="tester")
    [payload] = asked(ACTIONS[protocol])
    if protocol == "1.6":
        assert payload["key"] == "AuthorizationKey"
        return point, payload["value"]
    [data] = payload["setVariableData"]
    assert (data["component"]["name"], data["variable"]["name"]) == ("SecurityCtrlr", "BasicAuthPassword")
    return point, data["attributeValue"]


def digests(point: Point) -> tuple[str, bool]:
    row = ChargePoint.objects.get(pk=point.row.pk)
    return row.password_digest, bool(row.next_password_digest)


@pytest.mark.req("OCPP-05")
@pytest.mark.parametrize("protocol", ["1.6", "2.0.1"])
def test_the_new_one_is_kept_as_a_digest_and_sent_in_the_words_of_the_version(protocol: str) -> None:
    point, password = rolled(protocol)

    row = ChargePoint.objects.get(pk=point.row.pk)
    assert row.next_password_digest == passwords.digest(password, str(settings.SECRET_KEY))
    assert (len(bytes.fromhex(password)), row.password_digest) == (20, "old")
    with pytest.raises(NotRolled, match="has not come with it"):
        passwords_rolling.roll(point.row.pk, by="tester")


@pytest.mark.req("OCPP-05")
@pytest.mark.parametrize("protocol", ["1.6", "2.0.1"])
@pytest.mark.parametrize(
    ("status", "both"), [("Accepted", True), ("RebootRequired", True), ("Rejected", False), ("NotSupported", False)]
)
def test_a_refusal_drops_the_new_one_and_a_yes_keeps_both(protocol: str, status: str, both: bool) -> None:
    status = "NotSupportedAttributeType" if (protocol, status) == ("2.0.1", "NotSupported") else status
    point, _ = rolled(protocol)

    end(waiting(ACTIONS[protocol]), answer(protocol, status))

    assert digests(point) == ("old", both)
    assert StationEvent.objects.filter(kind="PasswordNotChanged").exists() is not both


@pytest.mark.req("OCPP-05")
@pytest.mark.parametrize(
    ("state", "both"), [("TIMEOUT", True), ("CONNECTION_LOST", True), ("INVALID_ANSWER", True), ("CALLERROR", False)]
)
def test_if_nobody_knows_whether_it_was_taken_both_stay_good(state: str, both: bool) -> None:
    point, _ = rolled()

    end(waiting("ChangeConfiguration"), state=state)

    assert digests(point) == ("old", both)


@pytest.mark.req("OCPP-05")
@pytest.mark.parametrize("heard", [True, False])
def test_once_the_operation_has_ended_the_password_is_wiped(heard: bool) -> None:
    point, password = rolled()
    operation = waiting("ChangeConfiguration")
    assert password in operation.payload

    if heard:
        end(operation, {"status": "Accepted"})
    else:
        Operation.objects.update(state="ANSWERED", answer='{"status":"Accepted"}', sent_at=point.row.last_seen_at)
        passwords_rolling.sweep()

    operation.refresh_from_db()
    assert password not in operation.payload
    assert ChargePoint.objects.get(pk=point.row.pk).password_operation is None


@pytest.mark.req("OCPP-05")
def test_a_charge_point_that_is_away_gets_no_password() -> None:
    point = add_device(online=False)

    with pytest.raises(NotRolled, match="not connected"):
        passwords_rolling.roll(point.row.pk, by="tester")

    assert asked() == []


@pytest.mark.req("OCPP-05")
def test_an_operator_may_go_on_with_the_present_one() -> None:
    point, _ = rolled()

    assert passwords_rolling.forget_next(point.row.pk, by="tester")
    assert digests(point) == ("old", False)
    assert not passwords_rolling.forget_next(point.row.pk, by="tester")
