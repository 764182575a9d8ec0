"""Locations that are not for the public: known to their CPO alone until it publishes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from cpo.models import EVSE, Location
from cpo.modules import locations_operations as operations
from ocpi.models import Delivery
from tests.answers import OcpiAnswer
from tests.cpo_support import EVSE_UID, LOCATION, add_point
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

PATH = "cpo/2.2.1/locations"
SINCE = {"date_from": "2000-01-01T00:00:00Z"}
pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


def load(folder: Path, document: Any, *options: str) -> Location:
    file = folder / "locations.json"
    file.write_text(json.dumps([document]))
    call_command("load_locations", str(file), "--json", *options)
    return Location.objects.get(object_id=document["id"])


def start(emsp: Person, document: Document, number: int) -> OcpiAnswer:
    body = document("start_session", response_url=f"{emsp.url}/results/{number}")
    return emsp.post("cpo/2.2.1/commands/START_SESSION", body)


@pytest.mark.req("LOC-42", "LOC-43")
def test_a_private_location_is_neither_sent_nor_listed_nor_found(
    emsp: Person, document: Document, tmp_path: Path
) -> None:
    location = load(tmp_path, document("location"), "--private")
    evse = EVSE.objects.filter(location=location).exclude(status="REMOVED")[0]

    operations.set_status(evse.pk, "OUTOFORDER")
    pushed = operations.push_all()

    assert (pushed, Delivery.objects.count()) == (0, 0)
    assert [emsp.get(PATH, query=query).headers["X-Total-Count"] for query in ({}, SINCE)] == ["0", "0"]
    urls = [f"{PATH}/{LOCATION}", f"{PATH}/{LOCATION}/{EVSE_UID}", f"{PATH}/{LOCATION}/{EVSE_UID}/1"]
    assert [emsp.get(url).codes for url in urls] == [(404, 2003)] * 3


@pytest.mark.req("LOC-42", "CMD-10")
def test_a_private_location_takes_no_command(
    partner: Partner, listener: Listener, document: Document, tmp_path: Path
) -> None:
    emsp = partner("DE*EMS:EMSP", listener=listener)
    add_point(load(tmp_path, document("location"), "--private"))

    private = start(emsp, document, 1)
    operations.publish(Location.objects.get().pk)
    published = start(emsp, document, 2)

    assert private.codes == (200, 2003)
    assert published.codes == (200, 1000)


@pytest.mark.req("LOC-42")
def test_only_new_locations_become_private(emsp: Person, document: Document, tmp_path: Path) -> None:
    load(tmp_path, document("location"))

    location = load(tmp_path, document("location", name="Again"), "--private")

    assert not location.private
    assert emsp.get(f"{PATH}/{LOCATION}").data["name"] == "Again"


@pytest.mark.req("LOC-42")
def test_an_operator_publishes_it(emsp: Person, document: Document, tmp_path: Path, client: Client) -> None:
    location = load(tmp_path, document("location"), "--private")
    client.force_login(User.objects.create_superuser("operator"))
    button = reverse("admin:cpo_location_publish", args=[location.pk])

    asked = client.post(button)
    before = Delivery.objects.count()
    client.post(button, {"confirmed": "yes"})

    assert (asked.status_code, before) == (200, 0)
    assert Delivery.objects.get().source_id == location.pk
    assert emsp.get(PATH).headers["X-Total-Count"] == "1"
    assert emsp.get(f"{PATH}/{LOCATION}").data["id"] == LOCATION
