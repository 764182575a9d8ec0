"""Sessions in all states of their life; number n is the same visit as CDR number n of the same seed."""

from collections.abc import Iterator, Sequence

from ocpi.sample_data.draw import Document, stamp
from ocpi.sample_data.totals import totals
from ocpi.sample_data.visits import Party, Visit, visits

STATUSES = ("COMPLETED", "ACTIVE", "COMPLETED", "COMPLETED", "PENDING", "COMPLETED", "ACTIVE", "INVALID")


def sessions(
    count: int,
    *,
    seed: int = 1,
    cpo: Party = ("NL", "TNM"),
    emsp: Party = ("DE", "EMS"),
    tariffs: Sequence[Document] | None = None,
    at: Sequence[Document] | None = None,
    by: Sequence[Document] | None = None,
    statuses: Sequence[str] = STATUSES,
    start: int = 0,
) -> Iterator[Document]:
    """Yield Sessions whose states go round through `statuses`."""
    told = visits(count, seed=seed, cpo=cpo, emsp=emsp, tariffs=tariffs, at=at, by=by, start=start)
    return (_session(visit, cpo, statuses[(visit.number - 1) % len(statuses)]) for visit in told)


def _session(visit: Visit, cpo: Party, status: str) -> Document:
    is_over = status == "COMPLETED"
    session: Document = {
        "country_code": cpo[0],
        "party_id": cpo[1],
        "id": f"SES-{visit.number:06d}",
        "start_date_time": stamp(visit.start),
    }
    if is_over:
        session["end_date_time"] = stamp(visit.end)
    session |= {"kwh": 0, "cdr_token": visit.cdr_token, "auth_method": visit.auth_method}
    if visit.authorization_reference:
        session["authorization_reference"] = visit.authorization_reference
    session |= {
        "location_id": visit.location["id"],
        "evse_uid": visit.evse["uid"],
        "connector_id": visit.connector["id"],
        "meter_id": visit.meter_id,
        "currency": visit.tariff["currency"],
    }
    moment = visit.start
    if is_over:
        session |= {"kwh": visit.kwh, "charging_periods": visit.periods}
        moment = visit.end
    elif status == "ACTIVE":
        # A running session has told its first period so far, with the momentary values only Sessions may hold.
        energy, time, power = visit.periods[0]["dimensions"]
        state = {"type": "STATE_OF_CHARGE", "volume": 40 + visit.number % 50}
        first = visit.periods[0] | {"dimensions": [energy, time, {"type": "POWER", "volume": power["volume"]}, state]}
        session |= {"kwh": energy["volume"], "charging_periods": [first]}
        moment += int(time["volume"] * 3600)
    if is_over and _is_plain(visit.tariff):
        session["total_cost"] = totals(session, [visit.tariff], visit.location["time_zone"])["total_cost"]
    return session | {"status": status, "last_updated": stamp(moment)}


def _is_plain(tariff: Document) -> bool:
    return all(set(element.get("restrictions", ())) <= {"start_time", "end_time"} for element in tariff["elements"])
