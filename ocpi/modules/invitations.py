"""What the commands that connect a platform are called with: its name, and the roles approved in advance."""

from __future__ import annotations

import argparse
import re

from ocpi.enums import Role
from ocpi.headers import Address

_PARTY = re.compile(r"(?P<country_code>[A-Za-z]{2})\*(?P<party_id>[!-)+-~]{1,3}):(?P<role>[A-Z]+)")
_LONGEST_NAME = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", required=True, help="what this platform is called here")
    parser.add_argument(
        "--party", action="append", default=[], metavar="NL*TNM:CPO", help="a role it may act in; may be repeated"
    )
    parser.add_argument("--any-role", action="store_true", help="it may act in every role it claims")
    parser.add_argument("--json", action="store_true", help="one JSON line")


def name(text: str) -> str:
    """Return a platform's name.

    :raises ValueError: if it is empty or too long.
    """
    found = text.strip()
    if not found or len(found) > _LONGEST_NAME:
        raise ValueError(f"--name must have 1 to {_LONGEST_NAME} characters")
    return found


def party(text: str) -> tuple[Address, Role]:
    """Return address and role of a text such as "NL*TNM:CPO".

    :raises ValueError: if it is written otherwise.
    """
    match = _PARTY.fullmatch(text)
    if match is None or match["role"] not in set(Role):
        raise ValueError(f"--party must look like NL*TNM:CPO, with a role of {', '.join(Role)}; got {text!r}")
    return Address(match["country_code"].upper(), match["party_id"].upper()), Role(match["role"])
