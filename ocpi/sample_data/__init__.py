"""Seeded, spec-valid OCPI 2.2.1 objects: the demo, the tests and the benchmarks all draw from here.

Everything is pure: an object depends on its arguments, the seed and its index only, so the thousandth Location is the
same whether one or a million are drawn. Nothing is null, no list is empty, numbers are `int` or `Decimal`.
"""

from ocpi.sample_data.cdrs import Price, cdrs
from ocpi.sample_data.draw import Document, dumps
from ocpi.sample_data.ema_id import contract_id
from ocpi.sample_data.locations import locations
from ocpi.sample_data.parties import business_details, client_info, credentials_roles
from ocpi.sample_data.sessions import sessions
from ocpi.sample_data.tariffs import TARIFF_IDS, tariffs
from ocpi.sample_data.tokens import tokens

__all__ = [
    "TARIFF_IDS",
    "Document",
    "Price",
    "business_details",
    "cdrs",
    "client_info",
    "contract_id",
    "credentials_roles",
    "dumps",
    "locations",
    "sessions",
    "tariffs",
    "tokens",
]
