"""The admin page of the hub's clients."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django.fixtures import Settings

from hub import clientinfo
from hub.clientinfo_models import ClientInfo, ClientInfoChange
from ocpi import snapshot
from ocpi.models import Platform
from tests.admin_world import operator_fixture as operator_fixture
from tests.fixtures import Partner

pytestmark = pytest.mark.usefixtures("hub_side")
LIST = "admin:hub_clientinfo_changelist"


def _publish() -> None:
    snapshot.changed()
    clientinfo.publish()


def test_an_operator_sees_who_is_in_which_state_since_when_and_why(
    operator: Client, partner: Partner, settings: Settings
) -> None:
    settings.OCPI_CLIENT_INFO_PAUSE = 0.0
    seller = partner("NL*TNM:CPO", name="Sellers")
    partner("DE*EMS:EMSP")
    _publish()
    Platform.objects.filter(pk=seller.id).update(connection="OFFLINE")
    _publish()
    settings.OCPI_CLIENT_INFO_PAUSE = 60.0
    Platform.objects.filter(pk=seller.id).update(connection="CONNECTED")
    _publish()

    page = operator.get(reverse(LIST)).content.decode()
    info = ClientInfo.objects.get(party_id="TNM")
    one = operator.get(reverse("admin:hub_clientinfo_change", args=[info.pk])).content.decode()

    assert "NL*TNM:CPO" in page
    assert "Sellers is OFFLINE" in page
    assert '<span class="o-badge o-bad">OFFLINE</span>' in page
    assert '<span class="o-badge o-good">CONNECTED</span>' in page  # what waits for its minute
    assert one.index("Sellers is OFFLINE") < one.index("Sellers is connected")  # newest first
    assert "DE*EMS:EMSP" in one  # who is told
    assert info.waiting == "CONNECTED"


def test_the_page_of_a_party_shows_its_last_changes_only(operator: Client, partner: Partner) -> None:
    partner("NL*TNM:CPO")
    partner("DE*EMS:EMSP")
    _publish()
    info = ClientInfo.objects.get(party_id="TNM")
    ClientInfoChange.objects.bulk_create(
        ClientInfoChange(info=info, status="OFFLINE", reason=f"reason {number:03}") for number in range(60)
    )

    page = operator.get(reverse("admin:hub_clientinfo_change", args=[info.pk])).content.decode()

    assert "reason 059" in page
    assert "reason 010" in page
    assert "reason 009" not in page


def test_the_list_costs_the_same_however_many_clients(operator: Client, partner: Partner) -> None:
    partner("NL*TNM:CPO")
    partner("DE*EMS:EMSP")
    _publish()
    operator.get(reverse(LIST))
    with CaptureQueriesContext(connection) as few:
        operator.get(reverse(LIST))
    for number in range(5):
        partner(f"FR*P{number:02}:EMSP")
    _publish()

    with CaptureQueriesContext(connection) as many:
        operator.get(reverse(LIST))

    assert len(many) == len(few)
