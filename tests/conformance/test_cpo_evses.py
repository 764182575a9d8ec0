"""EVSEs of our charge points to the world: their Status, hardware that several share, what they turn out not to do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cpo.models import EVSE, ChargePoint, MissingFeature, Session
from cpo.modules import charge_points, features
from cpo.modules import chargingprofiles_operations as chargingprofiles
from cpo.modules import locations_operations as locations
from tests.cpo_support import (
    BASE,
    EVSE_UID,
    OWNER,
    SECOND_EVSE_UID,
    Point,
    add_location,
    add_point,
    add_tariff,
    answer_operation,
    tariff,
    with_tariff,
)
from tests.fixtures import Document, Partner
from tests.platforms import Listener

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]
NOW = datetime.now(UTC)


@pytest.fixture
def point(document: Document) -> Point:
    add_tariff(tariff())
    return add_point(add_location(with_tariff(document("location"))), evses=(EVSE_UID, SECOND_EVSE_UID))


def statuses(point: Point) -> list[str]:
    return list(EVSE.objects.filter(charge_point=point.row).order_by("connector_id").values_list("status", flat=True))


@pytest.mark.req("LOC-65")
@pytest.mark.parametrize(("said", "shown"), [
    ("Available", "AVAILABLE"), ("Reserved", "RESERVED"), ("Charging", "CHARGING"), ("SuspendedEV", "CHARGING"),
    ("Unavailable", "INOPERATIVE"), ("Faulted", "OUTOFORDER"),
])  # fmt: skip
def test_what_a_connector_says_is_a_status(point: Point, said: str, shown: str) -> None:
    point.status(said)

    assert statuses(point)[0] == shown


@pytest.mark.req("LOC-65")
def test_an_evse_nobody_knows_anything_of_is_unknown_also_when_offline(point: Point) -> None:
    locations.refresh(point.row.pk)
    at_first = statuses(point)[0]
    point.status("Available")
    ChargePoint.objects.update(online=False, last_seen_at=NOW - timedelta(hours=1))
    locations.refresh_due()

    assert (at_first, statuses(point)[0]) == ("UNKNOWN", "UNKNOWN")


# ---------------------------------------------------------------- one EVSE, several connectors


def together(point: Point) -> None:
    EVSE.objects.filter(charge_point=point.row).update(hardware=1)
    point.status("Available", connector=1)
    point.status("Available", connector=2)


@pytest.mark.req("LOC-67")
@pytest.mark.parametrize("said", ["Charging", "SuspendedEV", "SuspendedEVSE", "Finishing", "Reserved"])
def test_who_shares_hardware_that_is_in_use_is_inoperative(point: Point, said: str) -> None:
    together(point)
    point.status(said, connector=1)
    in_use = statuses(point)
    point.status("Available", connector=1)

    assert in_use[1] == "INOPERATIVE"
    assert in_use[0] in ("CHARGING", "RESERVED")
    assert statuses(point) == ["AVAILABLE", "AVAILABLE"]


@pytest.mark.req("LOC-67")
def test_a_transaction_alone_makes_the_others_inoperative(point: Point) -> None:
    together(point)
    point.status("Preparing", connector=2)
    number = point.start("UNKNOWN-TAG", connector=2)["transactionId"]
    during = statuses(point)
    point.stop(number, 2000, at=BASE + timedelta(minutes=5))
    point.status("Available", connector=2)

    assert during[0] == "INOPERATIVE"
    assert statuses(point) == ["AVAILABLE", "AVAILABLE"]


@pytest.mark.req("LOC-67")
def test_evses_with_hardware_of_their_own_do_not_meet(point: Point) -> None:
    point.status("Available", connector=2)
    point.status("Charging", connector=1)

    assert statuses(point) == ["CHARGING", "AVAILABLE"]


@pytest.mark.req("LOC-67", "CMD-35")
def test_a_charge_point_is_added_with_an_evse_for_each_connector() -> None:
    added = charge_points.add("CP-2", owner=OWNER, evses=4, connectors_per_evse=2)

    rows = EVSE.objects.filter(uid__in=added.evses).order_by("connector_id")
    assert list(rows.values_list("connector_id", "hardware")) == [(1, 1), (2, 1), (3, 2), (4, 2)]


@pytest.mark.req("LOC-68")
def test_an_evse_with_several_connectors_behind_one_asks_for_the_connector(document: Document) -> None:
    add_location(document("location"))

    charge_points.add("CP-2", owner=OWNER, location_id="LOC-UTR-0042")

    wanted = {uid: "START_SESSION_CONNECTOR_REQUIRED" in capabilities(uid) for uid in (EVSE_UID, SECOND_EVSE_UID)}
    assert wanted == {EVSE_UID: True, SECOND_EVSE_UID: False}


# ---------------------------------------------------------------- what it turns out not to do


def capabilities(uid: str = EVSE_UID) -> set[str]:
    return set(json.loads(EVSE.objects.get(uid=uid).document)["capabilities"])


@pytest.mark.req("LOC-69")
def test_what_was_taken_away_is_not_loaded_back(
    point: Point, document: Document, partner: Partner, listener: Listener
) -> None:
    partner("DE*EMS:EMSP", listener=listener)
    row = MissingFeature.objects.create(
        charge_point=point.row, action="UnlockConnector", count=features.REFUSALS, firmware="1.0",
        evse_ids=[EVSE.objects.get(uid=EVSE_UID).pk],
    )  # fmt: skip
    locations.set_capability(row.evse_ids[0], "UNLOCK_CAPABLE", present=False)

    changed: dict[str, Any] = with_tariff(document("location", name="Another name"))
    add_location(changed)
    kept = capabilities()
    row.delete()
    add_location(changed)

    assert "UNLOCK_CAPABLE" not in kept
    assert "RESERVABLE" in kept
    assert "UNLOCK_CAPABLE" in capabilities()


@pytest.mark.req("LOC-69")
def test_charging_profiles_are_not_offered_where_three_were_not_known(
    point: Point, document: Document, partner: Partner, listener: Listener, settings: Any
) -> None:
    settings.OCPI_PROFILE_CHANGE_SECONDS = 0
    emsp = partner("DE*EMS:EMSP", listener=listener)
    emsp.put("cpo/2.2.1/tokens/DE/EMS/04C7A1E2B95D80", document("token_rfid", whitelist="ALWAYS"))
    point.start("04C7A1E2B95D80")
    url = f"cpo/2.2.1/chargingprofiles/{Session.objects.get().object_id}"
    answers = []

    for number in range(4):
        body = document("charging_profile", response_url=f"{emsp.url}/results/{number}")
        answers.append(emsp.put(url, body).data["result"])
        if answers[-1] == "ACCEPTED":
            operation = answer_operation(state="CALLERROR", error="NotImplemented: x")
            chargingprofiles.settle(operation.pk)

    assert answers == ["ACCEPTED", "ACCEPTED", "ACCEPTED", "NOT_SUPPORTED"]
    assert "CHARGING_PROFILE_CAPABLE" not in capabilities()
