"""How a charge point's local list stands, and what each answer to SendLocalList makes of it (OCPP-87). Pure."""

from __future__ import annotations

from enum import StrEnum


class ListState(StrEnum):
    """From what is not known yet to what is agreed."""

    NEW = "NEW"  # not known yet what it can do
    ASKED = "ASKED"  # for its settings
    SWITCHING = "SWITCHING"  # it has its list switched off: asked to switch it on
    CHECKED = "CHECKED"  # its settings are known; which version it holds is not
    COMPARING = "COMPARING"  # asked for the version it holds
    READY = "READY"  # all is known: what is wanted goes out, if it is not what it holds
    FAILED = "FAILED"  # three tries: for an operator
    UNSUPPORTED = "UNSUPPORTED"


class Verdict(StrEnum):
    """What an ended SendLocalList means."""

    TAKEN = "taken"
    AFRESH = "the whole list has to be sent"
    FAILED = "failed"
    LOST = "not known whether it was taken"
    UNSUPPORTED = "not supported"


TRIES = 3
_UNSUPPORTED = ("NotSupported", "NotImplemented")
_NEVER_THERE = frozenset({"CONNECTION_LOST", "EXPIRED", "CANCELLED"})


def verdict(state: str, status: str, error: str) -> Verdict:
    """Return what became of a SendLocalList: its operation's state, the status in its answer, its error."""
    if state == "ANSWERED":
        return {
            "Accepted": Verdict.TAKEN,
            "VersionMismatch": Verdict.AFRESH,
            "NotSupported": Verdict.UNSUPPORTED,
        }.get(status, Verdict.FAILED)
    if state == "CALLERROR":
        return Verdict.UNSUPPORTED if error.startswith(_UNSUPPORTED) else Verdict.FAILED
    return Verdict.LOST if state in _NEVER_THERE else Verdict.FAILED
