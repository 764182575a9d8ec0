"""Take passwords, keys and URLs that open a file out of OCPP texts, before people see them (OCPP-29).

A text is masked where it stands: all else in it stays as it was on the wire.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

MASK = "***"

_KEYS = frozenset({"authorizationkey", "basicauthpassword"})
_VALUES = frozenset({"value", "attributeValue", "actualValue"})
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_URLS = (
    (re.compile(r"(://)[^/\"\s]*@"), rf"\1{MASK}@"),
    # a URL of ours for one file: whoever knows it may fetch or leave it
    (re.compile(r"(ocpp\\?/files\\?/)[A-Za-z0-9_-]+"), rf"\1{MASK}"),
    # of a file elsewhere: what is behind the question mark is what lets one in
    (re.compile(r'("(?:location|remoteLocation)"\s*:\s*"[^"?\s]*\?)[^"]*'), rf"\1{MASK}"),
)
# For what is no JSON: rather too much than too little.
_NAMED = r'"(?:AuthorizationKey|BasicAuthPassword)"'
_VALUE = r'"(?:value|attributeValue|actualValue)"\s*:\s*"'
_BROKEN = (
    (re.compile(r'("(?:AuthorizationKey|[A-Za-z]*Password)"\s*:\s*")(?:[^"\\]|\\.)*', re.I), rf"\1{MASK}"),
    (re.compile(rf"({_NAMED}.{{0,600}}?{_VALUE})" r'(?:[^"\\]|\\.)*', re.I | re.S), rf"\1{MASK}"),
    (re.compile(rf"({_VALUE})" r'(?:[^"\\]|\\.)*' rf'(?=".{{0,300}}?{_NAMED})', re.I | re.S), rf"\1{MASK}"),
)


def mask(text: str) -> str:
    """Return the text without passwords, keys, and what lets one at a file."""
    lower = text.lower()
    if "password" in lower or "authorizationkey" in lower:
        text = _without_values(text)
    if "://" in text or ":\\/\\/" in text or "ocpp" in text:
        for pattern, replacement in _URLS:
            text = pattern.sub(replacement, text)
    return text


def _without_values(text: str) -> str:
    try:
        secret = frozenset(_secrets(json.loads(text)))
    except (ValueError, RecursionError):
        for pattern, replacement in _BROKEN:
            text = pattern.sub(replacement, text)
        return text
    return _STRING.sub(lambda found: _masked(found[0], secret), text)


def _masked(literal: str, secret: frozenset[str]) -> str:
    value = json.loads(literal, strict=False)
    if value in secret:
        return f'"{MASK}"'
    if value[:1] in ("{", "["):  # JSON as text in JSON, as DataTransfer has it
        cleaned = mask(value)
        return literal if cleaned == value else json.dumps(cleaned, ensure_ascii=False)
    return literal


def _secrets(value: Any, *, under: str = "") -> Iterator[str]:
    """Give every text in a document that is a secret."""
    if isinstance(value, list):
        for member in value:
            yield from _secrets(member, under=under)
    if not isinstance(value, dict):
        return
    named = _names_secret(value)
    for name, member in value.items():
        lower = name.lower()
        if lower.endswith("password") or lower in _KEYS or (under == "vpn" and lower == "key"):
            yield from _texts(member)
        elif named and (name in _VALUES or name == "variableAttribute"):
            yield from _values(member)
        else:
            yield from _secrets(member, under=name)


def _names_secret(value: dict[str, Any]) -> bool:
    """Say whether this is about a key of 1.6 or a variable of 2.0.1 that is a secret; neither's case counts."""
    variable = value.get("variable")
    name = variable.get("name") if isinstance(variable, dict) else value.get("key")
    return isinstance(name, str) and name.lower() in _KEYS


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for member in value:
            if isinstance(member, dict):
                yield from _texts(member.get("value"))
    else:
        yield from _texts(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value:
        yield value
