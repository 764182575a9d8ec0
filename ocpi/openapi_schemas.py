"""The parts of the OpenAPI document that operations share: schemas of the objects, envelopes, headers, responses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Union, get_args, get_origin

import msgspec

from ocpi import headers
from ocpi.v2_2_1 import shapes, types

Schema = dict[str, Any]
REF = "#/components/schemas/{name}"
CLIENT_ERRORS = (2000, 2001, 2002, 2003, 2004)
CALLING = (3001, 3002, 3003)  # what may go wrong while a registration calls back
_DEBUGGING: Schema = {"description": "for debugging only"}
_WRITTEN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,4}Z|\.[0-9]{1,5}|Z)?$"
_DATE_TIME: Schema = {
    "type": "string", "format": "date-time", "maxLength": 25, "pattern": _WRITTEN,
    "description": "DateTime in UTC", "examples": ["2026-01-31T08:00:00Z"],
}  # fmt: skip
ROUTING = (
    (headers.TO_COUNTRY_CODE, "country code of the party the message is for", 2),
    (headers.TO_PARTY_ID, "party id of the party the message is for", 3),
    (headers.FROM_COUNTRY_CODE, "country code of the party the message is from", 2),
    (headers.FROM_PARTY_ID, "party id of the party the message is from", 3),
)
IDS = (
    (headers.REQUEST_ID, "unique for this request; the answer has the same"),
    (headers.CORRELATION_ID, "the same for all messages of one business action; the answer has the same"),
)
# HTTP status → what it means here.
REFUSALS: Mapping[int, tuple[str, str]] = {
    400: ("BadRequest", "The body is no JSON as OCPI has it."),
    401: ("Unauthorized", "There is no token, or nobody has this one."),
    404: ("NotFound", "There is no such object, or none the caller may act on."),
    405: ("MethodNotAllowed", "The method is not available here, or not now."),
    415: ("UnsupportedMediaType", "The body is not application/json, or is compressed."),
    429: ("TooManyRequests", "Too many requests; `Retry-After` says when to come again."),
    500: ("ServerError", "We failed; nothing of what the caller sent is wrong."),
    503: ("Unavailable", "The database is away; `Retry-After` says when to come again."),
}


def ref(name: str) -> Schema:
    return {"$ref": REF.format(name=name)}


def of_type(kind: Any) -> Schema:
    """Return the JSON Schema of a type, classes as references; of a tuple of types, any of them."""
    if isinstance(kind, tuple):
        return {"anyOf": [of_type(each) for each in kind]}
    if kind is Any:
        return {}
    found, _ = msgspec.json.schema_components([kind], schema_hook=_schema, ref_template=REF)
    return found[0]


def components(kinds: Iterable[Any]) -> dict[str, Schema]:
    """Return the schemas of all classes that these types are made of, by name."""
    flat = [kind for each in kinds for kind in (each if isinstance(each, tuple) else (each,)) if kind is not Any]
    _, found = msgspec.json.schema_components(flat, schema_hook=_schema, ref_template=REF)
    classes = {kind.__name__: kind for each in flat for kind in _classes(each)}
    for name, schema in found.items():
        if name in classes:
            _describe(schema, classes[name])
    return {name: _portable(found[name]) for name in sorted(found)}


def refused_envelopes() -> dict[str, Schema]:
    """Return the schemas of answers that are no success: in general, while registering, and what a hub passes on."""
    at_a_hub: Schema = {"type": "integer", "minimum": 2000, "maximum": 4999}
    return {
        "Refused": _envelope({"type": "integer", "enum": list(CLIENT_ERRORS)}, _DEBUGGING),
        "RefusedRegistration": _envelope({"type": "integer", "enum": [*CLIENT_ERRORS, *CALLING]}, _DEBUGGING),
        "RefusedAtHub": _envelope(at_a_hub, _DEBUGGING),
    }


def success(data: Schema | None, *, anything: bool = False) -> Schema:
    """Return the schema of an answer with the code 1000, with this data or without any."""
    code: Schema = {"type": "integer", "minimum": 1000, "maximum": 1999} if anything else {"const": 1000}
    if data is not None:
        found = _envelope(code, data)
        found["required"].append("data")
        return found
    found = _envelope(code, None)
    return found if anything else {**found, "not": {"required": ["data"]}}


def answer_headers(*, functional: bool) -> Schema:
    """Return the headers of every answer: the ids, and of functional modules the routing headers."""
    names = [name for name, _ in IDS] + ([name for name, _, _ in ROUTING] if functional else [])
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def headers_and_parameters() -> dict[str, Schema]:
    """Return the components `headers` and `parameters`."""
    described: dict[str, tuple[str, Schema, bool]] = {
        name: (about, {"type": "string", "minLength": 1, "maxLength": headers.MAX_ID_LENGTH}, True)
        for name, about in IDS
    }
    for name, about, length in ROUTING:
        described[name] = (about, {"type": "string", "minLength": 1, "maxLength": length, "pattern": "^[!-~]*$"}, False)
    count: Schema = {"type": "integer", "minimum": 0}
    given = {
        "Link": ("the next page, with rel=next; absent on the last", {"type": "string"}),
        "X-Total-Count": ("how many objects match and may be seen", count),
        "X-Limit": ("how many objects a page has at most", {**count, "minimum": 1}),
        "Location": ("the URL of what was created", {"type": "string", "format": "uri"}),
        "Allow": ("the methods that are available", {"type": "string"}),
        "Retry-After": ("seconds after which to come again", {**count, "minimum": 1}),
    }
    return {
        "headers": {
            **{
                name: {"description": about, "required": always, "schema": schema}
                for name, (about, schema, always) in described.items()
            },
            **{name: {"description": about, "schema": schema} for name, (about, schema) in given.items()},
        },
        "parameters": {
            name: {"name": name, "in": "header", "description": about, "required": False, "schema": schema}
            for name, (about, schema, _) in described.items()
        },
    }


def refusals() -> dict[str, Schema]:
    """Return the component `responses`: the answers with an HTTP error."""
    found = {}
    for http_status, (name, about) in REFUSALS.items():
        codes = {"type": "integer", "enum": [3000, 4000] if http_status >= 500 else list(CLIENT_ERRORS)}
        given = answer_headers(functional=True)
        if http_status == 405:
            given["Allow"] = {"$ref": "#/components/headers/Allow"}
        if http_status in (429, 503):
            given["Retry-After"] = {"$ref": "#/components/headers/Retry-After"}
        content = {"application/json": {"schema": _envelope(codes, _DEBUGGING)}}
        found[name] = {"description": about, "headers": given, "content": content}
    found["PassedOn"] = {
        "description": "What the receiver answered, unchanged.",
        "headers": answer_headers(functional=True),
        "content": {"application/json": {"schema": {"type": "object", "required": ["status_code"]}}},
    }
    return found


def _envelope(code: Schema, data: Schema | None) -> Schema:
    members: dict[str, Schema] = {
        "status_code": code,
        "status_message": {"type": "string"},
        "timestamp": dict(_DATE_TIME),
    }
    if data is not None:
        members["data"] = data
    return {"type": "object", "properties": members, "required": ["status_code", "timestamp"]}


def _schema(kind: type) -> Schema:
    return dict(_DATE_TIME) if kind is types.DateTime else types.schema_hook(kind)


def _classes(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """Give the classes inside a type, each as often as it occurs along one way down."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        for shape in shapes.shapes(kind).values():
            yield from _classes(shape.kind)
    elif get_origin(kind) in (list, Union):
        for inner in get_args(kind):
            yield from _classes(inner)


def _describe(schema: Schema, kind: type[msgspec.Struct]) -> None:
    """Say beside each string what the specification calls it: the lengths we accept may be longer."""
    for name, shape in shapes.shapes(kind).items():
        extra = (shape.meta.extra if shape.meta else None) or {}
        if base := extra.get("base"):
            size = f"({extra['max']})" if "max" in extra else ""
            schema["properties"][name]["description"] = f"{base}{size}; {extra.get('rule', '')}".strip("; ")


def _portable(schema: Any) -> Any:
    """Write ends of patterns as JSON Schema's dialect has them, and leave out defaults that only say null."""
    if isinstance(schema, dict):
        found = {name: _portable(value) for name, value in schema.items() if (name, value) != ("default", None)}
        if isinstance(pattern := found.get("pattern"), str):
            found["pattern"] = pattern.replace(r"(?![\s\S])", "$")
        return found
    if isinstance(schema, list):
        return [_portable(each) for each in schema]
    return schema
