"""OpenAPI 3.1 of what is served: the endpoint tables say which operations there are, the types what they look like.

Summaries are our own; the specification's text stays in the specification.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module

from django.conf import settings

from ocpi import endpoints, openapi_schemas
from ocpi.openapi_operations import BROUGHT_BACK, TABLE, Operation
from ocpi.openapi_schemas import Schema
from ocpi.views import METHODS, OcpiView

SIDES = ("cpo", "emsp", "hub")
_PARAMETER = re.compile(r"{(\w+)}")
_TEXT = """\
The OCPI 2.2.1 interfaces of this platform, written from the types it checks messages with.

* `Authorization: Token <credentials token in Base64>` on every request.
* A well-formed message is answered with HTTP 200 or 201; whether it was accepted says `status_code` (1000).
* Every list is paged: follow `Link` with `rel="next"`.
* Objects may have members that are not listed here; they are kept.
* Ids in URLs are percent-encoded and compared without regard to case.
"""


@dataclass(frozen=True, slots=True)
class Route:
    """One operation at one URL of one side."""

    path: str  # below /ocpi/
    method: str
    module: str
    role: str
    operation: Operation
    functional: bool
    passed_on: bool  # a hub gives back what the receiver answers


def document(sides: Iterable[str], *, server: str) -> Schema:
    """Return the OpenAPI document of these sides; `server` is the URL in front of the paths."""
    found = list(routes(sides))
    kinds = [kind for route in found for kind in (route.operation.body, route.operation.data) if kind is not None]
    tags = dict.fromkeys(_tag(route) for route in found)
    paths: dict[str, Schema] = {}
    for route in found:
        item = paths.setdefault(f"/{route.path}", _path_item(route))
        item[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "OCPI 2.2.1",
            "version": endpoints.VERSION,
            "description": _TEXT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server}],
        "security": [{"credentials_token": []}],
        "tags": [{"name": tag} for tag in tags],
        "paths": {path: paths[path] for path in sorted(paths)},
        "components": {
            "schemas": openapi_schemas.components(kinds) | openapi_schemas.refused_envelopes(),
            "responses": openapi_schemas.refusals(),
            **openapi_schemas.headers_and_parameters(),
            "securitySchemes": {
                "credentials_token": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "Token, a space, and the credentials token in Base64",
                }
            },
        },
    }


def text(sides: Iterable[str], *, server: str) -> str:
    """Return the document as JSON for people and for version control."""
    return json.dumps(document(sides, server=server), indent=1, ensure_ascii=False) + "\n"


def own() -> Schema:
    """Return the document of this instance."""
    return document(settings.OCPI_SIDES, server=f"{settings.OCPI_BASE_URL}/ocpi")


def routes(sides: Iterable[str]) -> Iterator[Route]:
    """Give every operation that these sides serve."""
    for place in _places(sides):
        yield from _routes(place)


def undocumented(sides: Iterable[str]) -> list[str]:
    """Return what is served and has no row in the table."""
    return [
        f"{method.upper()} {place.path}"
        for place in _places(sides)
        for method in METHODS
        if hasattr(place.view, method) and not any(route.method == method.upper() for route in _routes(place))
    ]


@dataclass(frozen=True, slots=True)
class _Place:
    """One URL that is served."""

    module: str
    role: str
    tail: str
    path: str
    view: type[OcpiView]


def _places(sides: Iterable[str]) -> Iterator[_Place]:
    sides = tuple(sides)
    everywhere = import_module("ocpi.modules.endpoints")
    entries = list(everywhere.ENDPOINTS)
    for path, view in everywhere.UNLISTED:
        yield _Place("", "", path, path, view)
    for side in sides:
        found = import_module(f"{side}.endpoints")
        entries += found.ENDPOINTS
        for path, view in getattr(found, "UNLISTED", ()):
            yield _Place("", "", path, path, view)
    for entry in entries:
        for tail, view in entry.views.items():
            yield _Place(entry.module, entry.role, tail, f"{entry.path}/{tail}".rstrip("/"), view)


def _routes(place: _Place) -> Iterator[Route]:
    for method, tail, operation in _rows(place):
        path = place.path.removesuffix(place.tail).rstrip("/")
        yield Route(
            path=f"{path}/{tail}".strip("/"),
            method=method,
            module=place.module,
            role=place.role,
            operation=operation,
            functional=place.view.functional,
            passed_on=place.view.passes_on,
        )


def _rows(place: _Place) -> Iterator[tuple[str, str, Operation]]:
    """Give method, path below the endpoint and row of what a view serves."""
    if place.view.passes_on and not place.module:
        for method, operation in BROUGHT_BACK.items():
            yield method, place.tail, operation
        return
    for (module, role, tail, method), operation in TABLE.items():
        if (module, role) != (place.module, place.role) or not _fits(tail, place.tail):
            continue
        if place.view.passes_on and not operation.local:
            yield method, tail, operation
        elif hasattr(place.view, method.lower()):
            yield method, _with_names(tail, place.tail), operation


def _fits(row: str, served: str) -> bool:
    """Whether a row is about a served path: the same words at the same places, a parameter standing for any."""
    ours, theirs = row.split("/"), served.split("/")
    return len(ours) == len(theirs) and all(
        mine == other or (other.startswith("{") and bool(mine)) for mine, other in zip(ours, theirs, strict=True)
    )


def _with_names(row: str, served: str) -> str:
    """Return a row's path with the parameters called as the view calls them."""
    pairs = zip(row.split("/"), served.split("/"), strict=True)
    return "/".join(other if mine.startswith("{") else mine for mine, other in pairs)


def _tag(route: Route) -> str:
    return route.module or ("versions" if not route.passed_on else "hub")


def _path_item(route: Route) -> Schema:
    """Return what all methods of a path share: its parameters, and the headers of every request."""
    names = [name for name, _ in openapi_schemas.IDS]
    if route.functional:
        names += [name for name, _, _ in openapi_schemas.ROUTING]
    in_path = [_path_parameter(name) for name in _PARAMETER.findall(route.path)]
    return {"parameters": [*in_path, *({"$ref": f"#/components/parameters/{name}"} for name in names)]}


def _path_parameter(name: str) -> Schema:
    longest = {"country_code": 2, "party_id": 3}.get(name, 36)
    schema: Schema = {"type": "string", "minLength": 1}
    if name not in ("key", "kind", "command"):
        schema |= {"maxLength": longest, "pattern": "^[ -~]*$"}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _operation(route: Route) -> Schema:
    operation = route.operation
    role = f", {route.role.title()} interface" if route.role else ""
    notes = [f"OCPI 2.2.1, {operation.chapter}{role}.", operation.note]
    if route.passed_on:
        notes.append("The hub passes this on: data are the receiver's own.")
    found: Schema = {
        "operationId": _name(route),
        "summary": operation.summary,
        "description": " ".join(filter(None, notes)),
        "tags": [_tag(route)],
        "x-ocpi-module": route.module,
        "x-ocpi-role": route.role,
        "x-ocpi-passed-on": route.passed_on,
        "parameters": _query(operation),
        "responses": _responses(route),
    }
    if operation.body is not None:
        schema = openapi_schemas.of_type(operation.body)
        if operation.stamped:
            schema = {"allOf": [schema, {"required": ["last_updated"]}]}
        found["requestBody"] = {
            "required": operation.body_required,
            "content": {"application/json": {"schema": schema}},
        }
    return found


def _name(route: Route) -> str:
    words = re.sub(r"\W+", "_", route.path).strip("_").replace("2_2_1_", "")
    return f"{route.method.lower()}_{words}"


def _query(operation: Operation) -> list[Schema]:
    return [
        {"name": each.name, "in": "query", "description": each.about, "required": each.required, "schema": each.schema}
        for each in operation.query
    ]


def _responses(route: Route) -> Schema:
    operation = route.operation
    found: Schema = {}
    found["200"] = _answer(route, "The answer; `status_code` says whether it was accepted.", refused=True)
    if operation.created:
        found["201"] = _answer(route, "It was new.", refused=False)
    wanted = {401, 404, 429, 500, 503, *operation.refused, *((400, 415) if operation.body is not None else ())}
    if route.passed_on:
        wanted |= {400, 405, 415}
    if operation.paged or not route.module:
        wanted -= {404} if not route.passed_on else set()
    for http_status in sorted(wanted):
        name, _ = openapi_schemas.REFUSALS[http_status]
        found[str(http_status)] = {"$ref": f"#/components/responses/{name}"}
    if route.passed_on:
        found["default"] = {"$ref": "#/components/responses/PassedOn"}
    return found


def _answer(route: Route, about: str, *, refused: bool) -> Schema:
    operation = route.operation
    data = None if operation.data is None else openapi_schemas.of_type(operation.data)
    schema = openapi_schemas.success(data, anything=route.passed_on)
    if refused:
        other = "RefusedAtHub" if route.passed_on else "RefusedRegistration" if operation.calls_back else "Refused"
        schema = {"anyOf": [schema, openapi_schemas.ref(other)]} if operation.accepts else openapi_schemas.ref(other)
    names = (["Link", "X-Total-Count", "X-Limit"] if operation.paged else []) + (
        ["Location"] if operation.location else []
    )
    given = openapi_schemas.answer_headers(functional=route.functional) | {
        name: {"$ref": f"#/components/headers/{name}"} for name in names
    }
    return {"description": about, "headers": given, "content": {"application/json": {"schema": schema}}}
