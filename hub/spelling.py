"""How the ids of what the hub keeps are spelled: as they first came, whatever later pushes do (TRN-097)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from ocpi import documents, outbox, status

if TYPE_CHECKING:
    from hub.shared_objects import Push

_EVSE_LEVEL = 2


def identity(push: Push) -> dict[str, str]:
    """Return the members that say which object a push is about, as its URL spells them."""
    own_id = "uid" if push.module == "tokens" or len(push.path) == _EVSE_LEVEL else "id"
    expected = {own_id: push.path[-1]}
    if len(push.path) == 1:
        expected |= {"country_code": push.owner.country_code, "party_id": push.owner.party_id}
    return expected


def check(push: Push, members: Mapping[str, msgspec.Raw]) -> None:
    """Refuse a body that names another owner or id than the URL (TRN-047, TRN-048, TRN-090).

    :raises InvalidParameters: naming the member.
    """
    for name, value in identity(push).items():
        if name in members and text(members[name]).upper() != value.upper():
            raise status.InvalidParameters(name, f"differs from {value} in the URL")


def change_of(push: Push) -> bytes:
    """Return the body of a PATCH without the ids that `check` has compared: what is kept keeps its own."""
    names = identity(push)
    if not any(f'"{name}"'.encode() in push.body for name in names) and b"\\u" not in push.body:
        return push.body
    return documents.without(push.body, *names).encode()


def as_kept(document: str, kept: str, names: Collection[str]) -> str:
    """Return a whole object with these ids as the kept one has them, if they differ in case alone."""
    new, old = documents.members(document), documents.members(kept)
    changes = {
        name: old[name]
        for name in names
        if name in new and name in old and bytes(new[name]) != bytes(old[name])
        if text(new[name]).upper() == text(old[name]).upper()
    }
    return documents.set_members(document, changes) if changes else document


def tree_as_kept(document: str, kept: str, parts: Sequence[tuple[str, str]]) -> str:
    """Return a whole object whose parts (`connectors` by `id`) have their ids as the kept one's parts have them."""
    name = parts[0][0] if parts else ""
    came, before = documents.members(document).get(name), documents.members(kept).get(name)
    if came is None or before is None:
        return document
    texts = [bytes(each).decode() for each in documents.elements(came, name)]
    found = parts_as_kept(texts, (bytes(each).decode() for each in documents.elements(before, name)), parts)
    return document if found == texts else documents.set_member(document, name, documents.raw(f"[{','.join(found)}]"))


def parts_as_kept(came: Sequence[str], kept: Iterable[str], parts: Sequence[tuple[str, str]]) -> list[str]:
    """Return whole parts with their ids, and those of the parts in them, as the kept ones have them."""
    key = parts[0][1]
    before = {documents.identity(each, key): each for each in kept}
    found = []
    for each in came:
        known = before.get(documents.identity(each, key))
        found.append(each if known is None else tree_as_kept(as_kept(each, known, (key,)), known, parts[1:]))
    return found


def path_as_kept(path: Sequence[str], country_code: str, party_id: str, kept: str) -> str:
    """Return what follows a receiver's endpoint in the URL of an object, spelled as it is kept: as its body is."""
    parts = list(path)
    if len(kept) == len("/".join(parts)):  # else a letter has no capital of its own length: as it came
        for place, part in enumerate(parts):
            start = sum(map(len, parts[:place])) + place
            parts[place] = kept[start : start + len(part)]
    return outbox.path_of(country_code, party_id, *parts)


def text(raw: msgspec.Raw) -> str:
    """Return a member that is an id or a time."""
    return str(msgspec.json.decode(raw))
