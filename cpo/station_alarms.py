"""The alarms about charge points: their names, what they say to an operator, and what to do (OCPP-108). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ocpi.alarms import Alarm


class Kind(StrEnum):
    OFFLINE = "offline"
    FAULTED = "faulted"
    RECONNECTS = "reconnects"
    CLOCK = "clock"
    STALE = "stale"
    PARKED = "parked"
    UNMATCHED = "unmatched"
    LOCAL_LIST = "local_list"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True)
class Open:
    """How many charge points an alarm is about, and some of them."""

    number: int
    named: Sequence[str]


# Kind → name, what is wrong, what to do about it.
_TEXTS: dict[Kind, tuple[str, str, str]] = {
    Kind.OFFLINE: (
        "station_offline",
        "{number} charge points are offline: {names}.",
        "Look at their last connection and its close code; a whole street at once is a router or a carrier.",
    ),
    Kind.FAULTED: (
        "station_faulted",
        "{number} connectors are Faulted: {names}.",
        "The error code is on the charge point's page; try a Reset, then send somebody.",
    ),
    Kind.RECONNECTS: (
        "station_reconnects",
        "{number} charge points lose their connection again and again: {names}.",
        "See the close codes of their connections: a weak signal, or two devices with one identity.",
    ),
    Kind.CLOCK: (
        "station_clock",
        "The clocks of {number} charge points are wrong: {names}.",
        "Times in sessions and CDRs come from them: have them take the time from the Heartbeat or from NTP.",
    ),
    Kind.STALE: (
        "transaction_stale",
        "{number} transactions are open and silent: {names}.",
        "Ask the driver or look at the connector; then close them with their last reading on their page.",
    ),
    Kind.PARKED: (
        "message_parked",
        "Messages that could not be applied are parked: {names}.",
        "Open them among the inbox messages: the error says why. Repair the cause, then try them again.",
    ),
    Kind.UNMATCHED: (
        "stop_unmatched",
        "Stops that fit no transaction wait for a decision: {names}.",
        "Compare meter and tag with the open transactions of the charge point, then assign or discard them.",
    ),
    Kind.LOCAL_LIST: (
        "local_list_failed",
        "{number} charge points do not take their local list: {names}.",
        "Their page says what they answered; drivers' cards may not work there while it is offline.",
    ),
    Kind.EMERGENCY: (
        "emergency_stop",
        "Charging was ended by an emergency in the last day: {names}.",
        "Call the site before anybody charges there again; a transaction with next to no energy waits to be released.",
    ),
}
NAMES = tuple(name for name, _, _ in _TEXTS.values())
_NAMED = 5


def alarms(found: Mapping[Kind, Open]) -> list[Alarm]:
    """Return an alarm for each kind that is open anywhere."""
    return [_alarm(kind, found[kind]) for kind in Kind if kind in found and found[kind].number]


def _alarm(kind: Kind, found: Open) -> Alarm:
    name, text, advice = _TEXTS[kind]
    named = list(dict.fromkeys(found.named))[:_NAMED]
    more = found.number - len(named)
    names = ", ".join(named) + (f" and {more:,} more" if more > 0 else "")
    said = text.format(number=f"{found.number:,}", names=names)
    query = f"?kind={kind.value}&over=no"
    return Alarm(name, _singular(said) if found.number == 1 else said, advice, page="cpo_stationalarm_changelist",
                 query=query)  # fmt: skip


def _singular(text: str) -> str:
    for many, one in (
        ("1 charge points are", "A charge point is"), ("1 charge points lose their", "A charge point loses its"),
        ("1 charge points do not take their", "A charge point does not take its"),
        ("1 connectors are", "A connector is"), ("1 transactions are", "A transaction is"),
        ("The clocks of 1 charge points are", "The clock of a charge point is"),
    ):  # fmt: skip
        text = text.replace(many, one)
    return text
