"""What follows from the outcomes of tries: rows are settled, Locations follow their EVSEs, platforms back off."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable

from django.db import DatabaseError, transaction

from ocpi import database_trouble, health, outbox, outbox_settle, stored
from ocpi.headers import Address
from ocpi.outbox_rows import Ended, Outcome

log = logging.getLogger(__name__)


def write(outcomes: list[Outcome]) -> set[int]:
    """Settle outcomes in one transaction; return those (by id()) whose rows somebody is changing."""
    try:
        if all(outcome.ended is Ended.DELIVERED for outcome in outcomes):
            return {id(outcome) for outcome in outbox_settle.settle(outcomes)}  # one statement is one transaction
        with transaction.atomic():
            locked = {id(outcome) for outcome in outbox_settle.settle(outcomes)}
            _send_parents(outcome for outcome in outcomes if id(outcome) not in locked)
            return locked
    except DatabaseError as error:
        if database_trouble.passes(error):
            raise  # the database is away: all of them wait
        if len(outcomes) > 1:
            return {found for outcome in outcomes for found in write([outcome])}
        # Nothing an answer says may keep its row in the lane for ever.
        log.exception("what came of delivery %s cannot be stored", outcomes[0].row.id)
        return {
            id(outcomes[0])
            for _ in outbox_settle.settle([Outcome(outcomes[0].row, Ended.LATER, error="the answer cannot be stored")])
        }


def _send_parents(outcomes: Iterable[Outcome]) -> None:
    """Who does not know the Location of an EVSE gets the whole Location."""
    for row in (outcome.row for outcome in outcomes if outcome.ended is Ended.PARENT):
        parent = stored.parent_of(row.source, row.source_id or 0)
        if parent is None:
            log.error("platform %s knows nothing of %s, and it is a part of nothing", row.platform_id, row.path)
            continue
        outbox.mark(
            [outbox.Recipient(row.platform_id, _address(row.to_country_code, row.to_party_id),
                              _address(row.from_country_code, row.from_party_id))],
            module=row.module, source=parent[0], source_id=parent[1], path=row.path.rpartition("/")[0],
            order_key=row.order_key, correlation_id=row.correlation_id,
        )  # fmt: skip


def _address(country_code: str, party_id: str) -> Address | None:
    return Address(country_code, party_id) if country_code else None


def report_health(outcomes: Iterable[Outcome], *, unwell: Collection[int]) -> None:
    """Tell how the platforms did, from outcomes in the order in which they came.

    Any success resets the count of failures (REL-26), also one that came in the same moment: a platform that fails
    three of a hundred calls, drained in four slots, is not OFFLINE by the chance of how outcomes were gathered.

    :param unwell: the platforms that were not known to be well when their calls began.
    """
    by_platform: dict[int, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_platform[outcome.row.platform_id].append(outcome)
    health.all_succeeded(
        {
            platform_id: elapsed
            for platform_id, found in by_platform.items()
            if (elapsed := _answered_in(found)) is not None
        },
        unwell={*unwell, *(each for each, found in by_platform.items() if any(map(_failed, found)))},
    )
    for platform_id, found in by_platform.items():
        _report_failures(platform_id, found)


def _answered_in(found: Collection[Outcome]) -> float | None:
    """Return the seconds that the answers of one platform took on average, if they say that it is well."""
    if any(outcome.ended is Ended.PAUSED for outcome in found):
        return None
    times = [outcome.elapsed for outcome in found if not _failed(outcome) and outcome.elapsed is not None]
    return sum(times) / len(times) if times else None


def _failed(outcome: Outcome) -> bool:
    return outcome.ended is Ended.FAILED


def _report_failures(platform_id: int, found: list[Outcome]) -> None:
    """Tell what did not go well with one platform."""
    paused = next((outcome for outcome in found if outcome.ended is Ended.PAUSED), None)
    if paused is not None:
        health.pause(platform_id, f"it refuses our token: {paused.error}")
        return
    failures = [outcome for outcome in found if _failed(outcome)]
    if not failures:
        return
    last = next(outcome for outcome in reversed(found) if _failed(outcome) or outcome.elapsed is not None)
    asks_for_rest = next((outcome for outcome in failures if outcome.retry_after), None)
    if asks_for_rest is not None or _failed(last):
        failed = asks_for_rest or last
        health.failed(platform_id, failed.error, retry_after=failed.retry_after)
