"""What meters sign, in the forms in which charge points send it, as a CDR carries it (OCPP-70, CDR-51, CDR-53). Pure.

OCPP 1.6 has no place for signatures; charge points write into `value` a record of OCMF as it is, or the
SignedMeterValue of OCPP 2.0.1 as JSON, or other JSON with such a record in it. None of it is changed: what is signed
goes on bit for bit, in Base64 where the CDR wants that.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

OCMF = "OCMF"
UNKNOWN = "unknown"  # signed in a form nobody has named; the driver's software may know it
_OCMF_BEGINS = "OCMF|"
_DATA, _ENCODING, _KEY = "signedMeterData", "encodingMethod", "publicKey"
_LONGEST = 5000  # characters of a SignedValue (CDR-52)
_LONGEST_NAME = 36
_DEEPEST = 4
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NATURE = {"Transaction.Begin": "Start", "Transaction.End": "End"}


@dataclass(frozen=True, slots=True)
class Signed:
    """One signed value."""

    encoding: str
    data: str  # Base64
    plain: str
    key: str | None = None


def is_signed(raw: str) -> bool:
    """Say whether the value of a sample of OCPP 1.6 that claims to be a plain number is signed data."""
    start = raw.lstrip()[:1]
    if start == "O":
        return raw.lstrip().startswith(_OCMF_BEGINS)
    return start == "{" and _of_json(raw) is not None


def of_text(raw: str) -> Signed:
    """Read the `value` of a signed sample of OCPP 1.6."""
    if raw.lstrip().startswith(_OCMF_BEGINS):
        return _of_record(raw)
    return _of_json(raw) or Signed(UNKNOWN, _base64(raw), raw)


def of_members(members: Mapping[str, Any]) -> Signed | None:
    """Read a SignedMeterValue of OCPP 2.0.1; nothing if it has no data."""
    data, encoding = _text(members, _DATA), _CONTROLS.sub("", _text(members, _ENCODING))[:_LONGEST_NAME]
    if not data:
        return None
    key = _without_breaks(_text(members, _KEY)) or None
    if data.lstrip().startswith(_OCMF_BEGINS):  # it should be Base64
        return Signed(encoding or OCMF, _base64(data), data, key)
    data = _without_breaks(data)
    plain = _plain(data)
    if not encoding:
        encoding = OCMF if plain.startswith(_OCMF_BEGINS) else UNKNOWN
    return Signed(encoding, data, plain, key)


def for_cdr(found: Iterable[tuple[str, Signed]]) -> dict[str, Any] | None:
    """Return the signed_data of a CDR, from contexts and signed values in order; nothing if there are none.

    It has room for one encoding: the first that is known. What is longer than it takes is left out.
    """
    usable = [(context, each) for context, each in found if len(each.data) <= _LONGEST and len(each.plain) <= _LONGEST]
    names = [each.encoding for _, each in usable]
    encoding = next((name for name in names if name != UNKNOWN), next(iter(names), ""))
    if not encoding:
        return None
    chosen = [(context, each) for context, each in usable if each.encoding == encoding]
    values = [
        {"nature": _NATURE.get(context, "Intermediate"), "plain_data": _told(each), "signed_data": each.data}
        for context, each in chosen
    ]
    key = next((each.key for _, each in chosen if each.key), None)
    return {"encoding_method": encoding, **({"public_key": key} if key else {}), "signed_values": values}


def _without_breaks(text: str) -> str:
    """Return Base64 in one line: it says the same, and a text of OCPI has no line breaks."""
    return "".join(text.split()) if _CONTROLS.search(text) else text


def _told(signed: Signed) -> str:
    """Return what was signed as a text of OCPI, which has no control characters; else the data itself."""
    return signed.data if _CONTROLS.search(signed.plain) else signed.plain


def _of_record(text: str, key: str | None = None) -> Signed:
    return Signed(OCMF, _base64(text), text, key)


def _of_json(raw: str) -> Signed | None:
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    if not isinstance(found, dict):
        return None
    if _text(found, _DATA):
        return of_members(found)
    record = next((text for text in _texts(found, _DEEPEST) if text.lstrip().startswith(_OCMF_BEGINS)), None)
    return None if record is None else _of_record(record, _text(found, _KEY) or None)


def _texts(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each, depth - 1)


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else ""


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _plain(data: str) -> str:
    """Return what was signed, if it is text; else as it came, which is the data."""
    try:
        return base64.b64decode(data, validate=True).decode()
    except ValueError:
        return data
