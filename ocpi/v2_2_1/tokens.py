"""OCPI 2.2.1, chapter Tokens."""

from enum import StrEnum

from ocpi.v2_2_1.checking import Checker
from ocpi.v2_2_1.types import (
    ID36,
    CiString36,
    CountryCode,
    DateTime,
    DisplayText,
    Language,
    Object,
    PartyID,
    ProfileType,
    String64,
)
from ocpi.v2_2_1.types import TokenType as TokenType


class WhitelistType(StrEnum):
    ALWAYS = "ALWAYS"
    ALLOWED = "ALLOWED"
    ALLOWED_OFFLINE = "ALLOWED_OFFLINE"
    NEVER = "NEVER"


class AllowedType(StrEnum):
    ALLOWED = "ALLOWED"
    BLOCKED = "BLOCKED"
    EXPIRED = "EXPIRED"
    NO_CREDIT = "NO_CREDIT"
    NOT_ALLOWED = "NOT_ALLOWED"


class EnergyContract(Object, kw_only=True):
    supplier_name: String64
    contract_id: String64 | None = None


class Token(Object, kw_only=True):
    country_code: CountryCode
    party_id: PartyID
    uid: ID36
    type: TokenType
    contract_id: CiString36
    visual_number: String64 | None = None
    issuer: String64
    group_id: CiString36 | None = None
    valid: bool
    whitelist: WhitelistType
    language: Language | None = None
    default_profile_type: ProfileType | None = None
    energy_contract: EnergyContract | None = None
    last_updated: DateTime


class LocationReferences(Object, kw_only=True):
    location_id: CiString36
    evse_uids: list[CiString36] | None = None


class AuthorizationInfo(Object, kw_only=True):
    allowed: AllowedType
    token: Token
    location: LocationReferences | None = None
    authorization_reference: CiString36 | None = None
    info: DisplayText | None = None


PARTS: tuple[tuple[str, str], ...] = ()

_checker = Checker(Token, LocationReferences, AuthorizationInfo)
check = _checker.check
check_leniently = _checker.check_leniently
check_ours = _checker.check_ours
read = _checker.read
write = _checker.write
