"""What a field of an OCPI object is, read from the classes: for messages, repairs and PATCH bodies."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, UnsetType


@dataclass(frozen=True, slots=True)
class Shape:
    """One field: its innermost type, and what surrounds it."""

    kind: Any
    meta: Meta | None
    many: bool
    least: int
    required: bool


@cache
def shapes(kind: type[msgspec.Struct]) -> dict[str, Shape]:
    """The fields of a class by name."""
    return {field.name: _shape(field.type, required=field.required) for field in msgspec.structs.fields(kind)}


def at(kind: type[msgspec.Struct], path: str) -> Shape | None:
    """The field at a path like `evses[0].uid`."""
    found: Shape | None = None
    current: Any = kind
    for name in path.split("."):
        if not (isinstance(current, type) and issubclass(current, msgspec.Struct)):
            return None
        found = shapes(current).get(name.partition("[")[0])
        if found is None:
            return None
        current = found.kind
    return found


@cache
def partial(kind: type[msgspec.Struct], parts: Sequence[tuple[str, str]] = (), key: str = "") -> type[msgspec.Struct]:
    """The class of a PATCH body: nothing is required, and null only where the member may be absent.

    Parts (the EVSEs of a Location) are partial themselves, and need their key.
    """
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    own = next((index for index, (name, _) in enumerate(parts) if name in shapes(kind)), len(parts))
    for field in msgspec.structs.fields(kind):
        type_ = field.type
        if own < len(parts) and field.name == parts[own][0]:
            element: Any = partial(shapes(kind)[field.name].kind, parts[own + 1 :], parts[own][1])
            type_ = Annotated[list[element], Meta(min_length=1)] if field.required else list[element] | None
        if field.name == key:
            fields.append((field.name, type_))
        else:
            fields.append((field.name, Union[type_, UnsetType], UNSET))  # noqa: UP007 - built while running
    name = f"Partial{kind.__name__}{'Part' if key else ''}"  # two classes, two names: schemas go by them
    return msgspec.defstruct(name, fields, kw_only=True)


def _shape(type_: Any, *, required: bool) -> Shape:
    meta: Meta | None = None
    many, least = False, 0
    while True:
        origin = get_origin(type_)
        if origin is Annotated:
            inner, *notes = get_args(type_)
            if get_origin(inner) is list:
                least = notes[0].min_length or 0
            else:
                meta = notes[0]
            type_ = inner
        elif origin in (Union, UnionType):
            type_ = next(option for option in get_args(type_) if option not in (NoneType, UnsetType))
        elif origin is list:
            many = True
            (type_,) = get_args(type_)
        else:
            return Shape(type_, meta, many, least, required)
