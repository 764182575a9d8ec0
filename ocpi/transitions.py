"""The few lines behind every `*_states.py`: a table of what may follow what, checked when it is imported."""

from collections.abc import Mapping

Table = Mapping[str, Mapping[str, str]]


class IllegalTransition(Exception):
    """Something happened that cannot happen in this state."""

    def __init__(self, state: str, event: str) -> None:
        super().__init__(state, event)
        self.state = state
        self.event = event

    def __str__(self) -> str:
        return f"{self.event!r} cannot happen in state {self.state!r}"


def check_table(table: Table) -> None:
    """Refuse a table that leads to a state it does not list.

    :raises ValueError: naming the first such entry.
    """
    for state, row in table.items():
        for event, following in row.items():
            if following not in table:
                raise ValueError(f"{state} --{event}--> {following}: the table has no state {following!r}")


def next_state(table: Table, state: str, event: str) -> str:
    """Return the state that follows.

    :raises IllegalTransition: if the event has no place in the state.
    """
    try:
        return table[state][event]
    except KeyError:
        raise IllegalTransition(state, event) from None
