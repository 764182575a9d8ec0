"""The words that every module of OCPI shares: ModuleID, InterfaceRole, Role, VersionNumber."""

from enum import StrEnum


class ModuleID(StrEnum):
    cdrs = "cdrs"
    chargingprofiles = "chargingprofiles"
    commands = "commands"
    credentials = "credentials"
    hubclientinfo = "hubclientinfo"
    locations = "locations"
    sessions = "sessions"
    tariffs = "tariffs"
    tokens = "tokens"


class InterfaceRole(StrEnum):
    SENDER = "SENDER"
    RECEIVER = "RECEIVER"


class Role(StrEnum):
    CPO = "CPO"
    EMSP = "EMSP"
    HUB = "HUB"
    NAP = "NAP"
    NSP = "NSP"
    OTHER = "OTHER"
    SCSP = "SCSP"


class VersionNumber(StrEnum):
    V2_0 = "2.0"
    V2_1 = "2.1"
    V2_1_1 = "2.1.1"
    V2_2 = "2.2"
    V2_2_1 = "2.2.1"


# OCPI 2.2.1, Transport and format: functional modules are routed by a hub, configuration modules never are.
FUNCTIONAL_MODULES: tuple[ModuleID, ...] = (
    ModuleID.locations,
    ModuleID.sessions,
    ModuleID.cdrs,
    ModuleID.tariffs,
    ModuleID.tokens,
    ModuleID.commands,
    ModuleID.chargingprofiles,
)
# `versions` is a configuration module too, but has no ModuleID.
CONFIGURATION_MODULES: tuple[ModuleID, ...] = (ModuleID.credentials, ModuleID.hubclientinfo)
