"""Load our Locations from a file."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.core.management.base import CommandParser

from cpo.modules import locations_loading, locations_remarks
from cpo.modules.locations_loading import Loaded
from ocpi.enums import Role
from ocpi.headers import Address
from ocpi.loading import Loader
from ocpi.management.loading import LoadingCommand


class Command(LoadingCommand):
    help = "Load Locations from OCPI 2.2.1 JSON, checked as the API checks them, and push what changed."
    role = Role.CPO
    private = False

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--private", action="store_true", help="new Locations are not for the public: never sent")

    def handle(self, *args: Any, **options: Any) -> None:
        self.private = options["private"]
        super().handle(*args, **options)

    def loader(self, *, owners: tuple[Address, ...], as_party: Address | None, dry_run: bool) -> Loader[Loaded]:
        return Loader(
            check=partial(locations_loading.check, owners=owners, as_party=as_party),
            keep=partial(locations_loading.keep, dry_run=dry_run, private=self.private),
            key=lambda loaded: loaded.key,
            remark=lambda loaded: (loaded.object_id, locations_remarks.of(loaded)),
        )
