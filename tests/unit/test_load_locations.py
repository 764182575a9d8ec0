"""load_locations, load_tariffs and add_charge_point."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from cpo.gateway import passwords
from cpo.models import EVSE, ChargePoint, Location, Tariff
from ocpi import sample_data
from ocpi.models import Delivery
from tests.cpo_support import EVSE_UID, LOCATION, add_location, add_point
from tests.fixtures import Document
from tests.people import Person

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


def run(command: str, *arguments: str) -> Any:
    out = io.StringIO()
    call_command(command, *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def load(tmp_path: Path, objects: list[Any], *arguments: str, command: str = "load_locations") -> Any:
    path = tmp_path / "objects.json.gz"
    path.write_bytes(gzip.compress(sample_data.dumps(objects).encode()))
    return run(command, str(path), *arguments)


def counts(report: dict[str, Any]) -> tuple[int, int, int, int]:
    return report["created"], report["updated"], report["unchanged"], len(report["refused"])


def test_sample_locations_load_and_load_again_unchanged(tmp_path: Path) -> None:
    objects = list(sample_data.locations(30))

    first, second = load(tmp_path, objects), load(tmp_path, objects)

    assert counts(first) == (30, 0, 0, 0)
    assert counts(second) == (0, 0, 30, 0)
    assert (Location.objects.count(), EVSE.objects.count()) == (30, 60)


def test_what_is_loaded_is_served_without_loss(tmp_path: Path, emsp: Person, document: Document) -> None:
    body = document("location", x_note="kept")

    load(tmp_path, [body])

    found = emsp.get(f"cpo/2.2.1/locations/{LOCATION}").data
    assert {**found, "last_updated": body["last_updated"]} == body


@pytest.mark.req("LOC-12")
def test_a_location_is_at_least_as_new_as_its_parts(tmp_path: Path, document: Document) -> None:
    body = document("location", last_updated="2020-01-01T00:00:00Z")
    newest = max(each["last_updated"] for evse in body["evses"] for each in (evse, *evse["connectors"]))

    load(tmp_path, [body])

    assert json.loads(Location.objects.get().document)["last_updated"] == newest


def test_a_change_is_dated_and_pushed_once(tmp_path: Path, emsp: Person, document: Document) -> None:
    load(tmp_path, [document("location")])
    Delivery.objects.all().delete()
    before = Location.objects.get().last_updated

    report = load(tmp_path, [document("location", name="Another name")])

    assert counts(report) == (0, 1, 0, 0)
    row = Location.objects.get()
    assert row.last_updated > before
    assert json.loads(row.document)["name"] == "Another name"
    assert [(each.path, each.fields) for each in Delivery.objects.all()] == [(f"NL/TNM/{LOCATION}", None)]


@pytest.mark.req("LOC-23", "LOC-25", "LOC-26")
def test_an_evse_that_is_gone_from_the_file_is_removed_and_stays(
    tmp_path: Path, emsp: Person, document: Document
) -> None:
    body = document("location")
    load(tmp_path, [body])

    report = load(tmp_path, [{**body, "evses": body["evses"][1:]}])

    found = emsp.get(f"cpo/2.2.1/locations/{LOCATION}").data
    assert counts(report) == (0, 1, 0, 0)
    assert {evse["uid"]: evse["status"] for evse in found["evses"]}[EVSE_UID] == "REMOVED"
    assert len(found["evses"]) == len(body["evses"])


def test_the_status_of_an_evse_with_a_charge_point_is_not_overwritten(tmp_path: Path, document: Document) -> None:
    point = add_point(add_location(document("location")))
    point.status("Faulted")

    report = load(tmp_path, [document("location")])

    assert counts(report) == (0, 0, 1, 0)
    assert EVSE.objects.get(uid=EVSE_UID).status == "OUTOFORDER"


@pytest.mark.req("TRN-039")
def test_a_location_that_breaks_a_rule_is_refused_and_the_others_are_loaded(tmp_path: Path, document: Document) -> None:
    bad = document("location", id="BAD", country="Netherlands")
    foreign = document("location", id="FOREIGN", party_id="OTH")

    report = load(tmp_path, [bad, document("location"), foreign])

    assert counts(report) == (1, 0, 0, 2)
    assert {(each["id"], each["field"]) for each in report["refused"]} == {("BAD", "country"), ("FOREIGN", "party_id")}


def test_a_dry_run_writes_nothing(tmp_path: Path, document: Document) -> None:
    report = load(tmp_path, [document("location")], "--dry-run")

    assert counts(report) == (1, 0, 0, 0)
    assert not Location.objects.exists()


def test_objects_may_be_loaded_as_a_party_of_ours(tmp_path: Path, document: Document) -> None:
    report = load(tmp_path, [document("location", country_code="FR", party_id="OTH")], "--party", "NL*TNM")

    row = Location.objects.get()
    assert counts(report) == (1, 0, 0, 0)
    assert (row.country_code, json.loads(row.document)["party_id"]) == ("NL", "TNM")
    with pytest.raises(CommandError, match=r"XX\*YYY is not a CPO party"):
        load(tmp_path, [], "--party", "XX*YYY")


def test_a_file_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "nothing.json").write_text("not json")

    with pytest.raises(CommandError, match=r"nothing\.json"):
        run("load_locations", str(tmp_path / "nothing.json"))
    with pytest.raises(CommandError, match="No such file"):
        run("load_locations", str(tmp_path / "missing.json"))


def test_tariffs_load_change_and_stay(tmp_path: Path) -> None:
    objects = sample_data.tariffs("NL", "TNM")
    first, second = (load(tmp_path, objects, command="load_tariffs") for _ in range(2))
    objects[0]["currency"] = "SEK"

    third = load(tmp_path, objects, command="load_tariffs")

    assert [counts(each) for each in (first, second, third)] == [(6, 0, 0, 0), (0, 0, 6, 0), (0, 1, 5, 0)]
    assert Tariff.objects.count() == 6


# ---------------------------------------------------------------- add_charge_point


def test_a_charge_point_gets_a_location_evses_and_a_password(tmp_path: Path, emsp: Person, settings: Any) -> None:
    load(tmp_path, sample_data.tariffs("NL", "TNM"), command="load_tariffs")

    report = run("add_charge_point", "CP-NEW", "--evses", "2")

    row = ChargePoint.objects.get(identity="CP-NEW")
    found = emsp.get(f"cpo/2.2.1/locations/{report['location']}").data
    assert passwords.matches(row.password_digest, report["password"].encode(), settings.SECRET_KEY)
    assert report["url"].endswith("/ocpp/CP-NEW")
    assert [evse["uid"] for evse in found["evses"]] == report["evses"]
    assert len(report["evses"]) == 2
    assert list(row.evses.order_by("id").values_list("connector_id", flat=True)) == [1, 2]
    assert all(connector["tariff_ids"] for evse in found["evses"] for connector in evse["connectors"])


@pytest.mark.req("SEC-62")
def test_what_is_published_does_not_tell_the_identity(emsp: Person) -> None:
    report = run("add_charge_point", "SECRET-IDENTITY")

    assert "SECRET-IDENTITY" not in emsp.get(f"cpo/2.2.1/locations/{report['location']}").text


def test_a_charge_point_takes_the_free_evses_of_a_location(document: Document) -> None:
    add_location(document("location"))

    first = run("add_charge_point", "CP-1", "--location", LOCATION, "--password", "typed by a person")
    second = run("add_charge_point", "CP-2", "--location", LOCATION)

    assert first["location"] == second["location"] == LOCATION
    assert first["evses"] == [EVSE_UID, "TNM-UTR-0042-2"]
    assert EVSE.objects.get(uid=EVSE_UID).charge_point == ChargePoint.objects.get(identity="CP-1")
    assert EVSE.objects.get(uid=second["evses"][0]).charge_point == ChargePoint.objects.get(identity="CP-2")
    assert EVSE.objects.filter(location__object_id=LOCATION).count() == 3


def test_a_charge_point_may_bring_evses_of_its_own(document: Document) -> None:
    add_location(document("location"))

    report = run("add_charge_point", "CP-1", "--location", LOCATION, "--evses", "2")

    assert EVSE.objects.filter(location__object_id=LOCATION).count() == 4
    assert EVSE_UID not in report["evses"]


@pytest.mark.parametrize("arguments", [["CP 1"], ["CP-1", "--location", "NOPE"], ["CP-1", "--party", "XX*YYY"]])
def test_a_charge_point_that_cannot_be_added_leaves_nothing(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        run("add_charge_point", *arguments)

    assert not ChargePoint.objects.exists()
    assert not Location.objects.exists()


def test_an_identity_is_used_once() -> None:
    run("add_charge_point", "CP-1")

    with pytest.raises(CommandError, match="already"):
        run("add_charge_point", "cp-1")
