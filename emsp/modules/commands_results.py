"""Take the CommandResult of a command we sent, and find the Session that it led to."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import transaction
from django.db.models import Min

from emsp import command_states
from emsp.models import Command, Reservation, Session
from emsp.modules import asking, commands_sending, reservations
from ocpi import clock, defects, documents, status
from ocpi.v2_2_1 import commands as schema

log = logging.getLogger(__name__)


def take_result(command: str, key: str, body: bytes, *, platform_id: int) -> None:
    """Take the CommandResult that was posted to a response_url of ours, by the platform we had asked.

    :raises UnknownObject: if the URL is not, or no longer, one of ours (CMD-21).
    :raises InvalidParameters: if the body is no CommandResult.
    """
    now = clock.now()
    with transaction.atomic():
        rows = Command.objects.select_for_update(of=("self",)).select_related("reservation")
        row = rows.filter(key=key, command__iexact=command, platform_id=platform_id).first()
        if row is None or not _awaited(row, now):
            raise status.UnknownObject
        checked = defects.taken(schema.check_leniently(asking.unwrapped(body), "CommandResult"))
        result = str(documents.get(checked, "result"))
        canceled = result == reservations.CANCELED_RESERVATION and reservations.lives(row, now)
        if row.state == "DONE" and not canceled:
            log.warning("%s %s has its result %s already; %s came too", row.command, row.pk, row.result, result)
            return
        event = "reported" if reservations.lives(row, now) else "result"
        message = asking.texts(documents.get(checked, "message"))
        commands_sending.move(row, event, result=result, result_at=now, message=message)
        reservations.told(row)


def session_of(command: Command) -> Session | None:
    """Return the Session that a command started: it is the proof, whatever the result said (CMD-23, QRK-30).

    It says so with the command's authorization_reference (CMD-30). Some give the Token's uid there, or nothing; then
    it is the first Session of that Token at that CPO and Location since. One may be older than the command: that of a
    reservation, which the start takes over (SES-16).
    """
    if not command.authorization_reference:
        return None
    cpo = {"country_code__iexact": command.country_code, "party_id__iexact": command.party_id}
    found = Session.objects.filter(**cpo, created_at__gte=_reserved_since(command, cpo)).order_by("id")
    marked = found.filter(document__contains=command.authorization_reference).last()
    if marked is not None or command.token is None:
        return marked
    location_id = str(documents.get(command.request, "location_id")).upper()
    since = found.filter(created_at__gte=command.created_at)
    for session in since.filter(token_uid__iexact=command.token.uid)[:20]:
        reference = documents.get(session.document, "authorization_reference") or ""
        unmarked = reference.upper() in ("", command.token.uid.upper())
        if unmarked and str(documents.get(session.document, "location_id")).upper() == location_id:
            return session
    return None


def _reserved_since(command: Command, cpo: dict[str, str]) -> datetime:
    """Return since when a place was held for the Token of a command that came later, or when the command was given."""
    held = Reservation.objects.filter(
        **cpo, token=command.token_id or 0, created_at__lte=command.created_at, expiry_date__gte=command.created_at
    )
    first: datetime | None = held.aggregate(first=Min("created_at"))["first"]
    return first or command.created_at


def _awaited(row: Command, now: datetime) -> bool:
    """Say whether something may still be posted to a command's response_url."""
    if reservations.lives(row, now):
        return command_states.takes(row.state, "reported")
    if row.state == "DONE":  # a second result is only logged, while the URL lives (CMD-21)
        return row.deadline_at is None or now <= row.deadline_at
    return command_states.takes(row.state, "result")
