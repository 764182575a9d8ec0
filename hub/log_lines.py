"""Log lines for people and for machines, with credentials taken out."""

import json
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType

from ocpi import database_trouble

_CREDENTIALS = re.compile(r"\b(Token|Basic|Bearer)(\s+|%20)[A-Za-z0-9+/=_.:~-]{6,}", re.IGNORECASE)
_ADDRESS_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^@/\s]+@")
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _as_it_is(line: str) -> str:
    return line


_hide: Callable[[str], str] = _as_it_is


def also_hide(hide: Callable[[str], str]) -> None:
    """Have live secrets hidden by what they are, too, once the process can recognize them; `hide` must not wait."""
    global _hide
    _hide = hide


def redact(line: str) -> str:
    """Return a line without what follows Token, Basic or Bearer, passwords in addresses, and live secrets."""
    return _hide(_ADDRESS_PASSWORD.sub(r"\1****@", _CREDENTIALS.sub(r"\1 ****", line)))


_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class _Lines(logging.Formatter):
    """What both kinds have in common: no traceback while the database is away, as it comes with each piece of work."""

    def formatException(self, ei: _ExcInfo) -> str:
        error = ei[1]
        if error is not None and database_trouble.concerns_all(error):
            return f"{type(error).__name__}: {database_trouble.words(error)}"
        return super().formatException(ei)


class TextLines(_Lines):
    """One line per record, time first."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class JsonLines(_Lines):
    """One JSON object per record, with whatever was given in `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({name: value for name, value in vars(record).items() if name not in _OWN})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return redact(json.dumps(line, default=str, ensure_ascii=False))
