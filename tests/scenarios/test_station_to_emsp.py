"""From the socket of a charge point of OCPP 2.0.1 to the Session and the CDR that its driver's eMSP gets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from ocpp.v201 import ChargePoint as PackagePoint
from ocpp.v201 import call
from websockets.typing import Subprotocol

from cpo.consumer import Consumer
from cpo.gateway import passwords
from cpo.models import CDR, EVSE, ChargePoint
from tests.cpo_support import EVSE_UID, add_location, add_tariff, tariff, with_tariff
from tests.fixtures import Document, Partner
from tests.gateway_support import PASSWORD, World, open_world
from tests.people import Person
from tests.platforms import Listener
from tests.station_support import add_station, whole

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db(transaction=True)]
TAG = "04C7A1E2B95D80"
_SESSION = "SELECT status FROM cpo_session"
_STATUS = "SELECT status FROM cpo_evse WHERE charge_point_id IS NOT NULL"


@pytest.fixture
def world(transactional_db: None, document: Document) -> Iterator[World]:
    """A gateway and a worker, for one charge point behind the first EVSE of the Location of all tests."""
    with open_world() as opened:
        add_tariff(tariff())
        row = add_station(add_location(with_tariff(document("location"))), "CS1").row
        digest = passwords.digest(PASSWORD, opened.config.secret_key)
        ChargePoint.objects.filter(pk=row.pk).update(
            password_digest=digest, online=False, protocols=["ocpp2.0.1", "ocpp2.1"], strictness="strict"
        )
        consumer = Consumer()
        consumer.start()
        try:
            yield opened
        finally:
            consumer.stop()
            with connection.cursor() as cursor:
                cursor.execute("TRUNCATE cpo_chargepoint, cpo_location CASCADE")


@pytest.fixture
def emsp(world: World, partner: Partner, listener: Listener, document: Document) -> Person:
    """An eMSP whose driver's card is accepted without asking."""
    person = partner("DE*EMS:EMSP", listener=listener)
    person.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))
    return person


async def becomes(world: World, query: str, value: str) -> None:
    """Wait until the database says so."""
    until = time.monotonic() + 60
    while (found := [next(iter(row.values())) for row in await asyncio.to_thread(world.rows, query)]) != [value]:
        assert time.monotonic() < until, found
        await asyncio.sleep(0.05)


def request(payload: dict[str, Any]) -> call.TransactionEvent:
    names = {"eventType": "event_type", "triggerReason": "trigger_reason", "seqNo": "seq_no"}
    names |= {"transactionInfo": "transaction_info", "idToken": "id_token", "meterValue": "meter_value"}
    return call.TransactionEvent(**{names.get(name, name): value for name, value in payload.items()})


@pytest.mark.req("OCPP-49", "OCPP-53", "OCPP-59", "OCPP-95", "OCPP-97", "OCPP-98", "OCPP-125")
@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_a_session_of_the_ocpp_package_reaches_the_emsp(world: World, emsp: Person, version: str) -> None:
    """2.1 shares these messages, so the client of 2.0.1 speaks it as well."""

    async def scenario() -> None:
        subprotocols = [Subprotocol(f"ocpp{version}")]
        async with world.node() as node, node.connect("CS1", PASSWORD, subprotocols=subprotocols) as point:
            cp = PackagePoint("CS1", point.socket)
            listening = asyncio.create_task(cp.start())
            station = {"model": "Two", "vendorName": "Simulated"}
            assert (await cp.call(call.BootNotification(station, "PowerUp"))).status == "Accepted"
            started, *going_on, ended = whole(TAG)
            await cp.call(call.StatusNotification(started["timestamp"], "Occupied", 1, 1))
            card = {"idToken": TAG, "type": "ISO14443"}
            assert (await cp.call(call.Authorize(card))).id_token_info["status"] == "Accepted"
            assert (await cp.call(request(started))).id_token_info["status"] == "Accepted"
            await becomes(world, _SESSION, "ACTIVE")
            await becomes(world, _STATUS, "CHARGING")
            for payload in going_on:
                await cp.call(request(payload))
            await cp.call(request(ended))
            await becomes(world, _SESSION, "COMPLETED")
            await cp.call(call.StatusNotification(ended["timestamp"], "Available", 1, 1))
            await becomes(world, _STATUS, "AVAILABLE")
            listening.cancel()

    world.run_bare(scenario, decide=None)

    [session] = emsp.get("cpo/2.2.1/sessions", query={"date_from": "2020-01-01T00:00:00Z"}).data
    [cdr] = emsp.get("cpo/2.2.1/cdrs").data
    assert (session["status"], session["kwh"], session["evse_uid"]) == ("COMPLETED", 10, EVSE_UID)
    assert (cdr["session_id"], cdr["total_energy"], cdr["total_cost"]["excl_vat"]) == (session["id"], 10, 3.5)
    assert cdr == json.loads(CDR.objects.get().document)
    assert EVSE.objects.get(uid=EVSE_UID).status == "AVAILABLE"
