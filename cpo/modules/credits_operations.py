"""A CDR that was wrong: taken back by a Credit CDR, and issued anew under another id (OCPI 2.2.1, Credit CDRs)."""

from __future__ import annotations

import logging
import uuid

from django.db import IntegrityError, transaction

from cpo.models import CDR, Transaction
from cpo.modules import cdrs_operations as cdrs
from cpo.modules import locations_operations as locations
from cpo.modules import sessions_operations as sessions
from cpo.modules import snapshots
from cpo.modules.sessions_operations import Metered
from ocpi import documents, tariff_pricing
from ocpi.tariff_pricing import NotPriceable
from ocpi.v2_2_1.types import format_datetime

_CREDITED = ("id", "credit", "credit_reference_id", "total_cost", "last_updated")
_NOT_BILLED = ("id", "last_updated", "remark")

log = logging.getLogger(__name__)


class NotCorrected(ValueError):
    """A CDR that cannot be taken back or issued anew, and why."""


def settle(row: Transaction, metered: Metered, *, because: str = "") -> CDR | None:
    """Make the CDR of a session; if one is out that says otherwise, correct it. In the caller's transaction (OCPP-42).

    What an operator took back stays so: only an operator issues it anew.
    """
    session = row.session
    current = None if session is None else current_of(session.object_id)
    if current is None:
        return cdrs.produce(row, metered)
    if hasattr(current, "credited_by"):
        log.warning("CDR %s was taken back; what transaction %s now says is not billed", current, row.transaction_id)
        return None
    right = cdrs.build(row, metered) if cdrs.is_due(row, metered) else None
    if right is not None and _same(right, current):
        return current
    reason = because or f"The real stop of transaction {row.transaction_id} came when the CDR was out."
    credit(current.pk, reason=reason)
    return None if right is None else _follow(current, right, reason)


def current_of(session_id: str) -> CDR | None:
    """Return the CDR of a session that is not replaced by another."""
    return CDR.objects.filter(session_id=session_id, credit=False, replaced_by=None).order_by("-id").first()


def credit(pk: int, *, reason: str) -> CDR:
    """Take a CDR back: issue its Credit CDR, which differs in the sign of `total_cost` alone (CDR-20, CDR-21).

    :raises NotCorrected: if it is a Credit CDR itself, or already taken back.
    """
    with transaction.atomic():
        original = _locked(pk)
        now = locations.moment_now()
        try:
            turned = tariff_pricing.credit(tariff_pricing.loads(original.document), last_updated=format_datetime(now))
        except NotPriceable as error:
            raise NotCorrected(str(error)) from error
        members = {name: turned[name] for name in _CREDITED}
        taken_back = _copy(
            original,
            object_id=turned["id"],
            document=documents.set_members(original.document, members),
            last_updated=now,
            credit=True,
            original=original,
            reason=reason,
        )
        try:
            with transaction.atomic():
                return cdrs.issue(taken_back)
        except IntegrityError as error:
            raise NotCorrected(f"CDR {original.object_id} is already taken back") from error


def reissue(pk: int, *, reason: str) -> CDR:
    """Issue a CDR anew that was taken back: from what is known of its session now, under a new id (CDR-24).

    :raises NotCorrected: if it is not taken back, is already followed by another, or has nothing to bill any more.
    """
    with transaction.atomic():
        original = _locked(pk)
        if not hasattr(original, "credited_by"):
            raise NotCorrected(f"CDR {original.object_id} is not taken back")
        return _follow(original, _anew(original), reason)


def _locked(pk: int) -> CDR:
    # One correction at a time: the second waits here and then finds the first one's Credit CDR.
    found = CDR.objects.select_for_update().get(pk=pk)
    if found.credit:
        raise NotCorrected(f"{found.object_id} is a Credit CDR")
    return found


def _anew(original: CDR) -> CDR:
    row = Transaction.objects.select_related("session").filter(session__object_id=original.session_id).first()
    if row is not None and original.session_id:
        metered = sessions.meter(row, snapshots.read(row.snapshot))
        if not cdrs.is_due(row, metered):
            raise NotCorrected(f"{row} has nothing to bill")
        return cdrs.build(row, metered)
    now, object_id = locations.moment_now(), str(uuid.uuid4())
    document = documents.set_members(original.document, {"id": object_id, "last_updated": format_datetime(now)})
    return _copy(original, object_id=object_id, document=document, last_updated=now)


def _follow(original: CDR, right: CDR, reason: str) -> CDR:
    right.replaces, right.reason = original, reason
    try:
        with transaction.atomic():
            return cdrs.issue(right)
    except IntegrityError as error:
        raise NotCorrected(f"CDR {original.object_id} is already followed by another") from error


def _copy(cdr: CDR, **columns: object) -> CDR:
    same = {
        field.name: getattr(cdr, field.name)
        for field in CDR._meta.concrete_fields
        if field.name not in ("id", "created_at", "original", "replaces", "credit", "reason")
    }
    return CDR(**same | columns)


def _same(one: CDR, other: CDR) -> bool:
    """Say whether two CDRs bill the same."""
    return documents.without(one.document, *_NOT_BILLED) == documents.without(other.document, *_NOT_BILLED)
