"""How a certificate for a charge point comes about (OCPP-90). Pure."""

from __future__ import annotations

from ocpi import transitions

ASKED = "ASKED"  # SignCertificate was answered Accepted
SENT = "SENT"  # CertificateSigned is queued or on its way
INSTALLED = "INSTALLED"  # the charge point has accepted it
REFUSED = "REFUSED"  # the charge point does not take it
FAILED = "FAILED"  # nobody signed it, or it could not be delivered
REPLACED = "REPLACED"  # by a newer one

CERTIFICATES: transitions.Table = {
    ASKED: {"signed": SENT, "unsigned": FAILED, "asked_again": REPLACED},
    SENT: {"accepted": INSTALLED, "rejected": REFUSED, "undelivered": FAILED, "asked_again": REPLACED},
    INSTALLED: {"replaced": REPLACED},
    REFUSED: {},
    FAILED: {},
    REPLACED: {},
}
transitions.check_table(CERTIFICATES)


def next_state(state: str, event: str) -> str:
    """Return the state that follows.

    :raises IllegalTransition: if the event has no place in the state.
    """
    return transitions.next_state(CERTIFICATES, state, event)
