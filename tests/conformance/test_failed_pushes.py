"""A push that fails: operators see what, to whom, why and when; other objects go out all the same."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from ocpi.models import FinishedDelivery
from ocpi.outbox_engine import drain_now
from tests.admin_world import operator_fixture as operator_fixture
from tests.cpo_support import add_tariff, tariff
from tests.fixtures import Partner
from tests.platforms import Listener


@pytest.mark.req("TRN-122")
@pytest.mark.django_db
def test_a_push_that_fails_is_shown_to_operators_and_others_go_out(
    cpo_side: None, partner: Partner, listener: Listener, operator: Client
) -> None:
    person = partner("DE*EMS:EMSP", name="Rheinstrom", listener=listener)
    listener.reply("PUT", "/ocpi/2.2.1/receiver/tariffs/NL/TNM/BAD", code=2001, message="elements: too odd for us")
    for name in ("A", "BAD", "C"):
        add_tariff(tariff(id=name))

    drain_now()

    accepted = [got.path.rpartition("/")[2] for got in listener.received("PUT") if not got.path.endswith("BAD")]
    assert sorted(accepted) == ["A", "C"]
    assert set(FinishedDelivery.objects.filter(state="DELIVERED").values_list("path", flat=True)) == {
        "NL/TNM/A", "NL/TNM/C",
    }  # fmt: skip
    failed = FinishedDelivery.objects.get(state="REFUSED")
    assert (failed.platform_id, failed.path) == (person.id, "NL/TNM/BAD")
    page = operator.get(reverse("admin:ocpi_finisheddelivery_changelist") + "?state=REFUSED").content.decode()
    assert all(text in page for text in ("Rheinstrom", "NL/TNM/BAD", "elements: too odd for us"))
    assert f"{failed.finished_at:%Y-%m-%d %H:%M:%S}" in page
