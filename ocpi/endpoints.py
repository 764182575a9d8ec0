"""Serve(...) entries → where HTTP arrives and what the version details say: one list for both.

A side lists its interfaces in `<side>/endpoints.py` as ENDPOINTS; the Configuration Modules are listed here. Paths are
matched segment by segment on the undecoded URL, so that an id may contain a slash as %2F (PIT-17), and with or without
a trailing slash (TRN-022).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, re_path
from django.views.decorators.csrf import csrf_exempt

from ocpi.enums import InterfaceRole, ModuleID
from ocpi.views import OcpiView, UnknownPath

VERSION = "2.2.1"
View = Callable[..., HttpResponse]


@dataclass(frozen=True, slots=True)
class Serve:
    """One interface of one module on one side.

    `views` maps what follows the endpoint's URL to a view, with parameters in braces: {"": List, "{location_id}": One}.
    """

    module: ModuleID
    role: InterfaceRole
    path: str  # below /ocpi/, e.g. "cpo/2.2.1/locations"
    views: Mapping[str, type[OcpiView]]
    # The name of a setting that is off where the interface answers, but is not listed; empty = always listed.
    listed_if: str = ""

    @property
    def is_listed(self) -> bool:
        return not self.listed_if or bool(getattr(settings, self.listed_if))

    @property
    def url(self) -> str:
        return f"{settings.OCPI_BASE_URL}/ocpi/{self.path}"


def served() -> tuple[Serve, ...]:
    """Return the interfaces of the sides this instance serves, credentials first (VER-09, VER-10).

    Where two sides serve one interface (chargingprofiles RECEIVER), consumers could not tell them apart (VER-07): the
    first side's is listed.
    """
    listed: dict[tuple[str, str], Serve] = {}
    for entry in _served(tuple(settings.OCPI_SIDES)):
        if entry.is_listed:
            listed.setdefault((entry.module, entry.role), entry)
    return tuple(listed.values())


def urlpatterns() -> list[URLPattern]:
    """Return the one URL pattern below which all OCPI requests arrive."""
    return [re_path(r"^ocpi(?:/[\s\S]*)?\Z", entrance, name="ocpi")]


@csrf_exempt
def entrance(request: HttpRequest) -> HttpResponse:
    """Find the view for an OCPI URL and run it."""
    segments = _segments(request)
    found = _find(_tree(tuple(settings.OCPI_SIDES)), segments, 0, {}) if segments is not None else None
    view, parameters = found or (_unknown, {})
    return view(request, **parameters)


_unknown = UnknownPath.as_view()
_PARAMETER = "\x00"  # what no segment can be: a path may well have one called {}


def _segments(request: HttpRequest) -> list[str] | None:
    """Return the decoded path segments below /ocpi, or None if they are no text (SEC-47)."""
    raw = request.META.get("RAW_URI") or request.META.get("RAW_PATH")
    if isinstance(raw, bytes):
        raw = raw.decode("latin-1")
    if raw:
        path = raw.partition("?")[0]
        if "://" in path:  # the absolute form of a request line
            path = "/" + path.partition("://")[2].partition("/")[2]
        decoded = segments_of(path)
    else:
        decoded = _printable([part for part in request.path_info.split("/") if part])
    return decoded[1:] if decoded is not None else None  # without "ocpi"


def segments_of(path: str) -> list[str] | None:
    """Return the decoded segments of an undecoded path, or None if they are no text (SEC-47)."""
    parts = [part for part in path.split("/") if part]
    if "%" not in path:
        return parts if path.isprintable() else None
    try:
        return _printable([unquote_to_bytes(part).decode() for part in parts])
    except UnicodeDecodeError:
        return None


def _printable(parts: list[str]) -> list[str] | None:
    return parts if all(part.isprintable() for part in parts) else None


def _find(
    tree: dict[str, Any], segments: list[str], index: int, parameters: dict[str, str]
) -> tuple[View, dict[str, str]] | None:
    if index == len(segments):
        return (tree["view"], parameters) if "view" in tree else None
    below = tree["below"].get(segments[index])
    if below is not None:
        found = _find(below, segments, index + 1, parameters)
        if found:
            return found
    wild = tree["below"].get(_PARAMETER)
    if wild is None:
        return None
    return _find(wild, segments, index + 1, {**parameters, wild["name"]: segments[index]})


@lru_cache(maxsize=8)
def _served(sides: tuple[str, ...]) -> tuple[Serve, ...]:
    everywhere = import_module("ocpi.modules.endpoints")
    found: list[Serve] = list(everywhere.ENDPOINTS)
    for side in sides:
        found.extend(import_module(f"{side}.endpoints").ENDPOINTS)
    return tuple(found)


@lru_cache(maxsize=8)
def _tree(sides: tuple[str, ...]) -> dict[str, Any]:
    """Return the routes as nested dicts: {"below": {segment: node}, "view": …, "name": …}."""
    root: dict[str, Any] = {"below": {}}
    unlisted: list[tuple[str, type[OcpiView]]] = []
    for name in ("ocpi.modules", *sides):
        unlisted.extend(getattr(import_module(f"{name}.endpoints"), "UNLISTED", ()))
    routes = [(f"{entry.path}/{tail}", view) for entry in _served(sides) for tail, view in entry.views.items()]
    for path, view in [*unlisted, *routes]:
        node = root
        for part in filter(None, path.split("/")):
            parameter = part.startswith("{")
            node = node["below"].setdefault(_PARAMETER if parameter else part, {"below": {}})
            if parameter and node.setdefault("name", part.strip("{}")) != part.strip("{}"):
                raise ValueError(f"{path}: the parameter {part} has another name in a neighbouring route")
        if view.functional and not view.passes_on and not view.owners and view.askers is None:
            raise TypeError(f"{view.__name__} does not say who may do this: it needs owners or askers (SEC-32)")
        node["view"] = view.as_view()
    return root
