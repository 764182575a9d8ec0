"""OCPI objects as JSON text: PATCH, and taking parts (EVSE, Connector) out and putting them back, without loss.

Nothing here parses a number or knows a field. Members that are not touched keep their text, so `4.00` stays `4.00`,
unknown members survive, and the order is the owner's. What comes in has passed `json_text.read`: raw members are not
looked into here.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Raw

from ocpi import status

_members = msgspec.json.Decoder(dict[str, Raw])
_elements = msgspec.json.Decoder(list[Raw])
_value = msgspec.json.Decoder(float_hook=Decimal)
_NULL = b"null"
_EMPTY = Raw(b"[]")
_STAMP = "last_updated"
_PLAIN = frozenset((Raw, str, int, bool, type(None)))


def members(text: bytes | str) -> dict[str, Raw]:
    """Take an object apart; each member keeps its raw text.

    :raises NotJson: if it is not JSON.
    :raises InvalidParameters: if it is not an object.
    """
    try:
        return _members.decode(text)
    except msgspec.ValidationError as error:
        raise status.InvalidParameters("", "the body must be a JSON object") from error
    except ValueError as error:
        raise status.NotJson(f"The body is not valid JSON: {error}") from error


def elements(text: bytes | str | Raw, field: str = "") -> list[Raw]:
    """Take a list apart; null is an empty list.

    :raises InvalidParameters: if it is not a list.
    """
    if (text if isinstance(text, bytes) else text.encode() if isinstance(text, str) else bytes(text)) == _NULL:
        return []
    try:
        return _elements.decode(text)
    except msgspec.ValidationError as error:
        raise status.InvalidParameters(field, "must be a list") from error
    except ValueError as error:
        raise status.NotJson(f"The body is not valid JSON: {error}") from error


def text(members: Mapping[str, Any]) -> str:
    """Put an object together; the values are raw texts or plain Python values."""
    return encode(members).decode()


def encode(value: Any) -> bytes:
    """JSON of a plain value; Decimals are numbers as they stand, without an exponent."""
    return msgspec.json.encode(_plain(value))


def raw(text: bytes | str) -> Raw:
    """JSON text as the value of a member."""
    return Raw(text.encode() if isinstance(text, str) else text)


def get(text: bytes | str, name: str) -> Any:
    """The value of one member, None if it is absent or null; fractions are Decimals."""
    found = members(text).get(name)
    return None if found is None else _value.decode(found)


def set_member(text: bytes | str, name: str, value: Any) -> str:
    """Set one member (a raw text or a plain value) at its place, or at the end if it is new."""
    return set_members(text, {name: value})


def set_members(document: bytes | str, values: Mapping[str, Any]) -> str:
    """Set several members at once."""
    return text({**members(document), **values})


def without(document: bytes | str, *names: str) -> str:
    """The object without these members."""
    return text({name: value for name, value in members(document).items() if name not in names})


def merge(stored: bytes | str, patch: bytes | str) -> str:
    """Apply a PATCH: its members replace the stored ones, an explicit null takes the member away."""
    return text(_merged(members(stored), members(patch)))


def merge_tree(stored: bytes | str, patch: bytes | str, parts: Sequence[tuple[str, str]]) -> str:
    """Apply a PATCH whose parts (`evses` by `uid`, in them `connectors` by `id`) are merged one by one.

    A part that is not named stays; one that is not known is added as it is. The caller checks the result.
    """
    kept, changes = members(stored), members(patch)
    if parts and (name := parts[0][0]) in changes and bytes(changes[name]) != _NULL:
        kept_parts = kept.get(name, _EMPTY)
        changes[name] = _merged_parts(elements(kept_parts, name), elements(changes[name], name), parts)
    return text(_merged(kept, changes))


def identity(text: bytes | str | Raw, key: str) -> str:
    """The id of a part in the form in which ids are compared (OCPI 2.2.1, Types, CiString).

    :raises InvalidParameters: if it has none.
    """
    found = members(bytes(text) if isinstance(text, Raw) else text).get(key)
    value = None if found is None else msgspec.json.decode(found)
    if not isinstance(value, str):
        raise status.InvalidParameters(key, "is required")
    return value.casefold()


def take_parts(document: bytes | str, part: str) -> tuple[str, list[str]]:
    """Take the elements of one list out; the object that is left has no such member."""
    rest = members(document)
    taken = rest.pop(part, None)
    if taken is None:
        return text(rest), []
    return text(rest), [bytes(element).decode() for element in elements(taken, part)]


def splice(document: bytes | str, part: str, parts: Iterable[str]) -> str:
    """Put the elements back, before a `last_updated` at the end.

    Without any, the member is left out (OCPI 2.2.1, Terminology: an absent list is an empty one).
    """
    whole = members(document)
    whole.pop(part, None)
    if joined := ",".join(parts):
        last = whole.popitem() if next(reversed(whole), None) == _STAMP else None
        whole[part] = raw(f"[{joined}]")
        if last:
            whole[last[0]] = last[1]
    return text(whole)


def last_updated_last(document: bytes | str) -> str:
    """The object with `last_updated` as its last member, where the database can replace it without parsing."""
    moved = members(document)
    if _STAMP in moved:
        moved[_STAMP] = moved.pop(_STAMP)
    return text(moved)


def _merged(kept: dict[str, Raw], changes: Mapping[str, Raw]) -> dict[str, Raw]:
    for name, value in changes.items():
        if bytes(value) == _NULL:
            kept.pop(name, None)
        else:
            kept[name] = value
    return kept


def _merged_parts(kept: list[Raw], changes: list[Raw], parts: Sequence[tuple[str, str]]) -> Raw:
    name, key = parts[0]
    merged = {identity(element, key): bytes(element).decode() for element in kept}
    for index, element in enumerate(changes):
        try:
            known_as = identity(element, key)
        except status.InvalidParameters as error:
            path = f"{name}[{index}].{error.field}" if error.field else f"{name}[{index}]"
            raise status.InvalidParameters(path, error.rule) from error
        patch = bytes(element).decode()
        # The id stays in the case in which it was first received.
        merged[known_as] = merge_tree(merged[known_as], without(patch, key), parts[1:]) if known_as in merged else patch
    return raw("[" + ",".join(merged.values()) + "]")


def _plain(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    if type(value) is dict and _PLAIN.issuperset(map(type, value.values())):  # taken apart before, most often
        return value
    match value:
        case Decimal():
            return Raw(format(value, "f").encode())
        case Mapping():
            return {name: _plain(member) for name, member in value.items()}
        case list() | tuple():
            return [_plain(member) for member in value]
        case _:
            return value
