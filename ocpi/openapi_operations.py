"""Every operation of OCPI 2.2.1 as a row: module, interface role, what follows the endpoint's URL, and method.

The rows say what an operation takes and gives; which of them an instance has follows from the endpoint tables
(`ocpi/openapi.py`). A row whose view is not served is simply not shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ocpi.enums import InterfaceRole, ModuleID
from ocpi.v2_2_1 import (
    cdrs,
    chargingprofiles,
    commands,
    credentials,
    hubclientinfo,
    locations,
    sessions,
    shapes,
    tariffs,
    tokens,
    versions,
)

SENDER, RECEIVER = InterfaceRole.SENDER, InterfaceRole.RECEIVER
Key = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter, with its JSON Schema."""

    name: str
    about: str
    schema: Mapping[str, Any]
    required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """What one operation takes and gives."""

    summary: str
    chapter: str  # of the specification, where it is explained
    body: Any = None  # the type of the request body
    body_required: bool = True
    stamped: bool = False  # the body is a PATCH and needs last_updated
    data: Any = None  # the type of `data` in the answer; None = the answer has no data
    paged: bool = False
    created: bool = False  # 201 instead of 200 for something new
    location: bool = False  # the answer names the URL of what was created
    query: tuple[Query, ...] = ()
    refused: tuple[int, ...] = ()  # HTTP statuses beyond those every operation may have
    calls_back: bool = False  # the answer may say what went wrong with that
    accepts: bool = True  # False = every request is refused
    local: bool = False  # at a URL we have chosen; nobody asks a hub for it
    note: str = ""


_MOMENT = {"type": "string", "format": "date-time", "maxLength": 40}
_FROM = "only objects whose last_updated is this moment or later"
_PAGE = (
    Query("date_from", _FROM, _MOMENT),
    Query("date_to", "only objects whose last_updated is before this moment", _MOMENT),
    Query("offset", "index of the first object; 0 without it", {"type": "integer", "minimum": 0, "maximum": 10**7}),
    Query("limit", "objects on a page at most; ours is in X-Limit", {"type": "integer", "minimum": 1}),
)
_SINCE = (Query("date_from", _FROM, _MOMENT, required=True), *_PAGE[1:])
_TOKEN_TYPE = Query(
    "type",
    "the TokenType; RFID without it",
    {"type": "string", "enum": [kind.value for kind in tokens.TokenType], "default": "RFID"},
)
_URL = {"type": "string", "format": "uri", "minLength": 1, "maxLength": 255}
_RESPONSE_URL = Query("response_url", "where the result is to be posted", _URL, required=True)
_SECONDS = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
_DURATION = Query("duration", "length of the wanted profile in seconds", _SECONDS, required=True)

_OWNED = "{country_code}/{party_id}"


def _list(module: ModuleID, kind: Any, chapter: str, query: tuple[Query, ...] = _PAGE) -> dict[Key, Operation]:
    found = Operation(f"List the {chapter}, page by page", chapter, data=list[kind], paged=True, query=query)
    return {(module, SENDER, "", "GET"): found}


def _owned(module: ModuleID, tail: str, kind: Any, chapter: str, methods: str, **common: Any) -> dict[Key, Operation]:
    """Give the rows of a Client Owned Object at its Receiver."""
    name = kind.__name__
    parts = locations.PARTS if module == ModuleID.locations else ()
    rows = {
        "GET": Operation(f"Read a {name} as it is stored", chapter, data=kind, **common),
        "PUT": Operation(f"Create or replace a {name}", chapter, body=kind, created=True, **common),
        "PATCH": Operation(
            f"Change members of a {name}", chapter, body=shapes.partial(kind, parts), stamped=True, **common
        ),
        "DELETE": Operation(f"Withdraw a {name}", chapter, **common),
    }
    return {(module, RECEIVER, f"{_OWNED}/{tail}", method): rows[method] for method in methods.split()}


def _locations() -> dict[Key, Operation]:
    rows = _list(ModuleID.locations, locations.Location, "Locations")
    tail = ""
    for name, kind in (
        ("location_id", locations.Location), ("evse_uid", locations.EVSE), ("connector_id", locations.Connector)
    ):  # fmt: skip
        tail = f"{tail}/{{{name}}}".lstrip("/")
        read = Operation(f"Read one {kind.__name__}", "Locations", data=kind)
        rows[(ModuleID.locations, SENDER, tail, "GET")] = read
        rows |= _owned(ModuleID.locations, tail, kind, "Locations", "GET PUT PATCH")
    return rows


_COMMANDS = {
    "CANCEL_RESERVATION": commands.CancelReservation,
    "RESERVE_NOW": commands.ReserveNow,
    "START_SESSION": commands.StartSession,
    "STOP_SESSION": commands.StopSession,
    "UNLOCK_CONNECTOR": commands.UnlockConnector,
}


def _commands() -> dict[Key, Operation]:
    rows: dict[Key, Operation] = {
        (ModuleID.commands, RECEIVER, name, "POST"): Operation(
            f"Ask for {name}; the result comes later, at response_url",
            "Commands",
            body=kind,
            data=commands.CommandResponse,
        )
        for name, kind in _COMMANDS.items()
    }
    rows[(ModuleID.commands, SENDER, "", "POST")] = Operation(
        "Nothing is taken here", "Commands", accepts=False, local=True, note="Results go to the response_url."
    )
    rows[(ModuleID.commands, SENDER, "{command}/{key}", "POST")] = Operation(
        "Post the result of a command, once", "Commands", body=commands.CommandResult, local=True
    )
    return rows


def _chargingprofiles() -> dict[Key, Operation]:
    module, chapter, answer = ModuleID.chargingprofiles, "ChargingProfiles", chargingprofiles.ChargingProfileResponse
    result = Operation(
        "Post what became of a request, once",
        chapter,
        body=(
            chargingprofiles.ActiveChargingProfileResult,
            chargingprofiles.ChargingProfileResult,
            chargingprofiles.ClearProfileResult,
        ),
        local=True,
    )
    return {
        (module, RECEIVER, "{session_id}", "GET"): Operation(
            "Ask for the ActiveChargingProfile of a Session", chapter, data=answer, query=(_DURATION, _RESPONSE_URL)
        ),
        (module, RECEIVER, "{session_id}", "PUT"): Operation(
            "Set the ChargingProfile of a Session", chapter, body=chargingprofiles.SetChargingProfile, data=answer
        ),
        (module, RECEIVER, "{session_id}", "DELETE"): Operation(
            "Clear the ChargingProfile of a Session", chapter, data=answer, query=(_RESPONSE_URL,)
        ),
        (module, SENDER, "{session_id}", "PUT"): Operation(
            "Tell the ActiveChargingProfile of a Session", chapter, body=chargingprofiles.ActiveChargingProfile
        ),
        (module, SENDER, "results/{result_type}/{key}", "POST"): result,
    }


def _configuration() -> dict[Key, Operation]:
    """Give the rows of the Configuration Modules; versions have neither ModuleID nor role."""
    module, chapter, kind = ModuleID.credentials, "Credentials", credentials.Credentials
    info, about = hubclientinfo.ClientInfo, ModuleID.hubclientinfo
    return {
        ("", "", "versions", "GET"): Operation("List the versions", "Versions", data=list[versions.Version]),
        ("", "", "2.2.1", "GET"): Operation("List the endpoints", "Versions", data=versions.VersionDetails),
        (module, SENDER, "", "GET"): Operation("Read our Credentials", chapter, data=kind),
        (module, SENDER, "", "POST"): Operation(
            "Register", chapter, body=kind, data=kind, calls_back=True, refused=(405,)
        ),
        (module, SENDER, "", "PUT"): Operation(
            "Update the registration", chapter, body=kind, data=kind, calls_back=True, refused=(405,)
        ),
        (module, SENDER, "", "DELETE"): Operation("Unregister", chapter, refused=(405,)),
        **_list(about, info, "HubClientInfo"),
        (about, RECEIVER, _OWNED, "GET"): Operation("Read what the hub told of a party", "HubClientInfo", data=info),
        (about, RECEIVER, _OWNED, "PUT"): Operation("Tell of a party", "HubClientInfo", body=info, created=True),
    }


TABLE: Mapping[Key, Operation] = {
    **_configuration(),
    **_locations(),
    **_list(ModuleID.sessions, sessions.Session, "Sessions", _SINCE),
    **_owned(ModuleID.sessions, "{session_id}", sessions.Session, "Sessions", "GET PUT PATCH"),
    (ModuleID.sessions, SENDER, "{session_id}/charging_preferences", "PUT"): Operation(
        "Set the ChargingPreferences of a driver",
        "Sessions",
        body=sessions.ChargingPreferences,
        data=sessions.ChargingPreferencesResponse,
    ),
    **_list(ModuleID.cdrs, cdrs.CDR, "CDRs"),
    (ModuleID.cdrs, RECEIVER, "", "POST"): Operation(
        "Post a CDR", "CDRs", body=cdrs.CDR, created=True, location=True, note="The same CDR again changes nothing."
    ),
    (ModuleID.cdrs, RECEIVER, "{key}", "GET"): Operation("Read a CDR again", "CDRs", data=cdrs.CDR, local=True),
    **_list(ModuleID.tariffs, tariffs.Tariff, "Tariffs"),
    **_owned(ModuleID.tariffs, "{tariff_id}", tariffs.Tariff, "Tariffs", "GET PUT DELETE"),
    **_list(ModuleID.tokens, tokens.Token, "Tokens"),
    **_owned(ModuleID.tokens, "{token_uid}", tokens.Token, "Tokens", "GET PUT PATCH", query=(_TOKEN_TYPE,)),
    (ModuleID.tokens, SENDER, "{token_uid}/authorize", "POST"): Operation(
        "Ask whether a Token may charge, now",
        "Tokens",
        body=tokens.LocationReferences,
        body_required=False,
        data=tokens.AuthorizationInfo,
        query=(_TOKEN_TYPE,),
    ),
    **_commands(),
    **_chargingprofiles(),
}
# At URLs of a hub that stand for a partner's: what comes back, whatever module it belongs to.
BROUGHT_BACK: Mapping[str, Operation] = {
    "GET": Operation("Read what a partner's URL leads to", "Hub", data=Any, refused=(405,)),
    "POST": Operation("Post a result to a partner", "Hub", body=dict[str, Any], refused=(405,)),
}
