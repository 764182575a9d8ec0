"""Reading large files of OCPI objects: one object at a time, however large the file; and loading them in batches.

A file is a JSON array of objects, or an OCPI envelope with such an array as `data`, plain or gzipped. It is cut into
objects by looking at brackets and strings only; each object is then read as strictly as a request's body.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Generic, TypeVar, cast

from ocpi import json_text, status

BATCH = 500  # objects in one transaction
LONGEST_OBJECT = 4 << 20  # bytes, as for a Location that is PUT
_CHUNK = 1 << 18
# A string (without its closing quote if the chunk ends inside), or a bracket.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*("?)|[{}\[\]]', re.DOTALL)
_ARRAY_FOLLOWS = re.compile(rb"\s*:\s*\[")
_IDENTIFIED = re.compile(rb'"country_code"\s*:')
_BETWEEN = re.compile(rb"[\s,]*")
_MOST_REFUSED = 1000  # listed; all are counted

Checked = TypeVar("Checked")


class BadFile(Exception):
    """The file is no array of objects."""


class Objects:
    """The objects of a file, one after the other; `position` of `size` bytes have been read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self.position = 0

    def __iter__(self) -> Iterator[bytes]:
        """Yield each object's JSON text.

        :raises BadFile: if the file is no array of objects, or is cut off.
        """
        with self.path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            source: IO[bytes] = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if zipped else file
            try:
                yield from self._split(source, file)
            except (EOFError, gzip.BadGzipFile) as error:
                raise BadFile(f"{self.path.name}: the compressed file is damaged: {error}") from error

    def _split(self, source: IO[bytes], file: IO[bytes]) -> Iterator[bytes]:
        buffer, start = self._begin(source)
        count = 0
        while True:
            start = cast("re.Match[bytes]", _BETWEEN.match(buffer, start)).end()
            if start >= len(buffer):
                buffer, start = self._more(source, b""), 0
                self.position = file.tell()
                continue
            if buffer[start : start + 1] == b"]":
                self.position = self.size
                return
            if buffer[start : start + 1] != b"{":
                raise BadFile(f"{self.path.name}: element {count} of the array is no object")
            buffer, start, end = self._object(source, buffer, start, count)
            self.position = file.tell()
            yield buffer[start:end]
            start, count = end, count + 1

    def _begin(self, source: IO[bytes]) -> tuple[bytes, int]:
        """Return a buffer and the place just behind the bracket that opens the array."""
        buffer = source.read(_CHUNK).removeprefix(b"\xef\xbb\xbf")
        first = buffer.lstrip()[:1]
        if first == b"[":
            return buffer, buffer.index(b"[") + 1
        if first != b"{":
            raise BadFile(f"{self.path.name}: is neither a JSON array, nor an envelope with data, nor an object")
        depth = 0
        for match in _TOKEN.finditer(buffer):
            if match[0] in (b"{", b"["):
                depth += 1
            elif match[0] in (b"}", b"]"):
                depth -= 1
            elif match[0] == b'"data"' and depth == 1:
                array = _ARRAY_FOLLOWS.match(buffer, match.end())
                if array:
                    return buffer, array.end()
        if _IDENTIFIED.search(buffer):  # not an envelope but one object alone: as an array of one
            return buffer + source.read(LONGEST_OBJECT) + b"]", 0
        raise BadFile(f"{self.path.name}: the envelope has no data, or it is no array")

    def _object(self, source: IO[bytes], buffer: bytes, start: int, count: int) -> tuple[bytes, int, int]:
        """Return a buffer that holds a whole object, where it begins and where it ends."""
        depth, place = 0, start
        while True:
            for match in _TOKEN.finditer(buffer, place):
                token = match[0]
                if token[:1] == b'"':
                    if not match[1]:
                        place = match.start()
                        break
                elif token in (b"{", b"["):
                    depth += 1
                else:
                    depth -= 1
                    if depth == 0:
                        return buffer, start, match.end()
                place = match.end()
            if len(buffer) - start > LONGEST_OBJECT:
                raise BadFile(f"{self.path.name}: element {count} is larger than {LONGEST_OBJECT >> 20} MiB")
            buffer, place, start = self._more(source, buffer[start:]), place - start, 0

    def _more(self, source: IO[bytes], kept: bytes) -> bytes:
        chunk = source.read(_CHUNK)
        if not chunk:
            raise BadFile(f"{self.path.name}: ends in the middle of the array")
        return kept + chunk


@dataclass(slots=True)
class Kept:
    """What became of one batch."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0


@dataclass(slots=True)
class Report:
    """What became of a file."""

    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused_count: int = 0
    refused: list[dict[str, str | None]] = field(default_factory=list)
    remarks: list[dict[str, str]] = field(default_factory=list)  # of objects that were taken all the same

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "read": self.read,
            "created": self.created,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "refused": self.refused,
        }
        if self.remarks:
            found["remarks"] = self.remarks
        if self.refused_count > len(self.refused):
            found["refused_count"] = self.refused_count
        return found


@dataclass(frozen=True, slots=True)
class Loader(Generic[Checked]):
    """How one kind of object is checked and kept.

    `check` raises OcpiError for what is refused; `identify` names an object for the report, whatever its state;
    `keep` writes a batch in one transaction (or, if `dry_run`, only counts); `remark` returns the id of an object that
    is taken, and what is odd about it.
    """

    check: Callable[[bytes], Checked]
    keep: Callable[[Sequence[Checked]], Kept]
    key: Callable[[Checked], object]
    id_member: str = "id"
    remark: Callable[[Checked], tuple[str, Sequence[str]]] | None = None


def load(objects: Objects, loader: Loader[Checked], *, progress: Callable[[Report], None] | None = None) -> Report:
    """Load a file: check each object as a request's body is checked, keep the good ones, report the others.

    :raises BadFile: if the file is no array of objects; what came before the damage is loaded.
    """
    report = Report()
    batch: dict[object, Checked] = {}
    for body in objects:
        report.read += 1
        try:
            checked = loader.check(json_text.read(body, limit=LONGEST_OBJECT))
        except status.OcpiError as error:
            _refuse(report, body, error, loader.id_member)
            continue
        key = loader.key(checked)
        if len(batch) >= BATCH or key in batch:  # the same object twice: one after the other
            _keep(report, loader, batch)
            batch = {}
            if progress:
                progress(report)
        batch[key] = checked
        _remark(report, loader, checked)
    _keep(report, loader, batch)
    if progress:
        progress(report)
    return report


def _keep(report: Report, loader: Loader[Checked], batch: dict[object, Checked]) -> None:
    if not batch:
        return
    kept = loader.keep(list(batch.values()))
    report.created += kept.created
    report.updated += kept.updated
    report.unchanged += kept.unchanged


def _remark(report: Report, loader: Loader[Checked], checked: Checked) -> None:
    if loader.remark is not None and len(report.remarks) < _MOST_REFUSED:
        identity, remarks = loader.remark(checked)
        report.remarks += [{"id": identity, "message": remark} for remark in remarks]


def _refuse(report: Report, body: bytes, error: status.OcpiError, id_member: str) -> None:
    report.refused_count += 1
    if len(report.refused) < _MOST_REFUSED:
        match = re.search(rb'"' + id_member.encode() + rb'"\s*:\s*"([^"\\]{1,64})"', body)
        identity = match[1].decode(errors="replace") if match else None
        report.refused.append({"id": identity, "field": error.field, "message": error.message})
