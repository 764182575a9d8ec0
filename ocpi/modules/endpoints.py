"""What every instance serves: credentials, the versions, and the Receiver of hubclientinfo."""

from __future__ import annotations

from ocpi.endpoints import VERSION, Serve
from ocpi.enums import InterfaceRole, ModuleID
from ocpi.modules.credentials import CredentialsView
from ocpi.modules.hubclientinfo import ClientInfoReceiver
from ocpi.modules.versions import VersionDetailsView, VersionsView
from ocpi.views import OcpiView

ENDPOINTS: list[Serve] = [
    # OCPI 2.2.1, Version information endpoint: of the two roles, the one for a module without any is SENDER.
    Serve(ModuleID.credentials, InterfaceRole.SENDER, f"{VERSION}/credentials", {"": CredentialsView}),
    # Told by the hubs it is connected to; a hub is, too, by another one (HUB-78).
    Serve(
        ModuleID.hubclientinfo,
        InterfaceRole.RECEIVER,
        f"{VERSION}/hubclientinfo",
        {"{country_code}/{party_id}": ClientInfoReceiver},
    ),
]
# In no version details: they are where those are found.
UNLISTED: list[tuple[str, type[OcpiView]]] = [("versions", VersionsView), (VERSION, VersionDetailsView)]
