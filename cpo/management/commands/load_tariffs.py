"""Load our Tariffs from a file."""

from __future__ import annotations

from functools import partial

from cpo.loading_command import LoadingCommand
from cpo.modules import tariffs_loading
from cpo.modules.tariffs_loading import Loaded
from ocpi.headers import Address
from ocpi.loading import Loader


class Command(LoadingCommand):
    help = "Load Tariffs from OCPI 2.2.1 JSON, checked as the API checks them, and push what changed."

    def loader(self, *, owners: tuple[Address, ...], as_party: Address | None, dry_run: bool) -> Loader[Loaded]:
        return Loader(
            check=partial(tariffs_loading.check, owners=owners, as_party=as_party),
            keep=partial(tariffs_loading.keep, dry_run=dry_run),
            key=lambda loaded: loaded.key,
        )
