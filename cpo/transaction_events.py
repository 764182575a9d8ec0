"""What the events of a transaction of OCPP 2.0.1 come to, in whatever order and however often they have come. Pure.

Everything is worked out anew from the set of events, ordered by sequence number and then time (OCPP-50): who came late
changes what is known, never the order in which it counts. So the end stays the end, and each order of arrival comes to
the same session (OCPP-127).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from cpo.metering import CHARGING, PARKING

STARTED, UPDATED, ENDED = "Started", "Updated", "Ended"
_RANK = {STARTED: 0, UPDATED: 1, ENDED: 2}
IDLE = "Idle"
# M-10, PRI-57: who asks for no power parks.
PHASE_OF = {
    "Charging": CHARGING,
    "SuspendedEVSE": CHARGING,
    "SuspendedEV": PARKING,
    "EVConnected": PARKING,
    IDLE: PARKING,
}
# Triggers that say nothing about a car, where no chargingState does.
_WITHOUT_CAR = frozenset({"Authorized", "RemoteStart"})
_ACCEPTED = "Accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one event says."""

    kind: str
    seq_no: int
    at: datetime
    trigger: str = ""
    charging_state: str = ""
    reason: str = ""
    number: int | None = None  # by which we know its EVSE
    plug: int | None = None
    id_token: str = ""
    token_type: str = ""
    status: str = ""  # what was decided about its token, or about the remote start it names
    begin_wh: Decimal | None = None  # registers at the begin and the end of the transaction
    end_wh: Decimal | None = None
    suspect: bool = False

    @property
    def order(self) -> tuple[int, datetime, int, str, str, str]:
        return (self.seq_no, self.at, _RANK[self.kind], self.charging_state, self.trigger, self.id_token)


@dataclass(frozen=True, slots=True)
class Course:
    """What is known of a transaction."""

    started_at: datetime  # of the session, if there is one
    ended_at: datetime | None
    reason: str
    trigger: str  # of the end
    charging_state: str
    number: int  # 0: not known yet
    plug: int
    token: Told | None  # whose token it is for
    begins_at: datetime | None  # token accepted and car connected (OCPP-53)
    phases: tuple[tuple[datetime, str], ...]
    complete: bool  # ended, and nothing before it is missing (OCPP-52)
    flags: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        return self.token is not None and self.token.status == _ACCEPTED


def course(events: Iterable[Told]) -> Course:
    """Return what these events come to.

    :raises ValueError: if there are none.
    """
    told = sorted(set(events), key=lambda each: each.order)
    if not told:
        raise ValueError("a transaction has at least one event")
    ended = next((each for each in reversed(told) if each.kind == ENDED), None)
    started = next((each for each in told if each.kind == STARTED), None)
    counted = told if ended is None else [each for each in told if each.order <= ended.order and each.at <= ended.at]
    token = _token(counted, told)
    first_at = started.at if started is not None else min(each.at for each in told)
    begins_at = _begins_at(counted, token, ended)
    start = begins_at or first_at
    return Course(
        started_at=start,
        ended_at=None if ended is None else max(ended.at, start),
        reason="" if ended is None else ended.reason or "Local",
        trigger="" if ended is None else ended.trigger,
        charging_state=_last(each.charging_state for each in counted),
        number=next((each.number for each in told if each.number), 0) or 0,
        plug=next((each.plug for each in told if each.plug), 0) or 0,
        token=token,
        begins_at=begins_at,
        phases=_phases(counted, start),
        complete=ended is not None and started is not None and _is_whole(told, started, ended),
        flags=_flags(told, started, token),
    )


def outer_registers(
    events: Iterable[Told], readings: Sequence[tuple[datetime, Decimal]], start: datetime
) -> tuple[Decimal | None, Decimal | None]:
    """Return what the meter showed at the start, and at the end if the end says so, in Wh (OCPP-52, OCPP-67).

    `readings` are all registers, by time.
    """
    told = sorted(set(events), key=lambda each: each.order)
    ended = [each for each in reversed(told) if each.kind == ENDED]
    begins = [each.begin_wh for each in [*ended, *told] if each.begin_wh is not None]
    before = [register for at, register in readings if at <= start]
    begin = begins[0] if begins else before[-1] if before else readings[0][1] if readings else None
    ends = [each.end_wh for each in ended if each.end_wh is not None]
    return begin, ends[0] if ends else None


def _token(counted: Sequence[Told], told: Sequence[Told]) -> Told | None:
    """Return the event whose token the transaction is for: the first that was accepted, else the first of all.

    A card at the very end only ends it, unless nothing else is known; what is said to be after the end counts last.
    """
    inside = [each for each in counted if each.status and each.kind != ENDED]
    asked = [each for each in (*counted, *told) if each.status]
    accepted = [each for each in (*inside, *asked) if each.status == _ACCEPTED]
    return next(iter(accepted or inside or asked), None)


def _begins_at(counted: Sequence[Told], token: Told | None, ended: Told | None) -> datetime | None:
    if token is None or token.status != _ACCEPTED:
        return None
    state, connected = "", None
    for each in counted:
        state = each.charging_state or state
        if state not in ("", IDLE) or (state == "" and each.trigger not in _WITHOUT_CAR):
            connected = each
            break
    if connected is None or token.kind == ENDED:
        return None if connected is None else connected.at
    both = max(connected.at, token.at)
    return both if ended is None else min(both, max(ended.at, connected.at))


def _phases(counted: Sequence[Told], start: datetime) -> tuple[tuple[datetime, str], ...]:
    found: list[tuple[datetime, str]] = []
    for each in sorted(counted, key=lambda event: (event.at, event.order)):
        phase = PHASE_OF.get(each.charging_state)
        if phase is None:
            continue
        at = max(each.at, start)
        if found and found[-1][0] == at:
            found.pop()  # what came before in the same moment did not last
        if phase != (found[-1][1] if found else CHARGING):  # it draws until something else is said
            found.append((at, phase))
    return tuple(found)


def _is_whole(told: Sequence[Told], started: Told, ended: Told) -> bool:
    known = {each.seq_no for each in told}
    return ended.seq_no - started.seq_no < len(known) and all(
        number in known for number in range(started.seq_no, ended.seq_no + 1)
    )


def _flags(told: Sequence[Told], started: Told | None, token: Told | None) -> tuple[str, ...]:
    others = {
        each.id_token.upper()
        for each in told
        if each.id_token and token is not None and each.id_token.upper() != token.id_token.upper()
    }
    found = {
        "no_start": started is None,
        "clock_suspect": any(each.suspect for each in told),
        "other_token": token is not None and bool(token.id_token) and bool(others),
    }
    return tuple(name for name, is_so in found.items() if is_so)


def _last(values: Iterable[str]) -> str:
    found = [value for value in values if value]
    return found[-1] if found else ""
