"""Change the key under which the secrets for our calls are kept (SEC-04)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import NamedTuple

from django.db import models, transaction

from ocpi import secrets, snapshot, targets
from ocpi.models import Platform

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Sealed:
    """What became of the secrets."""

    sealed_anew: int = 0
    left: int = 0
    unopened: list[str] = field(default_factory=list)  # whose key is gone


class Column(NamedTuple):
    """A column of sealed texts."""

    model: type[models.Model]
    name: str
    context: Callable[[models.Model], str]  # what a row's text is sealed for


_sides: list[str] = []


def register(module: str) -> None:
    """Have the sealed columns of a side sealed anew too: `COLUMNS` of its module, by its dotted name."""
    if module not in _sides:
        _sides.append(module)


def columns() -> list[Column]:
    """Return every column with sealed texts."""
    ours = Column(Platform, "token_out", lambda row: targets.token_context(row.pk))
    return [ours, *(column for side in _sides for column in import_module(side).COLUMNS)]


def seal_anew(*, check: bool = False) -> Sealed:
    """Seal every secret with the newest key, each in a transaction of its own; with `check` only count.

    May run while everything runs: all keys of FIELD_KEYS open, and a secret that changes meanwhile is not overwritten.
    """
    done = Sealed()
    for column in columns():
        rows = column.model._default_manager.exclude(**{column.name: ""}).order_by("pk")
        for pk in rows.values_list("pk", flat=True):
            _seal(column, pk, done, check=check)
    if done.sealed_anew and not check:
        log.warning("%d secrets are sealed with the newest key", done.sealed_anew)
        snapshot.changed()
    return done


def _seal(column: Column, pk: int, done: Sealed, *, check: bool) -> None:
    with transaction.atomic():
        row = column.model._default_manager.select_for_update().filter(pk=pk).first()
        sealed = getattr(row, column.name, "")
        if row is None or not sealed or secrets.sealed_with_newest(sealed):
            done.left += 1
            return
        context = column.context(row)
        try:
            text = secrets.decrypt(sealed, context=context)
        except secrets.Unsealable:
            done.unopened.append(str(getattr(row, "name", row)))
            return
        done.sealed_anew += 1
        if not check:
            setattr(row, column.name, secrets.encrypt(text, context=context))
            row.save(update_fields=[column.name])
