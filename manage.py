#!/usr/bin/env python
"""Any Django command, with hub.settings; starts the embedded servers first if the command needs a database."""

import os
import sys
from pathlib import Path

from django.core.management import execute_from_command_line

from hub import embedded, environment

# These read files and settings only, or start servers of their own.
_NO_DATABASE = {
    "",
    "check",
    "check_cdr",
    "collectstatic",
    "demo",
    "diffsettings",
    "embedded",
    "findstatic",
    "help",
    "makemigrations",
    "price_cdr",
    "simulate_charge_points",
    "test",
    "validate_cdr",
    "version",
    "write_docs",
}
# Of these, the ones that keep nothing: they work with secrets of the moment, whatever the environment lacks.
_NO_SECRETS = {"check_cdr", "demo", "embedded", "price_cdr", "simulate_charge_points", "validate_cdr", "write_docs"}
_ANSWERS_ALONE = {"--help", "-h", "--version"}


def main(arguments: list[str]) -> None:
    """Run one command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    command = next(iter(arguments[1:]), "")
    if command in _NO_SECRETS:
        for name, value in environment.new_secrets().items():
            os.environ[name] = os.environ.get(name) or value
    if not (command in _NO_DATABASE or command.startswith("-") or _ANSWERS_ALONE & set(arguments)):
        data = Path(os.environ.get("EMBEDDED_DATA", "").strip() or Path(__file__).resolve().parent / ".data")
        try:
            if embedded.provide(data) and command != "migrate":
                embedded.migrate(data)
        except embedded.CannotStart as failure:
            sys.exit(f"The embedded servers cannot start: {failure}")
    execute_from_command_line(arguments)


if __name__ == "__main__":
    main(sys.argv)
