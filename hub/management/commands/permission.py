"""Read and write the hub's permissions from a shell."""

from __future__ import annotations

import getpass
import json
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hub import permissions
from hub.permission_model import Permission
from hub.permissions import Who
from ocpi import audit, snapshot
from ocpi.enums import FUNCTIONAL_MODULES
from ocpi.headers import Address
from ocpi.v2_2_1.types import format_datetime, parse_datetime

_WHO = "any, NL, NL*TNM, :CPO, NL:CPO or NL*TNM:CPO"


class Command(BaseCommand):
    help = "Who may deal with whom: list the rules, allow, deny, remove, or check what holds between two parties."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="all rules")
        listing.add_argument("--json", action="store_true", help="one JSON line")
        for action, does in (("allow", "allows"), ("deny", "denies")):
            adding = actions.add_parser(action, help=f"add a rule that {does}")
            adding.add_argument("--from", dest="first", default="any", help=_WHO)
            adding.add_argument("--to", dest="second", default="any", help=_WHO)
            adding.add_argument("--one-way", action="store_true", help="not for requests the other way")
            self._about(adding)
            adding.add_argument("--broadcast", action="store_true", help="with broadcasts that its role does not get")
            adding.add_argument("--valid-from", type=_moment, help="2026-01-31T00:00:00Z")
            adding.add_argument("--valid-until", type=_moment, help="2026-12-31T00:00:00Z")
            adding.add_argument("--note", default="")
            adding.add_argument("--json", action="store_true", help="one JSON line")
        removing = actions.add_parser("remove", help="take a rule away")
        removing.add_argument("rule", type=int, help="its number")
        removing.add_argument("--json", action="store_true", help="one JSON line")
        checking = actions.add_parser("check", help="what holds now between two parties, and by which rules")
        checking.add_argument("--from", dest="first", required=True, help="NL*TNM")
        checking.add_argument("--to", dest="second", required=True, help="DE*EMS")
        self._about(checking)
        checking.add_argument("--json", action="store_true", help="one JSON line")

    def _about(self, parser: Any) -> None:
        parser.add_argument("--module", default="", choices=["", *(str(module) for module in FUNCTIONAL_MODULES)])
        parser.add_argument("--direction", default="BOTH", choices=["PUSH", "PULL", "BOTH"])

    def handle(self, *args: Any, **options: Any) -> None:
        found, text = getattr(self, f"_{options['action']}")(options)
        self.stdout.write(json.dumps(found) if options["json"] else text)

    def _list(self, options: dict[str, Any]) -> tuple[Any, str]:
        rows = list(Permission.objects.order_by("id"))
        lines = [_line(row) for row in rows]
        return [_as_json(row) for row in rows], "\n".join(lines) or "No rules yet."

    def _allow(self, options: dict[str, Any]) -> tuple[Any, str]:
        return self._add(Permission.Effect.ALLOW, options)

    def _deny(self, options: dict[str, Any]) -> tuple[Any, str]:
        return self._add(Permission.Effect.DENY, options)

    def _add(self, effect: str, options: dict[str, Any]) -> tuple[Any, str]:
        first, second = _who("--from", options["first"]), _who("--to", options["second"])
        row = Permission(
            effect=effect,
            from_country_code=first.country_code,
            from_party_id=first.party_id,
            from_role=first.role,
            to_country_code=second.country_code,
            to_party_id=second.party_id,
            to_role=second.role,
            mutual=not options["one_way"],
            module=options["module"],
            direction=options["direction"],
            broadcast=options["broadcast"],
            valid_from=options["valid_from"],
            valid_until=options["valid_until"],
            note=options["note"],
        )
        row.changed_by = _somebody()
        try:
            row.full_clean(exclude=["created_at"])
        except ValidationError as error:
            raise CommandError(
                "; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items())
            ) from error
        with audit.acting(row.changed_by):
            row.save()
        return _as_json(row), _line(row)

    def _remove(self, options: dict[str, Any]) -> tuple[Any, str]:
        with audit.acting(_somebody()):
            row = Permission.objects.select_for_update().filter(pk=options["rule"]).first()
            if row is None:
                raise CommandError(f"There is no rule {options['rule']}.")
            row.changed_by = _somebody()
            found, text = _as_json(row), _line(row)
            row.delete()
        return found, f"Removed: {text}"

    def _check(self, options: dict[str, Any]) -> tuple[Any, str]:
        one, two = _address("--from", options["first"]), _address("--to", options["second"])
        modules = [options["module"]] if options["module"] else [str(module) for module in FUNCTIONAL_MODULES]
        directions = ["PUSH", "PULL"] if options["direction"] == "BOTH" else [options["direction"]]
        registry = snapshot.load()
        found = [
            {
                "module": module,
                "direction": direction,
                "allowed": permissions.allowed(registry, one, two, module, direction),
                "rules": [rule.id for rule in permissions.deciding(registry, one, two, module, direction)],
            }
            for module in modules
            for direction in directions
        ]
        lines = []
        for each in found:
            by = f"rules {', '.join(map(str, each['rules']))}" if each["rules"] else "no rule, the default"  # type: ignore[arg-type]
            lines.append(f"{each['module']} {each['direction']}: {'allowed' if each['allowed'] else 'denied'} ({by})")
        return found, "\n".join(lines)


def _somebody() -> str:
    return f"{getpass.getuser()} on the command line"


def _who(name: str, text: str) -> Who:
    try:
        return Who.parse(text)
    except ValueError as error:
        raise CommandError(f"{name}: {error}") from error


def _address(name: str, text: str) -> Address:
    found = _who(name, text)
    if not found.party_id:
        raise CommandError(f"{name}: names one party, such as NL*TNM")
    return Address(found.country_code, found.party_id)


def _moment(text: str) -> datetime:
    return parse_datetime(text)


def _line(row: Permission) -> str:
    until = f", until {format_datetime(row.valid_until)}" if row.valid_until else ""
    since = f", from {format_datetime(row.valid_from)}" if row.valid_from else ""
    return f"{row.pk}: {row}{since}{until}{f' ({row.note})' if row.note else ''}"


def _as_json(row: Permission) -> dict[str, Any]:
    return {
        "rule": row.pk,
        "effect": row.effect,
        "from": row.first,
        "to": row.second,
        "mutual": row.mutual,
        "module": row.module,
        "direction": row.direction,
        "broadcast": row.broadcast,
        "valid_from": format_datetime(row.valid_from) if row.valid_from else None,
        "valid_until": format_datetime(row.valid_until) if row.valid_until else None,
        "note": row.note,
    }
