"""Make, list and revoke tokens of the operation API."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from cpo.models import ApiToken
from cpo.modules import api_tokens
from ocpi import clock, ours
from ocpi.enums import Role
from ocpi.management.loading import party


class Command(BaseCommand):
    help = "Make a token of the operation API, shown this once; or list or revoke them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", help="who or what uses it")
        parser.add_argument("--party", help="the tenant it is for, e.g. NL*TNM; by default every tenant")
        parser.add_argument(
            "--scopes",
            default="read,operate",
            help="what it may do, commas between: read, operate (also id tags and templates), manage (charge points)",
        )
        parser.add_argument("--days", type=int, help="days until it expires; by default never")
        parser.add_argument("--list", action="store_true", help="list the tokens that are good")
        parser.add_argument("--revoke", metavar="ID", type=int, help="end a token at once")
        parser.add_argument("--json", action="store_true", help="print one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            self._list(as_json=options["json"])
        elif options["revoke"] is not None:
            self._revoke(options["revoke"], as_json=options["json"])
        elif not options["name"]:
            raise CommandError("say a name for the token")
        else:
            self._make(options)

    def _make(self, options: dict[str, Any]) -> None:
        owners = ours.addresses(Role.CPO)
        days = options["days"]
        if days is not None and not 1 <= days <= 3650:
            raise CommandError("--days: from 1 to 3650")
        try:
            row, text = api_tokens.make(
                options["name"][:100],
                tenant=party(options["party"], owners, Role.CPO) if options["party"] else None,
                scopes=[scope.strip() for scope in options["scopes"].split(",") if scope.strip()],
                by="manage.py api_token",
                expires_at=None if days is None else clock.now() + timedelta(days=days),
            )
        except api_tokens.NotMade as error:
            raise CommandError(f"--{error}") from error
        self._say({"id": row.pk, "name": row.name, "token": text, "scopes": row.scopes}, options["json"], text)

    def _list(self, *, as_json: bool) -> None:
        rows = ApiToken.objects.filter(revoked_at=None).order_by("pk")
        told = [
            {
                "id": row.pk,
                "name": row.name,
                "ending": row.ending,
                "party": f"{row.country_code}*{row.party_id}" if row.country_code else None,
                "scopes": row.scopes,
                "expires_at": row.expires_at and row.expires_at.isoformat(),
                "last_used_at": row.last_used_at and row.last_used_at.isoformat(),
            }
            for row in rows
        ]
        lines = [f"{each['id']}  {each['name']}  …{each['ending']}  {', '.join(each['scopes'])}" for each in told]
        self._say(told, as_json, "\n".join(lines))

    def _revoke(self, pk: int, *, as_json: bool) -> None:
        if not api_tokens.revoke(pk, by="manage.py api_token"):
            raise CommandError(f"there is no good token {pk}")
        self._say({"id": pk, "revoked": True}, as_json, f"token {pk} is revoked")

    def _say(self, told: Any, as_json: bool, text: str) -> None:
        self.stdout.write(json.dumps(told) if as_json else text)
