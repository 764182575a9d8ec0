"""Ways to damage a document, as a value or as text. Pure: everything comes from the Random that is passed in."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

Json = Any
NASTY: list[Json] = [
    None, True, False, 0, -1, 1, 1.5, 1e308, -1e308, 5e-324, 10**31, 10**40, 2**31, -(2**31) - 1, 2**63, 0.00001,
    "", " ", "x" * 37, "x" * 256, "x" * 5000, "#NA", "#na", "ü", "漢字" * 20, "\u0000", "a\u0000b", "\ud800",
    "\U0001f50c", "\n", "\r\nX-Injected: 1", "\x7f", "\x85", "\u202e", "2026-13-45T99:99:99Z", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "2026-02-30T00:00:00Z", "2026-01-01T00:00:60Z",
    "2026-01-01T24:00:00Z", "2026-01-01 00:00:00", "2026-01-01T00:00:00.123456789123Z", "2026-01-01T00:00:00+99:99",
    "20260101T000000Z", "1970-1-1T00:00:00Z", "2026-W01-1T00:00:00Z", "٢٠٢٦-01-01T00:00:00Z",
    "'; DROP TABLE ocpi_platform; --", "%s", "%(id)s", "{}", "{0}", "${jndi:ldap://x}", "<script>alert(1)</script>",
    "<b>", "../../etc/passwd", "javascript:alert(1)", "file:///etc/passwd", "http://", "http://[", "http://[::1",
    "http://127.0.0.1:99999/", "http://a b/", "https://user:pass@example.com/", "//x", "ftp://x/y", "http://x\n/",
    "http://\u0000/", "http://xn--/", "http://" + "a" * 300, "NaN", "Infinity", "1e5", "0x10", "52.1", "91.000000",
    "-181.00000", "1234567890", "Europe/Nowhere", "nl", "NLD", "NL", "TNM", "true", "null", "[]",
    [], {}, [None], [[]], [{}], [1, "a", None], {"a": {"b": []}}, {"": ""}, ["x"] * 200, [[[[[[]]]]]],
]  # fmt: skip
_NUMBERS = [
    "1e400", "-1e400", "1e-400", "9" * 400, "-" + "9" * 33, "0." + "0" * 40 + "1", "1E+999999999",
    "1e-9999999999999999999", "1e-999999", "-0", "-0.0", "00",
    "01", "1.", ".5", "+1", "0x1F", "NaN", "-Infinity", "Infinity", "1_000", "1e", "1e+", "--1", "9007199254740993",
    "1.0000000000000000000000000000001", "123456789012345678901234567890.12",
]  # fmt: skip
_TOKENS = [b"{", b"}", b"[", b"]", b",", b":", b'"', b"null", b"\\", b"\\u0000", b"\\ud800", b"\x00", b"\xff", b"\xc3",
           b"\xed\xa0\x80", b"\xef\xbb\xbf", b"//", b"/*", b"'", b"\t", b"\x0b", b"1e999"]  # fmt: skip


def changed(document: Json, draw: random.Random) -> Json:
    """Return the document with one member, at any depth, gone, added or replaced."""
    if isinstance(document, dict) and document:
        name = draw.choice(list(document))
        value = document[name]
        if isinstance(value, dict | list) and draw.random() < 0.6:
            return {**document, name: changed(value, draw)}
        chance = draw.random()
        if chance < 0.15:
            return {member: entry for member, entry in document.items() if member != name}
        if chance < 0.2:
            return {**document, draw.choice(["", "x", "id", "\u0000", "a" * 300, "ü", "__proto__"]): draw.choice(NASTY)}
        if chance < 0.3:
            return {**document, name: [value] if draw.random() < 0.5 else {"value": value}}
        if chance < 0.4 and isinstance(value, str):
            return {**document, name: _text_changed(value, draw)}
        return {**document, name: draw.choice(NASTY)}
    if isinstance(document, list) and document:
        index = draw.randrange(len(document))
        if draw.random() < 0.15:
            return document + [document[index]] * draw.choice([1, 2, 50])
        return [*document[:index], changed(document[index], draw), *document[index + 1 :]]
    return draw.choice(NASTY)


def _text_changed(value: str, draw: random.Random) -> str:
    place = draw.randint(0, len(value))
    return draw.choice([
        value + "\u0000", value[:place] + "\n" + value[place:], value.swapcase(), value * 40, value[:place],
        " " + value,
        value + "\ud83d", value[:place] + "é" + value[place:], value + "/", f"'{value}'", value[::-1],
    ])  # fmt: skip


def several_changes(document: Json, draw: random.Random) -> Json:
    """Return the document with one to four changes."""
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        document = changed(document, draw)
    return document


# ---------------------------------------------------------------- the text


def text(document: Json) -> bytes:
    """Write a document as JSON; lone surrogates stay escaped."""
    return json.dumps(document).encode()


def cut(document: Json, draw: random.Random) -> bytes:
    """Return the beginning of the text."""
    whole = text(document)
    return whole[: draw.randrange(len(whole))]


def repeated_member(document: Json, draw: random.Random) -> bytes:
    """Return an object with a member twice, at the end or inside."""
    whole = text(document)
    name = draw.choice(list(document)) if isinstance(document, dict) and document else "a"
    again = json.dumps({name: draw.choice(NASTY)}).encode()[1:-1]
    return whole[:-1] + (b"," if len(whole) > 2 else b"") + again + b"}"


def odd_number(document: Json, draw: random.Random) -> bytes:
    """Return the text with a number that is hardly one."""
    whole = text(_with_marker(document, draw))
    return whole.replace(b'"\\u0001marker"', draw.choice(_NUMBERS).encode(), 1)


def _with_marker(document: Json, draw: random.Random) -> Json:
    if isinstance(document, dict) and document:
        name = draw.choice(list(document))
        inside = isinstance(document[name], dict | list) and draw.random() < 0.5
        return {**document, name: _with_marker(document[name], draw) if inside else "\u0001marker"}
    if isinstance(document, list) and document:
        return [_with_marker(document[0], draw), *document[1:]]
    return "\u0001marker"


def deep(document: Json, draw: random.Random) -> bytes:
    """Return the text with something nested very deeply in it, closed or not."""
    depth = draw.choice([30, 33, 64, 500, 3000, 100_000])
    opening, closing = draw.choice([(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
    nested = opening * depth + b"1" + (closing * depth if draw.random() < 0.7 else b"")
    if draw.random() < 0.3:
        return nested
    return text(_with_marker(document, draw)).replace(b'"\\u0001marker"', nested, 1)


def noise(document: Json, draw: random.Random) -> bytes:
    """Return the text with bytes changed, put in and taken out."""
    whole = bytearray(text(document))
    for _ in range(draw.choice([1, 1, 2, 5, 40])):
        place = draw.randrange(len(whole) + 1)
        chance = draw.random()
        if chance < 0.4:
            whole[place:place] = draw.choice(_TOKENS)
        elif chance < 0.7 and place < len(whole):
            whole[place] = draw.randrange(256)
        else:
            del whole[place : place + draw.randint(1, 6)]
    return bytes(whole)


def garbage(_document: Json, draw: random.Random) -> bytes:
    """Return bytes that have nothing to do with JSON."""
    return draw.choice([
        draw.randbytes(draw.choice([1, 3, 64, 2000])), b"", b" ", b"\x00" * 50, b"null", b'""', b"[]", b"0", b"true",
        b'"x"', b"{}", b"[{}]", b"<xml/>", b"a=b&c=d", b"\xef\xbb\xbf{}", "{}".encode("utf-16"), "{}".encode("utf-32"),
        b"{}{}", b"{}\x00", b"{} x", b"{'a':1}", b'{"a":1,}', b"\x1f\x8b\x08\x00" + draw.randbytes(20),
    ])  # fmt: skip


def huge(document: Json, draw: random.Random) -> bytes:
    """Return something very long: a string, a list, an object with many members, or many spaces."""
    size = draw.choice([20_000, 70_000, 1_100_000])
    kind = draw.randrange(4)
    if kind == 0:
        return text(_with_marker(document, draw)).replace(b"\\u0001marker", b"x" * size, 1)
    if kind == 1:
        return text(_with_marker(document, draw)).replace(
            b'"\\u0001marker"', b"[" + b",".join([b"0"] * (size // 2)) + b"]", 1
        )
    if kind == 2:
        members = b",".join(b'"m%d":0' % number for number in range(size // 10))
        return text(document)[:-1] + b"," + members + b"}"
    return b" " * size + text(document)


def as_it_is(document: Json, draw: random.Random) -> bytes:
    """Return the document undamaged, so that there is something to change and to find."""
    return text(document)


def values(document: Json, draw: random.Random) -> bytes:
    """Return the text of a document with members of the wrong kind or content."""
    return text(several_changes(document, draw))


# What is done to a body, and how often.
BODIES: Mapping[Callable[[Json, random.Random], bytes], int] = {
    values: 46, as_it_is: 10, noise: 12, cut: 6, repeated_member: 5, odd_number: 8, deep: 3, garbage: 9, huge: 1,
}  # fmt: skip
