"""Who is told that an operation has ended: whoever names it in a row, reads such answers, or has asked."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from cpo.consumer import Consumer
from cpo.models import LocalList, Operation, Report, SmartCharging
from cpo.modules import (
    abilities,
    availability,
    certificates_installed,
    chargingprofiles_reported,
    local_lists_sending,
    passwords_rolling,
    reports,
    reservations_local,
    settling,
)
from cpo.modules import chargingprofiles_operations as chargingprofiles
from tests.operation_api import add_charge_point

pytestmark = pytest.mark.django_db
_numbers = itertools.count(1)


def operation(action: str = "Reset", *, asked_by: str = "test") -> Operation:
    return Operation.objects.create(
        charge_point=add_charge_point(f"CP-{next(_numbers)}"),
        action=action,
        payload="{}",
        asked_by=asked_by,
        state="TIMEOUT",
    )


@pytest.mark.req("OCPP-79")
def test_whoever_keeps_an_operation_in_a_row_is_told_of_its_end() -> None:
    naming = {
        each.related_model
        for each in Operation._meta.get_fields(include_hidden=True)
        if each.auto_created and each.one_to_many
    }

    # A report is looked for by what was asked: before there is one, no row names the operation.
    assert naming - {Report} == {model for model, _ in settling.BY_ROW}


@pytest.mark.req("OCPP-79")
def test_those_are_told_whose_rows_name_the_operation() -> None:
    one, other = operation(), operation()
    LocalList.objects.create(charge_point=one.charge_point, operation=one)
    SmartCharging.objects.create(charge_point=one.charge_point, operation=one)

    assert set(settling.concerned(one.pk)) == {local_lists_sending.settle, chargingprofiles.settle}
    assert settling.concerned(other.pk) == []
    assert settling.concerned(uuid4()) == []


@pytest.mark.req("OCPP-79")
@pytest.mark.parametrize(
    ("action", "told"),
    [
        ("GetConfiguration", [abilities.settle]),
        ("UnlockConnector", [abilities.settle]),
        ("ChangeAvailability", [availability.settle]),
        ("DeleteCertificate", [certificates_installed.settle]),
        ("GetChargingProfiles", [chargingprofiles_reported.settle, reports.settle]),
        ("GetBaseReport", [reports.settle]),
        ("CancelReservation", [reservations_local.settle]),
        ("Reset", []),
    ],
)
def test_those_are_told_who_read_such_answers(action: str, told: list[Callable[[UUID], None]]) -> None:
    assert settling.concerned(operation(action).pk) == told


@pytest.mark.req("OCPP-79")
def test_a_new_password_is_settled_by_who_has_asked_for_it() -> None:
    asked = operation("ChangeConfiguration", asked_by=passwords_rolling.ASKED_BY)

    assert settling.concerned(asked.pk) == [passwords_rolling.settle]


@pytest.mark.req("OCPP-113")
def test_no_message_waits_behind_operations_that_end(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, looked_at = threading.Event(), threading.Event()

    def look(_: UUID) -> list[Any]:
        go_on.wait(20)
        return []

    monkeypatch.setattr(settling, "concerned", look)
    monkeypatch.setattr(Consumer, "_work", lambda *_: looked_at.set())
    monkeypatch.setattr(Consumer, "_begin", lambda _: None)
    consumer = Consumer()
    try:
        for _ in range(50):
            consumer._hear("ocpp_operation_done", str(uuid4()))
        consumer._hear("ocpp_inbox", "1")
        assert looked_at.wait(10)
    finally:
        go_on.set()
        for pool in (consumer._applying, consumer._settling, consumer._asking):
            pool.shutdown(cancel_futures=True)
