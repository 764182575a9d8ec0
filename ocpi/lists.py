"""Stored documents as text: pages of them, and their exact number, at a cost that does not grow with the table.

The order is that of creation (ids). An unfiltered page walks the index (scope, id) from the key before it, or from the
block of ids its offset lies in. With `date_from` or `date_to`, few matches are read from the index (scope, moment) and
sorted; many are walked block by block, past the blocks whose rows all changed at another time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from ocpi import counts
from ocpi.counts import BLOCK_BITS, Block, Kept
from ocpi.pagination import Page

FEW = 4000  # matches that are sorted rather than walked
NEAR = 1 << BLOCK_BITS  # an offset that is skipped row by row
MERGED = 8  # scopes whose rows are merged; with more, blocks are walked
_EDGE = 2000  # rows of a part of a second that are counted one by one before its other part is
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Listing:
    """A table of documents as a Sender interface shows it. All parts are SQL of ours, never a partner's text.

    The table has what `list_sql.listed` makes: a column `scope`, counted, and indexes (scope, id) and (scope, moment).
    """

    table: str
    scopes: tuple[str, ...]  # whose lists make up this one
    text: str = "o.document"  # the JSON text of row `o`
    moment: str = "o.last_updated"  # what date_from and date_to are held against
    where: tuple[str, ...] = ()  # finds the rows, if not by their scopes; no row by two of them
    parameters: Mapping[str, Any] = field(default_factory=dict)
    but: tuple[str, ...] = ()  # counted scopes that `where` leaves out
    grouped: bool = False  # `scopes` are groups of counted scopes
    note: str = ""  # SQL of what else is to be known of row `o`, at the moment its text is read

    @property
    def kept(self) -> Kept:
        return Kept(self.table, self.scopes, self.but, self.grouped)


@dataclass(frozen=True, slots=True)
class Found:
    documents: list[str]
    total: int
    last_key: int | None
    notes: list[str | None] = field(default_factory=list)


def fetch(listing: Listing, page: Page) -> Found:
    """Return one page, oldest first (TRN-074, TRN-075), and the number of all that match (TRN-068)."""
    if not listing.scopes:
        return Found([], 0, None)
    with connection.cursor() as cursor:
        asked = _Asked(cursor, listing, page)
        total = asked.total() if page.total is None else page.total
        rows = asked.rows(total) if page.offset < total else []
    notes = [row[2] for row in rows] if listing.note else []
    return Found([row[1] for row in rows], total, rows[-1][0] if rows else None, notes)


class _Asked:
    """One page that is asked for."""

    def __init__(self, cursor: Any, listing: Listing, page: Page) -> None:
        self.cursor, self.listing, self.page = cursor, listing, page
        self.visible = listing.where or ("o.scope = ANY(%(scopes)s)",)
        self.span = _Span.of(page)
        self.dates = self.span.condition(listing.moment)
        self.values: dict[str, Any] = {
            **listing.parameters,
            **{f"scope{number}": scope for number, scope in enumerate(listing.scopes)},
            **self.span.values,
            "scopes": list(listing.scopes),
            "after": page.after or 0,
            "offset": 0 if page.after is not None else page.offset,
            "limit": page.limit,
        }

    # ------------------------------------------------ how many

    def total(self) -> int:
        """Return the number of all that match: kept numbers for whole seconds, the parts at the edges counted."""
        if self.span.within_a_second:
            sql = self._count(self.dates)
        else:
            whole, values = counts.total_sql(self.listing.kept, self.span.first, self.span.end)
            self.values |= values
            sql = " + ".join((whole, *(self._edge(*edge) for edge in self.span.edges)))
        self.cursor.execute(f"SELECT {sql}", self.values)
        return int(self.cursor.fetchone()[0])

    def _edge(self, second: int, part: str, other: str) -> str:
        """Return the number of rows in a part of a second; if they are many, what the other part leaves of all."""
        whole, values = counts.total_sql(self.listing.kept, second, second + 1, name=f"_{second}")
        self.values |= values
        moment = self.listing.moment
        rows = self._each(part.format(moment), f" LIMIT {_EDGE + 1}")
        return (
            f"(SELECT CASE WHEN part.amount <= {_EDGE} THEN part.amount "  # noqa: S608 - our own names, values are parameters
            f"ELSE {whole} - {self._count(other.format(moment))} END "
            f"FROM (SELECT COUNT(*) amount FROM ({rows}) counted) part)"
        )

    def _count(self, dates: str) -> str:
        each = (f"(SELECT COUNT(*) FROM {self.listing.table} o WHERE {found}{dates})" for found in self.visible)  # noqa: S608
        return f"({' + '.join(each)})"

    def _each(self, dates: str, end: str = "") -> str:
        """Return the SQL of the ids of all rows, in no order."""
        table = self.listing.table
        return " UNION ALL ".join(f"(SELECT o.id FROM {table} o WHERE {found}{dates}{end})" for found in self.visible)  # noqa: S608

    # ------------------------------------------------ which

    def rows(self, total: int) -> list[tuple[Any, ...]]:
        """Return ids and texts of the page. Ids first: documents of rows that are skipped are never touched."""
        if not self.dates and len(self.listing.scopes) <= MERGED:
            ids = self._walked()
        elif self.dates and total <= FEW:
            ids = self._sorted()
        else:
            ids = self._walked_in_blocks()
        table = self.listing.table
        text = ", ".join(filter(None, (self.listing.text, self.listing.note)))
        self.cursor.execute(
            f"WITH page AS MATERIALIZED ({ids} OFFSET %(offset)s LIMIT %(limit)s) "  # noqa: S608
            f"SELECT o.id, {text} FROM page JOIN {table} o ON o.id = page.id ORDER BY o.id",
            self.values,
        )
        return list(self.cursor.fetchall())

    def _walked(self) -> str:
        """Return the SQL of the ids from a key on."""
        if self.page.after is None and self.page.offset > NEAR:
            self._skip_blocks(counts.blocks(self.cursor, self.listing.kept))
        return self._in_order("")

    def _in_order(self, within: str) -> str:
        """Return the SQL of the ids behind `after`; the rows of several scopes are merged.

        Each scope in its order and no further than needed: left to itself, the database may sort whole scopes.
        """
        conditions = list(self.visible)
        if not self.listing.where and len(self.listing.scopes) <= MERGED:
            conditions = [f"o.scope = %(scope{number})s" for number in range(len(self.listing.scopes))]
        each = " UNION ALL ".join(
            f"(SELECT o.id FROM {self.listing.table} o WHERE {condition}{within} AND o.id > %(after)s "  # noqa: S608
            "ORDER BY o.id LIMIT %(offset)s + %(limit)s)"
            for condition in conditions
        )
        return f"SELECT each.id FROM ({each}) each ORDER BY each.id"  # noqa: S608

    def _skip_blocks(self, blocks: list[Block]) -> None:
        """Begin at the block in which the offset lies."""
        for block in blocks:
            if self.values["offset"] < block.amount:
                self.values["after"] = block.start - 1
                return
            self.values["offset"] -= block.amount

    def _sorted(self) -> str:
        """Return the SQL of the ids when few match."""
        return (
            f"SELECT id FROM (SELECT id FROM ({self._each(self.dates)}) each OFFSET 0) few "  # noqa: S608
            "WHERE id > %(after)s ORDER BY id"
        )

    def _walked_in_blocks(self) -> str:
        """Return the SQL of the ids when many match: from the blocks that may hold some, in their order."""
        if self.page.after is None and self.page.offset > 0:
            found = self._skip_matches(counts.blocks(self.cursor, self.listing.kept))
            self.values["blocks"] = [block.number for block in found]
            blocks = "unnest(%(blocks)s::bigint[]) WITH ORDINALITY block(number, place)"
        else:
            first, end = self.span.touched
            sql, values = counts.touched_sql(self.listing.kept, since_id=self.page.after or 0, first=first, end=end)
            self.values |= values
            blocks = f"(SELECT block, block FROM ({sql}) each) block(number, place)"  # noqa: S608
        inside = self._in_order(f"{self.dates} AND {_IN_BLOCK}")
        return (
            f"SELECT inside.id FROM {blocks} CROSS JOIN LATERAL ({inside} LIMIT %(offset)s + %(limit)s) inside "  # noqa: S608
            "ORDER BY block.place, inside.id"
        )

    def _skip_matches(self, blocks: list[Block]) -> list[Block]:
        """Return the blocks from the one in which the offset lies; rows are counted in blocks that match in part."""
        blocks = [block for block in blocks if self.span.meets(block.first, block.last)]
        partly = [block.number for block in blocks if not self.span.covers(block.first, block.last)]
        matches = {}
        if partly:
            self.cursor.execute(
                f"SELECT number, {self._count(f'{self.dates} AND {_IN_BLOCK}')} "  # noqa: S608
                "FROM unnest(%(partly)s::bigint[]) block(number)",
                {**self.values, "partly": partly},
            )
            matches = dict(self.cursor.fetchall())
        for index, block in enumerate(blocks):
            amount = matches.get(block.number, block.amount)
            if self.values["offset"] < amount:
                return blocks[index:]
            self.values["offset"] -= amount
        return []


_IN_BLOCK = f"o.id >= block.number << {BLOCK_BITS} AND o.id < (block.number + 1) << {BLOCK_BITS}"


@dataclass(frozen=True, slots=True)
class _Span:
    """The range of time of a list, [low, high), and the whole seconds in it, [first, end)."""

    low: datetime | None
    high: datetime | None
    first: int | None
    end: int | None

    @classmethod
    def of(cls, page: Page) -> _Span:
        low, high = page.date_from, page.date_to
        return cls(low, high, None if low is None else _ceiling(low), None if high is None else _floor(high))

    @property
    def within_a_second(self) -> bool:
        return self.first is not None and self.end is not None and self.first > self.end

    @property
    def touched(self) -> tuple[int | None, int | None]:
        """Return the seconds any part of which lies in the range, [first, end)."""
        return (None if self.low is None else _floor(self.low), None if self.high is None else _ceiling(self.high))

    @property
    def values(self) -> dict[str, Any]:
        found: dict[str, Any] = {"low": self.low, "high": self.high}
        if self.first is not None:
            found |= {"low_floor": _moment(self.first - 1), "low_ceiling": _moment(self.first)}
        if self.end is not None:
            found |= {"high_floor": _moment(self.end), "high_ceiling": _moment(self.end + 1)}
        return found

    @property
    def edges(self) -> list[tuple[int, str, str]]:
        """Return for each edge inside a second: the second, its part in the range, and its other part."""
        found = []
        if self.first is not None and self.low != _moment(self.first):
            found.append((self.first - 1, _between("low", "low_ceiling"), _between("low_floor", "low")))
        if self.end is not None and self.high != _moment(self.end):
            found.append((self.end, _between("high_floor", "high"), _between("high", "high_ceiling")))
        return found

    def condition(self, moment: str) -> str:
        low = "" if self.low is None else f" AND {moment} >= %(low)s"
        return low if self.high is None else f"{low} AND {moment} < %(high)s"

    def meets(self, first: int, last: int) -> bool:
        """Say whether rows of these seconds may lie in the range."""
        low, high = self.touched
        return (low is None or last >= low) and (high is None or first < high)

    def covers(self, first: int, last: int) -> bool:
        """Say whether all rows of these seconds do."""
        return (self.first is None or first >= self.first) and (self.end is None or last < self.end)


def _between(low: str, high: str) -> str:
    return f" AND {{0}} >= %({low})s AND {{0}} < %({high})s"


def _floor(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(seconds=1)


def _ceiling(moment: datetime) -> int:
    return -((_EPOCH - moment) // timedelta(seconds=1))


def _moment(second: int) -> datetime:
    return _EPOCH + timedelta(seconds=second)
