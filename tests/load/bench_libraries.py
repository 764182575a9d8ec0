"""BENCH-11: four operations beside a Python OCPI library of the field, which keeps everything in memory.

The library, elumobility/ocpi-python, is no dependency of ours: a checkout of it is named by OCPI_LIBRARY, otherwise it
is installed from PyPI into a folder of this run. Its own dependencies are installed into that folder in both cases. It
refuses a Location without the members that OCPI calls optional, so its Locations have them, with null.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ocpi.sample_data import tokens
from tests.load import objects, registry
from tests.load.client import TIME
from tests.load.harness import CONNECTIONS, PROJECT, Lab, Line, Process, free_port, http, say, trouble

_LOCATIONS, _TOKENS = 10_000, 1_000
_CHANGED = 8 * CONNECTIONS  # Locations that are put and patched; each connection has its own
_NEEDS = ["fastapi", "pydantic>=2", "pydantic-settings", "httpx", "uvicorn", "httptools", "uvloop"]
_LOCATION = (
    "name", "postal_code", "state", "parking_type", "operator", "suboperator", "owner", "opening_times",
    "charging_when_closed", "energy_mix",
)  # fmt: skip
_EVSE = ("evse_id", "status_schedule", "floor_level", "coordinates", "physical_reference")
_CONNECTOR = ("max_electric_power", "terms_and_conditions")
_PUBLISHED_TO = ("uid", "type", "visual_number", "issuer", "group_id")
_TOKEN = ("visual_number", "group_id", "language", "default_profile_type", "energy_contract")
_GOALS = {"page of 100 Locations": 25, "PUT Location": 3, "PATCH EVSE status": 4, "authorize": 2}
_AS_EMSP = registry.headers(registry.EMSP_TOKEN, registry.EMSP, registry.CPO)
_AS_CPO = registry.headers(registry.CPO_TOKEN, registry.CPO, registry.EMSP)


def libraries(lab: Lab) -> Iterable[Line]:
    """BENCH-11: a page, a PUT, a PATCH and an authorization, ours durable, the library's in memory."""
    python = _interpreter(lab.folder)
    if python is None:
        yield Line(
            "BENCH-11 beside elumobility/ocpi-python", None, "requests per second", "the library", None,
            note="not measured: name a checkout of the library in OCPI_LIBRARY",
        )  # fmt: skip
        return
    count = max(200, int(_LOCATIONS * lab.options.scale))
    cards = [json.loads(objects.text(each)) for each in tokens(_TOKENS)]
    cpo, emsp = _ours(lab, count, cards)
    library = _library(lab, python, count, cards)
    uids = [card["uid"] for card in cards if card["type"] == "RFID" and card["valid"]]
    operations = {
        "page of 100 Locations": (cpo, [http("GET", "/ocpi/cpo/2.2.1/locations?limit=100", _AS_EMSP)]),
        "PUT Location": (emsp, list(_puts(objects.location))),
        "PATCH EVSE status": (emsp, list(_patches())),
        "authorize": (emsp, list(_authorizations(uids, "type"))),
    }
    theirs = {
        "page of 100 Locations": [http("GET", "/ocpi/cpo/2.2.1/locations/?limit=100", _AS_EMSP)],
        "PUT Location": list(_puts(_complete)),
        "authorize": list(_authorizations(uids, "token_type")),
    }
    for name, (server, requests) in operations.items():
        sides = {
            "ours": (server, lab.requests(requests)),
            "library": (library, lab.requests(theirs.get(name, requests))),
        }
        found = lab.compare(sides)
        yield Line(
            f"BENCH-11 {name}, {count:,} Locations, durable", found["ours"].per_second, "requests per second",
            "elumobility/ocpi-python in memory, one worker", found["library"].per_second, goal=_GOALS[name],
            note=trouble(found), details={side: measured.details() for side, measured in found.items()},
        )  # fmt: skip
    lab.stop(cpo, emsp, library)


def _interpreter(folder: Path) -> str | None:
    """Return a Python that has the library's dependencies, and the library unless a checkout is named."""
    say("installing the library's dependencies for this run")
    place = folder / "library"
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    python = str(place / "bin" / "python")
    wanted = [*_NEEDS, *([] if os.environ.get("OCPI_LIBRARY") else ["ocpi-python"])]
    done = subprocess.run([python, "-m", "pip", "install", "-q", *wanted], capture_output=True, text=True, check=False)
    return None if done.returncode else python


def _ours(lab: Lab, count: int, cards: list[dict[str, Any]]) -> tuple[Process, Process]:
    databases = {side: lab.database(f"libraries_{side}") for side in ("cpo", "emsp")}
    for database in databases.values():
        lab.seed(database, registry.platforms([9], receivers=1))
    objects.load_cpo(databases["cpo"], count)
    objects.vacuum(databases["cpo"])
    sides = {"cpo": "NL*TNM:CPO", "emsp": "DE*EMS:EMSP"}
    env = {side: {"OCPI_SIDES": side, "OCPI_PARTIES": party} for side, party in sides.items()}
    file = lab.folder / "cards.json"
    file.write_text(json.dumps(cards))
    loading = [sys.executable, "manage.py", "load_tokens", str(file)]
    lab.run(loading, {**env["emsp"], "DATABASE_URL": databases["emsp"]})
    cpo, emsp = (lab.instance(side, databases[side], env[side]) for side in sides)
    lab.load(emsp, lab.requests(_puts(objects.location)), 4)  # all of them are there before they are patched
    return cpo, emsp


def _library(lab: Lab, python: str, count: int, cards: list[dict[str, Any]]) -> Process:
    say(f"starting the library with {count:,} Locations")
    file = lab.folder / "library.json"
    given = {
        "locations": [json.loads(objects.text(_complete(number))) for number in range(1, count + 1)],
        "tokens": [dict.fromkeys(_TOKEN) | card for card in cards],
        "shown": [registry.CPO_TOKEN, registry.EMSP_TOKEN],
    }
    file.write_text(json.dumps(given))
    port = free_port()
    application = PROJECT / "tests/load/baselines/library_app.py"
    command = [python, str(application), str(port), str(file)]
    return lab.start("library", command, {"PYTHONPATH": os.environ.get("OCPI_LIBRARY", "")}, port=port)


def _complete(number: int, *, stamp: str = objects.LAST_UPDATED) -> dict[str, Any]:
    """Return a Location of the benchmarks as the library wants it."""
    found = dict.fromkeys(_LOCATION) | objects.location(number, stamp=stamp)
    for token in found.get("publish_allowed_to") or ():
        token.update(dict.fromkeys(_PUBLISHED_TO) | token)
    for name in ("operator", "suboperator", "owner"):
        if found[name]:
            found[name] = dict.fromkeys(("website", "logo")) | found[name]
    if found["energy_mix"]:
        found["energy_mix"] = (
            dict.fromkeys(("environ_impact", "supplier_name", "energy_product_name"), "") | found["energy_mix"]
        )
        found["energy_mix"]["environ_impact"] = None
    # A list in OCPI, but not there.
    found["evses"] = [dict.fromkeys(_EVSE) | evse | {"status_schedule": None} for evse in found["evses"]]
    for evse in found["evses"]:
        evse["connectors"] = [dict.fromkeys(_CONNECTOR) | connector for connector in evse["connectors"]]
    for holder in (found, *found["evses"]):
        for image in holder.get("images") or ():
            image.update(dict.fromkeys(("thumbnail", "width", "height")) | image)
    return found


def _puts(location: Callable[..., dict[str, Any]]) -> Iterable[bytes]:
    for number in range(1, _CHANGED + 1):
        body = objects.text(location(number, stamp=TIME)).encode()
        yield http("PUT", f"/ocpi/emsp/2.2.1/locations/NL/TNM/LOC{number}", _AS_CPO, body)


def _patches() -> Iterable[bytes]:
    for index in range(objects.EVSES):
        for number in range(1, _CHANGED + 1):
            status = "CHARGING" if (index + number) % 2 else "AVAILABLE"
            body = f'{{"status":"{status}","last_updated":"{TIME}"}}'.encode()
            path = f"/ocpi/emsp/2.2.1/locations/NL/TNM/LOC{number}/{objects.uid(number, index)}"
            yield http("PATCH", path, _AS_CPO, body)


def _authorizations(uids: Iterable[str], name: str) -> Iterable[bytes]:
    for uid in uids:
        yield http("POST", f"/ocpi/emsp/2.2.1/tokens/{uid}/authorize?{name}=RFID", _AS_CPO)
