"""Credentials tokens found by what they are, wherever they stand: in a body, a URL, an error message (SEC-50).

Of tokens that others show us only digests are known, so each word that may be one is digested; only words that end as a
live token does are, plain or in Base64: the last four characters of a token say how its Base64 ends, with its padding
and without. A slash is part of Base64, and ends a part of a path: what stands before it is looked at, too. What is
known is read again when the registry changed.
"""

from __future__ import annotations

import base64
import binascii
import re
import string
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from ocpi import secrets, snapshot
from ocpi.models import CredentialsToken

SHORTEST = 16  # of a word that is looked at; shorter tokens of partners, which are flagged (SEC-06), are searched for
_ENDING = 4
_WORD = string.ascii_letters + string.digits + "+/_.~-="
# A word is looked for as a run of one letter: a search for a fixed text is several times as fast as one for a class of
# characters, and every body of every message goes through this.
_SHAPE = bytes(ord("x") if chr(code) in _WORD else ord(" ") for code in range(256))
_LONG = re.compile(b"x" * SHORTEST + b"x*")
_END = b"x" * SHORTEST + b" "  # of a word that is long enough
_SHAPE_OF_PATHS = bytes(code if code == ord("/") else _SHAPE[code] for code in range(256))
_END_OF_PART = b"x" * SHORTEST + b"/"


@dataclass(frozen=True, slots=True)
class _Known:
    of: snapshot.Snapshot
    digests: frozenset[str]
    endings: frozenset[bytes]  # of these tokens, and of their Base64
    unusual: tuple[str, ...]  # partners' own tokens that are no such word


_known: _Known | None = None
_loading = threading.Lock()


def hide(text: str) -> str:
    """Return a text with every live token in it masked, also in Base64."""
    if not text:
        return text
    known = _current()
    if len(text) >= SHORTEST:
        octets = text.encode("utf-8", "replace")
        for found in _LONG.finditer(octets.translate(_SHAPE)):
            word = octets[found.start() : found.end()]
            for part in (word, *word.split(b"/")[:-1]):
                if part[-_ENDING:] in known.endings:
                    text = _hide_in(text, part, known)
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
    # A line feed is no part of a word. What stands before a slash is looked at by itself, see `hide`.
    ends = _ends(octets + b"\n", _SHAPE, _END) + _ends(octets, _SHAPE_OF_PATHS, _END_OF_PART)
    if not known.endings.isdisjoint(ends):
        return False
    return not any(token.encode("utf-8", "replace") in octets for token in known.unusual)


def _ends(octets: bytes, shape: bytes, end: bytes) -> list[bytes]:
    """Return how the words end that are long enough: those behind which `end` stands in the shape of a text."""
    place, found = -1, []
    for before in octets.translate(shape).split(end)[:-1]:
        place += len(before) + len(end)
        found.append(octets[place - _ENDING : place])
    return found


def _hide_in(text: str, word: bytes, known: _Known) -> str:
    # It may stand at the end of a path, or behind the name of a parameter.
    for part in (word, word.rpartition(b"/")[2], word.partition(b"=")[2]):
        if len(part) >= SHORTEST and (_is_live(part, known) or _is_encoded(part, known)):
            text = text.replace(part.decode(), secrets.mask(part.decode()))
    return text


def _is_live(word: bytes, known: _Known) -> bool:
    return secrets.digest(word.decode()) in known.digests


def _is_encoded(word: bytes, known: _Known) -> bool:
    if b"-" in word or b"." in word:
        return False
    try:
        inner = base64.b64decode(word + b"=" * (-len(word) % 4), validate=True).rstrip(b"\n")
        return secrets.digest(inner.decode()) in known.digests
    except (ValueError, binascii.Error):
        return False


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
    for digest, ending in CredentialsToken.objects.values_list("digest", "last_four"):
        digests.add(digest)
        endings.add(ending.encode())
    for platform in registry.platforms.values():
        try:
            token = platform.target().token
        except secrets.Unsealable:
            continue
        if token:
            for shown in (token, base64.b64encode(token.encode()).decode()):
                digests.add(secrets.digest(shown))
                endings.add(shown[-_ENDING:].encode())
            if len(token) < SHORTEST or not set(token) <= set(_WORD):
                unusual.append(token)
    return _Known(registry, frozenset(digests), frozenset(_with_encoded(endings)), tuple(unusual))


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
