"""What holds for any tariff and CDR: drawn, but the same draw every time."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocpi import tariff_pricing
from ocpi.tariff_pricing import Segment, price, split
from tests.unit.tariff_builders import tariff

START = datetime(2025, 3, 29, 20, tzinfo=UTC)
ZONES = st.sampled_from(["UTC", "Europe/Amsterdam", "Asia/Kolkata", "America/New_York"])
few = settings(max_examples=60, derandomize=True, deadline=None, database=None)


def decimals(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(low), Decimal(high), places=places, allow_nan=False, allow_infinity=False)


COMPONENTS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["ENERGY", "TIME", "PARKING_TIME", "FLAT"]),
        "price": decimals("0", "5", 4),
        "step_size": st.sampled_from([0, 1, 60, 300, 1000]),
    }
)
HOURS = st.sampled_from(["00:00", "06:30", "12:00", "17:00", "22:00"])
RESTRICTIONS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"start_time": HOURS, "end_time": HOURS}),
    st.fixed_dictionaries({"max_kwh": st.integers(1, 20)}),
    st.fixed_dictionaries({"min_duration": st.sampled_from([900, 3600, 7000])}),
    st.fixed_dictionaries({"day_of_week": st.just(["SATURDAY"])}),
)
ELEMENTS = st.fixed_dictionaries(
    {"price_components": st.lists(COMPONENTS, min_size=1, max_size=3), "restrictions": RESTRICTIONS}
)
TARIFFS = st.lists(ELEMENTS, min_size=1, max_size=4).map(lambda elements: tariff(*elements))
SEGMENTS = st.lists(
    st.tuples(st.integers(1, 200), st.sampled_from(["CHARGING", "PARKING"]), decimals("0", "9", 3)),
    min_size=1,
    max_size=8,
)


def metered(parts: list[tuple[int, str, Decimal]]) -> list[Segment]:
    segments, at = [], START
    for minutes, state, energy in parts:
        until = at + timedelta(minutes=minutes, seconds=7)
        segments.append(Segment(at, until, state, energy if state == "CHARGING" else Decimal(0)))
        at = until
    return segments


def cdr_of(segments: list[Segment], periods: list[dict[str, Any]]) -> dict[str, Any]:
    times = {"start_date_time": segments[0].start, "end_date_time": segments[-1].end}
    members = {name: at.strftime("%Y-%m-%dT%H:%M:%SZ") for name, at in times.items()}
    return members | {"currency": "EUR", "charging_periods": periods}


@pytest.mark.req("PRI-08")
@few
@given(TARIFFS, SEGMENTS, ZONES)
def test_the_same_input_gives_the_same_text(bill: dict[str, Any], parts: Any, zone: str) -> None:
    document = cdr_of(metered(parts), split(metered(parts), [bill], timezone=zone))

    texts = {json.dumps(price(document, [bill], timezone=zone).as_json()) for _ in range(2)}
    copy = tariff_pricing.loads(tariff_pricing.dumps({"cdr": document, "tariff": bill}))
    texts.add(json.dumps(price(copy["cdr"], [copy["tariff"]], timezone=zone).as_json()))

    assert len(texts) == 1


@pytest.mark.req("PRI-04")
@few
@given(TARIFFS, SEGMENTS, ZONES, st.randoms(use_true_random=False))
def test_the_order_of_periods_changes_nothing(bill: dict[str, Any], parts: Any, zone: str, random: Any) -> None:
    periods = list(split(metered(parts), [bill], timezone=zone))
    document = cdr_of(metered(parts), periods)
    shuffled = random.sample(periods, len(periods))

    ordered = price(document, [bill], timezone=zone)
    mixed = price(document | {"charging_periods": shuffled}, [bill], timezone=zone)

    assert tariff_pricing.totals(ordered) == tariff_pricing.totals(mixed)
    assert ordered.billed == mixed.billed
    assert set(mixed.findings) - set(ordered.findings) <= {"periods_out_of_order"}


@pytest.mark.req("PRI-70")
@few
@given(TARIFFS, SEGMENTS, ZONES, st.sampled_from([0, 9, 21]))
def test_vat_never_changes_the_total_without_it(bill: dict[str, Any], parts: Any, zone: str, vat: int) -> None:
    document = cdr_of(metered(parts), split(metered(parts), [bill], timezone=zone))
    components = [[each | {"vat": vat} for each in one["price_components"]] for one in bill["elements"]]
    taxed = bill | {
        "elements": [one | {"price_components": own} for one, own in zip(bill["elements"], components, strict=True)]
    }

    without = price(document, [bill], timezone=zone).exact
    with_vat = price(document, [taxed], timezone=zone).exact

    assert with_vat.excl_vat == without.excl_vat == without.incl_vat
    assert with_vat.incl_vat is not None
    assert abs(with_vat.incl_vat - without.excl_vat * (100 + vat) / 100) < Decimal("1E-20")


@pytest.mark.req("PRI-47")
@few
@given(TARIFFS, SEGMENTS, ZONES)
def test_what_we_publish_prices_without_surprise_and_adds_up(bill: dict[str, Any], parts: Any, zone: str) -> None:
    segments = metered(parts)

    result = price(cdr_of(segments, split(segments, [bill], timezone=zone)), [bill], timezone=zone)

    assert "period_spans_price_change" not in result.findings
    assert result.total_energy == sum(each.energy for each in segments)
    with localcontext(prec=60):
        assert sum(line.excl for line in result.lines) == result.exact.excl_vat


@pytest.mark.req("PRI-46", "PRI-85")
@few
@given(TARIFFS, SEGMENTS, ZONES)
def test_a_cut_where_no_price_changes_alters_no_total_beyond_the_last_place(
    bill: dict[str, Any], parts: Any, zone: str
) -> None:
    segments = metered(parts)
    finer = [half for each in segments for half in halves(each)]

    whole, cut = (list(split(each, [bill], timezone=zone)) for each in (segments, finer))
    coarse, fine = (price(cdr_of(segments, each), [bill], timezone=zone) for each in (whole, cut))

    # An energy boundary moves with the shape of the curve, so its time and the prices by time may.
    if not any("max_kwh" in each["restrictions"] for each in bill["elements"]):
        assert abs(coarse.total_cost.excl_vat - fine.total_cost.excl_vat) <= Decimal("0.0001") * 5 * (len(cut) + 1)
        assert coarse.billed["time_s"] == fine.billed["time_s"]


def halves(segment: Segment) -> list[Segment]:
    middle = segment.start + timedelta(seconds=(segment.end - segment.start).seconds // 2)
    first = (segment.energy / 2).quantize(Decimal("0.0001"))
    return [
        Segment(segment.start, middle, segment.state, first),
        Segment(middle, segment.end, segment.state, segment.energy - first),
    ]
