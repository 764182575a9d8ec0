"""The result of a profile and the ActiveChargingProfile that follows from it may reach an eMSP at the same moment."""

from __future__ import annotations

import json
import threading

import pytest
from django.db import connection, transaction
from pytest_django.fixtures import Settings

from emsp.models import ActiveProfile, ChargingProfileRequest, Session
from emsp.modules import chargingprofiles_results as results
from ocpi.headers import Address
from ocpi.models import Delivery
from tests.emsp_support import SESSION
from tests.emsp_support import cpo_fixture as cpo_fixture
from tests.emsp_support import evse_fixture as evse_fixture
from tests.emsp_support import session_fixture as session_fixture
from tests.emsp_support import token_fixture as token_fixture
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener, eventually

_WAITING = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@pytest.fixture
def scsp(session: Session, partner: Partner, listener: Listener, settings: Settings) -> Person:
    settings.OCPI_SCSP_AGREEMENTS = ["NL*SCS"]
    listener.reply("PUT", "/ocpi/2.2.1/receiver/chargingprofiles", data={"result": "ACCEPTED", "timeout": 30})
    return partner("NL*SCS:SCSP", url="http://127.0.0.1:4001")


@pytest.mark.req("CHP-26")
@pytest.mark.django_db(transaction=True)
def test_an_active_profile_that_arrives_beside_the_result_is_passed_on_all_the_same(
    scsp: Person, cpo: Person, document: Document, listener: Listener
) -> None:
    body = document("charging_profile", response_url=f"{scsp.url}/results/1")
    scsp.put(f"emsp/2.2.1/receiver/chargingprofiles/{SESSION}", body)
    request = ChargingProfileRequest.objects.get()
    result_type = listener.received("PUT")[-1].json["response_url"].split("/")[-2]
    told = json.dumps(document("active_charging_profile")).encode()

    def take_result() -> None:
        try:
            results.take_result(result_type, request.key, b'{"result": "ACCEPTED"}', platform_id=request.platform_id)
        finally:
            connection.close()

    thread = threading.Thread(target=take_result)
    with transaction.atomic():
        # The CPO tells what is active before its result has come: nobody is to be told yet.
        results.take_active_profile(Address("NL", "TNM"), SESSION, told, correlation_id="C")
        thread.start()
        eventually(_somebody_waits)
        before = Delivery.objects.filter(source="emsp.ActiveProfile").count()
    thread.join(10)

    assert before == 0
    assert Delivery.objects.filter(source="emsp.ActiveProfile", platform_id=scsp.id).count() == 1
    assert ActiveProfile.objects.count() == 1


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(_WAITING)
        return int(cursor.fetchone()[0]) > 0
