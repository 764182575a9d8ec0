"""The one strict reader of JSON: what it lets through can be stored, spliced and sent on without surprises."""

import re
from math import isinf
from typing import Any

import msgspec

from ocpi import status

MAX_DEPTH = 32
MAX_NUMBER = 32
MAX_EXPONENT = 308  # as far as a double reaches; beyond it the readers of exact numbers differ, and texts are huge
MAX_ARRAY = 10_000
MAX_STRING = 64 * 1024

_MARK = b"\xef\xbb\xbf"
_SMALL = 4096
_EXPONENT = re.compile(rb"[0-9][eE]")
# One object of plain members without escapes, white space and exponents, as most messages are. What is no JSON is found
# out before; what has another shape is looked at more closely.
_FLAT = re.compile(rb'\{(?:"[A-Za-z_]++":(?:"[^"\\]*+"|-?[0-9]{1,15}(?:\.[0-9]{1,12})?|true|false|null),?)++\}')
_LITERALS = frozenset({b"true", b"false", b"null"})
# Characters of a number, as one: whether a number is too long is a search for one fixed text then.
_AS_ZERO = bytes(ord("0") if chr(byte) in "0123456789+-.eE" else byte for byte in range(256))
_TOO_LONG = b"0" * (MAX_NUMBER + 1)
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_TO_SPACE = bytes.maketrans(b"[]{}:,", b"      ")
_INNERMOST = re.compile(rb"(?:\[\]|\{\})+")


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
        reason = f"The body is not valid JSON: {error}" if body else "The body is empty"
        raise status.NotJson(reason) from error

    # What follows relies on the syntax having been checked above.
    if len(body) <= _SMALL and _is_plain(tree, body):
        return body
    strings, outside = _parts(body)
    if len(body) > MAX_STRING and max(map(len, strings), default=0) > MAX_STRING:
        raise status.NotJson(f"A string is longer than {MAX_STRING} bytes")
    _check_depth(outside)
    _check_numbers(outside)
    if outside.count(b",") >= MAX_ARRAY:
        _check_arrays(tree)
    if _has_a_name_twice(tree, body, outside):
        raise status.NotJson("An object has the same name twice")
    return body


def without_mark(body: bytes) -> bytes:
    """Return a body without the byte order mark that some put before UTF-8: it means nothing there (RFC 8259, 8.1)."""
    return body.removeprefix(_MARK)


def plain(body: bytes) -> dict[str, Any] | None:
    """Return a small object that `read` would let through beyond doubt; nothing if it has to be looked at."""
    if len(body) > _SMALL:
        return None
    try:
        tree = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None
    if type(tree) is not dict:
        return None
    # A text that begins with a colon counts as a name too many, and a name that comes twice is once in the tree.
    if body.count(b'":') == len(tree) and _FLAT.fullmatch(body) is not None:
        return tree
    return tree if _is_plain(tree, body) else None


def _is_plain(tree: Any, body: bytes) -> bool:
    """Say whether a small text is beyond doubt: no escape, little nesting, each name once in its object, short numbers.

    Most messages are: the answer to a push, a change of a status. If it cannot be told, it is looked at more closely.
    """
    if b"\\" in body or body.count(b"{") + body.count(b"[") > MAX_DEPTH:
        return False
    outside = body.split(b'"')[::2]
    between = b" ".join(outside)
    return (
        max(map(len, outside)) <= MAX_NUMBER
        and between.count(b":") == _names(tree)
        and _EXPONENT.search(between) is None
    )


def _names(tree: Any) -> int:
    """Return how many names there are in all objects of a tree."""
    if type(tree) is dict:
        found = len(tree)
        for value in tree.values():
            if type(value) is dict or type(value) is list:
                found += _names(value)
        return found
    if type(tree) is list:
        return sum([_names(value) for value in tree])
    return 0


def _has_a_name_twice(tree: Any, body: bytes, outside: bytes) -> bool:
    """Say whether an object has a name twice: written so, it is once in the tree."""
    written = msgspec.json.encode(tree)
    if written == body:  # as it comes from one who writes without spaces
        return False
    if b"\\" not in body:  # strings are written as they came, with as many colons in them
        return body.count(b":") != written.count(b":")
    return outside.count(b":") != _parts(written)[1].count(b":")


def _parts(text: bytes) -> tuple[list[bytes], bytes]:
    """The strings of a JSON text, and the text between them."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"__").replace(b'\\"', b"__")
        if b"\\u0000" in text:
            raise status.NotJson("The body has a NUL character")
    pieces = text.split(b'"')
    return pieces[1::2], b"".join(pieces[::2])


def _check_depth(outside: bytes) -> None:
    brackets = outside.translate(None, _NOT_BRACKETS)
    # Each replacing takes away one level at most: if so few leave nothing, the depth is no question.
    left = brackets
    for _ in range(MAX_DEPTH // 2):
        left = left.replace(b"[]", b"").replace(b"{}", b"")
        if not left:
            return
    for _ in range(MAX_DEPTH):
        if not brackets:
            return
        # Each round takes away the innermost level, wherever it is.
        brackets = _INNERMOST.sub(b"", brackets)
    if brackets:
        raise _too_deep()


def _check_numbers(outside: bytes) -> None:
    exponents = outside.count(b"e") - outside.count(b"true") - outside.count(b"false")
    if not exponents and b"E" not in outside and _TOO_LONG not in outside.translate(_AS_ZERO):
        return
    for token in set(outside.translate(_TO_SPACE).split()):
        if token in _LITERALS:
            continue
        if len(token) > MAX_NUMBER:
            raise status.NotJson(f"A number is longer than {MAX_NUMBER} characters")
        exponent = token.lower().partition(b"e")[2]
        if exponent and (abs(int(exponent)) > MAX_EXPONENT or isinf(float(token))):
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


def _too_deep() -> status.NotJson:
    return status.NotJson(f"The body is nested deeper than {MAX_DEPTH} levels")
