"""OCPI 2.2.1, chapter CDRs."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from ocpi.v2_2_1.checking import Checker
from ocpi.v2_2_1.location_enums import ConnectorFormat, ConnectorType, PowerType
from ocpi.v2_2_1.locations import GeoLocation
from ocpi.v2_2_1.tariffs import Tariff
from ocpi.v2_2_1.types import (
    CiString36,
    CiString39,
    CiString48,
    Country,
    CountryCode,
    Currency,
    DateTime,
    Int,
    Number,
    Object,
    PartyID,
    Price,
    String255,
    TokenType,
    broken,
    ci_string,
    string,
)


class AuthMethod(StrEnum):
    AUTH_REQUEST = "AUTH_REQUEST"
    COMMAND = "COMMAND"
    WHITELIST = "WHITELIST"


class CdrDimensionType(StrEnum):
    CURRENT = "CURRENT"
    ENERGY = "ENERGY"
    ENERGY_EXPORT = "ENERGY_EXPORT"
    ENERGY_IMPORT = "ENERGY_IMPORT"
    MAX_CURRENT = "MAX_CURRENT"
    MIN_CURRENT = "MIN_CURRENT"
    MAX_POWER = "MAX_POWER"
    MIN_POWER = "MIN_POWER"
    PARKING_TIME = "PARKING_TIME"
    POWER = "POWER"
    RESERVATION_TIME = "RESERVATION_TIME"
    STATE_OF_CHARGE = "STATE_OF_CHARGE"
    TIME = "TIME"


class CdrDimension(Object, kw_only=True):
    type: CdrDimensionType
    volume: Number


class ChargingPeriod(Object, kw_only=True):
    start_date_time: DateTime
    dimensions: Annotated[list[CdrDimension], Meta(min_length=1)]
    tariff_id: CiString36 | None = None


class CdrToken(Object, kw_only=True):
    country_code: CountryCode
    party_id: PartyID
    uid: CiString36
    type: TokenType
    contract_id: CiString36


class CdrLocation(Object, kw_only=True):
    id: CiString36
    name: String255 | None = None
    address: Annotated[str, string(45, accept=255)]
    city: Annotated[str, string(45)]
    postal_code: Annotated[str, string(10)] | None = None
    state: Annotated[str, string(20, accept=45)] | None = None
    country: Country
    coordinates: GeoLocation
    evse_uid: CiString36
    evse_id: CiString48
    connector_id: CiString36
    connector_standard: ConnectorType
    connector_format: ConnectorFormat
    connector_power_type: PowerType


class SignedValue(Object, kw_only=True):
    nature: Annotated[str, ci_string(32)]
    plain_data: Annotated[str, string(5000)]
    signed_data: Annotated[str, string(5000)]


class SignedData(Object, kw_only=True):
    encoding_method: CiString36
    encoding_method_version: Int | None = None
    public_key: Annotated[str, string(512)] | None = None
    signed_values: Annotated[list[SignedValue], Meta(min_length=1)]
    url: Annotated[str, string(512)] | None = None


class CDR(Object, kw_only=True):
    country_code: CountryCode
    party_id: PartyID
    id: Annotated[str, ci_string(39, least=1)]
    start_date_time: DateTime
    end_date_time: DateTime
    session_id: CiString36 | None = None
    cdr_token: CdrToken
    auth_method: AuthMethod
    authorization_reference: CiString36 | None = None
    cdr_location: CdrLocation
    meter_id: String255 | None = None
    currency: Currency
    tariffs: list[Tariff] | None = None
    charging_periods: Annotated[list[ChargingPeriod], Meta(min_length=1)]
    signed_data: SignedData | None = None
    total_cost: Price
    total_fixed_cost: Price | None = None
    total_energy: Number
    total_energy_cost: Price | None = None
    total_time: Number
    total_time_cost: Price | None = None
    total_parking_time: Number | None = None
    total_parking_cost: Price | None = None
    total_reservation_cost: Price | None = None
    remark: String255 | None = None
    invoice_reference_id: CiString39 | None = None
    credit: bool | None = None
    credit_reference_id: CiString39 | None = None
    home_charging_compensation: bool | None = None
    last_updated: DateTime

    def __post_init__(self) -> None:
        if self.credit and not self.credit_reference_id:
            raise broken("credit_reference_id", "is required when credit is true")
        if len(self.id) > 36 and not self.credit:
            raise broken("id", "must be a string of at most 36 characters unless credit is true")
        if not self.tariffs:
            return
        known = {tariff.id.casefold() for tariff in self.tariffs}
        for index, period in enumerate(self.charging_periods):
            if period.tariff_id and period.tariff_id != "#NA" and period.tariff_id.casefold() not in known:
                raise broken(f"charging_periods[{index}].tariff_id", "must name an entry of tariffs")


PARTS: tuple[tuple[str, str], ...] = ()

_checker = Checker(CDR)
check = _checker.check
check_leniently = _checker.check_leniently
read = _checker.read
write = _checker.write
