"""Who gets what, by role: one table for each question the hub asks (HUB-35, HUB-36, HUB-51, HUB-62). Nothing else.

| Role  | pushes to all              | gets broadcasts of                  | reads (GET All)                        |
|-------|----------------------------|-------------------------------------|----------------------------------------|
| CPO   | Locations, Tariffs         | Tokens of EMSP, OTHER; all of OTHER | Tokens                                 |
| EMSP  | Tokens                     | Locations, Tariffs of CPO, NAP      | Locations, Tariffs; its Sessions, CDRs |
| NSP   | –                          | Locations, Tariffs of CPO, NAP      | Locations, Tariffs                     |
| NAP   | Locations, Tariffs         | Locations, Tariffs of CPO           | Locations, Tariffs                     |
| OTHER | Locations, Tariffs, Tokens | Locations, Tariffs of CPO, NAP      | Locations, Tariffs; its Sessions, CDRs |
| SCSP  | –                          | – (HUB-36)                          | what it was sent of Sessions           |
| HUB   | for the parties behind it  | – (the parties behind it, each)     | –                                      |

Permissions take away from this (deny), and add to it: a rule with "broadcasts too" sends a receiver what its role does
not get; an SCSP reads Sessions only where a rule names them. Sessions are broadcast by such a rule alone, CDRs never.
"""

from __future__ import annotations

from collections.abc import Collection

_READ_LOCATIONS = frozenset({"EMSP", "NSP", "NAP", "OTHER"})

# Who gets what is broadcast: owner's role → module → receivers' roles.
AUDIENCE: dict[str, dict[str, frozenset[str]]] = {
    "CPO": {"locations": _READ_LOCATIONS, "tariffs": _READ_LOCATIONS},
    "NAP": {"locations": _READ_LOCATIONS - {"NAP"}, "tariffs": _READ_LOCATIONS - {"NAP"}},
    "EMSP": {"tokens": frozenset({"CPO"})},
    "OTHER": {module: frozenset({"CPO"}) for module in ("locations", "tariffs", "tokens")},
}
BROADCAST = frozenset({"locations", "tariffs", "tokens"})
# Personal data: only to those that a rule names (HUB-40).
BROADCAST_BY_RULE = frozenset({"sessions"})

# Whose objects there are at all: module → owner's roles.
OWNERS: dict[str, frozenset[str]] = {
    "locations": frozenset({"CPO", "NAP", "OTHER"}),
    "tariffs": frozenset({"CPO", "NAP", "OTHER"}),
    "tokens": frozenset({"EMSP", "OTHER"}),
    "sessions": frozenset({"CPO", "OTHER"}),
    "cdrs": frozenset({"CPO", "OTHER"}),
}

# Who may read the list of all (HUB-62, SEC-42): module → requester's roles; and those that need a rule for it.
READERS: dict[str, frozenset[str]] = {
    "locations": _READ_LOCATIONS,
    "tariffs": _READ_LOCATIONS,
    "tokens": frozenset({"CPO"}),
    "sessions": frozenset({"EMSP", "OTHER"}),
    "cdrs": frozenset({"EMSP", "OTHER"}),
}
READERS_BY_RULE: dict[str, frozenset[str]] = {"sessions": frozenset({"SCSP"})}

# Who answers at an interface: what is left to choose from when a request names nobody (HUB-51, rule 3).
_CHARGES, _DRIVES = frozenset({"CPO", "OTHER"}), frozenset({"EMSP", "OTHER"})
SERVING: dict[tuple[str, str], frozenset[str]] = {
    **{(module, "SENDER"): roles for module, roles in OWNERS.items()},
    ("locations", "RECEIVER"): _READ_LOCATIONS,
    ("tariffs", "RECEIVER"): _READ_LOCATIONS,
    ("tokens", "RECEIVER"): _CHARGES,
    ("sessions", "RECEIVER"): _DRIVES,
    ("cdrs", "RECEIVER"): _DRIVES,
    ("commands", "RECEIVER"): _CHARGES,
    ("commands", "SENDER"): _DRIVES,
    ("chargingprofiles", "RECEIVER"): _CHARGES,
    ("chargingprofiles", "SENDER"): _DRIVES | {"SCSP"},
}

# Who asks at an interface; of pushes, whoever owns the objects.
ASKING: dict[tuple[str, str], frozenset[str]] = {
    **{(module, "RECEIVER"): roles for module, roles in OWNERS.items()},
    ("locations", "SENDER"): _READ_LOCATIONS,
    ("tariffs", "SENDER"): _READ_LOCATIONS,
    ("tokens", "SENDER"): _CHARGES,
    ("sessions", "SENDER"): _DRIVES | {"SCSP"},
    ("cdrs", "SENDER"): _DRIVES,
    ("commands", "RECEIVER"): _DRIVES,
    ("commands", "SENDER"): _CHARGES,
    ("chargingprofiles", "RECEIVER"): _DRIVES | {"SCSP"},
    ("chargingprofiles", "SENDER"): _CHARGES | {"EMSP"},  # an eMSP tells its SCSP (CHP-26)
}

# What OCPI 2.2.1 has at each interface; a result of a command or profile goes to a URL of its own.
METHODS: dict[tuple[str, str], tuple[str, ...]] = {
    ("locations", "SENDER"): ("GET",),
    ("locations", "RECEIVER"): ("GET", "PUT", "PATCH"),
    ("tariffs", "SENDER"): ("GET",),
    ("tariffs", "RECEIVER"): ("GET", "PUT", "DELETE"),
    ("tokens", "SENDER"): ("GET", "POST"),
    ("tokens", "RECEIVER"): ("GET", "PUT", "PATCH"),
    ("sessions", "SENDER"): ("GET", "PUT"),
    ("sessions", "RECEIVER"): ("GET", "PUT", "PATCH"),
    ("cdrs", "SENDER"): ("GET",),
    ("cdrs", "RECEIVER"): ("GET", "POST"),
    ("commands", "RECEIVER"): ("POST",),
    ("commands", "SENDER"): ("POST",),
    ("chargingprofiles", "RECEIVER"): ("GET", "PUT", "DELETE"),
    ("chargingprofiles", "SENDER"): ("PUT", "POST"),
}


def opposite(asking: Collection[str], module: str, interface: str) -> frozenset[str]:
    """Return the roles that answer somebody in these roles at an interface.

    Nobody is led to his own kind, and OTHER, which is no kind of its own, only to CPOs.
    """
    serving = SERVING.get((module, interface), frozenset())
    found: set[str] = set()
    for role in ASKING.get((module, interface), frozenset()).intersection(asking):
        found |= serving & {"CPO"} if role == "OTHER" else serving - {role}
    return frozenset(found)


def methods_of(module: str) -> frozenset[str]:
    """Return the methods a module has anywhere."""
    return frozenset(method for (name, _), methods in METHODS.items() if name == module for method in methods)
