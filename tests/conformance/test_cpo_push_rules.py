"""What a CPO pushes and what it leaves out: modules a partner does not take, values it does not have."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from cpo.models import CDR
from ocpi.models import Delivery, FinishedDelivery
from ocpi.outbox_engine import drain_now
from tests.cpo_support import BASE, EVSE_UID, add_location, add_point, add_tariff, tariff, with_tariff
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

TAG = "04C7A1E2B95D80"
pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


@pytest.mark.req("TRN-102")
@pytest.mark.parametrize(("modules", "sent"), [(("locations", "tariffs"), 2), (("locations",), 1), ((), 0)])
def test_only_modules_that_a_partner_receives_are_pushed_to_it(
    partner: Partner, listener: Listener, document: Document, modules: tuple[str, ...], sent: int
) -> None:
    partner("DE*EMS:EMSP", listener=listener, endpoints=[(module, "RECEIVER") for module in modules])

    add_tariff(tariff())
    add_location(document("location"))
    drain_now()

    assert len(listener.received("PUT")) == sent
    assert {got.path.split("/")[4] for got in listener.received("PUT")} == set(modules)


@pytest.mark.req("TRN-111", "TRN-112", "CDR-47", "PIT-38")
@pytest.mark.parametrize(("evse_id", "shown"), [("NL*TNM*E1", "NL*TNM*E1"), (None, "#NA")])
def test_not_available_stands_only_where_there_is_nothing(
    emsp: Person, document: Document, evse_id: str | None, shown: str
) -> None:
    add_tariff(tariff())
    location = with_tariff(document("location"))
    location["evses"][0].pop("evse_id")
    if evse_id:
        location["evses"][0]["evse_id"] = evse_id
    point = add_point(add_location(location))
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))

    point.charge(TAG)

    text = CDR.objects.get().document
    assert json.loads(text)["cdr_location"]["evse_id"] == shown
    assert text.count("#NA") == (0 if evse_id else 1)  # everything else was there to be said
    assert json.loads(text)["cdr_location"]["evse_uid"] == EVSE_UID


@pytest.mark.req("CDR-13", "CDR-14")
def test_a_cdr_goes_at_once_to_the_emsp_it_concerns_and_to_nobody_else(
    partner: Partner, listener: Listener, document: Document
) -> None:
    add_tariff(tariff())
    point = add_point(add_location(with_tariff(document("location"))))
    with Listener(["BE*MSX:EMSP"]) as other:
        partner("BE*MSX:EMSP", listener=other)
        emsp = partner("DE*EMS:EMSP", listener=listener)
        emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))
        drain_now()

        number = point.start(TAG)["transactionId"]
        point.stop(number, 11_000, at=BASE + timedelta(hours=1))
        drain_now()

        assert len(listener.received("POST", "/ocpi/2.2.1/receiver/cdrs")) == 1
        assert other.received("POST") == []


@pytest.mark.req("TRN-122")
def test_a_failed_push_is_shown_and_holds_up_no_other_object(
    partner: Partner, listener: Listener, document: Document, admin_client: Any
) -> None:
    partner("DE*EMS:EMSP", listener=listener, name="Elbe")
    listener.reply("PUT", "/ocpi/2.2.1/receiver/tariffs/NL/TNM/BAD", status=400, code=2000, message="no such currency")
    listener.reply("PUT", "/ocpi/2.2.1/receiver/tariffs/NL/TNM/SLOW", status=503, code=3000)

    for tariff_id in ("BAD", "SLOW", "GOOD"):
        add_tariff(tariff(id=tariff_id))
    drain_now()

    refused = FinishedDelivery.objects.get(state="REFUSED")
    page = admin_client.get("/admin/ocpi/finisheddelivery/").content.decode()
    one = admin_client.get(f"/admin/ocpi/finisheddelivery/{refused.pk}/change/").content.decode()
    assert "Elbe" in page
    assert refused.path == "NL/TNM/BAD"
    assert "NL/TNM/BAD" in page
    assert "no such currency" in one
    assert FinishedDelivery.objects.filter(path="NL/TNM/GOOD", state="DELIVERED").exists()
    waiting = Delivery.objects.get(path="NL/TNM/SLOW")
    assert "503" in waiting.error
    assert "NL/TNM/SLOW" in admin_client.get("/admin/ocpi/delivery/").content.decode()


@pytest.mark.req("PIT-63")
def test_the_published_commands_url_of_an_emsp_is_never_called(
    partner: Partner, listener: Listener, document: Document
) -> None:
    emsp = partner("DE*EMS:EMSP", listener=listener)
    add_location(document("location"))
    assert ("commands", "SENDER") in listener.endpoints
    body = {"response_url": f"{listener.url}/results/1", "session_id": "NOBODY-KNOWS-IT"}

    answer = emsp.post("cpo/2.2.1/commands/STOP_SESSION", body)
    drain_now()

    assert answer.data["result"] == "UNKNOWN_SESSION"
    assert listener.received(None, "/ocpi/2.2.1/sender/commands") == []
