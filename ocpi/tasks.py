"""What Celery runs for the protocol: it wakes and it keeps time, the rows decide (REL-07). All of it may run twice."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from celery import shared_task
from celery.signals import worker_init, worker_process_shutdown, worker_shutdown, worker_shutting_down

from ocpi import (
    audit_witness,
    counts,
    exchange_partitions,
    outbox_care,
    outbox_engine,
    outbox_probe,
    outbox_wake,
    pull,
    pull_plan,
    pull_rows,
    traffic,
)
from ocpi.modules import renewal

# Seconds until the next round finds it again.
_PULL_WAITS = 10
_RENEWAL_WAITS = 3600
# Python's threads take turns at this pace: who comes back from the database or a platform is not to wait 5 ms for each.
_TURN_SECONDS = 0.0005


@shared_task(ignore_result=True, Strategy="ocpi.drain_strategy:at_once")  # type: ignore[call-overload, untyped-decorator, unused-ignore]
def drain(awake: Sequence[Sequence[int]]) -> None:
    """Send what is due in these lanes, each a platform's id and a slot."""
    found = [(platform_id, slot) for platform_id, slot in awake]
    outbox_wake.awake(found)
    outbox_engine.engine().sender.wake(found)


@shared_task(ignore_result=True)
def sweep() -> None:
    """Find what nobody was woken for, and what time alone brings about; each second."""
    outbox_engine.engine().sweep()


@shared_task(ignore_result=True)
def probe() -> None:
    """Ask platforms that are OFFLINE or silent; every five seconds."""
    outbox_probe.probe()


@shared_task(ignore_result=True)
def pulls() -> None:
    """Have what is due pulled, each list by a task of its own, so that none waits for another; every ten seconds."""
    for cursor_id in pull_rows.due(pull_plan.lists()):
        run_pull.apply_async(args=(cursor_id,), expires=_PULL_WAITS, retry=False)


@shared_task(ignore_result=True)
def run_pull(cursor_id: int) -> None:
    """Read pages of one list for some seconds; what is left of it, or the platform's next list, is due at once."""
    row = pull.run(cursor_id)
    if row is None or row.failures:
        return
    # One list of a platform at a time (REL-20): the others that are due found it busy.
    following = [cursor_id] if row.page_url else pull_rows.due(pull_plan.lists(platform_id=row.platform_id), most=1)
    for next_id in following:
        run_pull.apply_async(args=(next_id,), expires=_PULL_WAITS, retry=False)


@shared_task(ignore_result=True)
def limit_backlog() -> None:
    """Keep the backlog of one platform from growing without end; each minute."""
    outbox_care.limit_backlog()


@shared_task(ignore_result=True)
def note_audit() -> None:
    """Note outside the database where the audit trail ends; each minute (SEC-56)."""
    audit_witness.note()


@shared_task(ignore_result=True)
def compact_counts() -> None:
    """Sum up the notes of the kept counts; every ten seconds."""
    counts.compact()
    traffic.compact()


@shared_task(ignore_result=True)
def make_partitions() -> None:
    """Make the exchange partitions of the next days, drop the old ones, keep to the disk budget; every ten minutes."""
    exchange_partitions.care()


@shared_task(ignore_result=True)
def forget_finished() -> None:
    """Remove finished deliveries, and invalid objects of pulls, that are old enough; each hour."""
    outbox_care.forget_finished()
    pull_rows.forget_old()


@shared_task(ignore_result=True)
def review_cdrs() -> None:
    """Review the CDRs that came, passed or were issued since; every five seconds."""
    from ocpi import cdr_reviews

    cdr_reviews.review_due()


@shared_task(ignore_result=True)
def issue_statements() -> None:
    """Issue the statements of the month that is over, once; each hour."""
    from ocpi import statements

    statements.issue_due()


@shared_task(ignore_result=True)
def renew_tokens() -> None:
    """Have the tokens that are old enough renewed, each by a task of its own, so that none waits for another (SEC-07,
    CRED-36, REL-20); each hour.
    """
    for platform_id in renewal.due():
        renew_token.apply_async(args=(platform_id,), expires=_RENEWAL_WAITS, retry=False)


@shared_task(ignore_result=True)
def renew_token(platform_id: int) -> None:
    """Renew the token of one platform, if it is still due: this task may run twice."""
    if platform_id in renewal.due():
        renewal.renew(platform_id)


def _start(**_kwargs: Any) -> None:
    sys.setswitchinterval(_TURN_SECONDS)
    outbox_engine.engine().sweep_soon()


def _stop(**_kwargs: Any) -> None:
    outbox_engine.stop()


def _stop_soon(*_arguments: Any, **_kwargs: Any) -> None:
    pull.stop()
    outbox_engine.stop_soon()


# A worker sends from its first moment on, also while there is no broker to be ready with (REL-04); at its end calls in
# flight finish and the lanes are free (REL-56).
worker_init.connect(_start, weak=False)
worker_shutting_down.connect(_stop_soon, weak=False)
worker_shutdown.connect(_stop, weak=False)
worker_process_shutdown.connect(_stop, weak=False)
