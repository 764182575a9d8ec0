"""Dispute a CDR: who said what about it, and how it ended. The CDR itself stays as it is (PRI-105, REL-46).

OCPI knows no disputes: what an operator agrees with the CPO by other means is written down here, and a Credit CDR that
takes the CDR back ends the dispute by itself (ocpi/cdr_reviews.py).
"""

from __future__ import annotations

from django.db import transaction

from ocpi import audit
from ocpi.models import CdrNote, CdrReview

Dispute = CdrReview.Dispute
_FROM: dict[str, frozenset[str]] = {
    Dispute.OPEN: frozenset({Dispute.NONE, Dispute.WITHDRAWN}),
    Dispute.AGREED: frozenset({Dispute.OPEN}),
    Dispute.WITHDRAWN: frozenset({Dispute.OPEN, Dispute.AGREED}),
}


class NotPossible(Exception):
    """The dispute cannot become that now; the message is for the operator."""


def move(pk: int, to: str, *, by: str, text: str) -> None:
    """Open, agree or withdraw the dispute of a CDR, with a word why.

    :raises NotPossible: if there is no word, or it cannot become that from what it is.
    """
    if not text.strip():
        raise NotPossible("Say why")
    with transaction.atomic():
        row = CdrReview.objects.select_for_update().get(pk=pk)
        if row.dispute not in _FROM.get(to, frozenset()):
            raise NotPossible(f"{row} is {row.get_dispute_display()}")
        if to == Dispute.OPEN and (row.taken_back or row.credit_reference_id):
            raise NotPossible(f"{row} is a Credit CDR, or taken back by one")
        CdrReview.objects.filter(pk=pk).update(dispute=to)
        CdrNote.objects.create(review=row, by=by, dispute=to, text=text.strip()[:1000])
        audit.record(f"cdr.dispute.{to.lower()}", actor=by, about=str(row), details={"why": text.strip()[:300]})


def note(pk: int, *, by: str, text: str) -> None:
    """Write something down about a CDR.

    :raises NotPossible: if it is nothing.
    """
    if not text.strip():
        raise NotPossible("Write something")
    CdrNote.objects.create(review_id=pk, by=by, text=text.strip()[:1000])
