"""May a Token charge? The whitelist table (OCPI 2.2.1, Tokens) and what a charge point is told (M-7, M-8).

Pure: who was asked and what was answered is known by the caller.
"""

from __future__ import annotations

ACCEPT, REJECT, ASK = "accept", "reject", "ask"

# (whitelist, valid) → what to do, and what to do if the eMSP cannot be reached (TOK-21).
TABLE: dict[tuple[str, bool], tuple[str, str]] = {
    ("ALWAYS", True): (ACCEPT, ACCEPT),
    ("ALWAYS", False): (REJECT, REJECT),
    ("ALLOWED", True): (ACCEPT, ACCEPT),
    ("ALLOWED", False): (ASK, REJECT),
    ("ALLOWED_OFFLINE", True): (ASK, ACCEPT),
    ("ALLOWED_OFFLINE", False): (ASK, REJECT),
    ("NEVER", True): (ASK, REJECT),
    ("NEVER", False): (ASK, REJECT),
}

# AllowedType → idTagInfo status of OCPP 1.6 (M-8).
OCPP_16 = {
    "ALLOWED": "Accepted",
    "BLOCKED": "Blocked",
    "EXPIRED": "Expired",
    "NO_CREDIT": "Blocked",
    "NOT_ALLOWED": "Invalid",
}
# AllowedType → idTokenInfo status of OCPP 2.0.1 (M-8).
OCPP_201 = OCPP_16 | {"NO_CREDIT": "NoCredit", "NOT_ALLOWED": "NotAtThisLocation"}
ACCEPTED, BLOCKED, INVALID, CONCURRENT = "Accepted", "Blocked", "Invalid", "ConcurrentTx"
UNKNOWN, NOT_HERE = "Unknown", "NotAtThisLocation"  # of 2.0.1 alone

# Type of an idToken in OCPP 2.0.1 → TokenTypes it may be here, the likeliest first (M-7).
TOKEN_TYPES = {
    "ISO14443": ("RFID",),
    "ISO15693": ("RFID",),
    "Central": ("APP_USER", "AD_HOC_USER", "OTHER"),
    "Local": ("AD_HOC_USER",),
    "eMAID": ("OTHER",),
    "KeyCode": ("OTHER",),
    "MacAddress": ("OTHER",),
}


def decide(whitelist: str, *, valid: bool, gone: bool = False) -> tuple[str, str]:
    """Return what to do about a known Token, and what if its eMSP cannot be reached.

    One that is gone from its eMSP's list is taken for unknown: the eMSP has never called it invalid, so it is asked.
    """
    return (ASK, REJECT) if gone else TABLE[(whitelist, valid)]
