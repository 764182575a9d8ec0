"""What a receiver's own pull settles at ours: marks of what it was shown, CDRs it says it has."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cpo import models
from cpo.modules import cdrs_operations, locations_operations
from hub import wsgi
from hub.models import SharedObject
from ocpi import health, outbox_care, pagination, snapshot
from ocpi.models import Delivery, FinishedDelivery, Platform
from ocpi.outbox_engine import drain_now
from tests.admin_world import owned
from tests.cpo_support import add_location, add_tariff, tariff
from tests.fixtures import Document, Partner, add_party
from tests.outbox_support import later
from tests.people import Person
from tests.platforms import Listener, Reply
from tests.statements import at_most

TARIFFS, LOCATIONS, CDRS = "cpo/2.2.1/tariffs", "cpo/2.2.1/locations", "cpo/2.2.1/cdrs"
pytestmark = pytest.mark.django_db
MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def reader(cpo_side: None, partner: Partner, listener: Listener) -> Person:
    """An eMSP that was away while something changed."""
    person = partner("DE*EMS:EMSP", listener=listener)
    _set(person, "OFFLINE")
    return person


def _set(person: Person, connection: str) -> None:
    Platform.objects.filter(pk=person.id).update(connection=connection)
    snapshot.changed()
    health.forget_written()


def _marks(person: Person) -> list[str]:
    rows = Delivery.objects.filter(platform_id=person.id, state="MARKED").order_by("path")
    return list(rows.values_list("path", flat=True))


@pytest.mark.req("REL-36", "TRN-119")
def test_a_page_that_was_answered_clears_the_marks_of_its_objects(reader: Person, listener: Listener) -> None:
    for name in ("A", "B", "C"):
        add_tariff(tariff(id=name))
    assert _marks(reader) == ["NL/TNM/A", "NL/TNM/B", "NL/TNM/C"]
    _set(reader, "CONNECTED")

    assert len(reader.get(TARIFFS, query={"limit": 2}).data) == 2

    assert _marks(reader) == ["NL/TNM/C"]
    later(3600)
    outbox_care.sweep()
    drain_now()
    assert [got.path.rpartition("/")[2] for got in listener.received("PUT")] == ["C"]


@pytest.mark.req("REL-36")
@pytest.mark.parametrize("state", ["PENDING", "MARKED"])  # the change is to be sent, or was tried in vain
def test_an_object_that_changes_after_it_was_read_keeps_its_mark(
    reader: Person, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    add_tariff(tariff(id="A"))
    answered = pagination.answer

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        add_tariff(tariff(id="A", currency="CHF", last_updated="2026-02-01T00:00:00Z"))
        Delivery.objects.update(state=state)
        return answered(*arguments, **options)

    monkeypatch.setattr(pagination, "answer", meanwhile)
    before = Delivery.objects.get().change
    assert reader.get(TARIFFS).data[0]["currency"] == "EUR"

    assert Delivery.objects.get().change == before + 1


@pytest.mark.req("REL-36")
def test_a_page_of_others_or_of_other_objects_clears_nothing(reader: Person, partner: Partner) -> None:
    other = partner("BE*MSX:EMSP")
    add_tariff(tariff(id="A"))

    other.get(TARIFFS)
    reader.get(LOCATIONS)
    reader.get(TARIFFS, query={"offset": 1})
    reader.get(TARIFFS, query={"date_from": "2026-12-31T00:00:00Z"})

    assert _marks(reader) == ["NL/TNM/A"]


@pytest.mark.req("REL-36", "LOC-14")
def test_a_location_is_shown_with_its_evses_and_clears_their_marks(reader: Person, document: Document) -> None:
    row = add_location(document("location", id="LOC1"))
    Delivery.objects.all().delete()
    evse = row.evses.order_by("id")[0]
    assert locations_operations.set_status(evse.pk, "OUTOFORDER")
    assert _marks(reader) == [f"NL/TNM/LOC1/{evse.uid}"]

    reader.get(LOCATIONS)

    assert _marks(reader) == []


@pytest.mark.req("REL-36", "HUB-57")
def test_a_hubs_list_clears_the_marks_of_the_party_that_asked(hub_side: None, partner: Partner) -> None:
    owner = partner("NL*TNM:CPO")
    reader = partner("DE*EMS:EMSP", "BE*EMS:EMSP")
    _set(reader, "OFFLINE")
    body = {**tariff(id="A"), "last_updated": "2026-02-01T00:00:00Z"}
    owner.put("hub/2.2.1/receiver/tariffs/NL/TNM/A", body, to="NL*HUB")
    assert SharedObject.objects.count() == 1
    assert len(_marks(reader)) == 2

    assert len(reader.get("hub/2.2.1/sender/tariffs", to="NL*HUB").data) == 1

    assert _marks(reader) == []


@pytest.mark.req("REL-36")
def test_what_one_party_behind_a_hub_reads_says_nothing_of_the_hub(cpo_side: None, partner: Partner) -> None:
    hub_ = partner("BE*HUB:HUB")
    add_party(hub_.platform, "DE*EMS:EMSP", through_hub=True)
    _set(hub_, "OFFLINE")
    add_tariff(tariff(id="A"))
    assert _marks(hub_) == ["NL/TNM/A"]

    hub_.get(TARIFFS, sender="DE*EMS")
    assert _marks(hub_) == ["NL/TNM/A"]
    hub_.get(TARIFFS, sender="BE*HUB")
    assert _marks(hub_) == []


@pytest.mark.req("REL-36")
def test_a_page_costs_one_statement_more_and_only_with_marks(reader: Person) -> None:
    add_tariff(tariff(id="A"))
    for _ in range(2):  # it is heard again, and the registry is read
        reader.get("versions")

    with at_most(3):
        reader.get(TARIFFS)
    assert _marks(reader) == []
    with at_most(2):
        reader.get(TARIFFS)


def _cdr(document: Document, name: str, updated: datetime) -> models.CDR:
    row = models.CDR.objects.create(
        **owned(object_id=name, document=json.dumps(document("cdr", id=name)), last_updated=updated),
        session_id=f"S-{name}",
        token_uid="1",
        start_date_time=updated,
        emsp_country_code="DE",
        emsp_party_id="EMS",
    )
    cdrs_operations.push(row, "LOC1")
    return row


def _unconfirmed() -> list[str]:
    ids = Delivery.objects.filter(kind="CDR").values_list("source_id", flat=True)
    return list(models.CDR.objects.filter(pk__in=ids).order_by("pk").values_list("object_id", flat=True))


@pytest.mark.req("REL-33", "REL-36")
def test_a_later_pull_confirms_the_cdrs_before_its_date_from(reader: Person, document: Document) -> None:
    _set(reader, "CONNECTED")
    for number in range(3):
        _cdr(document, f"C{number}", MOMENT + timedelta(hours=number))

    reader.get(CDRS)
    assert _unconfirmed() == ["C0", "C1", "C2"]  # being shown a CDR confirms nothing
    reader.get(CDRS, query={"date_from": "2026-03-01T13:00:00Z"})

    assert _unconfirmed() == ["C1", "C2"]
    finished = FinishedDelivery.objects.get()
    assert (finished.kind, finished.state, finished.platform_id) == ("CDR", "DELIVERED", reader.id)
    assert "pull" in finished.error


@pytest.mark.req("REL-33")
def test_nobody_confirms_the_cdrs_of_another(reader: Person, partner: Partner, document: Document) -> None:
    _cdr(document, "C0", MOMENT)
    other = partner("BE*MSX:EMSP")

    other.get(CDRS, query={"date_from": "2026-12-01T00:00:00Z"})
    reader.get("cpo/2.2.1/sessions", query={"date_from": "2026-12-01T00:00:00Z"})

    assert _unconfirmed() == ["C0"]


@pytest.mark.req("REL-36")
def test_a_page_that_was_not_written_out_clears_nothing(reader: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    add_tariff(tariff(id="A"))

    def answer() -> Iterator[bytes]:
        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": f"/ocpi/{TARIFFS}", "QUERY_STRING": "", "SERVER_NAME": "h",
            "SERVER_PORT": "80", "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(),
            "HTTP_AUTHORIZATION": reader.authorization,
        }  # fmt: skip
        monkeypatch.setattr(wsgi, "care_for_connection", lambda: None)
        monkeypatch.setattr(wsgi, "leave_connection", lambda: None)
        return iter(wsgi.application(environ, lambda _status, _headers: None))

    broken = answer()
    assert b'"A"' in next(broken)
    assert _marks(reader) == ["NL/TNM/A"]
    del broken  # the connection was lost while it was written
    assert _marks(reader) == ["NL/TNM/A"]

    assert b'"A"' in b"".join(answer())
    assert _marks(reader) == []


@pytest.mark.req("TRN-087", "TRN-086")
@pytest.mark.parametrize(("known", "methods"), [(False, ["PATCH", "GET", "PUT"]), (True, ["PATCH", "GET"])])
def test_after_a_patch_that_was_refused_we_look_and_put_what_is_missing(
    cpo_side: None, partner: Partner, listener: Listener, document: Document, known: bool, methods: list[str]
) -> None:
    partner("DE*EMS:EMSP", listener=listener)
    row = add_location(document("location", id="LOC1"))
    drain_now()
    listener.forget()
    listener.reply("PATCH", "/ocpi/2.2.1/receiver", code=2001, message="no such thing")
    listener.reply("GET", "/ocpi/2.2.1/receiver", using=lambda _got: Reply() if known else Reply(status=404, code=2003))
    evse = row.evses.order_by("id")[0]
    assert locations_operations.set_status(evse.pk, "OUTOFORDER")

    drain_now()

    assert [got.method for got in listener.received()] == methods
    assert len({got.path for got in listener.received()}) == 1
    if not known:
        assert listener.received("PUT")[0].json["uid"] == evse.uid
