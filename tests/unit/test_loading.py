"""Cutting files of objects into objects, and loading them in batches."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocpi import documents, loading, status
from ocpi.loading import BadFile, Kept, Loader, Objects

TRICKY = [
    {"id": "1", "text": 'quote " bracket } ] { [ backslash \\ end\\\\'},
    {"id": "2", "data": [{"data": []}], "nested": {"a": [1, [2, {"b": "]"}]]}},
    {},
]


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("enveloped", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_an_array_or_an_envelope_plain_or_zipped(tmp_path: Path, indent: int, enveloped: bool, zipped: bool) -> None:
    whole: Any = TRICKY
    if enveloped:
        whole = {"status_code": 1000, "status_message": '"data":[', "data": TRICKY, "timestamp": "2026-01-01T00:00:00Z"}
    content = json.dumps(whole, indent=indent).encode()
    path = write(tmp_path / "file", gzip.compress(content) if zipped else content)

    assert [json.loads(body) for body in Objects(path)] == TRICKY


@pytest.mark.parametrize("content", [
    b"", b"x", b'{"a": 1}', b'{"data": {}}', b"[1]", b"[{}, null]", b'[{"a": 1}', b'[{"a": "', b"[{}", b'[{"a":1},{"b"',
])  # fmt: skip
def test_what_is_no_array_of_objects_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadFile, match="file"):
        list(Objects(write(tmp_path / "file", content)))


def test_a_damaged_gzip_file_is_refused(tmp_path: Path) -> None:
    content = gzip.compress(json.dumps(TRICKY * 1000).encode())

    with pytest.raises(BadFile):
        list(Objects(write(tmp_path / "file", content[:-20])))


def test_an_empty_array_has_nothing(tmp_path: Path) -> None:
    assert list(Objects(write(tmp_path / "file", b" [ ] "))) == []


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='ab"\\{}[],:é\u2028'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='ab"\\{}[]'), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(objects=st.lists(st.dictionaries(st.text(max_size=3), _values, max_size=4), max_size=8), size=st.integers(1, 40))
def test_any_objects_survive_any_cut_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, objects: list[Any], size: int
) -> None:
    path = write(tmp_path_factory.mktemp("cut") / "file", json.dumps(objects).encode())
    whole = loading._CHUNK
    try:
        loading._CHUNK = size
        assert [json.loads(body) for body in Objects(path)] == objects
    finally:
        loading._CHUNK = whole


def test_good_objects_are_kept_in_batches_and_bad_ones_named(tmp_path: Path) -> None:
    batches: list[list[str]] = []

    def check(body: bytes) -> str:
        identity = documents.get(body, "id")
        if identity == "5":
            raise status.InvalidParameters("name", "is required")
        return str(identity)

    def keep(batch: Sequence[str]) -> Kept:
        batches.append(list(batch))
        return Kept(created=len(batch))

    content = [{"id": str(number)} for number in range(loading.BATCH + 10)] + [{"id": "3"}]
    path = write(tmp_path / "file", json.dumps(content).encode()[:-1] + b',{"id":"6","id":"6"}]')

    report = loading.load(Objects(path), Loader(check=check, keep=keep, key=lambda identity: identity))

    assert report.as_json() == {
        "read": loading.BATCH + 12,
        "created": loading.BATCH + 10,
        "updated": 0,
        "unchanged": 0,
        "refused": [
            {"id": "5", "field": "name", "message": "name: is required"},
            {"id": "6", "field": None, "message": report.refused[1]["message"]},
        ],
    }
    assert [len(batch) for batch in batches] == [loading.BATCH, 10]
    assert "3" in batches[0]
    assert "3" in batches[1]


def test_one_object_alone_is_an_array_of_one(tmp_path: Path) -> None:
    file = tmp_path / "location.json"
    file.write_bytes(b'\n {"country_code": "NL", "id": "LOC1", "data": {"of": "a vendor"}}\n')

    assert [json.loads(text)["id"] for text in loading.Objects(file)] == ["LOC1"]
