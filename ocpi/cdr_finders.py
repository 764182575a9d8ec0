"""The active sides that keep CDRs: each names its module, and it is loaded when somebody asks.

Such a module has `find(review)`, which returns the text of the CDR or None, and `collect(cdr, known)`, which returns
what that side knows around it.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ocpi.models import CdrReview

_names: list[str] = []


def register(name: str) -> None:
    """Have a side's module asked, by its dotted name."""
    if name not in _names:
        _names.append(name)


def find(row: CdrReview) -> tuple[Any, str] | None:
    """Return the module of the side that keeps the CDR of a review, and the CDR's text; None if no side does."""
    for name in _names:
        text = _module(name).find(row)
        if text is not None:
            return _module(name), text
    return None


def document_of(row: CdrReview) -> str | None:
    """Return the CDR that a review is about, or None if no side keeps it."""
    found = find(row)
    return None if found is None else found[1]


@cache
def _module(name: str) -> Any:
    return import_module(name)
