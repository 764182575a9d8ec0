"""Secrets found by what they are, wherever they stand: in a body, a URL, an error message, a line of a log (SEC-50).

Of tokens that others show us only digests are known, so each word that may be one is digested; only words that end as a
live token does are, plain or in Base64: the last four characters of a token say how its Base64 ends, with its padding
and without. A slash is part of Base64, and ends a part of a path: what stands before it is looked at, too, and what
stands before a full stop. What is known is read again when the registry changed.

A side adds its own: tokens of which it keeps digest and ending (`also_tokens`), and keys of 40 hexadecimal digits, of
which nothing but a digest is kept and every word of that shape is asked after (`also_keys`). A password that a person
thought of is kept under a slow hash, and cannot be recognized.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import re
import string
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import cast

from ahocorasick_rs import BytesAhoCorasick, Implementation
from django.conf import settings

from ocpi import secrets, snapshot

SHORTEST = 16  # of a word that is looked at; shorter tokens of partners, which are flagged (SEC-06), are searched for
KEY_DIGITS = 40  # hexadecimal, of a key
_ENDING = 4
_WORD = string.ascii_letters + string.digits + "+/_.~-="
# A word is looked for as a run of one letter: a search for a fixed text is several times as fast as one for a class of
# characters, and every body of every message goes through this.
_SHAPE = bytes(ord("x") if chr(code) in _WORD else ord(" ") for code in range(256))
_LONG = re.compile(b"x" * SHORTEST + b"x*")
_LONG_ENOUGH = b"x" * SHORTEST
_END = _LONG_ENOUGH + b" "  # of a word that is long enough
_SHAPE_OF_PARTS = bytes(ord("/") if code in b"/." else _SHAPE[code] for code in range(256))
_END_OF_PART = _LONG_ENOUGH + b"/"
_BETWEEN_PARTS = re.compile(rb"[/.]")


_KEY = re.compile(rb"[0-9A-Fa-f]{%d}" % KEY_DIGITS)
_HEXADECIMAL = bytes(ord("x") if chr(code) in string.hexdigits else ord(" ") for code in range(256))
_AS_KEY = b"x" * KEY_DIGITS
_MOST_AS_TABLE = 4096  # endings: a table of steps searches in two thirds of the time, and takes 2 KiB for each

# Whether 40 hexadecimal digits are a live key; the second argument says whether it may read to find out.
IsKey = Callable[[str, bool], bool]


@dataclass(frozen=True, slots=True)
class _Known:
    of: snapshot.Snapshot
    digests: frozenset[str]
    endings: frozenset[bytes]  # of these tokens, and of their Base64
    finder: BytesAhoCorasick  # of these endings, anywhere
    unusual: tuple[str, ...]  # partners' own tokens that are no such word
    is_key: IsKey | None = None


_known: _Known | None = None
_loading = threading.Lock()
_tokens: list[str] = []  # the names of those of the sides
_keys: tuple[IsKey, Callable[[], bool]] | None = None


def also_tokens(name: str, loader: Callable[[], Iterable[tuple[str, str]]]) -> None:
    """Have more tokens known, each by `secrets.digest` of it and its last four characters.

    They are read with the registry: `snapshot.also_load` says what their table needs.
    """
    snapshot.also_load(name, lambda: tuple(loader()))
    if name not in _tokens:
        _tokens.append(name)


def also_keys(is_key: IsKey, *, needed: Callable[[], bool]) -> None:
    """Have keys known: `is_key` says whether 40 hexadecimal digits are one, `needed` whether there can be any.

    Where its second argument is false, `is_key` must neither read nor wait.
    """
    global _keys, _known
    _keys, _known = (is_key, needed), None


def hide(text: str) -> str:
    """Return a text with every live secret in it masked, also in Base64."""
    return _hide(text, _current()) if text else text


def hide_at_hand(text: str) -> str:
    """Do the same with what is in memory, for those who must neither read nor wait: lines of the log."""
    known = _known
    return text if known is None else _hide(text, known, may_read=False)


def _hide(text: str, known: _Known, *, may_read: bool = True) -> str:
    if len(text) >= SHORTEST:
        octets = text.encode("utf-8", "replace")
        for found in _LONG.finditer(octets.translate(_SHAPE)):
            word = octets[found.start() : found.end()]
            for part in (word, *word.split(b"/")[:-1], *_BETWEEN_PARTS.split(word)[:-1]):
                if part[-_ENDING:] in known.endings:
                    text = _hide_in(text, part, known, may_read)
                if known.is_key is not None and _ends_in_key(part, known.is_key, may_read):
                    digits = part[-KEY_DIGITS:].decode()
                    text = text.replace(digits, secrets.mask(digits))
    for token in known.unusual:
        if token in text:
            text = text.replace(token, secrets.mask(token))
    return text


def none_in(octets: bytes) -> bool:
    """Say whether `hide` would surely change nothing in texts that stand here joined by line feeds.

    For many at once that costs a tenth of hiding. What only ends as a token does counts, too: `hide` then looks more
    closely.
    """
    known = _current()
    return _none_in(octets, known) and (known.is_key is None or not _has_key(octets, known.is_key))


def none_at_hand_in(octets: bytes) -> bool:
    """Say whether `none_in` says so without reading anything, for those who must neither read nor wait."""
    known = _known
    if known is None or known.of is not snapshot.at_hand() or known.is_key is not None:
        return False
    return _none_in(octets, known)


def _none_in(octets: bytes, known: _Known) -> bool:
    """Say whether there is none but a key perhaps."""
    if any(token.encode("utf-8", "replace") in octets for token in known.unusual):
        return False
    matches = known.finder.find_matches_as_indexes(octets, overlapping=True)
    return not any(_ends_word(octets, end) for _, _, end in matches)


def _ends_word(octets: bytes, end: int) -> bool:
    """Say whether a word that is long enough ends here, or a part of a path in it, see `hide`."""
    behind = octets[end : end + 1].translate(_SHAPE_OF_PARTS)
    shape = _SHAPE_OF_PARTS if behind == b"/" else _SHAPE
    return behind != b"x" and octets[max(0, end - SHORTEST) : end].translate(shape) == _LONG_ENOUGH


@lru_cache(maxsize=2)
def _finder(endings: frozenset[bytes]) -> BytesAhoCorasick:
    """Return what finds any of these endings in a text: the same as before if a registry changed in something else."""
    ends = [ending for ending in endings if len(ending) == _ENDING]
    return BytesAhoCorasick(ends, implementation=Implementation.DFA if len(ends) <= _MOST_AS_TABLE else None)


def _has_key(octets: bytes, is_key: IsKey) -> bool:
    """Say whether a live key ends where a word does, or a part of a path."""
    if _AS_KEY not in octets.translate(_HEXADECIMAL):
        return False
    # A line feed is no part of a word.
    for text, shape, end in ((octets + b"\n", _SHAPE, _END), (octets, _SHAPE_OF_PARTS, _END_OF_PART)):
        # What is no number in hexadecimal is soon seen not to be.
        found = [place for place in _ends(text, shape, end) if text[place - KEY_DIGITS : place].isalnum()]
        if any(_ends_in_key(text[max(0, place - KEY_DIGITS - 1) : place], is_key, may_read=True) for place in found):
            return True
    return False


def _ends(octets: bytes, shape: bytes, end: bytes) -> list[int]:
    """Return where the words end that are long enough: those behind which `end` stands in the shape of a text."""
    before = octets.translate(shape).split(end)[:-1]
    steps = map(len(end).__add__, map(len, before))
    return [place - 1 for place in itertools.accumulate(steps)]


def _ends_in_key(word: bytes, is_key: IsKey, may_read: bool) -> bool:
    """Say whether a text ends with a live key; digits of a longer number, a digest for instance, are none."""
    digits = word[-KEY_DIGITS:]
    if _KEY.fullmatch(digits) is None or word[-KEY_DIGITS - 1 : -KEY_DIGITS].isalnum():
        return False
    return is_key(digits.decode(), may_read)


def _hide_in(text: str, word: bytes, known: _Known, may_read: bool) -> str:
    # It may stand at the end of a path, or behind the name of a parameter.
    for part in (word, word.rpartition(b"/")[2], word.partition(b"=")[2]):
        if len(part) >= SHORTEST and (_is_live(part, known) or _is_encoded(part, known, may_read)):
            text = text.replace(part.decode(), secrets.mask(part.decode()))
    return text


def _is_live(word: bytes, known: _Known) -> bool:
    return secrets.digest(word.decode()) in known.digests


def _is_encoded(word: bytes, known: _Known, may_read: bool) -> bool:
    if b"-" in word or b"." in word:
        return False
    try:
        inner = base64.b64decode(word + b"=" * (-len(word) % 4), validate=True).rstrip(b"\n")
        if secrets.digest(inner.decode()) in known.digests:
            return True
    except (ValueError, binascii.Error):
        return False
    # As HTTP Basic has it, a name and a colon stand before.
    return known.is_key is not None and _ends_in_key(inner, known.is_key, may_read)


def _current() -> _Known:
    global _known
    registry = snapshot.current()
    known = _known
    if known is not None and known.of is registry:
        return known
    with _loading:
        _known = _load(registry)
        return _known


def _load(registry: snapshot.Snapshot) -> _Known:
    digests, endings, unusual = set(), set(), []
    tokens = [(digest, token.last_four) for digest, token in registry.tokens.items()]
    for name in _tokens:
        tokens += cast(Iterable[tuple[str, str]], registry.extras.get(name, ()))
    for digest, ending in tokens:
        digests.add(digest)
        endings.add(ending.encode())
    plain = [settings.SECRET_KEY, *settings.FIELD_KEYS]
    for platform in registry.platforms.values():
        try:
            plain.append(platform.target().token)
        except secrets.Unsealable:
            continue
    for token in filter(None, plain):
        for shown in (token, base64.b64encode(token.encode()).decode()):
            digests.add(secrets.digest(shown))
            endings.add(shown[-_ENDING:].encode())
        if len(token) < SHORTEST or not set(token) <= set(_WORD) or "." in token[-SHORTEST:]:
            unusual.append(token)
    is_key = _keys[0] if _keys is not None and _keys[1]() else None
    ends = frozenset((*_with_encoded(endings), *(_encoded_keys() if is_key is not None else ())))
    return _Known(registry, frozenset(digests), ends, _finder(ends), tuple(unusual), is_key)


@cache
def _encoded_keys() -> frozenset[bytes]:
    """Return how the Base64 of a key may end, whatever stands before it: three of its digits decide."""
    ends = ("".join(digits).encode() for digits in itertools.product("0123456789abcdef", repeat=3))
    return frozenset(found for found in _with_encoded(ends) if len(found) == _ENDING)


def _with_encoded(endings: Iterable[bytes]) -> Iterable[bytes]:
    """Yield these endings, and those of the Base64 of what ends so, without and with line feeds behind it.

    In a URL the padding of Base64 stands apart, as %3D: without it the last four characters are others.
    """
    for ending in endings:
        yield ending
        for shown in (ending, ending + b"\n", ending + b"\n\n", ending + b"\n\n\n"):
            # Base64 turns three octets into four characters, wherever the last three begin.
            for length in (1, 2, 3):
                yield base64.b64encode(shown[-length:])
                yield base64.b64encode(b"\0" * length + shown).rstrip(b"=")[-_ENDING:]
