"""What is odd in a document that keeps every rule: counted, never changed, never refused."""

import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec

_HUNDRED, _TENTH = Decimal(100), Decimal("0.1")
# eMI3: country, operator, E, and what tells it apart; separators may be left out, in any case (LOC-47, QRK-19).
_EVSE_ID = re.compile(r"[A-Za-z]{2}\*?[A-Za-z0-9]{3}\*?[Ee][A-Za-z0-9*]{1,31}", re.ASCII)
_SHORT_ADDRESS, _SHORT_STATE = 45, 20
_MOMENTARY = frozenset({"CURRENT", "ENERGY_EXPORT", "ENERGY_IMPORT", "POWER", "STATE_OF_CHARGE"})
_TWICE = "QRK-21 {} with the same value twice"


def remarks(found: msgspec.Struct) -> list[str]:
    """Return the kinds of deviation of a document, each once."""
    kinds = dict.fromkeys(remark for look in _LOOKS.get(type(found).__name__, ()) for remark in look(found))
    return [*_owner(found), *kinds]


def _owner(found: Any) -> list[str]:
    country_code = getattr(found, "country_code", None)
    lower = isinstance(country_code, str) and not country_code.isupper()
    return ["QRK-14 country_code in lower case"] if lower else []


def _energy_mix(found: Any) -> Iterator[str]:
    sources = found.energy_mix.energy_sources if found.energy_mix else None
    if sources and abs(sum(source.percentage for source in sources) - _HUNDRED) > _TENTH:
        yield "LOC-58 energy_sources do not add up to 100"


def _wh(found: Any) -> Iterator[str]:
    kwh = found.kwh if hasattr(found, "kwh") else found.total_energy
    if not (isinstance(kwh, Decimal) and kwh > 0):
        return
    energy = sum(
        dimension.volume
        for period in found.charging_periods or ()
        for dimension in period.dimensions
        if dimension.type == "ENERGY"
    )
    if 900 < energy / kwh < 1100:
        yield "PIT-32 ENERGY in Wh"


# A Location has many EVSEs and Connectors, nearly all of them without a remark: no generator is made for each.
def _location(found: Any) -> list[str]:
    kinds: list[str] = []
    if _is_twice(found.facilities):
        kinds.append(_TWICE.format("facilities"))
    for evse in found.evses or ():
        _look_at_evse(evse, kinds)
    return kinds


def _evse(found: Any) -> list[str]:
    kinds: list[str] = []
    _look_at_evse(found, kinds)
    return kinds


def _connector(found: Any) -> list[str]:
    kinds: list[str] = []
    _look_at_connector(found, kinds)
    return kinds


def _look_at_evse(found: Any, kinds: list[str]) -> None:
    evse_id = found.evse_id
    if evse_id and evse_id != "#NA" and not _EVSE_ID.fullmatch(evse_id):
        kinds.append("LOC-47 evse_id")
    if _is_twice(found.capabilities):
        kinds.append(_TWICE.format("capabilities"))
    if _is_twice(found.parking_restrictions):
        kinds.append(_TWICE.format("parking_restrictions"))
    for connector in found.connectors or ():
        _look_at_connector(connector, kinds)


def _look_at_connector(found: Any, kinds: list[str]) -> None:
    if _is_twice(found.tariff_ids):
        kinds.append(_TWICE.format("tariff_ids"))
    watts, volts, amperes = found.max_electric_power, found.max_voltage, found.max_amperage
    if not (watts and volts and amperes and found.power_type):
        return
    most = volts * amperes * (3 if found.power_type == "AC_3_PHASE" else 1)
    if most >= 1000 and most <= watts * 1100 and watts * 900 <= most:
        kinds.append("QRK-17 max_electric_power in kW")
    elif watts * 10 > most * 11:  # with a leeway of a tenth
        kinds.append("LOC-59 max_electric_power above voltage times amperage")


def _session(found: Any) -> Iterator[str]:
    if found.status == "ACTIVE" and found.evse_uid == "#NA":
        yield "SES-22 no EVSE in an ACTIVE Session"


def _cdr(found: Any) -> Iterator[str]:
    place = found.cdr_location
    if len(place.address) > _SHORT_ADDRESS or len(place.state or "") > _SHORT_STATE:
        yield "PIT-37 address or state of a CdrLocation too long"
    if found.last_updated < found.end_date_time:
        yield "PIT-33 last_updated before end_date_time"
    if found.auth_method != "WHITELIST" and not found.authorization_reference:
        yield "QRK-29 authorization_reference missing"
    if not found.credit and found.total_energy == 0:
        yield "QRK-32 CDR without energy"
    if any(each.type in _MOMENTARY for period in found.charging_periods for each in period.dimensions):
        yield "SES-34 momentary value in a CDR"


def _is_twice(values: Any) -> bool:
    """Say whether a list has the same text twice, in whatever case; one that is absent has not."""
    return bool(values) and len(values) > 1 and len({value.casefold() for value in values}) < len(values)


_LOOKS: dict[str, tuple[Callable[[Any], Iterable[str]], ...]] = {
    "Location": (_energy_mix, _location),
    "EVSE": (_evse,),
    "Connector": (_connector,),
    "Tariff": (_energy_mix,),
    "Session": (_wh, _session),
    "CDR": (_wh, _cdr),
}
# PATCH bodies, whose members may be UNSET; there is none of a CDR.
_LOOKS |= {f"Partial{kind}": looks for kind, looks in _LOOKS.items() if kind != "CDR"}
