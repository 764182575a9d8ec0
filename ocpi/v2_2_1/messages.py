"""From msgspec's errors to ours: which field, and which rule it breaks, in words for people."""

import re
from enum import Enum

import msgspec

from ocpi import status
from ocpi.v2_2_1 import shapes

_WHERE = re.compile(r"(.*?)(?: - at `\$\.?([^`]*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_OF_OBJECT = re.compile(r"`([^`]+)` (.+)", re.DOTALL)
_KIND = re.compile(r"Expected `([^`]+)`, got `(\w+)`")
_LENGTH = re.compile(r"Expected `(str|array)[^`]*` of length (<=|>=) (\d+)")
_BOUND = re.compile(r"Expected `(?:int|float)[^`]*` (<=|>=) (-?\d+)")
_NOUNS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_GOT = {**_NOUNS, "int": "a number", "bool": "a boolean"}


def explain(kind: type[msgspec.Struct], error: msgspec.ValidationError) -> status.InvalidParameters:
    """Say which field breaks which rule."""
    what, path = _split(str(error))
    if missing := _MISSING.fullmatch(what):
        return status.InvalidParameters(_joined(path, missing[1]), "is required")
    if of_object := _OF_OBJECT.fullmatch(what):
        return status.InvalidParameters(_joined(path, of_object[1]), of_object[2])
    shape = shapes.at(kind, path) if path else None
    rule = _rule(what, shape)
    return status.InvalidParameters(path, rule if path else f"the body {rule}")


def _split(message: str) -> tuple[str, str]:
    found = _WHERE.fullmatch(message)
    return (found[1], found[2] or "") if found else (message, "")


def _joined(path: str, field: str) -> str:
    return f"{path}.{field}" if path else field


def _rule(what: str, shape: shapes.Shape | None) -> str:
    if (
        what.startswith("Invalid enum value")
        and shape
        and isinstance(shape.kind, type)
        and issubclass(shape.kind, Enum)
    ):
        return "must be one of " + ", ".join(str(member.value) for member in shape.kind)
    rule = str((shape.meta.extra or {}).get("rule", "")) if shape and shape.meta else ""
    # The form of a string says more than its length.
    if rule.startswith("must be") and not what.endswith("got `null`"):
        return rule
    if "matching regex" in what:
        return rule
    return _rule_of_kind(what, whole=shape is None)


def _rule_of_kind(what: str, *, whole: bool) -> str:
    if kinds := _KIND.fullmatch(what):
        if kinds[2] == "null" and not whole:
            return "is required"
        expected = kinds[1].split(" ")[0]
        got = "a fraction" if (expected, kinds[2]) == ("int", "float") else _GOT.get(kinds[2], kinds[2])
        return f"must be {_NOUNS.get(expected, expected)}, not {got}"
    if length := _LENGTH.fullmatch(what):
        kind, sign, number = length.groups()
        if kind == "array":
            return f"must be a list with at least {number} element" if sign == ">=" else f"must have at most {number}"
        return f"must be a string of at most {number} characters" if sign == "<=" else "must not be empty"
    if bound := _BOUND.fullmatch(what):
        return f"must be an integer of at {'most' if bound[1] == '<=' else 'least'} {bound[2]}"
    return what
