"""What `price_cdr` and `check_cdr` share: reading documents from files, and one result as JSON or for people."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import msgspec
from django.core.management.base import BaseCommand, CommandError

from ocpi import tariff_pricing
from ocpi.tariff_pricing.instants import zone

_NOT_PRICEABLE = 1
_UNREADABLE = 2


def refuse(text: str) -> NoReturn:
    """Stop because of unreadable input or bad arguments."""
    raise CommandError(text, returncode=_UNREADABLE)


class PricingCommand(BaseCommand):
    """A command about one document, or many, that needs neither a database nor any other service."""

    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments both commands have."""
        parser.add_argument(
            "--tariff", action="append", default=[], metavar="T.json", help="a Tariff or a list of them"
        )
        parser.add_argument("--cdr", metavar="C.json", help="the CDR or Session")
        parser.add_argument("--timezone", metavar="ZONE", help="IANA time zone of the Location, e.g. Europe/Amsterdam")
        parser.add_argument(
            "--jsonl", metavar="FILE", help="one {cdr, tariff or tariffs, timezone} per line; - is stdin"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object on one line")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, compute, print."""
        if options["timezone"] is not None and zone(options["timezone"]) is None:
            refuse(f"--timezone: {options['timezone']} is no time zone")
        if (options["jsonl"] is None) == (options["cdr"] is None):
            refuse("give either --cdr or --jsonl")
        if options["jsonl"] is not None:
            self._handle_lines(options["jsonl"], options["tariff"], options["timezone"])
            return
        document, tariffs = _document(_read(options["cdr"])), _tariffs(options["tariff"])
        try:
            result = self.compute(document, tariffs, options["timezone"])
        except tariff_pricing.NotPriceable as error:
            if options["json"]:
                self.stdout.write(tariff_pricing.dumps(_error(error)))
            raise CommandError(str(error), returncode=_NOT_PRICEABLE) from error
        self.stdout.write(tariff_pricing.dumps(result) if options["json"] else self.show(result))

    def compute(self, document: Mapping[str, Any], tariffs: list[Any], timezone: str | None) -> dict[str, Any]:
        """Return the result as it is printed.

        :raises NotPriceable: if there is none.
        """
        raise TypeError(f"{type(self).__name__} computes nothing")

    def show(self, result: dict[str, Any]) -> str:
        """Return the result as text for people."""
        raise TypeError(f"{type(self).__name__} shows nothing")

    def _handle_lines(self, name: str, files: list[str], timezone: str | None) -> None:
        given = _tariffs(files)
        for text in _lines(name):
            self.stdout.write(tariff_pricing.dumps(self._line(text, given, timezone)))

    def _line(self, text: str, given: list[Any], timezone: str | None) -> dict[str, Any]:
        try:
            task = tariff_pricing.loads(text)
        except msgspec.DecodeError as error:
            return {"error": "invalid_input", "message": f"no JSON: {error}"}
        if not isinstance(task, Mapping) or not isinstance(task.get("cdr"), Mapping):
            return {"error": "invalid_input", "message": "cdr: is required"}
        own = task.get("tariffs")
        tariffs = own if isinstance(own, list) else [task["tariff"]] if task.get("tariff") is not None else given
        clock = task.get("timezone")
        try:
            return self.compute(task["cdr"], tariffs, clock if isinstance(clock, str) else timezone)
        except tariff_pricing.NotPriceable as error:
            return _error(error)


_COLUMNS = (
    "period",
    "dimension",
    "tariff_id",
    "element",
    "measured",
    "billed",
    "price",
    "vat",
    "excl_vat",
    "incl_vat",
    "counts_as",
)


def table(lines: list[dict[str, Any]]) -> str:
    """Return the lines of a price as a table."""
    rows = [list(_COLUMNS)]
    rows += [["-" if line[name] is None else str(line[name]) for name in _COLUMNS] for line in lines]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _error(error: tariff_pricing.NotPriceable) -> dict[str, Any]:
    return {"error": error.code, "message": error.message}


def _read(name: str) -> Any:
    try:
        return tariff_pricing.loads(Path(name).read_bytes())
    except OSError as error:
        refuse(f"{name}: {error.strerror}")
    except msgspec.DecodeError as error:
        refuse(f"{name}: {error}")


def _document(read: Any) -> Mapping[str, Any]:
    if isinstance(read, Mapping) and isinstance(read.get("data"), Mapping):
        read = read["data"]
    if not isinstance(read, Mapping):
        refuse("--cdr: must be one CDR or Session object")
    return read


def _tariffs(names: list[str]) -> list[Any]:
    tariffs: list[Any] = []
    for name in names:
        read = _read(name)
        if isinstance(read, Mapping) and isinstance(read.get("data"), list | Mapping):
            read = read["data"]
        if not isinstance(read, Mapping | list):
            refuse(f"{name}: must be a Tariff object or a list of them")
        tariffs += read if isinstance(read, list) else [read]
    return tariffs


def _lines(name: str) -> Iterator[str]:
    try:
        if name == "-":
            yield from (line for line in sys.stdin if line.strip())
            return
        with Path(name).open(encoding="utf-8") as file:
            yield from (line for line in file if line.strip())
    except OSError as error:
        refuse(f"{name}: {error.strerror}")
    except UnicodeDecodeError:
        refuse(f"{name}: is not UTF-8")
