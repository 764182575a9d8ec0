"""The table of `test_hub_table.py`: requests that pass a hub, what may go wrong on their way, and what comes of it.

Modes: DIRECT names the other party, OPEN names nobody, BROADCAST and GET_ALL name the hub. An outcome is HTTP status,
status code and who says so: "HUB", "target" (the party asked), or nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

HUB, TARGET = "HUB", "target"


class Request(NamedTuple):
    """One request of OCPI 2.2.1 as a CPO (NL*TNM) or an eMSP (DE*EMS) makes it."""

    sender: str
    method: str
    path: str  # below the hub's interface; {home} is where the sender is reached
    document: str = ""  # its body, by the name of its file
    members: dict[str, Any] | None = None  # its body, or what is changed in the document

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


_NEW = {"last_updated": "2031-05-01T10:00:00Z"}
_URL = {"response_url": "{home}/results/1"}
REQUESTS = (
    Request("cpo", "PUT", "receiver/locations/NL/TNM/LOC1", "location", {"id": "LOC1"}),
    Request("cpo", "PATCH", "receiver/locations/NL/TNM/LOC1", "", {"name": "x", **_NEW}),
    Request("cpo", "GET", "receiver/locations/NL/TNM/LOC1"),
    Request("cpo", "PUT", "receiver/tariffs/NL/TNM/T1", "tariff", {"id": "T1"}),
    Request("cpo", "DELETE", "receiver/tariffs/NL/TNM/T1"),
    Request("cpo", "GET", "receiver/tariffs/NL/TNM/T1"),
    Request("cpo", "PUT", "receiver/sessions/NL/TNM/S1", "session", {"id": "S1"}),
    Request("cpo", "PATCH", "receiver/sessions/NL/TNM/S1", "", {"kwh": 3, **_NEW}),
    Request("cpo", "GET", "receiver/sessions/NL/TNM/S1"),
    Request("cpo", "POST", "receiver/cdrs", "cdr"),
    Request("cpo", "GET", "sender/tokens"),
    Request("cpo", "POST", "sender/tokens/T1/authorize"),
    Request("cpo", "PUT", "sender/chargingprofiles/S1", "active_charging_profile"),
    Request("emsp", "GET", "sender/locations"),
    Request("emsp", "GET", "sender/locations/LOC1"),
    Request("emsp", "GET", "sender/tariffs"),
    Request("emsp", "GET", "sender/sessions"),
    Request("emsp", "PUT", "sender/sessions/S1/charging_preferences", "", {"profile_type": "FAST"}),
    Request("emsp", "GET", "sender/cdrs"),
    Request("emsp", "PUT", "receiver/tokens/DE/EMS/T1", "token_rfid", {"uid": "T1"}),
    Request("emsp", "PATCH", "receiver/tokens/DE/EMS/T1", "", {"valid": False, **_NEW}),
    Request("emsp", "GET", "receiver/tokens/DE/EMS/T1"),
    Request("emsp", "POST", "receiver/commands/START_SESSION", "start_session", _URL),
    Request("emsp", "POST", "receiver/commands/STOP_SESSION", "", {"session_id": "S1", **_URL}),
    Request("emsp", "GET", "receiver/chargingprofiles/S1?duration=900&response_url={home}/r"),
    Request("emsp", "PUT", "receiver/chargingprofiles/S1", "charging_profile", _URL),
    Request("emsp", "DELETE", "receiver/chargingprofiles/S1?response_url={home}/r"),
)


@dataclass(frozen=True)
class Outcome:
    http_status: int
    code: int
    said_by: str  # the From of the answer
    reaches: bool = False  # the target got the request, once
    allow: str = ""


def by_hub(code: int, *, reaches: bool = False, http_status: int = 200, allow: str = "") -> Outcome:
    return Outcome(http_status, code, HUB, reaches, allow)


def passed(http_status: int, code: int) -> Outcome:
    return Outcome(http_status, code, TARGET, True)


# What goes wrong → what comes of every request of the list, in the mode DIRECT.
FAILURES: dict[str, Outcome] = {
    "nothing": passed(200, 1000),
    "receiver says 2001": passed(200, 2001),
    "receiver says 404 with 2003": passed(404, 2003),
    "receiver says 500 with 3000": passed(500, 3000),
    "unknown party": by_hub(4001),
    "no permission": by_hub(4001),
    "no permission and not connected": by_hub(4001),
    "not connected": by_hub(4003),
    "suspended": by_hub(4003),
    "planned": by_hub(4003),
    "connection refused": by_hub(4003),
    "receiver refuses the hub's token": by_hub(4003, reaches=True),
    "no answer in time": by_hub(4002, reaches=True),
    "receiver answers HTML": by_hub(4000, reaches=True),
    "receiver says 502 without an envelope": by_hub(4000, reaches=True),
    "module not offered": by_hub(4000),
    "half a To": by_hub(2001),
    "half a From": Outcome(200, 2001, HUB),
    "no From": Outcome(200, 2001, HUB),
    "a foreign From": by_hub(2001),
    "an unknown token": Outcome(401, 2000, HUB),
}
# Answers to a From that is missing or cannot be read are for nobody.
TO_NOBODY = frozenset({"half a From", "no From"})

# Without To headers: the same, but nobody to be reached is an undecidable receiver, and lists need a name.
ONLY_NAMED = frozenset({"unknown party", "half a To"})
UNDECIDED = frozenset({
    "no permission", "no permission and not connected", "not connected", "suspended", "planned", "module not offered",
})  # fmt: skip
LISTS = frozenset({"sender/tokens", "sender/locations", "sender/tariffs", "sender/sessions", "sender/cdrs"})

# To = the hub: which requests it answers itself, and how; "kept" = accepted and left for who is named.
_PUSH, _ALL = "push", "list"
_PERSONAL, _NEEDS_NAME, _NO_GET = by_hub(2001), by_hub(4001), by_hub(2001)
TO_THE_HUB: dict[str, Outcome | str] = {
    "PUT receiver/locations/NL/TNM/LOC1": _PUSH,
    "PATCH receiver/locations/NL/TNM/LOC1": _PUSH,
    "GET receiver/locations/NL/TNM/LOC1": _NO_GET,
    "PUT receiver/tariffs/NL/TNM/T1": _PUSH,
    "DELETE receiver/tariffs/NL/TNM/T1": _PUSH,
    "GET receiver/tariffs/NL/TNM/T1": _NO_GET,
    "PUT receiver/sessions/NL/TNM/S1": _PERSONAL,
    "PATCH receiver/sessions/NL/TNM/S1": _PERSONAL,
    "GET receiver/sessions/NL/TNM/S1": _NO_GET,
    "POST receiver/cdrs": _PERSONAL,
    "GET sender/tokens": _ALL,
    "POST sender/tokens/T1/authorize": _NEEDS_NAME,
    "PUT sender/chargingprofiles/S1": _NEEDS_NAME,
    "GET sender/locations": _ALL,
    "GET sender/locations/LOC1": _NEEDS_NAME,
    "GET sender/tariffs": _ALL,
    "GET sender/sessions": by_hub(2001),  # date_from is required (SES-02)
    "PUT sender/sessions/S1/charging_preferences": _NEEDS_NAME,
    "GET sender/cdrs": _ALL,
    "PUT receiver/tokens/DE/EMS/T1": _PUSH,
    "PATCH receiver/tokens/DE/EMS/T1": _PUSH,
    "GET receiver/tokens/DE/EMS/T1": _NO_GET,
    "POST receiver/commands/START_SESSION": _NEEDS_NAME,
    "POST receiver/commands/STOP_SESSION": _NEEDS_NAME,
    "GET receiver/chargingprofiles/S1?duration=900&response_url={home}/r": _NO_GET,
    "PUT receiver/chargingprofiles/S1": _NEEDS_NAME,
    "DELETE receiver/chargingprofiles/S1?response_url={home}/r": _NEEDS_NAME,
}
# Methods a module has nowhere, or not for all: 405 says which there are.
NOT_ALLOWED: dict[tuple[str, str, str], str] = {
    ("cpo", "POST", "receiver/locations/NL/TNM/LOC1"): "PUT, PATCH",
    ("cpo", "DELETE", "receiver/locations/NL/TNM/LOC1"): "PUT, PATCH",
    ("cpo", "PATCH", "receiver/tariffs/NL/TNM/T1"): "PUT, DELETE",
    ("emsp", "DELETE", "receiver/tokens/DE/EMS/T1"): "PUT, PATCH",
    ("emsp", "POST", "receiver/tokens/DE/EMS/T1"): "PUT, PATCH",
    ("emsp", "POST", "sender/locations"): "GET",
    ("emsp", "PATCH", "sender/cdrs"): "GET",
}
