"""State tables: what may follow what, and which version two platforms speak."""

import pytest

from ocpi import delivery_states, registration_states, status, transitions, version_numbers
from ocpi.v2_2_1 import locations


def test_the_next_state_stands_in_the_table() -> None:
    table = {"OPEN": {"close": "CLOSED"}, "CLOSED": {}}

    assert transitions.next_state(table, "OPEN", "close") == "CLOSED"


@pytest.mark.parametrize(("state", "event"), [("CLOSED", "close"), ("OPEN", "open"), ("NOWHERE", "close")])
def test_an_event_out_of_place_is_an_illegal_transition(state: str, event: str) -> None:
    table = {"OPEN": {"close": "CLOSED"}, "CLOSED": {}}

    with pytest.raises(transitions.IllegalTransition) as refused:
        transitions.next_state(table, state, event)

    assert (refused.value.state, refused.value.event) == (state, event)
    assert state in str(refused.value)


def test_a_table_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="no state 'GONE'"):
        transitions.check_table({"OPEN": {"close": "GONE"}})


@pytest.mark.parametrize(
    ("state", "event", "following"),
    [
        ("INVITED", "registered", "REGISTERED"),
        ("REGISTERED", "registered", "REGISTERED"),
        ("REGISTERED", "unregistered", "UNREGISTERED"),
        ("UNREGISTERED", "invited", "INVITED"),
    ],
)
def test_a_platform_registers(state: str, event: str, following: str) -> None:
    assert registration_states.next_state(state, event) == following


def test_an_unregistered_platform_needs_a_new_invitation() -> None:
    with pytest.raises(transitions.IllegalTransition):
        registration_states.next_state("UNREGISTERED", "registered")


@pytest.mark.parametrize(
    ("state", "event", "following"),
    [
        ("PENDING", "delivered", "DELIVERED"),
        ("PENDING", "refused", "REFUSED"),
        ("PENDING", "expired", "MARKED"),
        ("PENDING", "given_up", "DEAD"),
        ("PENDING", "changed", "PENDING"),
        ("PENDING", "dropped", "DROPPED"),
        ("MARKED", "delivered", "DELIVERED"),
        ("MARKED", "changed", "MARKED"),
        ("MARKED", "sent_again", "PENDING"),
        ("DELIVERED", "changed", "PENDING"),
        ("REFUSED", "sent_again", "PENDING"),
        ("DEAD", "sent_again", "PENDING"),
        ("DROPPED", "changed", "PENDING"),
    ],
)
def test_a_delivery_moves(state: str, event: str, following: str) -> None:
    assert delivery_states.next_state(state, event) == following


@pytest.mark.parametrize(
    ("state", "event"), [("DELIVERED", "expired"), ("DELIVERED", "refused"), ("MARKED", "expired"), ("DEAD", "refused")]
)
def test_a_finished_delivery_does_not_fail_later(state: str, event: str) -> None:
    with pytest.raises(transitions.IllegalTransition):
        delivery_states.next_state(state, event)


@pytest.mark.req("VER-17", "VER-18")
@pytest.mark.parametrize(
    ("theirs", "spoken"),
    [
        (["2.1.1", "2.2.1"], "2.2.1"),
        (["2.2.1", "2.3.0", "3.0-draft", "", "²"], "2.2.1"),
        (["2.1.1", "2.2"], "2.1.1"),
        (["2.2", "2.1"], "2.2"),
        (["2.0"], "2.0"),
        (["2.3.0"], None),
        ([], None),
    ],
)
def test_the_latest_version_of_both_is_spoken_and_unknown_ones_are_ignored(
    theirs: list[str], spoken: str | None
) -> None:
    assert version_numbers.latest_mutual(["2.0", "2.1", "2.1.1", "2.2", "2.2.1"], theirs) == spoken


def test_versions_are_compared_as_numbers() -> None:
    assert version_numbers.latest_mutual(["2.9", "2.10"], ["2.10", "2.9"]) == "2.10"


def test_a_version_and_a_module_lead_to_a_file() -> None:
    assert version_numbers.schema("2.2.1", "locations") is locations


def test_an_unknown_version_or_module_is_refused() -> None:
    with pytest.raises(status.UnsupportedVersion):
        version_numbers.schema("2.1.1", "locations")
    with pytest.raises(status.UnknownObject):
        version_numbers.schema("2.2.1", "parking")
