"""The CDR firewall: every kind of bad CDR is found for its reason, and nothing at all in good ones."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ocpi import cdr_firewall, signed_meter, tariff_pricing
from ocpi.cdr_firewall import KINDS, Agreement, Authorized, Severity, Verdict, inspect
from ocpi.cdr_firewall.references import rated_power
from tests.cdr_generator import Made, Maker, neighbour_of
from tests.unit.test_signed_meter import Meter, payload

GOOD = 10_000
Spoil = Callable[[Made], Made]


def cost(made: Made, name: str, change: str) -> dict[str, Any]:
    return {name: made.cdr[name] | {"excl_vat": made.cdr[name]["excl_vat"] + Decimal(change)}}


def shifted(made: Made, name: str, **by: float) -> dict[str, Any]:
    at = datetime.fromisoformat(made.cdr[name]) + timedelta(**by)
    return {name: f"{at:%Y-%m-%dT%H:%M:%SZ}"}


def part(made: Made, member: str, **changes: Any) -> Made:
    return made.said(**{member: made.cdr[member] | changes})


def credit_of(made: Made, **changes: Any) -> Made:
    credit = tariff_pricing.credit(made.cdr, last_updated=made.cdr["last_updated"]) | changes
    return replace(made, cdr=credit).known(original=made.cdr)


def signed(made: Made, *, kwh: str | None = None, hours: float = 0, other_key: bool = False, **more: Any) -> Made:
    meter, energy = Meter(), Decimal(kwh or str(made.cdr["total_energy"]))
    times = [datetime.fromisoformat(made.cdr[name]) + timedelta(hours=hours) for name in TIMES]
    reading = {"RI": "1-b:1.8.0", "RU": "kWh", "ST": "G"}
    readings = [
        {**reading, "TM": f"{at:%Y-%m-%dT%H:%M:%S},000+0000 S", "TX": reason, "RV": float(value)}
        for at, reason, value in zip(times, "BE", (Decimal(0), energy), strict=True)
    ]
    record = meter.sign(payload(**({"RD": readings} | more)))
    key = (Meter() if other_key else meter).key
    data = {
        "encoding_method": "OCMF",
        "public_key": base64.b64encode(bytes.fromhex(key)).decode(),
        "signed_values": [
            {
                "nature": "End",
                "plain_data": record.split("|")[1],
                "signed_data": base64.b64encode(record.encode()).decode(),
            }
        ],
    }
    return made.said(signed_data=data).known(signed=signed_meter.verify(data, {}))


TIMES = ("start_date_time", "end_date_time")
# Code of the finding, the member that it names, and what is done to a good CDR or to what is known around it.
BAD: list[tuple[str, str, Spoil]] = [
    ("ends_before_start", "end_date_time", lambda made: made.said(end_date_time="2020-01-01T00:00:00Z")),
    (
        "in_the_future",
        "end_date_time",
        lambda made: made.known(received_at=datetime.fromisoformat("2025-01-01T00:00:00Z")),
    ),
    ("too_late", "end_date_time", lambda made: made.known(received_at=made.facts.received_at + timedelta(days=91))),
    (
        "period_outside",
        "charging_periods[0].start_date_time",
        lambda made: made.said(
            charging_periods=[
                made.cdr["charging_periods"][0] | shifted(made, "start_date_time", hours=-2),
                *made.cdr["charging_periods"][1:],
            ]
        ),
    ),
    ("negative_amount", "total_energy", lambda made: made.said(total_energy=-made.cdr["total_energy"])),
    ("negative_amount", "total_cost.excl_vat", lambda made: credit_of(made, total_cost=made.cdr["total_cost"])),
    ("energy_differs_from_periods", "total_energy", lambda made: made.said(total_energy=made.cdr["total_energy"] + 1)),
    ("time_differs_from_periods", "total_time", lambda made: made.said(total_time=made.cdr["total_time"] + 1)),
    ("parking_differs_from_periods", "total_parking_time", lambda made: made.said(total_parking_time=Decimal(99))),
    ("sub_totals_do_not_add_up", "total_cost", lambda made: made.said(**cost(made, "total_energy_cost", "50"))),
    ("price_differs", "total_cost.excl_vat", lambda made: made.said(**cost(made, "total_cost", "0.5"))),
    (
        "sub_total_differs",
        "total_energy_cost.excl_vat",
        lambda made: made.said(**cost(made, "total_energy_cost", "0.5")),
    ),
    ("tariff_differs", "tariffs", lambda made: made.known(tariffs=[cheaper(made.cdr["tariffs"][0])])),
    (
        "tariff_not_valid",
        "tariffs[0]",
        lambda made: made.said(
            tariffs=[made.cdr["tariffs"][0] | {"end_date_time": "2025-12-31T00:00:00Z", "start_date_time": None}]
        ),
    ),
    ("currency_differs", "currency", lambda made: made.known(agreement=Agreement(exists=True, currency="CHF"))),
    ("currency_differs", "currency", lambda made: made.said(currency="CHF")),
    ("not_priceable", "tariffs", lambda made: made.said(tariffs=[]).known(tariffs=[])),
    ("session_unknown", "session_id", lambda made: made.known(session=None)),
    (
        "session_differs",
        "total_energy",
        lambda made: made.known(session={**(made.facts.session or {}), "kwh": Decimal(0)}),
    ),
    (
        "session_differs",
        "cdr_location.evse_uid",
        lambda made: made.known(session={**(made.facts.session or {}), "evse_uid": "X"}),
    ),
    ("token_unknown", "cdr_token.uid", lambda made: made.known(token=None)),
    ("token_not_valid", "cdr_token.uid", lambda made: made.known(token={**(made.facts.token or {}), "valid": False})),
    (
        "contract_differs",
        "cdr_token.contract_id",
        lambda made: part(made, "cdr_token", contract_id="DE-EMS-C99999999-X"),
    ),
    (
        "authorization_unknown",
        "authorization_reference",
        lambda made: made.said(auth_method="AUTH_REQUEST").known(authorization=None),
    ),
    (
        "authorization_differs",
        "cdr_token.uid",
        lambda made: made.said(auth_method="AUTH_REQUEST").known(
            authorization=Authorized("OTHER", made.facts.received_at)
        ),
    ),
    ("location_unknown", "cdr_location.id", lambda made: made.known(location=None)),
    (
        "location_unknown",
        "cdr_location.evse_uid",
        lambda made: part(made, "cdr_location", evse_uid="X").known(session=None, sessions_known=False),
    ),
    ("location_unknown", "cdr_location.connector_id", lambda made: part(made, "cdr_location", connector_id="9")),
    (
        "location_differs",
        "cdr_location.connector_standard",
        lambda made: part(made, "cdr_location", connector_standard="CHADEMO"),
    ),
    ("energy_above_connector", "total_energy", lambda made: made.known(location=weaker(made))),
    ("outside_agreement", "start_date_time", lambda made: made.known(agreement=Agreement(exists=False))),
    (
        "duplicate",
        "session_id",
        lambda made: made.known(neighbours=[neighbour_of(made, session_id=made.cdr["session_id"].lower())]),
    ),
    (
        "duplicate",
        "id",
        lambda made: made.known(
            neighbours=[
                neighbour_of(made, token_uid=made.cdr["cdr_token"]["uid"], energy=Decimal(made.cdr["total_energy"]))
            ]
        ),
    ),
    (
        "token_elsewhere",
        "cdr_token.uid",
        lambda made: part(made, "cdr_token", type="RFID").known(
            neighbours=[neighbour_of(made, token_uid=made.cdr["cdr_token"]["uid"], token_type="RFID")]
        ),
    ),
    (
        "connector_busy",
        "cdr_location.connector_id",
        lambda made: made.known(neighbours=[neighbour_of(made, evse=made.cdr["cdr_location"]["evse_uid"])]),
    ),
    ("same_id_other_content", "id", lambda made: made.known(other_content=True)),
    ("original_unknown", "credit_reference_id", lambda made: credit_of(made).known(original=None)),
    ("credited_before", "credit_reference_id", lambda made: credit_of(made).known(credited_before=True)),
    ("credit_differs", "total_energy", lambda made: credit_of(made, total_energy=Decimal(0))),
    ("signature_wrong", "signed_data.signed_values[0]", lambda made: signed(made, other_key=True)),
    ("signed_energy_differs", "total_energy", lambda made: signed(made, kwh="0.5")),
    ("signed_time_differs", "start_date_time", lambda made: signed(made, hours=2)),
    ("signed_data_odd", "signed_data", lambda made: signed(made, RD=[{"TX": "B", "RV": 0, "RU": "kWh", "ST": "G"}])),
]


def cheaper(tariff: dict[str, Any]) -> dict[str, Any]:
    def half(component: dict[str, Any]) -> dict[str, Any]:
        return component | {"price": component["price"] / 2}

    elements = [
        each | {"price_components": [half(one) for one in each["price_components"]]} for each in tariff["elements"]
    ]
    return tariff | {"elements": elements}


def weaker(made: Made) -> dict[str, Any]:
    assert made.facts.location is not None
    evse = made.facts.location["evses"][0]
    connector = evse["connectors"][0] | {"max_electric_power": 1}
    return {**made.facts.location, "evses": [evse | {"connectors": [connector]}]}


@pytest.fixture(scope="module")
def good() -> Made:
    """Return a CDR in which every kind of spoiling shows: it has energy, time and parking."""
    maker = Maker(seed=7)
    while True:
        made = maker.make()
        components = {each["type"] for each in made.cdr["tariffs"][0]["elements"][-1]["price_components"]}
        if (
            {"ENERGY", "PARKING_TIME"} <= components
            and made.cdr.get("total_parking_time")
            and not made.cdr["tariffs"][0].keys() & {"min_price", "max_price"}
        ):
            return made


@pytest.mark.req("PRI-98")
@pytest.mark.parametrize(("code", "field", "spoil"), BAD, ids=[f"{code}: {field}" for code, field, _ in BAD])
def test_a_bad_cdr_is_found_for_its_reason(good: Made, code: str, field: str, spoil: Spoil) -> None:
    bad = spoil(good)

    found = inspect(bad.cdr, bad.facts)

    assert (code, field) in [(each.code, each.field) for each in found.findings]
    assert found.verdict != Verdict.GOOD
    assert found.findings[0].kind.severity >= KINDS[code].severity


def test_every_kind_has_a_bad_cdr() -> None:
    assert {code for code, _, _ in BAD} == set(KINDS)
    assert len(KINDS) >= 20


@pytest.mark.parametrize(
    ("code", "field", "spoil"), [each for each in BAD if KINDS[each[0]].severity is Severity.WRONG]
)
def test_a_finding_shows_both_figures(good: Made, code: str, field: str, spoil: Spoil) -> None:
    bad = spoil(good)

    found = next(each for each in inspect(bad.cdr, bad.facts).findings if (each.code, each.field) == (code, field))

    assert found.claimed
    assert set(found.as_json()) == {"code", "severity", "text", "field", "claimed", "expected"}


def many(number: int, seed: int) -> Iterator[Made]:
    maker = Maker(seed)
    return (maker.make() for _ in range(number))


def test_nothing_is_found_in_good_ones() -> None:
    odd = [
        (made.cdr["id"], [each.as_json() for each in found.findings])
        for made in many(GOOD, seed=11)
        if (found := inspect(made.cdr, made.facts)).verdict != Verdict.GOOD
    ]

    assert odd == []


def test_nothing_is_found_in_good_credits_and_signed_ones(good: Made) -> None:
    for made in (credit_of(good), signed(good)):
        assert [each.code for each in inspect(made.cdr, made.facts).findings] == []


def test_what_is_not_known_accuses_nobody(good: Made) -> None:
    nothing = cdr_firewall.Facts(received_at=good.facts.received_at, time_zone=good.facts.time_zone)

    assert inspect(good.cdr, nothing).verdict == Verdict.GOOD


@pytest.mark.parametrize(
    ("changes", "kilowatts"),
    [
        ({}, Decimal("22.08")),
        ({"power_type": "AC_1_PHASE"}, Decimal("7.36")),
        ({"max_electric_power": 11000}, Decimal(11)),
        ({"max_voltage": 0}, None),
    ],
)
def test_what_a_connector_can_give(changes: dict[str, Any], kilowatts: Decimal | None) -> None:
    connector = {"max_voltage": 230, "max_amperage": 32, "power_type": "AC_3_PHASE"} | changes

    assert rated_power(connector) == kilowatts
