"""Every route × method × {path, body, headers, query, nested id} × everybody who has no right: requests and twins.

Routes come from the tables that serve them. A twin is the same request about something that is not there: its answer
must be the same.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from ocpi import endpoints
from ocpi.headers import Address
from ocpi.v2_2_1.commands import CommandType
from ocpi.views import METHODS, OcpiView
from tests.figures.tenants_world import Caller, World, example

VECTORS = ("path", "body", "headers", "addressee", "query", "nested")
_LATER = "2031-01-01T00:00:00Z"
_numbers = itertools.count(1)
# What the tails of a hub's routes mean: by module and interface.
_TAILS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("locations", "RECEIVER"): ("country_code", "party_id", "location_id", "evse_uid", "connector_id"),
    ("locations", "SENDER"): ("location_id", "evse_uid", "connector_id"),
    ("sessions", "RECEIVER"): ("country_code", "party_id", "session_id"),
    ("sessions", "SENDER"): ("session_id", "=charging_preferences"),
    ("cdrs", "RECEIVER"): ("cdr_key",),
    ("tariffs", "RECEIVER"): ("country_code", "party_id", "tariff_id"),
    ("tokens", "RECEIVER"): ("country_code", "party_id", "token_uid"),
    ("tokens", "SENDER"): ("token_uid", "=authorize"),
    ("commands", "RECEIVER"): ("command",),
    ("commands", "SENDER"): ("command", "key"),
    ("chargingprofiles", "RECEIVER"): ("session_id",),
    ("chargingprofiles", "SENDER"): ("session_id",),
}
_OWN = {"locations": "location", "sessions": "session", "tariffs": "tariff", "tokens": "token_rfid"}


@dataclass(frozen=True, slots=True)
class Route:
    """One URL that is served; `=text` stands for itself, anything else for a parameter."""

    parts: tuple[str, ...]
    view: type[OcpiView]

    @property
    def module(self) -> str:
        return self.view.module or ""

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(part for part in self.parts if not part.startswith("="))

    def path(self, values: Mapping[str, str]) -> str:
        named = [part[1:] if part.startswith("=") else quote(values.get(part, "x"), safe="") for part in self.parts]
        return "/ocpi/" + "/".join(named)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request that must lead to nothing."""

    caller: Caller
    vector: str
    route: Route
    method: str
    path: str
    headers: Mapping[str, str]
    body: str = ""

    def twin(self, ids: Mapping[str, str]) -> Attempt:
        """Return the same about what is not there."""
        # A response_url is used once.
        path, body = (text.replace("number-", "twin-") for text in (self.path, self.body))
        for known in telling(ids):
            path, body = path.replace(known, missing(known)), body.replace(known, missing(known))
        return replace(self, path=path, body=body)

    def __str__(self) -> str:
        who = f"{self.caller.kind} {self.caller.address}:{self.caller.role}"
        return f"{self.method} {self.path} [{self.vector}] by {who}"


def telling(ids: Mapping[str, str]) -> list[str]:
    """Return the ids that can be told from any other text, the longest first."""
    return sorted((known for known in set(ids.values()) if len(known) > 3), key=len, reverse=True)


def missing(known: str) -> str:
    """Return an id of the same length that nothing has."""
    return ("Q" if known[0] != "Q" else "W") + known[1:]


def routes(world: World) -> list[Route]:
    """Return every URL of the instance, from the tables that serve it."""
    found = []
    for parts, view in _walk(endpoints._tree((world.side,)), ()):
        if view.passes_on and view.interface is not None:  # a hub's: the tails mean something
            meant = _TAILS.get((str(view.module), str(view.interface)), ())
            tail = [part for part in parts if not part.startswith("=")]
            head = [part for part in parts if part.startswith("=")]
            found.append(Route((*head, *meant[: len(tail)], *tail[len(meant) :]), view))
        else:
            found.append(Route(parts, view))
    commands = [
        Route(tuple(f"={command}" if part == "command" else part for part in route.parts), route.view)
        for route in found
        if "command" in route.parts
        for command in CommandType
    ]
    return [route for route in found if "command" not in route.parts] + commands


def attempts(world: World) -> Iterator[Attempt]:
    """Give every attempt there is."""
    for route in routes(world):
        for method in METHODS:
            for caller in world.callers:
                for vector in VECTORS:
                    made = _attempt(world, route, method.upper(), caller, vector)
                    if made is not None:
                        yield made


def _walk(tree: dict[str, Any], parts: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], type[OcpiView]]]:
    if "view" in tree:
        yield parts, tree["view"].cls
    for part, node in tree["below"].items():
        named = node["name"] if part == endpoints._PARAMETER else f"={part}"
        yield from _walk(node, (*parts, named))


def _attempt(world: World, route: Route, method: str, caller: Caller, vector: str) -> Attempt | None:
    owned = "country_code" in route.parameters
    if caller.kind == "A" and route.module == "credentials" and method == "POST":
        return None  # that is what it is for
    if caller.let_in and not _is_an_attack(world, route, method, caller, vector, owned):
        return None
    address = caller.address if vector in ("body", "nested") and caller.let_in else world.owner
    values = {**world.ids, "country_code": address.country_code, "party_id": address.party_id}
    if route.module == "cdrs":
        values["key"] = world.ids.get("cdr_key", "")
    path = route.path(values)
    if route.module == "tokens" and "token_uid" in route.parameters:
        path += "?type=RFID"
    elif route.module == "chargingprofiles" and method in ("GET", "DELETE"):
        path += f"?duration=600&response_url={quote(_response_url(caller), safe='')}"
    if vector == "query":
        told = f"country_code={world.owner.country_code}&party_id={world.owner.party_id}&date_from=2000-01-01T00:00:00Z"
        path += f"{'&' if '?' in path else '?'}{told}&place=1.9.0.&offset=0&limit=1000&token=x&method=GET"
    headers = _headers(world, caller, vector)
    body = _body(world, route, method, caller, vector)
    return Attempt(caller, vector, route, method, path, headers, json.dumps(body) if body is not None else "")


def _is_an_attack(world: World, route: Route, method: str, caller: Caller, vector: str, owned: bool) -> bool:
    """Say whether somebody with a valid token has no right to this; what he may do with his own is none."""
    if route.module in ("credentials", ""):  # about himself; a hub's callbacks have no module
        return "key" in route.parameters
    if route.module == "hubclientinfo":
        return caller.kind != "via hub" and "country_code" in route.parameters  # a hub names whom it likes
    if vector == "body":
        return owned or (route.module == "cdrs" and method == "POST")
    if vector == "nested":
        return route.module in ("sessions", "cdrs") and method in ("PUT", "POST") and world.side == "emsp"
    if world.side == "hub" and not owned and route.view.interface is not None:
        # A Direct request in one's own name is what a hub is for; a list of all shows what one may see.
        return vector == "headers" or method == "GET"
    if (route.parts[-1], caller.role) in (("=authorize", "CPO"), ("=UNLOCK_CONNECTOR", "EMSP")):
        return vector == "headers"  # they may ask about any Token of ours, and for any Connector
    return world.side != "cpo" or route.module not in ("locations", "tariffs")  # which are published for all


def _headers(world: World, caller: Caller, vector: str) -> dict[str, str]:
    sender = world.owner if vector == "headers" else caller.address
    to = world.owner if vector == "addressee" else world.us
    found = {
        "OCPI-from-country-code": sender.country_code, "OCPI-from-party-id": sender.party_id,
        "OCPI-to-country-code": to.country_code, "OCPI-to-party-id": to.party_id,
    }  # fmt: skip
    if caller.authorization:
        found["Authorization"] = caller.authorization
    if vector == "headers":
        found |= {"X-HTTP-Method-Override": "PUT", "X-Forwarded-For": "127.0.0.1", "X-Original-URL": "/ocpi/versions"}
    return found


def _body(world: World, route: Route, method: str, caller: Caller, vector: str) -> Any:
    if method in ("GET", "DELETE") and vector != "body":
        return None
    found = _example(world, route, method, caller)
    if vector == "nested" and "cdr_token" in (found or {}):
        found |= _named(caller.address)
        found["cdr_token"] = {**found["cdr_token"], **_named(Address("XX", "YYY"))}
    return found


def _example(world: World, route: Route, method: str, caller: Caller) -> Any:
    module, names = route.module, route.parameters
    if module == "commands":
        command = next((part[1:] for part in route.parts if part[1:] in set(CommandType)), "START_SESSION")
        told = example(command.lower(), response_url=_response_url(caller))
        told |= {
            name: world.ids[name] for name in ("session_id", "reservation_id") if name in told and name in world.ids
        }
        return {"result": "ACCEPTED"} if "key" in names else told
    if module == "chargingprofiles":
        if "key" in names:
            return {"result": "ACCEPTED", "profile": example("active_charging_profile")}
        if route.view.interface == "SENDER":
            return example("active_charging_profile")
        return example("charging_profile", response_url=_response_url(caller))
    if module == "sessions" and "=charging_preferences" in route.parts:
        return {"profile_type": "GREEN"}
    if module == "tokens" and "=authorize" in route.parts:
        return {"location_id": "LOC1"}
    if module == "cdrs":
        return example("cdr", id="CDR-OF-ANOTHER")
    if module in ("credentials", "hubclientinfo"):
        return example("credentials" if module == "credentials" else "client_info")
    if module not in _OWN:
        return {"result": "ACCEPTED"}
    if method == "PATCH":
        return {"last_updated": _LATER, "x_note": "mine"}
    told = example(_OWN[module], last_updated=_LATER)
    if "evse_uid" in names:
        told = {**told["evses"][0], "last_updated": _LATER}
    if "connector_id" in names:
        told = {**told["connectors"][0], "last_updated": _LATER}
    return told


def _response_url(caller: Caller) -> str:
    return f"{caller.url}/ocpi/2.2.1/results/number-{next(_numbers)}"


def _named(address: Address) -> dict[str, str]:
    return {"country_code": address.country_code, "party_id": address.party_id}
