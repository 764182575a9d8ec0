"""What is wrong with a CDR, given what is known around it: pure, without database, clock or settings.

A CDR is compared with its own figures, its Tariffs, its Session, its authorization, its place, its neighbours and the
agreement of the two parties. What comes out are findings with the field and both figures; nothing here stops or changes
a CDR (OCPI 2.2.1, CDRs; PRI-90 … PRI-98).
"""

from ocpi.cdr_firewall.facts import Agreement, Authorized, Facts, Limits, Neighbour
from ocpi.cdr_firewall.findings import KINDS, Finding, Kind, Severity, Verdict
from ocpi.cdr_firewall.inspecting import Inspection, inspect

__all__ = [
    "KINDS",
    "Agreement",
    "Authorized",
    "Facts",
    "Finding",
    "Inspection",
    "Kind",
    "Limits",
    "Neighbour",
    "Severity",
    "Verdict",
    "inspect",
]
