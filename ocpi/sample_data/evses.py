"""EVSEs and Connectors: what kind of charger stands at a site, with voltages and powers that belong together."""

import random
from dataclasses import dataclass

from ocpi.sample_data.draw import DAY, Document, stamp
from ocpi.sample_data.places import Place, near


@dataclass(frozen=True, slots=True)
class Site:
    """What an EVSE needs to know of its Location."""

    country_code: str
    party_id: str
    number: int
    place: Place
    point: dict[str, str]
    parking_type: str
    updated: int
    fast_tariffs: tuple[str, ...]
    slow_tariffs: tuple[str, ...]
    status: str | None


@dataclass(frozen=True, slots=True)
class Charger:
    """A power class; for AC the voltage is line to neutral, as the specification counts it."""

    standard: str
    format: str
    power_type: str
    voltage: int
    amperage: int
    power: int


_STREET = (
    Charger("IEC_62196_T2", "SOCKET", "AC_3_PHASE", 230, 16, 11_040),
    Charger("IEC_62196_T2", "SOCKET", "AC_3_PHASE", 230, 32, 22_080),
    Charger("IEC_62196_T2", "CABLE", "AC_3_PHASE", 230, 32, 22_080),
    Charger("IEC_62196_T2", "SOCKET", "AC_1_PHASE", 230, 32, 7_360),
)
_FAST = (
    Charger("IEC_62196_T2_COMBO", "CABLE", "DC", 500, 125, 50_000),
    Charger("IEC_62196_T2_COMBO", "CABLE", "DC", 920, 250, 150_000),
    Charger("IEC_62196_T2_COMBO", "CABLE", "DC", 920, 500, 300_000),
)
_CHADEMO = Charger("CHADEMO", "CABLE", "DC", 500, 125, 50_000)

_RARE = ("RESERVED", "BLOCKED", "INOPERATIVE", "OUTOFORDER", "UNKNOWN", "PLANNED")
_STATUS = ("AVAILABLE",) * 12 + ("CHARGING",) * 6 + _RARE
_ALWAYS = ("REMOTE_START_STOP_CAPABLE", "RFID_READER")
_PAYMENT = ("CONTACTLESS_CARD_SUPPORT", "CREDIT_CARD_PAYABLE", "DEBIT_CARD_PAYABLE", "PED_TERMINAL")
_SMART = ("CHARGING_PROFILE_CAPABLE", "CHARGING_PREFERENCES_CAPABLE")


def evse(draw: random.Random, site: Site, number: int, connectors: int) -> Document:
    is_fast = draw.random() < (0.9 if site.parking_type == "ALONG_MOTORWAY" else 0.15)
    charger = draw.choice(_FAST if is_fast else _STREET)
    updated = site.updated - (0 if number == 1 else draw.randrange(20 * DAY))
    status = site.status or draw.choice(_STATUS)
    serial = f"{site.number:06d}"
    document: Document = {
        "uid": f"{site.party_id}-{serial}-{number}",
        "evse_id": f"{site.country_code}*{site.party_id}*E{serial}*{number}".upper(),
        "status": status,
    }
    if status == "PLANNED":
        opening = site.updated + 30 * DAY
        document["status_schedule"] = [
            {"period_begin": stamp(site.updated), "period_end": stamp(opening), "status": "PLANNED"},
            {"period_begin": stamp(opening), "status": "AVAILABLE"},
        ]
    document["capabilities"] = _capabilities(draw, is_fast, connectors)
    document["connectors"] = _connectors(draw, site, charger, connectors, updated)
    if site.parking_type in ("PARKING_GARAGE", "UNDERGROUND_GARAGE"):
        document["floor_level"] = f"-{1 + number // 4 % 5}"
    if number > 1 or draw.random() < 0.5:
        document["coordinates"] = near(float(site.point["latitude"]), float(site.point["longitude"]), draw, 0.0008)
    document["physical_reference"] = f"{chr(64 + (number - 1) // 10 % 26 + 1)}{number:02d}"
    if draw.random() < 0.3:
        document["parking_restrictions"] = ["EV_ONLY", "PLUGGED"] if is_fast else ["EV_ONLY"]
    document["last_updated"] = stamp(updated)
    return document


def _capabilities(draw: random.Random, is_fast: bool, connectors: int) -> list[str]:
    capabilities = [*_ALWAYS]
    capabilities += _PAYMENT if is_fast else ("UNLOCK_CAPABLE",)
    if draw.random() < 0.5:
        capabilities += _SMART
    if draw.random() < 0.4:
        capabilities.append("RESERVABLE")
    if connectors > 1:
        capabilities.append("START_SESSION_CONNECTOR_REQUIRED")
    return capabilities


def _connectors(draw: random.Random, site: Site, charger: Charger, count: int, updated: int) -> list[Document]:
    is_fast = charger.power_type == "DC"
    tariff_ids = site.fast_tariffs if is_fast else site.slow_tariffs
    # One Tariff for all plugs: two of one type must not be active at the same Connector together.
    tariff_id = draw.choice(tariff_ids) if tariff_ids else None
    connectors = []
    for number in range(1, count + 1):
        plug = _CHADEMO if is_fast and number % 2 == 0 else charger
        connector: Document = {
            "id": str(number),
            "standard": plug.standard,
            "format": plug.format,
            "power_type": plug.power_type,
            "max_voltage": plug.voltage,
            "max_amperage": plug.amperage,
            "max_electric_power": plug.power,
        }
        if tariff_id:
            connector["tariff_ids"] = [tariff_id]
        connector["terms_and_conditions"] = f"https://{site.party_id.lower()}.example/terms"
        connector["last_updated"] = stamp(updated - number * 60)
        connectors.append(connector)
    return connectors
