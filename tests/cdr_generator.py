"""Good CDRs with everything around them, made at random from a seed: Tariff, Location, Token, Session, authorization.

The course of a session is made first; our own engine cuts its periods and prices it, as a careful CPO would.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from ocpi import tariff_pricing
from ocpi.cdr_firewall import Agreement, Authorized, Facts, Neighbour
from ocpi.tariff_pricing import Segment

ZONES = ("Europe/Amsterdam", "Europe/Berlin", "Europe/London")
CONNECTORS = (
    ("IEC_62196_T2", "SOCKET", "AC_3_PHASE", 230, 16),
    ("IEC_62196_T2", "SOCKET", "AC_3_PHASE", 230, 32),
    ("IEC_62196_T2_COMBO", "CABLE", "DC", 400, 125),
    ("IEC_62196_T2_COMBO", "CABLE", "DC", 920, 380),
)


@dataclass(frozen=True, slots=True)
class Made:
    """A CDR and what is known around it."""

    cdr: dict[str, Any]
    facts: Facts

    def known(self, **changes: Any) -> Made:
        """Return it with something else known around it."""
        return replace(self, facts=replace(self.facts, **changes))

    def said(self, **changes: Any) -> Made:
        """Return it saying something else."""
        return replace(self, cdr=self.cdr | changes)


class Maker:
    """Makes CDRs; the same seed makes the same ones."""

    def __init__(self, seed: int, *, tariffs: int = 0) -> None:
        """Make CDRs from so many Tariffs; 0: each has its own."""
        self._draw = random.Random(seed)
        self._number = 0
        self._tariffs = [self._tariff(f"T-{number}") for number in range(tariffs)]

    def make(self) -> Made:
        draw = self._draw
        self._number += 1
        zone = draw.choice(ZONES)
        standard, form, power_type, volts, amperes = draw.choice(CONNECTORS)
        rated = Decimal(volts * amperes * (3 if power_type == "AC_3_PHASE" else 1)) / 1000
        start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=draw.randrange(300 * 86400))
        segments = self._segments(start, rated)
        end = segments[-1].end
        tariff = draw.choice(self._tariffs) if self._tariffs else self._tariff(f"T-{self._number:06d}")
        periods = tariff_pricing.split(segments, [tariff], timezone=zone)
        base = {
            "country_code": "NL",
            "party_id": "TNM",
            "id": f"CDR-{self._number:06d}",
            "start_date_time": _text(start),
            "end_date_time": _text(end),
            "session_id": f"SES-{self._number:06d}",
            "cdr_token": self._token(),
            "auth_method": draw.choice(["AUTH_REQUEST", "COMMAND", "WHITELIST"]),
            "authorization_reference": f"AUTH-{self._number:06d}",
            "cdr_location": self._place(standard, form, power_type),
            "currency": "EUR",
            "tariffs": [tariff],
            "charging_periods": list(periods),
        }
        totals = tariff_pricing.totals(tariff_pricing.price(base, [tariff], timezone=zone))
        cdr = tariff_pricing.loads(tariff_pricing.dumps(base | totals | {"last_updated": _text(end)}))
        return Made(cdr, self._facts(cdr, tariff, zone, (volts, amperes), end))

    def _segments(self, start: datetime, rated: Decimal) -> list[Segment]:
        draw, found, at = self._draw, list[Segment](), start
        for _ in range(draw.randrange(1, 6)):
            seconds = draw.randrange(120, 7200)
            energy = rated * Decimal(draw.randrange(5, 100)) / 100 * seconds / 3600
            until = at + timedelta(seconds=seconds)
            found.append(Segment(at, until, "CHARGING", round(energy, 4)))
            at = until
        if draw.random() < 0.5:
            found.append(Segment(at, at + timedelta(seconds=draw.randrange(60, 20000)), "PARKING", Decimal(0)))
        return found

    def _tariff(self, name: str) -> dict[str, Any]:
        draw = self._draw
        vat = draw.choice([Decimal(19), Decimal(21), Decimal(0)])

        def component(kind: str, most: int, steps: tuple[int, ...]) -> dict[str, Any]:
            price = Decimal(draw.randrange(1, most)) / 100
            return {"type": kind, "price": price, "vat": vat, "step_size": draw.choice(steps)}

        components = [component("ENERGY", 90, (1, 1, 100, 1000))]
        if draw.random() < 0.5:
            components.append(component("TIME", 400, (1, 60, 300)))
        if draw.random() < 0.5:
            components.append(component("PARKING_TIME", 900, (1, 60, 300)))
        if draw.random() < 0.3:
            components.append(component("FLAT", 200, (1,)))
        elements: list[dict[str, Any]] = [{"price_components": components}]
        if draw.random() < 0.4:
            night = [component("ENERGY", 60, (1,))]
            elements.insert(
                0, {"price_components": night, "restrictions": {"start_time": "22:00", "end_time": "06:00"}}
            )
        if draw.random() < 0.3:
            first = [component("ENERGY", 40, (1,))]
            elements.insert(0, {"price_components": first, "restrictions": {"max_kwh": Decimal(draw.randrange(1, 20))}})
        tariff: dict[str, Any] = {
            "country_code": "NL",
            "party_id": "TNM",
            "id": name,
            "currency": "EUR",
            "elements": elements,
            "last_updated": "2025-12-01T00:00:00Z",
        }
        if draw.random() < 0.3:
            tariff["min_price"] = {"excl_vat": Decimal(1), "incl_vat": Decimal("1.21")}
        if draw.random() < 0.3:
            tariff["max_price"] = {"excl_vat": Decimal(20), "incl_vat": Decimal("24.2")}
        if draw.random() < 0.3:
            tariff |= {"start_date_time": "2025-12-01T00:00:00Z", "end_date_time": "2027-01-01T00:00:00Z"}
        return tariff

    def _token(self) -> dict[str, Any]:
        number = self._draw.randrange(16**10)
        return {
            "country_code": "DE",
            "party_id": "EMS",
            "uid": f"04{number:010X}80",
            "type": self._draw.choice(["RFID", "APP_USER"]),
            "contract_id": f"DE-EMS-C{number % 10**8:08d}-A",
        }

    def _place(self, standard: str, form: str, power_type: str) -> dict[str, Any]:
        return {
            "id": f"LOC-{self._number:06d}",
            "address": "Catharijnekade 15",
            "city": "Utrecht",
            "country": "NLD",
            "coordinates": {"latitude": "52.089123", "longitude": "5.110234"},
            "evse_uid": f"EVSE-{self._number:06d}",
            "evse_id": f"NL*TNM*E{self._number:06d}",
            "connector_id": "1",
            "connector_standard": standard,
            "connector_format": form,
            "connector_power_type": power_type,
        }

    def _facts(
        self, cdr: dict[str, Any], tariff: dict[str, Any], zone: str, rating: tuple[int, int], end: datetime
    ) -> Facts:
        place, token = cdr["cdr_location"], cdr["cdr_token"]
        connector = {
            "id": "1",
            "standard": place["connector_standard"],
            "power_type": place["connector_power_type"],
            "max_voltage": Decimal(rating[0]),
            "max_amperage": Decimal(rating[1]),
        }
        evse = {"uid": place["evse_uid"], "evse_id": place["evse_id"], "connectors": [connector]}
        session = {
            "status": "COMPLETED",
            "kwh": cdr["total_energy"],
            "location_id": place["id"],
            "evse_uid": place["evse_uid"],
            "cdr_token": token,
            "currency": "EUR",
        }
        return Facts(
            received_at=end + timedelta(minutes=1),
            tariffs=[tariff],
            time_zone=zone,
            session=session,
            sessions_known=True,
            token=token | {"valid": True, "last_updated": "2025-12-01T00:00:00Z"},
            tokens_known=True,
            location={"id": place["id"], "evses": [evse]},
            locations_known=True,
            authorization=Authorized(token["uid"], end),
            authorizations_known=True,
            agreement=Agreement(exists=True, currency="EUR"),
        )


def neighbour_of(made: Made, **changes: Any) -> Neighbour:
    """Return another CDR that has everything in common with this one but its id, its session and what is said."""
    cdr = made.cdr
    values: dict[str, Any] = {
        "id": "OTHER",
        "session_id": "OTHER",
        "token_uid": "OTHER",
        "token_type": cdr["cdr_token"]["type"],
        "evse": "OTHER",
        "location_id": cdr["cdr_location"]["id"],
        "connector_id": cdr["cdr_location"]["connector_id"],
        "start": datetime.fromisoformat(cdr["start_date_time"]),
        "end": datetime.fromisoformat(cdr["end_date_time"]),
        "energy": Decimal(cdr["total_energy"]) + 1,
    }
    return Neighbour(**values | changes)


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
