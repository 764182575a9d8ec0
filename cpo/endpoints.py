"""What a CPO serves."""

from __future__ import annotations

from cpo.modules.cdrs import CDRsList
from cpo.modules.chargingprofiles import ChargingProfilesReceiver
from cpo.modules.commands import CommandsReceiver
from cpo.modules.locations import LocationsList, LocationsSender
from cpo.modules.sessions import ChargingPreferencesSender, SessionsList
from cpo.modules.tariffs import TariffsList
from cpo.modules.tokens import TokensReceiver
from ocpi.endpoints import Serve
from ocpi.enums import InterfaceRole, ModuleID

ENDPOINTS: list[Serve] = [
    Serve(
        ModuleID.locations,
        InterfaceRole.SENDER,
        "cpo/2.2.1/locations",
        {
            "": LocationsList,
            "{location_id}": LocationsSender,
            "{location_id}/{evse_uid}": LocationsSender,
            "{location_id}/{evse_uid}/{connector_id}": LocationsSender,
        },
    ),
    Serve(
        ModuleID.sessions,
        InterfaceRole.SENDER,
        "cpo/2.2.1/sessions",
        {"": SessionsList, "{session_id}/charging_preferences": ChargingPreferencesSender},
    ),
    Serve(ModuleID.cdrs, InterfaceRole.SENDER, "cpo/2.2.1/cdrs", {"": CDRsList}),
    Serve(ModuleID.tariffs, InterfaceRole.SENDER, "cpo/2.2.1/tariffs", {"": TariffsList}),
    Serve(
        ModuleID.tokens,
        InterfaceRole.RECEIVER,
        "cpo/2.2.1/tokens",
        {"{country_code}/{party_id}/{token_uid}": TokensReceiver},
    ),
    Serve(ModuleID.commands, InterfaceRole.RECEIVER, "cpo/2.2.1/commands", {"{command}": CommandsReceiver}),
    Serve(
        ModuleID.chargingprofiles,
        InterfaceRole.RECEIVER,
        "cpo/2.2.1/chargingprofiles",
        {"{session_id}": ChargingProfilesReceiver},
    ),
]
