"""Profiles and preferences through a real gateway to a simulated charge point: the metered power really falls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings

from cpo.consumer import Consumer
from cpo.gateway import passwords
from cpo.models import ChargePoint, ChargePointProfile, ChargingProfileRequest, MeterReading, Session, SmartCharging
from cpo.modules import chargingprofiles_limits as limits
from cpo.simulator.charge_point import Behavior, SimulatedChargePoint
from cpo.simulator.energy import Car
from ocpi.outbox_engine import drain_now
from tests.cpo_support import add_location, add_point, add_tariff, tariff, with_tariff
from tests.fixtures import Document, Partner
from tests.gateway_support import PASSWORD, World, open_world
from tests.people import Person
from tests.platforms import Listener, eventually

TAG = "04C7A1E2B95D80"
SENDER = "/ocpi/2.2.1/sender/chargingprofiles"
_SECONDS = 30  # says only that something hangs: a busy machine is slow


class Street:
    """A gateway and a charge point with a car, in an event loop of their own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._live(),))
        self._ready, self._over = threading.Event(), asyncio.Event()
        self.point: SimulatedChargePoint | None = None

    def __enter__(self) -> Street:
        self._thread.start()
        assert self._ready.wait(_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(_SECONDS)
        self._loop.close()

    async def _live(self) -> None:
        async with self._world.node() as node:
            behavior = Behavior(sample_minutes=0.004, heartbeat=False)
            self.point = SimulatedChargePoint(node.url, "CP-1", password=PASSWORD, behavior=behavior)
            running = asyncio.create_task(self.point.run())
            await self.point.booted.wait()
            self._ready.set()
            await self._over.wait()
            await self.point.close()
            await running
            left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_SECONDS)


@pytest.fixture
def world(transactional_db: None) -> Iterator[World]:
    with open_world() as opened:
        yield opened
        opened.execute("TRUNCATE cpo_chargepoint CASCADE")


@pytest.fixture
def emsp(cpo_side: None, partner: Partner, listener: Listener) -> Person:
    return partner("DE*EMS:EMSP", listener=listener)


@pytest.fixture
def street(world: World, emsp: Person, document: Document) -> Iterator[Street]:
    """A car that charges at 22 kW, and everything that hears of it."""
    add_tariff(tariff())
    for kind, price in (("PROFILE_GREEN", 0.2), ("REGULAR", 0.3)):
        energy = [{"price_components": [{"type": "ENERGY", "price": price, "step_size": 1}]}]
        add_tariff(tariff(id=kind, type=kind, elements=energy))
    location = with_tariff(document("location"))
    for connector in location["evses"][0]["connectors"]:
        connector["tariff_ids"] = ["REGULAR", "PROFILE_GREEN"]
    row = add_point(add_location(location)).row
    ChargePoint.objects.filter(pk=row.pk).update(
        online=False, protocol="", connected_at=None, security_profile=1,
        password_digest=passwords.digest(PASSWORD, str(settings.SECRET_KEY)),
    )  # fmt: skip
    token = document("token_rfid", whitelist="ALWAYS", default_profile_type=None)
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", token)
    consumer = Consumer()
    consumer.start()
    try:
        with Street(world) as live:
            assert live.point
            live.do(live.point.plug_in(1, Car(capacity_wh=1_000_000, state_of_charge=0.1)))
            live.do(live.point.start_local(TAG))
            metered(22_000)
            yield live
    finally:
        consumer.stop()


def metered(watts: float) -> None:
    """Wait until the meter shows this power, not only once."""

    def shows() -> bool:
        newest = MeterReading.objects.exclude(power_w=None).order_by("-pk").values_list("power_w", flat=True)[:3]
        return len(newest) == 3 and set(newest) == {Decimal(str(watts))}

    eventually(shows, seconds=_SECONDS)


def result(listener: Listener, path: str) -> Any:
    def arrived() -> Any:
        drain_now()
        return listener.received("POST", path)

    [got] = eventually(arrived, seconds=_SECONDS)
    return got.json


def told(listener: Listener, limit: float) -> bool:
    drain_now()
    found = listener.received("PUT", SENDER)
    periods = found[-1].json["charging_profile"]["charging_profile_period"] if found else []
    return bool(periods) and periods[0]["limit"] == limit


@pytest.mark.req("CHP-21", "CHP-24", "CHP-28", "CHP-35", "OCPP-89", "OCPP-92")
def test_profiles_and_site_limits_change_the_metered_power(street: Street, emsp: Person, listener: Listener) -> None:
    path = f"cpo/2.2.1/chargingprofiles/{Session.objects.get().object_id}"
    able = SmartCharging.objects.get()
    assert (able.rate_units, able.max_periods, able.max_stack_level) == ("A,W", 24, 8)

    profile = {"charging_rate_unit": "A", "charging_profile_period": [{"start_period": 0, "limit": 10.5}]}
    emsp.put(path, {"charging_profile": profile, "response_url": f"{emsp.url}/results/put"})
    assert result(listener, "/results/put") == {"result": "ACCEPTED"}
    metered(7245)  # 10.5 A x 230 V x 3
    assert told(listener, 10.5)

    emsp.get(path, query={"duration": 600, "response_url": f"{emsp.url}/results/get"})
    active = result(listener, "/results/get")
    assert active["result"] == "ACCEPTED"
    assert active["profile"]["charging_profile"]["charging_profile_period"] == [{"start_period": 0, "limit": 7245}]

    limits.set_limit(ChargePoint.objects.get(), connector=0, unit="W", limit=Decimal(4140), by="operator")
    metered(4140)
    eventually(lambda: told(listener, 6.0), seconds=_SECONDS)

    limits.remove(ChargePointProfile.objects.get(origin="OPERATOR").pk, by="operator")
    metered(7245)
    later = datetime.now(UTC) - timedelta(minutes=1)
    ChargingProfileRequest.objects.update(created_at=later)
    emsp.delete(path, query={"response_url": f"{emsp.url}/results/delete"})
    assert result(listener, "/results/delete") == {"result": "ACCEPTED"}
    metered(22_000)
    eventually(lambda: told(listener, 32), seconds=_SECONDS)


@pytest.mark.req("SES-42", "TAR-39", "OCPP-89")
def test_preferences_change_the_metered_power_and_the_tariff(street: Street, emsp: Person, listener: Listener) -> None:
    path = f"cpo/2.2.1/sessions/{Session.objects.get().object_id}/charging_preferences"
    departure = (datetime.now(UTC) + timedelta(hours=4)).strftime("%Y-%m-%dT%H:%M:%SZ")
    # Periods begin at whole seconds: what was charged before must be longer than one.
    second = timedelta(seconds=1)
    eventually(lambda: datetime.now(UTC) > Session.objects.get().start_date_time + 2 * second, seconds=_SECONDS)

    answer = emsp.put(path, {"profile_type": "GREEN", "departure_time": departure, "energy_need": 1})
    assert answer.data == "ACCEPTED"
    metered(4140)  # as little as a car charges with: 6 A x 230 V x 3
    assert street.point
    street.point.connectors[1].stopping = "Local"

    def cdrs() -> Any:
        drain_now()
        return listener.received("POST", "/ocpi/2.2.1/receiver/cdrs")

    [cdr] = eventually(cdrs, seconds=_SECONDS)
    assert [period["tariff_id"] for period in cdr.json["charging_periods"]] == ["REGULAR", "PROFILE_GREEN"]
    eventually(lambda: not ChargePointProfile.objects.exclude(state="REMOVED").exists(), seconds=_SECONDS)
    assert street.point.profiles.held == {}
