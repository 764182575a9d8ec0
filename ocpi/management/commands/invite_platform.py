"""Invite a partner: a Platform and a token A, shown once."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ocpi.modules import initiation, invitations


class Command(BaseCommand):
    help = "Create an invited platform and its token A, with which it can register here; the token is shown this once."

    def add_arguments(self, parser: CommandParser) -> None:
        invitations.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            invitation = initiation.invite(
                name=invitations.name(options["name"]),
                parties=[invitations.party(text) for text in options["party"]],
                any_role=options["any_role"],
            )
        except (initiation.HandshakeFailed, ValueError) as error:
            raise CommandError(str(error)) from error
        for warning in invitation.warnings:
            self.stderr.write(f"Note: {warning}")
        found = {
            "platform": invitation.platform.pk,
            "versions_url": invitation.versions_url,
            "token_a": invitation.token_a,
        }
        lines = [f"{name}: {value}" for name, value in found.items()]
        self.stdout.write(json.dumps(found) if options["json"] else "\n".join(lines))
