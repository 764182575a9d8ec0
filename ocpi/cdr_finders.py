"""Where the active sides keep CDRs: each names its function, and it is loaded when somebody asks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from ocpi.models import CdrReview

_names: list[str] = []


def register(name: str) -> None:
    """Have a function asked for the text of the CDR that a review is about, by its dotted name."""
    if name not in _names:
        _names.append(name)


def document_of(row: CdrReview) -> str | None:
    """Return the CDR that a review is about, or None if no side keeps it."""
    return next((text for name in _names if (text := _function(name)(row)) is not None), None)


@cache
def _function(name: str) -> Callable[[CdrReview], str | None]:
    found: Callable[[CdrReview], str | None] = import_string(name)
    return found
