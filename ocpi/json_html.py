"""JSON text as colored, indented HTML, without reading its values: numbers and strings look as they were sent."""

import re

import msgspec
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

LONGEST = 200_000  # characters that are laid out; what is longer is shown as plain text, cut off
_TOKEN = re.compile(r'(?P<string>"(?:[^"\\]|\\.)*")|(?P<number>-?\d[\d.eE+-]*)|(?P<word>true|false|null)|[{}\[\],:]')
_KEY = re.compile(r"\s*:")


def pretty(text: str) -> SafeString:
    """Return a block that shows JSON text, or any other text as it is; everything in it is escaped (SEC-55)."""
    if not text:
        return mark_safe('<span class="o-muted">empty</span>')
    if len(text) > LONGEST:
        return _block(escape(text[:LONGEST] + " […]"))
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return _block(escape(text))
    return _block("".join(_laid_out(text)))


def _block(markup: str) -> SafeString:
    return format_html('<pre class="o-json">{}</pre>', mark_safe(markup))  # noqa: S308 - escaped piece by piece


def _laid_out(text: str) -> list[str]:
    pieces: list[str] = []
    depth = 0
    opened = False  # the last piece opened an object or list that may turn out to be empty
    for token in _TOKEN.finditer(text):
        piece = token[0]
        if piece in "}]":
            depth -= 1
            pieces.append(piece if opened else _line(depth) + piece)
            opened = False
            continue
        if opened:
            pieces.append(_line(depth))
            opened = False
        if piece in "{[":
            depth += 1
            opened = True
            pieces.append(piece)
        elif piece == ",":
            pieces.append("," + _line(depth))
        elif piece == ":":
            pieces.append(": ")
        else:
            kind = "key" if token["string"] and _KEY.match(text, token.end()) else token.lastgroup
            pieces.append(f'<span class="o-{kind}">{escape(piece)}</span>')
    return pieces


def _line(depth: int) -> str:
    return "\n" + "  " * depth
