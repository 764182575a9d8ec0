"""Fill the registry of an instance: `python -m tests.load.seed` reads the platforms as JSON from standard input."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import django


def main() -> None:
    """Create the platforms and print their ids by name."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    django.setup()
    print(json.dumps(fill(json.load(sys.stdin))))


def fill(platforms: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Register platforms as if they had done it themselves; return their ids by name."""
    from django.db import transaction

    from ocpi import secrets, targets
    from ocpi.enums import FUNCTIONAL_MODULES, InterfaceRole
    from ocpi.models import CredentialsToken, Endpoint, Party, Platform

    ids = {}
    with transaction.atomic():
        for found in platforms:
            platform = Platform.objects.create(
                name=found["name"],
                state="REGISTERED",
                connection="CONNECTED",
                version="2.2.1",
                versions_url=f"{found['url']}/ocpi/versions",
                hosts=["127.0.0.1"],
                average_ms=2.0,
            )
            platform.token_out = secrets.encrypt(
                f"token-out-{platform.pk:020}", context=targets.token_context(platform.pk)
            )
            platform.save(update_fields=["token_out"])
            CredentialsToken.objects.create(
                platform=platform, digest=secrets.digest(found["token"]), purpose="CURRENT", last_four="…"
            )
            for country_code, party_id, role in found["parties"]:
                Party.objects.create(
                    platform=platform, country_code=country_code, party_id=party_id, role=role, approved=True
                )
            Endpoint.objects.bulk_create(
                Endpoint(
                    platform=platform, identifier=module, role=role, url=f"{found['url']}/ocpi/{role.lower()}/{module}"
                )
                for module in FUNCTIONAL_MODULES
                for role in InterfaceRole
            )
            ids[platform.name] = platform.pk
    return ids


if __name__ == "__main__":
    main()
