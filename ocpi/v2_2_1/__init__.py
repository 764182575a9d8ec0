"""OCPI 2.2.1, the version our own documents are kept in: facts about it, and a file of objects per module."""

from ocpi.enums import ModuleID, VersionNumber

NUMBER = VersionNumber.V2_2_1
MODULES: tuple[ModuleID, ...] = tuple(ModuleID)
# OCPI 2.2.1, Transport and format, Authorization header: the credentials token is sent Base64 encoded.
BASE64_TOKENS = True
# One platform has several roles, and the Credentials object lists them.
HAS_ROLES = True
HAS_ROUTING_HEADERS = True
