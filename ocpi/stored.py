"""The whole current document of stored objects, as it is sent: one query per model, two if it has parts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.apps import apps
from django.db import models

from ocpi import documents


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it is in the database now."""

    text: str
    last_updated: datetime | None
    deleted: bool


@dataclass(frozen=True, slots=True)
class _Shape:
    model: type[models.Model]
    columns: tuple[str, ...]
    parts: tuple[str, str, str] | None
    as_sent: Callable[[str], str] | None  # what depends on the moment at which it is sent


def whole(label: str, ids: Collection[int]) -> dict[int, Stored]:
    """Return the documents with these ids, their parts (a Location's EVSEs) put in; who is missing is not there."""
    shape = _shape(label)
    rows = shape.model._base_manager.filter(pk__in=ids).values_list("pk", "document", *shape.columns)
    parts = _parts(shape, ids)
    found = {}
    for pk, text, *values in rows:
        columns = dict(zip(shape.columns, values, strict=True))
        text = shape.as_sent(text) if shape.as_sent else text
        found[pk] = Stored(
            text=documents.splice(text, shape.parts[0], parts[pk]) if shape.parts else text,
            last_updated=columns.get("last_updated"),
            deleted=columns.get("deleted_at") is not None,
        )
    return found


@lru_cache(maxsize=64)
def interface_of(label: str) -> str:
    """Return which interface of a platform is told of these objects: the Receiver's, if the model says nothing."""
    return str(getattr(apps.get_model(label), "pushed_to", "RECEIVER"))


@lru_cache(maxsize=64)
def is_of_others(label: str) -> bool:
    """Say whether these are objects that others sent us to pass on: what a receiver makes of them is not ours."""
    return bool(getattr(apps.get_model(label), "of_others", False))


def parent_of(label: str, source_id: int) -> tuple[str, int] | None:
    """Return the object that this one is a part of, as (model label, id): the Location of an EVSE."""
    model = apps.get_model(label)
    parent: object = getattr(model, "parent", None)
    if not isinstance(parent, tuple):
        return None
    found = model._base_manager.filter(pk=source_id).values_list(parent[1], flat=True).first()
    return None if found is None else (parent[0], found)


def _parts(shape: _Shape, ids: Collection[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    if shape.parts:
        _, label, column = shape.parts
        model = apps.get_model(label)
        rows = model._base_manager.filter(**{f"{column}__in": ids}).order_by("pk")
        if "deleted_at" in {field.name for field in model._meta.concrete_fields}:
            rows = rows.filter(deleted_at=None)
        for pk, text in rows.values_list(column, "document"):
            found[pk].append(text)
    return found


@lru_cache(maxsize=64)
def _shape(label: str) -> _Shape:
    model = apps.get_model(label)
    names = {field.name for field in model._meta.concrete_fields}
    columns = tuple(name for name in ("last_updated", "deleted_at") if name in names)
    return _Shape(model, columns, getattr(model, "parts", None), getattr(model, "as_sent", None))
