"""What a CDR will say of the start of its session: Location, EVSE, Connector, Tariff, Token as they were (CDR-18)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from cpo.models import TenantPolicy
from cpo.modules import locations_operations as locations
from cpo.modules import tariffs
from cpo.modules.authorization import Verdict
from cpo.modules.locations_operations import Place
from ocpi import documents, tariff_pricing
from ocpi.headers import Address
from ocpi.v2_2_1.types import format_datetime

FREE_TARIFF = "FREE"
PREFERENCES_CAPABLE = "CHARGING_PREFERENCES_CAPABLE"
_DEFAULT_TYPE = "default_profile_type"
_CDR_TOKEN = ("country_code", "party_id", "uid", "type", "contract_id")
_DEFAULT_CURRENCY = "EUR"
NOT_ASSIGNED = "#NA"  # evse_uid and connector_id of a reservation without an EVSE (SES-22)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a CDR says of the start of its session (CDR-18, CDR-19)."""

    location: dict[str, Any]
    evse: dict[str, Any]
    connector: dict[str, Any]
    token: dict[str, Any]
    tariff: dict[str, Any]
    tariff_text: str
    time_zone: str
    auth_method: str
    authorization_reference: str
    parks_by_power: bool = False  # its tenant has chosen so, for charge points that tell no suspended state
    assigned: bool = True  # False: reserved is any EVSE of the charge point, `evse` is only the one that sets the price

    @property
    def evse_uid(self) -> str:
        return str(self.evse["uid"]) if self.assigned else NOT_ASSIGNED

    @property
    def connector_id(self) -> str:
        return str(self.connector["id"]) if self.assigned else NOT_ASSIGNED

    @property
    def lacks_tariff(self) -> bool:
        """Say whether none of its Connector's tariffs was valid."""
        return self.tariff["id"] == FREE_TARIFF and bool(self.connector.get("tariff_ids"))

    @property
    def currency(self) -> str:
        return str(self.tariff["currency"])

    @property
    def owner(self) -> Address:
        return Address(self.location["country_code"], self.location["party_id"])

    @property
    def emsp(self) -> Address:
        return Address(self.token["country_code"], self.token["party_id"])

    @property
    def cdr_token(self) -> dict[str, Any]:
        return {name: self.token[name] for name in _CDR_TOKEN}

    @property
    def rated_power(self) -> Decimal | None:
        """Return the W the connector delivers at most."""
        power = self.connector.get("max_electric_power")
        if power:
            return Decimal(power)
        phases = 3 if self.connector.get("power_type") == "AC_3_PHASE" else 1
        watts = Decimal(self.connector.get("max_voltage", 0)) * Decimal(self.connector.get("max_amperage", 0)) * phases
        return watts or None


@dataclass(frozen=True, slots=True)
class Tariffs:
    """The Tariffs of a session, that of its start first, and from when on the others apply."""

    documents: list[dict[str, Any]]
    texts: dict[str, str]  # by id
    changes: list[tuple[datetime, str]]

    @property
    def current(self) -> str:
        return self.changes[-1][1] if self.changes else str(self.documents[0]["id"])


def tariffs_of(seen: Snapshot, changes: Sequence[Sequence[str]]) -> Tariffs:
    """Return the Tariffs of a session whose Tariff has changed like this; one id is one document (CDR-19)."""
    start = str(seen.tariff["id"])
    found, texts, moments = {start: seen.tariff}, {start: seen.tariff_text}, []
    for at, text in changes:
        tariff = tariff_pricing.loads(text)
        tariff_id = str(tariff["id"])
        found.setdefault(tariff_id, tariff)
        texts.setdefault(tariff_id, text)
        moments.append((datetime.fromisoformat(at), tariff_id))
    return Tariffs(list(found.values()), texts, moments)


def text_of(place: Place, verdict: Verdict, at: datetime, *, assigned: bool = True) -> tuple[str, list[str]]:
    """Return the snapshot of a session that starts now, and what is odd about it."""
    tariff_ids = [str(each) for each in place.connector.get("tariff_ids") or ()]
    preference = default_profile_type(locations.capabilities(place.evse), documents.get(verdict.token, _DEFAULT_TYPE))
    chosen = tariffs.chosen(place.owner, tariff_ids, at=at, preference=preference) if tariff_ids else None
    flags = ["no_valid_tariff"] if tariff_ids and chosen is None else []
    tariff = chosen or _free_tariff(place.owner, at)
    connector = locations.connector_text(place.evse.document, str(place.connector["id"]))
    text = documents.text(
        {
            "location": documents.raw(place.location.document),
            "evse": documents.raw(documents.without(place.evse.document, "connectors")),
            "connector": documents.raw(connector or "{}"),
            "tariff": documents.raw(tariff_pricing.dumps(tariff)),
            "token": documents.raw(verdict.token),
            "time_zone": place.location.time_zone,
            "auth_method": verdict.auth_method,
            "authorization_reference": verdict.authorization_reference,
            "assigned": assigned,
            "parks_by_power": _parks_by_power(place.owner),
        }
    )
    return text, flags


def with_token(text: str, verdict: Verdict) -> str:
    """Return a snapshot with the Token, auth_method and authorization_reference of another decision (CDR-30, SES-24).

    Who gives no new reference leaves the former one: it is the last that was given.
    """
    given: dict[str, Any] = {"token": documents.raw(verdict.token), "auth_method": verdict.auth_method}
    if verdict.authorization_reference:
        given["authorization_reference"] = verdict.authorization_reference
    return documents.set_members(text, given)


def default_profile_type(capabilities: Collection[str], of_token: object) -> str | None:
    """Return the ProfileType that a session starts with: the Token's, where preferences have a meaning (TOK-41)."""
    return str(of_token) if of_token and PREFERENCES_CAPABLE in capabilities else None


def read(text: str) -> Snapshot:
    """Return a stored snapshot."""
    found = tariff_pricing.loads(text)
    tariff_text = bytes(documents.members(text)["tariff"]).decode()
    return Snapshot(tariff_text=tariff_text, **found)


def _parks_by_power(owner: Address) -> bool:
    chosen = TenantPolicy.objects.filter(
        country_code__iexact=owner.country_code, party_id__iexact=owner.party_id, parks_by_power=True
    )
    return chosen.exists()


def _free_tariff(owner: Address, at: datetime) -> dict[str, Any]:
    """Return the Free of Charge tariff of a Connector without any (PRI-101)."""
    return {
        "country_code": owner.country_code,
        "party_id": owner.party_id,
        "id": FREE_TARIFF,
        "currency": _DEFAULT_CURRENCY,
        "elements": [{"price_components": [{"type": "FLAT", "price": Decimal("0.00"), "step_size": 0}]}],
        "last_updated": format_datetime(at.replace(microsecond=0)),
    }
