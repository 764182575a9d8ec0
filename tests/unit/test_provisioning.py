"""Boots are kept with their history, and charge points are set as planned once after each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cpo.models import (
    BootRecord,
    ChargePoint,
    ConfigurationValue,
    Operation,
    ProvisioningPlan,
    ProvisioningResult,
    ProvisioningRun,
    StationEvent,
)
from cpo.modules import provisioning, provisioning_plans
from tests.cpo_support import Point
from tests.devices_support import BOOT_16, BOOT_201, add_device, asked, end, waiting

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


def plan(settings: dict[str, str], *, name: str = "all", protocol: str = "1.6", **columns: Any) -> ProvisioningPlan:
    row = ProvisioningPlan.objects.create(name=name, country_code="NL", party_id="TNM", protocol=protocol, **columns)
    for key, value in settings.items():
        row.settings.create(key=key, value=value)
    return row


def boots(point: Point, payload: dict[str, Any] | None = None, *, at: datetime | None = None) -> None:
    version = point.row.protocol
    point.says(
        "BootNotification", payload or (BOOT_16 if version == "1.6" else BOOT_201), at=at, protocol=version, answer="{}"
    )


def configuration(**values: str) -> dict[str, Any]:
    return {"configurationKey": [{"key": key, "readonly": False, "value": value} for key, value in values.items()]}


def statuses(point: Point) -> dict[str, str]:
    return dict(ProvisioningResult.objects.filter(charge_point=point.row).values_list("key", "status"))


# ------------------------------------------------------------ boots


@pytest.mark.req("OCPP-35")
@pytest.mark.parametrize(("protocol", "payload"), [("1.6", BOOT_16), ("2.0.1", BOOT_201)])
def test_what_a_boot_says_is_kept(protocol: str, payload: dict[str, Any]) -> None:
    point = add_device(protocol=protocol)

    boots(point, payload)

    row = BootRecord.objects.get()
    assert (row.vendor, row.iccid, row.imsi, row.boots) == ("Acme", "8931", "20404", 1)
    assert (row.model, row.serial, row.firmware) in {("One", "SN-1", "1.0"), ("Two", "SN-2", "2.0")}
    assert not StationEvent.objects.exists()


@pytest.mark.req("OCPP-35")
def test_the_same_words_again_are_counted_and_other_ones_are_history() -> None:
    point = add_device()
    start = datetime.now(UTC) - timedelta(hours=3)

    for hours, firmware in enumerate(("1.0", "1.0", "1.1")):
        boots(point, {**BOOT_16, "firmwareVersion": firmware}, at=start + timedelta(hours=hours))

    old, new = BootRecord.objects.order_by("id")
    assert (old.firmware, old.boots, old.last_at - old.first_at) == ("1.0", 2, timedelta(hours=1))
    assert (new.firmware, new.boots) == ("1.1", 1)


@pytest.mark.req("OCPP-35")
@pytest.mark.parametrize(
    ("changes", "kind", "critical"),
    [
        ({"firmwareVersion": "1.1"}, "FirmwareChanged", False),
        ({"chargePointSerialNumber": "SN-9"}, "SerialChanged", True),
        ({"meterSerialNumber": "MS-9"}, "MeterSerialChanged", True),
    ],
)
def test_other_firmware_or_another_serial_is_an_event(changes: dict[str, str], kind: str, critical: bool) -> None:
    point = add_device()
    boots(point)

    boots(point, BOOT_16 | changes)
    boots(point, BOOT_16 | changes)

    event = StationEvent.objects.get()
    assert (event.kind, event.critical, event.source) == (kind, critical, "PLATFORM")
    assert "→" in event.info


# ------------------------------------------------------------ plans


@pytest.mark.req("OCPP-34")
def test_the_nearer_plan_wins() -> None:
    point = add_device()
    plan({"HeartbeatInterval": "900", "A": "all", "B": "all"})
    plan({"heartbeatinterval": "300", "A": "model"}, name="model", vendor="ACME", model="one")
    plan({"A": "this"}, name="this", charge_point=point.row)
    plan({"B": "other model"}, name="other", model="Nine")
    plan({"B": "off"}, name="off", charge_point=point.row, active=False)
    plan({"B": "other version"}, name="201", protocol="2.0.1")

    found = provisioning_plans.wanted(point.row, model=("Acme", "One"))

    assert found == {"heartbeatinterval": "300", "A": "this", "B": "all"}


@pytest.mark.req("OCPP-34")
def test_only_what_differs_is_set_and_each_answer_is_its_keys_result() -> None:
    point = add_device()
    plan({"Same": "TRUE", "List": "a, b", "Yes": "1", "No": "1", "Later": "1", "Unheard": "1"})
    boots(point)
    assert asked("GetConfiguration") == [{}]

    said = configuration(same="true", List="a,b", Yes="0", No="0", Later="0")
    end(waiting("GetConfiguration"), said)
    answers = {"Yes": "Accepted", "No": "Rejected", "Later": "RebootRequired", "Unheard": "NotSupported"}
    for _ in answers:
        [payload] = asked("ChangeConfiguration")
        assert payload["value"] == "1"
        end(waiting("ChangeConfiguration"), {"status": answers[payload["key"]]})

    assert statuses(point) == {"Same": "Same", "List": "Same", **answers}
    assert (ProvisioningRun.objects.get().state, asked()) == ("DONE", [])
    refused = ProvisioningResult.objects.get(key="No")
    assert (refused.wanted, refused.actual, refused.error, refused.attempts) == ("1", "0", "Rejected", 1)
    assert ProvisioningResult.objects.get(key="Yes").actual == "1"
    assert ConfigurationValue.objects.get(key="Yes").value == "1"


@pytest.mark.req("OCPP-34")
def test_a_key_that_is_not_answered_is_asked_three_times_and_no_more() -> None:
    point = add_device()
    plan({"Key": "1"})
    boots(point)
    end(waiting("GetConfiguration"), configuration(Key="0"))

    for _ in range(3):
        end(waiting("ChangeConfiguration"), state="TIMEOUT", error="no answer within 30 s")
        ProvisioningRun.objects.filter(ended_at=None).update(due_at=datetime.now(UTC) - timedelta(seconds=1))
        provisioning.sweep()

    row = ProvisioningResult.objects.get()
    assert (row.status, row.attempts, row.error) == ("Unanswered", 3, "no answer within 30 s")
    assert (asked(), ProvisioningRun.objects.get().state) == ([], "DONE")
    assert Operation.objects.filter(action="ChangeConfiguration").count() == 3


@pytest.mark.req("OCPP-34")
def test_a_charge_point_that_does_not_say_how_it_is_set_is_asked_three_times() -> None:
    plan({"Key": "1"})
    boots(add_device())

    for _ in range(3):
        end(waiting("GetConfiguration"), state="TIMEOUT")
        ProvisioningRun.objects.filter(ended_at=None).update(due_at=datetime.now(UTC) - timedelta(seconds=1))
        provisioning.sweep()

    assert (asked(), ProvisioningRun.objects.get().state) == ([], "FAILED")


@pytest.mark.req("OCPP-34")
def test_there_is_one_run_per_accepted_boot() -> None:
    point = add_device()
    plan({"Key": "1"})

    ChargePoint.objects.update(boot_status="Pending")
    boots(point)
    assert asked() == []
    ChargePoint.objects.update(boot_status="Accepted")
    boots(point)
    end(waiting("GetConfiguration"), configuration(Key="1"))
    boots(point)

    assert asked("GetConfiguration") == [{}]
    assert ProvisioningRun.objects.get().state == "READING"
    assert statuses(point) == {"Key": "WAITING"}


@pytest.mark.req("OCPP-34")
@pytest.mark.parametrize("protocol", ["1.6", "2.0.1"])
def test_a_boot_that_was_only_asked_for_begins_nothing_again(protocol: str) -> None:
    point = add_device(protocol=protocol)
    plan({"A.B": "1"}, protocol=protocol)
    boots(point)
    first = ProvisioningRun.objects.get().booted_at
    Operation.objects.create(
        charge_point=point.row, action="TriggerMessage", payload='{"requestedMessage":"BootNotification"}',
        asked_by="test", state="ANSWERED", sent_at=datetime.now(UTC) - timedelta(seconds=2),
    )  # fmt: skip

    boots(point, BOOT_16 if protocol == "1.6" else {**BOOT_201, "reason": "Triggered"})

    assert ProvisioningRun.objects.get().booted_at == first


@pytest.mark.req("OCPP-34")
def test_without_a_plan_nothing_is_asked() -> None:
    boots(add_device())

    assert (asked("GetConfiguration"), ProvisioningRun.objects.count()) == ([], 0)


# ------------------------------------------------------------ OCPP 2.0.1


def report(name: str, value: str | None, **attribute: Any) -> dict[str, Any]:
    component, variable = name.split(".")
    actual = {"type": "Actual", **({} if value is None else {"value": value}), **attribute}
    return {
        "component": {"name": component},
        "variable": {"name": variable},
        "variableAttribute": [{"type": "Target", "value": "other"}, actual],
    }


def reports(point: Point, request_id: int, *rows: dict[str, Any], more: bool = False) -> None:
    payload = {"requestId": request_id, "seqNo": 0, "tbc": more, "generatedAt": "2026-11-01T00:00:00Z",
               "reportData": list(rows)}  # fmt: skip
    point.says("NotifyReport", payload, protocol="2.0.1", answer="{}")


@pytest.mark.req("OCPP-34")
def test_a_report_in_parts_is_compared_and_what_differs_set_together() -> None:
    point = add_device(protocol="2.0.1")
    plan({"A.Same": "1", "A.Yes": "1", "A.No": "1", "Gone@1:2.Away/x": "1", "A.Reboot": "1"}, protocol="2.0.1")
    boots(point)
    [base] = asked("GetBaseReport")
    assert base["reportBase"] == "FullInventory"

    end(waiting("GetBaseReport"), {"status": "Accepted"})
    reports(point, base["requestId"], report("A.Same", "1"), report("A.Yes", "0"), more=True)
    assert asked("SetVariables") == []
    reports(point, base["requestId"] - 1, report("A.No", "1"))
    reports(point, base["requestId"], report("A.No", "0", mutability="ReadOnly"), report("A.BasicAuthPassword", "x"))
    [message] = asked("SetVariables")
    named = {"A.Yes": "Accepted", "A.No": "Rejected", "Away": "UnknownVariable", "A.Reboot": "RebootRequired"}
    results = [
        {"component": row["component"], "variable": row["variable"],
         "attributeStatus": named.get(f"A.{row['variable']['name']}", named["Away"])}
        for row in message["setVariableData"]
    ]  # fmt: skip
    end(waiting("SetVariables"), {"setVariableResult": results})

    away = next(row for row in message["setVariableData"] if row["component"]["name"] == "Gone")
    assert away["component"]["evse"] == {"id": 1, "connectorId": 2}
    assert away["variable"] == {"name": "Away", "instance": "x"}
    assert statuses(point) == {
        "A.Same": "Same", "A.Yes": "Accepted", "A.No": "Rejected", "Gone@1:2.Away/x": "NotSupported",
        "A.Reboot": "RebootRequired",
    }  # fmt: skip
    assert ProvisioningRun.objects.get().state == "DONE"
    assert not ConfigurationValue.objects.filter(key__contains="Password").exists()
    assert ConfigurationValue.objects.get(key="A.No").readonly


@pytest.mark.req("OCPP-34")
@pytest.mark.parametrize("answer", [{"status": "NotSupported"}, None])
def test_a_charge_point_without_reports_is_set_all_the_same(answer: dict[str, str] | None) -> None:
    plan({"A.B": "1"}, protocol="2.0.1")
    boots(add_device(protocol="2.0.1"))

    end(waiting("GetBaseReport"), answer, state="ANSWERED" if answer else "CALLERROR")

    [message] = asked("SetVariables")
    assert message["setVariableData"][0]["attributeValue"] == "1"


@pytest.mark.req("OCPP-34")
def test_a_report_that_stops_coming_is_compared_as_far_as_it_came() -> None:
    point = add_device(protocol="2.0.1")
    plan({"A.Same": "1", "A.B": "1"}, protocol="2.0.1")
    boots(point)
    [base] = asked("GetBaseReport")
    end(waiting("GetBaseReport"), {"status": "Accepted"})
    reports(point, base["requestId"], report("A.Same", "1"), more=True)
    provisioning.sweep()
    assert asked("SetVariables") == []

    ProvisioningRun.objects.update(due_at=datetime.now(UTC) - timedelta(seconds=1))
    provisioning.sweep()

    [message] = asked("SetVariables")
    assert [row["variable"]["name"] for row in message["setVariableData"]] == ["B"]


@pytest.mark.req("OCPP-34")
@pytest.mark.parametrize(
    ("protocol", "text", "wrong"),
    [
        ("1.6", "HeartbeatInterval", "line 1: a setting is written key = value"),
        ("1.6", "\nAuthorizationKey = 00", "line 2: a password is not set by a plan"),
        ("1.6", f"{'k' * 51} = 1", "line 1: a key of OCPP 1.6"),
        ("2.0.1", "HeartbeatInterval = 1", "line 1: a key of OCPP 2.0.1 is Component.Variable"),
        ("2.0.1", "SecurityCtrlr.BasicAuthPassword = 1", "line 1: a password"),
        ("1.6", "A = 1\na = 2", "line 2: a is there twice"),
    ],
)
def test_a_broken_line_of_a_plan_is_named(protocol: str, text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        provisioning_plans.check_lines(text.splitlines(), protocol=protocol)

    assert provisioning_plans.check_lines(["# why", "A.B = x = y", ""], protocol=protocol) == {"A.B": "x = y"}
