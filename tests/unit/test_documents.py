"""Documents are merged, taken apart and put together without loss."""

from decimal import Decimal

import pytest

from ocpi import documents, status

STORED = '{"id":"L1","kwh":4.00,"big":1E2,"unknown":{"deep":[1.10]},"name":"é","last_updated":"2025-01-01T00:00:00Z"}'
TREE = (
    '{"id":"L1","evses":[{"uid":"A","power":1.0,"connectors":[{"id":"1","volts":2.00},{"id":"2"}]},{"uid":"B"}],'
    '"last_updated":"2025-01-01T00:00:00Z"}'
)
PARTS = (("evses", "uid"), ("connectors", "id"))


@pytest.mark.req("TRN-084", "TRN-114", "TYP-07")
def test_a_patch_replaces_its_members_and_leaves_the_text_of_the_others() -> None:
    merged = documents.merge(STORED, b'{"name":"new","kwh":5.50}')

    assert merged == STORED.replace('"é"', '"new"').replace("4.00", "5.50")


@pytest.mark.req("TRN-088")
def test_an_explicit_null_takes_a_member_away() -> None:
    merged = documents.merge(STORED, b'{"unknown":null,"never_there":null,"added":1.0}')

    assert merged == STORED.replace('"unknown":{"deep":[1.10]},', "").replace('00Z"}', '00Z","added":1.0}')


@pytest.mark.req("TRN-088")
def test_nested_objects_and_lists_are_replaced_as_a_whole() -> None:
    merged = documents.merge('{"a":{"x":1,"y":2},"b":[1,2]}', b'{"a":{"x":3},"b":[9]}')

    assert merged == '{"a":{"x":3},"b":[9]}'


@pytest.mark.req("LOC-31")
def test_evses_of_a_location_patch_are_merged_by_uid_and_connectors_by_id() -> None:
    patch = b'{"evses":[{"uid":"a","status":"X","connectors":[{"id":"2","volts":3.0},{"id":"3"}]},{"uid":"C"}]}'

    merged = documents.merge_tree(TREE, patch, PARTS)

    assert documents.members(merged)["evses"] == documents.raw(
        '[{"uid":"A","power":1.0,"connectors":[{"id":"1","volts":2.00},{"id":"2","volts":3.0},{"id":"3"}],'
        '"status":"X"},{"uid":"B"},{"uid":"C"}]'
    )


@pytest.mark.req("LOC-31")
def test_a_part_without_its_key_is_refused_by_name() -> None:
    with pytest.raises(status.InvalidParameters) as refused:
        documents.merge_tree(TREE, b'{"evses":[{"uid":"A"},{"status":"X"}]}', PARTS)

    assert refused.value.message == "evses[1].uid: is required"


def test_parts_are_taken_out_and_put_back_before_last_updated() -> None:
    rest, evses = documents.take_parts(TREE, "evses")

    assert "evses" not in documents.members(rest)
    assert evses[1] == '{"uid":"B"}'
    assert documents.splice(rest, "evses", evses) == TREE


@pytest.mark.req("TRN-109")
@pytest.mark.parametrize("evses", ["null", "[]"])
def test_a_location_without_parts_has_no_list_of_them(evses: str) -> None:
    rest, parts = documents.take_parts(f'{{"evses":{evses},"id":"L1"}}', "evses")

    assert (rest, parts) == ('{"id":"L1"}', [])
    assert documents.splice(rest, "evses", parts) == '{"id":"L1"}'


@pytest.mark.req("TRN-110")
def test_an_empty_list_of_parts_is_left_out_when_put_together() -> None:
    assert documents.splice('{"id":"L1","evses":[]}', "evses", []) == '{"id":"L1"}'


def test_last_updated_is_moved_to_the_end() -> None:
    moved = documents.last_updated_last('{"last_updated": "2025-01-01T00:00:00Z", "kwh": 1.00}')

    assert moved == '{"kwh":1.00,"last_updated":"2025-01-01T00:00:00Z"}'


def test_members_are_read_set_and_removed_by_name() -> None:
    assert documents.get(STORED, "kwh") == Decimal("4.00")
    assert documents.get(STORED, "missing") is None
    assert documents.set_member('{"a":1.0,"b":2}', "b", Decimal("1E+2")) == '{"a":1.0,"b":100}'
    assert documents.set_members('{"a":1}', {"c": [Decimal("0.10")]}) == '{"a":1,"c":[0.10]}'
    assert documents.without('{"a":1.0,"b":2}', "b", "c") == '{"a":1.0}'


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"4", b"null"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(status.InvalidParameters, match="must be a JSON object"):
        documents.members(body)


def test_a_list_that_is_no_list_is_refused_by_name() -> None:
    with pytest.raises(status.InvalidParameters, match="evses: must be a list"):
        documents.take_parts('{"evses":{}}', "evses")
