"""What is said of a CDR beside its price: whether it takes another back, or was taken back, and what is odd in that."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Upper

from emsp.models import CDR
from ocpi.admin_pages import badge


def with_credits(rows: QuerySet[CDR]) -> QuerySet[CDR]:
    """Add to each CDR whether a Credit CDR names it."""
    credits = (
        CDR.objects.exclude(credit_reference_id="")
        .annotate(reference=Upper("credit_reference_id"))
        .filter(
            reference=Upper(OuterRef("object_id")),
            country_code__iexact=OuterRef("country_code"),
            party_id__iexact=OuterRef("party_id"),
        )
    )
    return rows.annotate(taken_back=Exists(credits))


def kind(row: Any) -> str:
    """Return what a CDR is; of a Credit CDR also what is odd in it (CDR-26)."""
    if not row.credit_reference_id:
        return badge("taken back", "bad") if row.taken_back else ""
    flags = json.loads(row.check_result).get("credit", []) if row.check_result else []
    return badge(", ".join(["credit", *(flag.replace("_", " ") for flag in flags)]), "bad" if flags else "odd")
