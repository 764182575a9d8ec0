"""Holds answers against an OpenAPI document: ours, or the same operations at somebody else's URLs.

    surface = Surface(json.loads(Path("docs/openapi.json").read_text()))
    operation = surface.find("GET", "/ocpi/cpo/2.2.1/locations")          # by the URLs of the document
    operation = surface.of_module("locations", "SENDER", "GET", "")       # or by module, role and what follows its URL
    problems = operation.problems(answer.status_code, answer.headers, answer.content)      # [] = fits

Nothing here needs Django. Schemas are compiled when first used and kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import fastjsonschema

Json = Any
_PREFIX = "/ocpi"


class SurfaceOperation:
    """One method at one path."""

    def __init__(self, surface: Surface, method: str, path: str, told: Mapping[str, Any]) -> None:
        self.method, self.path, self.told = method, path, told
        self._surface = surface

    def __repr__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def passed_on(self) -> bool:
        """Whether a hub gives back what others answer."""
        return bool(self.told["x-ocpi-passed-on"])

    def problems(self, http_status: int, headers: Mapping[str, str], body: bytes | str) -> list[str]:
        """Say what an answer has that the document does not allow."""
        answers = self.told["responses"]
        told = answers.get(str(http_status)) or answers.get("default")
        if told is None:
            known = ", ".join(answers)
            return [f"{self}: HTTP {http_status} is none of {known}"]
        envelope = json.loads(body)
        found = [*self._in_headers(told, headers, envelope)]
        if self.passed_on and str(envelope.get("status_code")).startswith("1"):
            return found  # the data are those of whoever was asked
        try:
            self._surface.check(told["content"]["application/json"]["schema"], envelope)
        except fastjsonschema.JsonSchemaValueException as error:
            found.append(f"{self}: HTTP {http_status}: {self._reason(told, envelope, error)}")
        return found

    def _in_headers(self, told: Mapping[str, Any], headers: Mapping[str, str], envelope: Json) -> Iterator[str]:
        for name, reference in told["headers"].items():
            header = self._surface.resolve(reference)
            value = headers.get(name)
            if value is None:
                listed = name.startswith("X-") and envelope.get("status_code") == 1000
                if header.get("required") or (listed and not self.passed_on):
                    yield f"{self}: the header {name} is missing"
                continue
            try:
                read = int(value) if header["schema"]["type"] == "integer" else value
                self._surface.check(header["schema"], read)
            except (ValueError, fastjsonschema.JsonSchemaValueException) as error:
                yield f"{self}: the header {name}: {error}"

    def _reason(self, told: Mapping[str, Any], envelope: Json, error: fastjsonschema.JsonSchemaValueException) -> str:
        """Say more than "none of these": which rule a success breaks."""
        schema = told["content"]["application/json"]["schema"]
        if "anyOf" in schema:
            refused = str(envelope.get("status_code"))[:1] in ("2", "3", "4")
            chosen = schema["anyOf"][1 if refused else 0]
            try:
                self._surface.check(chosen, envelope)
            except fastjsonschema.JsonSchemaValueException as closer:
                return str(closer)
        return str(error)


class Surface:
    """An OpenAPI document, ready to be asked."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._checks: dict[str, Any] = {}
        self._tree: dict[str, Any] = {}
        self.operations: list[SurfaceOperation] = []
        for path, item in document["paths"].items():
            node = self._tree
            for part in filter(None, path.split("/")):
                node = node.setdefault("{}" if part.startswith("{") else part, {})
            node[""] = found = {}
            for method, told in item.items():
                if method == "parameters":
                    continue
                answers = {status: self.resolve(answer) for status, answer in told["responses"].items()}
                operation = SurfaceOperation(self, method.upper(), path, {**told, "responses": answers})
                found[operation.method] = operation
                self.operations.append(operation)

    def find(self, method: str, url: str) -> SurfaceOperation | None:
        """Return the operation at a URL or path of the document, if there is one."""
        return self.methods(url).get(method)

    def methods(self, url: str) -> Mapping[str, SurfaceOperation]:
        """Return what can be done at a URL or path; nothing if it is not in the document."""
        path = urlsplit(url).path
        parts = [part for part in path.removeprefix(_PREFIX).split("/") if part]
        return self._walk(self._tree, parts) or {}

    def of_module(self, module: str, role: str, method: str, tail: str) -> SurfaceOperation:
        """Return an operation of a module by what follows its endpoint's URL: "", "{location_id}", "START_SESSION"."""
        for operation in self.operations:
            told = operation.told
            if (told["x-ocpi-module"], told["x-ocpi-role"], operation.method) != (module, role, method):
                continue
            if operation.path.partition(f"/{module}")[2].strip("/") == tail and not operation.passed_on:
                return operation
        raise LookupError(f"{module} {role} has no {method} {tail}")

    def check(self, schema: Mapping[str, Any], value: Json) -> None:
        """Hold a value against a schema of the document.

        :raises JsonSchemaValueException: saying where it does not fit.
        """
        key = json.dumps(schema, sort_keys=True)
        if key not in self._checks:
            whole = {"allOf": [schema], "components": {"schemas": self._document["components"]["schemas"]}}
            self._checks[key] = fastjsonschema.compile(whole, use_default=False, use_formats=False)
        self._checks[key](value)

    def check_object(self, name: str, value: Json) -> None:
        """Hold an object against the schema of its class, such as "Location".

        :raises JsonSchemaValueException: saying where it does not fit.
        """
        self.check({"$ref": f"#/components/schemas/{name}"}, value)

    def knows(self, name: str) -> bool:
        """Whether a class is among the schemas."""
        return name in self._document["components"]["schemas"]

    def resolve(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Follow a reference inside the document."""
        while "$ref" in schema:
            found: Any = self._document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            schema = found
        return schema

    def _walk(self, node: dict[str, Any], parts: list[str]) -> Mapping[str, SurfaceOperation] | None:
        if not parts:
            found: Mapping[str, SurfaceOperation] | None = node.get("")
            return found
        for word in (parts[0], "{}"):
            if word in node and (found := self._walk(node[word], parts[1:])) is not None:
                return found
        return None
