"""All five commands from the eMSP through the CPO and a real gateway to a simulated charge point, and the way back."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from cpo.consumer import Consumer
from cpo.gateway import passwords
from cpo.models import CDR, EVSE, ChargePoint, Reservation, Session, Transaction
from cpo.modules import reservations_operations as reservations
from cpo.simulator.charge_point import Behavior, SimulatedChargePoint
from tests.commands_support import TAG, Commander, reserved_tariff
from tests.cpo_support import EVSE_UID, SECOND_EVSE_UID, add_location, add_point, add_tariff, stamp, with_tariff
from tests.fixtures import Document, Partner
from tests.gateway_support import PASSWORD, World, open_world
from tests.platforms import Listener

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db(transaction=True)]


class Stage:
    """A gateway with one simulated charge point, in a thread of their own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._loop = asyncio.new_event_loop()
        self._ready, self._over = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._play()), daemon=True)
        self.point: SimulatedChargePoint

    async def _play(self) -> None:
        behavior = Behavior(connectors=2, seconds_per_minute=0.5, clock_behind=timedelta(0))
        async with self._world.node() as node:
            self.point = SimulatedChargePoint(node.url, "CP-1", password=PASSWORD, behavior=behavior)
            running = asyncio.create_task(self.point.run())
            await asyncio.wait_for(self.point.booted.wait(), 30)
            self._ready.set()
            await self._over.wait()
            await self.point.close()
            await running

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(60)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(30)
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Let the charge point do something, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


@pytest.fixture
def stage(transactional_db: None, document: Document) -> Iterator[Stage]:
    with open_world() as world:
        add_tariff(reserved_tariff())
        body = with_tariff(document("location"))
        body["evses"][1]["capabilities"] += ["RESERVABLE", "UNLOCK_CAPABLE"]
        row = add_point(add_location(body), evses=(EVSE_UID, SECOND_EVSE_UID)).row
        digest = passwords.digest(PASSWORD, world.config.secret_key)
        ChargePoint.objects.filter(pk=row.pk).update(password_digest=digest, online=False)
        consumer, stage = Consumer(), Stage(world)
        consumer.start()
        try:
            stage.start()
            yield stage
        finally:
            stage.stop()
            consumer.stop()
            with connection.cursor() as cursor:
                cursor.execute("TRUNCATE cpo_chargepoint, cpo_location CASCADE")


@pytest.fixture
def emsp(stage: Stage, partner: Partner, listener: Listener, document: Document) -> Commander:
    return Commander(partner("DE*EMS:EMSP", listener=listener), listener, document)


def eventually(condition: Callable[[], Any], *, seconds: float = 60) -> Any:
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)
    return found


def result(emsp: Commander, command: str, **changes: Any) -> str:
    """Send a command and return its one result."""
    answer = emsp.reserve(60, **changes) if command == "RESERVE_NOW" else emsp.send(command, **changes)
    assert answer.data["result"] == "ACCEPTED", answer.data
    number = emsp.sent
    [found] = eventually(lambda: emsp.results(number))
    return str(found)


def status(uid: str = EVSE_UID) -> str:
    return EVSE.objects.get(uid=uid).status


@pytest.mark.req("SES-17", "CMD-36", "CMD-38", "LOC-65", "OCPP-88")
def test_a_reserved_evse_is_kept_for_its_driver_until_the_cdr(
    stage: Stage, emsp: Commander, document: Document
) -> None:
    emsp.emsp.put("cpo/2.2.1/tokens/DE/EMS/OTHER", document("token_rfid", uid="OTHER", group_id=None))
    eventually(lambda: status() == "AVAILABLE")
    assert result(emsp, "RESERVE_NOW") == "ACCEPTED"
    eventually(lambda: status() == "RESERVED")
    with pytest.raises(PermissionError, match="reserved"):
        stage.do(stage.point.start_local("OTHER"))

    stage.do(stage.point.start_local(TAG))
    eventually(lambda: status() == "CHARGING")
    charging = Session.objects.get()
    stage.do(stage.point.stop(1))

    cdr = eventually(CDR.objects.first)
    assert Reservation.objects.get().state == "USED"
    assert [row.status for row in Session.objects.all()] == ["COMPLETED"]
    assert cdr.session_id == charging.object_id
    eventually(lambda: status() == "AVAILABLE")
    pushed = [each["status"] for each in emsp.sessions() if "status" in each]
    assert (pushed[0], pushed[-1]) == ("RESERVATION", "COMPLETED")


@pytest.mark.req("CMD-37", "CMD-39", "CMD-15", "CMD-32")
def test_reservations_are_replaced_cancelled_and_unknown(stage: Stage, emsp: Commander) -> None:
    eventually(lambda: status() == status(SECOND_EVSE_UID) == "AVAILABLE")
    assert result(emsp, "RESERVE_NOW") == "ACCEPTED"
    eventually(lambda: status() == "RESERVED")
    assert result(emsp, "RESERVE_NOW", reservation_id="R2") == "EVSE_OCCUPIED"
    assert result(emsp, "RESERVE_NOW", evse_uid=SECOND_EVSE_UID) == "ACCEPTED"
    eventually(lambda: (status(), status(SECOND_EVSE_UID)) == ("AVAILABLE", "RESERVED"))

    assert result(emsp, "CANCEL_RESERVATION") == "ACCEPTED"
    eventually(lambda: status(SECOND_EVSE_UID) == "AVAILABLE")
    assert result(emsp, "RESERVE_NOW", evse_uid=None) == "ACCEPTED"
    newest = Reservation.objects.latest("id")
    assert (newest.connector_id, newest.evse) == (0, None)

    # The charge point forgets it by itself.
    stage.point.reservations.close()
    stage.point.reservations._known.clear()
    assert result(emsp, "CANCEL_RESERVATION") == "UNKNOWN_RESERVATION"
    assert set(Session.objects.values_list("status", flat=True)) == {"COMPLETED"}


@pytest.mark.req("CMD-20", "OCPP-88")
def test_a_connector_that_fails_and_an_operator_end_reservations(stage: Stage, emsp: Commander) -> None:
    eventually(lambda: status() == status(SECOND_EVSE_UID) == "AVAILABLE")
    assert result(emsp, "RESERVE_NOW") == "ACCEPTED"
    first = emsp.sent
    assert result(emsp, "RESERVE_NOW", reservation_id="R2", evse_uid=SECOND_EVSE_UID) == "ACCEPTED"
    eventually(lambda: status() == status(SECOND_EVSE_UID) == "RESERVED")

    stage.do(stage.point.set_status(1, "Faulted", "GroundFailure"))
    assert eventually(lambda: emsp.results(first)[1:]) == ["CANCELED_RESERVATION"]
    assert reservations.cancel(Reservation.objects.get(state="ACCEPTED").pk)

    eventually(lambda: status(SECOND_EVSE_UID) == "AVAILABLE")
    assert emsp.results(first + 1) == ["ACCEPTED", "CANCELED_RESERVATION"]
    eventually(lambda: [action for action, _ in stage.point.received].count("CancelReservation") == 2)


@pytest.mark.req("SES-18", "OCPP-88")
def test_a_reservation_expires_on_both_sides(stage: Stage, emsp: Commander) -> None:
    eventually(lambda: status() == "AVAILABLE")
    soon = stamp(timezone.now() + timedelta(seconds=8))
    assert result(emsp, "RESERVE_NOW", expiry_date=soon) == "ACCEPTED"
    eventually(lambda: status() == "RESERVED")

    eventually(lambda: status() == "AVAILABLE")
    Reservation.objects.update(expires_at=timezone.now() - timedelta(minutes=1), started_at=timezone.now())

    eventually(lambda: Reservation.objects.get().state == "EXPIRED")
    assert emsp.sessions()[-1]["status"] == "COMPLETED"


@pytest.mark.req("OCPP-94", "CMD-12")
def test_start_unlock_and_stop(stage: Stage, emsp: Commander) -> None:
    eventually(lambda: status() == "AVAILABLE")
    assert result(emsp, "UNLOCK_CONNECTOR") == "ACCEPTED"
    assert result(emsp, "START_SESSION") == "ACCEPTED"
    eventually(lambda: status() == "CHARGING")

    assert result(emsp, "UNLOCK_CONNECTOR") == "ACCEPTED"
    stopped = eventually(lambda: Transaction.objects.filter(stopped_at__isnull=False).first())
    assert stopped.reason == "UnlockCommand"

    eventually(lambda: status() == "AVAILABLE")
    assert result(emsp, "START_SESSION") == "ACCEPTED"
    session = eventually(lambda: Session.objects.filter(status="ACTIVE").first())
    assert result(emsp, "STOP_SESSION", session_id=session.object_id) == "ACCEPTED"
    eventually(lambda: Session.objects.get(pk=session.pk).status == "COMPLETED")
