"""What is sent, in which order, and what a changed object does to what is pending."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from ocpi import outbox, outbox_request, snapshot
from ocpi.headers import Address
from ocpi.models import Delivery, Endpoint, FinishedDelivery, Platform
from ocpi.outbox_engine import drain_now
from ocpi.outbox_request import Receiver
from ocpi.outbox_rows import Outcome, Row
from ocpi.stored import Stored
from tests.outbox_support import Recorder, Says, add_object, add_platform, change, later, mark, pending, recorder

pytestmark = pytest.mark.django_db


@pytest.fixture
def emsp_server() -> Iterator[Recorder]:
    with recorder() as found:
        yield found


@pytest.fixture
def emsp_platform(emsp_server: Recorder) -> Platform:
    return add_platform("eMSP", emsp_server.url)


@pytest.mark.req("REL-01")
def test_what_has_to_be_delivered_is_written_in_the_transaction_of_its_change(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    location = add_object()

    with transaction.atomic():
        mark(location, emsp_platform)
        transaction.set_rollback(True)

    assert drain_now() == 0
    assert emsp_server.got == []


@pytest.mark.req("REL-16", "TRN-062")
def test_a_change_of_some_fields_is_a_patch_of_these_and_last_updated(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    location = add_object(status="BLOCKED", name="Harbour")
    mark(location, emsp_platform, fields=["status"], correlation_id="one action")

    assert drain_now() == 1

    [got] = emsp_server.got
    assert (got.method, got.path) == ("PATCH", "/locations/NL/TNM/LOC1")
    assert got.document == {"status": "BLOCKED", "last_updated": "2026-01-01T00:00:00Z"}
    assert got.headers["ocpi-to-party-id"] == "EMS"
    assert got.headers["ocpi-from-party-id"] == "TNM"
    assert got.headers["x-correlation-id"] == "one action"
    assert pending() == []
    assert FinishedDelivery.objects.get().state == "DELIVERED"


@pytest.mark.req("REL-16")
def test_a_whole_object_is_put_with_its_parts(emsp_server: Recorder, emsp_platform: Platform) -> None:
    location = add_object()
    add_object("LOC1/EVSE1", parent=location)
    mark(location, emsp_platform)

    drain_now()

    [got] = emsp_server.got
    assert got.method == "PUT"
    assert [evse["id"] for evse in got.document["evses"]] == ["LOC1/EVSE1"]


@pytest.mark.req("REL-16")
def test_a_member_that_is_gone_makes_a_change_a_put_of_the_whole(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    mark(add_object(status="BLOCKED"), emsp_platform, fields=["name", "status"])

    drain_now()

    assert emsp_server.lines == ["PUT /locations/NL/TNM/LOC1"]
    assert "name" not in emsp_server.got[0].document


@pytest.mark.req("REL-16", "HUB-44")
def test_changes_of_one_object_coalesce_while_they_wait(emsp_server: Recorder, emsp_platform: Platform) -> None:
    location = add_object()
    for status in ("CHARGING", "BLOCKED", "AVAILABLE"):
        change(location, status=status)
        mark(location, emsp_platform, fields=["status"])
    change(location, name="Harbour", city="Rotterdam")
    mark(location, emsp_platform, fields=["name"])
    mark(location, emsp_platform, fields=["city", "name", "status"])

    assert drain_now() == 1

    [got] = emsp_server.got
    assert got.document == {
        "status": "AVAILABLE", "name": "Harbour", "city": "Rotterdam", "last_updated": "2026-01-01T00:00:00Z"
    }  # fmt: skip


@pytest.mark.req("REL-16", "REL-31")
def test_how_long_a_change_waits_counts_from_the_last_one(emsp_server: Recorder, emsp_platform: Platform) -> None:
    location = add_object(name="Harbour")
    mark(location, emsp_platform, fields=["status"])
    later(300)
    mark(location, emsp_platform, fields=["name"])

    drain_now()

    assert [(got.method, got.document.keys()) for got in emsp_server.got] == [
        ("PATCH", {"status", "name", "last_updated"})
    ]


@pytest.mark.req("REL-16", "REL-15")
@pytest.mark.parametrize(("deleted", "sent"), [([False, True], "DELETE"), ([True, False], "PUT")])
def test_whether_an_object_is_deleted_or_made_anew_is_told_by_its_last_change(
    emsp_server: Recorder, emsp_platform: Platform, deleted: list[bool], sent: str
) -> None:
    location = add_object()
    for each in deleted:
        mark(location, emsp_platform, deleted=each)

    drain_now()

    assert emsp_server.lines == [f"{sent} /locations/NL/TNM/LOC1"]


@pytest.mark.req("REL-16", "REL-36")
def test_a_change_of_what_is_only_marked_goes_out_whole_without_waiting_for_a_pull(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    location = add_object()
    mark(location, emsp_platform, fields=["status"])
    Delivery.objects.update(state="MARKED", fields=None, due_at=datetime.now(UTC) + timedelta(minutes=10))

    mark(location, emsp_platform, fields=["name"])
    drain_now()

    assert emsp_server.lines == ["PUT /locations/NL/TNM/LOC1"]


def test_a_whole_change_among_the_coalesced_makes_it_a_put(emsp_server: Recorder, emsp_platform: Platform) -> None:
    location = add_object()
    mark(location, emsp_platform, fields=["status"])
    mark(location, emsp_platform)
    mark(location, emsp_platform, fields=["name"])

    drain_now()

    assert emsp_server.lines == ["PUT /locations/NL/TNM/LOC1"]


@pytest.mark.req("REL-17")
def test_cdrs_are_never_merged_and_a_second_mark_of_one_changes_nothing(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    for number in (1, 2):
        cdr = add_object(f"CDR{number}", module="cdrs")
        mark(cdr, emsp_platform, kind="CDR", order_key="LOC1", correlation_id="first")
        mark(cdr, emsp_platform, kind="CDR", order_key="LOC1", correlation_id="second")

    assert [(found.change, found.correlation_id) for found in pending()] == [(1, "first"), (1, "first")]

    drain_now()

    assert emsp_server.lines == ["POST /cdrs", "POST /cdrs"]
    assert [got.document["id"] for got in emsp_server.got] == ["CDR1", "CDR2"]


@pytest.mark.req("REL-18", "REL-15")
def test_a_change_during_the_call_leaves_the_delivery_pending(
    emsp_server: Recorder, emsp_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = add_object(status="CHARGING")
    mark(location, emsp_platform)

    def changes() -> None:
        change(location, status="AVAILABLE")
        mark(location, emsp_platform)

    once_after_the_call(monkeypatch, changes)

    assert drain_now() == 2

    assert [got.document["status"] for got in emsp_server.got] == ["CHARGING", "AVAILABLE"]
    assert pending() == []


@pytest.mark.req("REL-16", "REL-18", "REL-32")
@pytest.mark.parametrize(
    ("first", "second", "third"),
    [
        (Says(429), Says(), "PATCH"),  # it has confirmed all but the last change
        (Says(hangs_up=True), Says(), "PATCH"),
        (Says(hangs_up=True), Says(200, 2001), "PUT"),  # nobody knows what it has
        (Says(429), Says(200, 2001), "PUT"),
    ],
)
def test_a_change_during_a_later_try_is_a_patch_only_if_that_try_was_confirmed(
    first: Says, second: Says, third: str, emsp_server: Recorder, emsp_platform: Platform,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    location = add_object(name="Harbour")
    mark(location, emsp_platform, fields=["status"])
    emsp_server.answers = [first]
    drain_now()
    later(5)
    once_after_the_call(monkeypatch, lambda: mark(location, emsp_platform, fields=["name"]))
    emsp_server.answers = [second]

    drain_now()

    assert [got.method for got in emsp_server.got] == ["PATCH", "PUT", third]
    assert emsp_server.got[2].document["name"] == "Harbour"
    assert pending() == []


def once_after_the_call(monkeypatch: pytest.MonkeyPatch, happen: Callable[[], None]) -> None:
    """Have something happen after the answer came and before it is written down."""
    original, left = outbox_request.deliver, [happen]

    def deliver(row: Row, document: Stored | None, receiver: Receiver) -> Outcome:
        outcome = original(row, document, receiver)
        if left:
            left.pop()()
        return outcome

    monkeypatch.setattr(outbox_request, "deliver", deliver)


@pytest.mark.req("REL-14")
def test_rows_of_one_order_key_go_out_in_the_order_in_which_they_were_written(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    rows = [add_object(f"LOC1/E{number}") for number in range(30)]
    for row in rows:
        mark(row, emsp_platform)

    drain_now()

    assert emsp_server.lines == [f"PUT /locations/NL/TNM/{row.path}" for row in rows]


@pytest.mark.req("REL-14")
def test_a_slot_is_the_same_in_every_process_and_release_and_however_an_id_is_spelled() -> None:
    keys = ("LOC1", "loc1", "Loc2", "LOC3", "token é", "")

    assert [outbox.slot_of(key) for key in keys] == [0, 0, 2, 0, 0, 0]


@pytest.mark.req("REL-32", "REL-16")
def test_who_may_have_got_a_change_gets_the_whole_object_whatever_came_in_between(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    mark(add_object(), emsp_platform, fields=["status"])
    Delivery.objects.update(ambiguous=True, attempts=0)

    drain_now()

    assert emsp_server.lines == ["PUT /locations/NL/TNM/LOC1"]


@pytest.mark.req("REL-14", "REL-25")
def test_nothing_overtakes_a_row_that_waits_for_its_next_try(emsp_server: Recorder, emsp_platform: Platform) -> None:
    names = [f"LOC{number}" for number in range(2, 99)]
    neighbour = next(name for name in names if outbox.slot_of(name) == outbox.slot_of("LOC1"))
    location, session, other = add_object(), add_object("S1", module="sessions"), add_object(neighbour)
    mark(location, emsp_platform)
    mark(session, emsp_platform, order_key="LOC1")
    mark(other, emsp_platform)
    # The hub in between is well, who is behind it is away: this row waits, the platform does not back off.
    emsp_server.answers = [Says(status_code=4003)]

    drain_now()
    assert emsp_server.lines == ["PUT /locations/NL/TNM/LOC1", f"PUT /locations/NL/TNM/{neighbour}"]

    later(2)
    drain_now()
    assert emsp_server.lines[2:] == ["PUT /locations/NL/TNM/LOC1", "PUT /sessions/NL/TNM/S1"]


@pytest.mark.req("REL-14")
@pytest.mark.parametrize("answer", [Says(503), Says(429), Says(hangs_up=True)])
def test_what_failed_by_the_platforms_fault_is_not_overtaken(
    emsp_server: Recorder, emsp_platform: Platform, answer: Says
) -> None:
    mark(add_object(), emsp_platform)
    mark(add_object("S1", module="sessions"), emsp_platform, order_key="LOC1")
    emsp_server.answers = [answer]

    drain_now()

    assert emsp_server.lines == ["PUT /locations/NL/TNM/LOC1"]


@pytest.mark.req("REL-32", "TRN-119")
@pytest.mark.parametrize("answer", [Says(hangs_up=True), Says(503), Says(body=b"<html>")])
def test_after_an_ambiguous_outcome_a_patch_is_repeated_as_a_put_of_the_current_object(
    emsp_server: Recorder, emsp_platform: Platform, answer: Says
) -> None:
    location = add_object()
    mark(location, emsp_platform, fields=["status"])
    emsp_server.answers = [answer]
    drain_now()
    change(location, status="BLOCKED")

    later(2)
    drain_now()

    assert [got.method for got in emsp_server.got] == ["PATCH", "PUT"]
    assert emsp_server.got[1].document["status"] == "BLOCKED"
    assert emsp_server.got[0].headers["x-request-id"] != emsp_server.got[1].headers["x-request-id"]
    assert emsp_server.got[0].headers["x-correlation-id"] == emsp_server.got[1].headers["x-correlation-id"]


@pytest.mark.req("REL-32")
@pytest.mark.parametrize("answer", [Says(404, 2000), Says(404, 2003), Says(200, 2003)])
def test_who_does_not_know_the_object_of_a_patch_gets_all_of_it_at_once(
    emsp_server: Recorder, emsp_platform: Platform, answer: Says
) -> None:
    mark(add_object(), emsp_platform, fields=["status"])
    emsp_server.answers = [answer]

    assert drain_now() == 1

    assert [got.method for got in emsp_server.got] == ["PATCH", "PUT"]
    assert pending() == []


@pytest.mark.req("REL-32")
def test_who_does_not_know_the_location_of_an_evse_gets_the_whole_location(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    location = add_object()
    evse = add_object("LOC1/E1", parent=location)
    emsp_server.always = lambda got: Says(404, 2003) if got.path.endswith("/E1") else None
    mark(evse, emsp_platform, fields=["status"])

    drain_now()

    assert [got.method for got in emsp_server.got] == ["PATCH", "PUT", "PUT"]
    assert emsp_server.got[2].path == "/locations/NL/TNM/LOC1"
    assert len(emsp_server.got[2].document["evses"]) == 1
    assert pending() == []


@pytest.mark.req("REL-32", "REL-01")
@pytest.mark.parametrize("known_after", [2, None])
def test_what_a_receiver_refuses_before_it_knows_the_owner_is_sent_again_a_few_times(
    emsp_server: Recorder, emsp_platform: Platform, known_after: int | None
) -> None:
    mark(add_object("TOKEN", module="tokens"), emsp_platform)
    refused = known_after if known_after is not None else 100
    emsp_server.answers = [Says(404, 2004)] * refused

    for seconds in (2, 3, 7, 13, 25, 1):
        drain_now()
        later(seconds)

    assert [got.method for got in emsp_server.got] == ["PUT"] * (3 if known_after else 6)
    assert FinishedDelivery.objects.get().state == ("DELIVERED" if known_after else "REFUSED")


@pytest.mark.req("REL-25", "TRN-046")
@pytest.mark.parametrize(("told", "state"), [(True, "DELIVERED"), (False, "REFUSED")])
def test_a_tariff_that_is_not_found_is_sent_again_while_its_owner_is_being_introduced(
    emsp_server: Recorder, emsp_platform: Platform, told: bool, state: str
) -> None:
    mark(add_object("T1", module="tariffs"), emsp_platform)
    if told:
        FinishedDelivery.objects.create(
            platform=emsp_platform, kind="STATE", state="DELIVERED", module="hubclientinfo", path="nl/TNM",
            order_key="x", slot=0, correlation_id="c",
        )  # fmt: skip
    emsp_server.answers = [Says(404, 2000)]

    for seconds in (2, 3):
        drain_now()
        later(seconds)

    assert FinishedDelivery.objects.get(module="tariffs").state == state


def test_a_deleted_object_is_deleted_at_the_receiver(emsp_server: Recorder, emsp_platform: Platform) -> None:
    tariff = add_object("T1", module="tariffs")
    mark(tariff, emsp_platform, deleted=True)
    tariff.delete()

    drain_now()

    assert emsp_server.lines == ["DELETE /tariffs/NL/TNM/T1"]
    assert emsp_server.got[0].body == b""


def test_an_object_that_the_receiver_does_not_have_is_deleted_there(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    mark(add_object("T1", module="tariffs"), emsp_platform, deleted=True)
    emsp_server.answers = [Says(404, 2000)]

    drain_now()

    assert FinishedDelivery.objects.get().state == "DELIVERED"


def test_odd_characters_in_ids_are_percent_encoded(emsp_server: Recorder, emsp_platform: Platform) -> None:
    token = add_object("TOKEN", module="tokens")
    with transaction.atomic():
        outbox.mark(
            [outbox.Recipient(emsp_platform.pk)], module="tokens", source="hub.SharedObject", source_id=token.pk,
            path=outbox.path_of("NL", "TNM", "a/b c?"), order_key="x", query="type=RFID",
        )  # fmt: skip

    drain_now()

    assert emsp_server.lines == ["PUT /tokens/NL/TNM/a%2Fb%20c%3F?type=RFID"]


def test_a_receiver_without_the_endpoint_is_a_clear_refusal(emsp_server: Recorder, emsp_platform: Platform) -> None:
    Endpoint.objects.filter(platform=emsp_platform, identifier="tariffs").delete()
    snapshot.changed()
    mark(add_object("T1", module="tariffs"), emsp_platform)

    drain_now()

    finished = FinishedDelivery.objects.get()
    assert (finished.state, finished.error) == ("REFUSED", "the platform has no tariffs RECEIVER endpoint")


@pytest.mark.req("REL-34", "TRN-062")
def test_a_result_is_posted_to_the_response_url_and_dropped_after_its_deadline(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    with transaction.atomic():
        outbox.send_result(
            outbox.Recipient(emsp_platform.pk, Address("DE", "EMS"), Address("NL", "TNM")),
            url=f"{emsp_server.url}/results/77", body=b'{"result":"ACCEPTED"}', module="commands",
            deadline_at=datetime.now(UTC) + timedelta(seconds=30), correlation_id="the command's",
        )  # fmt: skip
    emsp_server.answers = [Says(503)]
    drain_now()
    later(2)
    emsp_server.answers = [Says(503)]
    drain_now()
    assert emsp_server.lines == ["POST /results/77"] * 2
    assert {got.headers["x-correlation-id"] for got in emsp_server.got} == {"the command's"}
    assert Delivery.objects.count() == 1

    later(29)
    drain_now()

    assert len(emsp_server.got) == 2
    assert FinishedDelivery.objects.get().state == "DROPPED"


@pytest.mark.req("REL-01")
def test_one_statement_marks_any_number_of_receivers(emsp_server: Recorder, django_assert_num_queries: object) -> None:
    platforms = [add_platform(f"P{number}", emsp_server.url) for number in range(40)]
    location = add_object()

    with transaction.atomic(), django_assert_num_queries(1):  # type: ignore[operator]
        outbox.mark(
            [outbox.Recipient(found.pk) for found in platforms], module="locations", source="hub.SharedObject",
            source_id=location.pk, path="NL/TNM/LOC1", order_key="LOC1",
        )  # fmt: skip

    assert drain_now() == 40


def test_a_location_header_of_a_cdr_is_kept(emsp_server: Recorder, emsp_platform: Platform) -> None:
    mark(add_object("CDR1", module="cdrs"), emsp_platform, kind="CDR")
    emsp_server.always = lambda _got: Says(201, headers={"Location": "https://emsp.example/cdrs/1"})

    drain_now()

    assert FinishedDelivery.objects.get().location == "https://emsp.example/cdrs/1"
