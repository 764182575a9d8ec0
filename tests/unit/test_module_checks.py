"""A setup whose modules lack those they depend on is warned about when it starts."""

from __future__ import annotations

from typing import Any

import pytest

from ocpi import checks, endpoints
from tests.fixtures import Side


@pytest.mark.req("VER-13", "VER-14")
@pytest.mark.parametrize("chosen", [("hub",), ("cpo",), ("emsp",), ("cpo", "emsp")])
def test_what_we_serve_is_complete(side: Side, chosen: tuple[str, ...]) -> None:
    side(*chosen, parties=["NL*HUB:HUB"])

    assert checks.modules(None) == []


@pytest.mark.req("VER-14")
@pytest.mark.parametrize(
    ("chosen", "gone", "warned"),
    [
        ("cpo", "sessions", {"commands RECEIVER", "chargingprofiles RECEIVER"}),
        ("cpo", "locations", {"commands RECEIVER"}),
        ("emsp", "tariffs", {"locations RECEIVER"}),
        ("emsp", "tokens", set()),
    ],
)
def test_a_module_that_is_missing_is_missed_by_those_that_need_it(
    side: Side, monkeypatch: pytest.MonkeyPatch, chosen: str, gone: str, warned: set[str]
) -> None:
    side(chosen, parties=["NL*TNM:CPO"])
    kept = [entry for entry in endpoints.served() if entry.module != gone]
    monkeypatch.setattr(endpoints, "served", lambda: kept)

    found: list[Any] = checks.modules(None)

    assert {message.id for message in found} == ({"ocpi.W001"} if warned else set())
    assert {message.msg.partition(" is advertised")[0] for message in found} == warned
    assert all(gone in message.msg for message in found)
