"""One driver at one charge point: the story that a Session tells while it happens and a CDR when it is over."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

from ocpi.sample_data.draw import BASE, DAY, HOUR, Document, hours, rounded, stamp, stream
from ocpi.sample_data.locations import locations
from ocpi.sample_data.tariffs import tariffs as own_tariffs
from ocpi.sample_data.tokens import tokens

# Every moment is a multiple of 36 seconds, which is a hundredth of an hour: volumes in hours are exact.
TICK = 36
_POOL = 64
Party = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Visit:
    number: int
    location: Document
    evse: Document
    connector: Document
    token: Document
    tariff: Document
    start: int
    charged: int
    end: int
    kwh: Decimal
    periods: list[Document]
    auth_method: str
    authorization_reference: str | None

    @property
    def cdr_token(self) -> Document:
        return {name: self.token[name] for name in ("country_code", "party_id", "uid", "type", "contract_id")}

    @property
    def meter_id(self) -> str:
        return f"MTR-{self.evse['uid']}"


def visits(
    count: int,
    *,
    seed: int,
    cpo: Party,
    emsp: Party,
    tariffs: Sequence[Document] | None,
    at: Sequence[Document] | None,
    by: Sequence[Document] | None,
    start: int,
) -> Iterator[Visit]:
    """Yield visits at the Locations `at` with the Tokens `by`; the same arguments tell the same story."""
    known = {tariff["id"]: tariff for tariff in tariffs or own_tariffs(*cpo, seed=seed)}
    if at is None:
        at = list(locations(_POOL, seed=seed, country_code=cpo[0], party_id=cpo[1], tariff_ids=tuple(known)))
    if by is None:
        by = [token for token in tokens(_POOL, seed=seed, country_code=emsp[0], party_id=emsp[1]) if token["valid"]]
    sites = [location for location in at if "evses" in location]
    for index in range(start, start + count):
        draw = stream(f"visit:{cpo}:{emsp}", seed, index)
        location = draw.choice(sites)
        evse = draw.choice(location["evses"])
        connector = draw.choice(evse["connectors"])
        offered = [known[name] for name in connector.get("tariff_ids", ()) if name in known]
        tariff = offered[0] if offered else next(iter(known.values()))
        yield _visit(draw, index, (location, evse, connector), draw.choice(by), tariff)


def _visit(
    draw: Random, index: int, plug: tuple[Document, Document, Document], token: Document, tariff: Document
) -> Visit:
    location, evse, connector = plug
    is_fast = connector["power_type"] == "DC"
    start = BASE + (index * 97 + draw.randrange(97)) * TICK % (300 * DAY)
    charged = start + TICK * (draw.randrange(17, 75) if is_fast else draw.randrange(50, 600))
    idle = draw.randrange(1, 10) if is_fast else draw.randrange(1, 200)
    end = charged + (TICK * idle if draw.random() < 0.5 else 0)
    # The car takes at most 11 kW of alternating current, and never the full power all the time.
    watts = connector.get("max_electric_power", connector["max_voltage"] * connector["max_amperage"])
    kilowatts = Decimal(watts if is_fast else min(watts, 11_000)) / 1000
    share = Decimal(draw.randrange(45, 96)) / 100
    kwh = min(kilowatts * share * (charged - start) / HOUR, Decimal(92)).quantize(Decimal("0.001"))
    method = "COMMAND" if token["type"] == "APP_USER" else draw.choice(("WHITELIST", "AUTH_REQUEST"))
    reference = f"AUTH-{index + 1:06d}" if method != "WHITELIST" else None
    periods = _periods(start, charged, end, kwh, tariff, location["time_zone"])
    return Visit(
        index + 1, location, evse, connector, token, tariff, start, charged, end, kwh, periods, method, reference
    )


def _periods(start: int, charged: int, end: int, kwh: Decimal, tariff: Document, time_zone: str) -> list[Document]:
    """Cut the visit where its price changes, and where the car stops drawing power."""
    edges = [start, *_price_changes(start, charged, tariff, time_zone), charged]
    periods = []
    counted = Decimal(0)
    for begin, until in pairwise(edges):
        reached = (kwh * (until - start) / (charged - start)).quantize(Decimal("0.001"))
        dimensions = [
            {"type": "ENERGY", "volume": reached - counted},
            {"type": "TIME", "volume": hours(until - begin)},
            {"type": "MAX_POWER", "volume": rounded((reached - counted) * HOUR / (until - begin))},
        ]
        counted = reached
        periods.append({"start_date_time": stamp(begin), "dimensions": dimensions, "tariff_id": tariff["id"]})
    if end > charged:
        parked = [{"type": "PARKING_TIME", "volume": hours(end - charged)}]
        periods.append({"start_date_time": stamp(charged), "dimensions": parked, "tariff_id": tariff["id"]})
    return periods


def _price_changes(start: int, end: int, tariff: Document, time_zone: str) -> list[int]:
    """Return the instants between start and end at which a restriction's time of day is on the Location's clock."""
    restrictions = [element.get("restrictions", {}) for element in tariff["elements"]]
    clocks = {entry[name] for entry in restrictions for name in ("start_time", "end_time") if name in entry}
    if not clocks:
        return []
    zone = ZoneInfo(time_zone)
    first = datetime.fromtimestamp(start, zone).date()
    days = [first + timedelta(days=number) for number in range((end - start) // DAY + 2)]
    instants = {
        int(datetime.combine(day, datetime.strptime(clock, "%H:%M").time(), zone).timestamp())  # noqa: DTZ007
        for day in days
        for clock in clocks
    }
    return sorted(instant for instant in instants if start < instant < end)
