"""OCPI 2.2.1, chapter Credentials."""

from typing import Annotated

from msgspec import Meta

from ocpi.enums import Role
from ocpi.v2_2_1.checking import Checker
from ocpi.v2_2_1.locations import BusinessDetails
from ocpi.v2_2_1.types import URL, CountryCode, Object, PartyID, broken, formatted

CredentialsTokenString = Annotated[
    str, formatted(64, "[!-~]{1,64}", "a string of 1 to 64 printable ASCII characters without spaces")
]


class CredentialsRole(Object, kw_only=True):
    role: Role
    business_details: BusinessDetails
    party_id: PartyID
    country_code: CountryCode


class Credentials(Object, kw_only=True):
    token: CredentialsTokenString
    url: URL
    roles: Annotated[list[CredentialsRole], Meta(min_length=1)]

    def __post_init__(self) -> None:
        seen: set[tuple[str, str, str]] = set()
        for index, role in enumerate(self.roles):
            key = (role.role, role.country_code.casefold(), role.party_id.casefold())
            if key in seen:
                raise broken(f"roles[{index}]", "must not repeat a role of the same party")
            seen.add(key)


PARTS: tuple[tuple[str, str], ...] = ()

_checker = Checker(Credentials)
check = _checker.check
check_leniently = _checker.check_leniently
read = _checker.read
write = _checker.write
