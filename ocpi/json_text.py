"""The one strict reader of JSON: what it lets through can be stored, spliced and sent on without surprises."""

import re
from math import isinf
from typing import Any

import msgspec

from ocpi import status

MAX_DEPTH = 32
MAX_NUMBER = 32
MAX_ARRAY = 10_000
MAX_STRING = 64 * 1024

_LITERALS = frozenset({b"true", b"false", b"null"})
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_TO_SPACE = bytes.maketrans(b"[]{}:,", b"      ")
_NUL = re.compile(rb"\\u0000")


def read(body: bytes, *, limit: int) -> bytes:
    """Return the body as it is, if it is JSON that we accept.

    :raises NotJson: if it is too long, no JSON, or uses JSON's dark corners.
    """
    if len(body) > limit:
        raise status.NotJson(f"The body is longer than {limit} bytes")
    try:
        # Knows UTF-8, lone surrogates, control characters and numbers out of range.
        tree = msgspec.json.decode(body)
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        raise status.NotJson(f"The body is not valid JSON: {error}") from error

    # What follows looks only at the text between the strings. It relies on the syntax having been checked above.
    unescaped = body.replace(b"\\\\", b"__").replace(b'\\"', b"__") if b"\\" in body else body
    pieces = unescaped.split(b'"')
    outside = b"".join(pieces[::2])
    if b"\\" in body and _NUL.search(unescaped):
        raise status.NotJson("The body has a NUL character")
    if len(body) > MAX_STRING and max(map(len, pieces[1::2]), default=0) > MAX_STRING:
        raise status.NotJson(f"A string is longer than {MAX_STRING} bytes")
    _check_depth(outside)
    _check_numbers(outside)
    if outside.count(b",") >= MAX_ARRAY:
        _check_arrays(tree)
    _check_names(tree, outside.count(b":"))
    return body


def _check_depth(outside: bytes) -> None:
    brackets = outside.translate(None, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return
        # Each round takes away the innermost level, wherever it is.
        brackets = _without_innermost(brackets)
    if brackets:
        raise _too_deep()


_INNERMOST = re.compile(rb"(?:\[\]|\{\})+")


def _without_innermost(brackets: bytes) -> bytes:
    return _INNERMOST.sub(b"", brackets)


def _check_numbers(outside: bytes) -> None:
    for token in set(outside.translate(_TO_SPACE).split()):
        if token in _LITERALS:
            continue
        if len(token) > MAX_NUMBER:
            raise status.NotJson(f"A number is longer than {MAX_NUMBER} characters")
        if (b"e" in token or b"E" in token) and isinf(float(token)):
            raise status.NotJson("A number is out of range")


def _check_arrays(tree: Any) -> None:
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            if len(value) > MAX_ARRAY:
                raise status.NotJson(f"An array has more than {MAX_ARRAY} elements")
            waiting.extend(value)
        elif isinstance(value, dict):
            waiting.extend(value.values())


def _check_names(tree: Any, written: int) -> None:
    """A name that was written twice in one object is once in the tree."""
    kept = 0
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            kept += len(value)
            waiting += [member for member in value.values() if member.__class__ is dict or member.__class__ is list]
        elif isinstance(value, list):
            waiting += [member for member in value if member.__class__ is dict or member.__class__ is list]
    if kept != written:
        raise status.NotJson("An object has the same name twice")


def _too_deep() -> status.NotJson:
    return status.NotJson(f"The body is nested deeper than {MAX_DEPTH} levels")
