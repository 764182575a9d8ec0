"""Price a CDR again that arrived and keep the verdict beside it; the CDR itself is never touched (PRI-98)."""

from __future__ import annotations

import json
import logging

from django.db import transaction
from django.utils import timezone

from emsp.models import CDR
from emsp.modules import cdr_facts, cdr_references
from ocpi import cdr_firewall, cdr_reviews, database_trouble, tariff_pricing
from ocpi.models import CdrReview

log = logging.getLogger(__name__)


def check(cdr: CDR) -> tariff_pricing.Check:
    """Compare what a CDR claims with what its tariffs make of it, and store the verdict."""
    document = tariff_pricing.loads(cdr.document)
    found = _review(cdr)
    result = found.check
    shown = result.as_json()
    if document.get("credit"):
        shown["credit"] = cdr_references.credit_flags(found)
    if odd := cdr_references.flags(cdr, document, found):
        shown["references"] = odd
    computed = result.computed.total_cost.excl_vat if result.computed is not None else None
    CDR.objects.filter(pk=cdr.pk).update(
        verdict=result.verdict,
        computed_cost="" if computed is None else str(computed),
        check_result=json.dumps(shown),
        checked_at=timezone.now(),
    )
    return result


def check_waiting(limit: int = 100) -> int:
    """Check CDRs nobody has checked yet: what a lost wake-up left behind. Return how many."""
    waiting = CDR.objects.filter(verdict="").order_by("id")[:limit]
    for cdr in waiting:
        try:
            check(cdr)
        except Exception as error:  # one CDR that nobody can read must not keep the others waiting
            if database_trouble.passes(error):  # nothing is wrong with the CDR: the next sweep finds it
                log.warning("CDR %s is checked later: %s", cdr, database_trouble.words(error))
                continue
            log.exception("CDR %s could not be checked", cdr)
            CDR.objects.filter(pk=cdr.pk).update(
                verdict=CDR.Verdict.UNVERIFIABLE,
                check_result=json.dumps({"verdict": "unverifiable", "reason": "internal_error"}),
                checked_at=timezone.now(),
            )
    return len(waiting)


def _review(cdr: CDR) -> cdr_firewall.Inspection:
    """Hold the CDR against everything that is known around it (ocpi/cdr_reviews.py)."""
    with transaction.atomic():
        cdr_reviews.enter(cdr.document)  # of one that came before there were reviews
        row = CdrReview.objects.select_for_update().get(
            country_code__iexact=cdr.country_code, party_id__iexact=cdr.party_id, cdr_id__iexact=cdr.object_id
        )
        return cdr_reviews.review(row, cdr.document, cdr_facts.collect)
