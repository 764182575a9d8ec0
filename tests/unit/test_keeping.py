"""Keeping what owners push: the operations behind every Receiver interface."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from django.db import connection

from emsp.models import Tariff
from ocpi import keeping, status
from ocpi.headers import Address
from ocpi.v2_2_1 import tokens as schema
from tests.fixtures import Document

OWNER = Address("NL", "TNM")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def put(text: str = "{}", *, owner: Address = OWNER, object_id: str = "T1", at: datetime = NOON) -> keeping.Kept:
    return keeping.put(
        Tariff, owner=owner, object_id=object_id, document=text, updated=at, columns={"deleted_at": None}
    )


def members(**values: Any) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in values.items()}


@pytest.mark.django_db
def test_put_says_whether_the_object_is_new() -> None:
    first, second = put('{"a":1}'), put('{"a":2}')

    assert (first.created, second.created) == (True, False)
    assert first.row_id == second.row_id
    assert Tariff.objects.get().document == '{"a":2}'


@pytest.mark.django_db
@pytest.mark.req("TRN-096", "TRN-097")
def test_the_key_is_owner_and_id_in_any_case() -> None:
    put('{"country_code":"NL","party_id":"TNM","id":"T1"}')

    put('{"country_code":"nl","party_id":"tnm","id":"t1","x":1}', owner=Address("nl", "tnm"), object_id="t1")
    put("{}", owner=Address("NL", "TNX"))

    stored = keeping.find(Tariff, owner=Address("Nl", "tNM"), object_id="t1")
    assert stored is not None
    assert stored.document == '{"country_code":"NL","party_id":"TNM","id":"T1","x":1}'
    assert Tariff.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.req("TRN-097")
def test_the_first_spelling_stays_also_if_only_the_body_has_another() -> None:
    put('{"country_code":"NL","party_id":"TNM","id":"T1"}')

    put('{"country_code":"nl","party_id":"TNM","id":"t1","x":1}')

    assert Tariff.objects.get().document == '{"country_code":"NL","party_id":"TNM","id":"T1","x":1}'


@pytest.mark.django_db
def test_respelling_leaves_members_alone_that_are_no_identity() -> None:
    put('{"id":"T1","uid":"something else"}')

    put('{"id":"t1","uid":"something else"}', object_id="t1")

    assert Tariff.objects.get().document == '{"id":"T1","uid":"something else"}'


@pytest.mark.django_db
@pytest.mark.req("TRN-091")
def test_an_older_object_is_refused_with_both_times() -> None:
    put('{"a":1}')

    with pytest.raises(status.InvalidParameters, match="2026-01-01T11:59:59Z is older than 2026-01-01T12:00:00Z"):
        put('{"a":2}', at=NOON - timedelta(seconds=1))

    assert Tariff.objects.get().document == '{"a":1}'


@pytest.mark.django_db
@pytest.mark.req("REL-53")
def test_a_stored_time_far_ahead_blocks_nothing_and_one_just_ahead_does() -> None:
    now = datetime.now(UTC)
    put(at=now + timedelta(minutes=7))
    put('{"n":1}', at=now + timedelta(minutes=3))

    with pytest.raises(status.InvalidParameters):
        put('{"n":2}', at=now)

    assert Tariff.objects.get().document == '{"n":1}'


@pytest.mark.req("TRN-091", "REL-53")
@pytest.mark.parametrize(
    ("ahead", "refused"), [(timedelta(0), True), (timedelta(minutes=3), True), (timedelta(minutes=7), False)]
)
def test_refusing_what_is_older_has_the_same_rule(ahead: timedelta, refused: bool) -> None:
    stored = datetime.now(UTC) + ahead

    keeping.refuse_older(stored, stored)
    if refused:
        with pytest.raises(status.InvalidParameters):
            keeping.refuse_older(stored - timedelta(seconds=1), stored)
    else:
        keeping.refuse_older(stored - timedelta(seconds=1), stored)


@pytest.mark.req("TRN-047", "TRN-048", "TRN-090")
def test_identity_is_compared_without_case_and_only_where_it_is_given() -> None:
    expected = {"country_code": "NL", "id": "Loc1"}

    keeping.check_identity(members(country_code="nl", id="LOC1"), expected)
    keeping.check_identity(members(name="x"), expected)

    with pytest.raises(status.InvalidParameters, match="id: differs from Loc1"):
        keeping.check_identity(members(country_code="NL", id="LOC2"), expected)


def test_a_patch_without_the_identity_is_left() -> None:
    assert keeping.without_identity(b'{"id":"loc1","a":1.50}', {"id": "LOC1", "country_code": "NL"}) == b'{"a":1.50}'


@pytest.mark.req("TRN-085")
def test_last_updated_is_required_and_read_to_the_millisecond() -> None:
    assert keeping.last_updated(members(last_updated="2026-01-01T12:00:00.250Z")) == NOON + timedelta(milliseconds=250)
    with pytest.raises(status.InvalidParameters, match="last_updated: is required"):
        keeping.last_updated({})


@pytest.mark.req("TRN-084", "TRN-088", "TRN-089")
def test_a_patch_is_merged_and_checked(document: Document) -> None:
    token = document("token_rfid")
    row = Tariff(document=json.dumps(token), last_updated=NOON)

    def check(text: bytes) -> tuple[bytes, list[str]]:
        return schema.check_leniently(text, "Token")

    text, updated = keeping.patch(row, b'{"language":null,"last_updated":"2026-01-02T00:00:00Z"}', check=check)

    token.pop("language")
    assert json.loads(text) == {**token, "last_updated": "2026-01-02T00:00:00Z"}
    assert updated == datetime(2026, 1, 2, tzinfo=UTC)
    with pytest.raises(status.InvalidParameters, match="issuer"):
        keeping.patch(row, b'{"issuer":null,"last_updated":"2026-01-02T00:00:00Z"}', check=check)


@pytest.mark.django_db(transaction=True)
def test_of_many_puts_at_once_the_newest_stays() -> None:
    def push(second: int) -> None:
        try:
            put(str(second), at=NOON + timedelta(seconds=second))
        except status.InvalidParameters:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=push, args=(second,)) for second in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Tariff.objects.get().document == "11"
