"""How a Session ends: a terminal status is the last word, and a CDR ends the Session it is for (QRK-27, QRK-28)."""

from __future__ import annotations

import logging

import msgspec

from emsp.models import CDR, Session
from ocpi import defects, documents, keeping
from ocpi.headers import Address

log = logging.getLogger(__name__)

COMPLETED = "COMPLETED"
TERMINAL = frozenset({COMPLETED, "INVALID"})
# Member of the Session, and of the CDR that says it for good.
_FINAL = {"end_date_time": "end_date_time", "kwh": "total_energy", "total_cost": "total_cost"}


def with_last_word(stored: Session | None, document: bytes) -> bytes:
    """Return a Session as it is to be kept, given the one that is stored.

    A change after the end is applied, and somebody should know (SES-14); but what has ended does not begin again.
    """
    if stored is None or stored.status not in TERMINAL:
        return document
    defects.noted(["SES-14 change after COMPLETED"])
    log.warning("Session %s changes after it was completed", stored)
    return _ended(document, stored.status)


def with_end_of_cdr(owner: Address, session_id: str, document: bytes) -> bytes:
    """Return a new Session as it is to be kept: if its CDR came before it, it is at its end already."""
    rows = CDR.objects.filter(
        session_id=session_id,
        country_code__iexact=owner.country_code,
        party_id__iexact=owner.party_id,
        credit_reference_id="",
    )
    return _ended(document, COMPLETED) if rows.exists() else document


def close(cdr: CDR) -> None:
    """End the Session that a new CDR is for, if it is still open; the CDR has the final figures.

    `last_updated` stays the owner's, so that its own last word about the Session is not refused as too old.
    """
    if cdr.credit_reference_id:
        return
    owner = Address(cdr.country_code, cdr.party_id)
    # Some leave the id of the Session out and give the CDR the same id.
    session = keeping.find(Session, owner=owner, object_id=cdr.session_id or cdr.object_id, lock=True)
    if session is None:
        defects.noted(["QRK-28 CDR without a Session"])
        return
    if session.status in TERMINAL:
        return
    defects.noted(["QRK-28 CDR of an open Session"])
    log.warning("Session %s is ended by its CDR", session)
    members = documents.members(cdr.document)
    final = {name: members[source] for name, source in _FINAL.items() if source in members}
    document = documents.last_updated_last(documents.set_members(session.document, {**final, "status": COMPLETED}))
    Session.objects.filter(pk=session.pk).update(document=document, status=COMPLETED)


def _ended(document: bytes, status: str) -> bytes:
    given = msgspec.json.decode(documents.members(document)["status"])
    if given in TERMINAL:
        return document
    defects.noted([f"QRK-27 {given} after {status}"])
    return documents.set_member(document, "status", status).encode()
