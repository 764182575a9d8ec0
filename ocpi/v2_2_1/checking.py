"""Checking documents of OCPI 2.2.1: strict first, so that good input costs nothing; then known quirks are repaired."""

from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from threading import Lock
from typing import Any, TypeVar

import msgspec

from ocpi import status
from ocpi.v2_2_1 import messages, quirks, shapes, strict_out
from ocpi.v2_2_1.types import dec_hook

Some = TypeVar("Some", bound=msgspec.Struct)


# msgspec keeps with a class what it finds out about it, half of it for a moment: a second thread that needs the same
# class in that moment ends the process. So of a server that has just started and has several first requests at once.
_building = Lock()


@cache
def _decoder(kind: type[msgspec.Struct]) -> "msgspec.json.Decoder[Any]":
    with _building:
        return msgspec.json.Decoder(kind, dec_hook=dec_hook, float_hook=Decimal)


def load(kind: type[Some], body: bytes | str) -> Some:
    """Read a document that keeps every rule.

    :raises InvalidParameters: naming the field and the rule.
    :raises NotJson: if it is not JSON.
    """
    try:
        found: Some = _decoder(kind).decode(body)
    except msgspec.ValidationError as error:
        raise messages.explain(kind, error) from error
    except (ValueError, RecursionError) as error:
        raise status.NotJson(f"The body is not valid JSON: {error}") from error
    return found


class Checker:
    """The classes of one module, by level."""

    def __init__(self, *kinds: type[msgspec.Struct], parts: Sequence[tuple[str, str]] = ()) -> None:
        self._kinds = {kind.__name__: kind for kind in kinds}
        self._parts = tuple(parts)

    def check(self, body: bytes, level: str, *, partial: bool = False, strict: bool = False) -> Any:
        """Read a document; `strict` allows no quirk of a partner.

        `partial` is a PATCH body: every member that is there is checked, absent ones are UNSET.

        :raises InvalidParameters: naming the field and the rule.
        :raises NotJson: if it is not JSON.
        """
        kind = self._kind(level, partial=partial)
        try:
            return load(kind, body)
        except status.InvalidParameters:
            if strict:
                raise
            repaired = quirks.repair(body, self._kinds[level], partial=partial)
            if repaired is None:
                raise
        return load(kind, repaired.checked)

    def check_leniently(
        self, body: bytes, level: str, *, partial: bool = False, any_value: bool = False
    ) -> tuple[bytes, list[str]]:
        """Return the body to store, known quirks repaired, and the kinds of deviation that were found.

        `any_value` lets unknown values of enums stand, also where one is required: a hub judges none of them (TRN-115).

        :raises InvalidParameters: naming the field and the rule.
        :raises NotJson: if it is not JSON.
        """
        kind = self._kind(level, partial=partial)
        try:
            return body, quirks.remarks(load(kind, body))
        except status.InvalidParameters:
            repaired = quirks.repair(body, self._kinds[level], partial=partial, any_value=any_value)
            if repaired is None:
                raise
        found = load(kind, repaired.checked)
        return repaired.stored, [*repaired.kinds, *quirks.remarks(found)]

    def check_ours(self, body: bytes, level: str) -> tuple[bytes, list[str]]:
        """Return a document of our own as we send it, and what was odd in it; what only others may send is refused.

        :raises InvalidParameters: naming the field and the rule.
        :raises NotJson: if it is not JSON.
        """
        kept, kinds = self.check_leniently(body, level)
        cleaned = strict_out.clean(kept, self._kinds[level])
        load(self._kinds[level], cleaned)
        return cleaned, kinds

    def _kind(self, level: str, *, partial: bool) -> type[msgspec.Struct]:
        kind = self._kinds[level]
        return shapes.partial(kind, self._parts) if partial else kind

    @staticmethod
    def read(document: str) -> str:
        """That version's document as the one we keep: in 2.2.1 the same."""
        return document

    @staticmethod
    def write(document: str) -> str:
        """The document we keep as that version's: in 2.2.1 the same."""
        return document
