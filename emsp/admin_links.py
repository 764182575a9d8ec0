"""What leads from a Session to its commands, reservation and CDR, and back."""

from __future__ import annotations

from typing import Any

from django.db.models import Q

from emsp.models import CDR, ChargingProfileRequest, Command, Session
from emsp.modules import commands_results
from ocpi.admin_links import link, links
from ocpi.admin_pages import Rows, badged, member

_MOST = 20


class RequestRows(Rows):
    """Charging profiles that were asked for at a Session, the newest first."""

    model = ChargingProfileRequest
    verbose_name_plural = "charging profiles asked for"
    hide_title = False
    fields = ("created_at", "kind", "show_state", "response", "result", "result_at")
    ordering = ("-id",)
    show_change_link = True
    per_page = 20
    show_state = badged("state")


def commands_of(session: Session) -> str:
    """Return links to the commands that started, stopped or reserved a Session, the newest first."""
    which = Q(session_id=session.object_id)
    if reference := member(session.document, "authorization_reference"):
        which |= Q(authorization_reference=reference)
    party = {"country_code__iexact": session.country_code, "party_id__iexact": session.party_id}
    return links(Command.objects.filter(which, **party).order_by("-id")[:_MOST])


def cdrs_of(session: Session) -> str:
    """Return links to the CDRs of a Session."""
    return links(_same_party(CDR, session).filter(session_id=session.object_id).order_by("id")[:_MOST])


def session_named(row: Any) -> str:
    """Return a link to the Session that a row names, or the id if that Session never came."""
    found = _same_party(Session, row).filter(object_id__iexact=row.session_id).first() if row.session_id else None
    return link(found) if found is not None else row.session_id or "–"


def session_started(command: Command) -> str:
    """Return a link to the Session that a command started."""
    found = commands_results.session_of(command)
    return link(found) if found is not None else "–"


def _same_party(model: Any, row: Any) -> Any:
    return model.objects.filter(country_code__iexact=row.country_code, party_id__iexact=row.party_id)
