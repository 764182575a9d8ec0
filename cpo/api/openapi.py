"""OpenAPI 3.1 of the operation API, written from its table of URLs and the schemas that bodies are checked with."""

from __future__ import annotations

import json
import re
from typing import Any

from cpo.api import schemas
from cpo.api.base import View
from cpo.api.table import PREFIX, ROUTES, Operation, Query, Route

Schema = dict[str, Any]
METHODS = ("get", "post", "put", "patch", "delete")
_PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")
_TEXT = """\
Drive charge points over REST: every operation of OCPP 1.6 (with the security whitepaper) and 2.0.1, and what followed.

* `Authorization: Bearer <token>`; tokens are made with `manage.py api_token` or in the admin, with the rights `read`,
  `operate` and `manage`, for one tenant or all. A session of the admin does as well, with `X-CSRFToken` for changes.
* Errors are `{"error": CODE, "message", "field"?, "rule"?}`. What belongs to another tenant does not exist: 404.
* Moments are RFC 3339 in UTC, energy is in Wh.
"""
_REFUSALS = {
    400: "The body is no JSON.",
    401: "No token, or not a good one.",
    403: "The token has not this right.",
    404: "Not there, or of another tenant.",
    405: "The method does nothing here.",
    409: "OFFLINE, PROTOCOL_MISMATCH, NOT_SENT or CONFLICT.",
    422: "Breaks its schema: field and rule are named. UNKNOWN_ACTION, UNKNOWN_REF, UNKNOWN_ID.",
    429: "QUEUE_FULL or TOO_MANY_WAITING.",
    500: "Our fault.",
    503: "UNAVAILABLE: the database is away; `Retry-After` says when to come again.",
}
_ABOUT = {
    "cp": "identity of a charge point; letter case does not matter",
    "operation": "id of an operation",
    "ref": "what our record is called",
    "id_tag": "an id tag",
}


def document(*, server: str) -> Schema:
    """Return the document; `server` is the URL in front of the paths."""
    paths = {f"/{_path(route)}": _item(route) for route in ROUTES}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "OCPP operations",
            "version": "1",
            "description": _TEXT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server}],
        "security": [{"token": []}, {"session": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in ROUTES)],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas.SCHEMAS,
            "responses": {
                f"Refused{code}": {
                    "description": about,
                    "content": {"application/json": {"schema": schemas.ref("Error")}},
                }
                for code, about in _REFUSALS.items()
            },
            "headers": {
                "X-Total-Count": {"description": "items in all", "required": True, "schema": {"type": "integer"}},
                "X-Limit": {"description": "items on a page", "required": True, "schema": {"type": "integer"}},
            },
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "sessionid",
                    "description": "that of the admin; with the port behind it, if OCPI_BASE_URL has one: "
                    "sessionid_8000",
                },
            },
        },
    }


def text(*, server: str) -> str:
    """Return the document as JSON for people and for version control."""
    return json.dumps(document(server=server), indent=1, ensure_ascii=False) + "\n"


def undocumented() -> list[str]:
    """Return what a view does that its row of the table does not say, and the other way round."""
    found = []
    for route in ROUTES:
        served = {method for method in METHODS if hasattr(route.view, method)}
        found += [f"{method.upper()} {route.path}" for method in served ^ route.operations.keys()]
    return found


def _path(route: Route) -> str:
    return _PARAMETER.sub(r"{\2}", route.path)


def _item(route: Route) -> Schema:
    parameters = [_in_path(kind, name) for kind, name in _PARAMETER.findall(route.path)]
    found: Schema = {"parameters": parameters} if parameters else {}
    for method, operation in route.operations.items():
        found[method] = _operation(route, method, operation)
    return found


def _in_path(kind: str, name: str) -> Schema:
    schema: Schema = {"type": "string", **({"format": "uuid"} if kind == "uuid" else {})}
    return {"name": name, "in": "path", "required": True, "description": _ABOUT[name], "schema": schema}


def _operation(route: Route, method: str, operation: Operation) -> Schema:
    words = re.sub(r"\W+", "_", _path(route)).strip("_")
    scope = _scope(route.view, method)
    found: Schema = {
        "operationId": f"{method}_{words}",
        "summary": operation.summary,
        "description": " ".join(filter(None, (operation.note, f"Needs the right to {scope}."))),
        "tags": [route.tag],
        "parameters": [_in_query(each) for each in operation.query],
        "responses": _responses(operation),
    }
    if operation.takes:
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _any_of(operation.takes)}},
        }
    return found


def _scope(view: type[View], method: str) -> str:
    return view.scopes.get(method, "read" if method == "get" else "manage")


def _in_query(query: Query) -> Schema:
    found: Schema = {"name": query.name, "in": "query", "required": False, "schema": query.schema}
    return {**found, "description": query.about} if query.about else found


def _any_of(names: str) -> Schema:
    found = [schemas.ref(name) for name in names.split()]
    return found[0] if len(found) == 1 else {"anyOf": found}


def _responses(operation: Operation) -> Schema:
    found: Schema = {}
    for code in operation.statuses:
        answer: Schema = {"description": "Done." if code != 202 else "It is on its way."}
        if operation.streams:
            answer["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
        elif operation.gives:
            answer["content"] = {"application/json": {"schema": _any_of(operation.gives)}}
        if operation.paged:
            answer["headers"] = {
                name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Total-Count", "X-Limit")
            }
        found[str(code)] = answer
    refused = {401, 403, 404, 405, 422, 500, 503, *operation.refused, *((400,) if operation.takes else ())}
    for code in sorted(refused):
        found[str(code)] = {"$ref": f"#/components/responses/Refused{code}"}
    return found


SERVER = f"/{PREFIX}"
