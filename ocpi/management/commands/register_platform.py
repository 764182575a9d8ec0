"""Register with a partner that gave us its versions URL and a token A."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ocpi.models import Endpoint, Party
from ocpi.modules import initiation, invitations


class Command(BaseCommand):
    help = "Play the whole credentials handshake with a partner that has invited us."

    def add_arguments(self, parser: CommandParser) -> None:
        invitations.add_arguments(parser)
        parser.add_argument("--versions-url", required=True, help="the partner's versions URL")
        parser.add_argument("--token", required=True, metavar="TOKEN_A", help="the token A it gave us")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            platform = initiation.register_with(
                name=invitations.name(options["name"]),
                versions_url=options["versions_url"],
                token_a=options["token"],
                parties=[invitations.party(text) for text in options["party"]],
                any_role=options["any_role"],
            )
        except (initiation.HandshakeFailed, ValueError) as error:
            raise CommandError(str(error)) from error
        roles = Party.objects.filter(platform=platform, claimed=True, through_hub=False).order_by("id")
        endpoints = Endpoint.objects.filter(platform=platform).order_by("identifier", "role")
        names = [f"{party}" if party.approved else f"{party} (pending)" for party in roles]
        found = {
            "platform": platform.pk,
            "state": platform.state,
            "version": platform.version,
            "roles": names,
            "endpoints": [{"identifier": row.identifier, "role": row.role, "url": row.url} for row in endpoints],
        }
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        self.stdout.write(f"{platform.name} is {platform.state}, version {platform.version}")
        self.stdout.write("roles: " + (", ".join(names) or "none"))
        self.stdout.write("\n".join(f"  {row.identifier} {row.role} {row.url}" for row in endpoints))
