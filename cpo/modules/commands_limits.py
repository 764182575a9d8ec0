"""How often a driver's token may start, and an EVSE be commanded: whoever asks more often is REJECTED (SEC-43).

What was refused does not count, so that somebody who asks without end still gets his share.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Q, QuerySet

from cpo import command_states
from cpo.models import Command
from cpo.modules import tokens
from cpo.modules.commands_plans import Asked, Plan
from ocpi import clock
from ocpi.headers import Address
from ocpi.v2_2_1.commands import CommandType

TOKEN_WINDOW = timedelta(minutes=10)
EVSE_WINDOW = timedelta(minutes=1)


def exceeded(asked: Asked, plan: Plan, members: Mapping[str, Any]) -> str:
    """Return which limit one more command would exceed, in words, or "" if it would none; `members` of its body.

    In the caller's transaction, which keeps the command: until its end no other command of this token, or to this
    EVSE, is counted. What is asked of a charge point without an EVSE counts as one more EVSE of it.
    """
    if asked.command is CommandType.START_SESSION and plan.id_tag and settings.OCPI_STARTS_PER_TOKEN:
        token = members["token"]
        _one_at_a_time(f"token {asked.sender.key} {token['uid'].upper()}")
        # A long uid has another name at charge points of OCPP 1.6 than at those of 2.0.1 (TOK-18).
        short = tokens.id_tag(Address(token["country_code"], token["party_id"]), token["type"], token["uid"])
        starts = _accepted(TOKEN_WINDOW).filter(
            Q(id_tag__iexact=token["uid"]) | Q(id_tag__iexact=short),
            command=CommandType.START_SESSION,
            country_code__iexact=asked.sender.country_code,
            party_id__iexact=asked.sender.party_id,
        )
        if starts.count() >= settings.OCPI_STARTS_PER_TOKEN:
            return f"This Token has started {settings.OCPI_STARTS_PER_TOKEN} sessions in ten minutes"
    if plan.charge_point is not None and settings.OCPI_COMMANDS_PER_EVSE:
        _one_at_a_time(f"EVSE {plan.evse.pk}" if plan.evse else f"charge point {plan.charge_point.pk}")
        commands = _accepted(EVSE_WINDOW).filter(charge_point=plan.charge_point, evse=plan.evse)
        if commands.count() >= settings.OCPI_COMMANDS_PER_EVSE:
            return f"This EVSE has had {settings.OCPI_COMMANDS_PER_EVSE} commands in a minute"
    return ""


def _accepted(window: timedelta) -> QuerySet[Command]:
    return Command.objects.filter(created_at__gt=clock.now() - window).exclude(state=command_states.REFUSED)


def _one_at_a_time(what: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('cpo_command_limit'), hashtext(%s))", [what])
