"""OCPI 2.2.1, chapter HubClientInfo."""

from enum import StrEnum

from ocpi.enums import Role
from ocpi.v2_2_1.checking import Checker
from ocpi.v2_2_1.types import CountryCode, DateTime, Object, PartyID


class ConnectionStatus(StrEnum):
    CONNECTED = "CONNECTED"
    OFFLINE = "OFFLINE"
    PLANNED = "PLANNED"
    SUSPENDED = "SUSPENDED"


class ClientInfo(Object, kw_only=True):
    party_id: PartyID
    country_code: CountryCode
    role: Role
    status: ConnectionStatus
    last_updated: DateTime


PARTS: tuple[tuple[str, str], ...] = ()

_checker = Checker(ClientInfo)
check = _checker.check
check_leniently = _checker.check_leniently
read = _checker.read
write = _checker.write
