"""The whole current document of stored objects, as it is sent: one query per model, two if it has parts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.apps import apps
from django.db import models

from ocpi import documents, prepared, sql_arrays


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it is in the database now."""

    text: str
    last_updated: datetime | None
    deleted: bool


@dataclass(frozen=True, slots=True)
class _Shape:
    columns: tuple[str, ...]
    sql: str
    sql_of_parts: str
    parts: tuple[str, str, str] | None
    as_sent: Callable[[str], str] | None  # what depends on the moment at which it is sent


def whole(label: str, ids: Collection[int]) -> dict[int, Stored]:
    """Return the documents with these ids, their parts (a Location's EVSEs) put in; who is missing is not there."""
    shape = _shape(label)
    wanted = sql_arrays.numbers(ids)
    rows = prepared.fetch_all(shape.sql, [wanted])
    parts = _parts(shape, wanted)
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


def _parts(shape: _Shape, wanted: str) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    if shape.sql_of_parts:
        for pk, text in prepared.fetch_all(shape.sql_of_parts, [wanted]):
            found[pk].append(text)
    return found


@lru_cache(maxsize=64)
def _shape(label: str) -> _Shape:
    model = apps.get_model(label)
    names = {field.name for field in model._meta.concrete_fields}
    columns = tuple(name for name in ("last_updated", "deleted_at") if name in names)
    listed = ", ".join((_column(model, "pk"), "document", *columns))
    sql = f"SELECT {listed} FROM {model._meta.db_table} WHERE {_column(model, 'pk')} = ANY(%s::bigint[])"  # noqa: S608 - names of our models
    parts: tuple[str, str, str] | None = getattr(model, "parts", None)
    sql_of_parts = _sql_of_parts(parts[1], parts[2]) if parts else ""
    return _Shape(columns, sql, sql_of_parts, parts, getattr(model, "as_sent", None))


def _sql_of_parts(label: str, whole: str) -> str:
    model = apps.get_model(label)
    column = _column(model, whole)
    living = " AND deleted_at IS NULL" if "deleted_at" in {field.name for field in model._meta.concrete_fields} else ""
    return f"""SELECT {column}, document FROM {model._meta.db_table} WHERE {column} = ANY(%s::bigint[]){living}
        ORDER BY {_column(model, "pk")}"""  # noqa: S608 - names of tables and columns only


def _column(model: type[models.Model], name: str) -> str:
    """Return how the database names a field, a relation's by its key."""
    return next(
        str(field.column)
        for field in model._meta.concrete_fields
        if name in (field.name, field.attname) or (name == "pk" and field.primary_key)
    )
