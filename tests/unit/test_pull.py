"""Pulls: what comes is kept as a push would be, what is bad is put aside, and only a whole list removes anything."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from psycopg.errors import DeadlockDetected
from pytest_django.fixtures import Settings

from emsp import models
from emsp.modules import tariffs as emsp_tariffs
from ocpi import defects
from ocpi.headers import Address
from ocpi.models import PulledInvalid
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener, Reply
from tests.pull_support import Lists, cursor, later, run
from tests.statements import at_most
from tests.troubles import raised_by

EARLY = "2026-01-01T00:00:00Z"


@pytest.fixture
def lists(listener: Listener) -> Lists:
    return Lists(listener)


@pytest.fixture
def owner(emsp_side: None, partner: Partner, listener: Listener, lists: Lists) -> Person:
    """A CPO whose lists an eMSP pulls."""
    return partner("NL*TNM:CPO", listener=listener)


def tariffs(document: Document, *names: str, **changes: Any) -> list[dict[str, Any]]:
    return [document("tariff", id=name, **{"last_updated": EARLY, **changes}) for name in names]


def shown() -> list[str]:
    return list(models.Tariff.objects.filter(deleted_at=None).order_by("id").values_list("object_id", flat=True))


@pytest.mark.req("TRN-101", "TRN-063", "TRN-077", "TRN-098")
def test_a_first_pull_keeps_every_object_of_every_page(owner: Person, lists: Lists, document: Document) -> None:
    lists.serve("tariffs", tariffs(document, "A", "B", "C", "D", "E"))

    row = run(owner.id, "tariffs")

    assert shown() == ["A", "B", "C", "D", "E"]
    assert (row.result, row.kind, row.pages, row.read, row.created) == ("DONE", "FULL", 3, 5, 5)
    first = lists.requests("tariffs")[0]
    assert lists.queries("tariffs")[0] == {}
    assert (first.headers["ocpi-to-country-code"], first.headers["ocpi-to-party-id"]) == ("NL", "TNM")
    assert (first.headers["ocpi-from-country-code"], first.headers["ocpi-from-party-id"]) == ("DE", "EMS")
    assert first.headers["x-request-id"] != lists.requests("tariffs")[1].headers["x-request-id"]
    assert first.headers["x-correlation-id"] == lists.requests("tariffs")[1].headers["x-correlation-id"]


@pytest.mark.req("PIT-59", "REL-37")
def test_the_next_pull_overlaps_the_former_by_five_minutes(owner: Person, lists: Lists, document: Document) -> None:
    lists.serve("tariffs", tariffs(document, "A"))
    started = run(owner.id, "tariffs").started_at
    assert started

    row = run(owner.id, "tariffs")

    (asked,) = lists.queries("tariffs")[1:]
    assert abs(datetime.fromisoformat(asked["date_from"]) - (started - timedelta(minutes=5))) < timedelta(seconds=1)
    assert row.kind == "DELTA"


@pytest.mark.req("PIT-59")
def test_what_is_pulled_again_unchanged_costs_no_write(owner: Person, lists: Lists, document: Document) -> None:
    lists.limit = 100
    lists.serve("tariffs", tariffs(document, *(f"T{number}" for number in range(20))))
    run(owner.id, "tariffs")
    before = dict(models.Tariff.objects.values_list("object_id", "received_at"))

    with at_most(20):
        row = run(owner.id, "tariffs", full=True)

    assert dict(models.Tariff.objects.values_list("object_id", "received_at")) == before
    assert (row.unchanged, row.created, row.updated, row.differences) == (20, 0, 0, 0)


@pytest.mark.req("TRN-091", "PIT-59")
def test_an_older_object_is_not_applied_and_is_no_error(owner: Person, lists: Lists, document: Document) -> None:
    lists.serve("tariffs", tariffs(document, "A", currency="EUR", last_updated="2026-03-01T00:00:00Z"))
    run(owner.id, "tariffs")
    lists.serve("tariffs", tariffs(document, "A", currency="CHF", last_updated="2026-02-01T00:00:00Z"))

    row = run(owner.id, "tariffs", full=True)

    assert json.loads(models.Tariff.objects.get().document)["currency"] == "EUR"
    assert (row.unchanged, row.refused, row.result) == (1, 0, "DONE")


@pytest.mark.req("TRN-104", "TRN-105", "TRN-015")
def test_invalid_objects_are_put_aside_and_the_others_kept(owner: Person, lists: Lists, document: Document) -> None:
    bad = document("tariff", id="BAD", currency=None, last_updated=EARLY)
    lists.limit = 100
    lists.serve("tariffs", [*tariffs(document, "A"), bad, {"nonsense": True}, 7, *tariffs(document, "B")])

    row = run(owner.id, "tariffs")

    assert shown() == ["A", "B"]
    assert (row.result, row.read, row.created, row.refused) == ("DONE", 5, 2, 3)
    aside = PulledInvalid.objects.get(key="NL*TNM*BAD")
    assert (aside.platform_id, aside.module, aside.field) == (owner.id, "tariffs", "currency")
    assert json.loads(aside.document) == bad
    assert "currency" in aside.reason
    assert aside.request_id == lists.requests("tariffs")[0].headers["x-request-id"]

    run(owner.id, "tariffs", full=True)
    assert PulledInvalid.objects.count() == 3
    assert PulledInvalid.objects.get(key="NL*TNM*BAD").times == 2


@pytest.mark.req("TRN-105", "REL-37")
def test_an_object_is_not_put_aside_because_the_database_could_not_store_it(
    owner: Person, lists: Lists, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = emsp_tariffs.keep

    def crossed(owner: Address, object_id: str, body: bytes) -> bool:
        if object_id == "B":
            raise raised_by(DeadlockDetected)
        return keep(owner, object_id, body)

    lists.limit = 1
    lists.serve("tariffs", tariffs(document, "A", "B"))
    with monkeypatch.context() as patched:
        patched.setattr(emsp_tariffs, "keep", crossed)
        with pytest.raises(OperationalError):
            run(owner.id, "tariffs")
    aside = PulledInvalid.objects.count()

    row = run(owner.id, "tariffs")

    assert (aside, row.result, shown()) == (0, "DONE", ["A", "B"])
    assert len(lists.requests("tariffs")) == 3  # it went on at the page it had stopped at


@pytest.mark.req("TRN-105")
def test_a_valid_version_takes_the_place_of_an_invalid_one(owner: Person, lists: Lists, document: Document) -> None:
    lists.serve("tariffs", [document("tariff", id="A", currency=None, last_updated=EARLY)])
    run(owner.id, "tariffs")
    assert PulledInvalid.objects.count() == 1
    lists.serve("tariffs", tariffs(document, "A"))

    run(owner.id, "tariffs", full=True)

    assert not PulledInvalid.objects.exists()
    assert shown() == ["A"]


@pytest.mark.req("TRN-104", "SEC-46")
@pytest.mark.parametrize(
    "dark",
    [
        '"currency":"EUR"',  # a second time
        '"x_unknown":1,"x_unknown":2',
        '"x_unknown":"\\u0000"',
        '"x_unknown":' + "[" * 33 + "]" * 33,
        '"x_unknown":' + "1" * 33,
        '"x_unknown":"' + "x" * 65_537 + '"',
        '"x_unknown":"\udcff"',  # no UTF-8
        '"x_unknown":[' + ",".join(['"' + "x" * 60_000 + '"'] * 70) + "]",
    ],
    ids=["twice", "twice unknown", "NUL", "deep", "long number", "long string", "no text", "long"],
)
def test_json_that_breaks_a_rule_inside_one_object_leaves_the_others(
    owner: Person, lists: Lists, document: Document, dark: str
) -> None:
    good = json.dumps(document("tariff", id="A", last_updated=EARLY, x_unknown=["x" * 60_000] * 5))
    bad = json.dumps(document("tariff", id="B", last_updated=EARLY))[:-1] + f",{dark}}}"
    body = f'{{"status_code":1000,"timestamp":"{EARLY}","data":[{bad},{good}]}}'
    lists.before = lambda _request, _offset: Reply(raw=body.encode(errors="surrogateescape"))

    row = run(owner.id, "tariffs")

    assert shown() == ["A"]
    assert (row.refused, row.created) == (1, 1)


@pytest.mark.req("SEC-46", "REL-28")
@pytest.mark.parametrize("data", [b"[" * 5000 + b"]" * 5000, b'["\x00"]', b"[1", b"{]"])
def test_a_page_that_is_no_json_ends_the_pull_in_words(owner: Person, lists: Lists, data: bytes) -> None:
    lists.before = lambda _request, _offset: Reply(raw=b'{"status_code":1000,"data":' + data + b"}")

    row = run(owner.id, "tariffs")

    assert (row.result, row.failures) == ("FAILED", 1)
    assert "an error of ours" not in row.error


@pytest.mark.req("TRN-098", "TRN-099", "TRN-100")
def test_an_object_of_somebody_the_platform_does_not_speak_for_is_ignored(
    owner: Person, lists: Lists, document: Document, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = document("tariff", id="F", country_code="FR", party_id="XXX", last_updated=EARLY)
    lists.serve("tariffs", [foreign, *tariffs(document, "A")])

    row = run(owner.id, "tariffs")

    assert shown() == ["A"]
    assert (row.ignored, row.refused, row.created) == (1, 0, 1)
    assert "FR*XXX" in caplog.text
    assert defects.count(owner.id, "TRN-100 foreign owner") >= 1


@pytest.mark.req("TAR-09", "TRN-106", "QRK-23", "REL-37")
def test_tariffs_that_the_whole_list_does_not_hold_are_hidden(owner: Person, lists: Lists, document: Document) -> None:
    lists.serve("tariffs", tariffs(document, "A", "B", "C"))
    run(owner.id, "tariffs")
    lists.serve("tariffs", tariffs(document, "A", "C"))

    row = run(owner.id, "tariffs", full=True)

    assert shown() == ["A", "C"]
    assert (row.removed, row.differences) == (1, 1)
    assert owner.get("emsp/2.2.1/tariffs/NL/TNM/B").http_status == 404
    lists.serve("tariffs", tariffs(document, "A", "B", "C"))
    run(owner.id, "tariffs", full=True)
    assert shown() == ["A", "B", "C"]


@pytest.mark.req("TRN-107")
def test_a_filtered_pull_removes_nothing(owner: Person, lists: Lists, document: Document) -> None:
    lists.serve("tariffs", tariffs(document, "A", "B"))
    run(owner.id, "tariffs")
    lists.serve("tariffs", [])

    delta = run(owner.id, "tariffs")
    since = run(owner.id, "tariffs", since=datetime(2020, 1, 1, tzinfo=UTC))

    assert (delta.kind, since.kind, delta.removed, since.removed) == ("DELTA", "SINCE", 0, 0)
    assert shown() == ["A", "B"]


@pytest.mark.req("TRN-106", "TRN-107")
def test_a_pull_that_did_not_get_every_page_removes_nothing(owner: Person, lists: Lists, document: Document) -> None:
    lists.serve("tariffs", tariffs(document, "A", "B", "C", "D", "E"))
    run(owner.id, "tariffs")
    lists.serve("tariffs", tariffs(document, "A", "C", "D", "E"))
    lists.before = lambda _request, offset: Reply(code=3000, status=500) if offset == 2 else None

    row = run(owner.id, "tariffs", full=True)

    assert (row.result, row.pages) == ("FAILED", 1)
    assert shown() == ["A", "B", "C", "D", "E"]

    lists.before = lambda _request, _offset: None
    finished = run(owner.id, "tariffs")
    assert (finished.result, finished.kind, finished.removed) == ("DONE", "FULL", 1)
    assert shown() == ["A", "C", "D", "E"]


@pytest.mark.req("TRN-106")
def test_what_was_pushed_during_the_pull_is_not_removed(owner: Person, lists: Lists, document: Document) -> None:
    lists.serve("tariffs", tariffs(document, "A", "B", "C", "OLD"))
    run(owner.id, "tariffs")
    lists.serve("tariffs", tariffs(document, "A", "B", "C"))

    assert run(owner.id, "tariffs", full=True, seconds=0).page_url
    for name in ("NEW", "OLD"):  # one that is new, one that came again with its old time stamp
        assert owner.put(f"emsp/2.2.1/tariffs/NL/TNM/{name}", tariffs(document, name)[0]).ok
    row = run(owner.id, "tariffs")

    assert shown() == ["A", "B", "C", "OLD", "NEW"]
    assert row.removed == 0


@pytest.mark.req("TRN-106")
def test_an_invalid_object_of_the_list_is_not_taken_for_gone(owner: Person, lists: Lists, document: Document) -> None:
    lists.serve("tariffs", tariffs(document, "A"))
    run(owner.id, "tariffs")
    lists.serve("tariffs", tariffs(document, "A", currency=None))

    row = run(owner.id, "tariffs", full=True)

    assert (row.refused, row.removed) == (1, 0)
    assert shown() == ["A"]


@pytest.mark.req("TRN-106")
def test_objects_of_another_owner_are_left_alone(
    owner: Person, lists: Lists, document: Document, partner: Partner
) -> None:
    other = partner("FR*CPX:CPO")
    other.put("emsp/2.2.1/tariffs/FR/CPX/X", document("tariff", id="X", country_code="FR", party_id="CPX"))
    lists.serve("tariffs", [])

    run(owner.id, "tariffs")

    assert shown() == ["X"]


@pytest.mark.req("TRN-106", "QRK-23", "LOC-22", "LOC-24")
def test_locations_and_evses_that_the_whole_list_does_not_hold_are_gone(
    owner: Person, lists: Lists, document: Document
) -> None:
    first = document("location", id="ONE", last_updated=EARLY)
    second = document("location", id="TWO", last_updated=EARLY)
    lists.serve("locations", [first, second])
    run(owner.id, "locations")
    assert models.EVSE.objects.filter(deleted_at=None).count() == 2 * len(first["evses"])
    shorter = {**first, "evses": first["evses"][:1], "last_updated": "2026-02-01T00:00:00Z"}
    lists.serve("locations", [shorter])

    row = run(owner.id, "locations", full=True)

    assert row.removed == 1
    assert models.Location.objects.get(object_id="TWO").gone_at is not None
    assert owner.get("emsp/2.2.1/locations/NL/TNM/TWO").codes == (404, 2003)
    uid = second["evses"][0]["uid"]
    assert owner.patch(
        f"emsp/2.2.1/locations/NL/TNM/TWO/{uid}", {"status": "CHARGING", "last_updated": "2026-11-01T00:00:00Z"}
    ).codes == (404, 2003)
    kept = owner.get("emsp/2.2.1/locations/NL/TNM/ONE").data["evses"]
    assert [evse["uid"] for evse in kept] == [first["evses"][0]["uid"]]
    assert models.EVSE.objects.filter(location__object_id="ONE", deleted_at=None).count() == 1
    assert models.EVSE.objects.filter(location__object_id="ONE").count() == len(first["evses"])

    assert owner.put("emsp/2.2.1/locations/NL/TNM/TWO", second).ok
    assert owner.get("emsp/2.2.1/locations/NL/TNM/TWO").codes == (200, 1000)


@pytest.mark.req("PIT-59", "LOC-14")
def test_an_unchanged_location_costs_no_write_and_a_changed_evse_is_seen(
    owner: Person, lists: Lists, document: Document
) -> None:
    found = document("location", id="ONE", last_updated=EARLY)
    lists.serve("locations", [found])
    run(owner.id, "locations")

    same = run(owner.id, "locations", full=True)
    found["evses"][0]["status"] = "OUTOFORDER"
    changed = run(owner.id, "locations", full=True)

    assert (same.unchanged, same.updated) == (1, 0)
    assert (changed.unchanged, changed.updated, changed.differences) == (0, 1, 1)
    assert models.EVSE.objects.get(uid=found["evses"][0]["uid"]).status == "OUTOFORDER"


@pytest.mark.req("PIT-44", "TRN-104")
def test_an_unknown_enum_value_does_not_make_a_list_fail(owner: Person, lists: Lists, document: Document) -> None:
    found = document("location", id="ONE", last_updated=EARLY)
    found["evses"][0]["connectors"][0]["standard"] = "MCS"
    lists.serve("locations", [found])

    row = run(owner.id, "locations")

    assert (row.created, row.refused) == (1, 0)


def sessions(document: Document, *names: str, **changes: Any) -> list[dict[str, Any]]:
    return [document("session", id=name, **{"last_updated": EARLY, **changes}) for name in names]


@pytest.mark.req("SES-02", "TRN-107")
def test_sessions_are_asked_for_with_a_date_and_never_go(owner: Person, lists: Lists, document: Document) -> None:
    lists.serve("sessions", sessions(document, "S1", "S2", "S3"))
    run(owner.id, "sessions")
    lists.serve("sessions", [])

    row = run(owner.id, "sessions", full=True)

    assert all("date_from" in query for query in lists.queries("sessions"))
    assert models.Session.objects.count() == 3
    assert row.removed == 0


@pytest.mark.req("CDR-01", "CDR-10", "TRN-120")
def test_cdrs_are_pulled_kept_once_and_never_go(owner: Person, lists: Lists, document: Document) -> None:
    cdr = document("cdr", id="C1", last_updated=EARLY)
    assert owner.post("emsp/2.2.1/cdrs", cdr).ok
    lists.serve("cdrs", [cdr, document("cdr", id="C2", session_id="S-2", last_updated=EARLY)])

    first = run(owner.id, "cdrs")
    lists.serve("cdrs", [])
    second = run(owner.id, "cdrs", full=True)

    assert (first.unchanged, first.created, second.removed) == (1, 1, 0)
    assert set(models.CDR.objects.values_list("object_id", flat=True)) == {"C1", "C2"}


@pytest.mark.req("REL-45", "TRN-105")
def test_another_cdr_under_a_known_id_is_put_aside(owner: Person, lists: Lists, document: Document) -> None:
    cdr = document("cdr", id="C1", last_updated=EARLY)
    lists.serve("cdrs", [cdr])
    run(owner.id, "cdrs")
    lists.serve("cdrs", [{**cdr, "total_energy": 999.0}])

    row = run(owner.id, "cdrs", full=True)

    assert row.refused == 1
    assert json.loads(models.CDR.objects.get().document)["total_energy"] == cdr["total_energy"]
    assert PulledInvalid.objects.get().key == "NL*TNM*C1"


@pytest.mark.req("REL-37")
def test_the_nightly_comparison_counts_what_should_have_been_here_already(
    owner: Person, lists: Lists, document: Document, settings: Settings
) -> None:
    settings.OCPI_PULL_INTERVAL = 10 * 86_400.0  # the night comes first
    lists.serve("tariffs", tariffs(document, "A", "B", "C"))
    run(owner.id, "tariffs")
    later(timedelta(days=2))
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    lost = tariffs(document, "A", "C", currency="CHF", last_updated="2026-02-01T00:00:00Z")
    lists.serve("tariffs", [*lost, *tariffs(document, "B"), *tariffs(document, "NEW", last_updated=now)])

    row = run(owner.id, "tariffs", asked=False)

    assert (row.kind, row.updated, row.created, row.differences) == ("FULL", 2, 1, 2)
    assert json.loads(models.Tariff.objects.get(object_id="A").document)["currency"] == "CHF"
    found = cursor(owner.id, "tariffs")
    assert found.full_due_at is not None
    assert found.due_at == found.full_due_at
    assert timedelta() < found.full_due_at - datetime.now(UTC) < timedelta(days=2)
