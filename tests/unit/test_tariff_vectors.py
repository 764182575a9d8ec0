"""All vectors, and which of them pin which rule."""

import pytest

from tests.unit.tariff_cases import FILES, assert_vector

IDS = [file.name.split("-")[0] for file in FILES]
cases = pytest.mark.parametrize


@cases("name", IDS)
def test_the_engine_gives_what_the_vector_expects(name: str) -> None:
    assert_vector(name)


def test_no_vector_is_missing() -> None:
    assert len(set(IDS)) == 135


@pytest.mark.req("PRI-03")
@cases("name", ["A81", "A82"])
def test_a_time_zone_is_needed_only_for_local_times(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-04")
@cases("name", ["A66", "A67"])
def test_odd_periods_are_priced_and_reported(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-05", "PRI-53")
@cases("name", ["A71", "S01", "S06"])
def test_only_reported_volumes_are_billed(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-10", "PRI-11", "PRI-14")
@cases("name", ["A46", "A80", "A50a", "A50c", "A47", "A48", "A50b", "A49"])
def test_the_tariff_is_the_named_one_or_the_first_valid_one(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-15")
@cases("name", ["A44", "A45", "P11"])
def test_several_tariffs_share_one_session(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-20", "PRI-21", "PRI-22", "PRI-23")
@cases("name", ["A01", "A02", "S10", "A03", "A04", "A65"])
def test_each_dimension_takes_the_first_element_that_matches(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-24", "PRI-25", "PRI-42")
@cases("name", ["A11", "A17", "A75", "A18"])
def test_a_period_is_looked_up_in_the_state_at_its_start(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-30", "PRI-31", "PRI-36")
@cases("name", ["A12a", "A12b", "A13", "A14", "P05", "P06", "A11", "S10", "S11"])
def test_times_dates_and_weekdays_are_local(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-32", "PRI-33", "PRI-34")
@cases("name", ["A05", "A06", "A09", "A07", "A08", "A10"])
def test_windows_of_the_day(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-35")
@cases("name", ["A16", "A18", "S26"])
def test_bands_of_energy_and_duration(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-37", "PRI-38", "PRI-39")
@cases("name", ["S10", "S11", "S25", "A19", "P04", "A20", "A21"])
def test_one_value_stands_for_the_power_or_current_of_a_period(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-43", "PRI-44", "PRI-45")
@cases("name", ["P01", "P02", "P03", "P05", "P06", "P07", "P10", "P12"])
def test_segments_are_cut_at_boundaries(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-46")
@cases("name", ["P04", "P09", "P11"])
def test_a_boundary_that_changes_no_price_makes_no_cut(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-50", "PRI-51", "PRI-52")
@cases("name", ["S02", "S12", "A32", "A33", "A34", "A77", "A35a", "A35b", "S14", "A52b"])
def test_a_flat_is_billed_once(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-54", "PRI-55", "PRI-56")
@cases("name", ["S13", "S14", "S15a", "S15b", "S16a", "S16b", "A52a", "A52b"])
def test_reservations_used_and_expired(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-60", "PRI-61", "PRI-63")
@cases("name", ["S18", "S20", "S21", "A22", "A31", "A44", "A69", "S09a", "S24a", "S24c", "A70", "S19", "A23", "A24"])
def test_step_size_rounds_the_session_total_once(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-62", "PRI-64")
@cases("name", ["A51a", "A51b", "P08", "S07", "S17", "S22", "S23", "A25", "A26", "A68", "P13"])
def test_parking_takes_the_rounding_and_reservations_have_their_own(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-65", "PRI-66", "PRI-67")
@cases("name", ["S27", "A27", "A28", "A30", "A29", "S12", "A54a", "A54b"])
def test_rounding_of_hours_and_noise_never_costs_a_step(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-70", "PRI-71", "PRI-72")
@cases("name", ["S01", "S02", "A36", "S12", "S17", "A69"])
def test_vat_is_per_line_and_absent_is_not_zero(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-76", "PRI-77", "PRI-78")
@cases("name", ["A04", "S12", "A51a", "A58", "A59"])
def test_totals_of_cdrs_and_running_sessions(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-80", "PRI-81", "PRI-82", "PRI-83", "PRI-84")
@cases("name", ["S03b", "A40", "A42", "S05a", "A41", "A45", "A39", "A43a", "A43b", "A64"])
def test_limits_bound_the_total_and_not_the_sub_totals(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-85", "PRI-87", "PRI-107")
@cases("name", ["A38", "S08", "S24b", "A55", "A63"])
def test_amounts_are_rounded_at_the_very_end(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-90", "PRI-91", "PRI-92", "PRI-93", "PRI-94", "PRI-97")
@cases("name", ["V01", "V02", "V03", "V04", "V05", "V06", "V07", "V08", "V10", "V11"])
def test_checking_says_what_differs_and_why(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-106")
@cases("name", ["C01", "V09"])
def test_a_credit_turns_the_total_only(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PRI-102")
@cases("name", ["P08", "P04"])
def test_published_periods_carry_what_the_tariff_asks_for(name: str) -> None:
    assert_vector(name)


@pytest.mark.req("PIT-71")
@cases("name", ["S11", "S19"])
def test_where_prints_of_the_specification_differ_the_rules_decide(name: str) -> None:
    assert_vector(name)
