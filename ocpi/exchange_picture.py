"""A message's way through the hub as a picture: who asked, us, whom we asked, in the order of time. Pure.

Platforms are columns, time goes down, a request is an arrow and its answer a dashed one back. Many receivers of one
message share a column, a line each with its answer beside it, so that a hundred are as readable as one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

MOST_COLUMNS = 3  # of platforms that we asked; more share one
_TIMES, _FIRST, _COLUMN, _TOP, _SHARED = 48, 145, 206, 66, 475  # px
_STEP, _CLOSE = 36, 22  # px from one line to the next, and if it says nothing above its arrow
_BENEATH = 14  # px for why an answer refuses, below it
_BAR = 5  # px, half of the bar while a platform works on an answer


@dataclass(frozen=True, slots=True)
class Leg:
    """One request and its answer, as plain words."""

    key: int  # what marks the one that is looked at
    at: datetime
    who: str  # the other platform
    party: str
    outgoing: bool
    what: str  # PATCH locations/LOC1
    answer: str  # 200 / 1000, or the kind of error
    reason: str = ""  # why it was refused
    good: bool = True
    answered: bool = True
    milliseconds: float | None = None
    url: str = ""

    @property
    def until(self) -> datetime:
        return self.at + timedelta(milliseconds=self.milliseconds or 0)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery of the message that nobody has sent yet, or that only left a mark."""

    who: str
    party: str
    what: str
    state: str
    url: str = ""


@dataclass(slots=True)
class Column:
    """A platform, or several, or us."""

    name: str
    party: str
    x: int
    ours: bool = False


@dataclass(slots=True)
class Line:
    """One arrow of the picture."""

    y: int
    start: int
    end: int
    words: str
    kind: str  # asks, answers, fails, waits
    time: str = ""
    note: str = ""
    good: bool = True
    current: bool = False
    url: str = ""
    beside: str = ""  # whom, where many share a column
    result: str = ""  # the answer, where it has no arrow of its own

    @property
    def middle(self) -> int:
        return (self.start + self.end) // 2

    @property
    def tip(self) -> str:
        """The points of the arrow's head."""
        back = -9 if self.end > self.start else 9
        return f"{self.end},{self.y} {self.end + back},{self.y - 4} {self.end + back},{self.y + 4}"

    @property
    def cross(self) -> str:
        """The path of the cross where an answer should have been."""
        x, y = self.end, self.y
        return f"M{x - 5} {y - 5}L{x + 5} {y + 5}M{x + 5} {y - 5}L{x - 5} {y + 5}"

    @property
    def above(self) -> int:
        return self.y - 6

    @property
    def below(self) -> int:
        return self.y + 13

    @property
    def beside_x(self) -> int:
        return self.end + 14

    @property
    def result_x(self) -> int:
        return self.end + 210


@dataclass(slots=True)
class Bar:
    """While a platform, or we, worked on an answer."""

    x: int
    y: int
    height: int
    ours: bool = False
    width: int = 2 * _BAR


@dataclass(slots=True)
class Picture:
    """All that the template draws, in px."""

    columns: list[Column]
    lines: list[Line] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    shared: bool = False
    times_x: int = _TIMES
    head: int = 40

    @property
    def width(self) -> int:
        return self.columns[-1].x + (_SHARED if self.shared else 98)

    @property
    def height(self) -> int:
        return max([_TOP, *(line.y for line in self.lines)]) + 34

    @property
    def bottom(self) -> int:
        return self.height - 8


def draw(legs: Sequence[Leg], waiting: Sequence[Waiting], *, us: str, our_party: str, current: int = 0) -> Picture:
    """Lay a message out: its legs in the order of time, and what still has to be sent."""
    legs = sorted(legs, key=lambda leg: (leg.at, leg.outgoing))
    asked = list(dict.fromkeys([*(leg.who for leg in legs if leg.outgoing), *(one.who for one in waiting)]))
    askers = list(dict.fromkeys(leg.who for leg in legs if not leg.outgoing and leg.who not in asked))
    # Whoever asked first stands on the left, even if it was asked something itself later: the result of a command.
    if legs and not legs[0].outgoing:
        askers = list(dict.fromkeys([legs[0].who, *askers]))
    asked = [name for name in asked if name not in askers]
    picture, place = _columns(legs, waiting, askers, asked, us, our_party)
    events = _events(legs, one_line=set(asked) if picture.shared else set())
    began = legs[0].at if legs else None
    y = _TOP
    at_leg: dict[int, int] = {}
    home = place[""]
    said = ""  # above the last arrow to one of many: not said again for each
    for moment, leg, answers in events:
        silent = answers is None and said == leg.what
        y += _CLOSE if silent else _STEP
        said = leg.what if answers is None else ""
        here = home
        there = place[leg.who]
        time = _offset(moment - began) if began else ""
        source, target = (here, there) if leg.outgoing else (there, here)
        line = Line(y, source, target, leg.what, "asks", time, url=leg.url, current=leg.key == current, good=leg.good)
        if answers is None:  # its own line: request and answer
            line.beside, line.result, line.note = _named(leg), _answered(leg), leg.reason
            line.words = "" if silent else line.words
            y += _BENEATH if leg.reason else 0
        elif answers:
            line.start, line.end = target, source
            line.words, line.note = _answered(leg), leg.reason
            line.kind = (
                "answers" if leg.answer and leg.milliseconds is not None and leg.answer[0].isdigit() else "fails"
            )
            picture.bars.append(Bar(target - _BAR, at_leg[id(leg)], y - at_leg[id(leg)], ours=not leg.outgoing))
        else:
            at_leg[id(leg)] = y
        picture.lines.append(line)
    for one in waiting:
        silent = picture.shared and said == one.what
        y += _CLOSE if silent else _STEP
        said = one.what
        words = "" if silent else one.what
        line = Line(y, home, place[one.who], words, "waits", one.state, url=one.url, result=one.state)
        line.beside = (f"{one.who} {one.party}".strip()) if picture.shared else ""
        picture.lines.append(line)
    # Long bars first, so that what happened within lies on top.
    picture.bars.sort(key=lambda bar: -bar.height)
    return picture


def _columns(
    legs: Sequence[Leg], waiting: Sequence[Waiting], askers: Sequence[str], asked: Sequence[str], us: str, ours: str
) -> tuple[Picture, dict[str, int]]:
    """Return an empty picture and where each platform stands; "" is us."""
    parties: dict[str, Counter[str]] = {}
    for who, party in [*((leg.who, leg.party) for leg in legs), *((one.who, one.party) for one in waiting)]:
        parties.setdefault(who, Counter())[party] += 1
    shared = len(asked) > MOST_COLUMNS
    columns: list[Column] = []
    place: dict[str, int] = {}

    def add(name: str, party: str, members: Iterable[str], *, our_own: bool = False) -> None:
        x = _FIRST + len(columns) * _COLUMN
        columns.append(Column(name, party, x, our_own))
        place.update(dict.fromkeys(members, x))

    for name in askers:
        add(name, _usual(parties[name]), [name])
    add(us, ours, [""], our_own=True)
    if shared:
        add(f"{len(asked)} receivers", "", asked)
    else:
        for name in asked:
            add(name, _usual(parties[name]), [name])
    return Picture(columns, shared=shared), place


def _events(legs: Sequence[Leg], *, one_line: set[str]) -> list[tuple[datetime, Leg, bool | None]]:
    """Return what happened in the order of time: (when, leg, whether it is the answer; None: both on one line)."""
    found: list[tuple[datetime, int, int, Leg, bool | None]] = []
    for number, leg in enumerate(legs):
        if leg.outgoing and leg.who in one_line:
            found.append((leg.at, number, 0, leg, None))
            continue
        found.append((leg.at, number, 0, leg, False))
        # What was asked within has been answered first, even if the clock says the same.
        found.append((leg.until, len(legs) - number, 1, leg, True))
    found.sort(key=lambda event: (event[0], event[2], event[1]))
    return [(moment, leg, answers) for moment, _, _, leg, answers in found]


def _named(leg: Leg) -> str:
    return f"{leg.who} {leg.party}".strip()


def _answered(leg: Leg) -> str:
    return leg.answer + (f" in {leg.milliseconds:,.1f} ms" if leg.milliseconds is not None else "")


def _usual(parties: Counter[str]) -> str:
    known = Counter({party: count for party, count in parties.items() if party})
    return known.most_common(1)[0][0] if known else ""


def _offset(passed: timedelta) -> str:
    """Return the time since the beginning, to the millisecond."""
    seconds = passed.total_seconds()
    if seconds < 60:
        return f"{seconds:.3f} s"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{seconds:06.3f}" if hours else f"{minutes}:{seconds:06.3f}"
