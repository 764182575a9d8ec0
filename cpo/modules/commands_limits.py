"""How often a driver's token may start, and an EVSE be commanded: whoever asks more often is REJECTED (SEC-43).

What was refused does not count, so that somebody who asks without end still gets his share.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet

from cpo import command_states
from cpo.models import Command
from cpo.modules.commands_plans import Asked, Plan
from ocpi import clock
from ocpi.v2_2_1.commands import CommandType

TOKEN_WINDOW = timedelta(minutes=10)
EVSE_WINDOW = timedelta(minutes=1)


def exceeded(asked: Asked, plan: Plan) -> str:
    """Return which limit one more command would exceed, in words, or "" if it would none.

    In the caller's transaction, which keeps the command: until its end no other command of this token, or to this
    EVSE, is counted.
    """
    if asked.command is CommandType.START_SESSION and plan.id_tag and settings.OCPI_STARTS_PER_TOKEN:
        _one_at_a_time(f"token {asked.sender} {plan.id_tag.upper()}")
        starts = _accepted(TOKEN_WINDOW).filter(
            command=CommandType.START_SESSION,
            country_code__iexact=asked.sender.country_code,
            party_id__iexact=asked.sender.party_id,
            id_tag__iexact=plan.id_tag,
        )
        if starts.count() >= settings.OCPI_STARTS_PER_TOKEN:
            return f"This Token has started {settings.OCPI_STARTS_PER_TOKEN} sessions in ten minutes"
    if plan.evse is not None and settings.OCPI_COMMANDS_PER_EVSE:
        _one_at_a_time(f"EVSE {plan.evse.pk}")
        if _accepted(EVSE_WINDOW).filter(evse=plan.evse).count() >= settings.OCPI_COMMANDS_PER_EVSE:
            return f"This EVSE has had {settings.OCPI_COMMANDS_PER_EVSE} commands in a minute"
    return ""


def _accepted(window: timedelta) -> QuerySet[Command]:
    return Command.objects.filter(created_at__gt=clock.now() - window).exclude(state=command_states.REFUSED)


def _one_at_a_time(what: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('cpo_command_limit'), hashtext(%s))", [what])
