"""What an eMSP serves."""

from __future__ import annotations

from emsp.modules.cdrs import CDRReceiver, CDRsReceiver
from emsp.modules.chargingprofiles import ActiveProfilesSender, ChargingProfilesReceiver, ProfileResultSender
from emsp.modules.commands import CommandResultSender, CommandsSender
from emsp.modules.locations import LocationsReceiver
from emsp.modules.sessions import SessionsReceiver
from emsp.modules.tariffs import TariffsReceiver
from emsp.modules.tokens import TokenAuthorize, TokensList
from ocpi.endpoints import Serve
from ocpi.enums import InterfaceRole, ModuleID

_OWNED = "{country_code}/{party_id}"

ENDPOINTS: list[Serve] = [
    Serve(
        ModuleID.locations,
        InterfaceRole.RECEIVER,
        "emsp/2.2.1/locations",
        {
            f"{_OWNED}/{{location_id}}": LocationsReceiver,
            f"{_OWNED}/{{location_id}}/{{evse_uid}}": LocationsReceiver,
            f"{_OWNED}/{{location_id}}/{{evse_uid}}/{{connector_id}}": LocationsReceiver,
        },
    ),
    Serve(
        ModuleID.sessions,
        InterfaceRole.RECEIVER,
        "emsp/2.2.1/sessions",
        {f"{_OWNED}/{{session_id}}": SessionsReceiver},
    ),
    Serve(ModuleID.cdrs, InterfaceRole.RECEIVER, "emsp/2.2.1/cdrs", {"": CDRsReceiver, "{key}": CDRReceiver}),
    Serve(ModuleID.tariffs, InterfaceRole.RECEIVER, "emsp/2.2.1/tariffs", {f"{_OWNED}/{{tariff_id}}": TariffsReceiver}),
    Serve(
        ModuleID.tokens,
        InterfaceRole.SENDER,
        "emsp/2.2.1/tokens",
        {"": TokensList, "{token_uid}/authorize": TokenAuthorize},
    ),
    Serve(
        ModuleID.commands,
        InterfaceRole.SENDER,
        "emsp/2.2.1/commands",
        {"": CommandsSender, "{command}/{key}": CommandResultSender},
    ),
    Serve(
        ModuleID.chargingprofiles,
        InterfaceRole.SENDER,
        "emsp/2.2.1/chargingprofiles",
        {"{session_id}": ActiveProfilesSender, "results/{result_type}/{key}": ProfileResultSender},
    ),
    # Towards SCSPs, whose requests go on to the CPO (CHP-26).
    Serve(
        ModuleID.chargingprofiles,
        InterfaceRole.RECEIVER,
        "emsp/2.2.1/receiver/chargingprofiles",
        {"{session_id}": ChargingProfilesReceiver},
    ),
]
