"""CDRs whose totals are right: every one can be priced again from its own periods and Tariff."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ocpi.sample_data.draw import Document, stamp
from ocpi.sample_data.totals import totals
from ocpi.sample_data.visits import Party, Visit, visits

# (document, tariffs, IANA zone) -> the total fields; the real engine can stand in for our own arithmetic.
Price = Callable[[Document, Sequence[Document], str], Mapping[str, Any]]


def cdrs(
    count: int,
    *,
    seed: int = 1,
    cpo: Party = ("NL", "TNM"),
    emsp: Party = ("DE", "EMS"),
    tariffs: Sequence[Document] | None = None,
    at: Sequence[Document] | None = None,
    by: Sequence[Document] | None = None,
    price: Price = totals,
    start: int = 0,
) -> Iterator[Document]:
    """Yield CDRs of visits at the Locations `at` with the Tokens `by` (sample ones if not given).

    :raises ValueError: if the Tariffs are richer than ours and no `price` is given.
    """
    told = visits(count, seed=seed, cpo=cpo, emsp=emsp, tariffs=tariffs, at=at, by=by, start=start)
    return (_cdr(visit, cpo, price) for visit in told)


def _cdr(visit: Visit, cpo: Party, price: Price) -> Document:
    cdr: Document = {
        "country_code": cpo[0],
        "party_id": cpo[1],
        "id": f"CDR-{visit.number:06d}",
        "start_date_time": stamp(visit.start),
        "end_date_time": stamp(visit.end),
        "session_id": f"SES-{visit.number:06d}",
        "cdr_token": visit.cdr_token,
        "auth_method": visit.auth_method,
    }
    if visit.authorization_reference:
        cdr["authorization_reference"] = visit.authorization_reference
    cdr |= {
        "cdr_location": _cdr_location(visit),
        "meter_id": visit.meter_id,
        "currency": visit.tariff["currency"],
        "tariffs": [visit.tariff],
        "charging_periods": visit.periods,
    }
    computed = price(cdr, [visit.tariff], visit.location["time_zone"])
    cdr |= {name: value for name, value in computed.items() if name.startswith("total_") and value is not None}
    if visit.number % 5 == 0:
        cdr["invoice_reference_id"] = f"INV-{visit.number // 100:05d}"
    return cdr | {"last_updated": stamp(visit.end + 120)}


def _cdr_location(visit: Visit) -> Document:
    location, evse, connector = visit.location, visit.evse, visit.connector
    names = ("id", "name", "address", "city", "postal_code", "state", "country", "coordinates")
    return {name: location[name] for name in names if name in location} | {
        "evse_uid": evse["uid"],
        "evse_id": evse.get("evse_id", "#NA"),
        "connector_id": connector["id"],
        "connector_standard": connector["standard"],
        "connector_format": connector["format"],
        "connector_power_type": connector["power_type"],
    }
