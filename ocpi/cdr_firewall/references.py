"""Whether what a CDR refers to is there and says the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from ocpi import normal_ids
from ocpi.cdr_firewall.facts import Facts
from ocpi.cdr_firewall.findings import Finding, finding
from ocpi.cdr_firewall.reading import moment, number, part, parts, same

_NOT_AVAILABLE = "#NA"
_HOUR = Decimal(3600)
_LEAST_SECONDS = Decimal(60)


def session(cdr: dict[str, Any], facts: Facts) -> Iterator[Finding]:
    if not facts.sessions_known or cdr.get("credit"):
        return
    if facts.session is None:
        yield finding("session_unknown", "session_id", cdr.get("session_id"))
        return
    place, driver = cdr.get("cdr_location"), cdr.get("cdr_token")
    pairs = (
        ("cdr_location.id", part(place, "id"), facts.session.get("location_id")),
        ("cdr_location.evse_uid", part(place, "evse_uid"), facts.session.get("evse_uid")),
        ("cdr_token.uid", part(driver, "uid"), part(facts.session.get("cdr_token"), "uid")),
        ("currency", cdr.get("currency"), facts.session.get("currency")),
    )
    for name, claimed, known in pairs:
        if known is not None and _NOT_AVAILABLE not in (claimed, known) and not same(claimed, known):
            yield finding("session_differs", name, claimed, known)
    if facts.session.get("status") != "COMPLETED":
        return  # its figures are not the last ones
    energy, metered = number(cdr.get("total_energy")), number(facts.session.get("kwh"))
    if energy is not None and metered is not None and abs(energy - metered) > facts.limits.energy_kwh:
        yield finding("session_differs", "total_energy", energy, metered)


def driver(cdr: dict[str, Any], facts: Facts) -> Iterator[Finding]:
    """Yield what is wrong with the Token and the authorization."""
    named = cdr.get("cdr_token")
    if facts.tokens_known:
        if facts.token is None:
            yield finding("token_unknown", "cdr_token.uid", part(named, "uid"))
        else:
            if facts.token.get("valid") is False and not _changed_since(facts.token, cdr):
                yield finding("token_not_valid", "cdr_token.uid", part(named, "uid"), "valid: false")
            claimed, known = part(named, "contract_id"), facts.token.get("contract_id")
            if not normal_ids.same_contract_id(str(claimed), str(known)):
                yield finding("contract_differs", "cdr_token.contract_id", claimed, known)
    reference = cdr.get("authorization_reference")
    if not facts.authorizations_known or cdr.get("auth_method") != "AUTH_REQUEST" or not reference:
        return
    if facts.authorization is None:
        yield finding("authorization_unknown", "authorization_reference", reference)
    elif not same(facts.authorization.token_uid, part(named, "uid")):
        yield finding("authorization_differs", "cdr_token.uid", part(named, "uid"), facts.authorization.token_uid)


def _changed_since(token: Mapping[str, Any], cdr: dict[str, Any]) -> bool:
    """Whether the Token was last changed after the session began: it may have been valid then."""
    changed, start = moment(token.get("last_updated")), moment(cdr.get("start_date_time"))
    return changed is not None and start is not None and changed > start


def place(cdr: dict[str, Any], facts: Facts) -> Iterator[Finding]:
    """Yield what is wrong with the Location, and with how much was charged there."""
    named = cdr.get("cdr_location")
    if not facts.locations_known or named is None:
        return
    if facts.location is None:
        yield finding("location_unknown", "cdr_location.id", part(named, "id"))
        return
    if _NOT_AVAILABLE in (part(named, "evse_uid"), part(named, "connector_id")):
        return  # a reservation that never became a session
    evse = _named(facts.location.get("evses"), "uid", part(named, "evse_uid"))
    if evse is None:
        yield finding("location_unknown", "cdr_location.evse_uid", part(named, "evse_uid"))
        return
    claimed, known = part(named, "evse_id"), evse.get("evse_id")
    if known and claimed != _NOT_AVAILABLE and not normal_ids.same_evse_id(str(known), str(claimed)):
        yield finding("location_differs", "cdr_location.evse_id", claimed, known)
    connector = _named(evse.get("connectors"), "id", part(named, "connector_id"))
    if connector is None:
        yield finding("location_unknown", "cdr_location.connector_id", part(named, "connector_id"))
        return
    for name, member in (("connector_standard", "standard"), ("connector_power_type", "power_type")):
        if not same(part(named, name), connector.get(member)):
            yield finding("location_differs", f"cdr_location.{name}", part(named, name), connector.get(member))
    yield from _energy(cdr, facts, connector)


def _energy(cdr: dict[str, Any], facts: Facts, connector: Mapping[str, Any]) -> Iterator[Finding]:
    energy, power = number(cdr.get("total_energy")), rated_power(connector)
    start, end = moment(cdr.get("start_date_time")), moment(cdr.get("end_date_time"))
    if energy is None or power is None or start is None or end is None or end < start:
        return
    seconds = max(Decimal((end - start).total_seconds()), _LEAST_SECONDS)  # times are in whole seconds, or minutes
    possible = power * seconds / _HOUR * facts.limits.power_share
    if energy > possible:
        yield finding("energy_above_connector", "total_energy", energy, f"{possible:.3f}")


def rated_power(connector: Mapping[str, Any]) -> Decimal | None:
    """Return what a Connector can give, in kW; None if it does not say (Locations, class Connector)."""
    stated = number(connector.get("max_electric_power"))
    if stated is not None and stated > 0:
        return stated / 1000
    volts, amperes = number(connector.get("max_voltage")), number(connector.get("max_amperage"))
    if volts is None or amperes is None or volts <= 0 or amperes <= 0:
        return None
    # max_voltage is line to neutral for three phases.
    phases = {"AC_3_PHASE": 3, "AC_2_PHASE": 2, "AC_2_PHASE_SPLIT": 2}.get(str(connector.get("power_type")), 1)
    return volts * amperes * phases / 1000


def _named(members: object, name: str, wanted: object) -> Mapping[str, Any] | None:
    return next((each for each in parts(members) if same(each.get(name), wanted)), None)


def agreement(cdr: dict[str, Any], facts: Facts) -> Iterator[Finding]:
    if facts.agreement is not None and not facts.agreement.exists:
        yield finding("outside_agreement", "start_date_time", cdr.get("start_date_time"))
