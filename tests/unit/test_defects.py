"""Deviations are counted per platform and kind, in memory first, in one statement then."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from ocpi import defects, snapshot
from ocpi.background_writer import BackgroundWriter
from ocpi.models import AuditEntry, Deviation, Platform
from tests.admin_world import operator_fixture as operator_fixture
from tests.admin_world import viewer_fixture as viewer_fixture
from tests.deviations import counted, example
from tests.fixtures import Partner
from tests.people import Person
from tests.statements import at_most

LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.mark.req("SEC-48")
def test_a_path_no_database_takes_keeps_no_other_count_waiting(cpo: Person) -> None:
    defects.note(cpo.id, "odd \x00 kind", "GET /ocpi/\x00/\ud800")
    defects.note(cpo.id, "no X-Request-ID")

    defects.flush()

    assert {row.kind: row.example for row in Deviation.objects.all()} == {
        "odd \ufffd kind": "GET /ocpi/\ufffd/\ufffd",
        "no X-Request-ID": "",
    }


@pytest.mark.req("TRN-061")
def test_counts_add_up_over_flushes_and_keep_both_times(cpo: Person) -> None:
    defects.note(cpo.id, "QRK-13 coordinates", "PUT /ocpi/emsp/2.2.1/locations/NL/TNM/LOC1")
    defects.note(cpo.id, "QRK-13 coordinates", "PUT /ocpi/emsp/2.2.1/locations/NL/TNM/LOC2")
    defects.flush()
    first = Deviation.objects.get()
    Deviation.objects.update(
        first_seen_at=datetime(2025, 1, 1, tzinfo=UTC), last_seen_at=datetime(2025, 1, 1, tzinfo=UTC)
    )
    defects.note(cpo.id, "QRK-13 coordinates")

    assert counted(cpo) == {"QRK-13 coordinates": 3}

    row = Deviation.objects.get()
    assert first.example == row.example == "PUT /ocpi/emsp/2.2.1/locations/NL/TNM/LOC1"
    assert row.first_seen_at == LONG_AGO
    assert abs(row.last_seen_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_many_kinds_of_many_platforms_are_one_statement(cpo: Person, emsp: Person) -> None:
    for person in (cpo, emsp):
        for number in range(20):
            defects.note(person.id, f"QRK-{number:02}")

    with at_most(1):
        written = defects.flush()

    assert written == 40
    assert counted(cpo) == counted(emsp) == {f"QRK-{number:02}": 1 for number in range(20)}


def test_nothing_to_write_is_no_statement(db: None) -> None:
    with at_most(0):
        assert defects.flush() == 0


def test_a_platform_that_is_gone_does_not_take_the_others_along(cpo: Person) -> None:
    defects.note(cpo.id + 1_000_000, "QRK-13 coordinates")
    defects.note(cpo.id, "QRK-13 coordinates")

    assert counted(cpo) == {"QRK-13 coordinates": 1}
    assert Deviation.objects.count() == 1


def test_what_is_read_is_counted_for_who_sent_it(cpo: Person, emsp: Person) -> None:
    with defects.reading(cpo.id, "PUT /a"):
        with defects.reading(emsp.id, "POST /b"):
            defects.noted(["inner"])
        defects.noted(["outer"])
    defects.noted(["a file of our own"])

    assert (counted(cpo), counted(emsp)) == ({"outer": 1}, {"inner": 1})
    assert Deviation.objects.count() == 2


@pytest.mark.req("TRN-014", "SEC-41")
@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("GET /ocpi/cpo/2.2.1/locations?token=abc", "GET /ocpi/cpo/2.2.1/locations"),
        ("PUT /ocpi/cpo/2.2.1/tokens/DE/EMS/04A1B2C3D4E5F6A7B8?type=RFID", "PUT /ocpi/cpo/2.2.1/tokens/DE/EMS/…A7B8"),
        ("POST /ocpi/emsp/2.2.1/tokens/04A1B2/authorize", "POST /ocpi/emsp/2.2.1/tokens/…/authorize"),
        (f"POST /ocpi/x/commands/STOP_SESSION/{'k' * 28}tail", "POST /ocpi/x/commands/STOP_SESSION/…tail"),
        (f"PUT /ocpi/emsp/2.2.1/locations/{'x' * 300}", f"PUT /ocpi/emsp/2.2.1/locations/{'x' * 169}"),
    ],
)  # fmt: skip
def test_an_example_is_short_and_gives_nothing_away(cpo: Person, place: str, shown: str) -> None:
    defects.note(cpo.id, "QRK-13 coordinates", place)

    assert example(cpo, "QRK-13 coordinates") == shown


def test_counts_wait_while_the_database_is_away(cpo: Person) -> None:
    tries: list[int] = []

    def away(found: Any) -> None:
        tries.append(len(found))
        defects.note(cpo.id, "QRK-13 coordinates")
        writer.end()
        raise OperationalError("away")

    writer = BackgroundWriter(
        "counts", seconds=0.001, pause=0.001, take=defects._take, write=away, put_back=defects._put_back
    )
    defects.note(cpo.id, "QRK-13 coordinates")
    thread = threading.Thread(target=writer.run)
    thread.start()
    thread.join(10)

    assert tries == [1]
    assert counted(cpo) == {"QRK-13 coordinates": 2}


@pytest.mark.django_db(transaction=True)
def test_a_thread_of_the_process_writes_them(cpo: Person, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OCPI_WAKE = True
    monkeypatch.setattr(defects._writer, "seconds", 3600.0)
    defects.note(cpo.id, "QRK-13 coordinates")

    defects.stop()

    assert Deviation.objects.get().count == 1


# ---------------------------------------------------------------- the pages


def test_the_list_is_filtered_and_searched(operator: Client, partner: Partner) -> None:
    clumsy, careful = partner("NL*TNM:CPO", name="Clumsy"), partner("DE*EMS:EMSP", name="Careful")
    defects.note(clumsy.id, "QRK-13 coordinates", "PUT /ocpi/emsp/2.2.1/locations/NL/TNM/LOC1")
    defects.note(clumsy.id, "PIT-31 RESERVED")
    defects.note(careful.id, "TRN-061 X-Request-ID missing")
    defects.flush()
    url = reverse("admin:ocpi_deviation_changelist")
    kinds = ("QRK-13 coordinates", "PIT-31 RESERVED", "TRN-061 X-Request-ID missing")

    def shown(query: str) -> list[str]:
        content = operator.get(url + query).content.decode()
        return [kind for kind in kinds if kind in content]

    assert shown("") == list(kinds)
    assert shown(f"?platform__id__exact={clumsy.id}") == ["QRK-13 coordinates", "PIT-31 RESERVED"]
    assert shown("?group=TRN") == ["TRN-061 X-Request-ID missing"]
    assert shown("?q=LOC1") == ["QRK-13 coordinates"]
    assert shown("?q=Careful") == ["TRN-061 X-Request-ID missing"]


def test_the_page_of_a_platform_leads_to_its_deviations(operator: Client, cpo: Person, emsp: Person) -> None:
    for _ in range(2):
        defects.note(cpo.id, "QRK-13 coordinates")
    defects.note(cpo.id, "PIT-31 RESERVED")
    defects.flush()

    pages = [operator.get(reverse("admin:ocpi_platform_change", args=[one.id])).content.decode() for one in (cpo, emsp)]

    assert f"{reverse('admin:ocpi_deviation_changelist')}?platform__id__exact={cpo.id}" in pages[0]
    assert "2 kinds, 3 times" in pages[0]
    assert f"{reverse('admin:ocpi_deviation_changelist')}?platform" not in pages[1]


@pytest.mark.req("QRK-10", "QRK-01")
def test_an_operator_sets_what_is_done_about_habits(operator: Client, viewer: Client, cpo: Person) -> None:
    url = reverse("admin:ocpi_platform_habits", args=[cpo.id])
    given = {"late_authorization": "allow", "authorize_seconds": "3", "longest_address": "45", "detects_token": "on"}

    refused = viewer.post(url, given)
    wrong = operator.post(url, {**given, "late_authorization": "perhaps"})
    unchanged = Platform.objects.get(pk=cpo.id)
    answer = operator.post(url, given)

    assert (refused.status_code, wrong.status_code, answer.status_code) == (403, 200, 302)
    assert (unchanged.late_authorization, unchanged.authorize_seconds) == ("whitelist", None)
    row = Platform.objects.get(pk=cpo.id)
    assert (row.late_authorization, row.authorize_seconds, row.longest_address) == ("allow", 3, 45)
    assert (row.base64_token, row.detects_token) == (False, True)
    assert AuditEntry.objects.filter(action="platform.habits").count() == 1


@pytest.mark.req("HUB-80", "PIT-78")
def test_an_operator_says_what_a_hub_may(operator: Client, viewer: Client, hub: Person) -> None:
    Platform.objects.filter(pk=hub.id).update(speaks_for_all=False)
    url = reverse("admin:ocpi_platform_habits", args=[hub.id])
    given = {"late_authorization": "whitelist", "longest_address": "255", "offers_clients": "on",
             "speaks_for_all": "on"}  # fmt: skip

    assert viewer.post(url, given).status_code == 403
    assert not Platform.objects.get(pk=hub.id).offers_clients
    assert operator.post(url, given).status_code == 302

    known = snapshot.current().platforms[hub.id]
    assert (known.offers_clients, known.speaks_for_all) == (True, True)
    assert '"speaks_for_all": true' in AuditEntry.objects.get(action="platform.habits").details
