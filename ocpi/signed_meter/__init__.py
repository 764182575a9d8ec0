"""Signed meter data of a CDR: read it, verify its signatures, and say what it proves. Pure, without database or clock.

OCMF (Open Charge Metering Format) is read and verified with ECDSA; other encodings are kept and shown as not verified
(OCPI 2.2.1, CDRs, class SignedData; CDR-51 … CDR-54).
"""

from ocpi.signed_meter.keys import BadKey, fingerprint
from ocpi.signed_meter.ocmf import NotOcmf, Reading, Record, parse
from ocpi.signed_meter.verifying import KeySource, Report, Signature, SignatureVerdict, Verdict, verify

__all__ = [
    "BadKey",
    "KeySource",
    "NotOcmf",
    "Reading",
    "Record",
    "Report",
    "Signature",
    "SignatureVerdict",
    "Verdict",
    "fingerprint",
    "parse",
    "verify",
]
