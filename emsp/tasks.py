"""What Celery runs for the eMSP; the rows decide, so all of it may run twice, at once or late (REL-07)."""

from __future__ import annotations

from celery import shared_task

from emsp.models import CDR
from emsp.modules import cdr_checks, chargingprofiles_sending, commands_sending, reservations
from ocpi import clock


@shared_task(ignore_result=True)
def check_cdr(cdr_id: int) -> None:
    """Price one CDR again."""
    cdr = CDR.objects.filter(pk=cdr_id).first()
    if cdr is not None:
        cdr_checks.check(cdr)


@shared_task(ignore_result=True)
def sweep() -> None:
    """Do what nobody was woken for: unchecked CDRs, and whatever was asked for and is over; every five seconds."""
    now = clock.now()
    cdr_checks.check_waiting()
    commands_sending.expire(now)
    chargingprofiles_sending.expire(now)
    reservations.end_old(now)
