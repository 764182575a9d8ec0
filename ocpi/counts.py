"""How many rows a list has, without counting them, also for a range of time; and where in it an offset lies.

Triggers note each change: one more or one fewer, in which scope (whose list), in which second, in which block of ids.
Notes are only ever inserted, so writers never wait for each other. `compact` sums them up twice: into buckets of 1, 64,
64², 64³ and 64⁴ seconds, so that the total of any range of time is the sum of a few numbers, and into blocks of
neighbouring ids, with the time their rows span. Buckets, blocks and notes together are exact at every moment
(docs/adr/0010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

BLOCK_BITS = 12  # 4,096 ids are one block
STEP_BITS = 6  # each level of buckets is 64 times as wide as the one below
TOP = 4  # the widest buckets: 194 days
_EVER = 1 << 40  # seconds: beyond every moment there is

_BUCKETS = """
SELECT COALESCE(SUM(s.sign * b.amount), 0)
FROM unnest(%(kept)s::text[], %(signs)s::int[]) s(scope, sign),
     unnest(%(levels)s::smallint[], %(lows)s::bigint[], %(highs)s::bigint[]) r(level, low, high), ocpi_objectbucket b
WHERE b.relation = %(relation)s AND b.scope = s.scope AND b.level = r.level AND b.start >= r.low AND b.start < r.high
"""
_NOTES = """
SELECT COALESCE(SUM(s.sign * n.amount), 0)
FROM unnest(%(kept)s::text[], %(signs)s::int[]) s(scope, sign), ocpi_objectcount n
WHERE n.relation = %(relation)s AND {same} AND n.second >= %(first)s AND n.second < %(end)s
"""
_BLOCKS = """
SELECT number, SUM(amount)::bigint, MIN(first) FILTER (WHERE sign > 0), MAX(last) FILTER (WHERE sign > 0) FROM (
    SELECT b.block, s.sign, s.sign * b.amount, b.first, b.last
    FROM unnest(%(kept)s::text[], %(signs)s::int[]) s(scope, sign), ocpi_objectblock b
    WHERE b.relation = %(relation)s AND b.scope = s.scope
    UNION ALL
    SELECT n.block, s.sign, s.sign * n.amount, n.second, n.second
    FROM unnest(%(kept)s::text[], %(signs)s::int[]) s(scope, sign), ocpi_objectcount n
    WHERE n.relation = %(relation)s AND {same}
) each(number, sign, amount, first, last)
GROUP BY number HAVING SUM(amount) > 0 ORDER BY number
"""
# Blocks that may hold rows of a range of time: those that are known to, and those of whose changes only notes tell.
_TOUCHED = """
SELECT block FROM ocpi_objectblock
WHERE relation = %(relation)s AND scope = ANY(%(scopes)s) AND block >= %(from)s AND last >= %(low)s AND first < %(high)s
UNION SELECT block FROM ocpi_objectcount
WHERE relation = %(relation)s AND {scope} = ANY(%(scopes)s) AND block >= %(from)s
ORDER BY block
"""
# A scope "locations/17" is also part of the scope "locations".
_ALONE, _GROUPED = "n.scope = s.scope", "s.scope IN (n.scope, split_part(n.scope, '/', 1))"


@dataclass(frozen=True, slots=True)
class Kept:
    """Which kept counts make up a list."""

    relation: str
    scopes: tuple[str, ...]
    but: tuple[str, ...] = ()  # scopes whose rows are taken off again
    grouped: bool = False  # `scopes` are what stands before the slash

    @property
    def values(self) -> dict[str, Any]:
        signs = _array([1] * len(self.scopes) + [-1] * len(self.but))
        return {"relation": self.relation, "kept": [*self.scopes, *self.but], "signs": signs}

    @property
    def same(self) -> str:
        return _GROUPED if self.grouped else _ALONE


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring ids: how many rows of the list they hold, and between which seconds (never too narrow)."""

    number: int
    amount: int
    first: int
    last: int

    @property
    def start(self) -> int:
        return self.number << BLOCK_BITS


def total_sql(
    kept: Kept, first: int | None = None, end: int | None = None, *, name: str = ""
) -> tuple[str, dict[str, Any]]:
    """Return an SQL expression for the number of rows in the seconds [first, end), and its parameters.

    Two of them in one statement get different names for their parameters.
    """
    low, high = (-_EVER if first is None else first), (_EVER if end is None else end)
    found = ranges(low, high)
    values = kept.values | {
        "first": low,
        "end": high,
        **{name: _array(column) for name, column in zip(("levels", "lows", "highs"), _columns(found), strict=True)},
    }
    sql = f"(({_BUCKETS}) + ({_NOTES.format(same=kept.same)}))"
    return sql.replace(")s", f"{name})s"), {f"{key}{name}": value for key, value in values.items()}


def touched_sql(kept: Kept, *, since_id: int, first: int | None, end: int | None) -> tuple[str, dict[str, Any]]:
    """Return the SQL of the blocks that may hold rows of the seconds [first, end), in order, and its parameters.

    From the block on that holds `since_id`.
    """
    values = {
        "relation": kept.relation,
        "scopes": list(kept.scopes),
        "from": since_id >> BLOCK_BITS,
        "low": -_EVER if first is None else first,
        "high": _EVER if end is None else end,
    }
    sql = _TOUCHED.format(scope="split_part(scope, '/', 1)" if kept.grouped else "scope")
    return sql.replace(")s", "_block)s"), {f"{key}_block": value for key, value in values.items()}


def blocks(cursor: Any, kept: Kept) -> list[Block]:
    """Return the blocks with rows of a list, in order."""
    cursor.execute(_BLOCKS.format(same=kept.same), kept.values)
    return [Block(*row) for row in cursor.fetchall()]


def ranges(low: int, high: int) -> Sequence[tuple[int, int, int]]:
    """Return the fewest buckets that make up the seconds [low, high), as (level, first start, start behind)."""
    found: list[tuple[int, int, int]] = []
    for level in range(TOP):
        if low >= high:
            return found
        # What does not fill a wider bucket, at either end, is counted here; the rest on the next level.
        inner, outer = -(-low >> STEP_BITS), high >> STEP_BITS
        if inner >= outer:
            return [*found, (level, low, high)]
        found += [(level, begin, end) for begin, end in ((low, inner << STEP_BITS), (outer << STEP_BITS, high))
                  if begin < end]  # fmt: skip
        low, high = inner, outer
    return [*found, (TOP, low, high)] if low < high else found


def _columns(rows: Sequence[tuple[int, int, int]]) -> Sequence[Sequence[int]]:
    return list(zip(*rows, strict=True)) or [(), (), ()]


def _array(numbers: Sequence[int]) -> str:
    # As text: numbers in a list are adapted one by one, which takes longer than the statement.
    return f"{{{','.join(map(str, numbers))}}}"


# ---------------------------------------------------------------- summed up

_COMPACT = f"""
WITH gone AS (
    DELETE FROM ocpi_objectcount WHERE id <= COALESCE(
        (SELECT id FROM ocpi_objectcount ORDER BY id OFFSET %(batch)s LIMIT 1), 9223372036854775807)
    RETURNING relation, scope, block, second, amount
),
each AS (
    SELECT relation, scope, block, second, amount FROM gone
    UNION ALL
    SELECT relation, split_part(scope, '/', 1), block, second, amount FROM gone WHERE strpos(scope, '/') > 0
),
bucketed AS (
    INSERT INTO ocpi_objectbucket AS b (relation, scope, level, start, amount)
    SELECT relation, scope, level, second >> ({STEP_BITS} * level), SUM(amount)
    FROM each, generate_series(0, {TOP}) level GROUP BY 1, 2, 3, 4 HAVING SUM(amount) <> 0
    ON CONFLICT (relation, scope, level, start) DO UPDATE SET amount = b.amount + EXCLUDED.amount
),
blocked AS (
    INSERT INTO ocpi_objectblock AS b (relation, scope, block, amount, first, last)
    SELECT relation, scope, block, SUM(amount), MIN(second), MAX(second) FROM each GROUP BY 1, 2, 3
    ON CONFLICT (relation, scope, block) DO UPDATE SET amount = b.amount + EXCLUDED.amount,
        first = LEAST(b.first, EXCLUDED.first), last = GREATEST(b.last, EXCLUDED.last)
)
SELECT COUNT(*) FROM gone
"""  # noqa: S608 - numbers of ours


def compact(*, batch: int = 20_000) -> int:
    """Sum the notes up; return how many. Two at once do no harm: the second does nothing.

    The oldest first: a row is never taken off before it was added, so a block that has come to nothing is empty.
    """
    done: int = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('ocpi_objectcount'))")
            if not cursor.fetchone()[0]:
                return done
            cursor.execute(_COMPACT, {"batch": batch})
            count = int(cursor.fetchone()[0])
            if count:
                cursor.execute("DELETE FROM ocpi_objectbucket WHERE amount = 0")
                cursor.execute("DELETE FROM ocpi_objectblock WHERE amount = 0")
        done += count
        if count <= batch:
            return done


# ---------------------------------------------------------------- what the first migrations made; replaced since


def migration_sql(table: str, scope: str = "''") -> str:
    """Return the SQL that kept one number per scope; `scope` is an SQL expression over the row's columns."""
    return f"""
    CREATE FUNCTION count_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'DELETE' THEN
            INSERT INTO ocpi_objectcount (relation, scope, amount)
            SELECT '{table}', {scope}, COUNT(*) FROM added GROUP BY 2;
        END IF;
        IF TG_OP <> 'INSERT' THEN
            INSERT INTO ocpi_objectcount (relation, scope, amount)
            SELECT '{table}', {scope}, -COUNT(*) FROM removed GROUP BY 2;
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER count_added AFTER INSERT ON {table}
        REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_{table}();
    CREATE TRIGGER count_removed AFTER DELETE ON {table}
        REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_{table}();
    """  # noqa: S608 - names of ours


def scope_change_sql(table: str, scope: str, columns: str) -> str:
    """Return the SQL for a table whose rows moved between scopes when one of these columns changed."""
    old = _of("OLD", scope, columns)
    new = _of("NEW", scope, columns)
    return f"""
    CREATE FUNCTION recount_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO ocpi_objectcount (relation, scope, amount) VALUES ('{table}', {old}, -1), ('{table}', {new}, 1);
        RETURN NULL;
    END $$;
    CREATE TRIGGER count_moved AFTER UPDATE ON {table} FOR EACH ROW
        WHEN (({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION recount_{table}();
    """  # noqa: S608 - names of ours


def reverse_sql(table: str) -> str:
    """Return the SQL that takes the triggers away again."""
    return f"DROP FUNCTION IF EXISTS count_{table}() CASCADE; DROP FUNCTION IF EXISTS recount_{table}() CASCADE;"


def _of(row: str, scope: str, columns: str) -> str:
    for column in columns.split(","):
        scope = scope.replace(column.strip(), f"{row}.{column.strip()}")
    return scope
