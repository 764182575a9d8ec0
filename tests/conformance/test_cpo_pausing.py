"""A session paused and resumed at its charge point, and what a charge point that refuses makes of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cpo import chargingprofile_states as states
from cpo.models import ChargePointProfile, Operation, Session, SmartCharging
from cpo.modules import pausing
from cpo.modules.pausing import NotNow, PauseState
from tests.chargingprofiles_support import put_fixture as put_fixture
from tests.chargingprofiles_support import results, sent, settle
from tests.chargingprofiles_support import session_fixture as session_fixture
from tests.cpo_support import BASE, Point
from tests.cpo_support import emsp_fixture as emsp_fixture
from tests.cpo_support import point_fixture as point_fixture
from tests.platforms import Listener

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]

ACTIVE = "/ocpi/2.2.1/sender/chargingprofiles"


def profile(operation: Operation | None = None) -> Any:
    return sent(operation)["csChargingProfiles"]


@pytest.mark.req("OCPP-89", "OCPP-107")
def test_a_pause_is_a_profile_of_zero_above_the_partners_and_goes_again(session: Session) -> None:
    asked = pausing.pause(session, by="admin")
    given = profile()
    settle()
    paused = pausing.state_of(session)
    resuming = pausing.resume(session, by="admin")
    cleared = sent()
    settle()

    assert (asked.state, paused.state, resuming.state) == (PauseState.PAUSING, PauseState.PAUSED, PauseState.RESUMING)
    assert (given["chargingProfilePurpose"], given["stackLevel"]) == ("TxProfile", 2)
    assert given["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 0}]
    assert given["transactionId"] == session.transaction.transaction_id
    assert cleared == {"id": given["chargingProfileId"]}
    assert pausing.state_of(session).state == PauseState.RUNNING


@pytest.mark.req("OCPP-89")
@pytest.mark.parametrize(("how", "why"), [
    ({"status": "Rejected"}, "Rejected"),
    ({"state": "CALLERROR", "error": "NotSupported: no"}, "NotSupported: no"),
    ({"state": "TIMEOUT"}, "no answer: the profile is being taken back"),
])  # fmt: skip
def test_a_charge_point_that_refuses_goes_on_and_may_be_asked_again(
    session: Session, how: dict[str, Any], why: str
) -> None:
    pausing.pause(session, by="admin")
    Operation.objects.filter(state="QUEUED").update(sent_at=BASE)
    settle(**how)

    refused = pausing.state_of(session)

    assert (refused.state, refused.why) == (PauseState.REFUSED, why)
    with pytest.raises(NotNow, match="not paused"):
        pausing.resume(session, by="admin")
    assert pausing.pause(session, by="admin").state == PauseState.PAUSING


@pytest.mark.req("OCPP-89")
def test_what_cannot_be_paused_says_why(session: Session, point: Point) -> None:
    SmartCharging.objects.create(charge_point=point.row, supported=False)
    with pytest.raises(NotNow, match="takes no charging profiles"):
        pausing.pause(session, by="admin")
    SmartCharging.objects.all().delete()
    type(point.row).objects.update(online=False)
    with pytest.raises(NotNow, match="not connected"):
        pausing.pause(session, by="admin")
    type(point.row).objects.update(online=True)
    pausing.pause(session, by="admin")
    with pytest.raises(NotNow, match="is paused"):
        pausing.pause(session, by="admin")
    settle()
    point.stop(session.transaction.transaction_id, 2000, at=BASE + timedelta(hours=1))

    with pytest.raises(NotNow, match="does not run"):
        pausing.resume(session, by="admin")
    assert pausing.state_of(session).state == PauseState.RUNNING


@pytest.mark.req("OCPP-89", "OCPP-92", "CHP-21")
def test_where_there_is_no_level_above_the_partners_profile_comes_back_after_the_pause(
    session: Session, point: Point, put: Any, listener: Listener
) -> None:
    SmartCharging.objects.create(charge_point=point.row, max_stack_level=1)
    limit = [{"start_period": 0, "limit": 7000.0}]
    put(session, start_date_time=None, duration=None, charging_rate_unit="W", charging_profile_period=limit)
    settle()
    pausing.pause(session, by="admin")
    settle()
    during = list(ChargePointProfile.objects.order_by("pk").values_list("origin", "state"))
    pausing.resume(session, by="admin")
    settle()
    again = profile()
    settle()

    assert during == [("PARTNER", states.REPLACED), ("PAUSE", states.INSTALLED)]
    assert again["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 7000}]
    held = ChargePointProfile.objects.filter(state=states.INSTALLED)
    assert list(held.values_list("origin", flat=True)) == ["PARTNER"]
    results(listener)
    limits = [each.json["charging_profile"]["charging_profile_period"][0]["limit"]
              for each in listener.received("PUT", ACTIVE)]  # fmt: skip
    assert limits[-1] == 7000
