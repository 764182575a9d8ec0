"""Tokens of one eMSP: cards with short and long uids, apps beside them, contract ids with a true check digit."""

from collections.abc import Iterator
from uuid import UUID

from ocpi.sample_data.draw import BASE, DAY, Document, stamp, stream
from ocpi.sample_data.ema_id import contract_id
from ocpi.sample_data.parties import business_details
from ocpi.sample_data.places import COUNTRIES

_WHITELIST = ("ALWAYS", "ALLOWED", "ALLOWED", "ALLOWED", "ALLOWED_OFFLINE", "NEVER", "ALWAYS", "ALLOWED_OFFLINE")
# Odd, so that counting up by it visits every uid once before the first comes again.
_STRIDE, _LONG_STRIDE, _SEED_STRIDE = 0x9E3779B1, 0x9E3779B97F4B, 0x5851F42D4C95


def tokens(
    count: int, *, seed: int = 1, country_code: str = "DE", party_id: str = "EMS", start: int = 0
) -> Iterator[Document]:
    """Yield Tokens; every fourth is the app of the driver whose card came just before it."""
    issuer = business_details(party_id)["name"]
    country = COUNTRIES.get(country_code.upper())
    for index in range(start, start + count):
        draw = stream(f"token:{country_code}:{party_id}", seed, index)
        is_app = index % 4 == 3
        driver = index - 1 if is_app else index
        number = f"C{driver % 10**8:08d}"
        token: Document = {
            "country_code": country_code,
            "party_id": party_id,
            "uid": str(UUID(int=draw.getrandbits(128), version=4)) if is_app else _uid(index, seed),
            "type": "APP_USER" if is_app else "RFID",
            "contract_id": contract_id(country_code, party_id, number),
        }
        if not is_app:
            token["visual_number"] = f"{party_id} {driver // 10000 % 10000:04d} {driver % 10000:04d}"
        token["issuer"] = issuer
        if index % 4 >= 2:
            token["group_id"] = f"{party_id}-G{driver % 10**8:08d}"
        token["valid"] = draw.random() >= 0.03
        token["whitelist"] = "NEVER" if is_app else draw.choice(_WHITELIST)
        token["language"] = country.language if country else "en"
        if draw.random() < 0.2:
            token["default_profile_type"] = draw.choice(("CHEAP", "FAST", "GREEN", "REGULAR"))
        if draw.random() < 0.1:
            token["energy_contract"] = {"supplier_name": "Waterland Energie", "contract_id": f"WE-{driver:09d}"}
        token["last_updated"] = stamp(BASE - draw.randrange(200 * DAY))
        yield token


def _uid(index: int, seed: int) -> str:
    """Return the uid of a card: four bytes, or seven with the maker's 04 in front, never the same twice."""
    if index % 3:
        return f"04{(index * _LONG_STRIDE + seed * _SEED_STRIDE) % 2**48:012X}"
    return f"{(index * _STRIDE + seed * _SEED_STRIDE) % 2**32:08X}"
