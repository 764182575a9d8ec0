"""Text for a paper whose own fonts know Western European letters only: what its readers see of everything else.

Every PDF viewer can show Chinese, Japanese and Korean by itself (the CID fonts of Adobe), so those are written as they
are. Letters of Greek, Cyrillic and Central European Latin are written in plain Latin ones, in italics, so that a reader
sees that they were given otherwise; what is left is named by its code point.
"""

from __future__ import annotations

import unicodedata
from functools import partial
from itertools import groupby
from typing import Final
from xml.sax.saxutils import escape

_WESTERN, _LATIN = "western", "latin"
_JAPANESE, _KOREAN, _CHINESE = "HeiseiKakuGo-W5", "HYSMyeongJo-Medium", "STSong-Light"
CID_FONTS: Final = (_JAPANESE, _KOREAN, _CHINESE)
_OF_CID_FONTS: Final = ("CJK", "HANGUL", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC", "FULLWIDTH")
NOTE: Final = "What is in italics was given in letters that this paper has no font for, and is written in Latin ones."
_LETTERS: Final = {
    **dict(zip("абвгдезийклмнопрстуфыэ", "abvgdeziyklmnoprstufye", strict=True)),
    "ё": "yo",
    "ж": "zh",
    "х": "kh",
    "ц": "ts",
    "ч": "ch",
    "ш": "sh",
    "щ": "shch",
    "ъ": "",
    "ь": "",
    "ю": "yu",
    "я": "ya",
    "і": "i",
    "ї": "yi",
    "є": "ye",
    "ґ": "g",
    "ў": "u",
    "ј": "j",
    "љ": "lj",
    "њ": "nj",
    "ћ": "c",
    "ђ": "dj",
    "џ": "dz",
    "ѓ": "gj",
    "ќ": "kj",
    "ѕ": "dz",
    **dict(zip("αβγδεζηικλμνξοπρσςτυω", "avgdeziiklmnxoprsstyo", strict=True)),
    "θ": "th",
    "φ": "f",
    "χ": "ch",
    "ψ": "ps",
    "ł": "l",
    "đ": "d",
    "ı": "i",
    "ħ": "h",
    "ŧ": "t",
    "ŋ": "ng",
}


def is_plain(text: str) -> bool:
    """Return whether the paper's own fonts have all of it."""
    return all(_is_western(each) for each in text)


def is_rewritten(text: str) -> bool:
    """Return whether something of it is written otherwise than it was given."""
    return any(_kind(_font_of(text), each) == _LATIN for each in text)


def markup(text: str) -> str:
    """Return a text as a Paragraph takes it, each part in a font that has it."""
    kind = partial(_kind, _font_of(text))
    return "".join(_marked(name, "".join(run)) for name, run in groupby(text, key=kind))


def _marked(kind: str, run: str) -> str:
    if kind == _WESTERN:
        return escape(run)
    if kind == _LATIN:
        return f"<i>{escape(''.join(_rewritten(each) for each in run))}</i>"
    return f'<font name="{kind}">{escape(run)}</font>'


def _font_of(text: str) -> str:
    """Return the font for the Han characters of a text: by themselves they do not tell their language."""
    scripts = {unicodedata.name(each, "").split(" ")[0] for each in text}
    if scripts & {"HIRAGANA", "KATAKANA"}:
        return _JAPANESE
    return _KOREAN if "HANGUL" in scripts else _CHINESE


def _kind(font: str, letter: str) -> str:
    if _is_western(letter):
        return _WESTERN
    # These fonts do not reach beyond the first plane.
    has_it = unicodedata.name(letter, "").startswith(_OF_CID_FONTS) and ord(letter) < 0x10000
    return font if has_it else _LATIN


def _is_western(letter: str) -> bool:
    try:
        letter.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True


def _rewritten(letter: str) -> str:
    if unicodedata.combining(letter):
        return ""
    for each in (letter, unicodedata.normalize("NFD", letter)[0]):
        known = _LETTERS.get(each.lower())
        if known is not None:
            return known.capitalize() if each.isupper() else known
        if _is_western(each):
            return each
    return f"U+{ord(letter):04X}"
