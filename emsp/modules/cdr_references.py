"""What is odd in the references of a CDR, counted per platform: noted beside it, never refused (QRK-29).

Nothing is looked up here: it is what the review found (ocpi/cdr_firewall), in the words of the deviations.
"""

from __future__ import annotations

from typing import Any

from emsp.models import CDR
from ocpi import defects
from ocpi.cdr_firewall import Finding, Inspection

# Code and member of a finding, and what it is called here.
_FLAGS = {
    ("location_unknown", "cdr_location.id"): "location_unknown",
    ("location_unknown", "cdr_location.evse_uid"): "evse_unknown",
    ("location_differs", "cdr_location.evse_id"): "evse_id_differs",
    ("token_unknown", "cdr_token.uid"): "token_unknown",
    ("contract_differs", "cdr_token.contract_id"): "contract_id_differs",
    ("authorization_unknown", "authorization_reference"): "authorization_unknown",
    ("session_unknown", "session_id"): "session_unknown",  # counted when it came
}
_COUNTED = {
    "location_unknown": "QRK-29 CDR for an unknown Location",
    "evse_unknown": "QRK-29 CDR for an unknown EVSE",
    "evse_id_differs": "QRK-19 evse_id of a CDR differs from the EVSE's",
    "contract_id_differs": "QRK-19 contract_id of a CDR differs from the Token's",
    "authorization_unknown": "QRK-29 authorization_reference of nobody",
}


def flags(cdr: CDR, document: dict[str, Any], found: Inspection) -> list[str]:
    """Return what is odd in the references of a CDR; at its first check it is counted for its platform."""
    named = {_FLAGS.get((each.code, each.field), "") for each in found.findings}
    odd = [flag for flag in _FLAGS.values() if flag in named]
    if document.get("auth_method") != "WHITELIST" and not document.get("authorization_reference"):
        odd.append("authorization_reference_missing")  # counted when it came
    if cdr.checked_at is None:
        for flag in odd:
            if flag in _COUNTED:
                defects.note(cdr.platform_id, _COUNTED[flag], f"POST CDR {cdr.object_id}")
    return odd


def credit_flags(found: Inspection) -> list[str]:
    """Return what is odd in a Credit CDR; it is kept all the same (CDR-21, CDR-26)."""
    return list(dict.fromkeys(_credit_flag(each) for each in found.findings if each.code in _CREDIT))


_CREDIT = frozenset({"original_unknown", "credited_before", "credit_differs"})


def _credit_flag(finding: Finding) -> str:
    return f"differs_from_original: {finding.field}" if finding.code == "credit_differs" else finding.code
