"""OCPI 2.2.1, chapter Locations: Location, EVSE, Connector and what they are made of."""

from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from msgspec import Meta

from ocpi.v2_2_1.checking import Checker
from ocpi.v2_2_1.location_enums import Capability as Capability
from ocpi.v2_2_1.location_enums import ConnectorFormat as ConnectorFormat
from ocpi.v2_2_1.location_enums import ConnectorType as ConnectorType
from ocpi.v2_2_1.location_enums import EnergySourceCategory as EnergySourceCategory
from ocpi.v2_2_1.location_enums import EnvironmentalImpactCategory as EnvironmentalImpactCategory
from ocpi.v2_2_1.location_enums import Facility as Facility
from ocpi.v2_2_1.location_enums import ImageCategory as ImageCategory
from ocpi.v2_2_1.location_enums import ParkingRestriction as ParkingRestriction
from ocpi.v2_2_1.location_enums import ParkingType as ParkingType
from ocpi.v2_2_1.location_enums import PowerType as PowerType
from ocpi.v2_2_1.location_enums import Status as Status
from ocpi.v2_2_1.types import (
    ID36,
    URL,
    CiString36,
    CiString48,
    Country,
    CountryCode,
    DateTime,
    DisplayText,
    Int,
    Number,
    Object,
    PartyID,
    String64,
    String255,
    TokenType,
    broken,
    ci_string,
    formatted,
    string,
)

Latitude = Annotated[
    str, formatted(10, r"-?[0-9]{1,2}\.[0-9]{5,7}", "a latitude as a string with 5 to 7 decimals", accept=11)
]
Longitude = Annotated[
    str, formatted(11, r"-?[0-9]{1,3}\.[0-9]{5,7}", "a longitude as a string with 5 to 7 decimals", accept=12)
]
TimeOfDay = Annotated[str, formatted(5, "(?:[0-1][0-9]|2[0-3]):[0-5][0-9]", "a local time HH:MM")]
# 24:00 is not in the specification, but sent by many (OCPI 2.2.1 has no way to say "until midnight").
PeriodEnd = Annotated[str, formatted(5, "(?:(?:[0-1][0-9]|2[0-3]):[0-5][0-9]|24:00)", "a local time HH:MM")]


class GeoLocation(Object, kw_only=True):
    latitude: Latitude
    longitude: Longitude


class AdditionalGeoLocation(Object, kw_only=True):
    latitude: Latitude
    longitude: Longitude
    name: DisplayText | None = None


class Image(Object, kw_only=True):
    url: URL
    thumbnail: URL | None = None
    category: ImageCategory
    type: Annotated[str, ci_string(4)]
    width: Annotated[int, Meta(ge=0, le=99999)] | None = None
    height: Annotated[int, Meta(ge=0, le=99999)] | None = None


class BusinessDetails(Object, kw_only=True):
    name: Annotated[str, string(100)]
    website: URL | None = None
    logo: Image | None = None


class EnergySource(Object, kw_only=True):
    source: EnergySourceCategory
    percentage: Number


class EnvironmentalImpact(Object, kw_only=True):
    category: EnvironmentalImpactCategory
    amount: Number


class EnergyMix(Object, kw_only=True):
    is_green_energy: bool
    energy_sources: list[EnergySource] | None = None
    environ_impact: list[EnvironmentalImpact] | None = None
    supplier_name: String64 | None = None
    energy_product_name: String64 | None = None


class RegularHours(Object, kw_only=True):
    weekday: Annotated[int, Meta(ge=1, le=7)]
    period_begin: TimeOfDay
    period_end: PeriodEnd

    def __post_init__(self) -> None:
        # Midnight as the end of a day is written as 00:00 or 24:00 by many.
        if self.period_end <= self.period_begin and self.period_end not in ("00:00", "#NA"):
            raise broken("period_end", "must be later than period_begin")


class ExceptionalPeriod(Object, kw_only=True):
    period_begin: DateTime
    period_end: DateTime


class Hours(Object, kw_only=True):
    twentyfourseven: bool
    regular_hours: list[RegularHours] | None = None
    exceptional_openings: list[ExceptionalPeriod] | None = None
    exceptional_closings: list[ExceptionalPeriod] | None = None

    def __post_init__(self) -> None:
        if not self.twentyfourseven and not self.regular_hours:
            raise broken("regular_hours", "must have at least one element when twentyfourseven is false")


class PublishTokenType(Object, kw_only=True):
    uid: CiString36 | None = None
    type: TokenType | None = None
    visual_number: String64 | None = None
    issuer: String64 | None = None
    group_id: CiString36 | None = None

    def __post_init__(self) -> None:
        if not (self.uid or self.visual_number or self.group_id):
            raise broken("uid", "or visual_number or group_id is required")
        if self.uid and not self.type:
            raise broken("type", "is required with uid")
        if self.visual_number and not self.issuer:
            raise broken("issuer", "is required with visual_number")


class StatusSchedule(Object, kw_only=True):
    period_begin: DateTime
    period_end: DateTime | None = None
    status: Status


class Connector(Object, kw_only=True):
    id: ID36
    standard: ConnectorType
    format: ConnectorFormat
    power_type: PowerType
    max_voltage: Int
    max_amperage: Int
    max_electric_power: Int | None = None
    tariff_ids: list[CiString36] | None = None
    terms_and_conditions: URL | None = None
    last_updated: DateTime


class EVSE(Object, kw_only=True):
    uid: ID36
    evse_id: CiString48 | None = None
    status: Status
    status_schedule: list[StatusSchedule] | None = None
    capabilities: list[Capability] | None = None
    connectors: Annotated[list[Connector], Meta(min_length=1)]
    floor_level: Annotated[str, string(4)] | None = None
    coordinates: GeoLocation | None = None
    physical_reference: Annotated[str, string(16)] | None = None
    directions: list[DisplayText] | None = None
    parking_restrictions: list[ParkingRestriction] | None = None
    images: list[Image] | None = None
    last_updated: DateTime

    def __post_init__(self) -> None:
        if len(self.connectors) > 1:
            unique("connectors", "id", [connector.id for connector in self.connectors])


class Location(Object, kw_only=True):
    country_code: CountryCode
    party_id: PartyID
    id: ID36
    publish: bool
    publish_allowed_to: list[PublishTokenType] | None = None
    name: String255 | None = None
    address: String255
    city: Annotated[str, string(45)]
    postal_code: Annotated[str, string(10)] | None = None
    state: Annotated[str, string(45)] | None = None
    country: Country
    coordinates: GeoLocation
    related_locations: list[AdditionalGeoLocation] | None = None
    parking_type: ParkingType | None = None
    evses: list[EVSE] | None = None
    directions: list[DisplayText] | None = None
    operator: BusinessDetails | None = None
    suboperator: BusinessDetails | None = None
    owner: BusinessDetails | None = None
    facilities: list[Facility] | None = None
    time_zone: String255
    opening_times: Hours | None = None
    charging_when_closed: bool | None = None
    images: list[Image] | None = None
    energy_mix: EnergyMix | None = None
    last_updated: DateTime

    def __post_init__(self) -> None:
        # OCPI 2.2.1, Locations, Location object: publish_allowed_to is only for Locations that are not published.
        if self.publish and self.publish_allowed_to:
            raise broken("publish_allowed_to", "must be absent when publish is true")
        if self.time_zone not in time_zones() and self.time_zone != "#NA":
            raise broken("time_zone", "must be an IANA time zone name like Europe/Amsterdam")
        if self.evses and len(self.evses) > 1:
            unique("evses", "uid", [evse.uid for evse in self.evses])


@cache
def time_zones() -> frozenset[str]:
    """All IANA time zone names."""
    return frozenset(available_timezones())


def unique(part: str, key: str, ids: list[str]) -> None:
    """Refuse the same id twice; ids that differ only in case are the same."""
    seen: set[str] = set()
    for index, identity in enumerate(ids):
        if (folded := identity.casefold()) in seen:
            raise broken(f"{part}[{index}].{key}", "must be unique")
        seen.add(folded)


PARTS: tuple[tuple[str, str], ...] = (("evses", "uid"), ("connectors", "id"))

_checker = Checker(Location, EVSE, Connector, parts=PARTS)
check = _checker.check
check_leniently = _checker.check_leniently
check_ours = _checker.check_ours
read = _checker.read
write = _checker.write
