"""Load our Tokens from a file."""

from __future__ import annotations

from functools import partial

from emsp.modules import tokens_loading
from emsp.modules.tokens_loading import Loaded
from ocpi.enums import Role
from ocpi.headers import Address
from ocpi.loading import Loader
from ocpi.management.loading import LoadingCommand


class Command(LoadingCommand):
    help = "Load Tokens from OCPI 2.2.1 JSON, checked as the API checks them, and push what changed."
    role = Role.EMSP

    def loader(self, *, owners: tuple[Address, ...], as_party: Address | None, dry_run: bool) -> Loader[Loaded]:
        return Loader(
            check=partial(tokens_loading.check, as_party=as_party),
            keep=partial(tokens_loading.keep, dry_run=dry_run),
            key=lambda loaded: loaded.key,
            id_member="uid",
        )
