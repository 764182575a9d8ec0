"""Locations of one CPO: places with streets and hours, EVSEs below them, every time stamp at most its parent's."""

import random
from collections.abc import Iterator, Sequence

from ocpi.sample_data import places
from ocpi.sample_data.draw import BASE, DAY, Document, stamp, stream
from ocpi.sample_data.evses import Site, evse
from ocpi.sample_data.parties import business_details
from ocpi.sample_data.tariffs import TARIFF_IDS

# Parking type, the word for it in Country.words, facilities near by.
_SITES = (
    ("PARKING_GARAGE", 0, ("MALL", "RESTAURANT", "WIFI")),
    ("UNDERGROUND_GARAGE", 0, ("HOTEL", "RESTAURANT")),
    ("PARKING_LOT", 1, ("SUPERMARKET", "PARKING_LOT", "BUS_STOP")),
    ("PARKING_LOT", 1, ("TRAIN_STATION", "CARPOOL_PARKING", "BIKE_SHARING")),
    ("ON_STREET", 2, ("TRAM_STOP", "CAFE")),
    ("ON_STREET", 2, ()),
    ("ALONG_MOTORWAY", 3, ("FUEL_STATION", "RESTAURANT", "WIFI")),
)
_HOURS = (
    tuple((weekday, "07:00", "22:00") for weekday in range(1, 8)),
    (*((weekday, "08:00", "20:00") for weekday in range(1, 7)), (7, "12:00", "18:00")),
    (*((weekday, "06:30", "19:30") for weekday in range(1, 6)), (6, "09:00", "17:00")),
    # Open over midnight on Friday and Saturday: two periods, since a period cannot wrap.
    (
        *((weekday, "10:00", "23:59") for weekday in range(4, 7)),
        (6, "00:00", "02:00"),
        (7, "00:00", "02:00"),
        (7, "12:00", "20:00"),
    ),
)


def locations(
    count: int,
    *,
    seed: int = 1,
    country_code: str = "NL",
    party_id: str = "TNM",
    evses: int = 2,
    connectors: int = 1,
    tariff_ids: Sequence[str] = TARIFF_IDS,
    start: int = 0,
    status: str | None = None,
) -> Iterator[Document]:
    """Yield Locations number `start` and up; `status` gives all EVSEs the same one."""
    home = places.home(country_code)
    operator = business_details(party_id)
    fast = tuple(name for name in tariff_ids if name.upper().startswith("DC")) or tuple(tariff_ids)
    slow = tuple(name for name in tariff_ids if not name.upper().startswith("DC")) or tuple(tariff_ids)
    for index in range(start, start + count):
        draw = stream(f"location:{country_code}:{party_id}", seed, index)
        # Two in three stand in the operator's own country; roaming knows borders only in the ids.
        place = draw.choice(home if draw.random() < 0.67 else places.PLACES)
        parking_type, word, facilities = draw.choice(_SITES)
        updated = BASE - draw.randrange(120 * DAY)
        point = place.point(draw)
        site = Site(country_code, party_id, index + 1, place, point, parking_type, updated, fast, slow, status)
        location = _header(draw, site, place.country.words[word])
        if evses:
            location["evses"] = [evse(draw, site, number, connectors) for number in range(1, evses + 1)]
        location["operator"] = operator
        if facilities:
            location["facilities"] = list(facilities)
        location["time_zone"] = place.country.time_zone
        _add_extras(location, draw, site)
        location["last_updated"] = stamp(updated)
        yield location


def _header(draw: random.Random, site: Site, word: str) -> Document:
    place = site.place
    street, address = place.address(draw)
    location: Document = {
        "country_code": site.country_code,
        "party_id": site.party_id,
        "id": f"LOC-{site.number:06d}",
        "publish": site.number % 40 != 0,
    }
    if not location["publish"]:
        location["publish_allowed_to"] = [
            {"group_id": f"{site.party_id}-STAFF"},
            {"visual_number": f"{site.party_id} 0000 {site.number % 10000:04d}", "issuer": site.party_id},
        ]
    location |= {
        "name": f"{word} {street}",
        "address": address,
        "city": place.city,
        "postal_code": place.code(draw),
    }
    if place.state:
        location["state"] = place.state
    location["country"] = place.country.alpha3
    location["coordinates"] = site.point
    location["parking_type"] = site.parking_type
    return location


def _add_extras(location: Document, draw: random.Random, site: Site) -> None:
    chance = draw.random()
    if chance < 0.3:
        location["related_locations"] = [
            places.near(float(site.point["latitude"]), float(site.point["longitude"]), draw, 0.002)
            | {"name": {"language": site.place.country.language, "text": location["name"]}}
        ]
        location["directions"] = [{"language": "en", "text": "Follow the green signs from the main entrance."}]
    if chance > 0.8:
        location["owner"] = {"name": f"{location['city']} Parking"}
    if site.parking_type == "ALONG_MOTORWAY" or draw.random() < 0.5:
        location["opening_times"] = {"twentyfourseven": True}
    else:
        location["opening_times"] = _opening_times(draw)
        location["charging_when_closed"] = site.parking_type not in ("PARKING_GARAGE", "UNDERGROUND_GARAGE")
    if chance < 0.25:
        location["images"] = [_image(site, "LOCATION"), _image(site, "ENTRANCE")]
    if 0.2 < chance < 0.6:
        location["energy_mix"] = _energy_mix(draw)


def _opening_times(draw: random.Random) -> Document:
    hours: Document = {
        "twentyfourseven": False,
        "regular_hours": [
            {"weekday": weekday, "period_begin": begin, "period_end": end}
            for weekday, begin, end in draw.choice(_HOURS)
        ],
    }
    if draw.random() < 0.3:
        closed = BASE + draw.randrange(1, 90) * DAY
        hours["exceptional_closings"] = [{"period_begin": stamp(closed), "period_end": stamp(closed + DAY)}]
    elif draw.random() < 0.2:
        opened = BASE + draw.randrange(1, 90) * DAY
        hours["exceptional_openings"] = [{"period_begin": stamp(opened), "period_end": stamp(opened + 6 * 3600)}]
    return hours


def _image(site: Site, category: str) -> Document:
    url = f"https://{site.party_id.lower()}.example/img/{site.number:06d}-{category.lower()}"
    return {
        "url": f"{url}.jpeg",
        "thumbnail": f"{url}_small.jpeg",
        "category": category,
        "type": "jpeg",
        "width": 1600,
        "height": 1200,
    }


def _energy_mix(draw: random.Random) -> Document:
    wind = draw.randrange(20, 60)
    sun = draw.randrange(10, 100 - wind)
    green = draw.random() < 0.7
    mix: Document = {
        "is_green_energy": green,
        "energy_sources": [
            {"source": "WIND", "percentage": wind},
            {"source": "SOLAR", "percentage": sun},
            {"source": "WATER" if green else "GAS", "percentage": 100 - wind - sun},
        ],
        "supplier_name": "Waterland Energie",
        "energy_product_name": "Groen uit eigen streek" if green else "Basis",
    }
    if not green:
        mix["environ_impact"] = [{"category": "CARBON_DIOXIDE", "amount": draw.randrange(80, 350)}]
    return mix
