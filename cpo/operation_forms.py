"""Forms of OCPP requests, made of the JSON schemas of their actions: nested objects, arrays, enums, decimals, moments.

A form is a tree. Leaves are form fields named by their path (`csChargingProfiles.chargingSchedule.duration`); an array
shows as many items as the caller has asked for. What is left empty is left out of the payload, and an object without
anything in it, too. The schema itself judges the result, so nothing is said here twice (OCPP-78).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django import forms

from cpo.gateway import schemas

Schema = Mapping[str, Any]
_LEFT_OUT = frozenset({"customData"})
_LONG = 250  # characters from which a text gets several lines
_MOST_ITEMS = 200
_DEEPEST = 8
_YES, _NO = "true", "false"


@dataclass
class Node:
    """A place in a request: a value, an object or an array."""

    path: str
    label: str
    kind: str  # leaf, object, array
    required: bool
    schema: Schema
    children: list[Node] = field(default_factory=list)
    bound: Any = None  # the field as it is shown

    def leaves(self) -> Iterator[Node]:
        if self.kind == "leaf":
            yield self
        for child in self.children:
            yield from child.leaves()

    def nodes(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            yield from child.nodes()


class OperationForm(forms.Form):
    """The request of one action."""

    use_required_attribute = False

    def __init__(self, version: str, action: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data)
        schema = schemas.of_request(version, action)
        counts = _counts(data or {})
        self.tree = _node("", action, schema, schema.get("definitions", {}), counts, required=True, depth=0)
        for leaf in self.tree.leaves():
            self.fields[leaf.path] = _field(leaf)
        for leaf in self.tree.leaves():
            leaf.bound = self[leaf.path]
        self.counts = [
            (_count_name(node.path), len(node.children)) for node in self.tree.nodes() if node.kind == "array"
        ]

    def payload(self) -> dict[str, Any]:
        """Return the request as it was filled in; only of a valid form."""
        found = self._value(self.tree)
        return found if isinstance(found, dict) else {}

    def _value(self, node: Node) -> Any:
        if node.kind == "leaf":
            return _written(node.schema, self.cleaned_data.get(node.path))
        values = [(child, self._value(child)) for child in node.children]
        if node.kind == "array":
            return [value for _, value in values if value is not None] or None
        members = {child.label: value for child, value in values if value is not None}
        return members or None

    def blame(self, path: str, message: str) -> None:
        """Put an error beside the field it is about; `path` has no places in arrays."""
        for leaf in self.tree.leaves():
            if ".".join(part for part in leaf.path.split(".") if not part.isdigit()) == path:
                self.add_error(leaf.path, message)
                return
        self.add_error(None, message)


def more_items(data: Any, path: str) -> None:
    """Give an array of a form one more item, or take the last away with a minus in front of its path."""
    less = path.startswith("-")
    name = _count_name(path.removeprefix("-"))
    number = int(data[name]) if str(data.get(name, "")).isdigit() else 0
    data[name] = str(min(max(number + (-1 if less else 1), 0), _MOST_ITEMS))


def _count_name(path: str) -> str:
    return f"{path}[]"


def _counts(data: Mapping[str, Any]) -> dict[str, int]:
    return {
        name.removesuffix("[]"): min(int(str(value)), _MOST_ITEMS)
        for name, value in data.items()
        if name.endswith("[]") and str(value).isdigit()
    }


def _node(
    path: str,
    label: str,
    schema: Schema,
    definitions: Mapping[str, Schema],
    counts: Mapping[str, int],
    *,
    required: bool,
    depth: int,
) -> Node:
    schema = _resolved(schema, definitions)
    node = Node(path, label, _kind(schema, depth), required, schema)
    if node.kind == "object":
        wanted = schema.get("required", ())
        node.children = [
            _node(_below(path, name), name, part, definitions, counts, required=name in wanted, depth=depth + 1)
            for name, part in schema["properties"].items()
            if name not in _LEFT_OUT
        ]
        node.children.sort(key=lambda child: not child.required)
    elif node.kind == "array":
        usual = max(int(schema.get("minItems", 0)), 1) if required else 0
        node.children = [
            _node(
                f"{path}.{place}", f"{label} {place + 1}", schema["items"], definitions, counts, required=True,
                depth=depth + 1,
            )
            for place in range(counts.get(path, usual))
        ]  # fmt: skip
    return node


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _resolved(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    while "$ref" in schema:
        schema = definitions[str(schema["$ref"]).rpartition("/")[2]]
    return schema


def _kind(schema: Schema, depth: int) -> str:
    if schema.get("type") == "object" and schema.get("properties") and depth < _DEEPEST:
        return "object"
    if schema.get("type") == "array" and isinstance(schema.get("items"), dict):
        return "array"
    return "leaf"


def _field(leaf: Node) -> forms.Field:
    schema = leaf.schema
    common: dict[str, Any] = {"required": False, "label": leaf.label, "help_text": _help(leaf)}
    if "enum" in schema:
        choices = [("", "–"), *((value, value) for value in schema["enum"])]
        return forms.ChoiceField(choices=choices, **common)
    kind = schema.get("type")
    if kind == "boolean":
        return forms.ChoiceField(choices=[("", "–"), (_YES, "yes"), (_NO, "no")], **common)
    if kind == "integer":
        return forms.IntegerField(**common)
    if kind == "number":
        return forms.DecimalField(widget=forms.NumberInput(attrs={"step": "any"}), **common)
    if kind == "string" and schema.get("format") == "date-time":
        moment = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S")
        return forms.DateTimeField(widget=moment, **common)
    if kind == "string":
        longest = schema.get("maxLength")
        long = longest is not None and longest >= _LONG
        widget = forms.Textarea(attrs={"rows": 3}) if long else forms.TextInput()
        return forms.CharField(max_length=longest, strip=False, widget=widget, **common)
    return forms.JSONField(widget=forms.Textarea(attrs={"rows": 3}), **common)


def _help(leaf: Node) -> str:
    schema = leaf.schema
    told = []
    if schema.get("format") == "date-time":
        told.append("UTC")
    if "type" not in schema or schema.get("type") == "object":
        told.append("JSON")
    if "maxLength" in schema:
        told.append(f"{schema['maxLength']} characters at most")
    return ", ".join(told)


def _written(schema: Schema, value: Any) -> Any:
    """Return a value of a field as a payload has it; None if it was left empty."""
    if value is None or value == "":
        return None
    if schema.get("type") == "boolean":
        return value == _YES
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return value
