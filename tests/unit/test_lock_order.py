"""A Location is locked before its EVSEs by everybody: two requests never wait for each other in a circle."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psycopg
import pytest
from django.db import connection

from tests import waiting
from tests.fixtures import Document, Partner
from tests.people import Person

pytestmark = pytest.mark.django_db(transaction=True)
_SECONDS = 20.0


def _waits_for_location(work: Callable[[], object], location: str, evse: str, uid: str) -> None:
    """Hold a Location, begin some work, and see that it has not locked the EVSE while it waits for the Location."""
    parameters = connection.get_connection_params()
    keep = {name: parameters[name] for name in ("dbname", "host", "port", "user", "password") if parameters.get(name)}

    def run() -> None:
        work()
        connection.close()

    with psycopg.connect(**keep) as other:
        other.execute(f"{location} FOR UPDATE")
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        until = time.monotonic() + _SECONDS
        with psycopg.connect(autocommit=True, **keep) as watching:
            while not watching.execute(waiting.HOW_MANY).fetchone()[0]:  # type: ignore[index]
                assert time.monotonic() < until, "nobody waits"
                time.sleep(0.01)
        try:
            assert other.execute(f"{evse} FOR UPDATE NOWAIT", [uid]).fetchone()
        finally:
            other.rollback()
            thread.join(_SECONDS)


@pytest.mark.req("REL-13", "HUB-43")
def test_a_status_at_the_hub_waits_for_the_location_first(hub_side: None, partner: Partner, document: Document) -> None:
    cpo: Person = partner("NL*TNM:CPO")
    partner("DE*EMS:EMSP")
    url = "hub/2.2.1/receiver/locations/NL/TNM/LOC1"
    location = document("location", id="LOC1")
    uid = location["evses"][0]["uid"]
    assert cpo.put(url, location, to="NL*HUB").codes[1] == 1000
    change = {"status": "CHARGING", "last_updated": "2026-01-02T00:00:00Z"}
    evse = {**location["evses"][0], "last_updated": "2026-01-03T00:00:00Z"}

    for work in (
        lambda: cpo.patch(f"{url}/{uid}", change, to="NL*HUB"),
        lambda: cpo.put(f"{url}/{uid}", evse, to="NL*HUB"),
    ):
        _waits_for_location(
            work, "SELECT id FROM hub_sharedobject WHERE container_id IS NULL",
            "SELECT id FROM hub_sharedobject WHERE path = %s", f"LOC1/{uid}",
        )  # fmt: skip


@pytest.mark.req("REL-13", "LOC-11")
def test_a_status_at_the_emsp_waits_for_the_location_first(
    emsp_side: None, partner: Partner, document: Document
) -> None:
    cpo: Person = partner("NL*TNM:CPO")
    url = "emsp/2.2.1/locations/NL/TNM/LOC1"
    location = document("location", id="LOC1")
    uid = location["evses"][0]["uid"]
    assert cpo.put(url, location).codes[1] == 1000
    change = {"status": "CHARGING", "last_updated": "2026-01-02T00:00:00Z"}

    _waits_for_location(
        lambda: cpo.patch(f"{url}/{uid}", change), "SELECT id FROM emsp_location",
        "SELECT id FROM emsp_evse WHERE uid = %s", uid,
    )  # fmt: skip
